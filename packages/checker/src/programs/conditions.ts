/** Benchmarks with condition variables: sync01, sync02 and arithmetic_prog of CS, boundedBuffer after Inspect's. */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark } from "./benchmark.ts";
import { condSignal, condWait, mutexLock, mutexUnlock } from "./lock.ts";

const M = 64;
const EMPTY = 68;
const FULL = 72;
const COUNT = 76;
const TOTAL = 80;
const DONE = 84;

function produces(memory: Memory, times: number): void {
  for (let i = 0; i < times; i++) {
    mutexLock(memory, M);
    while (memory.read(COUNT) > 0) condWait(memory, EMPTY, M);
    memory.write(COUNT, memory.read(COUNT) + 1);
    mutexUnlock(memory, M);
    condSignal(memory, FULL);
  }
}

function consumes(memory: Memory, times: number): void {
  for (let i = 0; i < times; i++) {
    mutexLock(memory, M);
    while (memory.read(COUNT) === 0) condWait(memory, FULL, M);
    memory.write(COUNT, memory.read(COUNT) - 1);
    mutexUnlock(memory, M);
    condSignal(memory, EMPTY);
  }
}

/** Waits for an item and leaves it. */
function looksOn(memory: Memory): void {
  mutexLock(memory, M);
  while (memory.read(COUNT) === 0) condWait(memory, FULL, M);
  mutexUnlock(memory, M);
  condSignal(memory, EMPTY);
}

const sync01 = benchmark(
  "CS",
  "CS/sync01",
  { setup: (memory) => memory.write(COUNT, 1), threads: [(memory) => produces(memory, 1), looksOn] },
  { threads: [(memory) => produces(memory, 1), (memory) => consumes(memory, 1)] },
);

const ITEMS = 2;

const sync02 = benchmark(
  "CS",
  "CS/sync02",
  {
    setup: (memory) => memory.write(COUNT, 2),
    threads: [(memory) => produces(memory, ITEMS), (memory) => consumes(memory, ITEMS)],
  },
  { threads: [(memory) => produces(memory, ITEMS), (memory) => consumes(memory, ITEMS)] },
);

const N = 3;

function sumsUp(memory: Memory): void {
  for (let j = 0; j < N; j++) {
    mutexLock(memory, M);
    while (memory.read(COUNT) === 0) condWait(memory, FULL, M);
    memory.write(TOTAL, memory.read(TOTAL) + j);
    memory.write(COUNT, memory.read(COUNT) - 1);
    mutexUnlock(memory, M);
    condSignal(memory, EMPTY);
  }
  memory.write(TOTAL, memory.read(TOTAL) + N);
  memory.write(DONE, 1);
}

function checkTotal(memory: Memory, right: boolean): void {
  const isSum = memory.read(TOTAL) === (N * (N + 1)) / 2;
  // What happens in every schedule is what the original asserts not to.
  if (memory.read(DONE) !== 0 && isSum !== right) throw new Error("total and sum compare as they must not");
}

const arithmetic = benchmark(
  "CS",
  "CS/arithmetic_prog",
  { threads: [(memory) => produces(memory, N), sumsUp], after: (memory) => checkTotal(memory, false) },
  { threads: [(memory) => produces(memory, N), sumsUp], after: (memory) => checkTotal(memory, true) },
);

const HEAD = 88;
const REAR = 92;
const SLOTS = 128;
/** One slot stays free. */
const RING = 2;

/** `once`: looks again after it was woken only in the repaired form. */
function puts(memory: Memory, thread: ThreadContext, once: boolean): void {
  for (let i = 0; i < ITEMS; i++) {
    mutexLock(memory, M);
    if ((memory.read(REAR) + 1) % RING === memory.read(HEAD)) {
      condWait(memory, EMPTY, M);
      while (!once && (memory.read(REAR) + 1) % RING === memory.read(HEAD)) condWait(memory, EMPTY, M);
    }
    const rear = memory.read(REAR);
    thread.assert((rear + 1) % RING !== memory.read(HEAD), "put into a full buffer");
    memory.write(SLOTS + 4 * rear, i + 1);
    memory.write(REAR, (rear + 1) % RING);
    condSignal(memory, FULL);
    mutexUnlock(memory, M);
  }
}

function gets(memory: Memory, thread: ThreadContext, once: boolean): void {
  for (let i = 0; i < ITEMS; i++) {
    mutexLock(memory, M);
    if (memory.read(REAR) === memory.read(HEAD)) {
      condWait(memory, FULL, M);
      while (!once && memory.read(REAR) === memory.read(HEAD)) condWait(memory, FULL, M);
    }
    const head = memory.read(HEAD);
    thread.assert(head !== memory.read(REAR), "got from an empty buffer");
    memory.read(SLOTS + 4 * head);
    memory.write(HEAD, (head + 1) % RING);
    condSignal(memory, EMPTY);
    mutexUnlock(memory, M);
  }
}

const boundedBuffer = benchmark(
  "Inspect",
  "Inspect/boundedBuffer",
  {
    threads: [
      (memory, thread) => puts(memory, thread, true),
      (memory, thread) => puts(memory, thread, true),
      (memory, thread) => gets(memory, thread, true),
      (memory, thread) => gets(memory, thread, true),
    ],
  },
  {
    threads: [
      (memory, thread) => puts(memory, thread, false),
      (memory, thread) => puts(memory, thread, false),
      (memory, thread) => gets(memory, thread, false),
      (memory, thread) => gets(memory, thread, false),
    ],
  },
);

export const CONDITIONS: readonly Benchmark[] = [...sync01, ...sync02, ...arithmetic, ...boundedBuffer];
