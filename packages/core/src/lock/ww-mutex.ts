/**
 * ww_mutex (include/linux/ww_mutex.h, kernel/locking/ww_mutex.h): mutexes that a context may take in any
 * order. Instead of deadlocking, one of the contexts in a cycle gets -EDEADLK and backs off: the younger.
 *
 *   wait-die:   a context that holds locks never waits for an older one, it dies;
 *   wound-wait: an older context wounds the younger holder, which dies when it would wait the next time.
 * A context that holds nothing never dies, so whoever backs off makes progress with ww_mutex_lock_slow.
 *
 * Invariants: waiters with a context are queued oldest first; CTX is the owner's context; in a wait-die
 * class only the first waiter with a context may hold other locks.
 *
 * Interface: ww_mutex_lock(lock, ctx): 0, -EALREADY (this context has it) or -EDEADLK: then unlock all,
 * ww_mutex_lock_slow the one that failed, and start over. ctx 0: a plain mutex; no deadlock is detected.
 * With lockdep on, a task that wants a lock it has by another context, or none, gets -EALREADY in place of a hang.
 */
import type { Ptr } from "atomics-sync";
import { EALREADY, EDEADLK, EINTR } from "../debug/errno.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN } from "../debug/warn.ts";
import { list_next, list_prev } from "../mm/list.ts";
import { BLOCKER_MUTEX, hung_task_clear_blocker, hung_task_set_blocker } from "../sched/blocker.ts";
import { type Cpu, stack_pop } from "../sched/cpu.ts";
import { might_sleep } from "../sched/schedule.ts";
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
import { lock_acquire, lock_acquired, lock_release } from "./lockdep.ts";
import { held_owns } from "./lockdep-held.ts";
import {
  __mutex_add_waiter,
  __mutex_has_waiters,
  __mutex_remove_waiter,
  __mutex_sleep,
  __mutex_trylock,
  __mutex_trylock_or_handoff,
  __mutex_waiter_is_first,
  __mutex_waiter_push,
  MUTEX_SIZE,
  MUTEX_WAIT_LIST,
  MUTEX_WAIT_LOCK,
  mutex_destroy,
  mutex_init,
  mutex_is_locked,
  mutex_lock,
  mutex_lock_interruptible,
  mutex_owner,
  mutex_trylock,
  mutex_unlock,
  WAITER_TASK,
  WAITER_WW_CTX,
} from "./mutex.ts";
import { spin_lock, spin_unlock } from "./spinlock.ts";
import {
  __ww_class_mutex_name,
  __ww_ctx_dep_map,
  __ww_ctx_inject,
  __ww_ctx_less,
  __ww_ctx_set_acquired,
  __ww_ctx_set_contending_lock,
  __ww_ctx_set_wounded,
  ww_ctx_acquired,
  ww_ctx_class,
  ww_ctx_contending_lock,
  ww_ctx_done_acquire,
  ww_ctx_is_wait_die,
  ww_ctx_wounded,
  type WwAcquireCtxPtr,
  type WwClassPtr,
} from "./ww-acquire.ts";

export type WwMutexPtr = Ptr<"ww_mutex">;
/** A context, or NULL: an ordinary locker. */
export type WwCtx = WwAcquireCtxPtr | 0;

const BASE = 0;
/** Context of the owner, 0 for an ordinary one. Written by the owner, read under the wait lock. */
const CTX = 16;
/** Constant. */
const WW_CLASS = 20;
export const WW_MUTEX_SIZE = 24;

struct_layout("ww_mutex", WW_MUTEX_SIZE, [
  ["base", BASE, MUTEX_SIZE],
  ["ctx", CTX, 4],
  ["ww_class", WW_CLASS, 4],
]);

export function ww_mutex_init(cpu: Cpu, lock: WwMutexPtr, ww_class: WwClassPtr): void {
  mutex_init(cpu, lock, cpu.lockdep ? __ww_class_mutex_name(cpu, ww_class) : "");
  cpu.mem.writeOnce(lock + CTX, 0);
  cpu.mem.write(lock + WW_CLASS, ww_class);
}

export function ww_mutex_destroy(cpu: Cpu, lock: WwMutexPtr): void {
  mutex_destroy(cpu, lock);
}

export function ww_mutex_is_locked(cpu: Cpu, lock: WwMutexPtr): boolean {
  return mutex_is_locked(cpu, lock);
}

/** Does the running task own it? */
export function ww_mutex_held(cpu: Cpu, lock: WwMutexPtr): boolean {
  return mutex_owner(cpu, lock) === current_task(cpu);
}

/** The owner's context: stable only for the owner. */
export function ww_mutex_ctx(cpu: Cpu, lock: WwMutexPtr): WwCtx {
  return cpu.mem.readOnce(lock + CTX) as WwCtx;
}

/** 0, -EALREADY or -EDEADLK. Sleeps. */
export function ww_mutex_lock(cpu: Cpu, lock: WwMutexPtr, ctx: WwCtx): number {
  if (ctx !== 0) return lock_with_context(cpu, lock, ctx, TASK_UNINTERRUPTIBLE);
  mutex_lock(cpu, lock);
  return 0;
}

/** As ww_mutex_lock; -EINTR when a signal came first. */
export function ww_mutex_lock_interruptible(cpu: Cpu, lock: WwMutexPtr, ctx: WwCtx): number {
  if (ctx !== 0) return lock_with_context(cpu, lock, ctx, TASK_INTERRUPTIBLE);
  return mutex_lock_interruptible(cpu, lock);
}

/** After -EDEADLK, with everything unlocked: waits for the lock that failed. Cannot fail. */
export function ww_mutex_lock_slow(cpu: Cpu, lock: WwMutexPtr, ctx: WwAcquireCtxPtr): void {
  warn_not_contending(cpu, ctx);
  const error = ww_mutex_lock(cpu, lock, ctx);
  WARN(cpu, error !== 0, "ww_mutex_lock_slow failed: locks were still held");
}

/** As ww_mutex_lock_slow: 0 or -EINTR. */
export function ww_mutex_lock_slow_interruptible(cpu: Cpu, lock: WwMutexPtr, ctx: WwAcquireCtxPtr): number {
  warn_not_contending(cpu, ctx);
  return ww_mutex_lock_interruptible(cpu, lock, ctx);
}

function warn_not_contending(cpu: Cpu, ctx: WwAcquireCtxPtr): void {
  WARN(cpu, ww_ctx_contending_lock(cpu, ctx) === 0, "DEBUG_LOCKS_WARN_ON(!ctx->contending_lock)");
}

/** Takes it if it is free; no deadlock logic. Never sleeps. */
export function ww_mutex_trylock(cpu: Cpu, lock: WwMutexPtr, ctx: WwCtx): boolean {
  if (ctx === 0) return mutex_trylock(cpu, lock);
  if (ww_ctx_acquired(cpu, ctx) === 0) __ww_ctx_set_wounded(cpu, ctx, 0);
  if (!__mutex_trylock(cpu, lock)) return false;
  set_context_fastpath(cpu, lock, ctx);
  if (cpu.lockdep) lock_acquire(cpu, lock, 0, true, 0, __ww_ctx_dep_map(ctx));
  return true;
}

export function ww_mutex_unlock(cpu: Cpu, lock: WwMutexPtr): void {
  const ctx = ww_mutex_ctx(cpu, lock);
  if (ctx !== 0) {
    const acquired = ww_ctx_acquired(cpu, ctx);
    WARN(cpu, acquired === 0, "DEBUG_LOCKS_WARN_ON(!lock->ctx->acquired)");
    if (acquired > 0) __ww_ctx_set_acquired(cpu, ctx, acquired - 1);
    // A waiter that still reads the old context holds the wait lock, which we need before we return: the
    // context's stack frame outlives its look.
    cpu.mem.writeOnce(lock + CTX, 0);
  }
  mutex_unlock(cpu, lock);
}

function lock_with_context(cpu: Cpu, lock: WwMutexPtr, ctx: WwAcquireCtxPtr, state: number): number {
  might_sleep(cpu);
  if (ww_mutex_ctx(cpu, lock) === ctx) return -EALREADY;
  // Nothing held: an old wound is healed.
  if (ww_ctx_acquired(cpu, ctx) === 0) __ww_ctx_set_wounded(cpu, ctx, 0);
  if (cpu.lockdep) lock_acquire(cpu, lock, 0, false, 0, __ww_ctx_dep_map(ctx));
  if (__mutex_trylock(cpu, lock)) set_context_fastpath(cpu, lock, ctx);
  else {
    const error = lock_slow(cpu, lock, ctx, state);
    if (error !== 0) {
      if (cpu.lockdep) lock_release(cpu, lock);
      return error;
    }
  }
  if (cpu.lockdep) lock_acquired(cpu, lock);
  if (!__ww_ctx_inject(cpu, ctx)) return 0;
  __ww_ctx_set_contending_lock(cpu, ctx, lock);
  ww_mutex_unlock(cpu, lock);
  return -EDEADLK;
}

function lock_slow(cpu: Cpu, lock: WwMutexPtr, ctx: WwAcquireCtxPtr, state: number): number {
  const waiter = __mutex_waiter_push(cpu, ctx);
  const blocker = hung_task_set_blocker(cpu, BLOCKER_MUTEX, lock);
  spin_lock(cpu, lock + MUTEX_WAIT_LOCK);
  let error = 0;
  if (__mutex_trylock(cpu, lock)) check_waiters(cpu, lock, ctx);
  else {
    error = ww_add_waiter(cpu, lock, waiter, ctx);
    if (error === 0) error = ww_wait(cpu, lock, waiter, ctx, state);
  }
  if (error === 0) ww_lock_acquired(cpu, lock, ctx);
  spin_unlock(cpu, lock + MUTEX_WAIT_LOCK);
  hung_task_clear_blocker(cpu, blocker);
  stack_pop(cpu, waiter);
  return error;
}

/** Queued; waits for the lock, for death, or for a signal. Wait lock held, dropped while asleep. */
function ww_wait(cpu: Cpu, lock: WwMutexPtr, waiter: number, ctx: WwAcquireCtxPtr, state: number): number {
  // Before the tests, as in mutex_lock_slow: whoever kills, wounds or unlocks after them wakes us.
  set_current_state(cpu, state);
  let first = false;
  let error = 0;
  while (!__mutex_trylock_or_handoff(cpu, lock, first)) {
    error = signal_pending_state(cpu, state) ? -EINTR : check_kill(cpu, lock, waiter, ctx);
    if (error === 0 && cpu.lockdep && owned_otherwise(cpu, lock)) error = -EALREADY;
    if (error !== 0) break;
    first = __mutex_sleep(cpu, lock, waiter, state);
  }
  set_current_state(cpu, TASK_RUNNING);
  // We overtook older waiters: they have not seen us as the holder to wound.
  const overtook =
    error === 0 && !ww_ctx_is_wait_die(cpu, ctx) && !__mutex_waiter_is_first(cpu, lock, waiter);
  if (overtook) check_waiters(cpu, lock, ctx);
  __mutex_remove_waiter(cpu, lock, waiter);
  return error;
}

/** This task has it, not by the context it waits with: it would wait for itself. Lockdep has said so. */
function owned_otherwise(cpu: Cpu, lock: WwMutexPtr): boolean {
  return mutex_owner(cpu, lock) === current_task(cpu) && held_owns(cpu, lock);
}

/** Took the lock without the wait lock: waiters may have come between and missed our context. */
function set_context_fastpath(cpu: Cpu, lock: WwMutexPtr, ctx: WwAcquireCtxPtr): void {
  ww_lock_acquired(cpu, lock, ctx);
  // Pairs with the fence in ww_add_waiter: we store CTX, then read WAITERS; the waiter sets WAITERS, then
  // reads CTX. One of the two sees the other; else an older waiter would sleep behind a younger holder.
  cpu.mem.fence();
  if (!__mutex_has_waiters(cpu, lock)) return;
  spin_lock(cpu, lock + MUTEX_WAIT_LOCK);
  check_waiters(cpu, lock, ctx);
  spin_unlock(cpu, lock + MUTEX_WAIT_LOCK);
}

function ww_lock_acquired(cpu: Cpu, lock: WwMutexPtr, ctx: WwAcquireCtxPtr): void {
  WARN(cpu, ww_mutex_ctx(cpu, lock) !== 0, "DEBUG_LOCKS_WARN_ON(ww->ctx)");
  WARN(cpu, ww_ctx_done_acquire(cpu, ctx), "DEBUG_LOCKS_WARN_ON(ww_ctx->done_acquire)");
  const acquired = ww_ctx_acquired(cpu, ctx);
  const contending = ww_ctx_contending_lock(cpu, ctx);
  if (contending !== 0) {
    WARN(cpu, contending !== lock, "DEBUG_LOCKS_WARN_ON(ww_ctx->contending_lock != ww)");
    WARN(cpu, acquired > 0, "DEBUG_LOCKS_WARN_ON(ww_ctx->acquired > 0)");
    __ww_ctx_set_contending_lock(cpu, ctx, 0);
  }
  const other = ww_ctx_class(cpu, ctx) !== cpu.mem.read(lock + WW_CLASS);
  WARN(cpu, other, "DEBUG_LOCKS_WARN_ON(ww_ctx->ww_class != ww->ww_class)");
  __ww_ctx_set_acquired(cpu, ctx, acquired + 1);
  cpu.mem.writeOnce(lock + CTX, ctx);
}

/** Queues by age; in a wait-die class, dies at once behind an older waiter. Wait lock held. */
function ww_add_waiter(cpu: Cpu, lock: WwMutexPtr, waiter: number, ctx: WwAcquireCtxPtr): number {
  const head = lock + MUTEX_WAIT_LIST;
  const wait_die = ww_ctx_is_wait_die(cpu, ctx);
  let position = head;
  for (let other = list_prev(cpu, head); other !== head; other = list_prev(cpu, other)) {
    const other_ctx = cpu.mem.read(other + WAITER_WW_CTX);
    // Waiters without a context are skipped over, or the sorted ones would starve them.
    if (other_ctx === 0) continue;
    if (__ww_ctx_less(cpu, ctx, other_ctx)) {
      const error = wait_die ? kill_self(cpu, lock, ctx) : 0;
      if (error !== 0) return error;
      break;
    }
    position = other;
    kill_waiter(cpu, other, ctx);
  }
  __mutex_add_waiter(cpu, lock, waiter, position);
  if (!wait_die) {
    // Pairs with the fence in set_context_fastpath: either we see the holder's context, or it sees us.
    cpu.mem.fence();
    wound(cpu, lock, ctx, ww_mutex_ctx(cpu, lock));
  }
  return 0;
}

/** The answer to a context that may not wait: -EDEADLK, or 0 when it holds nothing. */
function kill_self(cpu: Cpu, lock: WwMutexPtr, ctx: WwAcquireCtxPtr): number {
  if (ww_ctx_acquired(cpu, ctx) === 0) return 0;
  WARN(cpu, ww_ctx_contending_lock(cpu, ctx) !== 0, "DEBUG_LOCKS_WARN_ON(ww_ctx->contending_lock)");
  __ww_ctx_set_contending_lock(cpu, ctx, lock);
  return -EDEADLK;
}

/** Wait-die: wakes a younger waiter that holds locks, so that it dies. True in a wait-die class. */
function kill_waiter(cpu: Cpu, waiter: number, ctx: WwAcquireCtxPtr): boolean {
  if (!ww_ctx_is_wait_die(cpu, ctx)) return false;
  const other = cpu.mem.read(waiter + WAITER_WW_CTX);
  if (ww_ctx_acquired(cpu, other) > 0 && __ww_ctx_less(cpu, other, ctx)) {
    wake_up_process(cpu, cpu.mem.read(waiter + WAITER_TASK) as TaskPtr);
  }
  return true;
}

/** Wound-wait: `ctx` waits and holds locks; a younger holder is wounded. True when it was. Wait lock held. */
function wound(cpu: Cpu, lock: WwMutexPtr, ctx: number, holder: number): boolean {
  // No context yet: the holder comes through set_context_fastpath and finds us. No owner: it is unlocking.
  const owner = mutex_owner(cpu, lock);
  if (holder === 0 || owner === 0) return false;
  if (ww_ctx_acquired(cpu, ctx) === 0 || !__ww_ctx_less(cpu, holder, ctx)) return false;
  __ww_ctx_set_wounded(cpu, holder, 1);
  // It may sleep in the queue of another lock: it shall see the wound there.
  if (owner !== current_task(cpu)) wake_up_process(cpu, owner);
  return true;
}

/** May the queued `ctx` go on waiting? 0 or -EDEADLK. Wait lock held. */
function check_kill(cpu: Cpu, lock: WwMutexPtr, waiter: number, ctx: WwAcquireCtxPtr): number {
  if (ww_ctx_acquired(cpu, ctx) === 0) return 0;
  if (!ww_ctx_is_wait_die(cpu, ctx)) return ww_ctx_wounded(cpu, ctx) ? kill_self(cpu, lock, ctx) : 0;
  const holder = ww_mutex_ctx(cpu, lock);
  if (holder !== 0 && __ww_ctx_less(cpu, ctx, holder)) return kill_self(cpu, lock, ctx);
  const head = lock + MUTEX_WAIT_LIST;
  for (let other = list_prev(cpu, waiter); other !== head; other = list_prev(cpu, other)) {
    // Sorted by age: whoever waits before us with a context is older.
    if (cpu.mem.read(other + WAITER_WW_CTX) !== 0) return kill_self(cpu, lock, ctx);
  }
  return 0;
}

/** `ctx` owns the lock now: the first waiter with a context learns it, and dies or wounds us. Wait lock held. */
function check_waiters(cpu: Cpu, lock: WwMutexPtr, ctx: WwAcquireCtxPtr): void {
  const head = lock + MUTEX_WAIT_LIST;
  for (let other = list_next(cpu, head); other !== head; other = list_next(cpu, other)) {
    const other_ctx = cpu.mem.read(other + WAITER_WW_CTX);
    if (other_ctx === 0) continue;
    if (kill_waiter(cpu, other, ctx) || wound(cpu, lock, other_ctx, ctx)) break;
  }
}
