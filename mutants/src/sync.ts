/**
 * Mutants of atomics-sync (packages/atomics-sync/src). The checker finds them in small scenarios (scenarios/src/check);
 * most of them a stress run would meet once in a blue moon.
 */
import type { Edit, Mutant } from "./mutant.ts";

function edit(module: string, find: string, replace: string): Edit {
  return { file: `packages/atomics-sync/src/${module}.ts`, find, replace };
}

const MUTEX_MUTANTS: readonly Mutant[] = [
  {
    name: "mutex-no-notify",
    edits: [edit("mutex", "  if (state === CONTENDED) mem.notify(p + STATE, 1);\n", "")],
    breaks: "Unlock of a contended mutex wakes nobody.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "mutex", form: "no-notify" },
  },
  {
    name: "mutex-two-step-unlock",
    edits: [
      edit(
        "mutex",
        "const state = mem.exchange(p + STATE, FREE);",
        "const state = mem.loadAcquire(p + STATE);\n  mem.storeRelease(p + STATE, FREE);",
      ),
    ],
    breaks: "Unlock reads the word, then frees it: who went to sleep in between is not seen.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "mutex", form: "two-step-unlock" },
  },
  {
    name: "mutex-forgets-sleepers",
    edits: [
      edit(
        "mutex",
        "while (mem.exchange(p + STATE, CONTENDED) !== FREE) mem.wait(p + STATE, CONTENDED, Infinity);",
        "while (mem.compareExchange(p + STATE, FREE, LOCKED) !== FREE) {\n" +
          "    mem.compareExchange(p + STATE, LOCKED, CONTENDED);\n" +
          "    mem.wait(p + STATE, CONTENDED, Infinity);\n" +
          "  }",
      ),
    ],
    breaks: "Who wakes up takes the lock as if nobody else slept.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "mutex", form: "forgets-sleepers" },
  },
  {
    name: "mutex-check-then-lock",
    edits: [
      edit(
        "mutex",
        "what was there\n  // before the previous owner's writes.\n" +
          "  if (mem.compareExchange(p + STATE, FREE, LOCKED) === FREE) return;\n",
        "what was there\n  // before the previous owner's writes.\n" +
          "  if (mem.loadAcquire(p + STATE) === FREE) {\n" +
          "    mem.storeRelease(p + STATE, LOCKED);\n    return;\n  }\n",
      ),
    ],
    breaks: "Lock looks whether the mutex is free, then takes it: two can do so at once.",
    caughtBy: ["data-race", "assertion"],
    check: { scenario: "mutex", form: "check-then-lock" },
  },
  {
    name: "mutex-relaxed-unlock",
    edits: [
      edit(
        "mutex",
        "const state = mem.exchange(p + STATE, FREE);",
        "const state = mem.loadAcquire(p + STATE);\n  mem.writeOnce(p + STATE, FREE);",
      ),
    ],
    breaks: "Unlock does not release: the next owner may miss what was written in the section.",
    caughtBy: ["data-race"],
    check: { scenario: "mutex", form: "relaxed-unlock" },
  },
];

const SEMAPHORE_MUTANTS: readonly Mutant[] = [
  {
    name: "semaphore-looks-first",
    edits: [
      edit(
        "semaphore",
        "  mem.fetchAdd(p + COUNT, permits);\n" +
          "  if (mem.loadAcquire(p + WAITERS) !== 0) mem.notify(p + COUNT, permits);",
        "  const waiters = mem.loadAcquire(p + WAITERS);\n  mem.fetchAdd(p + COUNT, permits);\n" +
          "  if (waiters !== 0) mem.notify(p + COUNT, permits);",
      ),
    ],
    breaks:
      "Release looks for waiters before it gives the permits: who begins to wait in between is not woken.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "semaphore", form: "looks-first" },
  },
  {
    name: "semaphore-wakes-one",
    edits: [edit("semaphore", "mem.notify(p + COUNT, permits);", "mem.notify(p + COUNT, 1);")],
    breaks: "Release wakes one thread however many permits it gives.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "semaphore", form: "wakes-one" },
  },
  {
    name: "semaphore-two-step-take",
    edits: [
      edit(
        "semaphore",
        "const found = mem.compareExchange(p + COUNT, count, count - 1);",
        "const found = count;\n    mem.storeRelease(p + COUNT, count - 1);",
      ),
    ],
    breaks: "A taker reads the count, then stores one less: two take the same permit.",
    caughtBy: ["assertion", "data-race"],
    check: { scenario: "semaphore", form: "two-step-take" },
  },
  {
    name: "semaphore-uncounted-waiter",
    edits: [
      edit("semaphore", "  mem.fetchAdd(p + WAITERS, 1);\n", ""),
      edit("semaphore", "  mem.fetchSub(p + WAITERS, 1);\n", ""),
    ],
    breaks: "A waiter does not count itself: release finds nobody to wake.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "semaphore", form: "uncounted-waiter" },
  },
];

const SEQLOCK_MUTANTS: readonly Mutant[] = [
  {
    name: "seqlock-odd-ignored",
    edits: [edit("seqlock", "if ((seq & 1) === 0) return seq;", "return seq;")],
    breaks: "A reader may begin while a writer is inside, and finds the sequence unchanged at the end.",
    caughtBy: ["assertion"],
    check: { scenario: "seqlock", form: "odd-ignored" },
  },
  {
    name: "seqlock-two-writers",
    edits: [
      edit(
        "seqlock",
        "if ((seq & 1) === 0 && mem.compareExchange(p + SEQUENCE, seq, (seq + 1) | 0) === seq) return;",
        "if ((seq & 1) === 0) {\n      mem.exchange(p + SEQUENCE, (seq + 1) | 0);\n      return;\n    }",
      ),
    ],
    breaks: "A writer looks whether another is inside, then enters: two of them can.",
    caughtBy: ["assertion"],
    check: { scenario: "seqlock", form: "two-writers" },
  },
];

const SPSC_MUTANTS: readonly Mutant[] = [
  {
    name: "spsc-publish-first",
    edits: [
      edit(
        "spsc-words",
        "  mem.write(slot, value);\n  spscCommit(mem, p);\n  spscPublish(mem, p);\n",
        "  spscCommit(mem, p);\n  spscPublish(mem, p);\n  mem.write(slot, value);\n",
      ),
    ],
    breaks: "A word is published before it is written.",
    caughtBy: ["data-race", "assertion"],
    check: { scenario: "spsc", form: "publish-first" },
  },
  {
    name: "spsc-no-full-check",
    edits: [edit("spsc", "    if (((tail - head) | 0) > mask) return 0;\n", "")],
    breaks: "The producer writes over what nobody has read.",
    caughtBy: ["data-race", "assertion"],
    check: { scenario: "spsc", form: "no-full-check" },
  },
  {
    name: "spsc-relaxed-tail",
    edits: [
      edit(
        "spsc",
        "mem.exchange(p + TAIL, mem.read(p + NEXT_TAIL));",
        "mem.writeOnce(p + TAIL, mem.read(p + NEXT_TAIL));",
      ),
    ],
    breaks: "Publishing does not release: the consumer sees the count, and not yet the words.",
    caughtBy: ["data-race"],
    check: { scenario: "spsc", form: "relaxed-tail" },
  },
  {
    name: "spsc-relaxed-head",
    edits: [
      edit(
        "spsc",
        "mem.exchange(p + HEAD, mem.read(p + NEXT_HEAD));",
        "mem.writeOnce(p + HEAD, mem.read(p + NEXT_HEAD));",
      ),
    ],
    breaks: "Giving slots back does not release: the producer may write them while they are still read.",
    caughtBy: ["data-race"],
    check: { scenario: "spsc", form: "relaxed-head" },
  },
  {
    name: "spsc-looks-then-flags",
    edits: [
      edit(
        "spsc",
        "    mem.exchange(p + CONSUMER_ASLEEP, 1);\n    slot = spscFront(mem, p);\n",
        "    slot = spscFront(mem, p);\n    mem.exchange(p + CONSUMER_ASLEEP, 1);\n",
      ),
    ],
    breaks:
      "The consumer looks once more, then says that it sleeps: a word that comes in between wakes nobody.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "spsc", form: "looks-then-flags" },
  },
];

const EVENT_MUTANTS: readonly Mutant[] = [
  {
    name: "event-looks-first",
    edits: [
      edit(
        "event",
        "    if (mem.compareExchange(p + SEQUENCE, seq, next) !== seq) continue;\n",
        "    const waiters = mem.loadAcquire(p + WAITERS);\n" +
          "    if (mem.compareExchange(p + SEQUENCE, seq, next) !== seq) continue;\n",
      ),
      edit(
        "event",
        "if (next !== seq && mem.loadAcquire(p + WAITERS) !== 0)",
        "if (next !== seq && waiters !== 0)",
      ),
    ],
    breaks: "Set looks for waiters before it opens the gate: who begins to wait in between is not woken.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "event", form: "looks-first" },
  },
  {
    name: "event-uncounted-waiter",
    edits: [
      edit("event", "  mem.fetchAdd(p + WAITERS, 1);\n", ""),
      edit("event", "  mem.fetchSub(p + WAITERS, 1);\n", ""),
    ],
    breaks: "A waiter does not count itself: set finds nobody to wake.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "event", form: "uncounted-waiter" },
  },
];

const BARRIER_MUTANTS: readonly Mutant[] = [
  {
    name: "barrier-opens-early",
    edits: [
      edit(
        "barrier",
        "    mem.writeOnce(p + ARRIVED, 0);\n    // Pairs with the loadAcquire in awaitPhase.\n" +
          "    mem.fetchAdd(p + PHASE, 1);\n",
        "    mem.fetchAdd(p + PHASE, 1);\n    mem.writeOnce(p + ARRIVED, 0);\n",
      ),
    ],
    breaks: "The leader opens the next phase, then clears the arrivals: who arrives in between is forgotten.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "barrier", form: "opens-early" },
  },
  {
    name: "barrier-phase-read-late",
    edits: [
      edit("barrier", "  const phase = mem.loadAcquire(p + PHASE);\n", ""),
      edit(
        "barrier",
        "  return awaitPhase(mem, p, phase, timeoutMs);\n",
        "  const phase = mem.loadAcquire(p + PHASE);\n  return awaitPhase(mem, p, phase, timeoutMs);\n",
      ),
    ],
    breaks: "A thread arrives, then looks which phase it is: it may wait for the end of the next one.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "barrier", form: "phase-read-late" },
  },
  {
    name: "barrier-two-step-arrival",
    edits: [
      edit(
        "barrier",
        "  if (mem.fetchAdd(p + ARRIVED, 1) === mem.read(p + PARTIES) - 1) {\n",
        "  const arrived = mem.loadAcquire(p + ARRIVED);\n  mem.storeRelease(p + ARRIVED, arrived + 1);\n" +
          "  if (arrived === mem.read(p + PARTIES) - 1) {\n",
      ),
    ],
    breaks: "Arrivals are counted in two steps: one gets lost and nobody is the last.",
    caughtBy: ["lost-wakeup", "deadlock"],
    check: { scenario: "barrier", form: "two-step-arrival" },
  },
];

export const SYNC_MUTANTS: readonly Mutant[] = [
  ...MUTEX_MUTANTS,
  ...SEMAPHORE_MUTANTS,
  ...SEQLOCK_MUTANTS,
  ...SPSC_MUTANTS,
  ...EVENT_MUTANTS,
  ...BARRIER_MUTANTS,
];
