/**
 * Checkpoint: where a search stands between two executions, as plain JSON: the number of the next execution, and
 * what the strategy wants to keep (a stack for searches; nothing for random ones, whose executions depend on seed
 * and number). It holds no results: who resumes adds up.
 */
import type { Execution } from "../execution.ts";
import type { Strategy } from "../strategy.ts";

const VERSION = 1;

export interface Checkpoint {
  readonly version: number;
  readonly program: string;
  readonly strategy: string;
  /** Number of the next execution. */
  readonly index: number;
  readonly state: unknown;
}

export function saveStrategy(execution: Execution, strategy: Strategy, index: number): Checkpoint {
  const state = strategy.save?.() ?? null;
  return { version: VERSION, program: execution.program.name, strategy: strategy.name, index, state };
}

/** Number of the next execution. Throws RangeError if the checkpoint is of something else. */
export function restoreStrategy(execution: Execution, strategy: Strategy, checkpoint: Checkpoint): number {
  const { version, program, index, state } = checkpoint;
  if (version !== VERSION) throw new RangeError(`checkpoint of version ${version}, expected ${VERSION}`);
  if (program !== execution.program.name)
    throw new RangeError(`checkpoint of program ${program}, not of ${execution.program.name}`);
  if (checkpoint.strategy !== strategy.name)
    throw new RangeError(`checkpoint of strategy ${checkpoint.strategy}, not of ${strategy.name}`);
  if (state !== null) strategy.restore?.(state);
  return index;
}
