/**
 * Explore: runs a program under a strategy until something is found, the search is complete, or the budget is
 * spent.
 *
 * With `keepGoing` failures are collected by signature, so that one bug found a thousand times is one failure, and
 * final states are counted. A search is interrupted between executions only: `checkpoint` hands out where it
 * stands, as plain JSON, and `resume` goes on from there; interrupted and resumed it makes the same executions as
 * in one go.
 */
import type { Execution, Outcome } from "./execution.ts";
import { signatureOf } from "./explain/signature.ts";
import type { Strategy } from "./strategy.ts";
import type { Checkpoint } from "./strategy/checkpoint.ts";
import { restoreStrategy, saveStrategy } from "./strategy/checkpoint.ts";
import type { Estimate } from "./strategy/estimate.ts";
import type { Proof } from "./strategy/proof.ts";
import type { Finding } from "./world.ts";

export interface Budget {
  /** Executions at most; default 10,000. */
  readonly executions?: number;
  /** Seconds at most; default none. */
  readonly seconds?: number;
  /** Go on after a failure (for tables and histograms). */
  readonly keepGoing?: boolean;
  /** Called about four times a second. */
  readonly progress?: (progress: Progress) => void;
  /** Called after every execution, those that do not count included. */
  readonly each?: (outcome: Outcome) => void;
  /** Called about once in `checkpointSeconds`, default 10, and at the end: where the search stands. */
  readonly checkpoint?: (checkpoint: Checkpoint) => void;
  readonly checkpointSeconds?: number;
  /** Goes on from there. Throws RangeError if it is of another program or strategy. */
  readonly resume?: Checkpoint;
}

export interface Progress {
  readonly executions: number;
  readonly steps: number;
  readonly seconds: number;
  /** Work in all, for searches that can tell. */
  readonly estimate?: Estimate | undefined;
}

export interface Exploration extends Progress {
  /** The search ran out of executions to try. */
  readonly complete: boolean;
  /** Executions that count: neither repeats that DPOR gave up nor another shard's. */
  readonly counted: number;
  /** The first execution with a finding; its schedule and choices are those of `execution` only right after it. */
  readonly failure: FailedExecution | undefined;
  /** By signature, in the order in which they were found. One, unless the search kept going. */
  readonly failures: ReadonlyMap<string, FailureCount>;
  /** Final states with the number of executions that ended so, where the program names them. */
  readonly states: ReadonlyMap<string, number>;
  /** Executions the step limit bent. */
  readonly truncated: number;
  /** Of a complete search: what it shows. */
  readonly proof: Proof | undefined;
}

/** An execution that found something, with all that is needed to repeat it. */
export interface FailedExecution {
  readonly outcome: Outcome;
  readonly schedule: Uint8Array;
  readonly choices: readonly number[];
}

export interface FailureCount {
  readonly first: FailedExecution;
  executions: number;
}

const DEFAULT_EXECUTIONS = 10_000;
/** Executions between looks at the clock. */
const CLOCK_EVERY = 64;
const PROGRESS_SECONDS = 0.25;
const CHECKPOINT_SECONDS = 10;

export function explore(execution: Execution, strategy: Strategy, budget: Budget = {}): Exploration {
  const limit = budget.executions ?? DEFAULT_EXECUTIONS;
  const first = budget.resume === undefined ? 0 : restoreStrategy(execution, strategy, budget.resume);
  const tally = new Tally();
  const clock = new Clock(execution, strategy, budget);
  let index = 0;
  let complete = false;
  while (index < limit) {
    if (!strategy.begin(execution, first + index)) {
      complete = true;
      break;
    }
    const outcome = execution.run(strategy, first + index++);
    budget.each?.(outcome);
    tally.steps += outcome.steps;
    if (outcome.truncated) tally.truncated++;
    if (strategy.counted !== false) {
      tally.note(execution, outcome);
      if (outcome.finding !== undefined && budget.keepGoing !== true) break;
    }
    if (index % CLOCK_EVERY === 1 && clock.isOver(first, index, tally.steps)) break;
  }
  budget.checkpoint?.(saveStrategy(execution, strategy, first + index));
  const { steps, counted, failures, states, truncated } = tally;
  const failure = failures.values().next().value?.first;
  const proof = complete ? strategy.proof?.(execution) : undefined;
  const estimate = strategy.estimate?.();
  const seconds = clock.seconds();
  return {
    executions: index,
    steps,
    seconds,
    estimate,
    complete,
    counted,
    failure,
    failures,
    states,
    truncated,
    proof,
  };
}

/** What the executions so far come to. */
class Tally {
  steps: number = 0;
  truncated: number = 0;
  counted: number = 0;
  readonly failures: Map<string, FailureCount> = new Map();
  readonly states: Map<string, number> = new Map();
  /** The failure of the last execution that failed. */
  private last: FailureCount | undefined = undefined;

  note(execution: Execution, outcome: Outcome): void {
    this.counted++;
    const { state, finding } = outcome;
    if (finding !== undefined) this.fail(execution, outcome, finding);
    else if (state !== undefined) this.states.set(state, (this.states.get(state) ?? 0) + 1);
  }

  private fail(execution: Execution, outcome: Outcome, finding: Finding): void {
    if (this.last === undefined || !isSame(this.last.first.outcome.finding as Finding, finding)) {
      const signature = signatureOf(execution.world, finding);
      const first = (): FailureCount => ({ first: failedExecution(execution, outcome), executions: 0 });
      this.last = this.failures.get(signature) ?? first();
      this.failures.set(signature, this.last);
    }
    this.last.executions++;
  }
}

/** Equal without doubt: saves the signature. */
function isSame(a: Finding, b: Finding): boolean {
  return a.message === b.message && a.site === b.site && a.thread === b.thread && a.kind === b.kind;
}

function failedExecution(execution: Execution, outcome: Outcome): FailedExecution {
  const { schedule, picks, choices } = execution;
  return { outcome, schedule: schedule.slice(0, picks), choices: [...choices] };
}

/** Tells when time is up, and in between whoever wants to know how far it is. */
class Clock {
  private readonly execution: Execution;
  private readonly strategy: Strategy;
  private readonly budget: Budget;
  private readonly started: number = performance.now();
  private nextProgress: number = PROGRESS_SECONDS;
  private nextCheckpoint: number;

  constructor(execution: Execution, strategy: Strategy, budget: Budget) {
    this.execution = execution;
    this.strategy = strategy;
    this.budget = budget;
    this.nextCheckpoint = budget.checkpointSeconds ?? CHECKPOINT_SECONDS;
  }

  seconds(): number {
    return (performance.now() - this.started) / 1000;
  }

  isOver(first: number, executions: number, steps: number): boolean {
    const { budget, strategy } = this;
    const seconds = this.seconds();
    if (seconds >= this.nextProgress && budget.progress !== undefined) {
      this.nextProgress = seconds + PROGRESS_SECONDS;
      budget.progress({ executions, steps, seconds, estimate: strategy.estimate?.() });
    }
    if (seconds >= this.nextCheckpoint && budget.checkpoint !== undefined) {
      this.nextCheckpoint = seconds + (budget.checkpointSeconds ?? CHECKPOINT_SECONDS);
      budget.checkpoint(saveStrategy(this.execution, strategy, first + executions));
    }
    return budget.seconds !== undefined && seconds >= budget.seconds;
  }
}
