/**
 * The SPSC ring of atomics-sync with room for two words: the producer sends three, so it has to wait for room, and the
 * consumer for words. Each word arrives once, in order.
 */
import { spscBytes, spscDequeue, spscEnqueue, spscInit } from "atomics-sync";
import type { Memory } from "atomics-sync/memory";
import { claim } from "./claim.ts";
import type { MemoryScenario } from "./scenario.ts";

const RING = 1024;
const CAPACITY = 2;
const WORDS = 3;

function setup(memory: Memory): void {
  claim(spscInit(memory, RING, CAPACITY), "no ring");
}

function producer(memory: Memory): void {
  for (let i = 1; i <= WORDS; i++) spscEnqueue(memory, RING, 10 * i);
}

function consumer(memory: Memory): void {
  for (let i = 1; i <= WORDS; i++) {
    const word = spscDequeue(memory, RING);
    claim(word === 10 * i, `word ${i} is ${word}, not ${10 * i}`);
  }
}

const threads = { producer, consumer };

export const spsc: MemoryScenario = {
  kind: "memory",
  name: "spsc",
  summary:
    "a producer sends three words through a ring with room for two; the consumer gets each once, in order",
  bytes: RING + 2 * spscBytes(CAPACITY),
  // The way to sleep and back is behind the spinning.
  spins: 1,
  setup,
  forms: {
    correct: { summary: "the ring as it is", expect: "clean", threads },
    "publish-first": {
      summary: "the word is shown before it is written: the consumer takes what the slot held before",
      expect: "data-race or assertion",
      mutant: "spsc-publish-first",
      threads,
    },
    "no-full-check": {
      summary: "the producer does not look whether the ring is full: it writes over what nobody has read",
      expect: "data-race or assertion",
      mutant: "spsc-no-full-check",
      threads,
    },
    "relaxed-tail": {
      summary: "publishing does not release: the consumer sees the count, and not yet the word",
      expect: "data-race",
      mutant: "spsc-relaxed-tail",
      threads,
    },
    "relaxed-head": {
      summary: "giving a slot back does not release: the producer may write it while it is still read",
      expect: "data-race",
      mutant: "spsc-relaxed-head",
      threads,
    },
    "looks-then-flags": {
      summary:
        "the consumer looks once more, then says that it sleeps: a word that comes in between wakes nobody",
      expect: "lost-wakeup or deadlock",
      mutant: "spsc-looks-then-flags",
      threads,
    },
  },
};
