/**
 * Completions (kernel/sched/completion.c): a count of "done" and a queue of waiters, FIFO.
 *
 * A completion may live on the waiter's stack: complete() touches it only under its lock, and the waiter
 * takes that lock before it returns.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty, list_next } from "../mm/list.ts";
import { BLOCKER_COMPLETION, hung_task_clear_blocker, hung_task_set_blocker } from "./blocker.ts";
import { type Cpu, stack_pop, stack_push } from "./cpu.ts";
import { ERESTARTSYS } from "../debug/errno.ts";
import { MAX_SCHEDULE_TIMEOUT, might_sleep, schedule_timeout } from "./schedule.ts";
import {
  current_task,
  set_current_state,
  signal_pending_state,
  TASK_INTERRUPTIBLE,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  type TaskPtr,
  wake_up_process,
} from "./task.ts";

export type CompletionPtr = Ptr<"completion">;

const LOCK = 0;
// Guarded by LOCK:
const DONE = 4;
const WAITERS = 8;
export const COMPLETION_SIZE = 16;

// A waiter, on its stack: list entry, task. Guarded by LOCK.
const ENTRY = 0;
const TASK = 8;
const WAITER_SIZE = 16;

/** UINT_MAX, by complete_all: every wait succeeds from now on. */
const DONE_ALL = -1;

struct_layout("completion", COMPLETION_SIZE, [
  ["wait.lock", LOCK, 4],
  ["done", DONE, 4],
  ["wait.task_list", WAITERS, 8],
]);

export function init_completion(cpu: Cpu, x: number): void {
  spin_lock_init(cpu, x + LOCK, "&x->wait.lock");
  cpu.mem.write(x + DONE, 0);
  INIT_LIST_HEAD(cpu, x + WAITERS);
}

/** Forgets earlier complete() calls; nobody may be waiting. */
export function reinit_completion(cpu: Cpu, x: number): void {
  cpu.mem.write(x + DONE, 0);
}

/** Lets one wait, present or future, pass. */
export function complete(cpu: Cpu, x: number): void {
  spin_lock_irqsave(cpu, x + LOCK);
  const done = cpu.mem.read(x + DONE);
  if (done !== DONE_ALL) cpu.mem.write(x + DONE, done + 1);
  wake_first(cpu, x);
  spin_unlock_irqrestore(cpu, x + LOCK);
}

/** Lets all waits pass, present and future. */
export function complete_all(cpu: Cpu, x: number): void {
  spin_lock_irqsave(cpu, x + LOCK);
  cpu.mem.write(x + DONE, DONE_ALL);
  while (wake_first(cpu, x));
  spin_unlock_irqrestore(cpu, x + LOCK);
}

function wake_first(cpu: Cpu, x: number): boolean {
  if (list_empty(cpu, x + WAITERS)) return false;
  const waiter = list_next(cpu, x + WAITERS) - ENTRY;
  list_del_init(cpu, waiter + ENTRY);
  wake_up_process(cpu, cpu.mem.read(waiter + TASK) as TaskPtr);
  return true;
}

function consume(cpu: Cpu, x: number): boolean {
  const done = cpu.mem.read(x + DONE);
  if (done === 0) return false;
  if (done !== DONE_ALL) cpu.mem.write(x + DONE, done - 1);
  return true;
}

function wait_common(cpu: Cpu, x: number, timeout: number, state: number): number {
  might_sleep(cpu);
  const waiter = stack_push(cpu, WAITER_SIZE);
  cpu.mem.write(waiter + TASK, current_task(cpu));
  INIT_LIST_HEAD(cpu, waiter + ENTRY);
  const blocker = hung_task_set_blocker(cpu, BLOCKER_COMPLETION, x);
  let left = timeout;
  let result = 0;
  spin_lock_irqsave(cpu, x + LOCK);
  for (;;) {
    if (consume(cpu, x)) {
      result = left > 0 ? left : 1;
      break;
    }
    if (signal_pending_state(cpu, state)) {
      result = -ERESTARTSYS;
      break;
    }
    if (left === 0) break;
    if (list_empty(cpu, waiter + ENTRY)) list_add_tail(cpu, waiter + ENTRY, x + WAITERS);
    set_current_state(cpu, state);
    spin_unlock_irqrestore(cpu, x + LOCK);
    left = schedule_timeout(cpu, left);
    spin_lock_irqsave(cpu, x + LOCK);
  }
  set_current_state(cpu, TASK_RUNNING);
  if (!list_empty(cpu, waiter + ENTRY)) list_del_init(cpu, waiter + ENTRY);
  spin_unlock_irqrestore(cpu, x + LOCK);
  hung_task_clear_blocker(cpu, blocker);
  stack_pop(cpu, waiter);
  return result;
}

export function wait_for_completion(cpu: Cpu, x: number): void {
  wait_common(cpu, x, MAX_SCHEDULE_TIMEOUT, TASK_UNINTERRUPTIBLE);
}

/** Returns 0 on time-out, else the ms left, at least 1. */
export function wait_for_completion_timeout(cpu: Cpu, x: number, timeout: number): number {
  return wait_common(cpu, x, timeout, TASK_UNINTERRUPTIBLE);
}

/** Returns 0, or -ERESTARTSYS when a signal came first. */
export function wait_for_completion_interruptible(cpu: Cpu, x: number): number {
  const result = wait_common(cpu, x, MAX_SCHEDULE_TIMEOUT, TASK_INTERRUPTIBLE);
  return result < 0 ? result : 0;
}

/** As wait_for_completion_timeout, or -ERESTARTSYS. */
export function wait_for_completion_interruptible_timeout(cpu: Cpu, x: number, timeout: number): number {
  return wait_common(cpu, x, timeout, TASK_INTERRUPTIBLE);
}

/** There are no fatal signals here, so nothing but complete() ends it: 0. */
export function wait_for_completion_killable(cpu: Cpu, x: number): number {
  wait_common(cpu, x, MAX_SCHEDULE_TIMEOUT, TASK_UNINTERRUPTIBLE);
  return 0;
}

export function wait_for_completion_killable_timeout(cpu: Cpu, x: number, timeout: number): number {
  return wait_common(cpu, x, timeout, TASK_UNINTERRUPTIBLE);
}

/** Waits in any state a task may sleep in: 0, or -ERESTARTSYS if `state` is interruptible. */
export function wait_for_completion_state(cpu: Cpu, x: number, state: number): number {
  const result = wait_common(cpu, x, MAX_SCHEDULE_TIMEOUT, state);
  return result < 0 ? result : 0;
}

/** The wait counts as waiting for I/O (io_schedule), which nobody counts here. */
export function wait_for_completion_io(cpu: Cpu, x: number): void {
  wait_common(cpu, x, MAX_SCHEDULE_TIMEOUT, TASK_UNINTERRUPTIBLE);
}

export function wait_for_completion_io_timeout(cpu: Cpu, x: number, timeout: number): number {
  return wait_common(cpu, x, timeout, TASK_UNINTERRUPTIBLE);
}

/** Takes one "done" without sleeping; false when there is none. */
export function try_wait_for_completion(cpu: Cpu, x: number): boolean {
  if (cpu.mem.loadAcquire(x + DONE) === 0) return false;
  spin_lock_irqsave(cpu, x + LOCK);
  const taken = consume(cpu, x);
  spin_unlock_irqrestore(cpu, x + LOCK);
  return taken;
}

/** True when a wait would not block. After true the completion may be freed: complete() is through with it. */
export function completion_done(cpu: Cpu, x: number): boolean {
  if (cpu.mem.loadAcquire(x + DONE) === 0) return false;
  // complete() still holds the lock after it stored DONE.
  spin_lock_irqsave(cpu, x + LOCK);
  spin_unlock_irqrestore(cpu, x + LOCK);
  return true;
}
