/**
 * Programs written without the loader: thread functions as generators whose steps are spelled out, as transformed code
 * spells them: `(m.$read(p, S) && (yield), m.$go())`. Site 0 always asks the scheduler.
 */
import type { Memory } from "atomics-sync/memory";
import type { ControlledMemory } from "../controlled-memory.ts";
import { Execution, type ExecutionOptions } from "../execution.ts";
import type { Program, ThreadBody } from "../program.ts";

/** Where hand-written programs keep their words: X, Y, Z ... on lines of their own. */
export const X = 256;
export const Y = 512;
export const Z = 768;

/** A generator over controlled memory as a thread body. */
export function hand(body: (m: ControlledMemory) => Generator<unknown, unknown>): ThreadBody {
  return (memory: Memory) => body(memory as ControlledMemory);
}

/** x = x + 1 in two steps. */
export function* increment(m: ControlledMemory): Generator<unknown, void> {
  const value = (m.$read(X, 0) && (yield), m.$go()) as number;
  m.$write(X, value + 1, 0) && (yield), m.$go();
}

/** The lost update: two increments; wrong when the sum is 1. */
export function lostUpdate(threads: number = 2): Program {
  return {
    name: "lost update",
    threads: Array.from({ length: threads }, () => hand(increment)),
    outcome: (memory) => `x=${memory.read(X)}`,
    after: (memory) => {
      const x = memory.read(X);
      if (x !== threads) throw new Error(`x is ${x}, not ${threads}`);
    },
  };
}

export function executionOf(program: Program, options: ExecutionOptions = {}): Execution {
  return new Execution(program, options);
}
