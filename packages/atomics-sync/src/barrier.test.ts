import { expect, test } from "vitest";
import { Barrier, barrierArrive, barrierInit } from "./barrier.ts";
import { createSharedMemory, Memory } from "./memory.ts";
import { COUNTER, PRIMITIVE } from "./testing/layout.ts";
import type { RoleArguments } from "./testing/roles.ts";
import { runThreads } from "./testing/threads.ts";

const PARTIES = 4;

/** Four threads go through `rounds` phases; the late or early neighbours they saw, and the leaders there were. */
async function meet(
  role: "barrier" | "noBarrier",
  rounds: number,
  sleepInside: boolean,
): Promise<{ violations: number; leaders: number }> {
  const mem = new Memory(createSharedMemory(65536));
  barrierInit(mem, PRIMITIVE, PARTIES);
  const roles: RoleArguments[] = [];
  for (let index = 0; index < PARTIES; index++)
    roles.push({ role, threads: PARTIES, rounds, index, sleepInside });
  const seen = await runThreads(mem.wasm, roles);
  return { violations: seen.reduce((sum, one) => sum + one, 0), leaders: mem.loadAcquire(COUNTER) };
}

test("nobody leaves a phase before all have arrived, and each phase has one leader", async () => {
  expect(await meet("barrier", 2000, false)).toEqual({ violations: 0, leaders: 4000 });
});

test("the same when threads come late by turns", async () => {
  expect(await meet("barrier", 300, true)).toEqual({ violations: 0, leaders: 600 });
});

test("negative control: without the barrier neighbours are found in other phases", async () => {
  expect((await meet("noBarrier", 300, true)).violations).toBeGreaterThan(0);
});

test("a barrier of one never waits; a barrier of two times out alone", () => {
  const mem = new Memory(createSharedMemory(65536));
  const barrier = new Barrier(mem, PRIMITIVE);
  barrier.init(1);
  expect(barrier.arrive()).toBe("leader");
  expect(barrier.arrive()).toBe("leader");
  barrier.init(2);
  const start = mem.now();
  expect(barrierArrive(mem, PRIMITIVE, 20)).toBe("timed-out");
  expect(mem.now() - start).toBeGreaterThanOrEqual(19);
});
