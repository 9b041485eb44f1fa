/** Laws of the spin budget, whatever the waits are like. */
import { expect, test } from "vitest";
import { boot_solo } from "../testing/solo.ts";
import type { Cpu } from "./cpu.ts";
import { idle_spin_adapt, idle_spin_won } from "./idle-spin.ts";

/** ms: less and more than what a sleep and its wake-up cost. */
const SHORT = 0.01;
const LONG = 5;
const SLEEPS = 5000;

function fresh(): Cpu {
  const cpu = boot_solo();
  cpu.idle_spin = 64;
  cpu.idle_failures = 0;
  return cpu;
}

/** The budget after each of `n` spins that fail, with sleeps of `ms` after them. */
function failing(cpu: Cpu, n: number, ms: number): number[] {
  return Array.from({ length: n }, () => {
    idle_spin_adapt(cpu, ms);
    return cpu.idle_spin;
  });
}

function longest_run(values: readonly number[], of: number): number {
  let run = 0;
  let longest = 0;
  for (const value of values) {
    run = value === of ? run + 1 : 0;
    if (run > longest) longest = run;
  }
  return longest;
}

test("waits that end soon after the spin has given up make it spin longer, up to a limit", () => {
  const cpu = fresh();
  let before = cpu.idle_spin;
  for (let i = 0; i < 20; i++) {
    idle_spin_adapt(cpu, SHORT);
    expect(cpu.idle_spin).toBe(Math.min(4096, before * 2));
    before = cpu.idle_spin;
    idle_spin_won(cpu);
  }
  expect(before).toBe(4096);
});

test("long waits make it spin less, down to a few rounds", () => {
  const cpu = fresh();
  expect(failing(cpu, 6, LONG)).toEqual([32, 16, 8, 8, 8, 8]);
});

for (const [name, ms] of [
  ["short", SHORT],
  ["long", LONG],
] as const) {
  test(`who never wins gives spinning up, and tries again now and then (${name} sleeps)`, () => {
    const rounds = failing(fresh(), SLEEPS, ms);
    const least = Math.min(...rounds);
    expect(least).toBe(8);
    // Most of the time it hardly spins at all, and it is never long without an attempt.
    expect(rounds.filter((n) => n === least).length / SLEEPS).toBeGreaterThan(0.9);
    expect(longest_run(rounds, least)).toBeLessThan(256);
    expect(rounds.slice(-256).some((n) => n >= 512)).toBe(true);
  });
}

test("a spin that wins forgets the failures before it", () => {
  const cpu = fresh();
  // For each 7 that fail one wins: the budget is never given up.
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < SLEEPS; i++) {
    if (i % 8 === 7) idle_spin_won(cpu);
    else idle_spin_adapt(cpu, SHORT);
    least = Math.min(least, cpu.idle_spin);
  }
  expect(least).toBeGreaterThanOrEqual(64);
  expect(cpu.idle_spin).toBe(4096);
});

test("any waits: the budget stays between its ends", () => {
  const cpu = fresh();
  for (let i = 0; i < SLEEPS; i++) {
    if (cpu.random32() % 8 === 0) idle_spin_won(cpu);
    else idle_spin_adapt(cpu, (cpu.random32() % 1000) / 1000);
    expect(cpu.idle_spin).toBeGreaterThanOrEqual(8);
    expect(cpu.idle_spin).toBeLessThanOrEqual(4096);
  }
});

test("a budget of 0, as under a virtual clock, never moves", () => {
  const cpu = fresh();
  cpu.idle_spin = 0;
  expect(new Set(failing(cpu, 600, SHORT))).toEqual(new Set([0]));
  idle_spin_won(cpu);
  expect(new Set(failing(cpu, 600, LONG))).toEqual(new Set([0]));
});
