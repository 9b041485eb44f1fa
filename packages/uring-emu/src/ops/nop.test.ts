/** NOPs: liburing's test/nop.c, nop-flags.c, nop-all-sizes.c and submit-reuse.c, in our own words. */
import { EBADF, EFAULT, EINVAL, EOPNOTSUPP } from "@ringside/core/debug/errno";
import { close_fd } from "@ringside/core/fs/fdtable";
import { __get_free_pages, free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL, kmem_in_use } from "@ringside/core/mm/slab";
import { stack_pop, stack_push, type Cpu } from "@ringside/core/sched/cpu";
import { expect, test } from "vitest";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import {
  IORING_NOP_CQE32,
  IORING_NOP_FILE,
  IORING_NOP_FIXED_BUFFER,
  IORING_NOP_FIXED_FILE,
  IORING_NOP_INJECT_RESULT,
  IORING_NOP_TW,
  IOSQE_ASYNC,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_IO_DRAIN,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
  SQE_BUF_INDEX,
  SQE_FD,
  SQE_IOPRIO,
  SQE_LEN,
  SQE_OP_FLAGS,
  SQE_OPCODE,
  SQE_PERSONALITY,
} from "../abi/sqe.ts";
import {
  io_uring_queue_exit,
  io_uring_register_buffers,
  io_uring_sqe_set_flags,
  io_uring_submit,
  io_uring_submit_and_wait,
  iovec_fill,
  type IoUring,
} from "../liburing.ts";
import { fake_file_open } from "../testing/fake-file.ts";
import {
  boot,
  leftovers,
  open_ring,
  open_ring_with_array,
  queue_nop,
  reap,
} from "../testing/ring-fixture.ts";

interface NopFields {
  readonly flags?: number;
  readonly len?: number;
  readonly fd?: number;
  readonly buf?: number;
  readonly sqe_flags?: number;
}

/** Runs one NOP; its CQE's res. */
function nop(cpu: Cpu, ring: IoUring, fields: NopFields): number | undefined {
  const sqe = queue_nop(cpu, ring, 1);
  cpu.mem.write(sqe + SQE_OP_FLAGS, fields.flags ?? 0);
  cpu.mem.write(sqe + SQE_LEN, fields.len ?? 0);
  cpu.mem.write(sqe + SQE_FD, fields.fd ?? -1);
  cpu.mem.write16(sqe + SQE_BUF_INDEX, fields.buf ?? 0);
  io_uring_sqe_set_flags(cpu, sqe, fields.sqe_flags ?? 0);
  expect(io_uring_submit_and_wait(cpu, ring, 1)).toBe(1);
  return reap(cpu, ring)[0]?.[1];
}

const RINGS = [
  ["default", (cpu: Cpu): IoUring => open_ring(cpu, 8)],
  ["IOPOLL", (cpu: Cpu): IoUring => open_ring(cpu, 8, IORING_SETUP_IOPOLL)],
  ["SQ array", (cpu: Cpu): IoUring => open_ring_with_array(cpu, 8)],
] as const;

// nop.c :: test_single_nop, test_barrier_nop (without the barrier: DRAIN is not supported)
test.for(RINGS)("a NOP completes with result 0, %s ring", ([, open]) => {
  const cpu = boot();
  const ring = open(cpu);
  expect(nop(cpu, ring, {})).toBe(0);
  for (let i = 0; i < 8; i++) queue_nop(cpu, ring, i);
  expect(io_uring_submit(cpu, ring)).toBe(8);
  expect(reap(cpu, ring)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((i) => [i, 0]));
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

// nop.c :: test_single_nop with IOSQE_ASYNC
test("a NOP with IOSQE_ASYNC completes from a worker", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 8);
  const sqe = queue_nop(cpu, ring, 7);
  io_uring_sqe_set_flags(cpu, sqe, IOSQE_ASYNC);
  expect(io_uring_submit(cpu, ring)).toBe(1);
  expect(reap(cpu, ring)).toEqual([]);
  expect(io_uring_submit_and_wait(cpu, ring, 1)).toBe(0);
  expect(reap(cpu, ring)).toEqual([[7, 0]]);
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

// nop.c :: test_inject, nop-flags.c :: detect, file, bad_fd, fixed_file, fixed_buffer, tw, tw_inject,
// cqe32, no_ring_support, combined
test("NOP flags look up what they name", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 8);
  const fd = fake_file_open(cpu);
  const page = __get_free_pages(cpu, GFP_KERNEL, 0);
  const iov = stack_push(cpu, 16);
  iovec_fill(cpu, iov, page, 4096);
  expect(io_uring_register_buffers(cpu, ring, iov, 1)).toBe(0);

  expect(nop(cpu, ring, { flags: IORING_NOP_INJECT_RESULT, len: 42 })).toBe(42);
  expect(nop(cpu, ring, { flags: IORING_NOP_INJECT_RESULT, len: -EFAULT })).toBe(-EFAULT);
  expect(nop(cpu, ring, { flags: IORING_NOP_FILE, fd })).toBe(0);
  expect(nop(cpu, ring, { flags: IORING_NOP_FILE, fd: -1 })).toBe(-EBADF);
  expect(nop(cpu, ring, { flags: IORING_NOP_FILE, fd: 900 })).toBe(-EBADF);
  expect(nop(cpu, ring, { flags: IORING_NOP_FILE | IORING_NOP_FIXED_FILE, fd: 999 })).toBe(-EBADF);
  expect(nop(cpu, ring, { flags: IORING_NOP_FIXED_BUFFER, buf: 0 })).toBe(0);
  expect(nop(cpu, ring, { flags: IORING_NOP_FIXED_BUFFER, buf: 1 })).toBe(-EFAULT);
  expect(nop(cpu, ring, { flags: IORING_NOP_TW })).toBe(0);
  expect(nop(cpu, ring, { flags: IORING_NOP_TW | IORING_NOP_INJECT_RESULT, len: 42 })).toBe(42);
  expect(nop(cpu, ring, { flags: IORING_NOP_CQE32 })).toBe(-EINVAL);
  expect(nop(cpu, ring, { flags: 1 << 10 })).toBe(-EINVAL);
  const all = IORING_NOP_INJECT_RESULT | IORING_NOP_FILE | IORING_NOP_FIXED_BUFFER | IORING_NOP_TW;
  expect(nop(cpu, ring, { flags: all, fd, len: 0, buf: 0 })).toBe(0);
  expect(nop(cpu, ring, { flags: all, fd, len: 5, buf: 0, sqe_flags: IOSQE_ASYNC })).toBe(5);
  // A ring is no file for a request here.
  expect(nop(cpu, ring, { flags: IORING_NOP_FILE, fd: ring.ring_fd })).toBe(-EBADF);

  stack_pop(cpu, iov);
  io_uring_queue_exit(cpu, ring);
  close_fd(cpu, fd);
  free_pages(cpu, page, 0);
  expect(leftovers(cpu)).toEqual([]);
});

test("an SQE flag, opcode or field that means nothing here is -EINVAL", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 8);
  for (const flag of [IOSQE_IO_DRAIN, IOSQE_IO_LINK, IOSQE_IO_HARDLINK, 1 << 7]) {
    expect(nop(cpu, ring, { sqe_flags: flag })).toBe(-EINVAL);
  }
  expect(nop(cpu, ring, { sqe_flags: IOSQE_BUFFER_SELECT })).toBe(-EOPNOTSUPP);
  const fields: readonly [number, number][] = [
    [SQE_OPCODE, 200],
    [SQE_OPCODE, 1],
    [SQE_IOPRIO, 1],
    [SQE_PERSONALITY, 1],
  ];
  for (const [field, value] of fields) {
    const sqe = queue_nop(cpu, ring, 3);
    cpu.mem.write8(sqe + field, value);
    expect(io_uring_submit(cpu, ring)).toBe(1);
    expect(reap(cpu, ring)).toEqual([[3, -EINVAL]]);
  }
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

test("CQE_SKIP_SUCCESS hides a success and never a failure", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 8);
  const skip = IOSQE_CQE_SKIP_SUCCESS;
  const quiet = queue_nop(cpu, ring, 1);
  io_uring_sqe_set_flags(cpu, quiet, skip);
  const failing = queue_nop(cpu, ring, 2);
  io_uring_sqe_set_flags(cpu, failing, skip);
  cpu.mem.write(failing + SQE_OP_FLAGS, IORING_NOP_FILE);
  const plain = queue_nop(cpu, ring, 3);
  io_uring_sqe_set_flags(cpu, plain, 0);
  expect(io_uring_submit(cpu, ring)).toBe(3);
  expect(reap(cpu, ring)).toEqual([
    [2, -EBADF],
    [3, 0],
  ]);
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

// nop-all-sizes.c
test("every ring size from 1 to 8192 takes as many NOPs as it has entries", () => {
  const cpu = boot({ kasan: false });
  for (let entries = 1; entries <= 8192; entries *= 2) {
    const ring = open_ring(cpu, entries);
    for (let i = 0; i < entries; i++) queue_nop(cpu, ring, i);
    expect(io_uring_submit(cpu, ring)).toBe(entries);
    const cqes = reap(cpu, ring);
    expect(cqes.length).toBe(entries);
    expect(cqes.every(([data, res], i) => data === i && res === 0)).toBe(true);
    io_uring_queue_exit(cpu, ring);
  }
  expect(leftovers(cpu)).toEqual([]);
});

// submit-reuse.c: what an SQE says is read before enter returns
test("an SQE may be overwritten as soon as submit returned", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 2);
  const seen: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 2; i++) {
      const sqe = queue_nop(cpu, ring, round * 2 + i);
      io_uring_sqe_set_flags(cpu, sqe, IOSQE_ASYNC);
    }
    expect(io_uring_submit(cpu, ring)).toBe(2);
    cpu.mem.memset(ring.sqes, 0xff, 128);
    io_uring_submit_and_wait(cpu, ring, 2);
    for (const [data, res] of reap(cpu, ring)) if (res === 0) seen.push(data);
  }
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i));
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

test("after the first rounds NOPs allocate nothing", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 16);
  const round = (): void => {
    for (let i = 0; i < 16; i++) queue_nop(cpu, ring, i);
    io_uring_submit(cpu, ring);
    reap(cpu, ring);
  };
  round();
  const before = kmem_in_use(cpu);
  for (let i = 0; i < 50; i++) round();
  expect(kmem_in_use(cpu)).toBe(before);
  io_uring_queue_exit(cpu, ring);
});
