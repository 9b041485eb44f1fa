/**
 * Dma-bufs as registered buffers: the invalid registrations of test/rw-dmabuf.c (the series' liburing branch),
 * the import rules of v3 10/10, and who holds the map how long.
 */
import { EBADF, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP } from "@ringside/core/debug/errno";
import { FAULT_CREATE_TOKEN, FAULT_SLAB, fault_arm, fault_disarm } from "@ringside/core/debug/fault-inject";
import {
  dma_buf_fd,
  dma_buf_invalidate_mappings,
  dma_buf_resv,
  type DmaBufPtr,
} from "@ringside/core/dma/buf";
import {
  dma_resv_lock,
  dma_resv_test_signaled,
  DMA_RESV_USAGE_KERNEL,
  dma_resv_unlock,
} from "@ringside/core/dma/resv";
import {
  fixture_book,
  fixture_buffer,
  FIXTURE_MAPS,
  FIXTURE_UNMAPS,
} from "@ringside/core/dma/testing/token-fixture";
import { token_counters } from "@ringside/core/dma/token-oracle";
import { close_fd, fget } from "@ringside/core/fs/fdtable";
import { file_count, fput, O_DIRECT, O_RDWR } from "@ringside/core/fs/file";
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import { stack_pop, stack_push, type Cpu } from "@ringside/core/sched/cpu";
import { afterEach, expect, test } from "vitest";
import {
  REGBUF_DESC_RESV,
  REGBUF_DESC_SIZE,
  REGBUF_DESC_TARGET_FD,
  REGBUF_DESC_TYPE,
  type RegbufDescPtr,
} from "../abi/register.ts";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import { IORING_NOP_FIXED_BUFFER, IOSQE_ASYNC, SQE_OP_FLAGS } from "../abi/sqe.ts";
import {
  io_uring_prep_read_fixed,
  io_uring_prep_write_fixed,
  io_uring_queue_exit,
  io_uring_register_buffers_sparse,
  io_uring_register_buffers_update_desc,
  io_uring_register_dmabuf,
  io_uring_sqe_set_data64,
  io_uring_sqe_set_flags,
  io_uring_submit,
  io_uring_submit_and_wait,
  io_uring_unregister_buffers,
  regbuf_desc_dmabuf,
  regbuf_desc_empty,
  regbuf_desc_uaddr,
  type IoUring,
} from "../liburing.ts";
import {
  fake_calls,
  fake_complete_all,
  fake_file_mode,
  fake_file_open,
  FAKE_INLINE,
  FAKE_LATE_AGAIN,
  FAKE_LATER,
  FAKE_NOWAIT,
} from "../testing/fake-file.ts";
import { boot, leftovers, open_ring, queue_nop, reap, sqe_of } from "../testing/ring-fixture.ts";

let cpu: Cpu;
afterEach(() => expect(leftovers(cpu)).toEqual([]));

const BYTES = 65536;

interface Bench {
  readonly ring: IoUring;
  /** The target file, and another one like it. */
  readonly fd: number;
  readonly other: number;
  readonly dmabuf: DmaBufPtr;
  readonly dmabuf_fd: number;
  readonly desc: RegbufDescPtr;
}

function bench(flags = 0, bytes = BYTES): Bench {
  cpu = boot();
  const ring = open_ring(cpu, 8, flags);
  expect(io_uring_register_buffers_sparse(cpu, ring, 4)).toBe(0);
  const dmabuf = fixture_buffer(cpu, bytes);
  return {
    ring,
    fd: fake_file_open(cpu),
    other: fake_file_open(cpu),
    dmabuf,
    dmabuf_fd: dma_buf_fd(cpu, dmabuf),
    desc: stack_push(cpu, 2 * REGBUF_DESC_SIZE) as RegbufDescPtr,
  };
}

function finish(b: Bench): void {
  io_uring_queue_exit(cpu, b.ring);
  for (const fd of [b.fd, b.other, b.dmabuf_fd]) close_fd(cpu, fd);
  stack_pop(cpu, b.desc);
}

/** As bench, with the dma-buf in slot 0. */
function registered(): Bench {
  const b = bench();
  expect(io_uring_register_dmabuf(cpu, b.ring, 0, b.dmabuf_fd, b.fd)).toBe(1);
  return b;
}

interface Rw {
  readonly fd?: number;
  readonly addr?: number;
  readonly len?: number;
  readonly data?: number;
  readonly flags?: number;
  readonly write?: boolean;
}

function queue(b: Bench, { fd = b.fd, addr = 0, len = 4096, data = 1, flags = 0, write = false }: Rw): void {
  const sqe = sqe_of(cpu, b.ring);
  if (write) io_uring_prep_write_fixed(cpu, sqe, fd, addr, len, 0, 0);
  else io_uring_prep_read_fixed(cpu, sqe, fd, addr, len, 0, 0);
  io_uring_sqe_set_data64(cpu, sqe, data);
  io_uring_sqe_set_flags(cpu, sqe, flags);
}

function run(b: Bench, rw: Rw = {}): number | undefined {
  queue(b, rw);
  expect(io_uring_submit_and_wait(cpu, b.ring, 1)).toBe(1);
  return reap(cpu, b.ring)[0]?.[1];
}

function invalidate({ dmabuf }: Bench): void {
  dma_resv_lock(cpu, dma_buf_resv(cpu, dmabuf), 0);
  dma_buf_invalidate_mappings(cpu, dmabuf);
  dma_resv_unlock(cpu, dma_buf_resv(cpu, dmabuf));
}

function settle(): void {
  for (let i = 0; i < 4; i++) rcu_barrier(cpu);
}

// rw-dmabuf.c, invalid registrations
test("a dma-buf descriptor is refused for every reason there is", () => {
  const b = bench();
  const update = (): number => io_uring_register_buffers_update_desc(cpu, b.ring, 0, b.desc, 0, 1);
  const dmabuf = (dmabuf_fd: number, target_fd: number): number => {
    regbuf_desc_dmabuf(cpu, b.desc, dmabuf_fd, target_fd);
    return update();
  };
  const with_field = (field: number, value: number): number => {
    regbuf_desc_dmabuf(cpu, b.desc, b.dmabuf_fd, b.fd);
    cpu.mem.write(b.desc + field, value);
    return update();
  };
  expect(with_field(8, 4096)).toBe(-EINVAL);
  expect(with_field(12, 1)).toBe(-EINVAL);
  expect(with_field(16, 4096)).toBe(-EINVAL);
  expect(with_field(REGBUF_DESC_TYPE, 3)).toBe(-EINVAL);
  expect(with_field(REGBUF_DESC_TYPE, -1)).toBe(-EINVAL);
  expect(with_field(REGBUF_DESC_RESV, 1)).toBe(-EINVAL);
  expect(with_field(REGBUF_DESC_SIZE - 4, 1)).toBe(-EINVAL);
  expect(dmabuf(b.dmabuf_fd, -1)).toBe(-EBADF);
  expect(dmabuf(b.dmabuf_fd, 700)).toBe(-EBADF);
  expect(dmabuf(-1, b.fd)).toBe(-EBADF);
  // A file, but no dma-buf; a file that takes none; a ring.
  expect(dmabuf(b.fd, b.fd)).toBe(-EINVAL);
  expect(dmabuf(b.dmabuf_fd, 0)).toBe(-EOPNOTSUPP);
  const plain = fake_file_open(cpu, O_RDWR | O_DIRECT, true);
  expect(dmabuf(b.dmabuf_fd, plain)).toBe(-EOPNOTSUPP);
  close_fd(cpu, plain);
  expect(dmabuf(b.dmabuf_fd, b.ring.ring_fd)).toBe(-EOPNOTSUPP);
  fault_arm(cpu, FAULT_CREATE_TOKEN, { after: 0, times: 1 });
  expect(dmabuf(b.dmabuf_fd, b.fd)).toBe(-ENOMEM);
  for (let after = 0; after < 3; after++) {
    fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
    expect(dmabuf(b.dmabuf_fd, b.fd)).toBe(-ENOMEM);
  }
  fault_disarm(cpu, FAULT_SLAB);
  // v3 does not look at desc.flags.
  expect(with_field(4, 1)).toBe(1);
  finish(b);
});

test("the other descriptor types refuse descriptors, and descriptor 0 cannot be told from none", () => {
  const b = bench();
  const update = (): number => io_uring_register_buffers_update_desc(cpu, b.ring, 1, b.desc, 0, 1);
  regbuf_desc_uaddr(cpu, b.desc, b.desc, 64);
  cpu.mem.write(b.desc + REGBUF_DESC_TARGET_FD, b.fd);
  expect(update()).toBe(-EINVAL);
  regbuf_desc_empty(cpu, b.desc);
  cpu.mem.write(b.desc + REGBUF_DESC_TARGET_FD, -1);
  expect(update()).toBe(-EINVAL);
  cpu.mem.write(b.desc + REGBUF_DESC_TARGET_FD, 0);
  expect(update()).toBe(1);
  regbuf_desc_uaddr(cpu, b.desc, 4096, 0);
  cpu.mem.write(b.desc + REGBUF_DESC_TYPE, 0);
  expect(update()).toBe(-EFAULT);
  regbuf_desc_uaddr(cpu, b.desc, 0, 4096);
  expect(update()).toBe(-EFAULT);
  finish(b);
});

test("a dma-buf larger than 1 GiB is refused, one of exactly 1 GiB is not", () => {
  const b = bench(0, 2 ** 30 + 4096);
  expect(io_uring_register_dmabuf(cpu, b.ring, 0, b.dmabuf_fd, b.fd)).toBe(-EINVAL);
  const exact = dma_buf_fd(cpu, fixture_buffer(cpu, 2 ** 30));
  expect(io_uring_register_dmabuf(cpu, b.ring, 0, exact, b.fd)).toBe(1);
  close_fd(cpu, exact);
  finish(b);
});

test("an IOPOLL ring takes no dma-bufs", () => {
  const b = bench(IORING_SETUP_IOPOLL);
  expect(io_uring_register_dmabuf(cpu, b.ring, 0, b.dmabuf_fd, b.fd)).toBe(-EOPNOTSUPP);
  finish(b);
});

test("an extended update mixes types and tags, and stops at the first bad entry", () => {
  const b = bench();
  const tags = stack_push(cpu, 16);
  cpu.mem.write64(tags, 77);
  regbuf_desc_dmabuf(cpu, b.desc, b.dmabuf_fd, b.fd);
  regbuf_desc_dmabuf(cpu, (b.desc + REGBUF_DESC_SIZE) as RegbufDescPtr, -1, b.fd);
  expect(io_uring_register_buffers_update_desc(cpu, b.ring, 2, b.desc, tags, 2)).toBe(1);
  regbuf_desc_empty(cpu, b.desc);
  expect(io_uring_register_buffers_update_desc(cpu, b.ring, 2, b.desc, 0, 1)).toBe(1);
  expect(reap(cpu, b.ring)).toEqual([[77, 0]]);
  stack_pop(cpu, tags);
  finish(b);
});

// rw-dmabuf.c: addr is an offset into the buffer
test("I/O names bytes of the dma-buf by offset, and only on the target file", () => {
  const b = registered();
  expect(run(b)).toBe(4096);
  expect(run(b, { addr: BYTES - 512, len: 512, write: true })).toBe(512);
  expect(run(b, { addr: 7, len: 31 })).toBe(31);
  expect(run(b, { addr: BYTES - 511, len: 512 })).toBe(-EFAULT);
  expect(run(b, { addr: BYTES, len: 1 })).toBe(-EFAULT);
  expect(run(b, { len: 0 })).toBe(-EFAULT);
  expect(run(b, { fd: b.other })).toBe(-EBADF);
  expect(run(b, { fd: -1 })).toBe(-EBADF);
  // A NOP may name it: it does not touch the bytes.
  cpu.mem.write(queue_nop(cpu, b.ring, 5) + SQE_OP_FLAGS, IORING_NOP_FIXED_BUFFER);
  io_uring_submit(cpu, b.ring);
  expect(reap(cpu, b.ring)).toEqual([[5, 0]]);
  finish(b);
});

test("the first request makes the map in a worker, the next ones take it inline", () => {
  const b = registered();
  queue(b, {});
  expect(io_uring_submit(cpu, b.ring)).toBe(1);
  // Punted: the inline attempt did not even reach the file.
  expect([reap(cpu, b.ring).length, fake_calls(cpu), fixture_book(cpu, FIXTURE_MAPS)]).toEqual([0, 0, 0]);
  io_uring_submit_and_wait(cpu, b.ring, 1);
  expect([reap(cpu, b.ring).length, fake_calls(cpu), fixture_book(cpu, FIXTURE_MAPS)]).toEqual([1, 1, 1]);
  queue(b, { data: 2 });
  expect(io_uring_submit(cpu, b.ring)).toBe(1);
  expect(reap(cpu, b.ring)).toEqual([[2, 4096]]);
  expect(fixture_book(cpu, FIXTURE_MAPS)).toBe(1);
  finish(b);
});

test("after an invalidation the next request makes a new map", () => {
  const b = registered();
  expect(run(b)).toBe(4096);
  invalidate(b);
  expect(run(b)).toBe(4096);
  settle();
  expect([fixture_book(cpu, FIXTURE_MAPS), fixture_book(cpu, FIXTURE_UNMAPS)]).toEqual([2, 1]);
  finish(b);
});

// v3: the reference goes in task work (series 2.3, number 3), not where the I/O completes
test("a completed request holds its map until its task runs the completion", () => {
  const b = registered();
  expect(run(b)).toBe(4096);
  fake_file_mode(cpu, FAKE_LATER);
  queue(b, {});
  io_uring_submit(cpu, b.ring);
  invalidate(b);
  const signaled = (): boolean => {
    settle();
    return dma_resv_test_signaled(cpu, dma_buf_resv(cpu, b.dmabuf), DMA_RESV_USAGE_KERNEL);
  };
  expect(signaled()).toBe(false);
  fake_complete_all(cpu);
  expect(signaled()).toBe(false);
  io_uring_submit_and_wait(cpu, b.ring, 1);
  expect(reap(cpu, b.ring)).toEqual([[1, 4096]]);
  expect(signaled()).toBe(true);
  expect(fixture_book(cpu, FIXTURE_UNMAPS)).toBe(1);
  finish(b);
});

// The double import (series 2.3, number 2): v3 lost the first attempt's reference and the map never drained.
test.for([
  ["the file would block", FAKE_NOWAIT],
  ["the device says -EAGAIN later", FAKE_LATE_AGAIN],
] as const)("a second attempt keeps the map of the first: %s", ([, mode]) => {
  const b = registered();
  expect(run(b)).toBe(4096);
  fake_file_mode(cpu, mode);
  queue(b, {});
  io_uring_submit(cpu, b.ring);
  // The map dies between the attempts; the request still holds it.
  invalidate(b);
  fake_complete_all(cpu);
  io_uring_submit_and_wait(cpu, b.ring, 1);
  expect(reap(cpu, b.ring)).toEqual([[1, 4096]]);
  expect(fixture_book(cpu, FIXTURE_MAPS)).toBe(1);
  settle();
  expect(fixture_book(cpu, FIXTURE_UNMAPS)).toBe(1);
  finish(b);
});

test("a request in flight keeps the buffer of an unregistered table", () => {
  const b = registered();
  expect(run(b)).toBe(4096);
  fake_file_mode(cpu, FAKE_LATER);
  queue(b, {});
  io_uring_submit(cpu, b.ring);
  expect(io_uring_unregister_buffers(cpu, b.ring)).toBe(0);
  settle();
  expect(token_counters(cpu).released).toBe(0);
  fake_complete_all(cpu);
  io_uring_submit_and_wait(cpu, b.ring, 1);
  expect(reap(cpu, b.ring)).toEqual([[1, 4096]]);
  settle();
  expect(token_counters(cpu)).toMatchObject({ created: 1, released: 1, maps: 1, unmaps: 1 });
  finish(b);
});

test("the buffer is looked up when the request is issued, not when it is submitted", () => {
  const b = registered();
  queue(b, { flags: IOSQE_ASYNC });
  io_uring_submit(cpu, b.ring);
  // The worker has not come to it yet.
  expect(io_uring_unregister_buffers(cpu, b.ring)).toBe(0);
  io_uring_submit_and_wait(cpu, b.ring, 1);
  expect(reap(cpu, b.ring)).toEqual([[1, -EFAULT]]);
  finish(b);
});

// v3 order: fput(target_file), then the token's release, which is asynchronous
test("unregistering lets go of the target file at once and of the token later", () => {
  const b = registered();
  const file = fget(cpu, b.fd);
  expect(file_count(cpu, file)).toBe(3);
  expect(io_uring_unregister_buffers(cpu, b.ring)).toBe(0);
  expect(file_count(cpu, file)).toBe(2);
  expect(token_counters(cpu).released).toBe(0);
  fput(cpu, file);
  settle();
  expect(token_counters(cpu).released).toBe(1);
  finish(b);
});

test("two slots with one dma-buf are two tokens", () => {
  const b = registered();
  expect(io_uring_register_dmabuf(cpu, b.ring, 1, b.dmabuf_fd, b.other)).toBe(1);
  fake_file_mode(cpu, FAKE_INLINE);
  expect(run(b)).toBe(4096);
  expect(token_counters(cpu).created).toBe(2);
  finish(b);
});
