/**
 * A RAM disk for tests of the block layer: sectors are the bytes at map.media, a dma-buf map is simply the
 * address of its buffer. It completes inline, or keeps requests until somebody calls ram_disk_complete, on
 * any CPU; it can refuse requests, fail them, hand them back for another try, and forget them.
 *
 * A late request that was forgotten (fail_io_timeout) ends with BLK_STS_TIMEOUT; so does one that is kept, if
 * ram_disk_abort says so: the handler takes it off the list, so nobody else completes it. Otherwise the timer is
 * reset.
 *
 * Interface: ram_disk_add makes the one disk; the verbs below steer it; ram_disk_remove frees everything.
 */
import { kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import {
  bio_bvec_done,
  bio_dmabuf_map,
  bio_iovec,
  bio_is_dmabuf_map,
  REQ_OP_FLUSH,
  REQ_OP_READ,
} from "../block/bio.ts";
import { blk_mq_init_queue } from "../block/blk-mq.ts";
import {
  blk_mq_add_to_batch,
  blk_mq_complete_request,
  blk_mq_end_request,
  blk_mq_end_request_batch,
  blk_should_fake_timeout,
  IO_COMP_BATCH_SIZE,
  type IoCompBatchPtr,
} from "../block/complete.ts";
import { blk_mq_requeue_request } from "../block/issue.ts";
import { alloc_disk, del_gendisk, device_add_disk, type GendiskPtr, put_disk } from "../block/disk.ts";
import { BLK_FEAT_WRITE_CACHE, type QueueLimits } from "../block/limits.ts";
import type { RequestQueuePtr } from "../block/queue.ts";
import {
  blk_mq_rq_to_pdu,
  blk_rq_bytes,
  blk_rq_pos,
  type HctxPtr,
  type RequestPtr,
  req_op,
  rq_bio,
  rq_next,
  rq_queue,
  rq_set_next,
} from "../block/request.ts";
import { blk_mq_mark_complete } from "../block/rq-state.ts";
import { BLK_STS_OK, BLK_STS_TIMEOUT } from "../block/status.ts";
import { BLK_EH_DONE, BLK_EH_RESET_TIMER, blk_mq_start_request } from "../block/timeout.ts";
import { BIO_VEC_SIZE, bvec_len, bvec_virt, type BioVecPtr } from "../fs/bvec.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";

const STATE = kernel_static("ram_disk", 128);
const DISK = 0;
/** Requests are kept until ram_disk_complete. */
const DEFERRED = 4;
/** What queue_rq answers, this many times. */
const REFUSAL = 8;
const REFUSALS = 12;
/** What requests end with, this many times. */
const FAILURE = 16;
const FAILURES = 20;
// Counters.
const ISSUED = 24;
const BELLS = 28;
const FLUSHES = 32;
const TIMEOUTS = 36;
const REQUEUES = 40;
/** Late requests are taken off the list and ended. */
const ABORTS = 44;
/** How many requests are handed back before they are done. */
const GIVE_BACK = 48;
// Guarded by LOCK: kept requests, oldest first.
const LOCK = 64;
const HEAD = 68;
const TAIL = 72;

/** The driver's data of a request: what it ends with if that is no success, and whether it was forgotten. */
const CMD_ERROR = 0;
const CMD_FORGOTTEN = 4;
const CMD_SIZE = 8;

export const RAM_DISK_LIMITS: QueueLimits = {
  max_hw_bytes: 32768,
  logical_block_size: 512,
  dma_alignment: 3,
  virt_boundary_mask: 4095,
  max_segments: 128,
  features: BLK_FEAT_WRITE_CACHE,
};

const OPS = kernel_rodata("ram_disk_mq_ops", [
  kernel_symbol(ram_queue_rq),
  kernel_symbol(ram_commit_rqs),
  kernel_symbol(ram_complete_rq),
  kernel_symbol(ram_poll),
  kernel_symbol(ram_timeout_rq),
  kernel_symbol(ram_create_dmabuf_token),
  0,
]);

export interface RamDiskOptions {
  readonly queues?: number;
  readonly poll_queues?: number;
  readonly depth?: number;
  readonly limits?: Partial<QueueLimits>;
  readonly sectors?: number;
  /** ms. */
  readonly timeout?: number;
}

/** Adds the disk; an address, or ERR_PTR when out of memory. */
export function ram_disk_add(cpu: Cpu, options: RamDiskOptions = {}): GendiskPtr {
  cpu.mem.memset(STATE, 0, 128);
  spin_lock_init(cpu, STATE + LOCK, "ram_disk");
  const q = blk_mq_init_queue(cpu, {
    ops: OPS,
    nr_hw_queues: options.queues ?? 1,
    nr_poll_queues: options.poll_queues ?? 0,
    queue_depth: options.depth ?? 64,
    cmd_size: CMD_SIZE,
    driver_data: 0,
    limits: { ...RAM_DISK_LIMITS, ...options.limits },
    timeout: options.timeout ?? 0,
  });
  if (q < 0) return q as number as GendiskPtr;
  const disk = alloc_disk(cpu, q, "ram0", 0);
  const bytes = cpu.map.media_end - cpu.map.media;
  device_add_disk(cpu, disk, options.sectors ?? bytes >> 9);
  cpu.mem.write(STATE + DISK, disk);
  return disk;
}

export function ram_disk(cpu: Cpu): GendiskPtr {
  return cpu.mem.read(STATE + DISK) as GendiskPtr;
}

export function ram_disk_remove(cpu: Cpu): void {
  const disk = ram_disk(cpu);
  del_gendisk(cpu, disk);
  put_disk(cpu, disk);
}

export function ram_disk_defer(cpu: Cpu, deferred: boolean): void {
  cpu.mem.write(STATE + DEFERRED, deferred ? 1 : 0);
}
export function ram_disk_refuse(cpu: Cpu, status: number, times: number): void {
  cpu.mem.write(STATE + REFUSAL, status);
  cpu.mem.write(STATE + REFUSALS, times);
}
export function ram_disk_fail(cpu: Cpu, status: number, times: number): void {
  cpu.mem.write(STATE + FAILURE, status);
  cpu.mem.write(STATE + FAILURES, times);
}
/** Late requests are ended from now on, even if the disk still has them. */
export function ram_disk_abort(cpu: Cpu, abort: boolean): void {
  cpu.mem.write(STATE + ABORTS, abort ? 1 : 0);
}
/** The next `times` requests are handed back for another try. */
export function ram_disk_give_back(cpu: Cpu, times: number): void {
  cpu.mem.write(STATE + GIVE_BACK, times);
}
/** Late requests the driver was asked about. */
export function ram_disk_timeouts(cpu: Cpu): number {
  return cpu.mem.loadAcquire(STATE + TIMEOUTS);
}
export function ram_disk_requeues(cpu: Cpu): number {
  return cpu.mem.loadAcquire(STATE + REQUEUES);
}
/** Requests that queue_rq accepted. */
export function ram_disk_issued(cpu: Cpu): number {
  return cpu.mem.read(STATE + ISSUED);
}
/** Times the device was told to look: `last` and commit_rqs. */
export function ram_disk_bells(cpu: Cpu): number {
  return cpu.mem.read(STATE + BELLS);
}
export function ram_disk_flushes(cpu: Cpu): number {
  return cpu.mem.read(STATE + FLUSHES);
}

function bump(cpu: Cpu, counter: number): void {
  cpu.mem.fetchAdd(STATE + counter, 1);
}

function ram_queue_rq(cpu: Cpu, _hctx: HctxPtr, rq: RequestPtr, last: number): number {
  const refusals = cpu.mem.read(STATE + REFUSALS);
  if (refusals > 0) {
    cpu.mem.write(STATE + REFUSALS, refusals - 1);
    return cpu.mem.read(STATE + REFUSAL);
  }
  cpu.mem.write(blk_mq_rq_to_pdu(rq) + CMD_ERROR, BLK_STS_OK);
  cpu.mem.write(blk_mq_rq_to_pdu(rq) + CMD_FORGOTTEN, 0);
  blk_mq_start_request(cpu, rq);
  bump(cpu, ISSUED);
  if (last !== 0) bump(cpu, BELLS);
  if (cpu.mem.read(STATE + DEFERRED) !== 0) keep(cpu, rq);
  else finish(cpu, rq);
  return BLK_STS_OK;
}

/** The device is done with it. True unless the completion is lost. */
function finish(cpu: Cpu, rq: RequestPtr): boolean {
  if (blk_should_fake_timeout(cpu, rq_queue(cpu, rq))) {
    cpu.mem.storeRelease(blk_mq_rq_to_pdu(rq) + CMD_FORGOTTEN, 1);
    return false;
  }
  transfer(cpu, rq);
  blk_mq_complete_request(cpu, rq);
  return true;
}

/** blk_mq_ops.timeout. */
function ram_timeout_rq(cpu: Cpu, rq: RequestPtr): number {
  bump(cpu, TIMEOUTS);
  const forgotten = cpu.mem.loadAcquire(blk_mq_rq_to_pdu(rq) + CMD_FORGOTTEN) !== 0;
  if (!forgotten && (cpu.mem.read(STATE + ABORTS) === 0 || !take_back(cpu, rq))) return BLK_EH_RESET_TIMER;
  cpu.mem.write(blk_mq_rq_to_pdu(rq) + CMD_ERROR, BLK_STS_TIMEOUT);
  blk_mq_complete_request(cpu, rq);
  return BLK_EH_DONE;
}

function ram_commit_rqs(cpu: Cpu, _hctx: HctxPtr): void {
  bump(cpu, BELLS);
}

function ram_complete_rq(cpu: Cpu, rq: RequestPtr): void {
  const give_back = cpu.mem.read(STATE + GIVE_BACK);
  if (give_back > 0) {
    cpu.mem.write(STATE + GIVE_BACK, give_back - 1);
    bump(cpu, REQUEUES);
    blk_mq_requeue_request(cpu, rq, true);
    return;
  }
  const failures = cpu.mem.read(STATE + FAILURES);
  if (failures > 0) cpu.mem.write(STATE + FAILURES, failures - 1);
  const error = cpu.mem.read(blk_mq_rq_to_pdu(rq) + CMD_ERROR);
  blk_mq_end_request(cpu, rq, failures > 0 ? cpu.mem.read(STATE + FAILURE) : error);
}

/** Completes everything kept, as one batch. */
function ram_poll(cpu: Cpu, _hctx: HctxPtr): number {
  const iob = stack_push(cpu, IO_COMP_BATCH_SIZE) as IoCompBatchPtr;
  let count = 0;
  for (let rq = ram_disk_take(cpu); rq !== 0; rq = ram_disk_take(cpu)) {
    transfer(cpu, rq);
    if (blk_mq_mark_complete(cpu, rq)) blk_mq_add_to_batch(cpu, rq, iob);
    count++;
  }
  blk_mq_end_request_batch(cpu, iob);
  stack_pop(cpu, iob);
  return count;
}

/** Leaves what a driver would in the token: proof that the call came here. */
function ram_create_dmabuf_token(cpu: Cpu, q: RequestQueuePtr, token: number): number {
  cpu.mem.write(token, q);
  return 0;
}

function keep(cpu: Cpu, rq: RequestPtr): void {
  spin_lock_irqsave(cpu, STATE + LOCK);
  rq_set_next(cpu, rq, 0);
  const tail = cpu.mem.read(STATE + TAIL) as RequestPtr;
  if (tail === 0) cpu.mem.write(STATE + HEAD, rq);
  else rq_set_next(cpu, tail, rq);
  cpu.mem.write(STATE + TAIL, rq);
  spin_unlock_irqrestore(cpu, STATE + LOCK);
}

/** Takes the oldest kept request, or 0. */
export function ram_disk_take(cpu: Cpu): RequestPtr {
  spin_lock_irqsave(cpu, STATE + LOCK);
  const rq = cpu.mem.read(STATE + HEAD) as RequestPtr;
  if (rq !== 0) {
    const next = rq_next(cpu, rq);
    cpu.mem.write(STATE + HEAD, next);
    if (next === 0) cpu.mem.write(STATE + TAIL, 0);
  }
  spin_unlock_irqrestore(cpu, STATE + LOCK);
  return rq;
}

/** Takes `rq` off the list. False when somebody else has. */
function take_back(cpu: Cpu, rq: RequestPtr): boolean {
  spin_lock_irqsave(cpu, STATE + LOCK);
  let previous = 0 as RequestPtr;
  let at = cpu.mem.read(STATE + HEAD) as RequestPtr;
  while (at !== 0 && at !== rq) {
    previous = at;
    at = rq_next(cpu, at);
  }
  if (at !== 0) {
    const next = rq_next(cpu, at);
    if (previous === 0) cpu.mem.write(STATE + HEAD, next);
    else rq_set_next(cpu, previous, next);
    if (next === 0) cpu.mem.write(STATE + TAIL, previous);
  }
  spin_unlock_irqrestore(cpu, STATE + LOCK);
  return at !== 0;
}

/** Does and completes up to `max` kept requests, oldest first; returns how many. */
export function ram_disk_complete(cpu: Cpu, max: number): number {
  for (let done = 0; done < max; done++) {
    const rq = ram_disk_take(cpu);
    if (rq === 0) return done;
    finish(cpu, rq);
  }
  return max;
}

function transfer(cpu: Cpu, rq: RequestPtr): void {
  if (req_op(cpu, rq) === REQ_OP_FLUSH) {
    bump(cpu, FLUSHES);
    return;
  }
  const bio = rq_bio(cpu, rq);
  if (bio === 0) return;
  let media = cpu.map.media + blk_rq_pos(cpu, rq) * 512;
  let left = blk_rq_bytes(cpu, rq);
  if (bio_is_dmabuf_map(cpu, bio)) {
    copy(cpu, rq, media, bio_dmabuf_map(cpu, bio) + bio_bvec_done(cpu, bio), left);
    return;
  }
  let skip = bio_bvec_done(cpu, bio);
  for (let bvec = bio_iovec(cpu, bio) as number; left > 0; bvec += BIO_VEC_SIZE) {
    const len = Math.min(bvec_len(cpu, bvec as BioVecPtr) - skip, left);
    copy(cpu, rq, media, bvec_virt(cpu, bvec as BioVecPtr) + skip, len);
    media += len;
    left -= len;
    skip = 0;
  }
}

function copy(cpu: Cpu, rq: RequestPtr, media: number, memory: number, bytes: number): void {
  if (req_op(cpu, rq) === REQ_OP_READ) cpu.mem.memcpy(memory, media, bytes);
  else cpu.mem.memcpy(media, memory, bytes);
}
