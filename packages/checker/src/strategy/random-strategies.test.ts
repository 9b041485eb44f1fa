import { describe, expect, it } from "vitest";
import type { ControlledMemory } from "../controlled-memory.ts";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import type { Program } from "../program.ts";
import type { Strategy } from "../strategy.ts";
import { hand, lostUpdate, X, Y } from "../testing/hand.ts";
import { makeStrategy } from "./index.ts";
import { Portfolio } from "./portfolio.ts";

type Steps = Generator<unknown, void>;

const NAMES = ["random", "pct", "pos", "urw", "surw", "portfolio"];

function hashes(strategy: Strategy, executions: number): number[] {
  const seen: number[] = [];
  explore(new Execution(lostUpdate(4)), strategy, {
    executions,
    keepGoing: true,
    each: ({ hash }) => seen.push(hash),
  });
  return seen;
}

/** Part of `executions` executions that find something. */
function rate(program: Program, strategy: Strategy, executions: number): number {
  let found = 0;
  explore(new Execution(program), strategy, {
    executions,
    keepGoing: true,
    each: ({ finding }) => {
      if (finding !== undefined) found++;
    },
  });
  return found / executions;
}

function* write(m: ControlledMemory, p: number, value: number): Steps {
  if (m.$write(p, value, 0)) yield;
  m.$go();
}

describe.each(NAMES)("%s", (name) => {
  it("finds a lost update", () => {
    const { failure } = explore(new Execution(lostUpdate()), makeStrategy(name, { seed: 1 }), {
      executions: 100,
    });
    expect(failure?.outcome.finding?.kind).toBe("assertion");
  });

  it("makes the same executions from the same seed, and others from another", () => {
    const first = hashes(makeStrategy(name, { seed: 5 }), 300);
    expect(hashes(makeStrategy(name, { seed: 5 }), 300)).toEqual(first);
    expect(hashes(makeStrategy(name, { seed: 6 }), 300)).not.toEqual(first);
  });
});

describe.each(["random", "pos"])("%s", (name) => {
  it("makes each execution without those before it", () => {
    const all = hashes(makeStrategy(name, { seed: 3 }), 60);
    const execution = new Execution(lostUpdate(4));
    const strategy = makeStrategy(name, { seed: 3 });
    strategy.begin(execution, 57);
    expect(execution.run(strategy, 57).hash).toBe(all[57]);
  });
});

/** One step of the first thread, out of `2 * around + 2`, after which the other one must not look. */
function window(around: number): Program {
  return {
    name: "window",
    threads: [
      hand(function* (m): Steps {
        for (let i = 0; i < around; i++) yield* write(m, Y, i);
        yield* write(m, X, 1);
        yield* write(m, X, 0);
        for (let i = 0; i < around; i++) yield* write(m, Y, i);
      }),
      (memory, thread) =>
        hand(function* (m): Steps {
          const x = (m.$read(X, 0) && (yield), m.$go()) as number;
          thread.assert(x === 0, "looked into the window");
        })(memory, thread),
    ],
  };
}

describe("PCT of depth 2", () => {
  it("finds a bug of depth 2 with a probability of 1/(n k), where the random walk does not", () => {
    const program = window(10);
    const threads = 2;
    const steps = 23;
    const pct = rate(program, makeStrategy("pct", { seed: 1, depth: 2 }), 20_000);
    expect(pct).toBeGreaterThan(0.8 / (threads * steps));
    expect(rate(program, makeStrategy("random", { seed: 1 }), 20_000)).toBeLessThan(pct / 10);
  });

  it("needs its change point: depth 1 never looks into the window", () => {
    const pct = makeStrategy("pct", { seed: 1, depth: 1 });
    // The first execution is a random walk.
    expect(rate(window(10), pct, 5_000)).toBeLessThan(0.001);
  });

  it("refuses a depth that is none", () => {
    expect(() => makeStrategy("pct", { seed: 1, depth: 0 })).toThrow(RangeError);
  });
});

/** Chi-square of the schedules of two threads of three steps each against all 20 being as likely. */
function chiSquare(strategy: Strategy, executions: number): number {
  const threeWrites = hand(function* (m): Steps {
    for (let i = 0; i < 3; i++) yield* write(m, X, i);
  });
  const execution = new Execution({ name: "2 x 3", threads: [threeWrites, threeWrites] });
  const counts = new Map<string, number>();
  explore(execution, strategy, {
    executions,
    each: ({ index }) => {
      const schedule = execution.schedule.slice(0, execution.picks).join("");
      // The profile of the walk by length is sure after a few executions.
      if (index >= 16) counts.set(schedule, (counts.get(schedule) ?? 0) + 1);
    },
  });
  const expected = (executions - 16) / 20;
  expect(counts.size).toBe(20);
  return [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
}

describe("URW", () => {
  it("makes every interleaving as likely as any other, where the random walk does not", () => {
    // 19 degrees of freedom: 43.8 is passed once in a thousand.
    expect(chiSquare(makeStrategy("urw", { seed: 1 }), 20_016)).toBeLessThan(43.8);
    expect(chiSquare(makeStrategy("random", { seed: 1 }), 20_016)).toBeGreaterThan(1_000);
  });
});

/**
 * Fails when the op of the second thread comes after all of the first, `before` of which have nothing to do with it.
 */
function late(before: number): Program {
  return {
    name: "late",
    threads: [
      hand(function* (m): Steps {
        for (let i = 0; i < before; i++) yield* write(m, Y, i);
        yield* write(m, X, 1);
      }),
      (memory, thread) =>
        hand(function* (m): Steps {
          const x = (m.$read(X, 0) && (yield), m.$go()) as number;
          thread.assert(x === 0, "came late");
        })(memory, thread),
    ],
  };
}

describe("POS", () => {
  it("samples the order of two conflicting ops, however many others there are", () => {
    // It comes late when its number is the lowest of before + 2.
    const pos = rate(late(6), makeStrategy("pos", { seed: 1 }), 20_000);
    expect(Math.abs(pos - 1 / 8)).toBeLessThan(0.02);
    expect(rate(late(6), makeStrategy("random", { seed: 1 }), 20_000)).toBeLessThan(0.02);
  });
});

describe("SURW", () => {
  it("makes both orders of two interesting ops as likely, though one stands behind twenty others", () => {
    const surw = rate(late(20), makeStrategy("surw", { seed: 1 }), 10_000);
    // One execution in ten is a walk by length, and late in 1 of 22.
    expect(surw).toBeGreaterThan(0.4);
    expect(surw).toBeLessThan(0.5);
  });
});

/** Ten choices of three; the outcome is those that were not 0. */
function choosing(): Program {
  const picks: number[] = [];
  return {
    name: "choosing",
    before: () => void (picks.length = 0),
    threads: [
      (memory, thread) =>
        hand(function* (m): Steps {
          for (let i = 0; i < 10; i++) {
            yield* write(m, X, i);
            picks.push(thread.choose(3));
          }
        })(memory, thread),
    ],
    outcome: () => picks.filter((pick) => pick !== 0).join(""),
  };
}

describe.each(["pct", "pos", "urw", "surw"])("data choices of %s", (name) => {
  it("are mostly ordinary, and every other value comes up", () => {
    const unusual: number[] = [];
    const values = new Set<string>();
    explore(new Execution(choosing()), makeStrategy(name, { seed: 2 }), {
      executions: 2_000,
      each: ({ state = "" }) => {
        unusual.push(state.length);
        for (const value of state) values.add(value);
      },
    });
    expect([...values].toSorted()).toEqual(["1", "2"]);
    const part = (of: (n: number) => boolean): number => unusual.filter(of).length / unusual.length;
    expect(part((n) => n === 0)).toBeGreaterThan(0.4);
    expect(part((n) => n >= 1 && n <= 3)).toBeGreaterThan(0.25);
    expect(part((n) => n > 3)).toBeLessThan(0.15);
  });
});

describe("the portfolio", () => {
  it("gives every other execution to the search with few preemptions, and the rest by lot", () => {
    const portfolio = new Portfolio({ seed: 4 });
    const members: string[] = [];
    const { after: _, ...program } = lostUpdate(4);
    explore(new Execution(program), portfolio, {
      executions: 6_000,
      each: ({ index }) => members.push(portfolio.memberOf(index)),
    });
    expect(members.slice(0, 20).filter((name) => name === "bounded")).toHaveLength(10);
    const others = members.filter((name) => name !== "bounded");
    const share = (name: string): number => others.filter((other) => other === name).length / others.length;
    expect(others.length).toBeGreaterThan(3_900);
    expect(Math.abs(share("surw") - 0.4)).toBeLessThan(0.03);
    expect(Math.abs(share("pos") - 0.25)).toBeLessThan(0.03);
    expect(Math.abs(share("pct") - 0.2)).toBeLessThan(0.03);
    expect(Math.abs(share("random") - 0.1)).toBeLessThan(0.03);
    expect(Math.abs(share("urw") - 0.05)).toBeLessThan(0.02);
  });

  it("says proved when its search has seen everything, and not when it has not", () => {
    const small = hand(function* (m): Steps {
      yield* write(m, X, 1);
    });
    const search = (steps: number) =>
      explore(
        new Execution({ name: "small", threads: steps === 1 ? [small, small] : lostUpdate(3).threads }),
        makeStrategy("portfolio", { seed: 1 }),
        { executions: 500 },
      );
    expect(search(1)).toMatchObject({ complete: true, proof: { proved: true } });
    expect(search(2)).toMatchObject({ complete: false, executions: 500 });
  });
});
