/** Depth-first search and preemption bounding: all schedules, in the order promised, and the estimate on the way. */
import { describe, expect, it } from "vitest";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import type { Program } from "../program.ts";
import { hand, lostUpdate, X, Y } from "../testing/hand.ts";
import { READY, type Thread } from "../thread.ts";
import { Bounded } from "./bounded.ts";
import { Dfs } from "./dfs.ts";
import { type Estimate, estimateText, Estimator } from "./estimate.ts";
import { endsOf } from "./testing/ends.ts";
import { endOf, generate } from "./testing/generate.ts";

const KINDS = ["read", "write", "add", "cas", "choose", "wait", "notify", "assert"] as const;

describe("DFS", () => {
  it.each([
    [2, 6],
    [3, 90],
    [4, 2520],
  ])("makes each schedule of %i increments once: %i", (threads, schedules) => {
    const all = endsOf(lostUpdate(threads), new Dfs(), endOf);
    expect(all.found.complete).toBe(true);
    expect(new Set(all.schedules).size).toBe(schedules);
    expect(all.schedules).toHaveLength(schedules);
  });

  it("walks data choices, too", () => {
    const chooser: Program = {
      name: "chooser",
      threads: [
        {
          name: "t",
          body: function* (m, thread) {
            m.write(X, thread.choose(3));
            if ((m as never as { $fence(site: number): boolean }).$fence(0)) yield;
            m.write(Y, thread.choose(2));
          },
        },
      ],
      outcome: (m) => `${m.read(X)}${m.read(Y)}`,
    };
    const { states, counted } = explore(new Execution(chooser), new Dfs());
    expect([...states.keys()].sort()).toEqual(["00", "01", "10", "11", "20", "21"]);
    expect(counted).toBe(6);
  });

  it("a program with state outside its memory is found out", () => {
    let runs = 0;
    const moody = hand(function* (m) {
      for (let steps = runs++ < 3 ? 4 : 1; steps > 0; steps--) {
        if (m.$fence(0)) yield;
        m.$go();
      }
    });
    const program: Program = { name: "moody", threads: [moody, moody, moody] };
    const { failure } = explore(new Execution(program), new Dfs());
    expect(failure?.outcome.finding?.kind).toBe("nondeterminism");
  });
});

/** Preemptions of a schedule, counted from the outside: switches away from a thread that was ready. */
function preemptionsOf(program: Program, bound: number): number[] {
  const strategy = new Bounded({ from: bound, to: bound });
  const execution = new Execution(program);
  const counts: number[] = [];
  let count = 0;
  const pick = strategy.pick.bind(strategy);
  strategy.pick = (one) => {
    const ready = one.current >= 0 && (one.threads[one.current] as Thread).state === READY;
    const next = pick(one);
    if (ready && next !== one.current) count++;
    return next;
  };
  explore(execution, strategy, {
    keepGoing: true,
    each: () => {
      counts.push(count);
      count = 0;
    },
  });
  return counts;
}

describe("preemption bounding", () => {
  it("without preemptions there are as many schedules as orders of threads", () => {
    expect(endsOf(lostUpdate(3), new Bounded({ to: 0 }), endOf).schedules).toHaveLength(6);
  });

  it.each([0, 1, 2, 3])("with bound %i no schedule has more, and some have as many", (bound) => {
    const counts = preemptionsOf(lostUpdate(3), bound);
    expect(Math.max(...counts)).toBe(bound);
    expect(counts.some((count) => count === bound)).toBe(true);
  });

  it("goes up to where a bound cuts nothing, and then has made every schedule", () => {
    const bounded = new Bounded();
    const all = endsOf(lostUpdate(3), bounded, endOf);
    expect(all.proof?.proved).toBe(true);
    expect(new Set(all.schedules).size).toBe(90);
  });

  it("the first bug has the fewest preemptions that any schedule with a bug has", () => {
    let failing = 0;
    for (let seed = 0; seed < 300; seed++) {
      const { program, text } = generate(seed, { kinds: KINDS, threads: 3, ops: 3 });
      const bounded = new Bounded();
      const found = explore(new Execution(program), bounded, { executions: 20_000 });
      if (found.failure === undefined) continue;
      failing++;
      const first = bounded.preemptions;
      if (first === 0) continue;
      const below = explore(new Execution(program), new Bounded({ to: first - 1 }), { executions: 50_000 });
      expect(below.failure, text).toBeUndefined();
      expect(below.complete, text).toBe(true);
    }
    expect(failing).toBeGreaterThan(20);
  });

  it("a bound that reaches its cap gives way to the next, and nothing is proved", () => {
    const bounded = new Bounded({ cap: 3, to: 2 });
    const all = endsOf(lostUpdate(3), bounded, endOf);
    expect(all.found.executions).toBe(9);
    expect(all.proof?.proved).toBe(false);
    expect(all.proof?.reasons.join()).toMatch(/cap/);
  });

  it("switching away from a thread that pauses costs nothing", () => {
    const waits = hand(function* (m) {
      while (((m.$loadAcquire(X, 0) && (yield), m.$go()) as number) === 0) {
        if (m.$pause(0)) yield;
        m.$go();
      }
    });
    const sets = hand(function* (m) {
      if (m.$storeRelease(X, 1, 0)) yield;
      m.$go();
    });
    const all = endsOf({ name: "pausing", threads: [waits, sets] }, new Bounded({ to: 0 }), endOf);
    expect(new Set(all.schedules).size).toBe(2);
  });
});

describe("estimate", () => {
  it("is exact for a tree of equal branches from the first leaf on", () => {
    const estimator = new Estimator();
    estimator.leaf(Math.log2(24));
    const { executions, low, high, done } = estimator.estimate() as Estimate;
    expect([executions, low, high]).toEqual([24, 24, 24]);
    expect(done).toBeCloseTo(1 / 24);
  });

  it("half-way through it is in the right order of magnitude, and in the end exact", () => {
    const strategy = new Dfs();
    const execution = new Execution(lostUpdate(4));
    explore(execution, strategy, { executions: 1000, keepGoing: true });
    const halfway = strategy.estimate();
    expect(halfway?.executions).toBeGreaterThan(2520 / 4);
    expect(halfway?.executions).toBeLessThan(2520 * 4);
    explore(execution, strategy, { executions: 10_000, keepGoing: true });
    expect(strategy.estimate()?.executions).toBe(2520);
    expect(strategy.estimate()?.done).toBeCloseTo(1);
  });

  it("reads as a sentence", () => {
    expect(estimateText({ executions: 12345, low: 9000, high: 20_000, done: 0.041 })).toBe(
      "about 12,000 executions (9,000 ... 20,000), 4.1 % done",
    );
  });
});
