/**
 * How long a thread spins for another one before it sleeps. A sleep and its wake-up cost some ten microseconds on both
 * sides, so a wait that turns out shorter than that should have been spun; one that turns out longer only took
 * a core from somebody. The budget follows: it doubles after a short sleep and halves after a long one.
 *
 * With more threads than cores sleeps may be short and spinning yet be in vain: the one that is waited for runs only
 * once we sleep. So a thread whose spins fail several times in a row gives spinning up. Now and then it tries again:
 * two threads that wait for each other asleep would never find out that they need not.
 *
 * Interface: a budget for each kind of wait, of one thread. Spin `rounds` rounds; then tell `won`, or sleep and tell
 * `lost` how long it took.
 */

/** Rounds: one acquire load and one pause each, some 50 ns; at most about the length of a short sleep. */
const SPIN_FIRST = 64;
const SPIN_MIN = 8;
const SPIN_MAX = 4096;
/** A sleep shorter than this (ms) would have been worth spinning for. */
const SHORT_SLEEP_MS = 0.2;
/** Spins that fail in a row before it gives up; sleeps until it tries again, from so many rounds. */
const FAILURES_MAX = 8;
const PROBE_EVERY = 256;
const SPIN_PROBE = 512;

export class SpinBudget {
  /** 0, or SPIN_MIN ... SPIN_MAX. */
  rounds: number = SPIN_FIRST;
  /** Spins in a row that ended in a sleep. */
  private failures: number = 0;

  /** Spinning has ended a wait. */
  won(): void {
    this.failures = 0;
  }

  /** It has not, and the sleep that followed took `slept_ms`. */
  lost(slept_ms: number): void {
    const rounds = this.rounds;
    if (rounds === 0) return;
    const failures = ++this.failures;
    if (failures >= PROBE_EVERY) {
      this.failures = FAILURES_MAX >> 1;
      this.rounds = SPIN_PROBE;
    } else if (failures <= FAILURES_MAX && slept_ms < SHORT_SLEEP_MS) {
      this.rounds = rounds < SPIN_MAX ? rounds * 2 : SPIN_MAX;
    } else this.rounds = rounds > SPIN_MIN ? rounds >> 1 : SPIN_MIN;
  }

  /** Never spins again: on a virtual clock, which does not pass while a thread spins. */
  off(): void {
    this.rounds = 0;
  }
}
