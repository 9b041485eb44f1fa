/**
 * The seqlock of atomics-sync: a writer changes two words that must always be equal, two readers copy them. Readers
 * write nothing; they read again when a writer came between.
 *
 * Not shown here: unordered reads without the fence. All accesses are marked, so no race detector objects, and under
 * sequential consistency no execution goes wrong; it takes a memory model with reordering (the litmus tests).
 */
import { seqlockReadBegin, seqlockReadRetry, seqlockReadRetryFence } from "atomics-sync";
import { seqlockWriteBegin, seqlockWriteEnd } from "atomics-sync";
import type { Memory } from "atomics-sync/memory";
import { claim } from "./claim.ts";
import type { MemoryScenario } from "./scenario.ts";

const LOCK = 128;
const FIRST = 256;
const SECOND = 384;

function change(memory: Memory, by: number): void {
  seqlockWriteBegin(memory, LOCK);
  memory.writeOnce(FIRST, memory.readOnce(FIRST) + by);
  memory.writeOnce(SECOND, memory.readOnce(SECOND) + by);
  seqlockWriteEnd(memory, LOCK);
}

function writer(memory: Memory): void {
  change(memory, 1);
}

function compare(first: number, second: number): void {
  claim(first === second, `a copy has halves of two writes: ${first} and ${second}`);
}

function reader(memory: Memory): void {
  let first = 0;
  let second = 0;
  let seq = 0;
  do {
    seq = seqlockReadBegin(memory, LOCK);
    first = memory.loadAcquire(FIRST);
    second = memory.loadAcquire(SECOND);
  } while (seqlockReadRetry(memory, LOCK, seq));
  compare(first, second);
}

function fenced_reader(memory: Memory): void {
  let first = 0;
  let second = 0;
  let seq = 0;
  do {
    seq = seqlockReadBegin(memory, LOCK);
    first = memory.readOnce(FIRST);
    second = memory.readOnce(SECOND);
  } while (seqlockReadRetryFence(memory, LOCK, seq));
  compare(first, second);
}

function hasty_reader(memory: Memory): void {
  seqlockReadBegin(memory, LOCK);
  compare(memory.loadAcquire(FIRST), memory.loadAcquire(SECOND));
}

function plain_writer(memory: Memory): void {
  seqlockWriteBegin(memory, LOCK);
  memory.write(FIRST, 1);
  memory.write(SECOND, 1);
  seqlockWriteEnd(memory, LOCK);
}

function early_writer(memory: Memory): void {
  seqlockWriteBegin(memory, LOCK);
  memory.writeOnce(FIRST, 1);
  seqlockWriteEnd(memory, LOCK);
  memory.writeOnce(SECOND, 1);
}

function after(memory: Memory): void {
  compare(memory.read(FIRST), memory.read(SECOND));
}

function after_two(memory: Memory): void {
  after(memory);
  claim(memory.read(FIRST) === 2, "a write was lost");
}

export const seqlock: MemoryScenario = {
  kind: "memory",
  name: "seqlock",
  summary: "a writer changes two words, readers copy them without a lock and read again when it came between",
  bytes: 4096,
  forms: {
    correct: { summary: "a writer and a reader", expect: "clean", threads: { writer, reader }, after },
    "correct-fence": {
      summary: "the reader reads in any order, with a fence at the end",
      expect: "clean",
      threads: { writer, reader: fenced_reader },
      after,
    },
    "correct-two": {
      summary: "two readers, one of each kind",
      expect: "clean",
      threads: { writer, reader, fenced_reader },
      after,
    },
    "no-retry": {
      summary: "the reader takes its first copy, whatever came between",
      expect: "assertion",
      threads: { writer, reader: hasty_reader },
      after,
    },
    "plain-data": {
      summary:
        "the writer writes the data plainly, while readers read it: a data race, though they read again",
      expect: "data-race",
      threads: { writer: plain_writer, reader },
      after,
    },
    "ends-early": {
      summary: "the writer leaves before its last word is written",
      expect: "assertion",
      threads: { writer: early_writer, reader },
      after,
    },
    "odd-ignored": {
      summary: "a reader may begin while a writer is inside: it finds the sequence unchanged at the end",
      expect: "assertion",
      mutant: "seqlock-odd-ignored",
      threads: { writer, reader },
      after,
    },
    "two-writers": {
      summary: "a writer looks whether another is inside, then enters: two of them can",
      expect: "assertion",
      mutant: "seqlock-two-writers",
      threads: { writer, other: writer },
      after: after_two,
    },
  },
};
