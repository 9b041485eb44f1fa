/**
 * spinlock_t (include/linux/spinlock.h): one futex word. Holding one forbids sleeping. A contended locker
 * spins briefly, then sleeps in the futex as a paravirtual guest would: threads may outnumber cores.
 *
 * The word is an atomics-sync mutex: free, locked, locked with sleepers.
 *
 * Interrupt handlers run on their CPU at safe points only, never while it holds a spinlock, so the irqsave
 * forms differ in name alone; they mark the locks that interrupt context takes too. The lock validator holds callers
 * to the kernel's rules for them.
 *
 * With lockdep on, locking a lock that this CPU holds is reported and does nothing, nor does its unlock: Linux would
 * hang. An unlock of a lock that this CPU does not hold is reported and leaves the lock alone.
 */
import { MUTEX_BYTES, mutexLock, mutexTryLock, mutexUnlock, type Ptr } from "atomics-sync";
import { WARN_ONCE } from "../debug/warn.ts";
import { BLOCKER_SPINLOCK, hung_task_clear_blocker, hung_task_set_blocker } from "../sched/blocker.ts";
import type { Cpu } from "../sched/cpu.ts";
import { set_sleeps_since } from "../sched/task.ts";
import {
  lock_acquire,
  lock_acquired,
  LOCK_LET_GO,
  lock_phantom,
  lock_release,
  LOCK_WAS_PHANTOM,
  lockdep_init_map,
  lockdep_sleep,
} from "./lockdep.ts";

export type SpinlockPtr = Ptr<"spinlock">;
export const SPINLOCK_SIZE = MUTEX_BYTES;

/** Makes a free lock. `name` is its class for lockdep: "": one per place that calls. */
export function spin_lock_init(cpu: Cpu, lock: number, name: string = ""): void {
  cpu.mem.write(lock, 0);
  if (cpu.lockdep) lockdep_init_map(cpu, lock, name);
}

export function spin_lock(cpu: Cpu, lock: number): void {
  cpu.preempt_count++;
  if (cpu.lockdep) spin_lock_checked(cpu, lock, 0, 0);
  else if (!mutexTryLock(cpu.mem, lock)) spin_lock_slow(cpu, lock);
}

/** As spin_lock, for a second lock of one class: by convention taken after the one of a lower subclass (1 ... 7). */
export function spin_lock_nested(cpu: Cpu, lock: number, subclass: number): void {
  cpu.preempt_count++;
  if (cpu.lockdep) spin_lock_checked(cpu, lock, subclass, 0);
  else if (!mutexTryLock(cpu.mem, lock)) spin_lock_slow(cpu, lock);
}

/** As spin_lock, for one of many locks of one class, in any order: `nest_lock` is held and keeps others out. */
export function spin_lock_nest_lock(cpu: Cpu, lock: number, nest_lock: number): void {
  cpu.preempt_count++;
  if (cpu.lockdep) spin_lock_checked(cpu, lock, 0, nest_lock);
  else if (!mutexTryLock(cpu.mem, lock)) spin_lock_slow(cpu, lock);
}

function spin_lock_checked(cpu: Cpu, lock: number, subclass: number, nest_lock: number): void {
  if (lock_acquire(cpu, lock, subclass, false, 0, nest_lock)) {
    lock_phantom(cpu, lock);
    return;
  }
  if (!mutexTryLock(cpu.mem, lock)) {
    lockdep_sleep(cpu);
    spin_lock_slow(cpu, lock);
  }
  lock_acquired(cpu, lock);
}

/** Contended: says what it waits for, in case that never ends. */
function spin_lock_slow(cpu: Cpu, lock: number): void {
  const saved = hung_task_set_blocker(cpu, BLOCKER_SPINLOCK, lock);
  set_sleeps_since(cpu, cpu.now());
  mutexLock(cpu.mem, lock);
  hung_task_clear_blocker(cpu, saved);
}

export function spin_trylock(cpu: Cpu, lock: number): boolean {
  if (!mutexTryLock(cpu.mem, lock)) return false;
  cpu.preempt_count++;
  if (cpu.lockdep) lock_acquire(cpu, lock, 0, true, 0, 0);
  return true;
}

export function spin_unlock(cpu: Cpu, lock: number): void {
  if (cpu.lockdep && !spin_unlock_checked(cpu, lock)) return;
  if (mutexUnlock(cpu.mem, lock)) cpu.preempt_count--;
  else already_unlocked(cpu, lock);
}

/** May the lock be unlocked? */
function spin_unlock_checked(cpu: Cpu, lock: number): boolean {
  const how = lock_release(cpu, lock);
  if (how === LOCK_WAS_PHANTOM) cpu.preempt_count--;
  return how === LOCK_LET_GO;
}

/** kernel/locking/spinlock_debug.c */
function already_unlocked(cpu: Cpu, lock: number): void {
  const where = `CPU#${cpu.id}, lock: 0x${lock.toString(16)}`;
  WARN_ONCE(cpu, true, `BUG: spinlock already unlocked on ${where}`);
}

export function spin_lock_irqsave(cpu: Cpu, lock: number): void {
  if (cpu.lockdep) cpu.lock_state.irqs_off++;
  spin_lock(cpu, lock);
}

export function spin_unlock_irqrestore(cpu: Cpu, lock: number): void {
  spin_unlock(cpu, lock);
  if (cpu.lockdep && cpu.lock_state.irqs_off > 0) cpu.lock_state.irqs_off--;
}

export function spin_is_locked(cpu: Cpu, lock: number): boolean {
  return cpu.mem.readOnce(lock) !== 0;
}
