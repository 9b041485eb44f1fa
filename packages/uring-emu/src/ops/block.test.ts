/** io_uring over the block layer: a RAM disk, with few tags, with interrupts and polled. */
import { EINVAL, ENOSPC } from "@ringside/core/debug/errno";
import { bdev_open } from "@ringside/core/block/fops";
import { close_fd } from "@ringside/core/fs/fdtable";
import { O_DIRECT, O_RDWR } from "@ringside/core/fs/file";
import { __get_free_pages, free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import { stack_pop, stack_push, type Cpu } from "@ringside/core/sched/cpu";
import {
  ram_disk_add,
  ram_disk_bells,
  ram_disk_flushes,
  ram_disk_issued,
  type RamDiskOptions,
  ram_disk_remove,
} from "@ringside/core/testing/ram-disk";
import { afterEach, expect, test } from "vitest";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import {
  io_uring_prep_fsync,
  io_uring_prep_read_fixed,
  io_uring_prep_write_fixed,
  io_uring_queue_exit,
  io_uring_register_buffers,
  io_uring_sqe_set_data,
  io_uring_submit_and_wait,
  iovec_fill,
  type IoUring,
} from "../liburing.ts";
import { boot, leftovers, open_ring, reap, sqe_of } from "../testing/ring-fixture.ts";

let cpu: Cpu;
afterEach(() => expect(leftovers(cpu)).toEqual([]));

interface Bench {
  readonly ring: IoUring;
  readonly fd: number;
  readonly buffer: number;
}

const ORDER = 4;
const BYTES = 65536;

function bench(disk: RamDiskOptions = {}, flags = 0): Bench {
  cpu = boot();
  const gendisk = ram_disk_add(cpu, disk);
  const ring = open_ring(cpu, 16, flags);
  const buffer = __get_free_pages(cpu, GFP_KERNEL, ORDER);
  const iov = stack_push(cpu, 16);
  iovec_fill(cpu, iov, buffer, BYTES);
  expect(io_uring_register_buffers(cpu, ring, iov, 1)).toBe(0);
  stack_pop(cpu, iov);
  return { ring, fd: bdev_open(cpu, gendisk, O_RDWR | O_DIRECT), buffer };
}

function finish({ ring, fd, buffer }: Bench): void {
  io_uring_queue_exit(cpu, ring);
  close_fd(cpu, fd);
  free_pages(cpu, buffer, ORDER);
  ram_disk_remove(cpu);
}

function queue(b: Bench, write: boolean, sector: number, len: number, at: number): void {
  const sqe = sqe_of(cpu, b.ring);
  if (write) io_uring_prep_write_fixed(cpu, sqe, b.fd, b.buffer + at, len, sector * 512, 0);
  else io_uring_prep_read_fixed(cpu, sqe, b.fd, b.buffer + at, len, sector * 512, 0);
  io_uring_sqe_set_data(cpu, sqe, sector);
}

function results(b: Bench, nr: number): number[] {
  io_uring_submit_and_wait(cpu, b.ring, nr);
  return reap(cpu, b.ring).map(([, res]) => res);
}

test("what was written is read back, and a batch rings one bell", () => {
  const b = bench();
  for (let i = 0; i < 8; i++) cpu.mem.memset(b.buffer + 4096 * i, i + 1, 4096);
  for (let i = 0; i < 8; i++) queue(b, true, i * 8, 4096, 4096 * i);
  expect(results(b, 8)).toEqual(Array(8).fill(4096));
  expect([ram_disk_issued(cpu), ram_disk_bells(cpu)]).toEqual([8, 1]);
  for (let i = 0; i < 8; i++) queue(b, false, (7 - i) * 8, 4096, 4096 * (8 + i));
  expect(results(b, 8)).toEqual(Array(8).fill(4096));
  expect([0, 7].map((i) => cpu.mem.read8(b.buffer + 4096 * (8 + i)))).toEqual([8, 1]);
  finish(b);
});

test("with fewer tags than requests the rest comes through workers", () => {
  const b = bench({ depth: 2 });
  for (let i = 0; i < 16; i++) queue(b, true, i, 512, 512 * i);
  expect(results(b, 16)).toEqual(Array(16).fill(512));
  finish(b);
});

test("a polled ring on a polled queue completes everything", () => {
  const b = bench({ poll_queues: 1 }, IORING_SETUP_IOPOLL);
  for (let i = 0; i < 16; i++) queue(b, false, i, 512, 512 * i);
  expect(results(b, 16)).toEqual(Array(16).fill(512));
  finish(b);
});

test("a misaligned request is -EINVAL, the end of the disk is short, then 0 or -ENOSPC", () => {
  const b = bench({ sectors: 16 });
  queue(b, false, 0, 100, 0);
  expect(results(b, 1)).toEqual([-EINVAL]);
  queue(b, false, 15, 4096, 0);
  expect(results(b, 1)).toEqual([512]);
  queue(b, false, 16, 512, 0);
  expect(results(b, 1)).toEqual([0]);
  queue(b, true, 16, 512, 0);
  expect(results(b, 1)).toEqual([-ENOSPC]);
  finish(b);
});

test("fsync reaches the disk as a flush", () => {
  const b = bench();
  io_uring_prep_fsync(cpu, sqe_of(cpu, b.ring), b.fd, 0);
  expect(results(b, 1)).toEqual([0]);
  expect(ram_disk_flushes(cpu)).toBe(1);
  finish(b);
});
