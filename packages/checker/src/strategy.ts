/**
 * Strategy: who decides. Before each step with more than one thread to choose from, the execution asks `pick`; for each
 * data choice of the program, `choose`. A strategy that searches also hears what each step did.
 *
 * A strategy is deterministic: equal seed and equal program give the equal sequence of executions.
 */
import type { Execution, Outcome } from "./execution.ts";
import type { Estimate } from "./strategy/estimate.ts";
import type { Proof } from "./strategy/proof.ts";

export interface Strategy {
  readonly name: string;
  /** Wants `execution.world.accesses` after each step and `stepped` for every step, choices of one included. */
  readonly follows?: boolean;
  /** Is asked before every step, choices of one included. */
  readonly everyStep?: boolean;
  /** Before execution number `index` (0-based). False: the search is complete, do not run. */
  begin(execution: Execution, index: number): boolean;
  /**
   * Index of the thread that goes on: one of execution.enabled[0 ... enabledCount-1]. Asked if enabledCount > 1.
   * -1: give this execution up, it is the same as another.
   */
  pick(execution: Execution): number;
  /** A value 0 ... n-1; n > 1. */
  choose(execution: Execution, n: number): number;
  /** After each step of `thread`; the accesses of the step are in execution.world. */
  stepped?(execution: Execution, thread: number): void;
  end(execution: Execution, outcome: Outcome): void;
  /** After `end`: false if the execution does not count, because another one, or another shard, stands for it. */
  readonly counted?: boolean;
  /** Work left, as far as it can be told. */
  estimate?(): Estimate | undefined;
  /** What the search has shown, once `begin` has said false. */
  proof?(execution: Execution): Proof | undefined;
  /** State between two executions as plain JSON; without it a strategy's state is the number of the next execution. */
  save?(): unknown;
  /** Takes back what `save` gave, for the same program. Throws RangeError if it is something else. */
  restore?(state: unknown): void;
}
