/**
 * The manual-reset event of atomics-sync, used as its contract says: a thread that wants a condition resets the event,
 * tests, and only then waits; two others make the condition true in two parts, and set the event after each.
 */
import { eventReset, eventSet, eventWait } from "atomics-sync";
import type { Memory } from "atomics-sync/memory";
import { claim } from "./claim.ts";
import type { MemoryScenario } from "./scenario.ts";

const EVENT = 128;
const PARTS = 256;

function maker(memory: Memory): void {
  memory.fetchAdd(PARTS, 1);
  eventSet(memory, EVENT);
}

function waiter(memory: Memory): void {
  for (;;) {
    eventReset(memory, EVENT);
    if (memory.readOnce(PARTS) === 2) return;
    eventWait(memory, EVENT);
  }
}

function late_resetter(memory: Memory): void {
  while (memory.readOnce(PARTS) !== 2) {
    eventReset(memory, EVENT);
    eventWait(memory, EVENT);
  }
}

function after(memory: Memory): void {
  claim(memory.read(PARTS) === 2, "a part is missing");
}

const threads = { waiter, maker, other_maker: maker };

export const event: MemoryScenario = {
  kind: "memory",
  name: "event",
  summary: "a thread waits for a condition that two others make true: reset, test, wait",
  bytes: 4096,
  forms: {
    correct: { summary: "the event as it is, used as its contract says", expect: "clean", threads, after },
    "test-then-reset": {
      summary: "the waiter tests before it resets: it throws away the set that came in between",
      expect: "deadlock or lost-wakeup",
      threads: { ...threads, waiter: late_resetter },
      after,
    },
    "looks-first": {
      summary: "set looks for waiters before it opens the gate: who begins to wait in between is never woken",
      expect: "lost-wakeup or deadlock",
      mutant: "event-looks-first",
      threads,
      after,
    },
    "uncounted-waiter": {
      summary: "a waiter does not count itself: set finds nobody to wake",
      expect: "lost-wakeup or deadlock",
      mutant: "event-uncounted-waiter",
      threads,
      after,
    },
  },
};
