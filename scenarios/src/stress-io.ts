/**
 * One I/O task of the stress run: reads and writes stamped sectors through registered buffers at random
 * offsets of its share of the disk, `depth` at a time, and checks every sector it reads.
 *
 * Now and then it quiets one dma-buf buffer and registers it anew, so that tokens come and go under load. It
 * quiets it first because registering takes the reservation: v3 drops maps in this task's own task work, so
 * with I/O on that buffer in flight an exporter could wait for us while we wait for it.
 */
import { EAGAIN, errname } from "@ringside/core/debug/errno";
import { violation } from "@ringside/core/debug/warn";
import { bdev_open } from "@ringside/core/block/fops";
import { bdev_nr_bytes, disk_part0 } from "@ringside/core/block/disk";
import { close_fd } from "@ringside/core/fs/fdtable";
import { O_DIRECT, O_RDWR } from "@ringside/core/fs/file";
import type { Cpu } from "@ringside/core/sched/cpu";
import { machine_should_stop } from "@ringside/core/sched/kthread";
import { nvme_disk } from "@ringside/nvme-emu/driver/dev";
import { IORING_SETUP_IOPOLL } from "@ringside/uring-emu/abi/setup";
import {
  IoUring,
  io_uring_cq_advance,
  io_uring_cq_ready,
  io_uring_cqe_at,
  io_uring_cqe_get_data,
  io_uring_cqe_res,
  io_uring_get_sqe,
  io_uring_prep_read_fixed,
  io_uring_prep_write_fixed,
  io_uring_queue_exit,
  io_uring_queue_init,
  io_uring_register_buffers_sparse,
  io_uring_sqe_set_data,
  io_uring_submit_and_wait,
  io_uring_unregister_buffers,
} from "@ringside/uring-emu/liburing";
import { Expectation, take_block } from "./expectation.ts";
import { describe_sector, SECTOR_SIZE, stamp_sector, verify_sector } from "./sector.ts";
import {
  buffer_address,
  buffer_at,
  buffer_begin,
  buffer_create,
  buffer_destroy,
  buffer_end,
  buffer_register,
  KIND_PLAIN,
  KIND_UDMABUF,
  KIND_VRAM,
  type StressBuffer,
} from "./stress-buffer.ts";
import {
  AGAIN,
  BYTES,
  ERRORS,
  MISMATCHES,
  READS,
  stress_count,
  VERIFIED,
  WRITES,
} from "./stress-counters.ts";
import { type Args, number_arg, type Result } from "./workload.ts";

/** Buffers of one task, by mode. workers/stress-config.ts sizes the machine by their number. */
const DMABUF_KINDS: readonly number[] = [KIND_VRAM, KIND_VRAM, KIND_UDMABUF];
const REGISTERED_KINDS: readonly number[] = [KIND_PLAIN, KIND_PLAIN, KIND_VRAM];
/** io_uring refuses dma-buf buffers on IOPOLL rings. */
const POLLED_KINDS: readonly number[] = [KIND_PLAIN, KIND_PLAIN, KIND_PLAIN];
const STRESS_BUFFERS = 3;
/** Completions between two new registrations. */
const CHURN = 4096;
/** Mismatches described in the log; all are counted. */
const DESCRIBED = 3;

const OP_READ = 0;
const OP_WRITE = 1;

class StressTask {
  readonly task: number;
  readonly depth: number;
  readonly bs: number;
  /** Percentage of writes. */
  readonly writes: number;
  readonly ring: IoUring = new IoUring();
  readonly book: Expectation;
  readonly buffers: StressBuffer[] = [];
  /** I/Os in flight on each buffer. */
  readonly inflight: number[] = [0, 0, 0];
  readonly free: number[] = [];
  // One entry per slot; slot s uses buffer s % 3.
  readonly op: number[] = [];
  readonly block: number[] = [];
  readonly generation: number[] = [];
  fd: number = -1;
  running: number = 0;
  completed: number = 0;
  described: number = 0;
  /** The buffer being quieted for a new registration, or -1. */
  quiet: number = -1;

  constructor(args: Args, disk_sectors: number) {
    this.task = number_arg(args, "task");
    this.depth = number_arg(args, "depth");
    this.bs = number_arg(args, "bs");
    this.writes = args["rw"] === "randwrite" ? 100 : args["rw"] === "randread" ? 0 : 50;
    const perBlock = this.bs / SECTOR_SIZE;
    const share = Math.floor(disk_sectors / number_arg(args, "tasks"));
    this.book = new Expectation(this.task * share, Math.floor(share / perBlock), perBlock);
    for (let slot = this.depth - 1; slot >= 0; slot--) {
      this.free.push(slot);
      this.op.push(OP_READ);
      this.block.push(0);
      this.generation.push(0);
    }
  }
}

function buffer_of_slot(slot: number): number {
  return slot % STRESS_BUFFERS;
}

function offset_of_slot(t: StressTask, slot: number): number {
  return Math.floor(slot / STRESS_BUFFERS) * t.bs;
}

/** A setup step that must not fail: the machine was sized for it. */
function must(what: string, ret: number): number {
  if (ret < 0) throw new Error(`stress: ${what} failed with ${errname(ret)}`);
  return ret;
}

function set_up(cpu: Cpu, t: StressTask, args: Args): void {
  const polled = cpu.config.completion === "poll";
  t.fd = must("open", bdev_open(cpu, nvme_disk(cpu), O_RDWR | O_DIRECT));
  must(
    "queue_init",
    io_uring_queue_init(cpu, Math.max(t.depth, 2), t.ring, polled ? IORING_SETUP_IOPOLL : 0),
  );
  must("register_buffers_sparse", io_uring_register_buffers_sparse(cpu, t.ring, STRESS_BUFFERS));
  const unpolled = args["buffer"] === "registered" ? REGISTERED_KINDS : DMABUF_KINDS;
  const kinds = polled ? POLLED_KINDS : unpolled;
  const bytes = Math.ceil(t.depth / STRESS_BUFFERS) * t.bs;
  for (let i = 0; i < STRESS_BUFFERS; i++) {
    t.buffers.push(buffer_create(cpu, kinds[i] as number, bytes));
    register(cpu, t, i);
  }
}

function register(cpu: Cpu, t: StressTask, index: number): void {
  const buffer = t.buffers[index] as StressBuffer;
  must("register buffer", buffer_register(cpu, t.ring, index, buffer, t.fd));
}

function tear_down(cpu: Cpu, t: StressTask): void {
  must("unregister_buffers", io_uring_unregister_buffers(cpu, t.ring));
  io_uring_queue_exit(cpu, t.ring);
  for (const buffer of t.buffers) buffer_destroy(cpu, buffer);
  close_fd(cpu, t.fd);
}

/** Fills the free slots with new I/Os, but not on the buffer that is to be quiet. */
function prepare(cpu: Cpu, t: StressTask): void {
  for (let i = t.free.length - 1; i >= 0; i--) {
    const slot = t.free[i] as number;
    const index = buffer_of_slot(slot);
    if (index === t.quiet) continue;
    t.free[i] = t.free[t.free.length - 1] as number;
    t.free.length--;
    start_io(cpu, t, slot, index);
  }
}

function start_io(cpu: Cpu, t: StressTask, slot: number, index: number): void {
  const block = take_block(cpu, t.book);
  const write = cpu.random32() % 100 < t.writes;
  const generation = (t.book.generation[block] as number) + (write ? 1 : 0);
  t.op[slot] = write ? OP_WRITE : OP_READ;
  t.block[slot] = block;
  t.generation[slot] = generation;
  if (write) stamp_block(cpu, t, slot, index);
  const buffer = t.buffers[index] as StressBuffer;
  const offset = offset_of_slot(t, slot);
  const address = buffer_address(buffer, offset);
  const position = t.book.lba(block) * SECTOR_SIZE;
  const sqe = io_uring_get_sqe(cpu, t.ring);
  if (write) io_uring_prep_write_fixed(cpu, sqe, t.fd, address, t.bs, position, index);
  else io_uring_prep_read_fixed(cpu, sqe, t.fd, address, t.bs, position, index);
  io_uring_sqe_set_data(cpu, sqe, slot);
  t.inflight[index] = (t.inflight[index] as number) + 1;
  t.running++;
}

function stamp_block(cpu: Cpu, t: StressTask, slot: number, index: number): void {
  const buffer = t.buffers[index] as StressBuffer;
  const lba = t.book.lba(t.block[slot] as number);
  const offset = offset_of_slot(t, slot);
  buffer_begin(cpu, buffer);
  for (let i = 0; i < t.book.sectorsPerBlock; i++) {
    const p = buffer_at(cpu, buffer, offset + i * SECTOR_SIZE);
    stamp_sector(cpu, p, lba + i, t.generation[slot] as number, t.task);
  }
  buffer_end(cpu, buffer);
}

function verify_block(cpu: Cpu, t: StressTask, slot: number, index: number): void {
  const buffer = t.buffers[index] as StressBuffer;
  const lba = t.book.lba(t.block[slot] as number);
  const offset = offset_of_slot(t, slot);
  const generation = t.generation[slot] as number;
  let bad = -1;
  let mismatches = 0;
  buffer_begin(cpu, buffer);
  for (let i = 0; i < t.book.sectorsPerBlock; i++) {
    const p = buffer_at(cpu, buffer, offset + i * SECTOR_SIZE);
    if (verify_sector(cpu, p, lba + i, generation)) continue;
    if (mismatches === 0) bad = i;
    mismatches++;
  }
  const found = bad < 0 ? "" : describe_sector(cpu, buffer_at(cpu, buffer, offset + bad * SECTOR_SIZE));
  buffer_end(cpu, buffer);
  stress_count(cpu, VERIFIED, t.book.sectorsPerBlock);
  if (mismatches === 0) return;
  stress_count(cpu, MISMATCHES, mismatches);
  if (t.described++ < DESCRIBED) {
    violation(
      cpu,
      "data-mismatch",
      `task ${t.task} read LBA ${lba + bad}, generation ${generation}; found ${found}`,
    );
  }
}

function reap(cpu: Cpu, t: StressTask): void {
  const ready = io_uring_cq_ready(cpu, t.ring);
  for (let i = 0; i < ready; i++) {
    const cqe = io_uring_cqe_at(t.ring, i);
    finish_io(cpu, t, io_uring_cqe_get_data(cpu, cqe), io_uring_cqe_res(cpu, cqe));
  }
  io_uring_cq_advance(cpu, t.ring, ready);
}

function finish_io(cpu: Cpu, t: StressTask, slot: number, res: number): void {
  const index = buffer_of_slot(slot);
  const block = t.block[slot] as number;
  if (res === t.bs) {
    const write = t.op[slot] === OP_WRITE;
    if (write) t.book.generation[block] = t.generation[slot] as number;
    else verify_block(cpu, t, slot, index);
    stress_count(cpu, write ? WRITES : READS, 1);
    stress_count(cpu, BYTES, t.bs);
    t.completed++;
  } else if (res === -EAGAIN) stress_count(cpu, AGAIN, 1);
  else {
    stress_count(cpu, ERRORS, 1);
    const what = t.op[slot] === OP_WRITE ? "write" : "read";
    if (t.described++ < DESCRIBED)
      violation(cpu, "io-error", `a ${what} of ${t.bs} bytes returned ${errname(res)}`);
  }
  t.book.busy[block] = 0;
  t.inflight[index] = (t.inflight[index] as number) - 1;
  t.running--;
  t.free.push(slot);
}

/** Picks a dma-buf buffer to quiet every CHURN completions; registers it anew once it is. */
function churn(cpu: Cpu, t: StressTask): void {
  if (t.quiet >= 0 && t.inflight[t.quiet] === 0) {
    register(cpu, t, t.quiet);
    t.quiet = -1;
  } else if (t.quiet < 0 && t.completed >= CHURN) {
    t.completed = 0;
    // With a depth below three, some buffers have no slot; the last one always is a dma-buf.
    t.quiet = t.depth < STRESS_BUFFERS ? STRESS_BUFFERS - 1 : cpu.random32() % STRESS_BUFFERS;
    if ((t.buffers[t.quiet] as StressBuffer).kind === KIND_PLAIN) t.quiet = STRESS_BUFFERS - 1;
    if ((t.buffers[t.quiet] as StressBuffer).kind === KIND_PLAIN) t.quiet = -1;
  }
}

/** args: task, tasks, depth, bs, rw, buffer. Runs until the machine stops; nothing is in flight afterwards. */
export function stress_io(cpu: Cpu, args: Args): Result {
  const t = new StressTask(args, bdev_nr_bytes(cpu, disk_part0(nvme_disk(cpu))) / SECTOR_SIZE);
  set_up(cpu, t, args);
  while (!machine_should_stop(cpu)) {
    churn(cpu, t);
    prepare(cpu, t);
    must("submit_and_wait", io_uring_submit_and_wait(cpu, t.ring, t.running === 0 ? 0 : 1));
    reap(cpu, t);
  }
  while (t.running > 0) {
    must("submit_and_wait", io_uring_submit_and_wait(cpu, t.ring, 1));
    reap(cpu, t);
  }
  tear_down(cpu, t);
  return { completed: t.completed };
}
