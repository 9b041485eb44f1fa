/** READ_FIXED, WRITE_FIXED and FSYNC against a file that completes in every way there is. */
import { EAGAIN, EBADF, EFAULT, EINVAL, EIO, EOPNOTSUPP } from "@ringside/core/debug/errno";
import { close_fd } from "@ringside/core/fs/fdtable";
import { O_DIRECT, O_RDONLY, O_RDWR, O_WRONLY } from "@ringside/core/fs/file";
import { __get_free_pages, free_pages, page_refcount } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import { stack_pop, stack_push, type Cpu } from "@ringside/core/sched/cpu";
import { afterEach, expect, test } from "vitest";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import {
  IORING_FSYNC_DATASYNC,
  IOSQE_ASYNC,
  IOSQE_FIXED_FILE,
  RWF_HIPRI,
  RWF_NOWAIT,
  SQE_ADDR,
  SQE_BUF_INDEX,
  SQE_IOPRIO,
  SQE_OFF,
  SQE_OP_FLAGS,
  type SqePtr,
} from "../abi/sqe.ts";
import {
  io_uring_peek_cqe,
  io_uring_prep_fsync,
  io_uring_prep_read_fixed,
  io_uring_prep_write_fixed,
  io_uring_queue_exit,
  io_uring_register_buffers,
  io_uring_sqe_set_data64,
  io_uring_sqe_set_flags,
  io_uring_submit,
  io_uring_submit_and_wait,
  io_uring_wait_cqe,
  iovec_fill,
  type IoUring,
} from "../liburing.ts";
import {
  fake_calls,
  fake_complete_all,
  fake_file_mode,
  fake_file_open,
  fake_syncs,
  FAKE_FAIL,
  FAKE_INLINE,
  FAKE_IRQ,
  FAKE_LATE_AGAIN,
  FAKE_LATER,
  FAKE_NOWAIT,
} from "../testing/fake-file.ts";
import { boot, leftovers, open_ring, reap, sqe_of } from "../testing/ring-fixture.ts";

let cpu: Cpu;
afterEach(() => expect(leftovers(cpu)).toEqual([]));

interface Bench {
  readonly ring: IoUring;
  readonly fd: number;
  readonly buffer: number;
}

const BYTES = 16384;

/** A ring, a file, and one registered buffer of four pages that starts in the middle of nothing. */
function bench(flags = 0): Bench {
  cpu = boot();
  const ring = open_ring(cpu, 8, flags);
  const buffer = __get_free_pages(cpu, GFP_KERNEL, 2);
  const iov = stack_push(cpu, 16);
  iovec_fill(cpu, iov, buffer, BYTES);
  expect(io_uring_register_buffers(cpu, ring, iov, 1)).toBe(0);
  stack_pop(cpu, iov);
  const media = cpu.map.media;
  for (let i = 0; i < BYTES; i++) cpu.mem.write8(media + i, (i * 7 + (i >> 8)) & 0xff);
  return { ring, fd: fake_file_open(cpu), buffer };
}

function finish({ ring, fd, buffer }: Bench): void {
  io_uring_queue_exit(cpu, ring);
  close_fd(cpu, fd);
  free_pages(cpu, buffer, 2);
}

interface Rw {
  readonly fd?: number;
  readonly off?: number;
  readonly addr?: number;
  readonly len?: number;
  readonly index?: number;
  readonly data?: number;
  readonly flags?: number;
  readonly write?: boolean;
}

function queue(b: Bench, rw: Rw): SqePtr {
  const sqe = sqe_of(cpu, b.ring);
  const { fd = b.fd, off = 0, addr = b.buffer, len = 512, index = 0 } = rw;
  if (rw.write === true) io_uring_prep_write_fixed(cpu, sqe, fd, addr, len, off, index);
  else io_uring_prep_read_fixed(cpu, sqe, fd, addr, len, off, index);
  io_uring_sqe_set_data64(cpu, sqe, rw.data ?? 1);
  io_uring_sqe_set_flags(cpu, sqe, rw.flags ?? 0);
  return sqe;
}

/** Runs one; its result. */
function run(b: Bench, rw: Rw): number | undefined {
  queue(b, rw);
  return finish_one(b);
}

function finish_one(b: Bench): number | undefined {
  expect(io_uring_submit_and_wait(cpu, b.ring, 1)).toBe(1);
  return reap(cpu, b.ring)[0]?.[1];
}

function same(a: number, b: number, len: number): boolean {
  return cpu.mem.crc32c(a, len) === cpu.mem.crc32c(b, len);
}

// fixed-buf-iter.c :: main: any offset of a registered buffer
test("reads and writes move exactly the bytes named, at every offset", () => {
  const b = bench();
  const media = cpu.map.media;
  for (const [skip, off, len] of [
    [0, 0, 512],
    [1, 3, 4096],
    [4095, 1, 8192],
    [BYTES - 7, 100, 7],
  ] as const) {
    cpu.mem.memset(b.buffer, 0, BYTES);
    expect(run(b, { addr: b.buffer + skip, off, len })).toBe(len);
    expect(same(b.buffer + skip, media + off, len)).toBe(true);
    expect(cpu.mem.read8(b.buffer + ((skip + len) % BYTES))).toBe(0);
  }
  cpu.mem.memset(b.buffer, 0x5a, BYTES);
  expect(run(b, { addr: b.buffer + 5, off: 1000, len: 3000, write: true })).toBe(3000);
  expect([999, 1000, 3999, 4000].map((i) => cpu.mem.read8(media + i) === 0x5a)).toEqual([
    false,
    true,
    true,
    false,
  ]);
  finish(b);
});

test("a range outside the buffer is -EFAULT, a length of 0 reads nothing", () => {
  const b = bench();
  expect(run(b, { addr: b.buffer - 1 })).toBe(-EFAULT);
  expect(run(b, { addr: b.buffer + BYTES - 511 })).toBe(-EFAULT);
  expect(run(b, { len: BYTES + 1 })).toBe(-EFAULT);
  expect(run(b, { len: 0xffffffff })).toBe(-EFAULT);
  expect(run(b, { index: 1 })).toBe(-EFAULT);
  cpu.mem.write(queue(b, {}) + SQE_ADDR + 4, -1);
  expect(finish_one(b)).toBe(-EFAULT);
  expect(run(b, { len: 0 })).toBe(0);
  finish(b);
});

test("a file that is not there, not open for it or without the operation has its error", () => {
  const b = bench();
  const rdonly = fake_file_open(cpu, O_RDONLY | O_DIRECT);
  const wronly = fake_file_open(cpu, O_WRONLY | O_DIRECT);
  const plain = fake_file_open(cpu, O_RDWR, true);
  expect(run(b, { fd: -1 })).toBe(-EBADF);
  expect(run(b, { fd: 500 })).toBe(-EBADF);
  expect(run(b, { fd: b.ring.ring_fd })).toBe(-EBADF);
  expect(run(b, { flags: IOSQE_FIXED_FILE })).toBe(-EBADF);
  expect(run(b, { fd: wronly })).toBe(-EBADF);
  expect(run(b, { fd: rdonly, write: true })).toBe(-EBADF);
  expect(run(b, { fd: plain, write: true })).toBe(-EINVAL);
  expect(run(b, { fd: plain })).toBe(512);
  for (const fd of [rdonly, wronly, plain]) close_fd(cpu, fd);
  finish(b);
});

test("odd SQE fields have their errors", () => {
  const b = bench();
  const with_field = (field: number, value: number): number | undefined => {
    cpu.mem.write(queue(b, {}) + field, value);
    return finish_one(b);
  };
  expect(with_field(SQE_OP_FLAGS, 1 << 20)).toBe(-EOPNOTSUPP);
  expect(with_field(SQE_OP_FLAGS, RWF_HIPRI)).toBe(-EINVAL);
  expect(with_field(56, 1)).toBe(-EINVAL);
  // off -1 is the file position; these files have none.
  const sqe = queue(b, {});
  cpu.mem.write(sqe + SQE_OFF, -1);
  cpu.mem.write(sqe + SQE_OFF + 4, -1);
  expect(finish_one(b)).toBe(-EINVAL);
  // A valid priority is accepted.
  cpu.mem.write16(queue(b, {}) + SQE_IOPRIO, 2 << 13);
  expect(finish_one(b)).toBe(512);
  finish(b);
});

test("a read at the end of the file is short, past it 0", () => {
  const b = bench();
  const size = cpu.map.media_end - cpu.map.media;
  expect(run(b, { off: size - 100 })).toBe(100);
  expect(run(b, { off: size })).toBe(0);
  finish(b);
});

test("an error of the file is the result", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_FAIL);
  expect(run(b, {})).toBe(-EIO);
  expect(run(b, { flags: IOSQE_ASYNC })).toBe(-EIO);
  finish(b);
});

test("a completion that comes later is not seen before, and then is", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_LATER);
  for (let i = 0; i < 5; i++) queue(b, { data: i, off: 512 * i, addr: b.buffer + 512 * i });
  expect(io_uring_submit(cpu, b.ring)).toBe(5);
  expect(io_uring_peek_cqe(cpu, b.ring)).toBe(-EAGAIN);
  expect(fake_complete_all(cpu)).toBe(5);
  // From outside io_uring a completion is task work: it runs at the next entry.
  expect(reap(cpu, b.ring)).toEqual([]);
  expect(io_uring_submit_and_wait(cpu, b.ring, 5)).toBe(0);
  expect(reap(cpu, b.ring).sort((x, y) => x[0] - y[0])).toEqual([0, 1, 2, 3, 4].map((i) => [i, 512]));
  expect(same(b.buffer, cpu.map.media, 2560)).toBe(true);
  finish(b);
});

test("a completion from an interrupt wakes the task that sleeps for it", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_IRQ);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 4; i++) queue(b, { data: i });
    expect(io_uring_submit(cpu, b.ring)).toBe(4);
    expect(io_uring_wait_cqe(cpu, b.ring)).toBeGreaterThan(0);
    expect(reap(cpu, b.ring).length).toBe(4);
  }
  finish(b);
});

test("a file that would block gets a second attempt from a worker, which may", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_NOWAIT);
  expect(run(b, {})).toBe(512);
  expect(fake_calls(cpu)).toBe(2);
  // IOSQE_ASYNC skips the first one.
  expect(run(b, { flags: IOSQE_ASYNC })).toBe(512);
  expect(fake_calls(cpu)).toBe(3);
  finish(b);
});

test("a device that says -EAGAIN later gets a second attempt with the whole range", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_LATE_AGAIN);
  queue(b, { addr: b.buffer + 64, off: 64, len: 1000 });
  expect(io_uring_submit(cpu, b.ring)).toBe(1);
  fake_complete_all(cpu);
  expect(io_uring_submit_and_wait(cpu, b.ring, 1)).toBe(0);
  expect(reap(cpu, b.ring)).toEqual([[1, 1000]]);
  expect(fake_calls(cpu)).toBe(2);
  expect(same(b.buffer + 64, cpu.map.media + 64, 1000)).toBe(true);
  finish(b);
});

test("RWF_NOWAIT: whoever must not wait is told -EAGAIN, inline and later", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_NOWAIT);
  cpu.mem.write(queue(b, {}) + SQE_OP_FLAGS, RWF_NOWAIT);
  expect(finish_one(b)).toBe(-EAGAIN);
  fake_file_mode(cpu, FAKE_LATE_AGAIN);
  cpu.mem.write(queue(b, {}) + SQE_OP_FLAGS, RWF_NOWAIT);
  expect(io_uring_submit(cpu, b.ring)).toBe(1);
  fake_complete_all(cpu);
  io_uring_submit_and_wait(cpu, b.ring, 1);
  expect(reap(cpu, b.ring)).toEqual([[1, -EAGAIN]]);
  expect(fake_calls(cpu)).toBe(2);
  finish(b);
});

// iopoll.c: polled reads, and a file that cannot be polled
test("an IOPOLL ring finds its completions by polling, and refuses what cannot be polled", () => {
  const b = bench(IORING_SETUP_IOPOLL);
  const buffered = fake_file_open(cpu, O_RDWR);
  const plain = fake_file_open(cpu, O_RDWR | O_DIRECT, true);
  fake_file_mode(cpu, FAKE_LATER);
  for (let i = 0; i < 6; i++) queue(b, { data: i });
  expect(io_uring_submit(cpu, b.ring)).toBe(6);
  expect(io_uring_submit_and_wait(cpu, b.ring, 6)).toBe(0);
  expect(reap(cpu, b.ring).length).toBe(6);
  fake_file_mode(cpu, FAKE_INLINE);
  expect(run(b, {})).toBe(512);
  expect(run(b, { fd: buffered })).toBe(-EOPNOTSUPP);
  expect(run(b, { fd: plain })).toBe(-EOPNOTSUPP);
  const sqe = sqe_of(cpu, b.ring);
  io_uring_prep_fsync(cpu, sqe, b.fd, 0);
  expect(finish_one(b)).toBe(-EINVAL);
  for (const fd of [buffered, plain]) close_fd(cpu, fd);
  finish(b);
});

test("a polled request that a worker issued completes too", () => {
  const b = bench(IORING_SETUP_IOPOLL);
  fake_file_mode(cpu, FAKE_LATER);
  queue(b, { flags: IOSQE_ASYNC });
  expect(finish_one(b)).toBe(512);
  finish(b);
});

// fsync.c :: test_single_fsync
test("fsync runs in a worker, knows DATASYNC, and refuses other fields", () => {
  const b = bench();
  const fsync = (fd: number, flags: number): SqePtr => {
    const sqe = sqe_of(cpu, b.ring);
    io_uring_prep_fsync(cpu, sqe, fd, flags);
    return sqe;
  };
  const plain = fake_file_open(cpu, O_RDWR, true);
  fsync(b.fd, 0);
  expect(finish_one(b)).toBe(0);
  fsync(b.fd, IORING_FSYNC_DATASYNC);
  expect(finish_one(b)).toBe(0);
  expect(fake_syncs(cpu)).toBe(101);
  fsync(b.fd, 2);
  expect(finish_one(b)).toBe(-EINVAL);
  fsync(plain, 0);
  expect(finish_one(b)).toBe(-EINVAL);
  fsync(-1, 0);
  expect(finish_one(b)).toBe(-EBADF);
  for (const field of [SQE_ADDR, SQE_BUF_INDEX]) {
    cpu.mem.write16(fsync(b.fd, 0) + field, 1);
    expect(finish_one(b)).toBe(-EINVAL);
  }
  cpu.mem.write16(fsync(b.fd, 0) + SQE_IOPRIO, 1);
  expect(finish_one(b)).toBe(-EINVAL);
  close_fd(cpu, plain);
  finish(b);
});

test("a file closed while requests are in flight lives until the last of them", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_LATER);
  const fd = fake_file_open(cpu);
  for (let i = 0; i < 4; i++) queue(b, { fd: i % 2 === 0 ? fd : b.fd });
  expect(io_uring_submit(cpu, b.ring)).toBe(4);
  close_fd(cpu, fd);
  expect(run_out(b)).toBe(4);
  finish(b);
});

function run_out(b: Bench): number {
  const done = fake_complete_all(cpu);
  io_uring_submit_and_wait(cpu, b.ring, done);
  return reap(cpu, b.ring).length;
}

test("closing a ring waits for what is in flight and frees everything", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_IRQ);
  for (let i = 0; i < 8; i++) queue(b, { flags: i % 2 === 0 ? IOSQE_ASYNC : 0 });
  expect(io_uring_submit(cpu, b.ring)).toBe(8);
  finish(b);
  expect(page_refcount(cpu, b.buffer)).toBe(0);
});

test("closing a ring runs completions that are task work already", () => {
  const b = bench();
  fake_file_mode(cpu, FAKE_LATER);
  for (let i = 0; i < 8; i++) queue(b, {});
  expect(io_uring_submit(cpu, b.ring)).toBe(8);
  fake_complete_all(cpu);
  finish(b);
});
