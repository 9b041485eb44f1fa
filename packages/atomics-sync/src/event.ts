/**
 * Event (manual reset): a gate. While it is set every waiter passes; setting it wakes all.
 *
 * Invariants: a waiter that began before a set returns true, even if the event is reset before the waiter runs
 * (the word counts sets and resets). Zeroed memory is an event that is not set. For the kind that lets one
 * waiter pass per set, see auto-event.ts.
 *
 * Interface: eventSet and eventReset by anyone; eventWait. To wait for a condition: eventReset, test the
 * condition, eventWait, again; the other side makes the condition true, then eventSet.
 */
import type { Memory } from "./memory.ts";

// Odd while the gate is open. Each set and each reset that changes something adds 1; sleepers wait on it.
const SEQUENCE = 0;
// How many threads sleep or are about to.
const WAITERS = 4;
/** Bytes of an event, 4-aligned. */
export const EVENT_BYTES = 8;

const ALL = 0x7fffffff;

/** Sets the event at `p`: lets everyone pass until the next reset. */
export function eventSet(mem: Memory, p: number): void {
  for (;;) {
    const seq = mem.loadAcquire(p + SEQUENCE);
    const next = (seq & 1) === 0 ? (seq + 1) | 0 : seq;
    // Full order, also when it is set already and the word stays the same: pairs with the compareExchange in
    // eventReset and the loadAcquire in eventWait. Without it a thread that resets, then tests its condition,
    // could miss what was written before this set, and sleep.
    if (mem.compareExchange(p + SEQUENCE, seq, next) !== seq) continue;
    // No wake-up is lost: the sequence changes before WAITERS is read; a waiter counts itself before wait
    // compares the sequence. Both are full order: either it is seen here, or it sees the set.
    if (next !== seq && mem.loadAcquire(p + WAITERS) !== 0) mem.notify(p + SEQUENCE, ALL);
    return;
  }
}

/** Resets the event at `p`: later waiters wait. True if it was set. */
export function eventReset(mem: Memory, p: number): boolean {
  for (;;) {
    const seq = mem.loadAcquire(p + SEQUENCE);
    const next = (seq & 1) === 1 ? (seq + 1) | 0 : seq;
    // Full order: pairs with the compareExchange in eventSet, see there.
    if (mem.compareExchange(p + SEQUENCE, seq, next) === seq) return next !== seq;
  }
}

/** Waits up to `timeoutMs` (0 ... Infinity) for the event at `p` to be set; true if it was. */
export function eventWait(mem: Memory, p: number, timeoutMs: number = Infinity): boolean {
  // Pairs with the compareExchange in eventSet: what was written before the set is seen after the wait.
  const seq = mem.loadAcquire(p + SEQUENCE);
  if ((seq & 1) === 1) return true;
  if (timeoutMs <= 0) return false;
  const deadline = mem.now() + timeoutMs;
  let left = timeoutMs;
  mem.fetchAdd(p + WAITERS, 1);
  // Any change of an even sequence is a set, even if a reset hid it since. A notify of an earlier set may come
  // late and find the sequence unchanged: then this thread goes on waiting.
  while (mem.loadAcquire(p + SEQUENCE) === seq && left > 0) {
    mem.wait(p + SEQUENCE, seq, left);
    left = deadline - mem.now();
  }
  mem.fetchSub(p + WAITERS, 1);
  return mem.loadAcquire(p + SEQUENCE) !== seq;
}

/** A manual-reset event at a fixed address. `signal` is set: that name belongs to built-in collections. */
export class ManualEvent {
  readonly mem: Memory;
  /** Address of EVENT_BYTES zeroed bytes, 4-aligned. */
  readonly p: number;

  constructor(mem: Memory, p: number) {
    this.mem = mem;
    this.p = p;
  }

  /** Lets everyone pass until the next reset. */
  signal(): void {
    eventSet(this.mem, this.p);
  }
  /** Makes later waiters wait; true if it was set. */
  reset(): boolean {
    return eventReset(this.mem, this.p);
  }
  /** Waits up to `timeoutMs` until set; true if it was. */
  wait(timeoutMs: number = Infinity): boolean {
    return eventWait(this.mem, this.p, timeoutMs);
  }
}
