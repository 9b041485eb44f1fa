/** Laws of the iterator, both kinds. */
import { expect, test } from "vitest";
import { dmesg, boot_solo } from "../testing/solo.ts";
import type { Cpu } from "../sched/cpu.ts";
import { stack_push } from "../sched/cpu.ts";
import { BIO_VEC_SIZE, bvec_set_page, bvec_virt, type BioVecPtr } from "./bvec.ts";
import {
  iov_iter_advance,
  iov_iter_alignment,
  iov_iter_bvec,
  iov_iter_count,
  iov_iter_dmabuf_map,
  iov_iter_is_dmabuf_map,
  iov_iter_nr_segs,
  iov_iter_offset,
  iov_iter_pointer,
  type IovIterPtr,
  IOV_ITER_SIZE,
  IOV_ITER_STATE_SIZE,
  iov_iter_restore,
  iov_iter_revert,
  iov_iter_save_state,
  type IovIterStatePtr,
  ITER_DEST,
} from "./iov-iter.ts";

const MAP = 0x12345;

function fresh_iter(cpu: Cpu): IovIterPtr {
  return stack_push(cpu, IOV_ITER_SIZE) as IovIterPtr;
}

/** Vectors of the given lengths at recognisable addresses; returns the first. */
function vectors(cpu: Cpu, lengths: readonly number[]): BioVecPtr {
  const first = stack_push(cpu, BIO_VEC_SIZE * lengths.length);
  lengths.forEach((len, i) =>
    bvec_set_page(cpu, (first + i * BIO_VEC_SIZE) as BioVecPtr, 0x10000 * (i + 1), len, 8 * i),
  );
  return first as BioVecPtr;
}

/** Where the iterator stands: address of the next byte. */
function position(cpu: Cpu, i: IovIterPtr): number {
  return bvec_virt(cpu, iov_iter_pointer(cpu, i) as BioVecPtr) + iov_iter_offset(cpu, i);
}

test("a dma-buf iterator starts at its offset and advances in both numbers", () => {
  const cpu = boot_solo();
  const i = fresh_iter(cpu);
  iov_iter_dmabuf_map(cpu, i, ITER_DEST, MAP, 8192, 4096);
  expect(iov_iter_is_dmabuf_map(cpu, i)).toBe(true);
  expect(iov_iter_pointer(cpu, i)).toBe(MAP);
  iov_iter_advance(cpu, i, 512);
  expect([iov_iter_offset(cpu, i), iov_iter_count(cpu, i)]).toEqual([8704, 3584]);
});

test("advancing past the end stops at the end", () => {
  const cpu = boot_solo();
  const i = fresh_iter(cpu);
  iov_iter_dmabuf_map(cpu, i, ITER_DEST, MAP, 100, 50);
  iov_iter_advance(cpu, i, 70);
  expect([iov_iter_offset(cpu, i), iov_iter_count(cpu, i)]).toEqual([150, 0]);
});

test("revert undoes advance, for every split of a dma-buf range", () => {
  const cpu = boot_solo();
  const i = fresh_iter(cpu);
  for (let first = 0; first <= 64; first += 8) {
    for (let second = 0; first + second <= 64; second += 8) {
      iov_iter_dmabuf_map(cpu, i, ITER_DEST, MAP, 16, 64);
      iov_iter_advance(cpu, i, first);
      iov_iter_advance(cpu, i, second);
      iov_iter_revert(cpu, i, second);
      expect([iov_iter_offset(cpu, i), iov_iter_count(cpu, i)]).toEqual([16 + first, 64 - first]);
    }
  }
});

test("reverting before the start of the dma-buf is a BUG", () => {
  const cpu = boot_solo();
  const i = fresh_iter(cpu);
  iov_iter_dmabuf_map(cpu, i, ITER_DEST, MAP, 16, 64);
  iov_iter_advance(cpu, i, 8);
  expect(() => iov_iter_revert(cpu, i, 25)).toThrow(/before the start of the dma-buf/);
});

test("a bvec iterator stands on the same byte as a linear walk, forwards and back", () => {
  const cpu = boot_solo();
  const lengths = [512, 24, 4096, 8, 1000];
  const total = lengths.reduce((a, b) => a + b);
  const bvec = vectors(cpu, lengths);
  const bytes: number[] = [];
  lengths.forEach((len, n) => {
    for (let k = 0; k < len; k++) bytes.push(0x10000 * (n + 1) + 8 * n + k);
  });
  const i = fresh_iter(cpu);
  for (let trial = 0; trial < 300; trial++) {
    iov_iter_bvec(cpu, i, ITER_DEST, bvec, lengths.length, total);
    const to = cpu.random32() % total;
    const back = cpu.random32() % (to + 1);
    iov_iter_advance(cpu, i, to);
    expect(position(cpu, i)).toBe(bytes[to]);
    iov_iter_revert(cpu, i, back);
    // A position between two vectors has two names; compare what comes next.
    iov_iter_advance(cpu, i, 0);
    expect(position(cpu, i)).toBe(bytes[to - back]);
    expect(iov_iter_count(cpu, i)).toBe(total - to + back);
  }
});

test("restore brings back the saved state, segments included", () => {
  const cpu = boot_solo();
  const bvec = vectors(cpu, [64, 64, 64]);
  const i = fresh_iter(cpu);
  const state = stack_push(cpu, IOV_ITER_STATE_SIZE) as IovIterStatePtr;
  iov_iter_bvec(cpu, i, ITER_DEST, bvec, 3, 192);
  iov_iter_advance(cpu, i, 70);
  const here = position(cpu, i);
  iov_iter_save_state(cpu, i, state);
  iov_iter_advance(cpu, i, 100);
  iov_iter_restore(cpu, i, state);
  expect([position(cpu, i), iov_iter_nr_segs(cpu, i), iov_iter_count(cpu, i)]).toEqual([here, 2, 122]);
});

test("alignment of a dma-buf range is that of its offset and length, not of the map's address", () => {
  const cpu = boot_solo();
  const i = fresh_iter(cpu);
  iov_iter_dmabuf_map(cpu, i, ITER_DEST, MAP, 4096, 512);
  expect(iov_iter_alignment(cpu, i) & 511).toBe(0);
  iov_iter_dmabuf_map(cpu, i, ITER_DEST, MAP, 2, 512);
  expect(iov_iter_alignment(cpu, i) & 3).toBe(2);
});

test("alignment of vectors sees offsets, lengths and the place reached", () => {
  const cpu = boot_solo();
  const i = fresh_iter(cpu);
  iov_iter_bvec(cpu, i, ITER_DEST, vectors(cpu, [4096, 4096]), 2, 8192);
  expect(iov_iter_alignment(cpu, i) & 7).toBe(0);
  iov_iter_advance(cpu, i, 2);
  expect(iov_iter_alignment(cpu, i) & 3).toBe(2);
  expect(dmesg(cpu)).toEqual([]);
});
