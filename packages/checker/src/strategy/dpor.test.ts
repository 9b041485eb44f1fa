/** DPOR against plain DFS: fewer executions, the same ends. */
import { describe, expect, it } from "vitest";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import { defaultMonitors } from "../detect/index.ts";
import type { Program, ThreadBody } from "../program.ts";
import { $sites } from "../runtime.ts";
import { hand, lostUpdate, X, Y, Z } from "../testing/hand.ts";
import { Dfs } from "./dfs.ts";
import { Dpor } from "./dpor.ts";
import { endsOf } from "./testing/ends.ts";
import { endOf, generate, type Kind } from "./testing/generate.ts";

/** Executions of DFS, of DPOR, and those of DPOR that were cut short. */
function counts(program: Program): number[] {
  const dfs = endsOf(program, new Dfs(), endOf);
  const dpor = new Dpor();
  const reduced = endsOf(program, dpor, endOf);
  expect(reduced.ends).toEqual(dfs.ends);
  expect(dfs.found.complete && reduced.found.complete).toBe(true);
  return [dfs.found.executions, reduced.found.executions, dpor.blocked];
}

const write = (p: number, value: number) =>
  hand(function* (m) {
    if (m.$storeRelease(p, value, 0)) yield;
    m.$go();
  });

describe("counts of known programs", () => {
  it("lost update: (n!)² classes, of (2n)!/2ⁿ schedules", () => {
    expect(counts(lostUpdate(2))).toEqual([6, 4, 0]);
    expect(counts(lostUpdate(3))).toEqual([90, 36, 0]);
    expect(counts(lostUpdate(4))).toEqual([2520, 576, 0]);
  });

  it("steps on different places need one execution", () => {
    expect(counts({ name: "apart", threads: [write(X, 1), write(Y, 1), write(Z, 1)] })).toEqual([6, 1, 0]);
  });

  it("n writers of one place need n! executions, n readers one", () => {
    const read = hand(function* (m) {
      if (m.$loadAcquire(X, 0)) yield;
      m.$go();
    });
    expect(counts({ name: "writers", threads: [write(X, 1), write(X, 2), write(X, 3)] })).toEqual([6, 6, 0]);
    expect(counts({ name: "readers", threads: [read, read, read] })).toEqual([6, 1, 0]);
  });

  it("the reader of two flags that two writers set sees four states", () => {
    const reader = hand(function* (m) {
      const a = (m.$loadAcquire(X, 0) && (yield), m.$go()) as number;
      const b = (m.$loadAcquire(Y, 0) && (yield), m.$go()) as number;
      m.write(Z, 2 * a + b);
    });
    const program: Program = { name: "flags", threads: [write(X, 1), write(Y, 1), reader] };
    expect(counts(program)).toEqual([12, 4, 0]);
  });

  it("a compareExchange that fails is a read", () => {
    const fails = hand(function* (m) {
      if (m.$compareExchange(X, 7, 8, 0)) yield;
      m.$go();
    });
    expect(counts({ name: "failing", threads: [fails, fails, fails] })).toEqual([6, 1, 0]);
  });
});

describe("ends that only some orders have", () => {
  it("finds both deadlocks of two locks taken crosswise, and the ends without", () => {
    const take = (first: number, second: number) =>
      hand(function* (m) {
        for (const lock of [first, second]) {
          while (((m.$compareExchange(lock, 0, 1, 0) && (yield), m.$go()) as number) !== 0) {
            if (m.$wait(lock, 1, Number.POSITIVE_INFINITY, 0)) yield;
            m.$go();
          }
        }
        for (const lock of [second, first]) {
          if (m.$storeRelease(lock, 0, 0)) yield;
          m.$go();
          if (m.$notify(lock, 1, 0)) yield;
          m.$go();
        }
      });
    const program: Program = { name: "crosswise", threads: [take(X, Y), take(Y, X)] };
    const dpor = endsOf(program, new Dpor(), endOf);
    expect(dpor.ends).toEqual(endsOf(program, new Dfs(), endOf).ends);
    expect(dpor.ends.filter((end) => end.startsWith("deadlock"))).not.toHaveLength(0);
    expect(dpor.ends.filter((end) => end.startsWith("end"))).toHaveLength(1);
  });

  it("finds the failure of one thread although another one fails always", () => {
    const always: Program["threads"][number] = {
      name: "always",
      body: function* (m, thread) {
        if ((m as never as { $fence(site: number): boolean }).$fence(0)) yield;
        thread.fail("always");
      },
    };
    const reader: Program["threads"][number] = {
      name: "reader",
      body: hand(function* (m) {
        if (((m.$loadAcquire(X, 0) && (yield), m.$go()) as number) === 1) throw new Error("saw it");
      }),
    };
    const program: Program = { name: "two failures", threads: [always, write(X, 1), reader] };
    const [dfs, dpor] = [endsOf(program, new Dfs(), endOf), endsOf(program, new Dpor(), endOf)];
    expect(dpor.ends).toEqual(dfs.ends);
    expect(dpor.ends).toEqual(["assertion: always", "crash: saw it"]);
  });
});

it("a step that does something else where it stands is not taken for explored", () => {
  // The wait sleeps, and so depends on the notify, only before the add; the refused wait commutes with everything.
  const waits = (value: number, adds: boolean) =>
    hand(function* (m) {
      m.write(
        adds ? Y : Z,
        ((m.$wait(X, value, Number.POSITIVE_INFINITY, 0) && (yield), m.$go()) as string).length,
      );
      if (!adds) return;
      if (m.$fetchAdd(X, 1, 0)) yield;
      m.$go();
    });
  const notifies = hand(function* (m) {
    if (m.$notify(X, 1, 0)) yield;
    m.$go();
  });
  const program: Program = { name: "refused", threads: [waits(0, false), waits(1, true), notifies] };
  const [dfs, dpor] = [endsOf(program, new Dfs(), endOf), endsOf(program, new Dpor(), endOf)];
  expect(dpor.ends).toEqual(dfs.ends);
  expect(dfs.ends).toHaveLength(3);
});

/** Programs of which DFS needs more are left out; those that spin need far more, or few. */
const EXECUTIONS = 2000;
const EXECUTIONS_OF_SPINS = 500;

describe.each<[string, number, readonly Kind[]]>([
  ["reads and writes", 400, ["read", "write", "add"]],
  [
    "read-modify-writes, and steps of many ops",
    400,
    ["read", "write", "cas", "exchange", "pair", "quiet", "cond"],
  ],
  ["waits, notifies and time-outs", 400, ["read", "write", "wait", "notify", "timed", "add"]],
  ["data choices, branches and assertions", 400, ["read", "write", "choose", "branch", "assert", "cas"]],
  ["spinning threads", 250, ["spin", "await", "write", "add", "write", "cond"]],
  ["locks", 100, ["lock", "await", "either", "write", "notify", "wait"]],
])("random programs of %s", (_name, programs, kinds) => {
  it("DPOR ends as DFS does, with no more executions", { timeout: 120_000 }, () => {
    let compared = 0;
    const spins = kinds.includes("await");
    const options = { executions: spins ? EXECUTIONS_OF_SPINS : EXECUTIONS, maxSteps: 400 };
    for (let seed = 0; seed < programs; seed++) {
      const { program, text } = generate(seed, { kinds, threads: 3, ops: 3 });
      const dfs = endsOf(program, new Dfs(), endOf, options);
      if (!dfs.found.complete || dfs.found.truncated > 0) continue;
      const dpor = endsOf(program, new Dpor(), endOf, options);
      compared++;
      expect(dpor.ends, text).toEqual(dfs.ends);
      expect(dpor.found.executions, text).toBeLessThanOrEqual(dfs.found.executions);
      expect(dpor.found.complete, text).toBe(true);
    }
    expect(compared).toBeGreaterThan(programs / 2);
  });
});

it("the oracle notices a dependence relation that misses reads", () => {
  let missed = 0;
  for (let seed = 0; seed < 100; seed++) {
    const { program } = generate(seed, { kinds: ["read", "write", "add"], threads: 3, ops: 3 });
    const dfs = endsOf(program, new Dfs(), endOf);
    const broken = endsOf(program, new Dpor({ broken: true }), endOf);
    if (broken.ends.length < dfs.ends.length) missed++;
  }
  expect(missed).toBeGreaterThan(20);
});

describe("what is proved", () => {
  const fine: Program = { name: "fine", threads: [write(X, 1), write(X, 2)], assumes: ["a thing"] };

  it("a finished search says so, with its classes and what it rests on", () => {
    const { proof } = endsOf(fine, new Dpor(), endOf);
    expect(proof?.proved).toBe(true);
    expect(proof?.classes).toBe(2);
    expect(proof?.reasons).toEqual([]);
    expect(proof?.assumptions.join("\n")).toMatch(
      /sequentially consistent[^]*one schedule stands for all[^]*a thing/,
    );
  });

  it("an interrupted one has no proof", () => {
    expect(endsOf(fine, new Dpor(), endOf, { executions: 1 }).proof).toBeUndefined();
  });

  it.each<[string, Program, object, RegExp]>([
    ["early time-outs", fine, { timeouts: "eager" }, /time-outs may fire early/],
    ["spins that give up", { ...fine, spins: 1 }, {}, /may give up/],
    ["the step limit", lostUpdate(3), { maxSteps: 6 }, /limit/],
    ["spinning without pause", spinner(), {}, /without saying pause/],
  ])("%s make it not proved", (_name, program, options, reason) => {
    const { proof } = endsOf(program, new Dpor(), endOf, options);
    expect(proof?.proved).toBe(false);
    expect(proof?.reasons.join()).toMatch(reason);
  });

  it("code that looks at three places twice is not taken for a spin loop, and all of its looks are searched", () => {
    const program: Program = { name: "looks", threads: [looks(2), write(Z, 1)] };
    const dpor = endsOf(program, new Dpor(), endOf);
    expect(dpor.proof?.reasons).toEqual([]);
    expect(dpor.ends).toEqual(endsOf(program, new Dfs(), endOf).ends);
    // Z changes before the first look at it, between the two, or after both.
    expect(dpor.ends).toHaveLength(3);
  });

  it("control: three times alike is a guess", () => {
    const program: Program = { name: "looks", threads: [looks(3), write(Z, 1)] };
    expect(endsOf(program, new Dpor(), endOf).proof?.reasons.join()).toMatch(/taken for spinning/);
  });

  it("a wait for one of a hundred words is a spin loop, too", () => {
    const waits = hand(function* (m) {
      for (let seen = 0; seen === 0; ) {
        for (let i = 0; i < 100; i++) seen |= (m.$loadAcquire(Y + 4 * i, LOOK) && (yield), m.$go()) as number;
      }
    });
    const program: Program = { name: "waits", threads: [waits, write(Z, 1)] };
    const { found } = endsOf(program, new Dpor(), endOf);
    expect({ complete: found.complete, truncated: found.truncated }).toEqual({
      complete: true,
      truncated: 0,
    });
  });

  it("three looks at one place are a round of one each, of two words as of one", () => {
    const three = hand(function* (m) {
      for (let i = 0; i < 3; i++) m.$read64(X, LOOK) && (yield), m.$go();
    });
    const program: Program = { name: "three", threads: [three, write(X, 1)] };
    expect(endsOf(program, new Dpor(), endOf).proof?.reasons).toEqual([]);
  });

  it("quiet plain accesses are left to the race detector only where there is one", () => {
    const quiet = hand(function* (m) {
      if (m.$fence(0)) yield;
      m.$go();
      m.write(X, m.read(X) + 1);
    });
    const program: Program = { name: "quiet", threads: [quiet, quiet] };
    const run = (monitors: ReturnType<typeof defaultMonitors>) => {
      const execution = new Execution(program, { monitors });
      return explore(execution, new Dpor(), { keepGoing: true });
    };
    expect(run([]).counted).toBe(2);
    const judged = run(defaultMonitors());
    expect([...judged.failures.values()].map(({ first }) => first.outcome.finding?.kind)).toEqual([
      "data-race",
    ]);
    expect(judged.proof?.assumptions.join()).toMatch(/free of data races/);
  });

  it("more threads than it takes are refused", () => {
    const many: Program = { name: "many", threads: Array.from({ length: 33 }, () => write(X, 1)) };
    expect(() => endsOf(many, new Dpor(), endOf)).toThrow(/33 threads/);
  });
});

/** Sites of their own: spin loops are known by them. */
const LOOK = $sites("looks.ts", [1, 1, 2, 1, 3, 1], ["looks"], [0, 0, 0]);

/** Looks at three places `times` times and then writes what it has seen of the last one. */
function looks(times: number): ThreadBody {
  return hand(function* (m) {
    let seen = 0;
    for (let i = 0; i < times; i++) {
      m.$loadAcquire(X, LOOK) && (yield), m.$go();
      m.$loadAcquire(Y, LOOK + 1) && (yield), m.$go();
      seen = 2 * seen + ((m.$loadAcquire(Z, LOOK + 2) && (yield), m.$go()) as number);
    }
    m.$storeRelease(X, seen, 0) && (yield), m.$go();
  });
}

function spinner(): Program {
  const spins = hand(function* (m) {
    while (((m.$loadAcquire(X, 1) && (yield), m.$go()) as number) === 0);
  });
  return { name: "spinner", threads: [spins, write(X, 1)] };
}
