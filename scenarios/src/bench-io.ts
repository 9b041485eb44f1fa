/**
 * The end-to-end path for measuring: one task, random reads or writes through registered buffers at a fixed
 * depth, nothing verified. What it does per I/O is what an application would: fill an SQE, look at a CQE.
 *
 * The batch rule, the same in bench/peers/uring.c: at the start `depth` I/Os are submitted; from then on each turn
 * waits for `batch` completions, takes no more than that, and submits as many again.
 */
import { bdev_nr_bytes, disk_part0 } from "@ringside/core/block/disk";
import { bdev_open } from "@ringside/core/block/fops";
import { errname } from "@ringside/core/debug/errno";
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
  io_uring_prep_nop,
  io_uring_prep_read_fixed,
  io_uring_prep_write_fixed,
  io_uring_queue_exit,
  io_uring_queue_init,
  io_uring_sqe_set_data,
  io_uring_submit_and_wait,
} from "@ringside/uring-emu/liburing";
import {
  bench_buffer_base,
  bench_buffer_kind,
  BenchBuffers,
  bench_buffers_register,
  bench_buffers_unregister,
} from "./bench-buffers.ts";
import { type Args, number_arg, type Result } from "./workload.ts";

const OP_NOP = 0;
const OP_READ = 1;
const OP_WRITE = 2;

/** I/Os between two looks at the clock, at first and at most. A look makes a number on the heap. */
const CLOCK_EVERY_MIN = 64;
const CLOCK_EVERY_MAX = 1 << 16;
/** Looks closer together than this (ms) are too many. */
const CLOCK_MS = 2;
const JUNK = 64;

class Bench {
  readonly ring: IoUring = new IoUring();
  readonly fd: number;
  readonly buffers: BenchBuffers;
  readonly op: number;
  readonly bs: number;
  readonly depth: number;
  /** I/Os submitted and reaped at a time. */
  readonly batch: number;
  /** Of the disk. */
  readonly blocks: number;
  /** 0: slot i does its I/O in block i of the one buffer; otherwise blocks of a buffer, one taken at random. */
  readonly spread: number;
  /** The negative control of the allocation test: an object an I/O. */
  readonly junk: object[] | undefined;
  clock_every: number = CLOCK_EVERY_MIN;

  /** `disk_bytes`: of the disk that `fd` is. */
  constructor(args: Args, fd: number, disk_bytes: number) {
    const buffers = optional(args, "buffers", 1);
    this.fd = fd;
    this.bs = number_arg(args, "bs");
    this.depth = number_arg(args, "depth");
    this.op = args["op"] === "nop" ? OP_NOP : args["op"] === "write" ? OP_WRITE : OP_READ;
    this.batch = optional(args, "batch", Math.max(1, this.depth >> 1));
    this.blocks = Math.floor(disk_bytes / this.bs);
    const bytes = optional(args, "bufferBytes", this.depth * this.bs);
    this.buffers = new BenchBuffers(bench_buffer_kind(buffer_name(args)), buffers, bytes);
    this.spread = args["bufferBytes"] === undefined ? 0 : Math.floor(bytes / this.bs);
    this.junk = args["allocate"] === true ? [] : undefined;
  }
}

function optional(args: Args, name: string, otherwise: number): number {
  return args[name] === undefined ? otherwise : number_arg(args, name);
}

function buffer_name(args: Args): string {
  const name = args["buffer"] ?? "dmabuf";
  if (typeof name !== "string") throw new Error("bench: buffer: expected a name");
  return name;
}

function must(what: string, ret: number): number {
  if (ret < 0) throw new Error(`bench: ${what} failed with ${errname(ret)}`);
  return ret;
}

/** I/O in block `block` of buffer `index`. */
function prep_at(cpu: Cpu, b: Bench, slot: number, index: number, block: number): void {
  const sqe = io_uring_get_sqe(cpu, b.ring);
  if (b.op === OP_NOP) io_uring_prep_nop(cpu, sqe);
  else {
    const address = bench_buffer_base(b.buffers, index) + block * b.bs;
    const position = (cpu.random32() % b.blocks) * b.bs;
    if (b.op === OP_READ) io_uring_prep_read_fixed(cpu, sqe, b.fd, address, b.bs, position, index);
    else io_uring_prep_write_fixed(cpu, sqe, b.fd, address, b.bs, position, index);
  }
  io_uring_sqe_set_data(cpu, sqe, slot);
}

function prep(cpu: Cpu, b: Bench, slot: number): void {
  if (b.junk !== undefined) b.junk[slot % JUNK] = { slot };
  if (b.spread === 0) prep_at(cpu, b, slot, 0, slot);
  else prep_at(cpu, b, slot, cpu.random32() % b.buffers.count, cpu.random32() % b.spread);
}

/** Takes up to `batch` of what is ready, and submits as many again. Returns how many; throws on a failed I/O. */
function turn(cpu: Cpu, b: Bench, again: boolean): number {
  const there = io_uring_cq_ready(cpu, b.ring);
  const ready = there < b.batch ? there : b.batch;
  const want = b.op === OP_NOP ? 0 : b.bs;
  for (let i = 0; i < ready; i++) {
    const cqe = io_uring_cqe_at(b.ring, i);
    const res = io_uring_cqe_res(cpu, cqe);
    if (res !== want) throw new Error(`bench: an I/O returned ${errname(res)}`);
    if (again) prep(cpu, b, io_uring_cqe_get_data(cpu, cqe));
  }
  io_uring_cq_advance(cpu, b.ring, ready);
  return ready;
}

function set_up(cpu: Cpu, args: Args): Bench {
  const fd = must("open", bdev_open(cpu, nvme_disk(cpu), O_RDWR | O_DIRECT));
  const b = new Bench(args, fd, bdev_nr_bytes(cpu, disk_part0(nvme_disk(cpu))));
  const flags = cpu.config.completion === "poll" && b.op !== OP_NOP ? IORING_SETUP_IOPOLL : 0;
  must("queue_init", io_uring_queue_init(cpu, b.depth, b.ring, flags));
  return b;
}

/**
 * args: op (read, write, nop), bs, depth, ms, warmupMs; and if wanted batch (half of the depth), buffer (dmabuf,
 * registered, vram, sparse), buffers and bufferBytes (of each; I/O at a random place of a random one), allocate.
 * Results: ios, seconds: measured; total: all I/Os. Ends early when the machine stops its workloads.
 */
export function bench_io(cpu: Cpu, args: Args): Result {
  const b = set_up(cpu, args);
  bench_buffers_register(cpu, b.ring, b.buffers, b.fd);
  const first = b.op === OP_NOP ? 0 : touch(cpu, b);
  const { measured, all } = steady(cpu, b, number_arg(args, "warmupMs"), number_arg(args, "ms"));
  bench_buffers_unregister(cpu, b.ring, b.buffers);
  io_uring_queue_exit(cpu, b.ring);
  close_fd(cpu, b.fd);
  return { ...measured, total: first + all };
}

/**
 * Registers buffers, does one I/O on each, which maps them, and unregisters them, again and again for ms, at least
 * once. The first time it does I/O on them for ioMs, after half as much to warm up. args besides: as bench_io's.
 * Results: registerMs, mapMs, releaseMs: of all buffers, a number a round; ios, seconds: of that I/O.
 */
export function bench_register(cpu: Cpu, args: Args): Result {
  const registerMs: number[] = [];
  const mapMs: number[] = [];
  const releaseMs: number[] = [];
  const io_ms = number_arg(args, "ioMs");
  let io: Measured = { ios: 0, seconds: 0 };
  const begin = cpu.now();
  do {
    const b = set_up(cpu, args);
    const start = cpu.now();
    bench_buffers_register(cpu, b.ring, b.buffers, b.fd);
    const registered = cpu.now();
    touch(cpu, b);
    const mapped = cpu.now();
    if (registerMs.length === 0) io = steady(cpu, b, io_ms / 2, io_ms).measured;
    const end = cpu.now();
    bench_buffers_unregister(cpu, b.ring, b.buffers);
    registerMs.push(registered - start);
    mapMs.push(mapped - registered);
    releaseMs.push(cpu.now() - end);
    io_uring_queue_exit(cpu, b.ring);
    close_fd(cpu, b.fd);
  } while (cpu.now() - begin < number_arg(args, "ms") && !machine_should_stop(cpu));
  return { registerMs, mapMs, releaseMs, ...io };
}

/** `depth` I/Os in flight, for these times. All are done when it returns. */
function steady(cpu: Cpu, b: Bench, warmup_ms: number, ms: number): { measured: Measured; all: number } {
  for (let slot = 0; slot < b.depth; slot++) prep(cpu, b, slot);
  const warm = run_for(cpu, b, warmup_ms);
  const measured = run_for(cpu, b, ms);
  drain(cpu, b, b.depth);
  return { measured, all: warm.ios + measured.ios + b.depth };
}

/** One I/O on each buffer, so that all are mapped. Returns how many. */
function touch(cpu: Cpu, b: Bench): number {
  let flying = 0;
  for (let i = 0; i < b.buffers.count; i++) {
    prep_at(cpu, b, i, i, 0);
    if (++flying < b.depth) continue;
    drain(cpu, b, flying);
    flying = 0;
  }
  drain(cpu, b, flying);
  return b.buffers.count;
}

interface Measured {
  readonly ios: number;
  readonly seconds: number;
}

function run_for(cpu: Cpu, b: Bench, ms: number): Measured {
  const start = cpu.now();
  let ios = 0;
  let now = start;
  while (now - start < ms && !machine_should_stop(cpu)) {
    ios += burst(cpu, b);
    const before = now;
    now = cpu.now();
    if (now - before < CLOCK_MS && b.clock_every < CLOCK_EVERY_MAX) b.clock_every *= 2;
  }
  return { ios, seconds: (now - start) / 1000 };
}

/** `clock_every` I/Os, or a few more. A function of its own: it is what is hot. */
function burst(cpu: Cpu, b: Bench): number {
  let ios = 0;
  while (ios < b.clock_every) {
    must("submit_and_wait", io_uring_submit_and_wait(cpu, b.ring, b.batch));
    ios += turn(cpu, b, true);
  }
  return ios;
}

/** Waits for the last `flying` I/Os. */
function drain(cpu: Cpu, b: Bench, flying: number): void {
  let left = flying;
  while (left > 0) {
    must("submit_and_wait", io_uring_submit_and_wait(cpu, b.ring, 1));
    left -= turn(cpu, b, false);
  }
}
