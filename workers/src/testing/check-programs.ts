/** A user's module, as `ringside check ./check-programs.ts` meets it: programs, and other things. */
import type { Program } from "@ringside/checker/program";
import type { Memory } from "atomics-sync/memory";

const X = 8;

function increment(memory: Memory): void {
  memory.writeOnce(X, memory.readOnce(X) + 1);
}

function sumIsTwo(memory: Memory): void {
  if (memory.readOnce(X) !== 2) throw new Error(`x is ${memory.readOnce(X)}, not 2`);
}

export const lost: Program = { name: "lost update", threads: [increment, increment], after: sumIsTwo };

export const added: Program = {
  name: "added",
  threads: [
    (memory) => {
      memory.fetchAdd(X, 1);
    },
    (memory) => {
      memory.fetchAdd(X, 1);
    },
  ],
  after: sumIsTwo,
};

/** Whoever comes first computes for ever. */
export const hangs: Program = {
  name: "hangs",
  threads: [
    {
      name: "spinner",
      body: (memory) => {
        const first = memory.fetchAdd(X, 1) === 0;
        while (first);
      },
    },
  ],
};

export const LIMIT = 3;
