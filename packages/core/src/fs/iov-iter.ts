/**
 * struct iov_iter (include/linux/uio.h, lib/iov_iter.c): where the bytes of a read or write are, and how far
 * the transfer has come. Two kinds exist here: ITER_BVEC, and ITER_DMABUF_MAP, which names bytes of a dma-buf
 * by their offset and has no pages that anybody could touch.
 *
 * iov_offset counts from the start of the current bio_vec, or from the start of the dma-buf.
 * Interface: iov_iter_bvec or iov_iter_dmabuf_map, then advance and revert; the iterator belongs to one task.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { BUG_ON, WARN_ON } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";
import { BIO_VEC_SIZE, bvec_len, bvec_offset, type BioVecPtr } from "./bvec.ts";

export type IovIterPtr = Ptr<"iov_iter">;
export type IovIterStatePtr = Ptr<"iov_iter_state">;

/** enum iter_type, the values of Linux. */
export const ITER_BVEC = 2;
export const ITER_DMABUF_MAP = 7;

/** Data goes to the iterator (a read) or comes from it (a write). */
export const ITER_DEST = 0;
export const ITER_SOURCE = 1;

const ITER_TYPE = 0;
const DATA_SOURCE = 4;
const IOV_OFFSET = 8;
/** Union of bvec and dmabuf_map. */
const POINTER = 12;
const COUNT = 16;
const NR_SEGS = 20;
export const IOV_ITER_SIZE = 24;

// struct iov_iter_state: what a failed attempt has to put back.
const STATE_OFFSET = 0;
const STATE_COUNT = 4;
const STATE_NR_SEGS = 8;
export const IOV_ITER_STATE_SIZE = 12;

struct_layout("iov_iter", IOV_ITER_SIZE, [
  ["iter_type", ITER_TYPE, 4],
  ["data_source", DATA_SOURCE, 4],
  ["iov_offset", IOV_OFFSET, 4],
  ["bvec", POINTER, 4],
  ["count", COUNT, 4],
  ["nr_segs", NR_SEGS, 4],
]);
struct_layout("iov_iter_state", IOV_ITER_STATE_SIZE, [
  ["iov_offset", STATE_OFFSET, 4],
  ["count", STATE_COUNT, 4],
  ["nr_segs", STATE_NR_SEGS, 4],
]);

/** Longest transfer of one call: INT_MAX rounded down to a page. */
export const MAX_RW_COUNT = 0x7ffff000;
const BVEC = ITER_BVEC;
const DMABUF_MAP = ITER_DMABUF_MAP;
const DEST = ITER_DEST;
const SOURCE = ITER_SOURCE;
const VEC_SIZE = BIO_VEC_SIZE;

function iov_iter_init(
  cpu: Cpu,
  i: IovIterPtr,
  type: number,
  direction: number,
  pointer: number,
  nr_segs: number,
  offset: number,
  count: number,
): void {
  WARN_ON(cpu, (direction & ~(DEST | SOURCE)) !== 0);
  const mem = cpu.mem;
  mem.write(i + ITER_TYPE, type);
  mem.write(i + DATA_SOURCE, direction);
  mem.write(i + IOV_OFFSET, offset);
  mem.write(i + POINTER, pointer);
  mem.write(i + COUNT, count);
  mem.write(i + NR_SEGS, nr_segs);
}

/** `count` bytes of the `nr` bio_vecs at `bvec`. */
export function iov_iter_bvec(
  cpu: Cpu,
  i: IovIterPtr,
  direction: number,
  bvec: BioVecPtr,
  nr: number,
  count: number,
): void {
  iov_iter_init(cpu, i, BVEC, direction, bvec, nr, 0, count);
}

/** `count` bytes from `off` of the dma-buf behind `map`. Takes no reference: the request holds the map. */
export function iov_iter_dmabuf_map(
  cpu: Cpu,
  i: IovIterPtr,
  direction: number,
  map: number,
  off: number,
  count: number,
): void {
  iov_iter_init(cpu, i, DMABUF_MAP, direction, map, 0, off, count);
}

export function iov_iter_is_dmabuf_map(cpu: Cpu, i: IovIterPtr): boolean {
  return cpu.mem.read(i + ITER_TYPE) === DMABUF_MAP;
}
/** Bytes left. */
export function iov_iter_count(cpu: Cpu, i: IovIterPtr): number {
  return cpu.mem.read(i + COUNT);
}
export function iov_iter_offset(cpu: Cpu, i: IovIterPtr): number {
  return cpu.mem.read(i + IOV_OFFSET);
}
/** The current bio_vec, or the map: whatever the type says. */
export function iov_iter_pointer(cpu: Cpu, i: IovIterPtr): number {
  return cpu.mem.read(i + POINTER);
}
export function iov_iter_nr_segs(cpu: Cpu, i: IovIterPtr): number {
  return cpu.mem.read(i + NR_SEGS);
}

/** Shortens the iterator to `count` bytes; never lengthens it. */
export function iov_iter_truncate(cpu: Cpu, i: IovIterPtr, count: number): void {
  if (cpu.mem.read(i + COUNT) > count) cpu.mem.write(i + COUNT, count);
}

/** Undoes a truncate. */
export function iov_iter_reexpand(cpu: Cpu, i: IovIterPtr, count: number): void {
  cpu.mem.write(i + COUNT, count);
}

/** Consumes `size` bytes, or all that are left. */
export function iov_iter_advance(cpu: Cpu, i: IovIterPtr, size: number): void {
  const mem = cpu.mem;
  const count = mem.read(i + COUNT);
  const n = size < count ? size : count;
  mem.write(i + COUNT, count - n);
  if (mem.read(i + ITER_TYPE) === DMABUF_MAP) mem.write(i + IOV_OFFSET, mem.read(i + IOV_OFFSET) + n);
  else iov_iter_bvec_advance(cpu, i, n);
}

function iov_iter_bvec_advance(cpu: Cpu, i: IovIterPtr, n: number): void {
  const mem = cpu.mem;
  let bvec = mem.read(i + POINTER);
  let segs = mem.read(i + NR_SEGS);
  let offset = mem.read(i + IOV_OFFSET) + n;
  while (segs > 0 && offset >= bvec_len(cpu, bvec as BioVecPtr)) {
    offset -= bvec_len(cpu, bvec as BioVecPtr);
    bvec += BIO_VEC_SIZE;
    segs--;
  }
  mem.write(i + IOV_OFFSET, offset);
  mem.write(i + POINTER, bvec);
  mem.write(i + NR_SEGS, segs);
}

/** Gives back `unroll` bytes that advance took. More than it took is a bug, as far as it can be seen. */
export function iov_iter_revert(cpu: Cpu, i: IovIterPtr, unroll: number): void {
  if (unroll === 0) return;
  if (WARN_ON(cpu, unroll > MAX_RW_COUNT)) return;
  const mem = cpu.mem;
  mem.write(i + COUNT, mem.read(i + COUNT) + unroll);
  const offset = mem.read(i + IOV_OFFSET);
  if (unroll <= offset) {
    mem.write(i + IOV_OFFSET, offset - unroll);
    return;
  }
  // Never before the start of the buffer: what lies there is somebody else's.
  BUG_ON(cpu, mem.read(i + ITER_TYPE) === ITER_DMABUF_MAP, "iov_iter_revert before the start of the dma-buf");
  iov_iter_bvec_revert(cpu, i, unroll - offset);
}

function iov_iter_bvec_revert(cpu: Cpu, i: IovIterPtr, unroll: number): void {
  const mem = cpu.mem;
  let bvec = mem.read(i + POINTER);
  let segs = mem.read(i + NR_SEGS);
  let left = unroll;
  for (;;) {
    bvec -= BIO_VEC_SIZE;
    segs++;
    const len = bvec_len(cpu, bvec as BioVecPtr);
    if (left <= len) break;
    left -= len;
  }
  mem.write(i + IOV_OFFSET, bvec_len(cpu, bvec as BioVecPtr) - left);
  mem.write(i + POINTER, bvec);
  mem.write(i + NR_SEGS, segs);
}

/**
 * All addresses and lengths or-ed: the low bits say how aligned the transfer is. For a dma-buf it is the
 * offset that counts. (v3 of the series or-ed the map's own address in; v6 does what is done here.)
 */
export function iov_iter_alignment(cpu: Cpu, i: IovIterPtr): number {
  const mem = cpu.mem;
  let left = mem.read(i + COUNT);
  let skip = mem.read(i + IOV_OFFSET);
  if (mem.read(i + ITER_TYPE) === DMABUF_MAP) return left === 0 ? 0 : skip | left;
  let bits = 0;
  for (let bvec = mem.read(i + POINTER); left > 0; bvec += VEC_SIZE) {
    const rest = bvec_len(cpu, bvec as BioVecPtr) - skip;
    const len = rest < left ? rest : left;
    bits |= (bvec_offset(cpu, bvec as BioVecPtr) + skip) | len;
    left -= len;
    skip = 0;
  }
  return bits;
}

export function iov_iter_save_state(cpu: Cpu, i: IovIterPtr, state: IovIterStatePtr): void {
  cpu.mem.write(state + STATE_OFFSET, cpu.mem.read(i + IOV_OFFSET));
  cpu.mem.write(state + STATE_COUNT, cpu.mem.read(i + COUNT));
  cpu.mem.write(state + STATE_NR_SEGS, cpu.mem.read(i + NR_SEGS));
}

/** Puts the iterator back where it was when the state was saved. */
export function iov_iter_restore(cpu: Cpu, i: IovIterPtr, state: IovIterStatePtr): void {
  const mem = cpu.mem;
  mem.write(i + IOV_OFFSET, mem.read(state + STATE_OFFSET));
  mem.write(i + COUNT, mem.read(state + STATE_COUNT));
  if (mem.read(i + ITER_TYPE) === DMABUF_MAP) return;
  const back = mem.read(state + STATE_NR_SEGS) - mem.read(i + NR_SEGS);
  mem.write(i + POINTER, mem.read(i + POINTER) - back * VEC_SIZE);
  mem.write(i + NR_SEGS, mem.read(state + STATE_NR_SEGS));
}
