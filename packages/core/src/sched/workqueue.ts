/**
 * Workqueues (kernel/workqueue.c): works queued to a workqueue run in kworker threads, in process context.
 *
 * Interface: INIT_WORK once, queue_work as often as wanted; cancel_work_sync or flush_work before the item's
 * memory goes, unless its own function frees it. alloc_workqueue for a queue of one's own, destroy_workqueue at
 * the end. The parts: wq-work.ts (the item), wq-queue.ts (the queue), wq-pwq.ts (the queue on one pool),
 * wq-insert.ts (queueing), wq-worker.ts (pools, what schedule() tells them), wq-idle.ts (threads), wq-pool.ts and
 * wq-kworker.ts (running works), wq-rescuer.ts, wq-flush.ts (waiting), wq-cancel.ts (taking back), wq-delayed.ts
 * (after a time or a grace period).
 */
import {
  kernel_exitcall,
  kernel_initcall,
  kernel_static,
  kernel_symbol,
  PERCPU_AREA,
  percpu_static,
} from "../debug/image.ts";
import { LOG_WARN, printk } from "../debug/dmesg.ts";
import { site_id } from "../debug/site.ts";
import { WARN, WARN_ON } from "../debug/warn.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { list_empty } from "../mm/list.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import { call_rcu, type RcuHeadPtr } from "../rcu/rcu.ts";
import { type Cpu, per_cpu_ptr } from "./cpu.ts";
import { init_waitqueue_head } from "./wait.ts";
import { queue_delayed_work, queue_delayed_work_on } from "./wq-delayed.ts";
import { drain_workqueue, wq_is_empty } from "./wq-flush.ts";
import { rescue_init } from "./wq-idle.ts";
import { is_chained_work, queue_work, queue_work_on } from "./wq-insert.ts";
import {
  init_pwq,
  pwq_activate_first_inactive,
  PWQ_INACTIVE,
  PWQ_MAX_ACTIVE,
  PWQ_POOL,
  PWQ_SIZE,
} from "./wq-pwq.ts";
import {
  __WQ_DESTROYING,
  __WQ_ORDERED,
  nr_pwqs,
  pwqs_size,
  WORKQUEUE_SIZE,
  WQ_FLAGS,
  wq_flags,
  WQ_FLUSH_WAITQ,
  WQ_HIGHPRI,
  WQ_LOCK,
  wq_name,
  wq_pwq,
  WQ_RCU,
  WQ_RESCUE,
  WQ_SAVED_MAX_ACTIVE,
  wq_set_pwqs,
  WQ_UNBOUND,
} from "./wq-queue.ts";
import { init_rescuer, stop_rescuer } from "./wq-rescuer.ts";
import type { WorkPtr, WorkqueuePtr } from "./wq-work.ts";
import {
  kick_pool,
  nr_worker_pools,
  POOL_LOCK,
  POOL_NR_EXECUTED,
  POOL_NR_QUEUED,
  raw_smp_processor_id,
  std_worker_pool,
  WORK_CPU_UNBOUND,
  worker_pool,
} from "./wq-worker.ts";

export * from "./wq-delayed.ts";
export {
  cancel_work,
  cancel_work_sync,
  disable_work,
  disable_work_sync,
  enable_and_queue_work,
  enable_work,
  work_busy,
} from "./wq-cancel.ts";
export { drain_workqueue, flush_work, flush_workqueue } from "./wq-flush.ts";
export { queue_work, queue_work_on } from "./wq-insert.ts";
export { kworker_thread } from "./wq-kworker.ts";
export { workqueue_run_one } from "./wq-pool.ts";
export {
  WQ_CPU_INTENSIVE,
  WQ_FREEZABLE,
  WQ_HIGHPRI,
  WQ_MEM_RECLAIM,
  WQ_PERCPU,
  WQ_POWER_EFFICIENT,
  WQ_SYSFS,
  WQ_UNBOUND,
} from "./wq-queue.ts";
export {
  INIT_WORK,
  WORK_BUSY_PENDING,
  WORK_BUSY_RUNNING,
  work_pending,
  type WorkPtr,
  type WorkqueuePtr,
  WORK_STRUCT_SIZE,
} from "./wq-work.ts";
export { current_work, raw_smp_processor_id, WORK_CPU_UNBOUND } from "./wq-worker.ts";

/** Works of one queue that may be on a pool at once: the largest, and what 0 means. */
export const WQ_MAX_ACTIVE = 2048;
export const WQ_DFL_ACTIVE = WQ_MAX_ACTIVE / 2;

/** The static workqueues and their pwqs: no memory of the slab, so that they outlive everything. */
function static_queue(name: string): WorkqueuePtr {
  return kernel_static(name, WORKQUEUE_SIZE) as WorkqueuePtr;
}
const SYSTEM_PERCPU_WQ = static_queue("system_percpu_wq");
const SYSTEM_HIGHPRI_WQ = static_queue("system_highpri_wq");
const SYSTEM_LONG_WQ = static_queue("system_long_wq");
const SYSTEM_DFL_WQ = static_queue("system_dfl_wq");
const PERCPU_PWQS = percpu_static("system_percpu_pwqs", PWQ_SIZE);
const HIGHPRI_PWQS = percpu_static("system_highpri_pwqs", PWQ_SIZE);
const LONG_PWQS = percpu_static("system_long_pwqs", PWQ_SIZE);
const DFL_PWQ = kernel_static("system_dfl_pwq", PWQ_SIZE);

const RCU_FREE_WQ = kernel_symbol(rcu_free_wq);

kernel_initcall(workqueue_init_early);
function workqueue_init_early(cpu: Cpu): void {
  const at = (offset: number): number => per_cpu_ptr(cpu, offset, 0);
  init_workqueue(cpu, SYSTEM_PERCPU_WQ, "events", 0, WQ_DFL_ACTIVE, at(PERCPU_PWQS), PERCPU_AREA);
  init_workqueue(
    cpu,
    SYSTEM_HIGHPRI_WQ,
    "events_highpri",
    WQ_HIGHPRI,
    WQ_DFL_ACTIVE,
    at(HIGHPRI_PWQS),
    PERCPU_AREA,
  );
  init_workqueue(cpu, SYSTEM_LONG_WQ, "events_long", 0, WQ_DFL_ACTIVE, at(LONG_PWQS), PERCPU_AREA);
  init_workqueue(cpu, SYSTEM_DFL_WQ, "events_unbound", WQ_UNBOUND, WQ_MAX_ACTIVE, DFL_PWQ, 0);
}

kernel_exitcall(workqueue_exit);
function workqueue_exit(cpu: Cpu): void {
  WARN(cpu, !wq_is_empty(cpu, SYSTEM_PERCPU_WQ), "workqueue: works left at shutdown");
}

/** The queue for short works of everybody: bound, default max_active. */
export function system_percpu_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_PERCPU_WQ;
}
/** system_percpu_wq by its old name. */
export function system_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_PERCPU_WQ;
}
export function system_highpri_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_HIGHPRI_WQ;
}
/** As system_percpu_wq, for works that may take long: flushing it may too. */
export function system_long_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_LONG_WQ;
}
/** The unbound queue for everybody. */
export function system_dfl_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_DFL_WQ;
}
/** system_dfl_wq by its old name. */
export function system_unbound_wq(_cpu: Cpu): WorkqueuePtr {
  return SYSTEM_DFL_WQ;
}

/** Queues on system_percpu_wq. */
export function schedule_work(cpu: Cpu, work: WorkPtr | number): boolean {
  return queue_work(cpu, SYSTEM_PERCPU_WQ, work);
}
export function schedule_work_on(cpu: Cpu, id: number, work: WorkPtr | number): boolean {
  return queue_work_on(cpu, id, SYSTEM_PERCPU_WQ, work);
}
export function schedule_delayed_work(cpu: Cpu, dwork: number, delay: number): boolean {
  return queue_delayed_work(cpu, SYSTEM_PERCPU_WQ, dwork, delay);
}
export function schedule_delayed_work_on(cpu: Cpu, id: number, dwork: number, delay: number): boolean {
  return queue_delayed_work_on(cpu, id, SYSTEM_PERCPU_WQ, dwork, delay);
}

/** Fills a zeroed queue and its zeroed pwqs, which lie `stride` bytes apart. */
function init_workqueue(
  cpu: Cpu,
  wq: WorkqueuePtr,
  name: string,
  flags: number,
  max_active: number,
  pwqs: number,
  stride: number,
): void {
  wq_set_pwqs(cpu, wq, pwqs, stride, site_id(cpu, name));
  cpu.mem.write(wq + WQ_FLAGS, flags);
  cpu.mem.write(wq + WQ_SAVED_MAX_ACTIVE, max_active);
  spin_lock_init(cpu, wq + WQ_LOCK, "&wq->mutex");
  init_waitqueue_head(cpu, wq + WQ_FLUSH_WAITQ);
  rescue_init(cpu, wq + WQ_RESCUE);
  const unbound = (flags & WQ_UNBOUND) !== 0;
  for (let i = 0; i < nr_pwqs(cpu, wq); i++) {
    const pool = std_worker_pool(cpu, unbound ? WORK_CPU_UNBOUND : i, (flags & WQ_HIGHPRI) !== 0);
    init_pwq(cpu, wq_pwq(cpu, wq, i), wq, pool, max_active);
  }
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

/**
 * Makes a workqueue; `max_active` 0 means the default. It limits the works of the queue that are on a pool at once:
 * per CPU if the queue is bound, in all if it is unbound. 0 when memory is short, or threads for a rescuer. May sleep.
 */
export function alloc_workqueue(cpu: Cpu, name: string, flags: number, max_active: number): WorkqueuePtr {
  const active = clamp_max_active(cpu, name, max_active === 0 ? WQ_DFL_ACTIVE : max_active);
  // Objects of this size are 128-aligned, as pwqs must be.
  const wq = kzalloc(cpu, WORKQUEUE_SIZE + pwqs_size(cpu, flags), GFP_KERNEL) as WorkqueuePtr;
  if (wq === 0) return wq;
  const stride = (flags & WQ_UNBOUND) !== 0 ? 0 : PWQ_SIZE;
  init_workqueue(cpu, wq, name, flags, active, wq + WORKQUEUE_SIZE, stride);
  if (init_rescuer(cpu, wq)) return wq;
  kfree(cpu, wq);
  return 0 as WorkqueuePtr;
}

/** One work at a time, in the order of queueing. */
export function alloc_ordered_workqueue(cpu: Cpu, name: string, flags: number): WorkqueuePtr {
  return alloc_workqueue(cpu, name, WQ_UNBOUND | __WQ_ORDERED | flags, 1);
}

/** Changes max_active of a queue that is in use. */
export function workqueue_set_max_active(cpu: Cpu, wq: WorkqueuePtr, max_active: number): void {
  if (WARN_ON(cpu, (wq_flags(cpu, wq) & __WQ_ORDERED) !== 0)) return;
  const active = clamp_max_active(cpu, wq_name(cpu, wq), max_active);
  spin_lock_irqsave(cpu, wq + WQ_LOCK);
  cpu.mem.write(wq + WQ_SAVED_MAX_ACTIVE, active);
  for (let i = 0; i < nr_pwqs(cpu, wq); i++) pwq_adjust_max_active(cpu, wq_pwq(cpu, wq, i), active);
  spin_unlock_irqrestore(cpu, wq + WQ_LOCK);
}

function pwq_adjust_max_active(cpu: Cpu, pwq: number, active: number): void {
  const pool = cpu.mem.read(pwq + PWQ_POOL);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  cpu.mem.write(pwq + PWQ_MAX_ACTIVE, active);
  while (pwq_activate_first_inactive(cpu, pwq));
  kick_pool(cpu, pool);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
}

/** True when works queued on CPU `id` (WORK_CPU_UNBOUND: this one) wait behind max_active. A guess. */
export function workqueue_congested(cpu: Cpu, id: number, wq: WorkqueuePtr): boolean {
  const pwq = wq_pwq(cpu, wq, id === WORK_CPU_UNBOUND ? raw_smp_processor_id(cpu) : id);
  return !list_empty(cpu, pwq + PWQ_INACTIVE);
}

/** Drains and frees. Nobody may queue any more; a queue that is still busy warns and stays. */
export function destroy_workqueue(cpu: Cpu, wq: WorkqueuePtr): void {
  spin_lock_irqsave(cpu, wq + WQ_LOCK);
  cpu.mem.storeRelease(wq + WQ_FLAGS, wq_flags(cpu, wq) | __WQ_DESTROYING);
  spin_unlock_irqrestore(cpu, wq + WQ_LOCK);
  drain_workqueue(cpu, wq);
  // From its own work: the drain has warned and could not wait.
  if (!is_chained_work(cpu, wq)) stop_rescuer(cpu, wq);
  const busy = !wq_is_empty(cpu, wq);
  if (WARN(cpu, busy, `destroy_workqueue: ${wq_name(cpu, wq)} has the following busy pwq`)) return;
  // Who looks at an item that was on this queue may still read the pwq.
  call_rcu(cpu, (wq + WQ_RCU) as RcuHeadPtr, RCU_FREE_WQ);
}

function rcu_free_wq(cpu: Cpu, head: number): void {
  kfree(cpu, head - WQ_RCU);
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
  for (let id = 0; id < nr_worker_pools(cpu); id++) sum += cpu.mem.readOnce(worker_pool(cpu, id) + counter);
  return sum >>> 0;
}
