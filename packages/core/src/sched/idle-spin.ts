/**
 * How long an idle thread spins before it sleeps. A sleep and its wake-up cost some ten microseconds on both
 * sides, so a wait that turns out shorter than that should have been spun; one that turns out longer only took
 * a core from somebody. The budget follows: it doubles after a short sleep and halves after a long one.
 *
 * With more threads than cores sleeps may be short and spinning yet be in vain: the one that is waited for runs only
 * once we sleep. So a thread whose spins fail several times in a row gives spinning up. Now and then it tries again:
 * two threads that wait for each other asleep would never find out that they need not.
 *
 * Interface: spin `cpu.idle_spin` rounds; then tell idle_spin_won, or sleep and tell idle_spin_adapt how long it took.
 */
import type { Cpu } from "./cpu.ts";

/** Rounds: one acquire load and one pause each, some 50 ns; at most about the length of a short sleep. */
const SPIN_MIN = 8;
const SPIN_MAX = 4096;
/** A sleep shorter than this (ms) would have been worth spinning for. */
const SHORT_SLEEP_MS = 0.2;
/** Spins that fail in a row before it gives up; sleeps until it tries again, from so many rounds. */
const FAILURES_MAX = 8;
const PROBE_EVERY = 256;
const SPIN_PROBE = 512;

/** Spinning has ended a wait. */
export function idle_spin_won(cpu: Cpu): void {
  cpu.idle_failures = 0;
}

export function idle_spin_adapt(cpu: Cpu, slept_ms: number): void {
  const rounds = cpu.idle_spin;
  // A virtual clock does not pass while a thread spins.
  if (rounds === 0) return;
  const failures = ++cpu.idle_failures;
  if (failures >= PROBE_EVERY) {
    cpu.idle_failures = FAILURES_MAX >> 1;
    cpu.idle_spin = SPIN_PROBE;
  } else if (failures <= FAILURES_MAX && slept_ms < SHORT_SLEEP_MS) {
    cpu.idle_spin = rounds < SPIN_MAX ? rounds * 2 : SPIN_MAX;
  } else cpu.idle_spin = rounds > SPIN_MIN ? rounds >> 1 : SPIN_MIN;
}
