/**
 * Wait queues (include/linux/wait.h, kernel/sched/wait.c).
 *
 * Interface: a waiter does prepare_to_wait, tests its condition, schedule(), in a loop, then finish_wait;
 * a waker makes the condition true, then wake_up. The entry lives on the waiter's kernel stack.
 *
 * An entry of prepare_to_wait leaves the queue when it is woken; one of add_wait_queue stays, and so keeps its
 * place, until remove_wait_queue. An exclusive waiter that is woken has taken the wake-up from the others: it must
 * use the condition, or pass the wake-up on.
 */
import type { Ptr } from "atomics-sync";
import { ERESTARTSYS } from "../debug/errno.ts";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add, list_add_tail, list_del_init, list_empty, list_next } from "../mm/list.ts";
import { hung_task_clear_waitqueue, hung_task_set_waitqueue } from "./blocker.ts";
import { type Cpu, stack_pop, stack_push } from "./cpu.ts";
import {
  current_task,
  set_current_state,
  signal_pending_state,
  TASK_INTERRUPTIBLE,
  TASK_NORMAL,
  TASK_RUNNING,
  type TaskPtr,
  try_to_wake_up,
} from "./task.ts";

export type WaitQueuePtr = Ptr<"wait_queue_head">;
export type WaitEntryPtr = Ptr<"wait_queue_entry">;

const LOCK = 0;
// Guarded by LOCK:
const HEAD = 4;
export const WAIT_QUEUE_HEAD_SIZE = 12;

// struct wait_queue_entry; ENTRY guarded by the head's LOCK, the rest constant while queued.
const FLAGS = 0;
const TASK = 4;
const ENTRY = 8;
export const WAIT_QUEUE_ENTRY_SIZE = 16;

const WQ_FLAG_EXCLUSIVE = 1;
/** default_wake_function: stays queued when woken. Without it, autoremove_wake_function. */
const WQ_FLAG_STAY = 2;

struct_layout("wait_queue_head", WAIT_QUEUE_HEAD_SIZE, [
  ["lock", LOCK, 4],
  ["head", HEAD, 8],
]);
struct_layout("wait_queue_entry", WAIT_QUEUE_ENTRY_SIZE, [
  ["flags", FLAGS, 4],
  ["private", TASK, 4],
  ["entry", ENTRY, 8],
]);

/** Makes an empty queue. `name` is its lock's class for lockdep: "": one per place that calls. */
export function init_waitqueue_head(cpu: Cpu, wq: number, name: string = ""): void {
  spin_lock_init(cpu, wq + LOCK, name);
  INIT_LIST_HEAD(cpu, wq + HEAD);
}

/** Makes an entry for the running task on the kernel stack; finish_wait releases it. */
export function wait_entry_push(cpu: Cpu): WaitEntryPtr {
  const entry = stack_push(cpu, WAIT_QUEUE_ENTRY_SIZE);
  cpu.mem.write(entry + TASK, current_task(cpu));
  INIT_LIST_HEAD(cpu, entry + ENTRY);
  return entry as WaitEntryPtr;
}

function prepare(cpu: Cpu, wq: number, entry: WaitEntryPtr, state: number, flags: number): void {
  spin_lock_irqsave(cpu, wq + LOCK);
  cpu.mem.write(entry + FLAGS, flags);
  if (list_empty(cpu, entry + ENTRY)) {
    if (flags === WQ_FLAG_EXCLUSIVE) list_add_tail(cpu, entry + ENTRY, wq + HEAD);
    else list_add(cpu, entry + ENTRY, wq + HEAD);
  }
  set_current_state(cpu, state);
  spin_unlock_irqrestore(cpu, wq + LOCK);
  hung_task_set_waitqueue(cpu, wq);
}

/** Queues the entry and sets the state; the condition is tested after this, so no wake-up is lost. */
export function prepare_to_wait(cpu: Cpu, wq: number, entry: WaitEntryPtr, state: number): void {
  prepare(cpu, wq, entry, state, 0);
}

/** As prepare_to_wait; wake_up wakes only one exclusive waiter, first come first served. */
export function prepare_to_wait_exclusive(cpu: Cpu, wq: number, entry: WaitEntryPtr, state: number): void {
  prepare(cpu, wq, entry, state, WQ_FLAG_EXCLUSIVE);
}

/**
 * As prepare_to_wait(_exclusive), for waits that a signal ends: then -ERESTARTSYS, and the entry is not queued. The
 * caller tests its condition all the same: a wake-up that came before the signal must not be lost.
 */
export function prepare_to_wait_event(
  cpu: Cpu,
  wq: number,
  entry: WaitEntryPtr,
  state: number,
  exclusive: boolean = false,
): number {
  if (!signal_pending_state(cpu, state)) {
    prepare(cpu, wq, entry, state, exclusive ? WQ_FLAG_EXCLUSIVE : 0);
    return 0;
  }
  // Under the lock: a waker has either chosen us before, and the condition is true, or chooses the next waiter.
  spin_lock_irqsave(cpu, wq + LOCK);
  if (!list_empty(cpu, entry + ENTRY)) list_del_init(cpu, entry + ENTRY);
  spin_unlock_irqrestore(cpu, wq + LOCK);
  return -ERESTARTSYS;
}

/** Queues an entry of wait_entry_push that stays queued until remove_wait_queue. The caller sets its state. */
export function add_wait_queue(cpu: Cpu, wq: number, entry: WaitEntryPtr): void {
  add_entry(cpu, wq, entry, WQ_FLAG_STAY);
}

/** The same, at the end of the queue; wake_up wakes one such waiter. */
export function add_wait_queue_exclusive(cpu: Cpu, wq: number, entry: WaitEntryPtr): void {
  add_entry(cpu, wq, entry, WQ_FLAG_STAY | WQ_FLAG_EXCLUSIVE);
}

function add_entry(cpu: Cpu, wq: number, entry: WaitEntryPtr, flags: number): void {
  spin_lock_irqsave(cpu, wq + LOCK);
  cpu.mem.write(entry + FLAGS, flags);
  if ((flags & WQ_FLAG_EXCLUSIVE) === 0) list_add(cpu, entry + ENTRY, wq + HEAD);
  else list_add_tail(cpu, entry + ENTRY, wq + HEAD);
  spin_unlock_irqrestore(cpu, wq + LOCK);
  hung_task_set_waitqueue(cpu, wq);
}

/**
 * Takes the entry off the queue; the caller releases it with stack_pop. Nobody wakes through it from then on, so a
 * state that is TASK_RUNNING already tells that somebody did.
 */
export function remove_wait_queue(cpu: Cpu, wq: number, entry: WaitEntryPtr): void {
  spin_lock_irqsave(cpu, wq + LOCK);
  list_del_init(cpu, entry + ENTRY);
  spin_unlock_irqrestore(cpu, wq + LOCK);
  hung_task_clear_waitqueue(cpu);
}

/** Leaves the queue, restores TASK_RUNNING and releases the entry. */
export function finish_wait(cpu: Cpu, wq: number, entry: WaitEntryPtr): void {
  hung_task_clear_waitqueue(cpu);
  set_current_state(cpu, TASK_RUNNING);
  spin_lock_irqsave(cpu, wq + LOCK);
  if (!list_empty(cpu, entry + ENTRY)) list_del_init(cpu, entry + ENTRY);
  spin_unlock_irqrestore(cpu, wq + LOCK);
  stack_pop(cpu, entry);
}

/** True when somebody is queued. A plain look: the caller needs a full barrier before it. */
export function waitqueue_active(cpu: Cpu, wq: number): boolean {
  return cpu.mem.loadAcquire(wq + HEAD) !== wq + HEAD;
}

/** Wakes all non-exclusive waiters and up to `nr_exclusive` exclusive ones (0: all), whose state is in `mode`. */
export function __wake_up(cpu: Cpu, wq: number, mode: number, nr_exclusive: number): void {
  spin_lock_irqsave(cpu, wq + LOCK);
  wake_up_locked(cpu, wq, mode, nr_exclusive);
  spin_unlock_irqrestore(cpu, wq + LOCK);
}

/** __wake_up_common. Lock held. */
function wake_up_locked(cpu: Cpu, wq: number, mode: number, nr_exclusive: number): void {
  let left = nr_exclusive;
  let node = list_next(cpu, wq + HEAD);
  while (node !== wq + HEAD) {
    const next = list_next(cpu, node);
    const entry = node - ENTRY;
    const task = cpu.mem.read(entry + TASK) as TaskPtr;
    const flags = cpu.mem.read(entry + FLAGS);
    // autoremove_wake_function: off the list once woken. The entry is the waiter's again after the unlock:
    // it takes the lock in finish_wait before its stack frame goes.
    const woken = try_to_wake_up(cpu, task, mode);
    if (woken && (flags & WQ_FLAG_STAY) === 0) list_del_init(cpu, node);
    // One that is running has been woken already: it does not count.
    if (woken && (flags & WQ_FLAG_EXCLUSIVE) !== 0 && --left === 0) return;
    node = next;
  }
}

export function wake_up(cpu: Cpu, wq: number): void {
  __wake_up(cpu, wq, TASK_NORMAL, 1);
}

export function wake_up_nr(cpu: Cpu, wq: number, nr_exclusive: number): void {
  __wake_up(cpu, wq, TASK_NORMAL, nr_exclusive);
}

export function wake_up_all(cpu: Cpu, wq: number): void {
  __wake_up(cpu, wq, TASK_NORMAL, 0);
}

/** Only waiters that sleep interruptibly. */
export function wake_up_interruptible(cpu: Cpu, wq: number): void {
  __wake_up(cpu, wq, TASK_INTERRUPTIBLE, 1);
}

export function wake_up_interruptible_all(cpu: Cpu, wq: number): void {
  __wake_up(cpu, wq, TASK_INTERRUPTIBLE, 0);
}
