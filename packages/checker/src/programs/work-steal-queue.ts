/**
 * The work-stealing queue of CHESS, after Cilk's THE protocol: the owner pushes and pops at the tail, two thieves
 * steal at the head under a lock, and whoever finds the other's claim in the way falls back to the lock. Each item is
 * to be worked on once.
 *
 * The bug: a push believes the array to have one slot more than it has, and writes over the slot that is being
 * stolen. The "Interlocked" form spins for its lock. The forms "with state" log what each thread is in the middle of
 * in a table that grows without a lock (state-table.ts): there the queue is right and the table is not.
 */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark } from "./benchmark.ts";
import { mutexLock, mutexUnlock } from "./lock.ts";
import { enterState, leaveState, noteState, sizeTable } from "./state-table.ts";

const LOCK = 64;
const HEAD = 68;
const TAIL = 72;
const MASK = 76;
const ARRAY = 80;
/** Arrays of n slots live at ARRAYS + 8 * n. */
const ARRAYS = 512;
/** By item: times it was worked on. Item 0 is no item. */
const WORKED = 128;
const ITEMS = 4;
const STEALS = 2;
const SLOTS = 2;

/** What a form of the benchmark does. */
interface Form {
  readonly spins: boolean;
  readonly state: boolean;
  /** Slots that a push counts on but must not use. */
  readonly extra: number;
}

function setUpQueue(memory: Memory): void {
  memory.write(MASK, SLOTS - 1);
  memory.write(ARRAY, ARRAYS + 8 * SLOTS);
}

function queueLock(memory: Memory, spins: boolean): void {
  if (spins) while (memory.exchange(LOCK, 1) !== 0) memory.pause();
  else mutexLock(memory, LOCK);
}

function queueUnlock(memory: Memory, spins: boolean): void {
  if (spins) memory.storeRelease(LOCK, 0);
  else mutexUnlock(memory, LOCK);
}

function slotValue(memory: Memory, index: number): number {
  const mask = memory.read(MASK);
  return memory.read(memory.read(ARRAY) + 4 * (index & mask));
}

/** An item; 0: none. */
function stealItem(memory: Memory, form: Form): number {
  queueLock(memory, form.spins);
  const head = memory.loadAcquire(HEAD);
  memory.exchange(HEAD, head + 1);
  let item = 0;
  if (head < memory.loadAcquire(TAIL)) item = slotValue(memory, head);
  else memory.exchange(HEAD, head);
  queueUnlock(memory, form.spins);
  return item;
}

function popItem(memory: Memory, form: Form): number {
  const tail = memory.loadAcquire(TAIL) - 1;
  memory.exchange(TAIL, tail);
  if (memory.loadAcquire(HEAD) <= tail) return slotValue(memory, tail);
  memory.exchange(TAIL, tail + 1);
  return popItemLocked(memory, form);
}

function popItemLocked(memory: Memory, form: Form): number {
  queueLock(memory, form.spins);
  const tail = memory.loadAcquire(TAIL) - 1;
  memory.exchange(TAIL, tail);
  let item = 0;
  if (memory.loadAcquire(HEAD) <= tail) item = slotValue(memory, tail);
  else memory.exchange(TAIL, tail + 1);
  if (memory.loadAcquire(HEAD) > tail) {
    memory.exchange(HEAD, 0);
    memory.exchange(TAIL, 0);
    item = 0;
  }
  queueUnlock(memory, form.spins);
  return item;
}

function pushItem(memory: Memory, thread: ThreadContext, form: Form, item: number): void {
  const tail = memory.loadAcquire(TAIL);
  const head = memory.loadAcquire(HEAD);
  // A thief that is about to give up holds head one too high: so one slot less than there are.
  if (tail < head + memory.read(MASK) + form.extra) {
    const mask = memory.read(MASK);
    memory.write(memory.read(ARRAY) + 4 * (tail & mask), item);
    memory.exchange(TAIL, tail + 1);
  } else pushItemLocked(memory, thread, form, item);
}

function pushItemLocked(memory: Memory, thread: ThreadContext, form: Form, item: number): void {
  queueLock(memory, form.spins);
  const head = memory.loadAcquire(HEAD);
  const count = memory.loadAcquire(TAIL) - head;
  const first = head & memory.read(MASK);
  memory.exchange(HEAD, first);
  memory.exchange(TAIL, first + count);
  if (count >= memory.read(MASK)) growArray(memory, first, count);
  thread.assert(count < memory.read(MASK), "the array is full after it has grown");
  const tail = memory.loadAcquire(TAIL);
  const mask = memory.read(MASK);
  memory.write(memory.read(ARRAY) + 4 * (tail & mask), item);
  memory.exchange(TAIL, tail + 1);
  queueUnlock(memory, form.spins);
}

function growArray(memory: Memory, first: number, count: number): void {
  const slots = 2 * (memory.read(MASK) + 1);
  for (let i = 0; i < count; i++) {
    const item = slotValue(memory, first + i);
    memory.write(ARRAYS + 8 * slots + 4 * i, item);
  }
  memory.write(ARRAY, ARRAYS + 8 * slots);
  memory.write(MASK, slots - 1);
  memory.exchange(HEAD, 0);
  memory.exchange(TAIL, count);
}

function workOn(memory: Memory, item: number): void {
  if (item !== 0) memory.write(WORKED + 4 * item, memory.read(WORKED + 4 * item) + 1);
}

const PUSHING = 1;
const POPPING = 2;
const STEALING = 3;

function pushes(memory: Memory, thread: ThreadContext, form: Form, item: number): void {
  if (form.state) noteState(memory, thread, PUSHING);
  pushItem(memory, thread, form, item);
}

function pops(memory: Memory, thread: ThreadContext, form: Form): void {
  if (form.state) noteState(memory, thread, POPPING);
  const item = popItem(memory, form);
  workOn(memory, item);
}

function owns(memory: Memory, thread: ThreadContext, form: Form): void {
  if (form.state) enterState(memory, thread);
  for (let i = 0; i < ITEMS / 2; i++) {
    pushes(memory, thread, form, 2 * i + 1);
    pushes(memory, thread, form, 2 * i + 2);
    pops(memory, thread, form);
  }
  for (let i = 0; i < ITEMS / 2; i++) pops(memory, thread, form);
  if (form.state) leaveState(memory, thread);
}

/** Pushes everything first. */
function ownsAtOnce(memory: Memory, thread: ThreadContext, form: Form): void {
  enterState(memory, thread);
  for (let i = 0; i < ITEMS; i++) pushes(memory, thread, form, i + 1);
  for (let i = 0; i < ITEMS; i++) pops(memory, thread, form);
  leaveState(memory, thread);
}

function steals(memory: Memory, thread: ThreadContext, form: Form): void {
  if (form.state) enterState(memory, thread);
  for (let i = 0; i < STEALS; i++) {
    if (form.state) noteState(memory, thread, STEALING);
    const item = stealItem(memory, form);
    workOn(memory, item);
  }
  if (form.state) leaveState(memory, thread);
}

function allWorkedOnce(memory: Memory): void {
  for (let item = 1; item <= ITEMS; item++) {
    const times = memory.read(WORKED + 4 * item);
    if (times !== 1) throw new Error(`item ${item} was worked on ${times} times`);
  }
}

function queueOf(form: Form, sized: number): Parameters<typeof benchmark>[2] {
  return {
    setup: (memory) => {
      setUpQueue(memory);
      if (form.state) sizeTable(memory, sized);
    },
    threads: [
      (memory, thread) => owns(memory, thread, form),
      (memory, thread) => steals(memory, thread, form),
      (memory, thread) => steals(memory, thread, form),
    ],
    after: allWorkedOnce,
  };
}

function queueAtOnce(form: Form, sized: number): Parameters<typeof benchmark>[2] {
  return {
    ...queueOf(form, sized),
    threads: [
      (memory, thread) => ownsAtOnce(memory, thread, form),
      (memory, thread) => steals(memory, thread, form),
      (memory, thread) => steals(memory, thread, form),
    ],
  };
}

const PLAIN: Form = { spins: false, state: false, extra: 1 };
const INTERLOCKED: Form = { spins: true, state: false, extra: 1 };
const WITH_STATE: Form = { spins: true, state: true, extra: 0 };

/** Entries of the table at the start: the owner's alone, or all. */
const OWNER = 1;
const EVERYBODY = 3;

export const WORK_STEAL_QUEUES: readonly Benchmark[] = [
  ...benchmark(
    "Chess",
    "Chess/InterlockedWorkStealQueue",
    queueOf(INTERLOCKED, 0),
    queueOf({ ...INTERLOCKED, extra: 0 }, 0),
  ),
  ...benchmark(
    "Chess",
    "Chess/InterlockedWorkStealQueueWithState",
    queueOf(WITH_STATE, OWNER),
    queueOf(WITH_STATE, EVERYBODY),
  ),
  ...benchmark(
    "Chess",
    "Chess/StateWorkStealQueue",
    queueAtOnce(WITH_STATE, OWNER),
    queueAtOnce(WITH_STATE, EVERYBODY),
  ),
  ...benchmark("Chess", "Chess/WorkStealQueue", queueOf(PLAIN, 0), queueOf({ ...PLAIN, extra: 0 }, 0)),
];
