/** Spinning that runs out, threads that begin, steps that never end. */
import { expect, test } from "vitest";
import type { ControlledMemory } from "./controlled-memory.ts";
import { Execution } from "./execution.ts";
import { explore } from "./explore.ts";
import type { Program } from "./program.ts";
import { $sites } from "./runtime.ts";
import { makeStrategy } from "./strategy/index.ts";
import { hand, X, Y, Z } from "./testing/hand.ts";

const ROUNDS = 8;
/** A site out of focus. */
const QUIET = $sites("patience.ts", [1, 1], ["quiet"], [0]);

function outcomes(program: Program): string[] {
  const states = new Set<string>();
  const each = ({ state, finding }: { state: string | undefined; finding: unknown }): void => {
    expect(finding).toBe(undefined);
    states.add(state ?? "");
  };
  explore(new Execution(program), makeStrategy("random", { seed: 1 }), { executions: 200, each });
  return [...states].toSorted();
}

/** Looks for X a few times, then says in Y that it sleeps. */
function* spinThenSleep(m: ControlledMemory): Generator<unknown, void> {
  for (let i = 0; i < ROUNDS; i++) {
    if ((m.$loadAcquire(X, 0) && (yield), m.$go() as number) === 1) return;
    m.$pause(0) && (yield), m.$go();
  }
  m.$exchange(Y, 1, 0) && (yield), m.$go();
  while ((m.$loadAcquire(X, 0) && (yield), m.$go() as number) === 0) {
    m.$wait(X, 0, Number.POSITIVE_INFINITY, 0) && (yield), m.$go();
  }
}

function* waker(m: ControlledMemory): Generator<unknown, void> {
  m.$storeRelease(X, 1, 0) && (yield), m.$go();
  m.$notify(X, 1, 0) && (yield), m.$go();
}

function spinning(spins: number): Program {
  return {
    name: "spinning",
    spins,
    threads: [hand(spinThenSleep), hand(waker)],
    outcome: (memory) => `slept: ${memory.read(Y)}`,
  };
}

test("spinning lasts until something changes", () => {
  expect(outcomes(spinning(0))).toEqual(["slept: 0"]);
});

test("with patience that runs out, what is behind the spinning is reached, too", () => {
  expect(outcomes(spinning(1))).toEqual(["slept: 0", "slept: 1"]);
});

/** Two threads none of whose ops is in focus: which of them is first? */
function* race(m: ControlledMemory): Generator<unknown, void> {
  const before = (m.$fetchAdd(X, 1, QUIET) && (yield), m.$go()) as number;
  if (before === 0) m.$write(Z, m.thread + 1, QUIET) && (yield), m.$go();
}

test("threads begin in any order, whatever is in focus", () => {
  const program: Program = {
    name: "beginning",
    threads: [hand(race), hand(race)],
    focus: () => false,
    outcome: (memory) => `first: ${memory.read(Z)}`,
  };
  expect(outcomes(program)).toEqual(["first: 1", "first: 2"]);
});

test("a step that goes round for ever is told of", () => {
  const program: Program = {
    name: "endless",
    threads: [
      hand(function* endless(m) {
        m.$write(Y, 1, 0) && (yield), m.$go();
        while (m.at(QUIET).read(X) === 0);
      }),
    ],
  };
  const { failure } = explore(new Execution(program), makeStrategy("random", { seed: 1 }), { executions: 1 });
  expect(failure?.outcome.finding).toMatchObject({ kind: "livelock", thread: 0, site: QUIET });
  expect(failure?.outcome.finding?.message).toMatch(
    /endless goes round in one step|t0 goes round in one step/,
  );
});
