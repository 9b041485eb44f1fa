import { expect, test } from "vitest";
import { createSharedMemory, Memory } from "./memory.ts";
import { MUTEX_BYTES, Mutex, mutexLock, mutexLockTimeout, mutexTryLock, mutexUnlock } from "./mutex.ts";
import { COUNTER, PRIMITIVE } from "./testing/layout.ts";
import type { RoleArguments } from "./testing/roles.ts";
import { runThreads, startThreads, until } from "./testing/threads.ts";

/** The word of a locked mutex with sleepers. */
const CONTENDED = 2;

/** Four threads add to one counter under a lock; the sum they reach. */
async function sumUnderLock(
  role: "mutex" | "brokenMutex",
  rounds: number,
  sleepInside: boolean,
): Promise<number> {
  const mem = new Memory(createSharedMemory(65536));
  const args: RoleArguments = { role, threads: 4, rounds, sleepInside };
  await runThreads(mem.wasm, [args, args, args, args]);
  return mem.loadAcquire(COUNTER);
}

test("no addition under the mutex is lost: short sections, four threads", async () => {
  expect(await sumUnderLock("mutex", 20_000, false)).toBe(80_000);
});

test("no addition under the mutex is lost: sections that sleep", async () => {
  expect(await sumUnderLock("mutex", 200, true)).toBe(800);
});

test("negative control: the same threads lose additions under a lock that tests, then sets", async () => {
  expect(await sumUnderLock("brokenMutex", 200, true)).toBeLessThan(800);
});

test("a thread that cannot get the mutex sleeps, and unlocking wakes it", async () => {
  const mem = new Memory(createSharedMemory(65536));
  mutexLock(mem, PRIMITIVE);
  const crew = startThreads(mem.wasm, [{ role: "mutex", threads: 1, rounds: 1 }]);
  try {
    await until(() => mem.loadAcquire(PRIMITIVE) === CONTENDED);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(mem.loadAcquire(PRIMITIVE)).toBe(CONTENDED);
    expect(mem.loadAcquire(COUNTER)).toBe(0);
    mutexUnlock(mem, PRIMITIVE);
    await crew.results;
    expect(mem.loadAcquire(COUNTER)).toBe(1);
  } finally {
    await crew.end();
  }
});

test("a locked mutex cannot be locked again, and an unlocked one can", () => {
  const mem = new Memory(createSharedMemory(65536));
  expect(mutexTryLock(mem, PRIMITIVE)).toBe(true);
  expect(mutexTryLock(mem, PRIMITIVE)).toBe(false);
  expect(mutexLockTimeout(mem, PRIMITIVE, 0)).toBe(false);
  const start = mem.now();
  expect(mutexLockTimeout(mem, PRIMITIVE, 20)).toBe(false);
  expect(mem.now() - start).toBeGreaterThanOrEqual(19);
  mutexUnlock(mem, PRIMITIVE);
  expect(mutexLockTimeout(mem, PRIMITIVE, 0)).toBe(true);
  mutexUnlock(mem, PRIMITIVE);
  mutexLock(mem, PRIMITIVE);
  expect(mutexTryLock(mem, PRIMITIVE)).toBe(false);
});

test("the class is the same lock as the functions", () => {
  const mem = new Memory(createSharedMemory(65536));
  const mutex = new Mutex(mem, PRIMITIVE);
  mutex.lock();
  expect(mutexTryLock(mem, PRIMITIVE)).toBe(false);
  expect(mutex.lockTimeout(1)).toBe(false);
  mutex.unlock();
  expect(mutex.tryLock()).toBe(true);
});

test("a mutex touches only its own bytes", () => {
  const mem = new Memory(createSharedMemory(65536));
  mem.memset(0, 0x5a, 65536);
  mem.memset(PRIMITIVE, 0, MUTEX_BYTES);
  mutexLock(mem, PRIMITIVE);
  mutexLockTimeout(mem, PRIMITIVE, 1);
  mutexUnlock(mem, PRIMITIVE);
  const u8 = new Uint8Array(mem.wasm.buffer);
  for (let p = 0; p < 65536; p++) if (u8[p] !== 0x5a) expect(p - PRIMITIVE).toBeLessThan(MUTEX_BYTES);
});
