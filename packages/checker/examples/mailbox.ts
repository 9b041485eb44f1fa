/**
 * Mailbox: hands one word at a time from thread to thread. Zeroed memory is an empty mailbox.
 *
 * `put` and `take` are for one thread on either side. `takeShared` is for several takers; `takeSharedWakeOne` is how
 * one gets there wrong.
 */
import type { Memory } from "atomics-sync";

const STATE = 0;
const VALUE = 4;
export const MAILBOX_BYTES = 8;

const EMPTY = 0;
const FULL = 1;
/** A taker has claimed the value, and has not read it yet. */
const CLAIMED = 2;

/** Waits until the mailbox is empty, then puts `value` in. */
export function put(memory: Memory, p: number, value: number): void {
  for (let state = memory.loadAcquire(p + STATE); state !== EMPTY; state = memory.loadAcquire(p + STATE)) {
    memory.wait(p + STATE, state, Number.POSITIVE_INFINITY);
  }
  memory.write(p + VALUE, value);
  memory.storeRelease(p + STATE, FULL);
  memory.notify(p + STATE, 1);
}

/** Waits until the mailbox is full, then takes the value out. */
export function take(memory: Memory, p: number): number {
  while (memory.loadAcquire(p + STATE) !== FULL) memory.wait(p + STATE, EMPTY, Number.POSITIVE_INFINITY);
  const value = memory.read(p + VALUE);
  memory.storeRelease(p + STATE, EMPTY);
  memory.notify(p + STATE, 1);
  return value;
}

/** Claims the value; only one taker gets it. */
function claim(memory: Memory, p: number): void {
  for (;;) {
    const state = memory.compareExchange(p + STATE, FULL, CLAIMED);
    if (state === FULL) return;
    memory.wait(p + STATE, state, Number.POSITIVE_INFINITY);
  }
}

/** For several takers. Wrong: the one who is woken may be another taker, and the sender sleeps on. */
export function takeSharedWakeOne(memory: Memory, p: number): number {
  claim(memory, p);
  const value = memory.read(p + VALUE);
  memory.storeRelease(p + STATE, EMPTY);
  memory.notify(p + STATE, 1);
  return value;
}

/** For several takers. */
export function takeShared(memory: Memory, p: number): number {
  claim(memory, p);
  const value = memory.read(p + VALUE);
  memory.storeRelease(p + STATE, EMPTY);
  memory.notify(p + STATE, Number.POSITIVE_INFINITY);
  return value;
}
