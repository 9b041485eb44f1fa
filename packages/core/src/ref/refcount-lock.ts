/**
 * refcount_t and locks (lib/refcount.c): the last reference is dropped with a lock held, so that a table guarded by
 * it never shows an object with a count of 0.
 *
 * Interface: true means the count is 0 now and the lock is held; false means neither.
 */
import { mutex_lock, mutex_unlock } from "../lock/mutex.ts";
import { spin_lock, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import type { Cpu } from "../sched/cpu.ts";
import { refcount_dec_and_test, refcount_dec_not_one } from "./refcount.ts";

/** Sleeps when the count is 1. */
export function refcount_dec_and_mutex_lock(cpu: Cpu, r: number, lock: number): boolean {
  if (refcount_dec_not_one(cpu, r)) return false;
  mutex_lock(cpu, lock);
  // Whoever held the lock may have taken a reference since.
  if (refcount_dec_and_test(cpu, r)) return true;
  mutex_unlock(cpu, lock);
  return false;
}

export function refcount_dec_and_lock(cpu: Cpu, r: number, lock: number): boolean {
  if (refcount_dec_not_one(cpu, r)) return false;
  spin_lock(cpu, lock);
  if (refcount_dec_and_test(cpu, r)) return true;
  spin_unlock(cpu, lock);
  return false;
}

export function refcount_dec_and_lock_irqsave(cpu: Cpu, r: number, lock: number): boolean {
  if (refcount_dec_not_one(cpu, r)) return false;
  spin_lock_irqsave(cpu, lock);
  if (refcount_dec_and_test(cpu, r)) return true;
  spin_unlock_irqrestore(cpu, lock);
  return false;
}
