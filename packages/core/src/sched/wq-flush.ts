/**
 * Waiting for works and taking them back (kernel/workqueue.c): flush_work, flush_workqueue, cancel_work(_sync),
 * disable_work, drain_workqueue.
 *
 * flush_work puts a barrier work right behind its target, on the same worker. flush_workqueue gives works that
 * come later another colour and waits until no work of the older colours is in flight.
 */
import { kernel_symbol } from "../debug/image.ts";
import { LOG_WARN, printk } from "../debug/dmesg.ts";
import { WARN_ON } from "../debug/warn.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { list_del_init, list_empty, list_next } from "../mm/list.ts";
import { COMPLETION_SIZE, complete, init_completion, wait_for_completion } from "./completion.ts";
import { type Cpu, stack_pop, stack_push } from "./cpu.ts";
import { might_sleep, schedule } from "./schedule.ts";
import { TASK_UNINTERRUPTIBLE } from "./task.ts";
import { finish_wait, prepare_to_wait, wait_entry_push, wake_up_all } from "./wait.ts";
import { find_executing_worker } from "./wq-pool.ts";
import {
  __WQ_DRAINING,
  insert_work,
  move_linked_works,
  wq_dec_nr_in_flight,
  WQ_FLAGS,
  WQ_FLUSHING,
  WQ_FLUSH_WAITQ,
  WQ_INACTIVE,
  wq_name,
  WQ_NR_ACTIVE,
  WQ_NR_DRAINERS,
  WQ_NR_IN_FLIGHT,
  wq_pool,
  WQ_WORK_COLOR,
} from "./wq-queue.ts";
import {
  data_is_queued,
  data_wq,
  INIT_WORK,
  offq_data,
  offq_disable_depth,
  offq_pool,
  queued_data,
  set_work_data,
  work_claim,
  work_data,
  WORK_ENTRY,
  WORK_FUNC,
  WORK_NO_COLOR,
  WORK_NR_COLORS,
  WORK_STRUCT_INACTIVE,
  WORK_STRUCT_LINKED,
  WORK_STRUCT_PENDING,
  WORK_STRUCT_SIZE,
  type WorkPtr,
  type WorkqueuePtr,
} from "./wq-work.ts";
import { kick_pool, POOL_LOCK, POOL_WORKLIST, WORKER_CURRENT_WQ, WORKER_SCHEDULED } from "./wq-worker.ts";

/** struct wq_barrier, on the flusher's stack. */
const BARRIER_DONE = WORK_STRUCT_SIZE;
const BARRIER_SIZE = WORK_STRUCT_SIZE + COMPLETION_SIZE;

const WQ_BARRIER_FUNC = kernel_symbol(wq_barrier_func);

function wq_barrier_func(cpu: Cpu, work: number): void {
  complete(cpu, work + BARRIER_DONE);
}

/** The pool that has the item or ran it last; 0 if it was never queued. */
function work_pool(cpu: Cpu, work: number): number {
  const data = work_data(cpu, work);
  const wq = data_wq(data);
  return wq !== 0 ? wq_pool(cpu, wq) : offq_pool(data);
}

/** Waits until the item's last queueing has run. True if it had to wait; false if the item was idle. */
export function flush_work(cpu: Cpu, work: WorkPtr | number): boolean {
  if (WARN_ON(cpu, cpu.mem.read(work + WORK_FUNC) === 0)) return false;
  might_sleep(cpu);
  const barrier = stack_push(cpu, BARRIER_SIZE);
  const waits = start_flush_work(cpu, work, barrier);
  if (waits) wait_for_completion(cpu, barrier + BARRIER_DONE);
  stack_pop(cpu, barrier);
  return waits;
}

function start_flush_work(cpu: Cpu, work: number, barrier: number): boolean {
  const pool = work_pool(cpu, work);
  if (pool === 0) return false;
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  const waits = insert_wq_barrier(cpu, pool, work, barrier);
  if (waits) kick_pool(cpu, pool);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  return waits;
}

/** Puts the barrier behind a queued or running item; false if it is neither. Pool lock held. */
function insert_wq_barrier(cpu: Cpu, pool: number, work: number, barrier: number): boolean {
  const data = work_data(cpu, work);
  const queued = data_wq(data);
  if (queued !== 0 && wq_pool(cpu, queued) !== pool) return false;
  const worker = queued !== 0 ? 0 : find_executing_worker(cpu, pool, work);
  if (queued === 0 && worker === 0) return false;
  INIT_WORK(cpu, barrier, WQ_BARRIER_FUNC);
  init_completion(cpu, barrier + BARRIER_DONE);
  if (worker !== 0) {
    const wq = cpu.mem.read(worker + WORKER_CURRENT_WQ);
    insert_work(cpu, barrier, queued_data(wq, WORK_NO_COLOR, 0), list_next(cpu, worker + WORKER_SCHEDULED));
    return true;
  }
  // An earlier barrier of this item stays linked, behind ours.
  const linked = data & WORK_STRUCT_LINKED;
  const next = list_next(cpu, work + WORK_ENTRY);
  set_work_data(cpu, work, data | WORK_STRUCT_LINKED);
  insert_work(cpu, barrier, queued_data(queued, WORK_NO_COLOR, linked), next);
  return true;
}

/** Waits until every work queued before this call has finished. */
export function flush_workqueue(cpu: Cpu, wq: WorkqueuePtr): void {
  might_sleep(cpu);
  const pool = wq_pool(cpu, wq);
  const entry = wait_entry_push(cpu);
  let color = WORK_NO_COLOR;
  for (;;) {
    prepare_to_wait(cpu, wq + WQ_FLUSH_WAITQ, entry, TASK_UNINTERRUPTIBLE);
    spin_lock_irqsave(cpu, pool + POOL_LOCK);
    if (color === WORK_NO_COLOR) color = start_flush_color(cpu, wq);
    const done = color !== WORK_NO_COLOR && colors_done(cpu, wq, color);
    if (done) cpu.mem.write(wq + WQ_FLUSHING, cpu.mem.read(wq + WQ_FLUSHING) & ~(1 << color));
    spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
    if (done) break;
    schedule(cpu);
  }
  finish_wait(cpu, wq + WQ_FLUSH_WAITQ, entry);
  // Our colour is free: a flusher that found none may start.
  wake_up_all(cpu, wq + WQ_FLUSH_WAITQ);
}

/** Gives later works the next colour and returns the one to wait for; WORK_NO_COLOR if all are taken. */
function start_flush_color(cpu: Cpu, wq: number): number {
  const color = cpu.mem.read(wq + WQ_WORK_COLOR);
  const next = (color + 1) % WORK_NR_COLORS;
  const flushing = cpu.mem.read(wq + WQ_FLUSHING);
  if ((flushing & (1 << next)) !== 0) return WORK_NO_COLOR;
  cpu.mem.write(wq + WQ_FLUSHING, flushing | (1 << color));
  cpu.mem.write(wq + WQ_WORK_COLOR, next);
  return color;
}

/** No work of this colour or an older one is in flight. */
function colors_done(cpu: Cpu, wq: number, color: number): boolean {
  const newest = cpu.mem.read(wq + WQ_WORK_COLOR);
  let c = color;
  while (c !== newest) {
    if (cpu.mem.read(wq + WQ_NR_IN_FLIGHT + c * 4) !== 0) return false;
    c = (c + WORK_NR_COLORS - 1) % WORK_NR_COLORS;
  }
  return true;
}

/** Takes a queued item off its list. Pool lock held; the caller keeps PENDING. */
function grab_queued(cpu: Cpu, pool: number, work: number, data: number): void {
  const wq = data_wq(data);
  // Barriers behind an inactive item must not stay on that list: they run, and so end their flushes.
  if ((data & WORK_STRUCT_INACTIVE) !== 0) move_linked_works(cpu, work, pool + POOL_WORKLIST);
  list_del_init(cpu, work + WORK_ENTRY);
  wq_dec_nr_in_flight(cpu, wq, data);
  set_work_data(cpu, work, offq_data(pool, 0) | WORK_STRUCT_PENDING);
  kick_pool(cpu, pool);
}

/** 1: was queued, 0: was idle, both with PENDING ours now. -1: somebody is changing it, try again. */
export function try_to_grab_pending(cpu: Cpu, work: number): number {
  if ((work_claim(cpu, work) & WORK_STRUCT_PENDING) === 0) return 0;
  const pool = work_pool(cpu, work);
  if (pool === 0) return -1;
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  const data = work_data(cpu, work);
  const wq = data_wq(data);
  const grabbed = wq !== 0 && wq_pool(cpu, wq) === pool;
  if (grabbed) grab_queued(cpu, pool, work, data);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  return grabbed ? 1 : -1;
}

/** Makes PENDING ours. Returns whether the item was pending. */
function work_grab_pending(cpu: Cpu, work: number): boolean {
  for (;;) {
    const result = try_to_grab_pending(cpu, work);
    if (result >= 0) return result === 1;
    cpu.mem.pause();
  }
}

/** Gives PENDING back with another disable depth. */
export function work_release_pending(cpu: Cpu, work: number, change: number): void {
  const data = work_data(cpu, work);
  set_work_data(cpu, work, offq_data(offq_pool(data), offq_disable_depth(data) + change));
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
  const was = disable_work(cpu, work);
  flush_work(cpu, work);
  return was;
}

/** True when the work may be queued again. */
export function enable_work(cpu: Cpu, work: WorkPtr | number): boolean {
  work_grab_pending(cpu, work);
  const enabled = !WARN_ON(cpu, offq_disable_depth(work_data(cpu, work)) === 0);
  work_release_pending(cpu, work, enabled ? -1 : 0);
  return offq_disable_depth(work_data(cpu, work)) === 0;
}

/** Waits until the queue is empty; meanwhile only its own works may queue more. */
export function drain_workqueue(cpu: Cpu, wq: WorkqueuePtr): void {
  change_drainers(cpu, wq, 1);
  for (let tries = 1; ; tries++) {
    flush_workqueue(cpu, wq);
    if (wq_is_empty(cpu, wq)) break;
    if (tries === 10 || (tries % 100 === 0 && tries <= 1000)) {
      printk(
        cpu,
        LOG_WARN,
        `workqueue ${wq_name(cpu, wq)}: drain_workqueue() isn't complete after ${tries} tries`,
      );
    }
  }
  change_drainers(cpu, wq, -1);
}

function change_drainers(cpu: Cpu, wq: number, change: number): void {
  const lock = wq_pool(cpu, wq) + POOL_LOCK;
  spin_lock_irqsave(cpu, lock);
  const drainers = cpu.mem.read(wq + WQ_NR_DRAINERS) + change;
  const flags = cpu.mem.read(wq + WQ_FLAGS);
  cpu.mem.write(wq + WQ_NR_DRAINERS, drainers);
  cpu.mem.storeRelease(wq + WQ_FLAGS, drainers === 0 ? flags & ~__WQ_DRAINING : flags | __WQ_DRAINING);
  spin_unlock_irqrestore(cpu, lock);
}

/** No work is queued or running. */
export function wq_is_empty(cpu: Cpu, wq: WorkqueuePtr): boolean {
  const lock = wq_pool(cpu, wq) + POOL_LOCK;
  spin_lock_irqsave(cpu, lock);
  let empty = cpu.mem.read(wq + WQ_NR_ACTIVE) === 0 && list_empty(cpu, wq + WQ_INACTIVE);
  for (let c = 0; c < WORK_NR_COLORS; c++) {
    if (cpu.mem.read(wq + WQ_NR_IN_FLIGHT + c * 4) !== 0) empty = false;
  }
  spin_unlock_irqrestore(cpu, lock);
  return empty;
}

/** True while the item is queued or runs; racy by nature. */
export function work_busy(cpu: Cpu, work: WorkPtr | number): boolean {
  const data = work_data(cpu, work);
  if ((data & WORK_STRUCT_PENDING) !== 0 || data_is_queued(data)) return true;
  // From the word that was looked at: by now the item may be queued, and its data mean a workqueue.
  const pool = offq_pool(data);
  if (pool === 0) return false;
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  const running = find_executing_worker(cpu, pool, work) !== 0;
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  return running;
}
