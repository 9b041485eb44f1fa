/** CS benchmarks of SCTBench about containers under one lock whose users count on more than the lock gives. */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark } from "./benchmark.ts";
import { mutexLock, mutexUnlock } from "./lock.ts";

const M = 64;
const SEND = 68;
const RECEIVE = 72;
const FIRST = 76;
const NEXT = 80;
const BUFFER = 128;
const BUFFER_SIZE = 10;
const ROUNDS = 7;

function mayFill(memory: Memory): void {
  memory.write(SEND, 1);
}

function insertElement(memory: Memory, value: number): void {
  const next = memory.read(NEXT);
  if (next >= BUFFER_SIZE) return;
  memory.write(BUFFER + 4 * next, value);
  memory.write(NEXT, (next + 1) % BUFFER_SIZE);
}

/** -1: none. */
function removeElement(memory: Memory): number {
  const first = memory.read(FIRST);
  if (memory.read(NEXT) === 0 || first >= BUFFER_SIZE) return -1;
  memory.write(FIRST, first + 1);
  return memory.read(BUFFER + 4 * first);
}

function fillsBuffer(memory: Memory, counted: boolean): void {
  let sent = 0;
  for (let i = 0; i < ROUNDS; i++) {
    mutexLock(memory, M);
    if (memory.read(SEND) !== 0) {
      insertElement(memory, counted ? sent++ : i);
      memory.write(SEND, 0);
      memory.write(RECEIVE, 1);
    }
    mutexUnlock(memory, M);
  }
}

/** Expects the number of the round; `counted`: of elements received. */
function emptiesBuffer(memory: Memory, thread: ThreadContext, counted: boolean): void {
  let received = 0;
  for (let i = 0; i < ROUNDS; i++) {
    mutexLock(memory, M);
    if (memory.read(RECEIVE) !== 0) {
      const value = removeElement(memory);
      thread.assert(value === (counted ? received++ : i), "not the expected element");
      memory.write(RECEIVE, 0);
      memory.write(SEND, 1);
    }
    mutexUnlock(memory, M);
  }
}

const circularBuffer = benchmark(
  "CS",
  "CS/circular_buffer",
  {
    setup: mayFill,
    threads: [
      (memory) => fillsBuffer(memory, false),
      (memory, thread) => emptiesBuffer(memory, thread, false),
    ],
  },
  {
    setup: mayFill,
    threads: [(memory) => fillsBuffer(memory, true), (memory, thread) => emptiesBuffer(memory, thread, true)],
  },
);

const QUEUE_SIZE = 20;
const HEAD = 84;
const TAIL = 88;
const AMOUNT = 92;
const ELEMENTS = 256;
const STORED = 384;

function enqueueElement(memory: Memory, value: number): void {
  const tail = memory.read(TAIL);
  memory.write(ELEMENTS + 4 * tail, value);
  memory.write(AMOUNT, memory.read(AMOUNT) + 1);
  memory.write(TAIL, tail === QUEUE_SIZE ? 1 : tail + 1);
}

function dequeueElement(memory: Memory): number {
  const head = memory.read(HEAD);
  const value = memory.read(ELEMENTS + 4 * head);
  memory.write(AMOUNT, memory.read(AMOUNT) - 1);
  memory.write(HEAD, head === QUEUE_SIZE ? 1 : head + 1);
  return value;
}

/** Notes what it enqueued by the number of the round; `counted`: by the number of the element. */
function fillsQueue(memory: Memory, counted: boolean): void {
  let value = 0;
  mutexLock(memory, M);
  enqueueElement(memory, value);
  memory.write(STORED, value);
  mutexUnlock(memory, M);
  for (let i = 0; i < QUEUE_SIZE - 1; i++) {
    mutexLock(memory, M);
    if (memory.read(SEND) !== 0) {
      value++;
      enqueueElement(memory, value);
      memory.write(STORED + 4 * (counted ? value : i + 1), value);
      memory.write(SEND, 0);
      memory.write(RECEIVE, 1);
    }
    mutexUnlock(memory, M);
  }
}

function emptiesQueue(memory: Memory, thread: ThreadContext, counted: boolean): void {
  let received = 0;
  for (let i = 0; i < QUEUE_SIZE; i++) {
    mutexLock(memory, M);
    if (memory.read(RECEIVE) !== 0) {
      const value = dequeueElement(memory);
      const expected = memory.read(STORED + 4 * (counted ? received++ : i));
      thread.assert(value === expected, "not the element that was stored");
      memory.write(RECEIVE, 0);
      memory.write(SEND, 1);
    }
    mutexUnlock(memory, M);
  }
}

const queue = benchmark(
  "CS",
  "CS/queue",
  {
    setup: mayFill,
    threads: [(memory) => fillsQueue(memory, false), (memory, thread) => emptiesQueue(memory, thread, false)],
  },
  {
    setup: mayFill,
    threads: [(memory) => fillsQueue(memory, true), (memory, thread) => emptiesQueue(memory, thread, true)],
  },
);

const STACK_SIZE = 5;
const TOP = 84;
const FILLED = 88;
const SLOTS = 256;

function fillsStack(memory: Memory, thread: ThreadContext): void {
  for (let i = 0; i < STACK_SIZE; i++) {
    mutexLock(memory, M);
    const top = memory.read(TOP);
    thread.assert(top !== STACK_SIZE, "stack overflow");
    memory.write(SLOTS + 4 * top, i);
    memory.write(TOP, memory.read(TOP) + 1);
    memory.write(FILLED, 1);
    mutexUnlock(memory, M);
  }
}

/** Pops once anything was ever pushed; `looks`: only if something is there. */
function emptiesStack(memory: Memory, thread: ThreadContext, looks: boolean): void {
  for (let i = 0; i < STACK_SIZE; i++) {
    mutexLock(memory, M);
    const may = looks ? memory.read(TOP) > 0 : memory.read(FILLED) !== 0;
    if (may) {
      const top = memory.read(TOP);
      thread.assert(top !== 0, "stack underflow");
      memory.write(TOP, top - 1);
      memory.read(SLOTS + 4 * (top - 1));
    }
    mutexUnlock(memory, M);
  }
}

const stack = benchmark(
  "CS",
  "CS/stack",
  { threads: [fillsStack, (memory, thread) => emptiesStack(memory, thread, false)] },
  { threads: [fillsStack, (memory, thread) => emptiesStack(memory, thread, true)] },
);

export const CS_BUFFERS: readonly Benchmark[] = [...circularBuffer, ...queue, ...stack];
