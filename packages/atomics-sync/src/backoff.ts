/**
 * Backoff: waiting politely for a word that another thread will change, when that thread will not notify.
 *
 * The first rounds spin with 1, 2, 4 ... pauses; later rounds sleep for a short bounded time, so a waiter never
 * holds a core while the thread it waits for wants to run. Where the other side can notify, use the futex
 * primitives instead: they sleep until it does.
 *
 * Interface: let round = 0; while (the word at p is still `seen`) round = backoff(mem, p, seen, round). The caller
 * reads the word itself, with the verb that declares the order it needs. Who has spun enough already starts with
 * BACKOFF_SLEEP_ROUND.
 */
import type { Memory } from "./memory.ts";

/** The first round that sleeps: rounds 0 ... 5 spin, 63 pauses together. */
export const BACKOFF_SLEEP_ROUND = 6;
/** The first sleep; each later one is twice as long. */
const FIRST_SLEEP_MS = 0.0625;
/** The longest sleep, reached in round 10. */
const LAST_SLEEP_MS = 1;

/**
 * Waits a little while the word at `p` is `seen`; returns the next round. Round 0 starts. A round takes at most
 * about 1 ms, and ends early if the word has changed before a sleep, or is notified during one.
 */
export function backoff(mem: Memory, p: number, seen: number, round: number): number {
  if (round < BACKOFF_SLEEP_ROUND) {
    for (let i = 1 << round; i > 0; i--) mem.pause();
  } else {
    // The word is compared before sleeping, so a change made before now is not slept through; a change made
    // during the sleep is noticed when the sleep ends: nothing is lost but time.
    mem.wait(p, seen, Math.min(FIRST_SLEEP_MS * 2 ** (round - BACKOFF_SLEEP_ROUND), LAST_SLEEP_MS));
  }
  return round < 31 ? round + 1 : round;
}

/** One thread's backoff with its round remembered. */
export class Backoff {
  readonly mem: Memory;
  /** Rounds since the last restart. */
  round: number = 0;

  constructor(mem: Memory) {
    this.mem = mem;
  }

  /** Waits a little while the word at `p` is `seen`, longer each time. */
  snooze(p: number, seen: number): void {
    this.round = backoff(this.mem, p, seen, this.round);
  }

  /** Begins again with a single pause: call it after progress. */
  restart(): void {
    this.round = 0;
  }
}
