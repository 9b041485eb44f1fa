/** Explore: what it stops at, what it counts, and what it tells on the way. */
import { describe, expect, it } from "vitest";
import { Execution } from "./execution.ts";
import { explore, type Progress } from "./explore.ts";
import type { Program } from "./program.ts";
import { Dfs } from "./strategy/dfs.ts";
import { Dpor } from "./strategy/dpor.ts";
import { RandomWalk } from "./strategy/random.ts";
import { hand, lostUpdate, X } from "./testing/hand.ts";

/** Each of two threads fails if it comes first. */
const twoFailures: Program = {
  name: "two failures",
  threads: ["a", "b"].map((name) => ({
    name,
    body: (memory, thread) =>
      hand(function* (m) {
        thread.assert(((m.$fetchAdd(X, 1, 0) && (yield), m.$go()) as number) === 1, `${name} is first`);
      })(memory, thread),
  })),
};

it("stops at the first failure, or keeps going", () => {
  const one = explore(new Execution(lostUpdate(2)), new Dfs());
  expect([one.executions, one.complete, one.proof]).toEqual([2, false, undefined]);
  const all = explore(new Execution(lostUpdate(2)), new Dfs(), { keepGoing: true });
  expect([all.executions, all.complete, all.failure?.outcome.index]).toEqual([6, true, 1]);
  expect(all.proof?.proved).toBe(true);
});

it("collects failures by signature and counts final states", () => {
  const lost = explore(new Execution(lostUpdate(3)), new Dfs(), { keepGoing: true });
  expect([...lost.failures.values()].map(({ executions }) => executions)).toEqual([84]);
  expect([...lost.states]).toEqual([["x=3", 6]]);
  const two = explore(new Execution(twoFailures), new Dfs(), { keepGoing: true });
  expect([...two.failures.values()].map(({ first }) => first.outcome.finding?.message)).toEqual([
    "a is first",
    "b is first",
  ]);
});

it("executions that DPOR gives up are made, but not counted", () => {
  const program = lostUpdate(2);
  const reader = hand(function* (m) {
    if (m.$loadAcquire(X, 0)) yield;
    m.$go();
  });
  const found = explore(
    new Execution({ ...program, after: () => {}, threads: [...program.threads, reader, reader] }),
    new Dpor(),
  );
  expect(found.complete).toBe(true);
  expect(found.counted).toBeLessThanOrEqual(found.executions);
  expect([...found.states.values()].reduce((a, b) => a + b, 0)).toBe(found.counted);
});

describe("budget", () => {
  it("executions are an upper bound", () => {
    expect(
      explore(new Execution(lostUpdate(3)), new Dfs(), { executions: 7, keepGoing: true }).executions,
    ).toBe(7);
  });

  it("time that is up ends it after the first look at the clock", () => {
    const budget = { seconds: 0, executions: 100_000, keepGoing: true };
    expect(explore(new Execution(lostUpdate(3)), new RandomWalk(1), budget).executions).toBe(1);
  });

  it("progress carries an estimate where the search can tell", () => {
    const seen: Progress[] = [];
    const budget = { executions: 400_000, keepGoing: true, progress: (one: Progress) => seen.push(one) };
    explore(new Execution({ ...lostUpdate(6), after: () => {} }), new Dfs(), budget);
    expect(seen.length).toBeGreaterThan(0);
    // 12! / 2^6 schedules.
    expect(seen.at(-1)?.estimate?.executions).toBeGreaterThan(7_484_400 / 10);
    expect(seen.at(-1)?.estimate?.executions).toBeLessThan(7_484_400 * 10);
  });
});
