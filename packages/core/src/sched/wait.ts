/**
 * Wait queues (include/linux/wait.h, kernel/sched/wait.c).
 *
 * Interface: a waiter does prepare_to_wait, tests its condition, schedule(), in a loop, then finish_wait;
 * a waker makes the condition true, then wake_up. The entry lives on the waiter's kernel stack.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add, list_add_tail, list_del_init, list_empty, list_next } from "../mm/list.ts";
import { type Cpu, stack_pop, stack_push } from "./cpu.ts";
import { current_task, set_current_state, TASK_RUNNING, type TaskPtr, wake_up_process } from "./task.ts";

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

struct_layout("wait_queue_head", WAIT_QUEUE_HEAD_SIZE, [
  ["lock", LOCK, 4],
  ["head", HEAD, 8],
]);
struct_layout("wait_queue_entry", WAIT_QUEUE_ENTRY_SIZE, [
  ["flags", FLAGS, 4],
  ["private", TASK, 4],
  ["entry", ENTRY, 8],
]);

export function init_waitqueue_head(cpu: Cpu, wq: number): void {
  cpu.mem.write(wq + LOCK, 0);
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
}

/** Queues the entry and sets the state; the condition is tested after this, so no wake-up is lost. */
export function prepare_to_wait(cpu: Cpu, wq: number, entry: WaitEntryPtr, state: number): void {
  prepare(cpu, wq, entry, state, 0);
}

/** As prepare_to_wait; wake_up wakes only one exclusive waiter, first come first served. */
export function prepare_to_wait_exclusive(cpu: Cpu, wq: number, entry: WaitEntryPtr, state: number): void {
  prepare(cpu, wq, entry, state, WQ_FLAG_EXCLUSIVE);
}

/** Leaves the queue, restores TASK_RUNNING and releases the entry. */
export function finish_wait(cpu: Cpu, wq: number, entry: WaitEntryPtr): void {
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

/** Wakes all non-exclusive waiters and up to `nr_exclusive` exclusive ones (0: all). */
export function wake_up_nr(cpu: Cpu, wq: number, nr_exclusive: number): void {
  spin_lock_irqsave(cpu, wq + LOCK);
  let left = nr_exclusive;
  let node = list_next(cpu, wq + HEAD);
  while (node !== wq + HEAD) {
    const next = list_next(cpu, node);
    const entry = node - ENTRY;
    const task = cpu.mem.read(entry + TASK) as TaskPtr;
    const exclusive = cpu.mem.read(entry + FLAGS) === WQ_FLAG_EXCLUSIVE;
    // autoremove_wake_function: off the list once woken. The entry is the waiter's again after the unlock:
    // it takes the lock in finish_wait before its stack frame goes.
    const woken = wake_up_process(cpu, task);
    if (woken) list_del_init(cpu, node);
    if (woken && exclusive && --left === 0) break;
    node = next;
  }
  spin_unlock_irqrestore(cpu, wq + LOCK);
}

export function wake_up(cpu: Cpu, wq: number): void {
  wake_up_nr(cpu, wq, 1);
}

export function wake_up_all(cpu: Cpu, wq: number): void {
  wake_up_nr(cpu, wq, 0);
}
