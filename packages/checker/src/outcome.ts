/** What an execution is run with, and what it came to. */
import type { Execution } from "./execution.ts";
import type { Monitor } from "./monitor.ts";
import type { Thread } from "./thread.ts";
import type { Finding } from "./world.ts";

export interface ExecutionOptions {
  /** Switch points after which an execution is given up; from half of it on picks are fair. */
  readonly maxSteps?: number;
  /** Time-outs fire only when nothing else can run (lazy), or may fire whenever they are the earliest (eager). */
  readonly timeouts?: "lazy" | "eager";
  /** Early time-outs in one execution, when eager. */
  readonly earlyTimeouts?: number;
  readonly monitors?: readonly Monitor[];
  /** Makes what runs a thread; default: coroutines in this thread. */
  readonly start?: (execution: Execution, thread: Thread) => unknown;
}

export interface Outcome {
  readonly index: number;
  readonly finding: Finding | undefined;
  /** Ops executed. */
  readonly steps: number;
  /** Switch points passed: length of the schedule. */
  readonly picks: number;
  /** Switches away from a thread that could have gone on. */
  readonly preemptions: number;
  /** Hash of all ops with their results. */
  readonly hash: number;
  /** Times virtual time had to move for anybody to go on. */
  readonly timeouts: number;
  /** The step limit ended or bent it: nothing is proved by it. */
  readonly truncated: boolean;
  /** The strategy gave it up half-way: an equal execution is, or will be, seen elsewhere. */
  readonly abandoned: boolean;
  /** Name of the final state, where the program gives one. */
  readonly state: string | undefined;
}
