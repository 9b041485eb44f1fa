/** Runs a search to its end and gathers what there is to compare with another search: how its executions ended. */
import { Execution, type ExecutionOptions, type Outcome } from "../../execution.ts";
import { type Exploration, explore } from "../../explore.ts";
import type { Program } from "../../program.ts";
import type { Strategy } from "../../strategy.ts";
import type { Proof } from "../proof.ts";

export interface Ends {
  /** Names of ends, each once, sorted. */
  readonly ends: readonly string[];
  /** Schedules with their choices, of the executions that count, in order. */
  readonly schedules: readonly string[];
  readonly found: Exploration;
  readonly proof: Proof | undefined;
  readonly execution: Execution;
}

export function endsOf(
  program: Program,
  strategy: Strategy,
  nameOf: (execution: Execution, outcome: Outcome) => string,
  options: ExecutionOptions & { readonly executions?: number } = {},
): Ends {
  const execution = new Execution(program, options);
  const ends = new Set<string>();
  const schedules: string[] = [];
  const found = explore(execution, strategy, {
    executions: options.executions ?? 100_000,
    keepGoing: true,
    each: (outcome) => {
      if (strategy.counted === false) return;
      ends.add(nameOf(execution, outcome));
      schedules.push(scheduleOf(execution));
    },
  });
  return { ends: [...ends].sort(), schedules, found, proof: found.proof, execution };
}

export function scheduleOf(execution: Execution): string {
  const { schedule, picks, choices } = execution;
  return `${[...schedule.subarray(0, picks)].join("")}:${choices.join("")}`;
}
