import { expect, test } from "vitest";
import { AutoEvent, autoEventReset, autoEventSet, autoEventWait } from "./auto-event.ts";
import { eventReset, eventSet, eventWait, ManualEvent } from "./event.ts";
import { createSharedMemory, Memory } from "./memory.ts";
import { COUNTER, GATE, PRIMITIVE, REPLY, STOP } from "./testing/layout.ts";
import type { RoleArguments } from "./testing/roles.ts";
import { runThreads, startThreads, until } from "./testing/threads.ts";

const WAITERS = 4;
/** Where event.ts counts its waiters; known here to set the event at the worst moment. */
const WAITER_COUNT = PRIMITIVE + 4;

function makeMemory(): Memory {
  return new Memory(createSharedMemory(65536));
}

test("setting an event wakes every waiter, even when it is reset at once", async () => {
  const mem = makeMemory();
  const args: RoleArguments = { role: "eventWaiter", threads: WAITERS, rounds: 1 };
  const crew = startThreads(mem.wasm, [args, args, args, args]);
  try {
    await until(() => mem.loadAcquire(GATE) === WAITERS && mem.loadAcquire(WAITER_COUNT) === WAITERS);
    eventSet(mem, PRIMITIVE);
    expect(eventReset(mem, PRIMITIVE)).toBe(true);
    expect(await crew.results).toEqual([1, 1, 1, 1]);
  } finally {
    await crew.end();
  }
});

test("an event stays set until it is reset", () => {
  const mem = makeMemory();
  const event = new ManualEvent(mem, PRIMITIVE);
  expect(event.wait(0)).toBe(false);
  event.signal();
  event.signal();
  expect(event.wait(0)).toBe(true);
  expect(event.wait()).toBe(true);
  expect(event.reset()).toBe(true);
  expect(event.reset()).toBe(false);
  const start = mem.now();
  expect(eventWait(mem, PRIMITIVE, 20)).toBe(false);
  expect(mem.now() - start).toBeGreaterThanOrEqual(19);
});

test("an auto-reset event lets one thread pass per set", () => {
  const mem = makeMemory();
  const event = new AutoEvent(mem, PRIMITIVE);
  event.signal();
  event.signal();
  expect(event.wait()).toBe(true);
  expect(event.wait(0)).toBe(false);
  autoEventSet(mem, PRIMITIVE);
  expect(autoEventReset(mem, PRIMITIVE)).toBe(true);
  expect(event.reset()).toBe(false);
  const start = mem.now();
  expect(event.wait(20)).toBe(false);
  expect(mem.now() - start).toBeGreaterThanOrEqual(19);
});

test("of four threads at an auto-reset event exactly one passes per set", async () => {
  const mem = makeMemory();
  const sets = 500;
  const args: RoleArguments = { role: "turnstile", threads: 5, rounds: 0 };
  const crew = startThreads(mem.wasm, [args, args, args, args]);
  try {
    await until(() => mem.loadAcquire(GATE) === 4);
    mem.fetchAdd(GATE, 1);
    for (let i = 1; i <= sets; i++) {
      autoEventSet(mem, PRIMITIVE);
      // Bounded: a lost wake-up would show as a time-out.
      expect(autoEventWait(mem, REPLY, 5000)).toBe(true);
      expect(mem.loadAcquire(COUNTER)).toBe(i);
    }
    mem.storeRelease(STOP, 1);
    const passed = await crew.results;
    expect(passed.reduce((sum, one) => sum + one, 0)).toBe(sets);
  } finally {
    await crew.end();
  }
});

test("no wake-up is lost in 5000 round trips between two threads", async () => {
  const mem = makeMemory();
  const rounds = 5000;
  const crew = startThreads(mem.wasm, [{ role: "echo", threads: 2, rounds }]);
  try {
    await until(() => mem.loadAcquire(GATE) === 1);
    mem.fetchAdd(GATE, 1);
    for (let i = 0; i < rounds; i++) {
      autoEventSet(mem, PRIMITIVE);
      if (!autoEventWait(mem, REPLY, 5000)) throw new Error(`round trip ${i} got no answer`);
    }
    expect(await crew.results).toEqual([rounds]);
  } finally {
    await crew.end();
  }
});

test("negative control: a thread that never answers is noticed", async () => {
  const mem = makeMemory();
  expect(await runThreads(mem.wasm, [{ role: "echo", threads: 1, rounds: 0 }])).toEqual([0]);
  autoEventSet(mem, PRIMITIVE);
  expect(autoEventWait(mem, REPLY, 20)).toBe(false);
});
