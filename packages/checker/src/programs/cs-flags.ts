/**
 * CS benchmarks of SCTBench about orders between several words: a driver that stops, a ring, reorder and twostage of
 * all sizes.
 */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark, times } from "./benchmark.ts";
import { mutexLock, mutexUnlock } from "./lock.ts";

const PENDING = 64;
const STOPPING = 68;
const STOPPING_EVENT = 72;
const STOPPED = 76;

function startDriver(memory: Memory): void {
  memory.write(PENDING, 1);
}

function endIo(memory: Memory): void {
  if (memory.fetchSub(PENDING, 1) === 1) memory.write(STOPPING_EVENT, 1);
}

/** Looks whether the driver stops, and counts itself afterwards: too late. */
function addsIo(memory: Memory, thread: ThreadContext): void {
  if (memory.read(STOPPING) === 0) {
    memory.fetchAdd(PENDING, 1);
    thread.assert(memory.read(STOPPED) === 0, "I/O on a driver that has stopped");
  }
  endIo(memory);
}

/** Counts itself first. */
function addsCountedIo(memory: Memory, thread: ThreadContext): void {
  memory.fetchAdd(PENDING, 1);
  if (memory.read(STOPPING) === 0)
    thread.assert(memory.read(STOPPED) === 0, "I/O on a driver that has stopped");
  endIo(memory);
}

function stops(memory: Memory): void {
  memory.write(STOPPING, 1);
  endIo(memory);
  if (memory.read(STOPPING_EVENT) !== 0) memory.write(STOPPED, 1);
}

const bluetooth = benchmark(
  "CS",
  "CS/bluetooth_driver",
  { setup: startDriver, threads: [addsIo, stops] },
  { setup: startDriver, threads: [addsCountedIo, stops] },
);

const X1 = 64;
const X2 = 68;
const X3 = 72;
const FLAG1 = 76;
const FLAG2 = 80;
const FLAG3 = 84;

function startRing(memory: Memory): void {
  memory.write(X1, 1);
  memory.write(X2, 2);
  memory.write(X3, 1);
}

function takesFromThird(memory: Memory): void {
  memory.write(X1, (memory.read(X3) + 1) % 4);
  memory.write(FLAG1, 1);
}

function takesFromFirst(memory: Memory): void {
  memory.write(X2, memory.read(X1));
  memory.write(FLAG2, 1);
}

function takesFromSecond(memory: Memory): void {
  memory.write(X3, memory.read(X2));
  memory.write(FLAG3, 1);
}

function ringAgrees(memory: Memory, thread: ThreadContext): void {
  if (memory.read(FLAG1) === 0 || memory.read(FLAG2) === 0 || memory.read(FLAG3) === 0) return;
  const x2 = memory.read(X2);
  thread.assert(memory.read(X1) === x2 && x2 === memory.read(X3), "the ring does not agree");
}

const tokenRing = benchmark("CS", "CS/token_ring", {
  setup: startRing,
  threads: [takesFromThird, takesFromFirst, takesFromSecond, ringAgrees],
});

const A = 64;
const B = 68;
const M = 72;

function sets(memory: Memory): void {
  memory.write(A, 1);
  memory.write(B, -1);
}

/** Both unset or both set. The original reads the words again for the second question. */
function checks(memory: Memory, thread: ThreadContext): void {
  const ok =
    (memory.read(A) === 0 && memory.read(B) === 0) || (memory.read(A) === 1 && memory.read(B) === -1);
  thread.assert(ok, "saw one of two writes");
}

function setsUnderLock(memory: Memory): void {
  mutexLock(memory, M);
  sets(memory);
  mutexUnlock(memory, M);
}

function checksUnderLock(memory: Memory, thread: ThreadContext): void {
  mutexLock(memory, M);
  checks(memory, thread);
  mutexUnlock(memory, M);
}

/** `n` threads, one of which checks. */
function reorder(n: number): Benchmark[] {
  return benchmark(
    "CS",
    `CS/reorder_${n}`,
    { threads: [...times(n - 1, sets), checks] },
    { threads: [...times(n - 1, setsUnderLock), checksUnderLock] },
  );
}

const DATA1 = 64;
const DATA2 = 68;
const LOCK1 = 72;
const LOCK2 = 76;

function setsInTwoStages(memory: Memory): void {
  mutexLock(memory, LOCK1);
  memory.write(DATA1, 1);
  mutexUnlock(memory, LOCK1);
  mutexLock(memory, LOCK2);
  memory.write(DATA2, memory.read(DATA1) + 1);
  mutexUnlock(memory, LOCK2);
}

function setsInOneStage(memory: Memory): void {
  mutexLock(memory, LOCK1);
  memory.write(DATA1, 1);
  mutexLock(memory, LOCK2);
  memory.write(DATA2, memory.read(DATA1) + 1);
  mutexUnlock(memory, LOCK2);
  mutexUnlock(memory, LOCK1);
}

function checksTwoStages(memory: Memory, thread: ThreadContext): void {
  mutexLock(memory, LOCK1);
  const data1 = memory.read(DATA1);
  mutexUnlock(memory, LOCK1);
  if (data1 === 0) return;
  mutexLock(memory, LOCK2);
  const data2 = memory.read(DATA2);
  mutexUnlock(memory, LOCK2);
  thread.assert(data2 === data1 + 1, "saw the first stage without the second");
}

/** `n` threads, one of which checks; the original's smallest, of two, has no number in its name. */
function twostage(name: string, n: number): Benchmark[] {
  return benchmark(
    "CS",
    name,
    { threads: [...times(n - 1, setsInTwoStages), checksTwoStages] },
    { threads: [...times(n - 1, setsInOneStage), checksTwoStages] },
  );
}

export const CS_FLAGS: readonly Benchmark[] = [
  ...bluetooth,
  ...[3, 4, 5, 10, 20, 50, 100].flatMap(reorder),
  ...tokenRing,
  ...twostage("CS/twostage", 2),
  ...[20, 50, 100].flatMap((n) => twostage(`CS/twostage_${n}`, n)),
];
