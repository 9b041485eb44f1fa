/**
 * Taking works back (kernel/workqueue.c): cancel_work(_sync), disable_work(_sync), enable_work, work_busy.
 *
 * Whoever cancels first makes PENDING its own, from idle, from the queue, or from whoever gives it up; while it
 * has it nobody else can queue or cancel the item.
 */
import { kernel_symbol } from "../debug/image.ts";
import { debug_obj_fixup, debug_object_deactivate } from "../debug/objects.ts";
import { WARN_ONCE } from "../debug/warn.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { list_del_init } from "../mm/list.ts";
import { rcu_read_lock, rcu_read_unlock } from "../rcu/qs.ts";
import type { Cpu } from "./cpu.ts";
import { cond_resched, in_atomic, might_sleep } from "./schedule.ts";
import { __flush_work, work_pool } from "./wq-flush.ts";
import { queue_work } from "./wq-insert.ts";
import { find_executing_worker } from "./wq-pool.ts";
import { move_linked_works, pwq_dec_nr_in_flight, PWQ_POOL } from "./wq-pwq.ts";
import {
  data_is_queued,
  data_pwq,
  offq_data,
  offq_disable_depth,
  offq_pool,
  set_work_data,
  WORK_BUSY_PENDING,
  WORK_BUSY_RUNNING,
  work_claim,
  WORK_DEBUG,
  work_data,
  WORK_DATA,
  WORK_ENTRY,
  WORK_OFFQ_DISABLE_MAX,
  WORK_OFFQ_DROPPED,
  WORK_STRUCT_INACTIVE,
  WORK_STRUCT_PENDING,
  type WorkPtr,
  type WorkqueuePtr,
} from "./wq-work.ts";
import { kick_pool, POOL_LOCK, POOL_WORKLIST } from "./wq-worker.ts";

debug_obj_fixup(WORK_DEBUG, kernel_symbol(cancel_work_sync));

/** 1: was pending, 0: was idle, both with PENDING ours now. -1: somebody is changing it, try again. */
export function try_to_grab_pending(cpu: Cpu, work: number): number {
  if ((work_claim(cpu, work) & WORK_STRUCT_PENDING) === 0) return 0;
  rcu_read_lock(cpu);
  const data = work_data(cpu, work);
  const dropped = !data_is_queued(data) && (data & WORK_OFFQ_DROPPED) !== 0;
  const grabbed = dropped ? grab_dropped(cpu, work, data) : grab_from_pool(cpu, work, work_pool(cpu, data));
  rcu_read_unlock(cpu);
  return grabbed ? 1 : -1;
}

/** A draining queue refused the item: PENDING is nobody's. */
function grab_dropped(cpu: Cpu, work: number, data: number): boolean {
  return cpu.mem.compareExchange(work + WORK_DATA, data, data & ~WORK_OFFQ_DROPPED) === data;
}

function grab_from_pool(cpu: Cpu, work: number, pool: number): boolean {
  if (pool === 0) return false;
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  const data = work_data(cpu, work);
  const pwq = data_pwq(data);
  const queued = pwq !== 0 && cpu.mem.read(pwq + PWQ_POOL) === pool;
  if (queued) grab_queued(cpu, pool, pwq, work, data);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  return queued;
}

/** Takes a queued item off its list. Pool lock held; PENDING stays. */
function grab_queued(cpu: Cpu, pool: number, pwq: number, work: number, data: number): void {
  // Barriers behind an inactive item must not stay on that list: they run, and so end their flushes.
  if ((data & WORK_STRUCT_INACTIVE) !== 0) move_linked_works(cpu, work, pool + POOL_WORKLIST);
  list_del_init(cpu, work + WORK_ENTRY);
  if (cpu.lockdep) debug_object_deactivate(cpu, work);
  set_work_data(cpu, work, offq_data(cpu, pool, 0) | WORK_STRUCT_PENDING);
  pwq_dec_nr_in_flight(cpu, pwq, data);
  kick_pool(cpu, pool);
}

/** Lets others get on while somebody else is about to queue the item, or waits for a grace period to do so. */
export function grab_pause(cpu: Cpu): void {
  cpu.mem.pause();
  if (!in_atomic(cpu)) cond_resched(cpu);
}

/** Makes PENDING ours. Returns whether the item was pending. */
function work_grab_pending(cpu: Cpu, work: number): boolean {
  for (;;) {
    const result = try_to_grab_pending(cpu, work);
    if (result >= 0) return result === 1;
    grab_pause(cpu);
  }
}

/** Gives PENDING back with another disable depth; the new depth. */
export function work_release_pending(cpu: Cpu, work: number, change: number): number {
  const data = work_data(cpu, work);
  const old = offq_disable_depth(data);
  const over = change > 0 && old === WORK_OFFQ_DISABLE_MAX;
  const under = change < 0 && old === 0;
  WARN_ONCE(cpu, over, "workqueue: work disable count overflowed");
  WARN_ONCE(cpu, under, "workqueue: work disable count underflowed");
  const depth = over || under ? old : old + change;
  set_work_data(cpu, work, offq_data(cpu, offq_pool(cpu, data), depth));
  return depth;
}

/** Takes a pending item back. True iff it was pending; one that runs goes on. */
export function cancel_work(cpu: Cpu, work: WorkPtr | number): boolean {
  const was = work_grab_pending(cpu, work);
  work_release_pending(cpu, work, 0);
  return was;
}

/** Takes it back and waits for a running instance, which cannot re-queue itself meanwhile. True iff pending. */
export function cancel_work_sync(cpu: Cpu, work: WorkPtr | number): boolean {
  const was = disable_work_sync(cpu, work);
  enable_work(cpu, work);
  return was;
}

/** cancel_work, and queue_work returns false until enable_work was called as often. */
export function disable_work(cpu: Cpu, work: WorkPtr | number): boolean {
  const was = work_grab_pending(cpu, work);
  work_release_pending(cpu, work, 1);
  return was;
}

export function disable_work_sync(cpu: Cpu, work: WorkPtr | number): boolean {
  might_sleep(cpu);
  const was = disable_work(cpu, work);
  __flush_work(cpu, work, true);
  return was;
}

/** True when the work may be queued again. */
export function enable_work(cpu: Cpu, work: WorkPtr | number): boolean {
  work_grab_pending(cpu, work);
  return work_release_pending(cpu, work, -1) === 0;
}

/** Enables, and if it may be queued now does so. True iff it may. */
export function enable_and_queue_work(cpu: Cpu, wq: WorkqueuePtr, work: WorkPtr | number): boolean {
  if (!enable_work(cpu, work)) return false;
  queue_work(cpu, wq, work);
  return true;
}

/** WORK_BUSY_PENDING, WORK_BUSY_RUNNING, both or 0; out of date as soon as it returns. */
export function work_busy(cpu: Cpu, work: WorkPtr | number): number {
  rcu_read_lock(cpu);
  const data = work_data(cpu, work);
  const pool = work_pool(cpu, data);
  let busy = (data & WORK_STRUCT_PENDING) !== 0 ? WORK_BUSY_PENDING : 0;
  if (pool !== 0) {
    spin_lock_irqsave(cpu, pool + POOL_LOCK);
    if (find_executing_worker(cpu, pool, work) !== 0) busy |= WORK_BUSY_RUNNING;
    spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  }
  rcu_read_unlock(cpu);
  return busy;
}
