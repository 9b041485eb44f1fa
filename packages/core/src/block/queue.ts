/**
 * struct request_queue (include/linux/blkdev.h, block/blk-core.c) and who may be inside it.
 *
 * q_usage_counter is a percpu_ref: every request holds one reference. Freezing (freeze.ts) kills it and waits for
 * zero; a frozen queue keeps everybody waiting at its door. A dying queue refuses everybody.
 *
 * To lockdep entering is a read lock that is dropped at once, and freezing a write lock that is held until the
 * queue is thawed: who freezes under a lock that somebody takes inside the queue is reported.
 *
 * Interface: blk_queue_enter or bio_queue_enter ... blk_queue_exit around a request.
 */
import type { Ptr } from "atomics-sync";
import { EAGAIN, ENODEV } from "../debug/errno.ts";
import { kernel_symbol, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { lock_acquire, lock_release, lockdep_init_map } from "../lock/lockdep.ts";
import { mutex_init, MUTEX_SIZE } from "../lock/mutex.ts";
import { spin_lock_init } from "../lock/spinlock.ts";
import { GFP_KERNEL } from "../mm/slab.ts";
import {
  PERCPU_REF_ALLOW_REINIT,
  PERCPU_REF_SIZE,
  percpu_ref_exit,
  percpu_ref_get_many,
  percpu_ref_init,
  percpu_ref_is_dying,
  percpu_ref_put_many,
  percpu_ref_tryget,
  percpu_ref_tryget_live,
  type PercpuRefPtr,
} from "../ref/percpu-ref.ts";
import type { Cpu } from "../sched/cpu.ts";
import { schedule } from "../sched/schedule.ts";
import { TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import { TIMER_SIZE } from "../sched/timer.ts";
import {
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  wait_entry_push,
  WAIT_QUEUE_HEAD_SIZE,
  wake_up_all,
} from "../sched/wait.ts";
import { DELAYED_WORK_SIZE, WORK_STRUCT_SIZE } from "../sched/workqueue.ts";
import { QUEUE_LIMITS_SIZE } from "./limits.ts";

export type RequestQueuePtr = Ptr<"request_queue">;

/** Kinds of hardware queues: with interrupts, and polled. */
export const HCTX_TYPE_DEFAULT = 0;
export const HCTX_TYPE_POLL = 1;

/** blk_mq_req_flags_t. */
export const BLK_MQ_REQ_NOWAIT = 1;

/** queue_flags. */
export const QUEUE_FLAG_DYING = 1;
const QUIESCED = 2;
export const QUEUE_FLAG_QUIESCED: number = QUIESCED;

// Constant after blk_mq_init_queue; the limits come first (limits.ts).
const MQ_OPS = QUEUE_LIMITS_SIZE;
const QUEUEDATA = 28;
/** Number of hctxs and address of the first pointer, by type. */
const NR_HCTX = 32;
const HCTX_TABLE = 40;
const Q_USAGE_COUNTER = 48;
/** ms. */
const Q_RQ_TIMEOUT = 56;
// Read by every request; changed atomically, and hardly ever:
const QUEUE_FLAGS = 60;
/** Walks over the busy tags that are announced (rq-state.ts). */
const BUSY_ITERS = 64;
/** Armed for the nearest deadline, or for one that was; its function queues the work (timeout.ts). */
export const Q_TIMEOUT = 72;
export const Q_TIMEOUT_WORK: number = Q_TIMEOUT + TIMER_SIZE;
// A line of its own. Guarded by Q_LOCK, a spinlock: requests to be queued again, oldest first (issue.ts), and
// how often the queue is quiesced (freeze.ts).
export const Q_LOCK: number = (Q_TIMEOUT_WORK + WORK_STRUCT_SIZE + 127) & ~127;
export const Q_REQUEUE_LIST: number = Q_LOCK + 4;
export const Q_REQUEUE_TAIL: number = Q_LOCK + 8;
export const Q_QUIESCE_DEPTH: number = Q_LOCK + 12;
export const Q_REQUEUE_WORK: number = Q_LOCK + 16;
/** A mutex: switching the percpu_ref may sleep. Guards, for freeze.ts: */
export const Q_FREEZE_LOCK: number = Q_REQUEUE_WORK + DELAYED_WORK_SIZE;
export const Q_FREEZE_DEPTH: number = Q_FREEZE_LOCK + MUTEX_SIZE;
/** The task that froze it first, and how often; for lockdep. */
export const Q_FREEZE_OWNER: number = Q_FREEZE_DEPTH + 4;
export const Q_FREEZE_OWNER_DEPTH: number = Q_FREEZE_DEPTH + 8;
export const Q_FREEZE_WQ: number = Q_FREEZE_DEPTH + 12;
/** Addresses of the two classes of lockdep: bios, and requests without one. */
export const Q_IO_LOCKDEP_MAP: number = Q_FREEZE_WQ + WAIT_QUEUE_HEAD_SIZE;
export const Q_LOCKDEP_MAP: number = Q_IO_LOCKDEP_MAP + 4;
export const REQUEST_QUEUE_SIZE: number = Q_LOCKDEP_MAP + 4;

struct_layout("request_queue", REQUEST_QUEUE_SIZE, [
  ["limits", 0, QUEUE_LIMITS_SIZE],
  ["mq_ops", MQ_OPS, 4],
  ["queuedata", QUEUEDATA, 4],
  ["nr_hctx", NR_HCTX, 8],
  ["hctx_table", HCTX_TABLE, 8],
  ["q_usage_counter", Q_USAGE_COUNTER, PERCPU_REF_SIZE],
  ["rq_timeout", Q_RQ_TIMEOUT, 4],
  ["queue_flags", QUEUE_FLAGS, 4],
  ["busy_iters", BUSY_ITERS, 4],
  ["timeout", Q_TIMEOUT, TIMER_SIZE],
  ["timeout_work", Q_TIMEOUT_WORK, WORK_STRUCT_SIZE],
  ["queue_lock", Q_LOCK, 4],
  ["requeue_list", Q_REQUEUE_LIST, 4],
  ["requeue_tail", Q_REQUEUE_TAIL, 4],
  ["quiesce_depth", Q_QUIESCE_DEPTH, 4],
  ["requeue_work", Q_REQUEUE_WORK, DELAYED_WORK_SIZE],
  ["mq_freeze_lock", Q_FREEZE_LOCK, MUTEX_SIZE],
  ["mq_freeze_depth", Q_FREEZE_DEPTH, 4],
  ["mq_freeze_owner", Q_FREEZE_OWNER, 4],
  ["mq_freeze_owner_depth", Q_FREEZE_OWNER_DEPTH, 4],
  ["mq_freeze_wq", Q_FREEZE_WQ, WAIT_QUEUE_HEAD_SIZE],
  ["io_lockdep_map", Q_IO_LOCKDEP_MAP, 4],
  ["q_lockdep_map", Q_LOCKDEP_MAP, 4],
]);

const USAGE_RELEASE = kernel_symbol(blk_queue_usage_counter_release);

/** Returns 0 or -ENOMEM. `q` is zeroed. */
export function blk_queue_init(cpu: Cpu, q: RequestQueuePtr, mq_ops: number, queuedata: number): number {
  cpu.mem.write(q + MQ_OPS, mq_ops);
  cpu.mem.write(q + QUEUEDATA, queuedata);
  spin_lock_init(cpu, q + Q_LOCK, "&q->queue_lock");
  mutex_init(cpu, q + Q_FREEZE_LOCK);
  init_waitqueue_head(cpu, q + Q_FREEZE_WQ);
  if (cpu.lockdep) {
    lockdep_init_map(cpu, q + Q_IO_LOCKDEP_MAP, "&q->q_usage_counter(io)");
    lockdep_init_map(cpu, q + Q_LOCKDEP_MAP, "&q->q_usage_counter(queue)");
  }
  return percpu_ref_init(cpu, queue_usage(q), USAGE_RELEASE, PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
}

/** The queue is frozen for good. */
export function blk_queue_exit_final(cpu: Cpu, q: RequestQueuePtr): void {
  percpu_ref_exit(cpu, queue_usage(q));
}

export function queue_usage(q: RequestQueuePtr): PercpuRefPtr {
  return (q + Q_USAGE_COUNTER) as PercpuRefPtr;
}

/** The last request left a killed queue. */
function blk_queue_usage_counter_release(cpu: Cpu, ref: PercpuRefPtr): void {
  wake_up_all(cpu, ref - Q_USAGE_COUNTER + Q_FREEZE_WQ);
}

/** Enters for a request without a bio. 0; -EAGAIN when it is frozen and `flags` say NOWAIT; -ENODEV when it dies. */
export function blk_queue_enter(cpu: Cpu, q: RequestQueuePtr, flags: number): number {
  const nowait = (flags & BLK_MQ_REQ_NOWAIT) !== 0;
  if (percpu_ref_tryget_live(cpu, queue_usage(q)) || (!nowait && wait_for_thaw(cpu, q))) {
    if (cpu.lockdep) pass_by(cpu, q + Q_LOCKDEP_MAP);
    return 0;
  }
  return nowait ? -EAGAIN : -ENODEV;
}

/** Enters for a bio. 0; -ENODEV when the queue dies; -EAGAIN when it is frozen and `nowait`. */
export function bio_queue_enter(cpu: Cpu, q: RequestQueuePtr, nowait: boolean): number {
  if (percpu_ref_tryget_live(cpu, queue_usage(q)) || (!nowait && wait_for_thaw(cpu, q))) {
    if (cpu.lockdep) pass_by(cpu, q + Q_IO_LOCKDEP_MAP);
    return 0;
  }
  return nowait && !blk_queue_dying(cpu, q) ? -EAGAIN : -ENODEV;
}

/** Sleeps until it is inside, or the queue dies: then false. */
function wait_for_thaw(cpu: Cpu, q: RequestQueuePtr): boolean {
  while (!blk_queue_dying(cpu, q)) {
    const entry = wait_entry_push(cpu);
    prepare_to_wait(cpu, q + Q_FREEZE_WQ, entry, TASK_UNINTERRUPTIBLE);
    if (percpu_ref_is_dying(cpu, queue_usage(q)) && !blk_queue_dying(cpu, q)) schedule(cpu);
    finish_wait(cpu, q + Q_FREEZE_WQ, entry);
    if (percpu_ref_tryget_live(cpu, queue_usage(q))) return true;
  }
  return false;
}

/** rwsem_acquire_read and rwsem_release: whoever enters may have had to wait for a freezer. */
function pass_by(cpu: Cpu, map: number): void {
  lock_acquire(cpu, map, 0, false, 1, 0);
  lock_release(cpu, map);
}

/** `nr` more references; the caller has one. */
export function blk_queue_enter_live(cpu: Cpu, q: RequestQueuePtr, nr: number): void {
  percpu_ref_get_many(cpu, queue_usage(q), nr);
}

/** For time-outs: also into a queue that freezes, as long as requests are inside. */
export function blk_queue_tryget(cpu: Cpu, q: RequestQueuePtr): boolean {
  return percpu_ref_tryget(cpu, queue_usage(q));
}

export function blk_queue_exit(cpu: Cpu, q: RequestQueuePtr, nr: number): void {
  percpu_ref_put_many(cpu, queue_usage(q), nr);
}

export function blk_queue_flag_set(cpu: Cpu, q: RequestQueuePtr, flag: number): void {
  cpu.mem.fetchOr(q + QUEUE_FLAGS, flag);
}
export function blk_queue_flag_clear(cpu: Cpu, q: RequestQueuePtr, flag: number): void {
  cpu.mem.fetchAnd(q + QUEUE_FLAGS, ~flag);
}
export function blk_queue_dying(cpu: Cpu, q: RequestQueuePtr): boolean {
  return (cpu.mem.loadAcquire(q + QUEUE_FLAGS) & QUEUE_FLAG_DYING) !== 0;
}
/** Inside an RCU read section: blk_mq_quiesce_queue waits for it. */
export function blk_queue_quiesced(cpu: Cpu, q: RequestQueuePtr): boolean {
  return (cpu.mem.readOnce(q + QUEUE_FLAGS) & QUIESCED) !== 0;
}

/** The same right after an append to a dispatch list. */
export function blk_queue_still_quiesced(cpu: Cpu, q: RequestQueuePtr): boolean {
  // Pairs with the fetchAnd in queue_unquiesce, after which the lists are looked at: either we see the flag gone, or
  // what we appended is seen. Otherwise it would wait for ever.
  return (cpu.mem.loadAcquire(q + QUEUE_FLAGS) & QUEUE_FLAG_QUIESCED) !== 0;
}

/** blk_queue_rq_timeout: for requests started from now on, in ms. */
export function blk_queue_rq_timeout(cpu: Cpu, q: RequestQueuePtr, timeout: number): void {
  cpu.mem.writeOnce(q + Q_RQ_TIMEOUT, timeout);
}
export function queue_rq_timeout(cpu: Cpu, q: RequestQueuePtr): number {
  return cpu.mem.readOnce(q + Q_RQ_TIMEOUT);
}

/** Is somebody walking over the busy tags, or about to? What that means: rq-state.ts. */
export function queue_iterated(cpu: Cpu, q: RequestQueuePtr): boolean {
  return cpu.mem.readOnce(q + BUSY_ITERS) !== 0;
}
/** Announces a walk; a grace period must pass before it begins. */
export function queue_iter_announce(cpu: Cpu, q: RequestQueuePtr): void {
  cpu.mem.fetchAdd(q + BUSY_ITERS, 1);
}
export function queue_iter_over(cpu: Cpu, q: RequestQueuePtr): void {
  cpu.mem.fetchSub(q + BUSY_ITERS, 1);
}

/** The driver's function at offset `op` (BLK_MQ_OPS_*), 0 when it has none. */
export function queue_mq_op(cpu: Cpu, q: RequestQueuePtr, op: number): SymbolId {
  const ops = cpu.mem.read(q + MQ_OPS);
  return ops === 0 ? 0 : cpu.mem.read(ops + op);
}
/** q->queuedata. */
export function queue_data(cpu: Cpu, q: RequestQueuePtr): number {
  return cpu.mem.read(q + QUEUEDATA);
}

export function queue_set_hctxs(cpu: Cpu, q: RequestQueuePtr, type: number, table: number, nr: number): void {
  cpu.mem.write(q + NR_HCTX + 4 * type, nr);
  cpu.mem.write(q + HCTX_TABLE + 4 * type, table);
}
export function queue_nr_hctx(cpu: Cpu, q: RequestQueuePtr, type: number): number {
  return cpu.mem.read(q + NR_HCTX + 4 * type);
}
export function queue_hctx_table(cpu: Cpu, q: RequestQueuePtr, type: number): number {
  return cpu.mem.read(q + HCTX_TABLE + 4 * type);
}
/** Hardware queue `i` of `type`. */
export function queue_hctx(cpu: Cpu, q: RequestQueuePtr, type: number, i: number): number {
  return cpu.mem.read(cpu.mem.read(q + HCTX_TABLE + 4 * type) + 4 * i);
}
