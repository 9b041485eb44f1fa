/** Programs that are not deterministic, kinds of kernel warnings, detectors by name. */
import { describe, expect, it } from "vitest";
import { Execution } from "../execution.ts";
import type { Program } from "../program.ts";
import { RandomWalk } from "../strategy/random.ts";
import { hand, lostUpdate, X } from "../testing/hand.ts";
import { checkDeterminism, defaultMonitors, DETECTOR_NAMES, detectOptions, kindOfWarning } from "./index.ts";
import { go, sites, type Steps } from "./testing/steps.ts";

const [S1 = 0] = sites("chance.ts", "roll", 1);

function check(program: Program): ReturnType<typeof checkDeterminism> {
  const execution = new Execution(program, { monitors: defaultMonitors({ races: false }) });
  const random = new RandomWalk(4);
  random.begin(execution, 0);
  execution.run(random, 0);
  return checkDeterminism(execution, execution.schedule.subarray(0, execution.picks), [...execution.choices]);
}

describe("a program", () => {
  it("that keeps its state in memory is deterministic, also when it fails", () => {
    expect(check(lostUpdate(3))).toEqual({ same: true, step: -1, finding: undefined });
    const { after: _, ...passes } = lostUpdate(3);
    expect(check(passes).same).toBe(true);
  });

  it("that counts outside memory writes other values", () => {
    let count = 0;
    const counter = hand(function* (m): Steps {
      yield* go(m, m.$readOnce(X, S1));
      yield* go(m, m.$writeOnce(X, ++count, S1));
    });
    const { same, step, finding } = check({ name: "counts", threads: [counter] });
    expect(same).toBe(false);
    expect(step).toBe(1);
    expect(finding?.kind).toBe("nondeterminism");
    expect(finding?.message).toContain("at step 2, t0 reads or writes other values the second time");
  });

  it("that changes its mind goes elsewhere, chooses otherwise, or ends sooner", () => {
    let runs = 0;
    const before = (): void => void runs++;
    const goes = hand(function* (m): Steps {
      yield* go(m, m.$readOnce(X, S1));
      yield* go(m, m.$readOnce(runs % 2 === 0 ? X : X + 4, S1));
    });
    expect(check({ name: "goes", threads: [goes], before }).finding?.message).toContain(
      "at step 1, t0 goes on to",
    );
    const chooses: Program["threads"][number] = (memory, thread) =>
      hand(function* (m): Steps {
        yield* go(m, m.$readOnce(X, S1));
        if (runs % 2 === 0) thread.choose(2);
        yield* go(m, m.$readOnce(X, S1));
      })(memory, thread);
    expect(check({ name: "chooses", threads: [chooses], before }).finding?.message).toMatch(
      /makes \d choices/,
    );
    const ends = hand(function* (m): Steps {
      yield* go(m, m.$readOnce(X, S1));
      if (runs % 2 === 0) yield* go(m, m.$readOnce(X, S1));
    });
    expect(check({ name: "ends", threads: [ends], before }).same).toBe(false);
  });

  it("that ends otherwise is told by its end", () => {
    let runs = 0;
    const reads = hand(function* (m): Steps {
      yield* go(m, m.$readOnce(X, S1));
    });
    const outcome = (): string => `run ${++runs}`;
    expect(check({ name: "ends", threads: [reads], outcome }).finding?.message).toMatch(
      /it ends with run 2 and with run 3/,
    );
  });
});

describe("a warning", () => {
  it.each([
    ["refcount_t: underflow; use-after-free.", "refcount"],
    [
      "WARNING: CPU: 1 at refcount_inc core/ref/refcount.ts:9: refcount_t: addition on 0; use-after-free.",
      "refcount",
    ],
    ["BUG: KASAN: slab-use-after-free in f core/x.ts:1\nRead of size 4", "use-after-free"],
    ["BUG: slab use-after-free write detected: Poison overwritten", "use-after-free"],
    ["BUG: KASAN: double-free in kfree core/mm/slab.ts:3", "double-free"],
    ["BUG: KASAN: slab-out-of-bounds in f", "out-of-bounds"],
    ["WARNING: suspicious RCU usage: suspicious rcu_dereference_check() usage!", "rcu"],
    ["rcu: INFO: rcu_preempt detected stalls on CPUs/tasks", "rcu"],
    ["WARNING: possible circular locking dependency detected", "deadlock"],
    ["WARNING: possible recursive locking detected", "deadlock"],
    ["WARNING: inconsistent lock state", "deadlock"],
    ["INFO: task kworker/1:0 blocked for more than 120 seconds.", "deadlock"],
    ["BUG: workqueue lockup - pool 1", "livelock"],
    ["WARNING: CPU: 0 at f core/x.ts:3: !list_empty", "warning"],
    ["BUG: sleeping function called from invalid context", "warning"],
    ["WARNING: held lock freed!", "use-after-free"],
  ])("%s is %s", (text, kind) => {
    expect(kindOfWarning(text)).toBe(kind);
  });
});

describe("detectors", () => {
  it("are switched on and off by name", () => {
    const names = (on: string[], off: string[]): string[] =>
      defaultMonitors(detectOptions(on, off)).map((monitor) => monitor.name);
    expect(names([], [])).toEqual(["history", "happens-before"]);
    expect(names(["timeouts"], ["history"])).toEqual(["happens-before", "timeouts"]);
    expect(names([], ["races", "lifetime", "history"])).toEqual([]);
    expect(names([], [...DETECTOR_NAMES])).toEqual([]);
  });
  it("are those of a list and no others", () => {
    expect(defaultMonitors(["timeouts"]).map((monitor) => monitor.name)).toEqual(["timeouts"]);
    expect(defaultMonitors(["races", "history"]).map((monitor) => monitor.name)).toEqual([
      "history",
      "happens-before",
    ]);
  });
  it("that do not exist are refused with those that do", () => {
    expect(() => detectOptions(["race"], [])).toThrow(/unknown detector race: expected races, lifetime/);
    expect(() => defaultMonitors(["none"])).toThrow(RangeError);
  });
});
