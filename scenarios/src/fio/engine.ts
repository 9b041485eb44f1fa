/**
 * The I/O engines of a job: io_uring on the emulated disk, with one registered buffer that the job's slots share; and
 * null, which completes whatever it is given (fio engines/io_uring.c, engines/null.c).
 *
 * A slot is one I/O: fill it in (op, position, bytes), engine_queue it, engine_commit, engine_wait for completions
 * and take them with engine_slot_at and engine_result_at; engine_advance gives them back. Slots are the caller's.
 */
import { bdev_open } from "@ringside/core/block/fops";
import { errname } from "@ringside/core/debug/errno";
import { close_fd } from "@ringside/core/fs/fdtable";
import { O_DIRECT, O_RDWR } from "@ringside/core/fs/file";
import { __GFP_ZERO, GFP_KERNEL } from "@ringside/core/mm/gfp";
import { PAGE_SIZE } from "@ringside/core/mm/memory-map";
import { alloc_pages_exact, free_pages_exact } from "@ringside/core/mm/page-alloc";
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
  io_uring_prep_fsync,
  io_uring_prep_read_fixed,
  io_uring_prep_write_fixed,
  io_uring_queue_exit,
  io_uring_queue_init,
  io_uring_register_buffers_sparse,
  io_uring_sqe_set_data,
  io_uring_submit,
  io_uring_submit_and_wait,
} from "@ringside/uring-emu/liburing";
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
} from "../stress-buffer.ts";
import { FioRandom, STREAM_FILL } from "./random.ts";
import { DDIR_READ, DDIR_SYNC, type FioTask } from "./task.ts";

const READ = DDIR_READ;
const SYNC = DDIR_SYNC;
const SECTOR = 512;

export class Engine {
  readonly ring: IoUring | undefined;
  fd: number = -1;
  buffer: StressBuffer | undefined;
  /** Bytes from one slot's part of the buffer to the next one's. */
  readonly stride: number;
  /** Where blocks are made and checked when the buffer may move; 0: in the buffer itself. */
  bounce: number = 0;
  readonly bounce_bytes: number;
  // By slot: what to do, where on the namespace, how long.
  readonly op: Uint8Array;
  readonly position: Float64Array;
  readonly bytes: Uint32Array;
  /** Queued and not committed, the slots in order. */
  readonly queued: Int32Array;
  nr_queued: number = 0;
  /** Committed and not taken. */
  in_flight: number = 0;
  /** null: completed slots. */
  readonly #done: Int32Array;
  nr_done: number = 0;
  #first_done: number = 0;

  /** A slot for each of `depth` I/Os, of at most `block` bytes. */
  constructor(task: FioTask, depth: number, block: number) {
    this.ring = task.options.ioengine === "null" ? undefined : new IoUring();
    this.stride = Math.ceil(block / SECTOR) * SECTOR;
    this.bounce_bytes = Math.ceil(block / PAGE_SIZE) * PAGE_SIZE;
    this.op = new Uint8Array(depth);
    this.position = new Float64Array(depth);
    this.bytes = new Uint32Array(depth);
    this.queued = new Int32Array(depth);
    this.#done = new Int32Array(depth);
  }

  /** null: the queued slots are done. */
  complete_queued(): void {
    const depth = this.#done.length;
    for (let i = 0; i < this.nr_queued; i++) {
      this.#done[(this.#first_done + this.nr_done++) % depth] = this.queued[i] as number;
    }
  }

  done_at(index: number): number {
    return this.#done[(this.#first_done + index) % this.#done.length] as number;
  }

  drop_done(nr: number): void {
    this.#first_done = (this.#first_done + nr) % this.#done.length;
    this.nr_done -= nr;
  }
}

function must(what: string, ret: number): number {
  if (ret < 0) throw new Error(`fio: ${what} failed with ${errname(ret)}`);
  return ret;
}

const BUFFER_KINDS = { registered: KIND_PLAIN, udmabuf: KIND_UDMABUF, vram: KIND_VRAM } as const;

/** Opens the disk, makes ring and buffer. Throws when the machine is too small for them. */
export function engine_open(cpu: Cpu, e: Engine, task: FioTask): void {
  if (e.ring === undefined) return;
  const depth = e.op.length;
  const flags = task.polled ? IORING_SETUP_IOPOLL : 0;
  must("queue_init", io_uring_queue_init(cpu, Math.max(depth, 2), e.ring, flags));
  must("register_buffers_sparse", io_uring_register_buffers_sparse(cpu, e.ring, 1));
  e.fd = must("open", bdev_open(cpu, nvme_disk(cpu), O_RDWR | O_DIRECT));
  e.buffer = buffer_create(cpu, BUFFER_KINDS[task.buffer], depth * e.stride);
  must("register buffer", buffer_register(cpu, e.ring, 0, e.buffer, e.fd));
  if (task.options.verify !== "none" && task.buffer === "vram") {
    e.bounce = alloc_pages_exact(cpu, e.bounce_bytes, GFP_KERNEL | __GFP_ZERO);
    if (e.bounce === 0) throw new Error(`fio: no memory for a block of ${e.bounce_bytes} bytes`);
  }
  fill_buffer(cpu, e, task);
}

/** Random bytes, as fio's without zero_buffers. */
function fill_buffer(cpu: Cpu, e: Engine, task: FioTask): void {
  const { buffer } = e;
  if (buffer === undefined || !task.options.rw.ddirs[1]) return;
  const random = new FioRandom(task.seed, STREAM_FILL);
  for (let page = 0; page < buffer.bytes; page += PAGE_SIZE) {
    buffer_begin(cpu, buffer);
    const p = buffer_at(cpu, buffer, page);
    for (let at = 0; at < PAGE_SIZE; at += 4) cpu.mem.write(p + at, random.bits());
    buffer_end(cpu, buffer);
  }
}

/** Nothing may be in flight. */
export function engine_close(cpu: Cpu, e: Engine): void {
  if (e.ring === undefined) return;
  io_uring_queue_exit(cpu, e.ring);
  if (e.buffer !== undefined) buffer_destroy(cpu, e.buffer);
  if (e.bounce !== 0) free_pages_exact(cpu, e.bounce, e.bounce_bytes);
  close_fd(cpu, e.fd);
}

/** Puts the slot's I/O into the submission queue. There is room: the ring has an entry for each slot. */
export function engine_queue(cpu: Cpu, e: Engine, slot: number): void {
  e.queued[e.nr_queued++] = slot;
  const { ring } = e;
  if (ring === undefined) return;
  const sqe = io_uring_get_sqe(cpu, ring);
  const op = e.op[slot] as number;
  if (op === SYNC) io_uring_prep_fsync(cpu, sqe, e.fd, 0);
  else {
    const address = buffer_address(e.buffer as StressBuffer, slot * e.stride);
    const bytes = e.bytes[slot] as number;
    const position = e.position[slot] as number;
    if (op === READ) io_uring_prep_read_fixed(cpu, sqe, e.fd, address, bytes, position, 0);
    else io_uring_prep_write_fixed(cpu, sqe, e.fd, address, bytes, position, 0);
  }
  io_uring_sqe_set_data(cpu, sqe, slot);
}

/** Submits what is queued. `queued` and nr_queued stay as they are: the caller resets nr_queued. */
export function engine_commit(cpu: Cpu, e: Engine): void {
  if (e.ring === undefined) e.complete_queued();
  else must("submit", io_uring_submit(cpu, e.ring));
  e.in_flight += e.nr_queued;
}

/** As engine_commit, and waits for `min` completions in the same call. */
export function engine_commit_and_wait(cpu: Cpu, e: Engine, min: number): void {
  if (e.ring === undefined) e.complete_queued();
  else must("submit_and_wait", io_uring_submit_and_wait(cpu, e.ring, min));
  e.in_flight += e.nr_queued;
}

/** Completions ready to take; waits until there are `min`, which must not be more than are in flight. */
export function engine_wait(cpu: Cpu, e: Engine, min: number): number {
  const { ring } = e;
  if (ring === undefined) return e.nr_done;
  let ready = io_uring_cq_ready(cpu, ring);
  while (ready < min) {
    must("submit_and_wait", io_uring_submit_and_wait(cpu, ring, min));
    ready = io_uring_cq_ready(cpu, ring);
  }
  return ready;
}

/** Of the `index`th completion: its slot. */
export function engine_slot_at(cpu: Cpu, e: Engine, index: number): number {
  const { ring } = e;
  if (ring === undefined) return e.done_at(index);
  return io_uring_cqe_get_data(cpu, io_uring_cqe_at(ring, index));
}

/** Of the `index`th completion: bytes, or -errno. */
export function engine_result_at(cpu: Cpu, e: Engine, index: number): number {
  const { ring } = e;
  if (ring === undefined) {
    const slot = e.done_at(index);
    return e.op[slot] === SYNC ? 0 : (e.bytes[slot] as number);
  }
  return io_uring_cqe_res(cpu, io_uring_cqe_at(ring, index));
}

export function engine_advance(cpu: Cpu, e: Engine, nr: number): void {
  e.in_flight -= nr;
  if (e.ring === undefined) e.drop_done(nr);
  else io_uring_cq_advance(cpu, e.ring, nr);
}

/** The slot's block as contiguous bytes: in the buffer, or copied out of one that may move. */
export function engine_block(cpu: Cpu, e: Engine, slot: number): number {
  const buffer = e.buffer as StressBuffer;
  if (e.bounce === 0) return buffer_at(cpu, buffer, slot * e.stride);
  engine_copy(cpu, e, slot, false);
  return e.bounce;
}

/** Where to make the slot's block; engine_block_done puts it into the buffer. */
export function engine_new_block(cpu: Cpu, e: Engine, slot: number): number {
  return e.bounce === 0 ? buffer_at(cpu, e.buffer as StressBuffer, slot * e.stride) : e.bounce;
}

export function engine_block_done(cpu: Cpu, e: Engine, slot: number): void {
  if (e.bounce !== 0) engine_copy(cpu, e, slot, true);
}

/** Page by page, in or out; the buffer stands still meanwhile. */
function engine_copy(cpu: Cpu, e: Engine, slot: number, into_buffer: boolean): void {
  const buffer = e.buffer as StressBuffer;
  const bytes = e.bytes[slot] as number;
  const from = slot * e.stride;
  buffer_begin(cpu, buffer);
  for (let at = 0; at < bytes; ) {
    const nr = Math.min(bytes - at, PAGE_SIZE - ((from + at) & (PAGE_SIZE - 1)));
    const p = buffer_at(cpu, buffer, from + at);
    if (into_buffer) cpu.mem.memcpy(p, e.bounce + at, nr);
    else cpu.mem.memcpy(e.bounce + at, p, nr);
    at += nr;
  }
  buffer_end(cpu, buffer);
}
