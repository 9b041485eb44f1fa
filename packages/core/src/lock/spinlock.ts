/**
 * spinlock_t (include/linux/spinlock.h): one futex word. Holding one forbids sleeping. A contended locker
 * spins briefly, then sleeps in the futex as a paravirtual guest would: threads may outnumber cores.
 *
 * The word has the three states of an atomics-sync mutex: free, locked, locked with sleepers. Its slow path is
 * here because a kernel spinlock is one word, with the data it guards right behind it.
 *
 * Interrupt handlers run on their CPU at safe points only, never while it holds a spinlock, so the irqsave
 * forms differ in name alone; they mark the locks that interrupt context takes too.
 */
import { mutexTryLock, mutexUnlock, type Ptr } from "atomics-sync";
import type { Cpu } from "../sched/cpu.ts";

export type SpinlockPtr = Ptr<"spinlock">;
export const SPINLOCK_SIZE = 4;

const FREE = 0;
const CONTENDED = 2;
/** Pauses before the locker sleeps: a few microseconds, less than a sleep and its wake-up cost. */
const SPIN_ROUNDS = 128;

export function spin_lock_init(cpu: Cpu, lock: number): void {
  cpu.mem.write(lock, FREE);
}

export function spin_lock(cpu: Cpu, lock: number): void {
  cpu.preempt_count++;
  if (!mutexTryLock(cpu.mem, lock)) spin_lock_slow(cpu, lock);
}

function spin_lock_slow(cpu: Cpu, lock: number): void {
  for (let i = 0; i < SPIN_ROUNDS; i++) {
    const state = cpu.mem.loadAcquire(lock);
    if (state === FREE && mutexTryLock(cpu.mem, lock)) return;
    if (state === CONTENDED) break;
    cpu.mem.pause();
  }
  // Who may have slept keeps the word CONTENDED: others may sleep too, and unlock must notify them. Pairs with
  // the exchange in mutexUnlock: it sees CONTENDED and notifies, or our exchange sees FREE.
  while (cpu.mem.exchange(lock, CONTENDED) !== FREE) cpu.mem.wait(lock, CONTENDED, Infinity);
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
  return cpu.mem.readOnce(lock) !== FREE;
}
