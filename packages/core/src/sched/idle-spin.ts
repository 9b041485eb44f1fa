/**
 * How long an idle thread spins before it sleeps. A sleep and its wake-up cost some ten microseconds on both
 * sides, so a wait that turns out shorter than that should have been spun; one that turns out longer only took
 * a core from somebody. The budget follows: it doubles after a short sleep and halves after a long one. With
 * more threads than cores sleeps are long, and spinning dies out by itself.
 *
 * Interface: spin `cpu.idle_spin` rounds; when that brought nothing, sleep and tell how long it took.
 */
import type { Cpu } from "./cpu.ts";

/** Rounds: one acquire load and one pause each, some 50 ns. */
const SPIN_MIN = 8;
const SPIN_MAX = 2048;
/** A sleep shorter than this (ms) would have been worth spinning for. */
const SHORT_SLEEP_MS = 0.2;

export function idle_spin_adapt(cpu: Cpu, slept_ms: number): void {
  const rounds = cpu.idle_spin;
  cpu.idle_spin =
    slept_ms < SHORT_SLEEP_MS ? Math.min(SPIN_MAX, rounds * 2) : Math.max(SPIN_MIN, rounds >> 1);
}
