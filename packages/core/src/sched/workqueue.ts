/**
 * Workqueues (kernel/workqueue.c): works queued to a workqueue run in kworker threads, in process context.
 *
 * Interface: INIT_WORK once, queue_work as often as wanted; cancel_work_sync or flush_work before the item's
 * memory goes, unless its own function frees it. alloc_workqueue for a queue of one's own, destroy_workqueue at
 * the end. The parts: wq-work.ts (the item), wq-queue.ts (the queue), wq-worker.ts (pools, what schedule() tells
 * them), wq-pool.ts (kworkers), wq-flush.ts (waiting), wq-delayed.ts (after a time or a grace period).
 *
 * Unlike Linux: bound pools are one per priority and not per CPU, and there are no rescuers: thread creation
 * cannot fail for lack of memory, only end at config.kthreads.
 */
import { kernel_exitcall, kernel_initcall, kernel_static } from "../debug/image.ts";
import { LOG_WARN, printk } from "../debug/dmesg.ts";
import { site_id } from "../debug/site.ts";
import { WARN } from "../debug/warn.ts";
import { INIT_LIST_HEAD } from "../mm/list.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import type { Cpu } from "./cpu.ts";
import { init_waitqueue_head } from "./wait.ts";
import { drain_workqueue, wq_is_empty } from "./wq-flush.ts";
import {
  __WQ_DESTROYING,
  __WQ_ORDERED,
  WORKQUEUE_SIZE,
  WQ_ALLOCATION,
  WQ_FLAGS,
  wq_flags,
  WQ_FLUSH_WAITQ,
  WQ_HIGHPRI,
  WQ_INACTIVE,
  WQ_MAX_ACTIVE_NR,
  WQ_NAME,
  wq_name,
  WQ_POOL,
  wq_pool,
  WQ_UNBOUND,
} from "./wq-queue.ts";
import { WORKQUEUE_ALIGN, type WorkqueuePtr } from "./wq-work.ts";
import {
  NR_POOLS,
  POOL_ID_BOUND,
  POOL_ID_HIGHPRI,
  POOL_ID_UNBOUND,
  POOL_LOCK,
  POOL_NR_EXECUTED,
  POOL_NR_QUEUED,
  worker_pool,
} from "./wq-worker.ts";

export * from "./wq-delayed.ts";
export {
  cancel_work,
  cancel_work_sync,
  disable_work,
  disable_work_sync,
  drain_workqueue,
  enable_work,
  flush_work,
  flush_workqueue,
  work_busy,
} from "./wq-flush.ts";
export { kworker_thread, workqueue_run_one } from "./wq-pool.ts";
export {
  queue_work,
  WQ_CPU_INTENSIVE,
  WQ_FREEZABLE,
  WQ_HIGHPRI,
  WQ_MEM_RECLAIM,
  WQ_UNBOUND,
} from "./wq-queue.ts";
export { INIT_WORK, work_pending, type WorkPtr, type WorkqueuePtr, WORK_STRUCT_SIZE } from "./wq-work.ts";

/** Works of one queue that may be on a pool at once: the largest, and what 0 means. */
export const WQ_MAX_ACTIVE = 2048;
export const WQ_DFL_ACTIVE = WQ_MAX_ACTIVE / 2;

/** Static workqueues, and pointers to them as in Linux. */
const SYSTEM_WQ = kernel_static("system_wq", WORKQUEUE_SIZE) as WorkqueuePtr;
const SYSTEM_HIGHPRI_WQ = kernel_static("system_highpri_wq", WORKQUEUE_SIZE) as WorkqueuePtr;
const SYSTEM_UNBOUND_WQ = kernel_static("system_unbound_wq", WORKQUEUE_SIZE) as WorkqueuePtr;

kernel_initcall(workqueue_init_early);
function workqueue_init_early(cpu: Cpu): void {
  init_workqueue(cpu, SYSTEM_WQ, "events", 0, WQ_DFL_ACTIVE);
  init_workqueue(cpu, SYSTEM_HIGHPRI_WQ, "events_highpri", WQ_HIGHPRI, WQ_DFL_ACTIVE);
  init_workqueue(cpu, SYSTEM_UNBOUND_WQ, "events_unbound", WQ_UNBOUND, WQ_MAX_ACTIVE);
}

kernel_exitcall(workqueue_exit);
function workqueue_exit(cpu: Cpu): void {
  WARN(cpu, !wq_is_empty(cpu, SYSTEM_WQ), "workqueue: works left at shutdown");
}

/** The queue for short works of everybody: bound, default max_active. */
export function system_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_WQ;
}
export function system_highpri_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_HIGHPRI_WQ;
}
export function system_unbound_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_UNBOUND_WQ;
}

function init_workqueue(cpu: Cpu, wq: WorkqueuePtr, name: string, flags: number, max_active: number): void {
  const pool = flags & WQ_UNBOUND ? POOL_ID_UNBOUND : flags & WQ_HIGHPRI ? POOL_ID_HIGHPRI : POOL_ID_BOUND;
  cpu.mem.write(wq + WQ_POOL, worker_pool(pool));
  cpu.mem.write(wq + WQ_MAX_ACTIVE_NR, max_active);
  cpu.mem.write(wq + WQ_NAME, site_id(cpu, name));
  cpu.mem.write(wq + WQ_FLAGS, flags);
  INIT_LIST_HEAD(cpu, wq + WQ_INACTIVE);
  init_waitqueue_head(cpu, wq + WQ_FLUSH_WAITQ);
}

/** wq_clamp_max_active(). */
function clamp_max_active(cpu: Cpu, name: string, max_active: number): number {
  const clamped = Math.min(Math.max(max_active, 1), WQ_MAX_ACTIVE);
  if (clamped !== max_active) {
    const text = `workqueue: max_active ${max_active} requested for ${name} is out of range`;
    printk(cpu, LOG_WARN, `${text}, clamping between 1 and ${WQ_MAX_ACTIVE}`);
  }
  return clamped;
}

/** Makes a workqueue; `max_active` 0 means the default. 0 when memory is short. */
export function alloc_workqueue(cpu: Cpu, name: string, flags: number, max_active: number): WorkqueuePtr {
  const memory = kzalloc(cpu, WORKQUEUE_SIZE + WORKQUEUE_ALIGN, GFP_KERNEL);
  if (memory === 0) return 0 as WorkqueuePtr;
  const wq = ((memory + WORKQUEUE_ALIGN - 1) & -WORKQUEUE_ALIGN) as WorkqueuePtr;
  const active = max_active === 0 ? WQ_DFL_ACTIVE : clamp_max_active(cpu, name, max_active);
  init_workqueue(cpu, wq, name, flags, active);
  cpu.mem.write(wq + WQ_ALLOCATION, memory);
  return wq;
}

/** One work at a time, in the order of queueing. */
export function alloc_ordered_workqueue(cpu: Cpu, name: string, flags: number): WorkqueuePtr {
  return alloc_workqueue(cpu, name, WQ_UNBOUND | __WQ_ORDERED | flags, 1);
}

/** Drains and frees. Nobody may queue any more; a queue that is still busy warns and stays. */
export function destroy_workqueue(cpu: Cpu, wq: WorkqueuePtr): void {
  const lock = wq_pool(cpu, wq) + POOL_LOCK;
  spin_lock_irqsave(cpu, lock);
  cpu.mem.storeRelease(wq + WQ_FLAGS, wq_flags(cpu, wq) | __WQ_DESTROYING);
  spin_unlock_irqrestore(cpu, lock);
  drain_workqueue(cpu, wq);
  if (WARN(cpu, !wq_is_empty(cpu, wq), `destroy_workqueue: ${wq_name(cpu, wq)} has the following busy pwq`))
    return;
  kfree(cpu, cpu.mem.read(wq + WQ_ALLOCATION));
}

/** Works queued since boot. Wraps at 2^32. */
export function workqueue_queued(cpu: Cpu): number {
  return count_pools(cpu, POOL_NR_QUEUED);
}

/** Works run since boot, flush barriers included. Wraps at 2^32. */
export function workqueue_executed(cpu: Cpu): number {
  return count_pools(cpu, POOL_NR_EXECUTED);
}

function count_pools(cpu: Cpu, counter: number): number {
  let sum = 0;
  for (let id = 0; id < NR_POOLS; id++) sum += cpu.mem.readOnce(worker_pool(id) + counter);
  return sum >>> 0;
}
