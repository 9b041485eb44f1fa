/**
 * The end-to-end path for measuring: one task, random reads or writes through registered buffers at a fixed
 * depth, nothing verified. What it does per I/O is what an application would: fill an SQE, look at a CQE.
 */
import { bdev_nr_bytes, disk_part0 } from "@ringside/core/block/disk";
import { bdev_open } from "@ringside/core/block/fops";
import { errname } from "@ringside/core/debug/errno";
import { close_fd } from "@ringside/core/fs/fdtable";
import { O_DIRECT, O_RDWR } from "@ringside/core/fs/file";
import type { Cpu } from "@ringside/core/sched/cpu";
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
  io_uring_register_buffers_sparse,
  io_uring_sqe_set_data,
  io_uring_submit_and_wait,
} from "@ringside/uring-emu/liburing";
import {
  buffer_address,
  buffer_create,
  buffer_destroy,
  buffer_register,
  KIND_PLAIN,
  KIND_UDMABUF,
  type StressBuffer,
} from "./stress-buffer.ts";
import { type Args, number_arg, type Result } from "./workload.ts";

const OP_NOP = 0;
const OP_READ = 1;
const OP_WRITE = 2;

interface Bench {
  readonly ring: IoUring;
  readonly fd: number;
  readonly buffer: StressBuffer;
  readonly op: number;
  readonly bs: number;
  readonly depth: number;
  /** I/Os submitted and reaped at a time. */
  readonly batch: number;
  readonly blocks: number;
}

function must(what: string, ret: number): number {
  if (ret < 0) throw new Error(`bench: ${what} failed with ${errname(ret)}`);
  return ret;
}

function set_up(cpu: Cpu, args: Args): Bench {
  const bs = number_arg(args, "bs");
  const depth = number_arg(args, "depth");
  const ring = new IoUring();
  const flags = cpu.config.completion === "poll" && args["op"] !== "nop" ? IORING_SETUP_IOPOLL : 0;
  must("queue_init", io_uring_queue_init(cpu, depth, ring, flags));
  must("register", io_uring_register_buffers_sparse(cpu, ring, 1));
  const fd = must("open", bdev_open(cpu, nvme_disk(cpu), O_RDWR | O_DIRECT));
  const buffer = buffer_create(cpu, args["buffer"] === "registered" ? KIND_PLAIN : KIND_UDMABUF, depth * bs);
  must("register buffer", buffer_register(cpu, ring, 0, buffer, fd));
  const bytes = bdev_nr_bytes(cpu, disk_part0(nvme_disk(cpu)));
  const op = args["op"] === "nop" ? OP_NOP : args["op"] === "write" ? OP_WRITE : OP_READ;
  const batch = Math.max(1, depth >> 2);
  return { ring, fd, buffer, op, bs, depth, batch, blocks: Math.floor(bytes / bs) };
}

function prep(cpu: Cpu, b: Bench, slot: number): void {
  const sqe = io_uring_get_sqe(cpu, b.ring);
  if (b.op === OP_NOP) io_uring_prep_nop(cpu, sqe);
  else {
    const address = buffer_address(b.buffer, slot * b.bs);
    const position = (cpu.random32() % b.blocks) * b.bs;
    if (b.op === OP_READ) io_uring_prep_read_fixed(cpu, sqe, b.fd, address, b.bs, position, 0);
    else io_uring_prep_write_fixed(cpu, sqe, b.fd, address, b.bs, position, 0);
  }
  io_uring_sqe_set_data(cpu, sqe, slot);
}

/** Takes what is ready and submits as many again. Returns how many; throws on a failed I/O. */
function turn(cpu: Cpu, b: Bench, again: boolean): number {
  const ready = io_uring_cq_ready(cpu, b.ring);
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

/** I/Os between two looks at the clock. */
const CLOCK_EVERY = 1024;

/** args: op (read, write, nop), bs, depth, buffer (dmabuf, registered), ms, warmupMs. Results: ios, seconds. */
export function bench_io(cpu: Cpu, args: Args): Result {
  const b = set_up(cpu, args);
  for (let slot = 0; slot < b.depth; slot++) prep(cpu, b, slot);
  const warm = run_for(cpu, b, number_arg(args, "warmupMs"));
  const measured = run_for(cpu, b, number_arg(args, "ms"));
  drain(cpu, b);
  io_uring_queue_exit(cpu, b.ring);
  buffer_destroy(cpu, b.buffer);
  close_fd(cpu, b.fd);
  return { ios: measured.ios, seconds: measured.seconds, warmupIos: warm.ios };
}

function run_for(cpu: Cpu, b: Bench, ms: number): { ios: number; seconds: number } {
  const start = cpu.now();
  let ios = 0;
  let since = 0;
  let now = start;
  while (now - start < ms) {
    must("submit_and_wait", io_uring_submit_and_wait(cpu, b.ring, b.batch));
    const n = turn(cpu, b, true);
    ios += n;
    since += n;
    if (since < CLOCK_EVERY) continue;
    since = 0;
    now = cpu.now();
  }
  return { ios, seconds: (now - start) / 1000 };
}

function drain(cpu: Cpu, b: Bench): void {
  let left = b.depth;
  while (left > 0) {
    must("submit_and_wait", io_uring_submit_and_wait(cpu, b.ring, 1));
    left -= turn(cpu, b, false);
  }
}
