/**
 * SafeStack (Dmitry Vyukov): a lock-free stack over three cells that three threads pop and push, twice each. A cell's
 * link is taken out while it is being popped, which is meant to keep ABA away, and does not: it takes at least five
 * preemptions until two threads own one cell.
 */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark, times } from "./benchmark.ts";

const HEAD = 64;
const COUNT = 68;
/** By cell: link to the next one, and the value its owner writes. */
const LINK = 72;
const VALUE = 96;
const CELLS = 3;
const ROUNDS = 2;
const NONE = -1;

function fillStack(memory: Memory): void {
  memory.write(HEAD, 0);
  memory.write(COUNT, CELLS);
  for (let i = 0; i < CELLS; i++) memory.write(LINK + 4 * i, i + 1 < CELLS ? i + 1 : NONE);
}

function popCell(memory: Memory): number {
  while (memory.loadAcquire(COUNT) > 1) {
    const head = memory.loadAcquire(HEAD);
    const next = memory.exchange(LINK + 4 * head, NONE);
    if (next >= 0) {
      if (memory.compareExchange(HEAD, head, next) === head) {
        memory.fetchSub(COUNT, 1);
        return head;
      }
      memory.exchange(LINK + 4 * head, next);
    } else memory.pause();
  }
  return NONE;
}

function pushCell(memory: Memory, cell: number): void {
  let head = memory.loadAcquire(HEAD);
  for (;;) {
    memory.storeRelease(LINK + 4 * cell, head);
    const found = memory.compareExchange(HEAD, head, cell);
    if (found === head) break;
    head = found;
  }
  memory.fetchAdd(COUNT, 1);
}

function popsAndPushes(memory: Memory, thread: ThreadContext): void {
  for (let round = 0; round < ROUNDS; round++) {
    let cell = popCell(memory);
    while (cell === NONE) {
      memory.pause();
      cell = popCell(memory);
    }
    memory.write(VALUE + 4 * cell, thread.id);
    thread.assert(memory.read(VALUE + 4 * cell) === thread.id, "two threads own one cell");
    pushCell(memory, cell);
  }
}

export const SAFESTACK: readonly Benchmark[] = benchmark("SafeStack", "SafeStack", {
  setup: fillStack,
  threads: times(CELLS, popsAndPushes),
});
