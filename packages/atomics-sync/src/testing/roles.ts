/**
 * What the threads of the tests do. A role drives one primitive and returns the number of violations it saw, or
 * another count that the test checks. Some roles have a deliberately wrong twin: the negative controls.
 */
import { autoEventSet, autoEventWait } from "../auto-event.ts";
import { barrierArrive } from "../barrier.ts";
import { eventWait } from "../event.ts";
import type { Memory } from "../memory.ts";
import { mutexLock, mutexUnlock } from "../mutex.ts";
import { semaphoreAcquire, semaphoreRelease } from "../semaphore.ts";
import {
  seqlockReadBegin,
  seqlockReadRetry,
  seqlockReadRetryFence,
  seqlockWriteBegin,
  seqlockWriteEnd,
} from "../seqlock.ts";
import {
  COUNTER,
  INSIDE,
  MOST_INSIDE,
  PAYLOAD,
  PAYLOAD_WORDS,
  PRIMITIVE,
  REPLY,
  SLOTS,
  STOP,
} from "./layout.ts";
import { recordReceiver, recordSender, spscConsumer, spscEarlyReleaser, spscProducer } from "./spsc-roles.ts";
import { nap, passGate, WAIT_MS } from "./steps.ts";

export interface RoleArguments {
  readonly role: RoleName;
  /** Threads that start together. */
  readonly threads: number;
  /** How often to do it. */
  readonly rounds: number;
  /** Which of the threads this is, from 0. */
  readonly index?: number;
  /** Sleep inside the critical part, so that other threads run there even on one core. */
  readonly sleepInside?: boolean;
  /** Seqlock readers stop after so many writers. */
  readonly writers?: number;
}

function addUnderLock(mem: Memory, args: RoleArguments, lock: Lock, unlock: Lock): number {
  passGate(mem, args.threads);
  for (let i = 0; i < args.rounds; i++) {
    lock(mem, PRIMITIVE);
    const value = mem.read(COUNTER);
    if (args.sleepInside === true) nap(mem);
    else if (i % 64 === 0) mem.pause();
    mem.write(COUNTER, value + 1);
    unlock(mem, PRIMITIVE);
  }
  return 0;
}
type Lock = (mem: Memory, p: number) => void;

/** Not a lock: test, then set, with time in between. Bounded, so that it fails by counting wrong. */
function brokenLock(mem: Memory, p: number): void {
  for (let i = 0; i < 200 && mem.read(p) !== 0; i++) mem.pause();
  mem.write(p, 1);
}
function brokenUnlock(mem: Memory, p: number): void {
  mem.write(p, 0);
}

function holdPermit(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  let timeouts = 0;
  for (let i = 0; i < args.rounds; i++) {
    if (!semaphoreAcquire(mem, PRIMITIVE, WAIT_MS)) {
      timeouts++;
      continue;
    }
    const inside = mem.fetchAdd(INSIDE, 1) + 1;
    let most = mem.loadAcquire(MOST_INSIDE);
    while (most < inside) {
      const found = mem.compareExchange(MOST_INSIDE, most, inside);
      if (found === most) break;
      most = found;
    }
    if (i % 4 === 0) nap(mem);
    mem.fetchSub(INSIDE, 1);
    semaphoreRelease(mem, PRIMITIVE);
  }
  return timeouts;
}

/** Writes its phase, meets the others, and counts those whose phase it does not find: 0 with a barrier. */
function meetInPhases(mem: Memory, args: RoleArguments, meet: (mem: Memory) => boolean): number {
  passGate(mem, args.threads);
  const mine = SLOTS + (args.index ?? 0) * 128;
  let violations = 0;
  for (let phase = 1; phase <= args.rounds; phase++) {
    if (args.sleepInside === true && phase % args.threads === args.index) nap(mem);
    mem.write(mine, phase);
    if (meet(mem)) mem.fetchAdd(COUNTER, 1);
    for (let other = 0; other < args.threads; other++) {
      if (mem.read(SLOTS + other * 128) !== phase) violations++;
    }
    // Nobody writes the next phase before everybody has looked.
    if (meet(mem)) mem.fetchAdd(COUNTER, 1);
  }
  return violations;
}
function meetAtBarrier(mem: Memory): boolean {
  const result = barrierArrive(mem, PRIMITIVE, WAIT_MS);
  if (result === "timed-out") throw new Error("a barrier timed out");
  return result === "leader";
}
function meetNowhere(mem: Memory): boolean {
  mem.pause();
  return false;
}

function seqlockWriter(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  for (let i = 1; i <= args.rounds; i++) {
    seqlockWriteBegin(mem, PRIMITIVE);
    const value = mem.readOnce(PAYLOAD) + 1;
    for (let word = 0; word < PAYLOAD_WORDS; word++) {
      mem.writeOnce(PAYLOAD + word * 4, value);
      if (word === 3 && i % 16 === 0) nap(mem);
    }
    seqlockWriteEnd(mem, PRIMITIVE);
    if (i % 4 === 0) nap(mem);
  }
  mem.fetchAdd(STOP, 1);
  return 0;
}

/** Reads until the writers stop; how many copies had unequal words. `trust` takes the first copy as it is. */
function readSeqlock(mem: Memory, args: RoleArguments, trust: boolean): number {
  passGate(mem, args.threads);
  let torn = 0;
  for (let i = 0; mem.loadAcquire(STOP) < (args.writers ?? 1); i++) {
    const fenced = i % 2 === 0;
    let equal: boolean;
    let again = false;
    do {
      const seq = seqlockReadBegin(mem, PRIMITIVE);
      const first = fenced ? mem.readOnce(PAYLOAD) : mem.loadAcquire(PAYLOAD);
      equal = true;
      for (let word = 1; word < PAYLOAD_WORDS; word++) {
        const p = PAYLOAD + word * 4;
        if (word === 5 && i % 8 === 0 && !again) nap(mem);
        if ((fenced ? mem.readOnce(p) : mem.loadAcquire(p)) !== first) equal = false;
      }
      again = fenced ? seqlockReadRetryFence(mem, PRIMITIVE, seq) : seqlockReadRetry(mem, PRIMITIVE, seq);
      if (trust) break;
    } while (again);
    if (!equal) torn++;
  }
  return torn;
}

/** Passes the turnstile until told to stop; how often it passed. */
function passTurnstile(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  let passed = 0;
  while (mem.loadAcquire(STOP) === 0) {
    if (!autoEventWait(mem, PRIMITIVE, 50)) continue;
    passed++;
    mem.fetchAdd(COUNTER, 1);
    autoEventSet(mem, REPLY);
  }
  return passed;
}

/** Waits once at the gate; 1 if it was let through because it was woken, not at the time-out. */
function waitAtEvent(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  const start = mem.now();
  return eventWait(mem, PRIMITIVE, WAIT_MS) && mem.now() - start < WAIT_MS ? 1 : 0;
}

/** Answers each set of one turnstile by a set of the other; how many it answered. */
function echo(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  let answered = 0;
  while (answered < args.rounds && autoEventWait(mem, PRIMITIVE, WAIT_MS)) {
    answered++;
    autoEventSet(mem, REPLY);
  }
  return answered;
}

type Role = (mem: Memory, args: RoleArguments) => number;

export type RoleName =
  | "mutex"
  | "brokenMutex"
  | "semaphore"
  | "barrier"
  | "noBarrier"
  | "seqlockAdder"
  | "seqlockWriter"
  | "seqlockReader"
  | "trustingReader"
  | "turnstile"
  | "eventWaiter"
  | "echo"
  | "spscProducer"
  | "spscConsumer"
  | "spscEarlyReleaser"
  | "recordSender"
  | "recordReceiver";

export const ROLES: Record<RoleName, Role> = {
  mutex: (mem, args) => addUnderLock(mem, args, mutexLock, mutexUnlock),
  brokenMutex: (mem, args) => addUnderLock(mem, args, brokenLock, brokenUnlock),
  semaphore: holdPermit,
  barrier: (mem, args) => meetInPhases(mem, args, meetAtBarrier),
  noBarrier: (mem, args) => meetInPhases(mem, args, meetNowhere),
  seqlockAdder: (mem, args) => addUnderLock(mem, args, seqlockWriteBegin, seqlockWriteEnd),
  seqlockWriter,
  seqlockReader: (mem, args) => readSeqlock(mem, args, false),
  trustingReader: (mem, args) => readSeqlock(mem, args, true),
  turnstile: passTurnstile,
  eventWaiter: waitAtEvent,
  echo,
  spscProducer,
  spscConsumer,
  spscEarlyReleaser,
  recordSender,
  recordReceiver,
};
