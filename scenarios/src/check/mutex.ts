/**
 * The mutex of atomics-sync: one owner gives it up, two others want it.
 *
 * The lock starts taken, with somebody having tried and given up. So its word says that others may sleep, the two go to
 * sleep without spinning first, and the path that can lose a wake-up is walked from the first step on.
 */
import { mutexLock, mutexLockTimeout, mutexUnlock } from "atomics-sync";
import type { Memory } from "atomics-sync/memory";
import { claim } from "./claim.ts";
import type { MemoryScenario } from "./scenario.ts";

const MUTEX = 128;
const COUNT = 256;

function setup(memory: Memory): void {
  mutexLock(memory, MUTEX);
  claim(!mutexLockTimeout(memory, MUTEX, 0), "the mutex was taken twice");
}

/** Plain accesses: it is the mutex that has to order them. */
function count(memory: Memory): void {
  memory.write(COUNT, memory.read(COUNT) + 1);
}

function owner(memory: Memory): void {
  count(memory);
  mutexUnlock(memory, MUTEX);
}

function other(memory: Memory): void {
  mutexLock(memory, MUTEX);
  count(memory);
  mutexUnlock(memory, MUTEX);
}

function after(memory: Memory): void {
  const counted = memory.read(COUNT);
  claim(counted === 3, `${counted} sections were counted, not 3`);
}

const threads = { owner, second: other, third: other };

export const mutex: MemoryScenario = {
  kind: "memory",
  name: "mutex",
  summary: "three threads take turns in a section that counts, under the mutex of atomics-sync",
  bytes: 4096,
  setup,
  forms: {
    correct: { summary: "the mutex as it is", expect: "clean", threads, after },
    "no-notify": {
      summary: "unlock wakes nobody: who went to sleep sleeps for ever",
      expect: "lost-wakeup or deadlock",
      mutant: "mutex-no-notify",
      threads,
      after,
    },
    "two-step-unlock": {
      summary: "unlock reads the word, then frees it: who went to sleep in between is not seen",
      expect: "lost-wakeup or deadlock",
      mutant: "mutex-two-step-unlock",
      threads,
      after,
    },
    "forgets-sleepers": {
      summary: "who wakes up takes the lock as if nobody else slept: the next sleeper is never woken",
      expect: "lost-wakeup or deadlock",
      mutant: "mutex-forgets-sleepers",
      threads,
      after,
    },
    "check-then-lock": {
      summary: "lock looks whether it is free, then takes it: two can do so at once",
      expect: "data-race or assertion",
      mutant: "mutex-check-then-lock",
      threads,
      after,
    },
    "relaxed-unlock": {
      summary: "unlock does not release: the next owner may miss what was written in the section",
      expect: "data-race",
      mutant: "mutex-relaxed-unlock",
      threads,
      after,
    },
  },
};
