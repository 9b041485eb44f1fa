/** Programs that use the checker wrongly are told so, where they do it. */
import { expect, test } from "vitest";
import { running } from "./atomics.ts";
import { check } from "./check.ts";
import type { ControlledMemory } from "./controlled-memory.ts";
import { Execution } from "./execution.ts";
import type { Program, ThreadBody } from "./program.ts";
import { hand, lostUpdate, X } from "./testing/hand.ts";

type Steps = Generator<unknown, void>;

function one(body: (m: ControlledMemory) => Steps): Program {
  return { name: "one", threads: [hand(body)] };
}

test.for([
  ["unaligned", 258, /writeOnce at 258: expected an address that is a multiple of 4/],
  ["no number", Number.NaN, /writeOnce at NaN/],
  ["a fraction", 256.5, /writeOnce at 256\.5/],
  ["outside", 1e6, /wild-memory-access: write of 4 bytes/],
  ["negative", -4, /wild-memory-access: write of 4 bytes/],
] as const)("an address that is %s is a failure", ([, p, message]) => {
  const program = one(function* (m) {
    m.$writeOnce(p, 1, 0) && (yield), m.$go();
  });
  expect(check(program).failure?.message).toMatch(message);
});

test("a wait wants an address of a word, too", () => {
  const at = (p: number): Program =>
    one(function* (m) {
      m.$wait(p, 0, 1, 0) && (yield), m.$go();
    });
  expect(check(at(258)).failure?.message).toMatch(/wait at 258/);
  expect(check(at(1e6)).failure?.kind).toBe("out-of-bounds");
});

test.for([0, 256, 2.5, Number.NaN])("a choice among %d values is refused", (n) => {
  const program: Program = { name: "chooses", threads: [(_memory, thread) => thread.choose(n)] };
  expect(check(program).failure?.message).toMatch(/expected 1 \.\.\. 255/);
});

test("async functions are refused: nobody waits for them", () => {
  const { threads } = lostUpdate();
  const late = async (): Promise<void> => {
    await Promise.resolve();
    throw new Error("too late");
  };
  expect(() => check({ name: "p", threads: [late] })).toThrow(/thread late is async/);
  expect(() => check({ name: "p", threads, setup: late })).toThrow(/not async/);
  expect(check({ name: "p", threads, after: late }, { detect: { races: false } }).failure?.message).toMatch(
    /not async/,
  );
});

test("what is no program is refused", () => {
  const { threads } = lostUpdate();
  const nothing = [undefined as unknown as ThreadBody];
  expect(() => check({ name: "p", threads: [] })).toThrow(/0 threads, expected 1/);
  expect(() => check({ name: "p", threads: nothing })).toThrow(/thread 0 is no function/);
  expect(() => check({ name: "p", threads, bytes: 0 })).toThrow(/shared memory of 0 bytes/);
  expect(() => check({ name: "p", threads, bytes: Number.NaN })).toThrow(/shared memory of NaN bytes/);
  expect(() => check({ name: "p", threads }, { maxSteps: 0 })).toThrow(/maxSteps is 0/);
});

test("a setup that throws leaves no memory behind for Atomics outside", () => {
  const setup = (): void => {
    throw new Error("no");
  };
  expect(() => new Execution({ ...lostUpdate(), setup })).toThrow("no");
  expect(running.mem).toBeUndefined();
});

test("a fill without end fails, at once", () => {
  const program = one(function* (m) {
    m.$read(X, 0) && (yield), m.$go();
    m.memset(X, 0, Number.POSITIVE_INFINITY);
  });
  expect(check(program).failure?.message).toMatch(/Infinity bytes: expected/);
});

test("a daemon that never rests is named", () => {
  const daemon = hand(function* (m) {
    for (;;) m.$fetchAdd(X, 1, 0) && (yield), m.$go();
  });
  const program: Program = { name: "busy", threads: [{ name: "mill", daemon: true, body: daemon }] };
  expect(check(program, { executions: 1, maxSteps: 100 }).failure?.message).toMatch(/mill did not end/);
});
