/**
 * A futex mutex and a condition variable, in words of memory that start at 0: what the benchmark programs use for
 * pthreads'. A lock that is free costs one step, and so does an unlock nobody waits for. Blocked threads sleep, so
 * deadlocks show.
 *
 * Interface: mutexLock ... mutexUnlock; condWait with the mutex held, in a loop; condSignal, condBroadcast.
 */
import type { Memory } from "atomics-sync/memory";

const FREE = 0;
const HELD = 1;
/** Held, and somebody may sleep. */
const CONTENDED = 2;
const FOREVER = Number.POSITIVE_INFINITY;
const ALL = 2 ** 31 - 1;

export function mutexLock(memory: Memory, mutex: number): void {
  if (memory.compareExchange(mutex, FREE, HELD) === FREE) return;
  while (memory.exchange(mutex, CONTENDED) !== FREE) memory.wait(mutex, CONTENDED, FOREVER);
}

export function mutexUnlock(memory: Memory, mutex: number): void {
  // A sleeper that comes after the exchange compares with CONTENDED and does not sleep.
  if (memory.exchange(mutex, FREE) === CONTENDED) memory.notify(mutex, 1);
}

/** Unlocks, sleeps until signalled, locks. A signal after the unlock changes the word, so it is not lost. */
export function condWait(memory: Memory, condition: number, mutex: number): void {
  const signals = memory.loadAcquire(condition);
  mutexUnlock(memory, mutex);
  memory.wait(condition, signals, FOREVER);
  mutexLock(memory, mutex);
}

export function condSignal(memory: Memory, condition: number): void {
  memory.fetchAdd(condition, 1);
  memory.notify(condition, 1);
}

export function condBroadcast(memory: Memory, condition: number): void {
  memory.fetchAdd(condition, 1);
  memory.notify(condition, ALL);
}
