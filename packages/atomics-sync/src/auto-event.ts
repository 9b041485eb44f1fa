/**
 * AutoEvent (auto reset): a turnstile. Each set lets one waiter pass, now or later; sets do not add up.
 *
 * Invariants: passing resets it, in one step, so no set lets two threads pass. Zeroed memory is an event that is
 * not set.
 *
 * Interface: autoEventSet by anyone, autoEventWait by those who take turns.
 */
import type { Memory } from "./memory.ts";

// 1 while one thread may pass; sleepers wait on it.
const STATE = 0;
// How many threads sleep or are about to.
const WAITERS = 4;
/** Bytes of an auto-reset event, 4-aligned. */
export const AUTO_EVENT_BYTES = 8;

/** Lets one waiter of the event at `p` pass. Without effect if it is set already. */
export function autoEventSet(mem: Memory, p: number): void {
  // Full order: pairs with the exchange in autoEventWait, which must see what was written before the set.
  // Found set: the earlier setter notifies, or has done so and the woken thread has not run yet; that thread
  // takes both sets, as the contract says.
  if (mem.exchange(p + STATE, 1) === 1) return;
  // No wake-up is lost: STATE changes before WAITERS is read; a waiter counts itself before it tests STATE.
  // Both are full order: either it is seen here, or it sees the set.
  if (mem.loadAcquire(p + WAITERS) !== 0) mem.notify(p + STATE, 1);
}

/** Takes back a set of the event at `p` that no one has used; true if there was one. */
export function autoEventReset(mem: Memory, p: number): boolean {
  return mem.exchange(p + STATE, 0) === 1;
}

/** Waits up to `timeoutMs` (0 ... Infinity) to pass the event at `p`, which resets it; true if passed. */
export function autoEventWait(mem: Memory, p: number, timeoutMs: number = Infinity): boolean {
  // Full order: pairs with the exchange in autoEventSet.
  if (mem.exchange(p + STATE, 0) === 1) return true;
  if (timeoutMs <= 0) return false;
  const deadline = mem.now() + timeoutMs;
  let left = timeoutMs;
  mem.fetchAdd(p + WAITERS, 1);
  let passed = mem.exchange(p + STATE, 0) === 1;
  while (!passed && left > 0) {
    mem.wait(p + STATE, 0, left);
    // Another thread may have passed first; then this one goes on waiting for the time that is left.
    passed = mem.exchange(p + STATE, 0) === 1;
    left = deadline - mem.now();
  }
  mem.fetchSub(p + WAITERS, 1);
  return passed;
}

/** An auto-reset event at a fixed address. `signal` is set: that name belongs to built-in collections. */
export class AutoEvent {
  readonly mem: Memory;
  /** Address of AUTO_EVENT_BYTES zeroed bytes, 4-aligned. */
  readonly p: number;

  constructor(mem: Memory, p: number) {
    this.mem = mem;
    this.p = p;
  }

  /** Lets one waiter pass. */
  signal(): void {
    autoEventSet(this.mem, this.p);
  }
  /** Takes back an unused set; true if there was one. */
  reset(): boolean {
    return autoEventReset(this.mem, this.p);
  }
  /** Waits up to `timeoutMs` to pass; true if passed. */
  wait(timeoutMs: number = Infinity): boolean {
    return autoEventWait(this.mem, this.p, timeoutMs);
  }
}
