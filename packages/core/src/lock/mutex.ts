/**
 * struct mutex (include/linux/mutex.h, kernel/locking/mutex.c): a sleeping lock with an owner and a queue of
 * waiters, first come first served.
 *
 * OWNER is the owning task, or 0, with three flags in its low bits:
 *   WAITERS   somebody is queued: unlock must take the slow path and wake the first one;
 *   HANDOFF   the first waiter was overtaken once and wants the lock next: unlock gives it away;
 *   PICKUP    unlock gave the lock to the task named here, which has yet to take it.
 * A running task may overtake sleeping ones, but never the first waiter twice.
 *
 * Interface: mutex_lock, then mutex_unlock by the same task, in task context. The memory must live until
 * mutex_unlock has returned. ww-mutex.ts builds on the verbs with two underscores.
 *
 * With lockdep on, a task that locks what it owns is told so and goes on, and the matching unlock does nothing: Linux
 * would hang, and so does this without lockdep.
 */
import type { Ptr } from "atomics-sync";
import { EINTR } from "../debug/errno.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN, WARN_ONCE } from "../debug/warn.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty, list_next } from "../mm/list.ts";
import { BLOCKER_MUTEX, hung_task_clear_blocker, hung_task_set_blocker } from "../sched/blocker.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { might_sleep, schedule } from "../sched/schedule.ts";
import {
  current_task,
  set_current_state,
  signal_pending_state,
  TASK_INTERRUPTIBLE,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  type TaskPtr,
  wake_up_process,
} from "../sched/task.ts";
import {
  lock_acquire,
  lock_acquired,
  lock_phantom,
  lock_release,
  LOCK_WAS_PHANTOM,
  lockdep_init_map,
} from "./lockdep.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "./spinlock.ts";

export type MutexPtr = Ptr<"mutex">;
export type MutexWaiterPtr = Ptr<"mutex_waiter">;

/** Task and flags; changed by compareExchange only. */
const OWNER = 0;
/** spinlock_t. */
export const MUTEX_WAIT_LOCK = 4;
/** Waiters, oldest first. Guarded by MUTEX_WAIT_LOCK. */
export const MUTEX_WAIT_LIST = 8;
export const MUTEX_SIZE = 16;

/** struct mutex_waiter, on the waiter's stack. Guarded by MUTEX_WAIT_LOCK while queued. */
const WAITER_LIST = 0;
export const WAITER_TASK = 8;
/** ww_acquire_ctx the waiter came with, or 0. */
export const WAITER_WW_CTX = 12;
const MUTEX_WAITER_SIZE = 16;

const FLAG_WAITERS = 1;
const FLAG_HANDOFF = 2;
const FLAG_PICKUP = 4;
const FLAGS = 7;

struct_layout("mutex", MUTEX_SIZE, [
  ["owner", OWNER, 4],
  ["wait_lock", MUTEX_WAIT_LOCK, 4],
  ["wait_list", MUTEX_WAIT_LIST, 8],
]);
struct_layout("mutex_waiter", MUTEX_WAITER_SIZE, [
  ["list", WAITER_LIST, 8],
  ["task", WAITER_TASK, 4],
  ["ww_ctx", WAITER_WW_CTX, 4],
]);

/** Makes a free mutex. `name` is its class for lockdep: "": one per place that calls. */
export function mutex_init(cpu: Cpu, lock: number, name: string = ""): void {
  cpu.mem.writeOnce(lock + OWNER, 0);
  spin_lock_init(cpu, lock + MUTEX_WAIT_LOCK, "&lock->wait_lock");
  INIT_LIST_HEAD(cpu, lock + MUTEX_WAIT_LIST);
  if (cpu.lockdep) lockdep_init_map(cpu, lock, name);
}

/** The mutex goes away: nobody may hold it or wait for it. */
export function mutex_destroy(cpu: Cpu, lock: number): void {
  WARN(cpu, mutex_is_locked(cpu, lock), "DEBUG_LOCKS_WARN_ON(mutex_is_locked(lock))");
}

/** The owning task, or 0. Of use for asking "is it me?"; any other answer is stale at once. */
export function mutex_owner(cpu: Cpu, lock: number): TaskPtr {
  return (cpu.mem.loadAcquire(lock + OWNER) & ~FLAGS) as TaskPtr;
}

export function mutex_is_locked(cpu: Cpu, lock: number): boolean {
  return mutex_owner(cpu, lock) !== 0;
}

/** Sleeps until the running task owns the mutex. */
export function mutex_lock(cpu: Cpu, lock: number): void {
  might_sleep(cpu);
  if (cpu.lockdep) mutex_lock_checked(cpu, lock, 0, 0, TASK_UNINTERRUPTIBLE);
  else if (!__mutex_trylock(cpu, lock)) mutex_lock_slow(cpu, lock, TASK_UNINTERRUPTIBLE);
}

/** As mutex_lock, for a second mutex of one class: by convention after the one of a lower subclass (1 ... 7). */
export function mutex_lock_nested(cpu: Cpu, lock: number, subclass: number): void {
  might_sleep(cpu);
  if (cpu.lockdep) mutex_lock_checked(cpu, lock, subclass, 0, TASK_UNINTERRUPTIBLE);
  else if (!__mutex_trylock(cpu, lock)) mutex_lock_slow(cpu, lock, TASK_UNINTERRUPTIBLE);
}

/** As mutex_lock, for one of many of one class, in any order: `nest_lock` is held and keeps others out. */
export function mutex_lock_nest_lock(cpu: Cpu, lock: number, nest_lock: number): void {
  might_sleep(cpu);
  if (cpu.lockdep) mutex_lock_checked(cpu, lock, 0, nest_lock, TASK_UNINTERRUPTIBLE);
  else if (!__mutex_trylock(cpu, lock)) mutex_lock_slow(cpu, lock, TASK_UNINTERRUPTIBLE);
}

/** 0, or -EINTR when a signal came first. */
export function mutex_lock_interruptible(cpu: Cpu, lock: number): number {
  might_sleep(cpu);
  if (cpu.lockdep) return mutex_lock_checked(cpu, lock, 0, 0, TASK_INTERRUPTIBLE);
  return __mutex_trylock(cpu, lock) ? 0 : mutex_lock_slow(cpu, lock, TASK_INTERRUPTIBLE);
}

/** There are no fatal signals here: 0. */
export function mutex_lock_killable(cpu: Cpu, lock: number): number {
  mutex_lock(cpu, lock);
  return 0;
}

function mutex_lock_checked(
  cpu: Cpu,
  lock: number,
  subclass: number,
  nest_lock: number,
  state: number,
): number {
  const own = lock_acquire(cpu, lock, subclass, false, 0, nest_lock);
  // The owner word is asked, too: in a solo kernel the owner may be a task further up this stack.
  if (own && mutex_owner(cpu, lock) === current_task(cpu) && !signal_pending_state(cpu, state)) {
    lock_phantom(cpu, lock);
    return 0;
  }
  const error = __mutex_trylock(cpu, lock) ? 0 : mutex_lock_slow(cpu, lock, state);
  if (error === 0) lock_acquired(cpu, lock);
  else lock_release(cpu, lock);
  return error;
}

/** True when the running task owns the mutex now. Never sleeps. */
export function mutex_trylock(cpu: Cpu, lock: number): boolean {
  if (!__mutex_trylock(cpu, lock)) return false;
  if (cpu.lockdep) lock_acquire(cpu, lock, 0, true, 0, 0);
  return true;
}

/** By the owner alone; anybody else is told so, and the mutex stays as it is (Linux frees it all the same). */
export function mutex_unlock(cpu: Cpu, lock: number): void {
  if (cpu.lockdep && lock_release(cpu, lock) === LOCK_WAS_PHANTOM) return;
  const task = current_task(cpu);
  // Full order: pairs with the compareExchange of the next owner, who sees what this section wrote.
  if (cpu.mem.compareExchange(lock + OWNER, task, 0) !== task) mutex_unlock_slow(cpu, lock);
}

function mutex_lock_slow(cpu: Cpu, lock: number, state: number): number {
  WARN_ONCE(cpu, mutex_owner(cpu, lock) === current_task(cpu), "possible recursive locking detected");
  const waiter = __mutex_waiter_push(cpu, 0);
  const blocker = hung_task_set_blocker(cpu, BLOCKER_MUTEX, lock);
  spin_lock(cpu, lock + MUTEX_WAIT_LOCK);
  __mutex_add_waiter(cpu, lock, waiter, lock + MUTEX_WAIT_LIST);
  // Set before the owner is tested: whoever unlocks after the test finds WAITERS, waits for the wait lock
  // that we hold until we sleep, and then wakes a task whose state says that it wants to be woken.
  set_current_state(cpu, state);
  let first = false;
  let error = 0;
  while (!__mutex_trylock_or_handoff(cpu, lock, first)) {
    if (signal_pending_state(cpu, state)) {
      error = -EINTR;
      break;
    }
    first = __mutex_sleep(cpu, lock, waiter, state);
  }
  set_current_state(cpu, TASK_RUNNING);
  __mutex_remove_waiter(cpu, lock, waiter);
  spin_unlock(cpu, lock + MUTEX_WAIT_LOCK);
  hung_task_clear_blocker(cpu, blocker);
  stack_pop(cpu, waiter);
  return error;
}

/** One sleep in the queue, wait lock dropped meanwhile. True when the waiter is now the first. */
export function __mutex_sleep(cpu: Cpu, lock: number, waiter: number, state: number): boolean {
  spin_unlock(cpu, lock + MUTEX_WAIT_LOCK);
  schedule(cpu);
  spin_lock(cpu, lock + MUTEX_WAIT_LOCK);
  set_current_state(cpu, state);
  return __mutex_waiter_is_first(cpu, lock, waiter);
}

function mutex_unlock_slow(cpu: Cpu, lock: number): void {
  let owner = cpu.mem.loadAcquire(lock + OWNER);
  for (;;) {
    const other = (owner & ~FLAGS) !== current_task(cpu);
    if (WARN(cpu, other, "DEBUG_LOCKS_WARN_ON(__owner_task(owner) != current)")) return;
    // A promised lock is not freed first: between free and give-away another task could take it.
    if ((owner & FLAG_HANDOFF) !== 0) break;
    const seen = cpu.mem.compareExchange(lock + OWNER, owner, owner & FLAGS);
    if (seen === owner) {
      if ((owner & FLAG_WAITERS) === 0) return;
      break;
    }
    owner = seen;
  }
  spin_lock(cpu, lock + MUTEX_WAIT_LOCK);
  let next = 0 as TaskPtr;
  if (!list_empty(cpu, lock + MUTEX_WAIT_LIST)) {
    next = cpu.mem.read(list_next(cpu, lock + MUTEX_WAIT_LIST) + WAITER_TASK) as TaskPtr;
  }
  if ((owner & FLAG_HANDOFF) !== 0) mutex_handoff(cpu, lock, next);
  spin_unlock(cpu, lock + MUTEX_WAIT_LOCK);
  if (next !== 0) wake_up_process(cpu, next);
}

/** Gives the lock to `task` (0: nobody is left to take it). Wait lock held. */
function mutex_handoff(cpu: Cpu, lock: number, task: TaskPtr): void {
  for (;;) {
    const owner = cpu.mem.loadAcquire(lock + OWNER);
    const given = (owner & FLAG_WAITERS) | task | (task === 0 ? 0 : FLAG_PICKUP);
    if (cpu.mem.compareExchange(lock + OWNER, owner, given) === owner) return;
  }
}

/** Takes the lock if it is free, or was handed to the running task. */
export function __mutex_trylock(cpu: Cpu, lock: number): boolean {
  return __mutex_trylock_or_handoff(cpu, lock, false);
}

/** As __mutex_trylock; if it fails and `handoff`, asks the owner to give the lock to the first waiter. */
export function __mutex_trylock_or_handoff(cpu: Cpu, lock: number, handoff: boolean): boolean {
  const self = current_task(cpu);
  for (;;) {
    const owner = cpu.mem.loadAcquire(lock + OWNER);
    const task = owner & ~FLAGS;
    let next = owner;
    if (task === 0) next = owner | self;
    else if ((owner & FLAG_PICKUP) !== 0 && task === self) next = owner & ~FLAG_PICKUP;
    else if ((owner & FLAG_PICKUP) === 0 && handoff) next = owner | FLAG_HANDOFF;
    if (next === owner) return false;
    if (cpu.mem.compareExchange(lock + OWNER, owner, next) === owner) return (next & ~FLAGS) === self;
  }
}

/** Makes the running task's waiter on its stack; the caller pops it. */
export function __mutex_waiter_push(cpu: Cpu, ww_ctx: number): MutexWaiterPtr {
  const waiter = stack_push(cpu, MUTEX_WAITER_SIZE) as MutexWaiterPtr;
  INIT_LIST_HEAD(cpu, waiter + WAITER_LIST);
  cpu.mem.write(waiter + WAITER_TASK, current_task(cpu));
  cpu.mem.write(waiter + WAITER_WW_CTX, ww_ctx);
  return waiter;
}

/** Queues before `position`, a waiter or the list's head (the end). Wait lock held. */
export function __mutex_add_waiter(cpu: Cpu, lock: number, waiter: number, position: number): void {
  list_add_tail(cpu, waiter + WAITER_LIST, position);
  cpu.mem.fetchOr(lock + OWNER, FLAG_WAITERS);
}

/** Leaves the queue. Wait lock held. */
export function __mutex_remove_waiter(cpu: Cpu, lock: number, waiter: number): void {
  list_del_init(cpu, waiter + WAITER_LIST);
  if (list_empty(cpu, lock + MUTEX_WAIT_LIST)) cpu.mem.fetchAnd(lock + OWNER, ~FLAGS);
}

export function __mutex_waiter_is_first(cpu: Cpu, lock: number, waiter: number): boolean {
  return list_next(cpu, lock + MUTEX_WAIT_LIST) === waiter + WAITER_LIST;
}

/** Somebody is queued. For a decision, the caller needs a full barrier before it. */
export function __mutex_has_waiters(cpu: Cpu, lock: number): boolean {
  return (cpu.mem.loadAcquire(lock + OWNER) & FLAG_WAITERS) !== 0;
}
