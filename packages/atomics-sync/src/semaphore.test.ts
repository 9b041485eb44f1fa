import { expect, test } from "vitest";
import { createSharedMemory, Memory } from "./memory.ts";
import { Semaphore, semaphoreAcquire, semaphoreAvailable, semaphoreInit } from "./semaphore.ts";
import { MOST_INSIDE, PRIMITIVE } from "./testing/layout.ts";
import type { RoleArguments } from "./testing/roles.ts";
import { runThreads } from "./testing/threads.ts";

const ROUNDS = 400;

/** Four threads take a permit and hold it for a while; the most that held one at once. */
async function mostInside(permits: number): Promise<number> {
  const mem = new Memory(createSharedMemory(65536));
  semaphoreInit(mem, PRIMITIVE, permits);
  const args: RoleArguments = { role: "semaphore", threads: 4, rounds: ROUNDS };
  expect(await runThreads(mem.wasm, [args, args, args, args])).toEqual([0, 0, 0, 0]);
  expect(semaphoreAvailable(mem, PRIMITIVE)).toBe(permits);
  return mem.loadAcquire(MOST_INSIDE);
}

test("one permit is mutual exclusion", async () => {
  expect(await mostInside(1)).toBe(1);
});

test("never more than two hold one of two permits, and two sometimes do", async () => {
  expect(await mostInside(2)).toBe(2);
});

test("negative control: with a permit too many, three are seen inside", async () => {
  expect(await mostInside(3)).toBe(3);
});

test("acquire without a permit times out, and no sooner", () => {
  const mem = new Memory(createSharedMemory(65536));
  const semaphore = new Semaphore(mem, PRIMITIVE);
  semaphore.init(1);
  expect(semaphore.acquire(0)).toBe(true);
  expect(semaphore.tryAcquire()).toBe(false);
  const start = mem.now();
  expect(semaphoreAcquire(mem, PRIMITIVE, 20)).toBe(false);
  expect(mem.now() - start).toBeGreaterThanOrEqual(19);
  semaphore.release(2);
  expect(semaphore.available()).toBe(2);
  expect(semaphore.acquire()).toBe(true);
  expect(semaphore.acquire()).toBe(true);
  expect(semaphore.tryAcquire()).toBe(false);
});
