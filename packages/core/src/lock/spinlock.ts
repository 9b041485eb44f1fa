/**
 * spinlock_t (include/linux/spinlock.h): one futex word. Holding one forbids sleeping. A contended locker
 * spins briefly, then sleeps in the futex as a paravirtual guest would: threads may outnumber cores.
 *
 * The word is an atomics-sync mutex: free, locked, locked with sleepers.
 *
 * Interrupt handlers run on their CPU at safe points only, never while it holds a spinlock, so the irqsave
 * forms differ in name alone; they mark the locks that interrupt context takes too.
 */
import { MUTEX_BYTES, mutexLock, mutexTryLock, mutexUnlock, type Ptr } from "atomics-sync";
import type { Cpu } from "../sched/cpu.ts";

export type SpinlockPtr = Ptr<"spinlock">;
export const SPINLOCK_SIZE = MUTEX_BYTES;

export function spin_lock_init(cpu: Cpu, lock: number): void {
  cpu.mem.write(lock, 0);
}

export function spin_lock(cpu: Cpu, lock: number): void {
  cpu.preempt_count++;
  mutexLock(cpu.mem, lock);
}

export function spin_trylock(cpu: Cpu, lock: number): boolean {
  if (!mutexTryLock(cpu.mem, lock)) return false;
  cpu.preempt_count++;
  return true;
}

export function spin_unlock(cpu: Cpu, lock: number): void {
  mutexUnlock(cpu.mem, lock);
  cpu.preempt_count--;
}

export function spin_lock_irqsave(cpu: Cpu, lock: number): void {
  spin_lock(cpu, lock);
}

export function spin_unlock_irqrestore(cpu: Cpu, lock: number): void {
  spin_unlock(cpu, lock);
}

export function spin_is_locked(cpu: Cpu, lock: number): boolean {
  return cpu.mem.readOnce(lock) !== 0;
}
