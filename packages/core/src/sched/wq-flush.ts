/**
 * Waiting for works (kernel/workqueue.c): flush_work, flush_workqueue, drain_workqueue.
 *
 * flush_work puts a barrier work right behind its target, on the same worker. flush_workqueue gives works that
 * come later another colour and waits until no work of the older colours is in flight on any pool.
 *
 * Unlike Linux, a wait that can never end (a work that waits for itself or its own queue) warns and returns at once.
 */
import { kernel_symbol, symbol_name } from "../debug/image.ts";
import { LOG_WARN, printk } from "../debug/dmesg.ts";
import { WARN, WARN_ON, WARN_ONCE } from "../debug/warn.ts";
import { lock_map_acquire, lock_map_release, lockdep_work_map } from "../lock/lockdep.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { list_next } from "../mm/list.ts";
import { rcu_read_lock, rcu_read_unlock } from "../rcu/qs.ts";
import {
  BLOCKER_WORK,
  BLOCKER_WORKQUEUE,
  hung_task_clear_blocker,
  hung_task_set_blocker,
} from "./blocker.ts";
import { COMPLETION_SIZE, complete, init_completion, wait_for_completion } from "./completion.ts";
import { type Cpu, stack_pop, stack_push } from "./cpu.ts";
import { might_sleep, schedule } from "./schedule.ts";
import { TASK_UNINTERRUPTIBLE } from "./task.ts";
import { finish_wait, prepare_to_wait, wait_entry_push, wake_up_all } from "./wait.ts";
import {
  WORKER_CURRENT_DATA,
  WORKER_CURRENT_FUNC,
  WORKER_CURRENT_PWQ,
  WORKER_CURRENT_WORK,
  WORKER_SCHEDULED,
} from "./wq-idle.ts";
import { is_chained_work } from "./wq-insert.ts";
import { find_executing_worker } from "./wq-pool.ts";
import {
  insert_work,
  PWQ_MAX_ACTIVE,
  PWQ_POOL,
  pwq_busy,
  pwq_colors_done,
  PWQ_WORK_COLOR,
  PWQ_WQ,
} from "./wq-pwq.ts";
import {
  __WQ_DRAINING,
  current_pwq,
  nr_pwqs,
  touch_wq_lockdep_map,
  WQ_FLAGS,
  wq_flags,
  WQ_FLUSHING,
  WQ_FLUSH_WAITQ,
  WQ_LOCK,
  WQ_MEM_RECLAIM,
  wq_name,
  WQ_NR_DRAINERS,
  wq_pwq,
  wq_rescuer,
  WQ_SAVED_MAX_ACTIVE,
  WQ_WORK_COLOR,
} from "./wq-queue.ts";
import {
  data_color,
  data_pwq,
  INIT_WORK,
  offq_pool,
  set_work_data,
  work_data,
  WORK_ENTRY,
  WORK_FUNC,
  WORK_NR_COLORS,
  WORK_STRUCT_INACTIVE,
  WORK_STRUCT_LINKED,
  WORK_STRUCT_SIZE,
  type WorkPtr,
  type WorkqueuePtr,
} from "./wq-work.ts";
import { current_wq_worker, kick_pool, POOL_LOCK } from "./wq-worker.ts";

/** struct wq_barrier, on the flusher's stack. */
const BARRIER_DONE = WORK_STRUCT_SIZE;
const BARRIER_SIZE = WORK_STRUCT_SIZE + COMPLETION_SIZE;
/** No colour of a flush was free. */
const NO_COLOR = -1;

const WQ_BARRIER_FUNC = kernel_symbol(wq_barrier_func);

function wq_barrier_func(cpu: Cpu, work: number): void {
  complete(cpu, work + BARRIER_DONE);
}

/** get_work_pool(): the pool that has the item or ran it last; 0 if it was never queued. In a read section. */
export function work_pool(cpu: Cpu, data: number): number {
  const pwq = data_pwq(data);
  // The item may run now, and its queue be destroyed: the pwq stays until we leave the read section.
  return pwq !== 0 ? cpu.mem.read(pwq + PWQ_POOL) : offq_pool(cpu, data);
}

/** Waits until the item's last queueing has run. True if it had to wait; false if the item was idle. */
export function flush_work(cpu: Cpu, work: WorkPtr | number): boolean {
  return __flush_work(cpu, work, false);
}

/** `from_cancel`: the caller has taken the item back and waits for a running instance only. */
export function __flush_work(cpu: Cpu, work: number, from_cancel: boolean): boolean {
  if (WARN_ON(cpu, cpu.mem.read(work + WORK_FUNC) === 0)) return false;
  might_sleep(cpu);
  if (waits_for_itself(cpu, work)) return false;
  // Also for an idle item: a flush under a lock that the work takes is told before it ever deadlocks.
  if (cpu.lockdep && !from_cancel) touch_work_lockdep_map(cpu, cpu.mem.read(work + WORK_FUNC));
  const barrier = stack_push(cpu, BARRIER_SIZE);
  rcu_read_lock(cpu);
  const waits = start_flush_work(cpu, work, barrier, from_cancel);
  rcu_read_unlock(cpu);
  if (waits) {
    const saved = hung_task_set_blocker(cpu, BLOCKER_WORK, work);
    wait_for_completion(cpu, barrier + BARRIER_DONE);
    hung_task_clear_blocker(cpu, saved);
  }
  stack_pop(cpu, barrier);
  return waits;
}

function waits_for_itself(cpu: Cpu, work: number): boolean {
  const worker = current_wq_worker(cpu);
  if (worker === 0 || cpu.mem.read(worker + WORKER_CURRENT_WORK) !== work) return false;
  const func = cpu.mem.read(work + WORK_FUNC);
  if (cpu.mem.read(worker + WORKER_CURRENT_FUNC) !== func) return false;
  if (cpu.lockdep) touch_work_lockdep_map(cpu, func);
  return WARN(cpu, true, `workqueue: ${symbol_name(func)} waits for its own work, which would never end`);
}

function touch_work_lockdep_map(cpu: Cpu, func: number): void {
  const map = lockdep_work_map(cpu, func);
  lock_map_acquire(cpu, map);
  lock_map_release(cpu, map);
}

function start_flush_work(cpu: Cpu, work: number, barrier: number, from_cancel: boolean): boolean {
  const pool = work_pool(cpu, work_data(cpu, work));
  if (pool === 0) return false;
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  const data = work_data(cpu, work);
  const queued = data_pwq(data);
  const worker = queued !== 0 ? 0 : find_executing_worker(cpu, pool, work);
  const pwq = worker !== 0 ? cpu.mem.read(worker + WORKER_CURRENT_PWQ) : queued;
  const gone = pwq === 0 || cpu.mem.read(pwq + PWQ_POOL) !== pool;
  const waits = !gone && !blocks_its_turn(cpu, pwq, data, work);
  const wq = gone ? 0 : cpu.mem.read(pwq + PWQ_WQ);
  if (waits) {
    check_flush_dependency(cpu, wq, work, from_cancel);
    insert_wq_barrier(cpu, pwq, work, barrier, worker);
    kick_pool(cpu, pool);
  }
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  if (cpu.lockdep && !gone) {
    touch_work_lockdep_map(cpu, cpu.mem.read(work + WORK_FUNC));
    // One work at a time, or a rescuer that is that one: whoever waits for a work waits for the others too.
    const single = cpu.mem.read(wq + WQ_SAVED_MAX_ACTIVE) === 1 || wq_rescuer(cpu, wq) !== 0;
    if (!from_cancel && single) touch_wq_lockdep_map(cpu, wq);
  }
  return waits;
}

/** The item waits for the end of the very work that flushes it: max_active is 1. Pool lock held. */
function blocks_its_turn(cpu: Cpu, pwq: number, data: number, work: number): boolean {
  const mine = current_pwq(cpu) === pwq && cpu.mem.read(pwq + PWQ_MAX_ACTIVE) === 1;
  if (!mine || data_pwq(data) === 0 || (data & WORK_STRUCT_INACTIVE) === 0) return false;
  const name = symbol_name(cpu.mem.read(work + WORK_FUNC));
  const wq = wq_name(cpu, cpu.mem.read(pwq + PWQ_WQ));
  return WARN(cpu, true, `workqueue: flush of ${name} by the work before it on ${wq} would never end`);
}

/** Puts the barrier behind a queued item, or one that `worker` runs. Pool lock held. */
function insert_wq_barrier(cpu: Cpu, pwq: number, work: number, barrier: number, worker: number): void {
  INIT_WORK(cpu, barrier, WQ_BARRIER_FUNC);
  init_completion(cpu, barrier + BARRIER_DONE);
  if (worker !== 0) {
    const color = data_color(cpu.mem.read(worker + WORKER_CURRENT_DATA));
    insert_work(cpu, pwq, barrier, list_next(cpu, worker + WORKER_SCHEDULED), color, WORK_STRUCT_INACTIVE);
    return;
  }
  const data = work_data(cpu, work);
  // An earlier barrier of this item stays linked, behind ours.
  const flags = WORK_STRUCT_INACTIVE | (data & WORK_STRUCT_LINKED);
  set_work_data(cpu, work, data | WORK_STRUCT_LINKED);
  insert_work(cpu, pwq, barrier, list_next(cpu, work + WORK_ENTRY), data_color(data), flags);
}

/** A queue that guarantees progress must not wait for one that does not. `work`: 0 when the whole queue is meant. */
function check_flush_dependency(cpu: Cpu, wq: number, work: number, from_cancel: boolean): void {
  if (from_cancel || (wq_flags(cpu, wq) & WQ_MEM_RECLAIM) !== 0) return;
  const pwq = current_pwq(cpu);
  const own = pwq === 0 ? 0 : cpu.mem.read(pwq + PWQ_WQ);
  if (own === 0 || (wq_flags(cpu, own) & WQ_MEM_RECLAIM) === 0) return;
  const own_func = symbol_name(cpu.mem.read(current_wq_worker(cpu) + WORKER_CURRENT_FUNC));
  const func = work === 0 ? "0x0" : symbol_name(cpu.mem.read(work + WORK_FUNC));
  const text = `${wq_name(cpu, own)}:${own_func} is flushing !WQ_MEM_RECLAIM ${wq_name(cpu, wq)}:${func}`;
  WARN_ONCE(cpu, true, `workqueue: WQ_MEM_RECLAIM ${text}`);
}

/** This task is a work of the queue and would wait for its own end. */
function waits_for_own_queue(cpu: Cpu, wq: WorkqueuePtr): boolean {
  if (cpu.lockdep) touch_wq_lockdep_map(cpu, wq);
  const text = `workqueue: a work of ${wq_name(cpu, wq)} waits for its own queue, which would never end`;
  return is_chained_work(cpu, wq) && WARN(cpu, true, text);
}

/** Waits until every work queued before this call has finished. */
export function flush_workqueue(cpu: Cpu, wq: WorkqueuePtr): void {
  might_sleep(cpu);
  if (waits_for_own_queue(cpu, wq)) return;
  check_flush_dependency(cpu, wq, 0, false);
  const entry = wait_entry_push(cpu);
  const saved = hung_task_set_blocker(cpu, BLOCKER_WORKQUEUE, wq);
  let color = NO_COLOR;
  for (;;) {
    prepare_to_wait(cpu, wq + WQ_FLUSH_WAITQ, entry, TASK_UNINTERRUPTIBLE);
    if (color === NO_COLOR) color = start_flush_color(cpu, wq);
    if (color !== NO_COLOR && wq_colors_done(cpu, wq, color)) break;
    schedule(cpu);
  }
  hung_task_clear_blocker(cpu, saved);
  finish_wait(cpu, wq + WQ_FLUSH_WAITQ, entry);
  spin_lock_irqsave(cpu, wq + WQ_LOCK);
  cpu.mem.storeRelease(wq + WQ_FLUSHING, cpu.mem.read(wq + WQ_FLUSHING) & ~(1 << color));
  spin_unlock_irqrestore(cpu, wq + WQ_LOCK);
  // Our colour is free: a flusher that found none may start.
  wake_up_all(cpu, wq + WQ_FLUSH_WAITQ);
}

/** Gives later works the next colour and returns the one to wait for; NO_COLOR if all are taken. */
function start_flush_color(cpu: Cpu, wq: number): number {
  spin_lock_irqsave(cpu, wq + WQ_LOCK);
  const color = cpu.mem.read(wq + WQ_WORK_COLOR);
  const next = (color + 1) % WORK_NR_COLORS;
  const flushing = cpu.mem.read(wq + WQ_FLUSHING);
  const free = (flushing & (1 << next)) === 0;
  if (free) {
    // Before the pwqs change colour: who ends the last old work after that sees that somebody waits.
    cpu.mem.storeRelease(wq + WQ_FLUSHING, flushing | (1 << color));
    cpu.mem.write(wq + WQ_WORK_COLOR, next);
    for (let i = 0; i < nr_pwqs(cpu, wq); i++) set_pwq_color(cpu, wq_pwq(cpu, wq, i), next);
  }
  spin_unlock_irqrestore(cpu, wq + WQ_LOCK);
  return free ? color : NO_COLOR;
}

function set_pwq_color(cpu: Cpu, pwq: number, color: number): void {
  const pool = cpu.mem.read(pwq + PWQ_POOL);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  cpu.mem.write(pwq + PWQ_WORK_COLOR, color);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
}

/** On no pool a work of this colour or an older one is in flight. */
function wq_colors_done(cpu: Cpu, wq: number, color: number): boolean {
  for (let i = 0; i < nr_pwqs(cpu, wq); i++) {
    const pwq = wq_pwq(cpu, wq, i);
    const pool = cpu.mem.read(pwq + PWQ_POOL);
    spin_lock_irqsave(cpu, pool + POOL_LOCK);
    const done = pwq_colors_done(cpu, pwq, color);
    spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
    if (!done) return false;
  }
  return true;
}

/** Waits until the queue is empty; meanwhile only its own works may queue more. */
export function drain_workqueue(cpu: Cpu, wq: WorkqueuePtr): void {
  if (is_chained_work(cpu, wq)) {
    waits_for_own_queue(cpu, wq);
    return;
  }
  change_drainers(cpu, wq, 1);
  for (let tries = 1; ; tries++) {
    flush_workqueue(cpu, wq);
    if (wq_is_empty(cpu, wq)) break;
    if (tries === 10 || (tries % 100 === 0 && tries <= 1000)) {
      const text = `drain_workqueue() isn't complete after ${tries} tries`;
      printk(cpu, LOG_WARN, `workqueue ${wq_name(cpu, wq)}: ${text}`);
    }
  }
  change_drainers(cpu, wq, -1);
}

function change_drainers(cpu: Cpu, wq: number, change: number): void {
  spin_lock_irqsave(cpu, wq + WQ_LOCK);
  const drainers = cpu.mem.read(wq + WQ_NR_DRAINERS) + change;
  const flags = cpu.mem.read(wq + WQ_FLAGS);
  cpu.mem.write(wq + WQ_NR_DRAINERS, drainers);
  cpu.mem.storeRelease(wq + WQ_FLAGS, drainers === 0 ? flags & ~__WQ_DRAINING : flags | __WQ_DRAINING);
  spin_unlock_irqrestore(cpu, wq + WQ_LOCK);
}

/** No work is queued or running. */
export function wq_is_empty(cpu: Cpu, wq: WorkqueuePtr): boolean {
  for (let i = 0; i < nr_pwqs(cpu, wq); i++) {
    const pwq = wq_pwq(cpu, wq, i);
    const pool = cpu.mem.read(pwq + PWQ_POOL);
    spin_lock_irqsave(cpu, pool + POOL_LOCK);
    const busy = pwq_busy(cpu, pwq);
    spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
    if (busy) return false;
  }
  return true;
}
