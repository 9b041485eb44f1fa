/**
 * The semaphore of atomics-sync: two threads want a permit each, a third gives two at once. Whether the takers come
 * before, after or in the middle, both get theirs, and none is left.
 */
import { semaphoreAcquire, semaphoreAvailable, semaphoreInit, semaphoreRelease } from "atomics-sync";
import type { Memory } from "atomics-sync/memory";
import { claim } from "./claim.ts";
import type { MemoryScenario } from "./scenario.ts";

const SEMAPHORE = 128;
const GIFT = 256;

function setup(memory: Memory): void {
  semaphoreInit(memory, SEMAPHORE, 0);
}

function giver(memory: Memory): void {
  memory.write(GIFT, 7);
  semaphoreRelease(memory, SEMAPHORE, 2);
}

function taker(memory: Memory): void {
  semaphoreAcquire(memory, SEMAPHORE);
  claim(memory.read(GIFT) === 7, "a permit was there before what it stands for");
}

function after(memory: Memory): void {
  const left = semaphoreAvailable(memory, SEMAPHORE);
  claim(left === 0, `${left} permits are left of two given and two taken`);
}

const threads = { giver, first: taker, second: taker };

export const semaphore: MemoryScenario = {
  kind: "memory",
  name: "semaphore",
  summary: "two threads wait for a permit each, a third gives two at once",
  bytes: 4096,
  setup,
  forms: {
    correct: { summary: "the semaphore as it is", expect: "clean", threads, after },
    "looks-first": {
      summary: "release looks for waiters before it gives: who begins to wait in between is never woken",
      expect: "lost-wakeup or deadlock",
      mutant: "semaphore-looks-first",
      threads,
      after,
    },
    "wakes-one": {
      summary:
        "release wakes one thread however many permits it gives: the other sleeps beside a free permit",
      expect: "lost-wakeup or deadlock",
      mutant: "semaphore-wakes-one",
      threads,
      after,
    },
    "two-step-take": {
      summary: "a taker reads the count, then stores one less: two take the same permit",
      expect: "assertion or data-race",
      mutant: "semaphore-two-step-take",
      threads,
      after,
    },
    "uncounted-waiter": {
      summary: "a waiter does not count itself: release finds nobody to wake",
      expect: "lost-wakeup or deadlock",
      mutant: "semaphore-uncounted-waiter",
      threads,
      after,
    },
  },
};
