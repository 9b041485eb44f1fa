/** Checks the mailbox. Run it with: node --import @ringside/checker/register examples/check-mailbox.ts */
import { check, type Program, type ThreadBody } from "@ringside/checker";
import type { Memory } from "atomics-sync";
import { MAILBOX_BYTES, put, take, takeShared, takeSharedWakeOne } from "./mailbox.ts";

const MAILBOX = 64;
/** Where takers put what they got, a word each. */
const GOT = MAILBOX + MAILBOX_BYTES;

/** A sender of the words 1 and 2, and takers that get one each, or both. */
function mailboxProgram(name: string, takers: readonly ThreadBody[]): Program {
  const send = (memory: Memory): void => {
    put(memory, MAILBOX, 1);
    put(memory, MAILBOX, 2);
  };
  return {
    name,
    threads: [{ name: "sender", body: send }, ...takers.map((body) => ({ name: "taker", body }))],
    after: (memory) => {
      const sum = memory.read(GOT) + memory.read(GOT + 4);
      if (sum !== 3) throw new Error(`the takers got ${memory.read(GOT)} and ${memory.read(GOT + 4)}`);
    },
  };
}

/** Takes one word and notes it. */
function taker(memory: Memory, takeOne: (memory: Memory, p: number) => number, at: number): void {
  const value = takeOne(memory, MAILBOX);
  memory.write(at, value);
}

export const oneTaker: Program = mailboxProgram("one taker", [
  (memory) => {
    taker(memory, take, GOT);
    taker(memory, take, GOT + 4);
  },
]);

export const twoTakers: Program = mailboxProgram("two takers, made for one", [
  (memory) => taker(memory, take, GOT),
  (memory) => taker(memory, take, GOT + 4),
]);

export const wakeOne: Program = mailboxProgram("two takers, one is woken", [
  (memory) => taker(memory, takeSharedWakeOne, GOT),
  (memory) => taker(memory, takeSharedWakeOne, GOT + 4),
]);

export const wakeAll: Program = mailboxProgram("two takers, all are woken", [
  (memory) => taker(memory, takeShared, GOT),
  (memory) => taker(memory, takeShared, GOT + 4),
]);

function checkAll(): void {
  for (const program of [oneTaker, twoTakers, wakeOne, wakeAll]) {
    // First the search that finds most mistakes soon; then, if there was none, the one that proves it.
    const quick = check(program, { executions: 2000 });
    const report = quick.failure === null ? check(program, { strategy: "dpor", seconds: 20 }) : quick;
    console.log(report.text, "\n");
  }
}

// Not when `ringside check` imports the programs.
if (import.meta.main) checkAll();
