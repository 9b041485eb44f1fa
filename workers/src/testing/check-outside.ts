/** A user's module that cannot be controlled: a step inside a callback. */
import type { Program } from "@ringside/checker/program";
import type { Memory } from "atomics-sync/memory";

function each(memory: Memory): void {
  [8, 12].forEach((p) => {
    memory.write(p, 1);
  });
}

export const program: Program = { name: "callback", threads: [each] };
