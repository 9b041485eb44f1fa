import { describe, expect, it } from "vitest";
import { Execution } from "../execution.ts";
import { explore, type FailedExecution } from "../explore.ts";
import type { Program } from "../program.ts";
import { RandomWalk } from "../strategy/random.ts";
import { Replay } from "../strategy/replay.ts";
import { hand, lostUpdate, X, Y } from "../testing/hand.ts";
import { compareMeasures } from "./blocks.ts";
import { Guide, TrackedReplay } from "./guide.ts";
import { shrink } from "./shrink.ts";
import { roleOf, signatureOf } from "./signature.ts";
import {
  abba,
  bank,
  fault,
  forgottenLock,
  messagePassing,
  useAfterFree,
  wrongPrograms,
} from "./testing/programs.ts";

type Steps = Generator<unknown, void>;

/** Failures of a program under random walks of several seeds. */
function failuresOf(execution: Execution, count: number): FailedExecution[] {
  const failures: FailedExecution[] = [];
  for (let seed = 1; failures.length < count && seed < 200; seed++) {
    const { failure } = explore(execution, new RandomWalk(seed), { executions: 2000 });
    if (failure !== undefined) failures.push(failure);
  }
  return failures;
}

function replayed(execution: Execution, failed: FailedExecution): { signature: string; hash: number } {
  const replay = new Replay(failed.schedule, failed.choices);
  replay.begin();
  const { finding, hash } = execution.run(replay, 0);
  expect(replay.diverged).toBe(-1);
  return { signature: finding === undefined ? "none" : signatureOf(execution.world, finding), hash };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

describe("the blocks of an execution", () => {
  it("repeat it exactly, failing or not", () => {
    for (const program of [...wrongPrograms(), spinner()]) {
      for (const timeouts of ["lazy", "eager"] as const) {
        const execution = new Execution(program, { timeouts });
        const random = new RandomWalk(5);
        for (let i = 0; i < 60; i++) {
          random.begin(execution, i);
          const first = execution.run(random, i);
          const strict = new TrackedReplay(execution.schedule.slice(0, first.picks), [...execution.choices]);
          strict.run(execution);
          const blocks = strict.track.blocks(execution.schedule);
          const again = new Guide(blocks, strict.track.choices).run(execution);
          expect({ ...again, index: i }).toEqual(first);
        }
      }
    }
  });
});

describe("a shrunk failure", () => {
  it("is the same failure, replays 100 times of 100, and is never harder to read", () => {
    for (const program of wrongPrograms()) {
      const execution = new Execution(program);
      for (const failed of failuresOf(execution, 8)) {
        const before = replayed(execution, failed);
        const shrunk = shrink(execution, failed);
        expect(shrunk.unstable).toBeUndefined();
        expect(compareMeasures(shrunk.measure, shrunk.before)).toBeLessThanOrEqual(0);
        for (let i = 0; i < 100; i++) {
          expect(replayed(execution, shrunk)).toEqual({
            signature: before.signature,
            hash: shrunk.outcome.hash,
          });
        }
      }
    }
  });

  it("has a median of at most 3 context switches, however many it was found with", () => {
    const from: number[] = [];
    const to: number[] = [];
    for (const program of [bank(4, 8), abba(12), messagePassing(60), useAfterFree(60), lostUpdate(6)]) {
      const execution = new Execution(program);
      for (const failed of failuresOf(execution, 6)) {
        const shrunk = shrink(execution, failed);
        from.push(shrunk.before.contextSwitches);
        to.push(shrunk.measure.contextSwitches);
      }
    }
    expect(median(from)).toBeGreaterThan(8);
    expect(median(to)).toBeLessThanOrEqual(3);
    expect(Math.max(...to)).toBeLessThanOrEqual(4);
  });

  it("of a thousand context switches has at most 3, mostly after a hundred replays", () => {
    const execution = new Execution(forgottenLock(4, 30));
    const replays: number[] = [];
    for (const failed of failuresOf(execution, 9)) {
      const shrunk = shrink(execution, failed, { seconds: 60 });
      expect(shrunk.before.contextSwitches).toBeGreaterThan(800);
      expect(shrunk.measure.contextSwitches).toBeLessThanOrEqual(3);
      replays.push(shrunk.replays);
    }
    expect(median(replays)).toBeLessThan(150);
  });

  it("would be another failure if the signature were not looked at", () => {
    const execution = new Execution(twoBugs());
    let changed = 0;
    for (const failed of failuresOf(execution, 40)) {
      const { signature } = replayed(execution, failed);
      const careless = shrink(execution, failed, { same: () => true });
      if (replayed(execution, careless).signature !== signature) changed++;
      expect(replayed(execution, shrink(execution, failed)).signature).toBe(signature);
    }
    expect(changed).toBeGreaterThan(0);
  });

  it("keeps no fault it does not need", () => {
    const execution = new Execution(fault());
    for (const failed of failuresOf(execution, 10)) {
      expect(shrink(execution, failed).choices).toEqual([0, 1]);
    }
  });

  it("is the failure as found when there is no budget", () => {
    const execution = new Execution(bank(3, 2));
    const [failed] = failuresOf(execution, 1);
    const shrunk = shrink(execution, failed!, { replays: 1 });
    expect(shrunk.schedule).toEqual(failed!.schedule);
    expect(shrunk.replays).toBe(1);
  });

  it("stays within its budget", () => {
    const execution = new Execution(bank(4, 8));
    const [failed] = failuresOf(execution, 1);
    expect(shrink(execution, failed!, { replays: 25 }).replays).toBeLessThanOrEqual(25);
  });

  it("is refused for an execution that passed", () => {
    const execution = new Execution(lostUpdate());
    const outcome = execution.run(new Replay(Uint8Array.of(0, 0, 1, 1), []), 0);
    const passed = { outcome, schedule: Uint8Array.of(0, 0, 1, 1), choices: [] };
    expect(() => shrink(execution, passed)).toThrow(/did not fail/);
  });

  it("is told apart from a program that does not do the same twice", () => {
    let runs = 0;
    const program: Program = {
      name: "moody",
      before: () => runs++,
      threads: [
        (memory, thread) =>
          hand(function* (m): Steps {
            void (m.$write(X, runs, 0) && (yield), m.$go());
            thread.assert(runs !== 5, "five");
          })(memory, thread),
      ],
    };
    const execution = new Execution(program);
    const { failure } = explore(execution, new RandomWalk(1), { executions: 100 });
    expect(shrink(execution, failure!).unstable).toBe("no failure");
  });
});

describe("a bounded search", () => {
  it("certifies the fewest preemptions, or finds better", () => {
    const execution = new Execution(lostUpdate());
    for (const failed of failuresOf(execution, 5)) {
      const shrunk = shrink(execution, failed, { bounded: (bound) => new Serial(bound) });
      expect(shrunk).toMatchObject({ minimal: true, measure: { preemptions: 1 } });
    }
  });

  it("certifies nothing when its budget ends first", () => {
    const execution = new Execution(lostUpdate());
    const [failed] = failuresOf(execution, 1);
    const shrunk = shrink(execution, failed!, {
      bounded: (bound) => new Serial(bound),
      boundedExecutions: 1,
    });
    expect(shrunk.minimal).toBe(false);
  });
});

describe("the role of a thread", () => {
  it("is its name without its number", () => {
    expect(["reader 2", "t0", "kworker/1:0", "cpu#3", "main", "v3 token"].map(roleOf)).toEqual([
      "reader",
      "t",
      "kworker/",
      "cpu",
      "main",
      "v3 token",
    ]);
  });
});

/** All schedules of two threads without a preemption: one after the other. */
class Serial extends RandomWalk {
  private readonly bound: number;
  private first: number = 0;

  constructor(bound: number) {
    super(0);
    this.bound = bound;
  }
  override begin(_execution: Execution, index: number): boolean {
    this.first = index;
    return this.bound === 0 && index < 2;
  }
  override pick(execution: Execution): number {
    return execution.current >= 0 ? execution.current : this.first;
  }
}

/** One assertion that needs two switches, and one that needs none. */
function twoBugs(): Program {
  return {
    name: "two bugs",
    threads: [
      {
        name: "writer",
        body: hand(function* (m): Steps {
          void (m.$write(X, 1, 0) && (yield), m.$go());
          void (m.$write(X, 2, 0) && (yield), m.$go());
        }),
      },
      {
        name: "reader",
        body: (memory, thread) =>
          hand(function* (m): Steps {
            const x = (m.$read(X, 0) && (yield), m.$go()) as number;
            thread.assert(x !== 1, "seen half way");
            thread.assert(x !== 0, "seen too early");
          })(memory, thread),
      },
    ],
  };
}

/** A thread spins with a pause, another sleeps with a time-out, a third lets both go on. */
function spinner(): Program {
  return {
    name: "spinner",
    threads: [
      hand(function* (m): Steps {
        while ((m.$loadAcquire(X, 0) && (yield), m.$go()) === 0) void (m.$pause(0) && (yield), m.$go());
      }),
      hand(function* (m): Steps {
        void (m.$wait(Y, 0, 5, 0) && (yield), m.$go());
        void (m.$storeRelease(X, 1, 0) && (yield), m.$go());
      }),
      (memory, thread) =>
        hand(function* (m): Steps {
          if (thread.choose(3) === 1) void (m.$notify(Y, 1, 0) && (yield), m.$go());
          void (m.$read(X, 0) && (yield), m.$go());
        })(memory, thread),
    ],
  };
}
