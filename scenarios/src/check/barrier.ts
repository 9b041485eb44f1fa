/**
 * The barrier of atomics-sync: two threads meet twice. Each writes a word of its own before it arrives, and reads the
 * other's after it has left.
 */
import { barrierArrive, barrierInit } from "atomics-sync";
import type { Memory } from "atomics-sync/memory";
import { claim } from "./claim.ts";
import type { MemoryScenario } from "./scenario.ts";

const BARRIER = 128;
const LEFT = 256;
const RIGHT = 384;

function setup(memory: Memory): void {
  barrierInit(memory, BARRIER, 2);
}

/** Plain accesses: it is the barrier that has to order them. A word for each round. */
function meet_twice(memory: Memory, own: number, other: number): void {
  for (let round = 0; round < 2; round++) {
    memory.write(own + 4 * round, 1);
    barrierArrive(memory, BARRIER);
    claim(memory.read(other + 4 * round) === 1, "one left before the other had arrived");
  }
}

function left(memory: Memory): void {
  meet_twice(memory, LEFT, RIGHT);
}

function right(memory: Memory): void {
  meet_twice(memory, RIGHT, LEFT);
}

const threads = { left, right };

export const barrier: MemoryScenario = {
  kind: "memory",
  name: "barrier",
  summary: "two threads meet twice; what one wrote before it arrived the other sees after it has left",
  bytes: 4096,
  spins: 1,
  setup,
  forms: {
    correct: { summary: "the barrier as it is", expect: "clean", threads },
    "opens-early": {
      summary:
        "the leader opens the next phase, then clears the arrivals: one who is fast is counted out again",
      expect: "lost-wakeup or deadlock",
      mutant: "barrier-opens-early",
      threads,
    },
    "phase-read-late": {
      summary: "a thread arrives, then looks which phase it is: it may wait for the end of the next one",
      expect: "lost-wakeup or deadlock",
      mutant: "barrier-phase-read-late",
      threads,
    },
    "two-step-arrival": {
      summary: "arrivals are counted in two steps: one gets lost and nobody is the last",
      expect: "lost-wakeup or deadlock",
      mutant: "barrier-two-step-arrival",
      threads,
    },
  },
};
