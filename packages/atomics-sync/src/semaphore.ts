/**
 * Semaphore: a count of permits; taking one waits while there is none.
 *
 * Invariants: the count is never negative, so never more than the initial permits are out at once (plus those
 * released without having been taken, which is the caller's business). Not fair: a running thread may overtake a
 * woken one.
 *
 * Interface: semaphoreInit once, before other threads see it (zeroed memory is a semaphore of 0 permits); then
 * semaphoreAcquire and semaphoreRelease, from any threads.
 */
import type { Memory } from "./memory.ts";

// Changed by every acquire and release; sleepers wait on it.
const COUNT = 0;
// How many threads sleep or are about to: changed only by threads that found no permit.
const WAITERS = 4;
/** Bytes of a semaphore, 4-aligned. */
export const SEMAPHORE_BYTES = 8;

/** Makes the semaphore at `p` one of `permits` (0 ... 2^31 - 1). Only while no thread uses it. */
export function semaphoreInit(mem: Memory, p: number, permits: number): void {
  mem.write(p + WAITERS, 0);
  // Pairs with the loadAcquire of the first taker, should the address be handed over unordered.
  mem.storeRelease(p + COUNT, permits);
}

/** Takes a permit of the semaphore at `p` if there is one. Never sleeps. */
export function semaphoreTryAcquire(mem: Memory, p: number): boolean {
  let count = mem.loadAcquire(p + COUNT);
  while (count > 0) {
    // Full order: pairs with the fetchAdd in semaphoreRelease. Without it the taker could miss what the
    // releaser did before giving the permit back.
    const found = mem.compareExchange(p + COUNT, count, count - 1);
    if (found === count) return true;
    count = found;
  }
  return false;
}

/**
 * Takes a permit of the semaphore at `p`, waiting up to `timeoutMs` (0 ... Infinity) for one; true if taken.
 */
export function semaphoreAcquire(mem: Memory, p: number, timeoutMs: number = Infinity): boolean {
  if (semaphoreTryAcquire(mem, p)) return true;
  if (timeoutMs <= 0) return false;
  const deadline = mem.now() + timeoutMs;
  let left = timeoutMs;
  // No wake-up is lost: this fetchAdd precedes every comparison of COUNT with 0 below, and the releaser's
  // fetchAdd of COUNT precedes its read of WAITERS. Both are full order, so either the releaser sees this
  // waiter and notifies, or wait sees the permit and does not sleep.
  mem.fetchAdd(p + WAITERS, 1);
  let taken = semaphoreTryAcquire(mem, p);
  while (!taken && left > 0) {
    mem.wait(p + COUNT, 0, left);
    // Also after a time-out: a permit that came at the last moment is taken.
    taken = semaphoreTryAcquire(mem, p);
    left = deadline - mem.now();
  }
  mem.fetchSub(p + WAITERS, 1);
  return taken;
}

/** Gives `permits` (1 or more) back to the semaphore at `p` and wakes as many waiters. */
export function semaphoreRelease(mem: Memory, p: number, permits: number = 1): void {
  // Full order: pairs with the compareExchange in semaphoreTryAcquire and the fetchAdd in semaphoreAcquire.
  mem.fetchAdd(p + COUNT, permits);
  if (mem.loadAcquire(p + WAITERS) !== 0) mem.notify(p + COUNT, permits);
}

/** The permits free at this moment; other threads may change it at once. */
export function semaphoreAvailable(mem: Memory, p: number): number {
  return mem.loadAcquire(p + COUNT);
}

/** A counting semaphore at a fixed address. */
export class Semaphore {
  readonly mem: Memory;
  /** Address of SEMAPHORE_BYTES, 4-aligned, made by semaphoreInit. */
  readonly p: number;

  constructor(mem: Memory, p: number) {
    this.mem = mem;
    this.p = p;
  }

  /** Makes it a semaphore of `permits`; only while no thread uses it. */
  init(permits: number): void {
    semaphoreInit(this.mem, this.p, permits);
  }
  /** Takes a permit, waiting up to `timeoutMs`; true if taken. */
  acquire(timeoutMs: number = Infinity): boolean {
    return semaphoreAcquire(this.mem, this.p, timeoutMs);
  }
  /** Takes a permit if there is one. */
  tryAcquire(): boolean {
    return semaphoreTryAcquire(this.mem, this.p);
  }
  /** Gives `permits` back. */
  release(permits: number = 1): void {
    semaphoreRelease(this.mem, this.p, permits);
  }
  /** The permits free at this moment. */
  available(): number {
    return semaphoreAvailable(this.mem, this.p);
  }
}
