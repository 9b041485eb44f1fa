/** Cases where a search once said too much: a proof that missed an execution, a deadlock that was none. */
import { describe, expect, test } from "vitest";
import { check } from "./check.ts";
import type { ControlledMemory } from "./controlled-memory.ts";
import { defaultMonitors } from "./detect/index.ts";
import { Execution } from "./execution.ts";
import { explore } from "./explore.ts";
import { heapAlloc, heapFree, heapInit } from "./heap.ts";
import type { Program } from "./program.ts";
import { $sites } from "./runtime.ts";
import { makeStrategy } from "./strategy/index.ts";
import { RandomWalk } from "./strategy/random.ts";
import { hand, X, Y, Z } from "./testing/hand.ts";

type Steps = Generator<unknown, void>;

const D = 1024;
/** Sites of a file of their own: 0 and 1 quiet, the others loud. */
const S = $sites("soundness.ts", [1, 1, 2, 1, 3, 1, 4, 1, 5, 1], ["quiet", "loud"], [0, 0, 1, 1, 1]);
const [A, B, C] = [S + 2, S + 3, S + 4] as const;

function verdict(program: Program, strategy: string, races: boolean = true): string {
  const { failure, ...report } = check(program, {
    strategy,
    detect: { races },
    executions: strategy === "random" ? 50 : 10_000,
  });
  return failure === null ? report.verdict : failure.kind;
}

/** Sees the word change while it spins only if it looks again between the two stores of the other thread. */
function seenInSecondRound(look: (m: ControlledMemory) => Generator<unknown, boolean>): Program {
  const spinner = hand(function* (m): Steps {
    for (let round = 0; ; round++) {
      if (yield* look(m)) {
        if (round === 1 && (m.$loadAcquire(Z, B) && (yield), m.$go()) === 0) throw new Error("seen");
        return;
      }
      m.$pause(C) && (yield), m.$go();
    }
  });
  const setter = hand(function* (m): Steps {
    m.$write64(X, 2 ** 32, A) && (yield), m.$go();
    m.$storeRelease(Z, 1, A) && (yield), m.$go();
  });
  return { name: "second round", threads: [spinner, setter] };
}

describe("a spinning thread is woken by", () => {
  test.for(["dfs", "dpor"])("the upper half of a 64-bit word: %s", (strategy) => {
    const program = seenInSecondRound(function* (m) {
      return (m.$read64(X, A) && (yield), m.$go()) !== 0;
    });
    expect(verdict(program, strategy, false)).toBe("crash");
  });

  test.for(["dfs", "dpor"])("what it read in bulk: %s", (strategy) => {
    const program = seenInSecondRound(function* (m) {
      m.$loadAcquire(Y, A) && (yield), m.$go();
      return m.crc32c(X, 8) !== 0x8c28b28a;
    });
    // The CRC of zeros, so that the first look finds nothing.
    const probe = new Execution(program).world.alone.crc32c(X, 8);
    expect(probe).toBe(0x8c28b28a);
    expect(verdict(program, strategy, false)).toBe("crash");
  });

  test("a thread that goes to sleep, if it waits for a sleeper to notify", () => {
    const sleeper = hand(function* (m): Steps {
      for (let i = 0; i < 60; i++) m.$wait(X, 0, Number.POSITIVE_INFINITY, A) && (yield), m.$go();
    });
    const waker = hand(function* (m): Steps {
      for (let i = 0; i < 60; i++) {
        while ((m.$notify(X, 1, B) && (yield), m.$go()) === 0) m.$pause(C) && (yield), m.$go();
      }
    });
    expect(check({ name: "handshake", threads: [sleeper, waker] }, { executions: 50 }).verdict).toBe("pass");
  });
});

test.for(["dfs", "dpor"])(
  "a loop that writes between its reads and its pause is not proved: %s",
  (strategy) => {
    const spinner = hand(function* (m): Steps {
      for (;;) {
        m.$loadAcquire(X, A) && (yield), m.$go();
        m.$fetchAdd(Y, 1, A) && (yield), m.$go();
        if ((m.$loadAcquire(Z, B) && (yield), m.$go()) === 1) return;
        m.$pause(C) && (yield), m.$go();
      }
    });
    const setter = hand(function* (m): Steps {
      m.$storeRelease(X, 1, A) && (yield), m.$go();
      m.$storeRelease(Z, 1, A) && (yield), m.$go();
    });
    expect(verdict({ name: "writes", threads: [spinner, setter] }, strategy)).toBe("pass");
  },
);

test("a thread that wrote before its spin loop is proved all the same", () => {
  const spinner = hand(function* (m): Steps {
    m.$loadAcquire(Y, A) && (yield), m.$go();
    m.$fetchAdd(Y, 1, A) && (yield), m.$go();
    while ((m.$loadAcquire(Z, B) && (yield), m.$go()) === 0) m.$pause(C) && (yield), m.$go();
    m.$fetchAdd(Y, 1, A) && (yield), m.$go();
  });
  const setter = hand(function* (m): Steps {
    m.$storeRelease(Z, 1, A) && (yield), m.$go();
  });
  expect(verdict({ name: "wrote", threads: [spinner, setter] }, "dfs")).toBe("proved");
});

test.for(["$fetchOr", "$exchange"] as const)(
  "the order of two %s that change nothing decides whether plain accesses race",
  (verb) => {
    const program: Program = {
      name: "idle",
      focus: (_file, name) => name !== "quiet",
      threads: [
        hand(function* (m): Steps {
          m.$loadAcquire(Z, A) && (yield), m.$go();
          m.$write(D, 1, S) && (yield), m.$go();
          m[verb](X, 0, A) && (yield), m.$go();
        }),
        hand(function* (m): Steps {
          m[verb](X, 0, A) && (yield), m.$go();
          m.$read(D, S + 1) && (yield), m.$go();
        }),
      ],
    };
    const execution = new Execution(program, { monitors: defaultMonitors() });
    const { failure } = explore(execution, makeStrategy("dpor", { seed: 1 }), {});
    expect(failure?.outcome.finding?.kind).toBe("data-race");
  },
);

test("an early time-out and a notify are searched in both orders", () => {
  const program: Program = {
    name: "early",
    threads: [
      hand(function* (m): Steps {
        const how = (m.$wait(X, 0, 10, A) && (yield), m.$go()) as string;
        m.$writeOnce(Y, how === "ok" ? 1 : 2, A) && (yield), m.$go();
      }),
      hand(function* (m): Steps {
        m.$notify(X, 1, A) && (yield), m.$go();
      }),
    ],
    outcome: (memory) => memory.read(Y),
  };
  const states = (strategy: string): string[] => {
    const { states: seen } = explore(
      new Execution(program, { timeouts: "eager" }),
      makeStrategy(strategy, { seed: 1 }),
      {},
    );
    return [...seen.keys()].toSorted();
  };
  expect(states("dpor")).toEqual(["1", "2"]);
  expect(states("dfs")).toEqual(["1", "2"]);
});

describe("no deadlock is", () => {
  const delayed = (rounds: number): Program => ({
    name: "delay",
    threads: [
      hand(function* (m): Steps {
        for (let i = 0; i < rounds; i++) m.$pause(A) && (yield), m.$go();
        m.$storeRelease(X, 1, B) && (yield), m.$go();
        m.$notify(X, 1, B) && (yield), m.$go();
      }),
      hand(function* (m): Steps {
        m.$wait(X, 0, Number.POSITIVE_INFINITY, C) && (yield), m.$go();
      }),
    ],
  });

  test("a delay of pauses, however long others sleep meanwhile", () => {
    expect(verdict(delayed(200), "random")).toBe("pass");
  });

  test("spinning that gives up after many rounds", () => {
    const patient = hand(function* (m): Steps {
      for (let i = 0; i < 100; i++) {
        if ((m.$loadAcquire(X, A) && (yield), m.$go()) === 1) return;
        m.$pause(B) && (yield), m.$go();
      }
      m.$storeRelease(Y, 1, C) && (yield), m.$go();
    });
    expect(verdict({ name: "gives up", threads: [patient] }, "random")).toBe("pass");
  });

  test("control: spinning without end is one", () => {
    expect(verdict(delayed(Number.POSITIVE_INFINITY), "random")).toBe("deadlock");
  });
});

test("a thread that sleeps for ever beside a daemon that ticks is a deadlock, not a livelock", () => {
  const program: Program = {
    name: "ticks",
    threads: [
      {
        name: "ticker",
        daemon: true,
        body: hand(function* (m): Steps {
          for (;;) {
            m.$wait(Z, 0, 10, A) && (yield), m.$go();
            m.$fetchAdd(Y, 1, A) && (yield), m.$go();
          }
        }),
      },
      hand(function* (m): Steps {
        m.$wait(X, 0, Number.POSITIVE_INFINITY, B) && (yield), m.$go();
      }),
    ],
  };
  const execution = new Execution(program, { monitors: defaultMonitors() });
  const { failure } = explore(execution, makeStrategy("random", { seed: 1 }), { executions: 1 });
  expect(failure?.outcome.finding?.kind).toBe("deadlock");
});

test("a thread that only ticks beside it is no reason to go on to the step limit", () => {
  const ticker = hand(function* (m): Steps {
    for (;;) m.$wait(Z, 0, 10, A) && (yield), m.$go();
  });
  const { finding, picks } = new Execution({ name: "ticks", threads: [ticker] }).run(new RandomWalk(1), 0);
  expect(finding?.kind).toBe("deadlock");
  expect(picks).toBeLessThan(1000);
});

test("a wait of no time at all never sleeps", () => {
  const program: Program = {
    name: "poll",
    threads: [
      hand(function* (m): Steps {
        const how = (m.$wait(X, 0, 0, A) && (yield), m.$go()) as string;
        m.$writeOnce(Y, how === "timed-out" ? 1 : 2, A) && (yield), m.$go();
      }),
      hand(function* (m): Steps {
        m.$notify(X, 1, A) && (yield), m.$go();
      }),
    ],
    outcome: (memory) => memory.read(Y),
  };
  const { states } = explore(new Execution(program), makeStrategy("dfs", { seed: 1 }), {});
  expect([...states.keys()]).toEqual(["1"]);
});

describe("of the heap", () => {
  const program = (body: (m: ControlledMemory, p: number) => Steps): Program => ({
    name: "heap",
    setup: (memory) => heapInit(memory),
    threads: [hand((m) => body(m, heapAlloc(m, 16)))],
  });

  test("a wait on a freed word is a use after free", () => {
    const freed = program(function* (m, p) {
      m.$writeOnce(p, 0, A) && (yield), m.$go();
      heapFree(m, p);
      m.$wait(p, 0, 5, B) && (yield), m.$go();
    });
    expect(verdict(freed, "dfs")).toBe("use-after-free");
  });

  test("a redzone is no freed object, lifetimes followed or not", () => {
    const beyond = program(function* (m, p) {
      m.$writeOnce(p + 16, 0, A) && (yield), m.$go();
    });
    expect(check(beyond, { detect: { lifetime: false } }).failure?.kind).toBe("out-of-bounds");
    expect(verdict(beyond, "dfs")).toBe("out-of-bounds");
  });

  test("the books are in no trace", () => {
    const fails = program(function* (m, p) {
      m.$writeOnce(p, 1, A) && (yield), m.$go();
      throw new Error("enough");
    });
    const { text } = check(fails);
    expect(text).toContain("writeOnce");
    expect(text).not.toContain("check: ");
  });
});
