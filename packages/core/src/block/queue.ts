/**
 * struct request_queue (include/linux/blkdev.h, block/blk-core.c) and who may be inside it.
 *
 * q_usage_counter is a percpu_ref: every request holds one reference. Freezing kills it and waits for zero;
 * unfreezing resurrects it. Freezes nest. A dying queue refuses everybody.
 *
 * Interface: blk_queue_enter ... blk_queue_exit around a request; blk_mq_freeze_queue ...
 * blk_mq_unfreeze_queue around a change that no request may see.
 */
import type { Ptr } from "atomics-sync";
import { EAGAIN, ENODEV } from "../debug/errno.ts";
import { kernel_symbol, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ON_ONCE } from "../debug/warn.ts";
import { mutex_init, mutex_lock, MUTEX_SIZE, mutex_unlock } from "../lock/mutex.ts";
import { GFP_KERNEL } from "../mm/slab.ts";
import {
  PERCPU_REF_ALLOW_REINIT,
  PERCPU_REF_SIZE,
  percpu_ref_exit,
  percpu_ref_get_many,
  percpu_ref_init,
  percpu_ref_is_dying,
  percpu_ref_is_zero,
  percpu_ref_kill,
  percpu_ref_put_many,
  percpu_ref_resurrect,
  percpu_ref_tryget_live,
  type PercpuRefPtr,
} from "../ref/percpu-ref.ts";
import type { Cpu } from "../sched/cpu.ts";
import { schedule } from "../sched/schedule.ts";
import { TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import {
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  wait_entry_push,
  WAIT_QUEUE_HEAD_SIZE,
  wake_up_all,
} from "../sched/wait.ts";
import { QUEUE_LIMITS_SIZE } from "./limits.ts";

export type RequestQueuePtr = Ptr<"request_queue">;

/** Kinds of hardware queues: with interrupts, and polled. */
export const HCTX_TYPE_DEFAULT = 0;
export const HCTX_TYPE_POLL = 1;

// Constant after blk_mq_init_queue; the limits come first (limits.ts).
const MQ_OPS = QUEUE_LIMITS_SIZE;
const QUEUEDATA = 28;
/** Number of hctxs and address of the first pointer, by type. */
const NR_HCTX = 32;
const HCTX_TABLE = 40;
const Q_USAGE_COUNTER = 48;
/** A mutex: switching the percpu_ref may sleep. Guards: */
const FREEZE_LOCK = 56;
const FREEZE_DEPTH = 72;
/** Set once; read by everyone. */
const DYING = 76;
const FREEZE_WQ = 80;
export const REQUEST_QUEUE_SIZE = 92;

struct_layout("request_queue", REQUEST_QUEUE_SIZE, [
  ["limits", 0, QUEUE_LIMITS_SIZE],
  ["mq_ops", MQ_OPS, 4],
  ["queuedata", QUEUEDATA, 4],
  ["nr_hctx", NR_HCTX, 8],
  ["hctx_table", HCTX_TABLE, 8],
  ["q_usage_counter", Q_USAGE_COUNTER, PERCPU_REF_SIZE],
  ["mq_freeze_lock", FREEZE_LOCK, MUTEX_SIZE],
  ["mq_freeze_depth", FREEZE_DEPTH, 4],
  ["queue_flags", DYING, 4],
  ["mq_freeze_wq", FREEZE_WQ, WAIT_QUEUE_HEAD_SIZE],
]);

const USAGE_RELEASE = kernel_symbol(blk_queue_usage_counter_release);

/** Returns 0 or -ENOMEM. `q` is zeroed. */
export function blk_queue_init(cpu: Cpu, q: RequestQueuePtr, mq_ops: number, queuedata: number): number {
  cpu.mem.write(q + MQ_OPS, mq_ops);
  cpu.mem.write(q + QUEUEDATA, queuedata);
  mutex_init(cpu, q + FREEZE_LOCK);
  init_waitqueue_head(cpu, q + FREEZE_WQ);
  return percpu_ref_init(cpu, usage(q), USAGE_RELEASE, PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
}

/** The queue is frozen for good. */
export function blk_queue_exit_final(cpu: Cpu, q: RequestQueuePtr): void {
  percpu_ref_exit(cpu, usage(q));
}

function usage(q: RequestQueuePtr): PercpuRefPtr {
  return (q + Q_USAGE_COUNTER) as PercpuRefPtr;
}

/** The last request left a killed queue. */
function blk_queue_usage_counter_release(cpu: Cpu, ref: PercpuRefPtr): void {
  wake_up_all(cpu, ref - Q_USAGE_COUNTER + FREEZE_WQ);
}

/** Enters, or waits until the queue is thawed. 0, -EAGAIN when that would sleep, -ENODEV when it dies. */
export function blk_queue_enter(cpu: Cpu, q: RequestQueuePtr, nowait: boolean): number {
  for (;;) {
    if (percpu_ref_tryget_live(cpu, usage(q))) return 0;
    if (cpu.mem.loadAcquire(q + DYING) !== 0) return -ENODEV;
    if (nowait) return -EAGAIN;
    const entry = wait_entry_push(cpu);
    prepare_to_wait(cpu, q + FREEZE_WQ, entry, TASK_UNINTERRUPTIBLE);
    if (percpu_ref_is_dying(cpu, usage(q)) && cpu.mem.loadAcquire(q + DYING) === 0) schedule(cpu);
    finish_wait(cpu, q + FREEZE_WQ, entry);
  }
}

/** `nr` more references; the caller has one. */
export function blk_queue_enter_live(cpu: Cpu, q: RequestQueuePtr, nr: number): void {
  percpu_ref_get_many(cpu, usage(q), nr);
}

export function blk_queue_exit(cpu: Cpu, q: RequestQueuePtr, nr: number): void {
  percpu_ref_put_many(cpu, usage(q), nr);
}

/** Keeps new requests out; those inside go on. */
export function blk_freeze_queue_start(cpu: Cpu, q: RequestQueuePtr): void {
  mutex_lock(cpu, q + FREEZE_LOCK);
  const depth = cpu.mem.read(q + FREEZE_DEPTH) + 1;
  cpu.mem.write(q + FREEZE_DEPTH, depth);
  if (depth === 1) percpu_ref_kill(cpu, usage(q));
  mutex_unlock(cpu, q + FREEZE_LOCK);
}

/** Waits until nobody is inside. After blk_freeze_queue_start. */
export function blk_mq_freeze_queue_wait(cpu: Cpu, q: RequestQueuePtr): void {
  for (;;) {
    const entry = wait_entry_push(cpu);
    prepare_to_wait(cpu, q + FREEZE_WQ, entry, TASK_UNINTERRUPTIBLE);
    const zero = percpu_ref_is_zero(cpu, usage(q));
    if (!zero) schedule(cpu);
    finish_wait(cpu, q + FREEZE_WQ, entry);
    if (zero) return;
  }
}

export function blk_mq_freeze_queue(cpu: Cpu, q: RequestQueuePtr): void {
  blk_freeze_queue_start(cpu, q);
  blk_mq_freeze_queue_wait(cpu, q);
}

export function blk_mq_unfreeze_queue(cpu: Cpu, q: RequestQueuePtr): void {
  mutex_lock(cpu, q + FREEZE_LOCK);
  const depth = cpu.mem.read(q + FREEZE_DEPTH) - 1;
  WARN_ON_ONCE(cpu, depth < 0);
  cpu.mem.write(q + FREEZE_DEPTH, depth);
  if (depth === 0) percpu_ref_resurrect(cpu, usage(q));
  mutex_unlock(cpu, q + FREEZE_LOCK);
  if (depth === 0) wake_up_all(cpu, q + FREEZE_WQ);
}

/** Nobody enters from now on, and who waits to enter gives up. */
export function blk_mark_queue_dying(cpu: Cpu, q: RequestQueuePtr): void {
  cpu.mem.storeRelease(q + DYING, 1);
  blk_freeze_queue_start(cpu, q);
  wake_up_all(cpu, q + FREEZE_WQ);
}

export function queue_is_dying(cpu: Cpu, q: RequestQueuePtr): boolean {
  return cpu.mem.loadAcquire(q + DYING) !== 0;
}

/** The driver's function at offset `op` (BLK_MQ_OPS_*), 0 when it has none. */
export function queue_mq_op(cpu: Cpu, q: RequestQueuePtr, op: number): SymbolId {
  const ops = cpu.mem.read(q + MQ_OPS);
  return ops === 0 ? 0 : cpu.mem.read(ops + op);
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
