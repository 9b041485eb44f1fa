/** Laws of the spin budget, whatever the waits are like. */
import { expect, test } from "vitest";
import { boot_solo } from "../testing/solo.ts";
import { SpinBudget } from "./spin-budget.ts";

/** ms: less and more than what a sleep and its wake-up cost. */
const SHORT = 0.01;
const LONG = 5;
const SLEEPS = 5000;

/** The budget after each of `n` spins that fail, with sleeps of `ms` after them. */
function failing(budget: SpinBudget, n: number, ms: number): number[] {
  return Array.from({ length: n }, () => {
    budget.lost(ms);
    return budget.rounds;
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
  const budget = new SpinBudget();
  let before = budget.rounds;
  for (let i = 0; i < 20; i++) {
    budget.lost(SHORT);
    expect(budget.rounds).toBe(Math.min(4096, before * 2));
    before = budget.rounds;
    budget.won();
  }
  expect(before).toBe(4096);
});

test("long waits make it spin less, down to a few rounds", () => {
  const budget = new SpinBudget();
  expect(failing(budget, 6, LONG)).toEqual([32, 16, 8, 8, 8, 8]);
});

for (const [name, ms] of [
  ["short", SHORT],
  ["long", LONG],
] as const) {
  test(`who never wins gives spinning up, and tries again now and then (${name} sleeps)`, () => {
    const rounds = failing(new SpinBudget(), SLEEPS, ms);
    const least = Math.min(...rounds);
    expect(least).toBe(8);
    // Most of the time it hardly spins at all, and it is never long without an attempt.
    expect(rounds.filter((n) => n === least).length / SLEEPS).toBeGreaterThan(0.9);
    expect(longest_run(rounds, least)).toBeLessThan(256);
    expect(rounds.slice(-256).some((n) => n >= 512)).toBe(true);
  });
}

test("a spin that wins forgets the failures before it", () => {
  const budget = new SpinBudget();
  // For each 7 that fail one wins: the budget is never given up.
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < SLEEPS; i++) {
    if (i % 8 === 7) budget.won();
    else budget.lost(SHORT);
    least = Math.min(least, budget.rounds);
  }
  expect(least).toBeGreaterThanOrEqual(64);
  expect(budget.rounds).toBe(4096);
});

test("any waits: the budget stays between its ends", () => {
  const budget = new SpinBudget();
  const cpu = boot_solo();
  for (let i = 0; i < SLEEPS; i++) {
    if (cpu.random32() % 8 === 0) budget.won();
    else budget.lost((cpu.random32() % 1000) / 1000);
    expect(budget.rounds).toBeGreaterThanOrEqual(8);
    expect(budget.rounds).toBeLessThanOrEqual(4096);
  }
});

test("a budget of 0, as under a virtual clock, never moves", () => {
  const budget = new SpinBudget();
  budget.off();
  expect(new Set(failing(budget, 600, SHORT))).toEqual(new Set([0]));
  budget.won();
  expect(new Set(failing(budget, 600, LONG))).toEqual(new Set([0]));
});
