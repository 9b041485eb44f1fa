/** Deadlocks, lost wake-ups, livelocks: what is stuck, on what, and why nobody comes. */
import { describe, expect, it } from "vitest";
import type { ControlledMemory } from "../controlled-memory.ts";
import { Execution } from "../execution.ts";
import type { Program } from "../program.ts";
import { RandomWalk } from "../strategy/random.ts";
import { Replay } from "../strategy/replay.ts";
import { hand, X, Y, Z } from "../testing/hand.ts";
import type { FailureKind } from "../world.ts";
import { defaultMonitors } from "./index.ts";
import { found, go, kinds, lock, runOn, sites, type Steps, unlock } from "./testing/steps.ts";

type Body = (m: ControlledMemory) => Steps;

const [A1 = 0, A2 = 0, A3 = 0] = sites("abba.ts", "ab", 3);
const [B1 = 0, B2 = 0, B3 = 0] = sites("abba.ts", "ba", 3);

function program(...bodies: Body[]): Program {
  return { name: "stuck", threads: bodies.map((body) => hand(body)) };
}

/** Takes two locks, in this order. */
function both(first: number, second: number, [s1, s2, s3]: readonly [number, number, number]): Body {
  return function* (m) {
    yield* lock(m, first, s1);
    yield* lock(m, second, s2);
    yield* unlock(m, second, s3);
    yield* unlock(m, first, s3);
  };
}

describe("a deadlock", () => {
  const abba = program(both(X, Y, [A1, A2, A3]), both(Y, X, [B1, B2, B3]));

  it("of two locks in two orders is drawn with its cycle", () => {
    const { finding } = runOn(abba, [0, 1]);
    expect(finding?.kind).toBe("deadlock");
    expect(finding?.message).toBe("deadlock: t0 (0x00000200) waits for t1 (0x00000100) waits for t0");
    expect(finding?.report?.split("\n")).toEqual([
      finding?.message,
      "t0 sleeps at ab (abba.ts:2) on 0x00000200 = 2: " +
        "last changed by t1 at ba (abba.ts:1) (compareExchange), which waits too",
      "t1 sleeps at ba (abba.ts:2) on 0x00000100 = 2: " +
        "last changed by t0 at ab (abba.ts:1) (compareExchange), which waits too",
      "cycle: t0 waits for 0x00000200, last changed by t1; t1 waits for 0x00000100, last changed by t0",
      "",
      "  t0                                  t1",
      "  --                                  --",
      "  has 0x00000100, ab (abba.ts:1)      has 0x00000200, ba (abba.ts:1)",
      "  wants 0x00000200, ab (abba.ts:2)    wants 0x00000100, ba (abba.ts:2)",
      "",
      "  *** DEADLOCK ***",
    ]);
  });

  it("does not come where the order is one", () => {
    expect(kinds(program(both(X, Y, [A1, A2, A3]), both(X, Y, [B1, B2, B3])))).toEqual([]);
  });

  it("names places as the program does", () => {
    const describePlace = (place: number): string => (place === X ? "lock A" : place === Y ? "lock B" : "");
    const { finding } = runOn({ ...abba, describe: describePlace }, [0, 1]);
    expect(finding?.message).toBe(
      "deadlock: t0 (lock B at 0x00000200) waits for t1 (lock A at 0x00000100) waits for t0",
    );
  });

  it("of three philosophers is a cycle of three; one who is left-handed breaks it", () => {
    const forks = [X, Y, Z];
    const dine = (leftHanded: boolean): Program =>
      program(
        ...forks.map((left, i) => {
          const right = forks[(i + 1) % 3] as number;
          const swap = leftHanded && i === 2;
          return both(swap ? right : left, swap ? left : right, [A1, A2, A3]);
        }),
      );
    const cycle = found(dine(false)).get("deadlock");
    expect(cycle?.message.match(/waits for/g)).toHaveLength(3);
    expect(cycle?.report).toContain("*** DEADLOCK ***");
    expect(kinds(dine(true))).toEqual([]);
  });

  it("with oneself is a cycle of one", () => {
    const twice: Body = function* (m) {
      yield* lock(m, X, A1);
      yield* lock(m, X, A2);
    };
    const { finding } = runOn(program(twice), []);
    expect(finding?.kind).toBe("deadlock");
    expect(finding?.message).toBe("deadlock: t0 (0x00000100) waits for t0");
    expect(finding?.report).toContain("last changed by t0 at ab (abba.ts:1) (compareExchange), itself");
  });

  it("on a lock whose owner is gone says so", () => {
    const forgets: Body = function* (m) {
      yield* lock(m, X, A1);
    };
    const { finding } = runOn(program(forgets, both(X, Y, [B1, B2, B3])), [0, 1, 1, 1]);
    expect(finding?.message).toBe("deadlock: t1 wait for ever");
    expect(finding?.report).toContain(
      "last changed by t0 at ab (abba.ts:1) (compareExchange), which has ended",
    );
  });

  it("of a spinning thread tells what it spins on", () => {
    const spins: Body = function* (m) {
      while ((yield* go(m, m.$loadAcquire(X, A1))) === 0) {
        m.$pause(A2);
        yield;
        m.$go();
      }
    };
    const { finding } = runOn(program(spins), []);
    expect(finding?.kind).toBe("deadlock");
    expect(finding?.report).toContain(
      "t0 spins at ab (abba.ts:2) on 0x00000100 = 0: nobody else has touched it",
    );
  });

  it("is found without a history, too", () => {
    const { finding } = runOn(abba, [0, 1], { history: false });
    expect(finding?.kind).toBe("deadlock");
    expect(finding?.report).toContain("t0 sleeps at ab (abba.ts:2) on 0x00000200 = 2");
  });
});

describe("a lost wake-up", () => {
  /** Waits until the flag at X is up; sleeps on Y. `counted`: each notify changes Y, so no sleeper misses it. */
  const waits = (counted: boolean): Body =>
    function* (m) {
      for (;;) {
        const expected = counted ? yield* go(m, m.$loadAcquire(Y, A1)) : 0;
        if ((yield* go(m, m.$loadAcquire(X, A2))) === 1) return;
        yield* go(m, m.$wait(Y, expected, Infinity, A3));
      }
    };
  const raises = (counted: boolean): Body =>
    function* (m) {
      yield* go(m, m.$storeRelease(X, 1, B1));
      if (counted) yield* go(m, m.$fetchAdd(Y, 1, B2));
      yield* go(m, m.$notify(Y, 1, B3));
    };

  it("is the notify that came between the look and the sleep", () => {
    const { finding } = runOn(program(waits(false), raises(false)), [0, 1, 1, 0]);
    expect(finding).toMatchObject({ kind: "lost-wakeup", thread: 0, site: A3 });
    expect(finding?.report?.split("\n").slice(-4)).toEqual([
      "lost wake-up: t0 read 0 from 0x00000100 at ab (abba.ts:2);",
      "  then t1 at ba (abba.ts:1) (storeRelease) made it 1,",
      "  and t1 at ba (abba.ts:3) (notify) notified 0x00000200 when t0 did not sleep there yet;",
      "  then t0 slept at ab (abba.ts:3), on what it had read before.",
    ]);
    expect(kinds(program(waits(true), raises(true)))).toEqual([]);
  });

  it("is the change of its word that nobody told it of", () => {
    const sleeper: Body = function* (m) {
      yield* go(m, m.$wait(X, 0, Infinity, A1));
    };
    const silent: Body = function* (m) {
      yield* go(m, m.$storeRelease(X, 1, B1));
    };
    const { finding } = runOn(program(sleeper, silent), [0, 1]);
    expect(finding?.kind).toBe("lost-wakeup");
    expect(finding?.report).toContain("on 0x00000100 = 1, though it slept because it was 0");
    expect(finding?.report).toContain(
      "then t1 at ba (abba.ts:1) (storeRelease) made it 1, and nobody has notified t0",
    );
    const tells: Body = function* (m) {
      yield* silent(m);
      yield* go(m, m.$notify(X, 1, B2));
    };
    expect(kinds(program(sleeper, tells))).toEqual([]);
  });

  it("is not what a forgotten unlock is", () => {
    const forgets: Body = function* (m) {
      yield* both(X, Y, [A1, A2, A3])(m);
      yield* lock(m, X, A1);
    };
    expect(kinds(program(forgets, both(X, Y, [B1, B2, B3])))).toEqual(["deadlock"]);
  });

  it("is not told of one who looked again and slept all the same", () => {
    const looks: Body = function* (m) {
      yield* go(m, m.$loadAcquire(X, A1));
      yield* go(m, m.$loadAcquire(Y, A2));
      yield* go(m, m.$wait(Y, 0, Infinity, A3));
    };
    expect(runOn(program(looks, raises(false)), [0, 1, 1, 0, 0]).finding?.kind).toBe("deadlock");
    expect(runOn(program(looks, raises(false)), [0, 0, 1, 1, 0]).finding?.kind).toBe("lost-wakeup");
  });

  it("hides behind a time-out, which can be asked for", () => {
    const impatient: Body = function* (m) {
      if ((yield* go(m, m.$loadAcquire(X, A1))) === 0) yield* go(m, m.$wait(Y, 0, 1000, A2));
    };
    const hidden = program(impatient, raises(false));
    expect(kinds(hidden)).toEqual([]);
    const late = found(hidden, { timeouts: true }).get("lost-wakeup");
    expect(late).toMatchObject({ thread: 0, site: A2 });
    expect(late?.message).toMatch(/^progress by time-out only/);
    // Once more without a time-out: the last execution is forgotten.
    const execution = new Execution(hidden, { monitors: defaultMonitors({ timeouts: true }) });
    const run = (schedule: number[]): FailureKind | undefined => {
      const replay = new Replay(Uint8Array.from(schedule), []);
      replay.begin();
      return execution.run(replay, 0).finding?.kind;
    };
    expect([run([0, 1, 1, 0]), run([1, 1, 0])]).toEqual(["lost-wakeup", undefined]);
    const patient = program(waits(true), raises(true));
    expect(kinds(patient, { timeouts: true })).toEqual([]);
  });
});

describe("the step limit", () => {
  it("tells threads that undo each other's work, and what they repeat", () => {
    const flips = (from: number, to: number, site: number): Body =>
      function* (m) {
        for (;;) yield* go(m, m.$compareExchange(X, from, to, site));
      };
    const livelock = found(program(flips(0, 1, A1), flips(1, 0, B1)), {}, 1).get("livelock");
    expect(livelock?.message).toMatch(/^livelock: t0, t1 did not end in 2000 steps/);
    expect(livelock?.report).toMatch(/\d+ times compareExchange of 0x00000100 at ab \(abba\.ts:1\)/);
    expect(livelock?.report).toMatch(/\d+ times compareExchange of 0x00000100 at ba \(abba\.ts:1\)/);
  });

  it("tells a long run from one that repeats itself", () => {
    const counts: Body = function* (m) {
      for (;;) yield* go(m, m.$fetchAdd(X, 1, A1));
    };
    expect(kinds(program(counts))).toEqual(["step-limit"]);
  });

  it("is a livelock where nothing is known", () => {
    const counts: Body = function* (m) {
      for (;;) yield* go(m, m.$fetchAdd(X, 1, A1));
    };
    const execution = new Execution(program(counts), { maxSteps: 100 });
    expect(execution.run(new RandomWalk(1), 0).finding?.kind).toBe("livelock");
  });
});
