import { describe, expect, it } from "vitest";
import type { ControlledMemory } from "./controlled-memory.ts";
import { Execution } from "./execution.ts";
import { explore } from "./explore.ts";
import type { Program } from "./program.ts";
import { RandomWalk } from "./strategy/random.ts";
import { Replay } from "./strategy/replay.ts";
import { hand, increment, lostUpdate, X, Y } from "./testing/hand.ts";

type Steps = Generator<unknown, void>;

function outcomes(program: Program, executions: number): Set<string> {
  const seen = new Set<string>();
  explore(new Execution(program), new RandomWalk(1), {
    executions,
    keepGoing: true,
    each: ({ finding, state }) => seen.add(finding === undefined ? (state ?? "") : finding.kind),
  });
  return seen;
}

describe("an execution", () => {
  it("starts from the same memory as the one before", () => {
    const { after: _, ...program } = lostUpdate();
    expect([...outcomes(program, 500)].toSorted()).toEqual(["x=1", "x=2"]);
  });

  it("repeats exactly under its own schedule", () => {
    const execution = new Execution(lostUpdate(3));
    const random = new RandomWalk(7);
    for (let i = 0; i < 50; i++) {
      random.begin(execution, i);
      const first = execution.run(random, i);
      const replay = new Replay(execution.schedule.slice(0, execution.picks), [...execution.choices]);
      replay.begin();
      const again = execution.run(replay, 0);
      expect(replay.diverged).toBe(-1);
      expect({ ...again, index: i }).toEqual(first);
    }
  });

  it("ends at the first finding, whatever else would follow", () => {
    const after: string[] = [];
    const program: Program = {
      name: "first",
      threads: [
        (memory, thread) =>
          hand(function* (m): Steps {
            m.$write(X, 1, 0) && (yield), m.$go();
            thread.fail("enough");
            m.$write(Y, 1, 0) && (yield), m.$go();
          })(memory, thread),
      ],
      after: () => after.push("checked"),
    };
    const execution = new Execution(program);
    const outcome = execution.run(new RandomWalk(1), 0);
    expect(outcome.finding).toMatchObject({ kind: "assertion", message: "enough", thread: 0 });
    expect(execution.world.wordAt(Y)).toBe(0);
    expect(after).toEqual([]);
  });

  it("makes a failure of what a thread throws", () => {
    const program: Program = {
      name: "throws",
      threads: [
        hand(function* (m): Steps {
          m.$read(X, 0) && (yield), m.$go();
          throw new TypeError("oops");
        }),
      ],
    };
    const { finding } = new Execution(program).run(new RandomWalk(1), 0);
    expect(finding).toMatchObject({ kind: "crash", message: "oops" });
  });

  it("refuses a thread that ran past the scheduler", () => {
    const program: Program = { name: "plain", threads: [(memory) => memory.write(X, 1)] };
    expect(() => new Execution(program).run(new RandomWalk(1), 0)).toThrow(/without the scheduler/);
  });
});

/** Takes the futex lock at X in a naive way: 0 free, 1 held. */
function* lock(m: ControlledMemory): Steps {
  while ((m.$compareExchange(X, 0, 1, 0) && (yield), m.$go()) !== 0) {
    m.$wait(X, 1, Number.POSITIVE_INFINITY, 0) && (yield), m.$go();
  }
}
function* unlock(m: ControlledMemory): Steps {
  m.$storeRelease(X, 0, 0) && (yield), m.$go();
  m.$notify(X, 1, 0) && (yield), m.$go();
}

describe("the futex", () => {
  it("keeps two threads out of one critical section", () => {
    const locked = hand(function* (m): Steps {
      yield* lock(m);
      const y = (m.$read(Y, 0) && (yield), m.$go()) as number;
      m.$write(Y, y + 1, 0) && (yield), m.$go();
      yield* unlock(m);
    });
    const program: Program = { name: "locked", threads: [locked, locked, locked], outcome: (m) => m.read(Y) };
    expect([...outcomes(program, 2000)]).toEqual(["3"]);
  });

  it("wakes sleepers first come, first woken", () => {
    const order: number[] = [];
    const sleeper = (id: number) =>
      hand(function* (m): Steps {
        m.$wait(X, 0, Number.POSITIVE_INFINITY, 0) && (yield), m.$go();
        order.push(id);
      });
    const waker = hand(function* (m): Steps {
      m.$notify(X, 1, 0) && (yield), m.$go();
      m.$notify(X, 1, 0) && (yield), m.$go();
    });
    const execution = new Execution({
      name: "fifo",
      threads: [sleeper(0), sleeper(1), waker],
      before: () => (order.length = 0),
    });
    const strategy = new Replay(Uint8Array.of(1, 0, 2, 2, 1, 0), []);
    strategy.begin();
    execution.run(strategy, 0);
    expect(order).toEqual([1, 0]);
    expect(strategy.diverged).toBe(-1);
  });

  it("returns not-equal, ok and timed-out as Atomics.wait does", () => {
    const results: unknown[] = [];
    const program: Program = {
      name: "results",
      threads: [
        hand(function* (m): Steps {
          results.push((m.$wait(X, 5, 10, 0) && (yield), m.$go()));
          results.push((m.$wait(X, 0, 10, 0) && (yield), m.$go()), m.now());
        }),
      ],
    };
    expect(new Execution(program).run(new RandomWalk(1), 0).timeouts).toBe(1);
    expect(results).toEqual(["not-equal", "timed-out", 10]);
  });

  it("is a deadlock to sleep for ever", () => {
    const sleeper = hand(function* (m): Steps {
      m.$wait(X, 0, Number.POSITIVE_INFINITY, 0) && (yield), m.$go();
    });
    const program: Program = { name: "sleepers", threads: [sleeper, sleeper] };
    expect(new Execution(program).run(new RandomWalk(1), 0).finding?.kind).toMatch(/deadlock|lost-wakeup/);
  });

  it("fires a time-out early only when told to be eager", () => {
    const program: Program = {
      name: "early",
      threads: [
        hand(function* (m): Steps {
          const how = (m.$wait(X, 0, 10, 0) && (yield), m.$go()) as string;
          m.$write(Y, how === "timed-out" ? 2 : 1, 0) && (yield), m.$go();
        }),
        hand(function* (m): Steps {
          m.$write(X, 1, 0) && (yield), m.$go();
          m.$notify(X, 1, 0) && (yield), m.$go();
        }),
      ],
      outcome: (m) => m.read(Y),
    };
    const see = (timeouts: "lazy" | "eager"): Set<string | undefined> => {
      const states = new Set<string | undefined>();
      explore(new Execution(program, { timeouts }), new RandomWalk(3), {
        executions: 500,
        keepGoing: true,
        each: ({ state }) => states.add(state),
      });
      return states;
    };
    expect(see("lazy")).toEqual(new Set(["1"]));
    expect(see("eager")).toEqual(new Set(["1", "2"]));
  });
});

describe("a spin loop", () => {
  const setter = hand(function* (m): Steps {
    m.$writeOnce(Y, 7, 0) && (yield), m.$go();
    m.$storeRelease(X, 1, 0) && (yield), m.$go();
  });

  it("with a pause costs no steps while nothing changes", () => {
    const spinner = hand(function* (m): Steps {
      while ((m.$loadAcquire(X, 0) && (yield), m.$go()) === 0) m.$pause(0) && (yield), m.$go();
    });
    const execution = new Execution({ name: "spin", threads: [spinner, setter] });
    for (let i = 0; i < 200; i++) {
      const random = new RandomWalk(i);
      const outcome = execution.run(random, 0);
      expect(outcome.finding).toBeUndefined();
      expect(outcome.picks).toBeLessThanOrEqual(6);
    }
  });

  it("that nobody ends is a deadlock, not an endless run", () => {
    const spinner = hand(function* (m): Steps {
      while ((m.$loadAcquire(X, 0) && (yield), m.$go()) === 0) m.$pause(0) && (yield), m.$go();
    });
    expect(new Execution({ name: "alone", threads: [spinner] }).run(new RandomWalk(1), 0).finding?.kind).toBe(
      "deadlock",
    );
  });

  it("that watches the clock comes to its end", () => {
    const spinner = hand(function* (m): Steps {
      while ((m.$loadAcquire(X, 0) && (yield), m.$go()) === 0 && m.now() < 1000)
        m.$pause(0) && (yield), m.$go();
    });
    expect(
      new Execution({ name: "patient", threads: [spinner] }).run(new RandomWalk(1), 0).finding,
    ).toBeUndefined();
  });

  it("in which two threads undo each other's work is a livelock", () => {
    const flip = (from: number, to: number) =>
      hand(function* (m): Steps {
        for (;;) m.$compareExchange(X, from, to, 0) && (yield), m.$go();
      });
    const program: Program = { name: "flip", threads: [flip(0, 1), flip(1, 0)] };
    const { finding, truncated } = new Execution(program, { maxSteps: 400 }).run(new RandomWalk(1), 0);
    expect(finding?.kind).toBe("livelock");
    expect(truncated).toBe(true);
  });
});

describe("daemons and the last thread", () => {
  it("a daemon may sleep when the others have ended, and runs until then", () => {
    const daemon = {
      name: "daemon",
      daemon: true,
      body: hand(function* (m): Steps {
        for (;;) {
          m.$wait(X, 0, Number.POSITIVE_INFINITY, 0) && (yield), m.$go();
          m.$exchange(X, 0, 0) && (yield), m.$go();
          yield* counted(m);
        }
      }),
    };
    const user = hand(function* (m): Steps {
      m.$storeRelease(X, 1, 0) && (yield), m.$go();
      m.$notify(X, 1, 0) && (yield), m.$go();
    });
    const program: Program = { name: "daemon", threads: [user, daemon], outcome: (m) => m.read(Y) > 0 };
    expect([...outcomes(program, 200)]).toEqual(["true"]);
  });

  it("lastly starts when all others have ended", () => {
    const { after: _, ...program } = lostUpdate();
    const lastly = hand(function* (m): Steps {
      const x = (m.$read(X, 0) && (yield), m.$go()) as number;
      m.$write(Y, x, 0) && (yield), m.$go();
    });
    const both: Program = { ...program, lastly, outcome: (m) => m.read(X) === m.read(Y) };
    expect([...outcomes(both, 300)]).toEqual(["true"]);
  });

  it("switch points outside the focus are none", () => {
    const program: Program = { ...lostUpdate(), focus: () => false };
    // Hand-written steps have no site, which always asks.
    expect(new Execution(program).world.gate[0]).toBe(1);
    expect(increment.name).toBe("increment");
  });
});

function* counted(m: ControlledMemory): Steps {
  const y = (m.$read(Y, 0) && (yield), m.$go()) as number;
  m.$write(Y, y + 1, 0) && (yield), m.$go();
}
