/**
 * Schedules to the first bug: each benchmark program under each strategy with many seeds, and what was published for
 * it.
 *
 * Counted from 1, over the seeds that found the bug within the limit. Interface: runSct, with the programs loaded as
 * coroutines; sct-worker.ts does that in a thread of its own.
 */
import { Execution } from "./execution.ts";
import { explore } from "./explore.ts";
import type { Benchmark } from "./programs/benchmark.ts";
import { publishedFigure } from "./programs/published.ts";
import type { Strategy } from "./strategy.ts";
import { makeStrategy, STRATEGY_NAMES } from "./strategy/index.ts";

export interface SctOptions {
  readonly benchmarks: readonly Benchmark[];
  /** Names of the registry; "pct3" is PCT with a depth of 3. */
  readonly strategies: readonly string[];
  /** Trials: seeds 1 ... seeds. */
  readonly seeds: number;
  /** Executions a trial at most. */
  readonly limit: number;
  /** Told of each row when it is done. */
  readonly progress?: (row: SctRow) => void;
}

export interface SctRow {
  readonly program: string;
  readonly threads: number;
  readonly strategy: string;
  readonly seeds: number;
  readonly limit: number;
  /** Trials that found something. */
  readonly found: number;
  /** Mean number of the execution that found it, from 1, over the trials that did. */
  readonly mean: number | undefined;
  readonly median: number | undefined;
  readonly worst: number | undefined;
  readonly executions: number;
  /** Mean steps of an execution. */
  readonly steps: number;
  readonly seconds: number;
  readonly executionsPerSecond: number;
  readonly stepsPerSecond: number;
  /** By kind of failure: trials. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Of a portfolio: by member, trials it found the bug in. */
  readonly members: Readonly<Record<string, number>> | undefined;
  /** As in published.ts. */
  readonly published: string | undefined;
}

/** Splits "pct10" in name and depth. Throws RangeError for an unknown strategy. */
export function sctStrategy(name: string): { name: string; depth: number | undefined } {
  const match = /^pct(\d+)$/.exec(name);
  if (match !== null) return { name: "pct", depth: Number(match[1]) };
  if (!STRATEGY_NAMES.includes(name))
    throw new RangeError(`unknown strategy ${name}: expected pct1, pct2 ... or ${STRATEGY_NAMES.join(", ")}`);
  return { name, depth: undefined };
}

export function runSct(options: SctOptions): SctRow[] {
  for (const strategy of options.strategies) sctStrategy(strategy);
  const rows: SctRow[] = [];
  for (const benchmark of options.benchmarks) {
    const execution = new Execution(benchmark.program);
    for (const strategy of options.strategies) {
      const row = trials(execution, benchmark, strategy, options);
      rows.push(row);
      options.progress?.(row);
    }
  }
  return rows;
}

function trials(
  execution: Execution,
  benchmark: Benchmark,
  strategy: string,
  { seeds, limit }: SctOptions,
): SctRow {
  const { name, depth } = sctStrategy(strategy);
  const firsts: number[] = [];
  const kinds: Record<string, number> = {};
  const members: Record<string, number> = {};
  let executions = 0;
  let steps = 0;
  let seconds = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const made = makeStrategy(name, { seed, depth });
    const result = explore(execution, made, { executions: limit });
    executions += result.executions;
    steps += result.steps;
    seconds += result.seconds;
    const outcome = result.failure?.outcome;
    if (outcome?.finding === undefined) continue;
    firsts.push(outcome.index + 1);
    count(kinds, outcome.finding.kind);
    const member = memberOf(made, outcome.index);
    if (member !== undefined) count(members, member);
  }
  firsts.sort((a, b) => a - b);
  return {
    program: benchmark.name,
    threads: execution.threads.length,
    strategy,
    seeds,
    limit,
    found: firsts.length,
    mean: firsts.length === 0 ? undefined : firsts.reduce((sum, n) => sum + n, 0) / firsts.length,
    median: firsts[firsts.length >> 1],
    worst: firsts.at(-1),
    executions,
    steps: executions === 0 ? 0 : steps / executions,
    seconds,
    executionsPerSecond: executions / seconds,
    stepsPerSecond: steps / seconds,
    kinds,
    members: name === "portfolio" ? members : undefined,
    published: publishedFigure(benchmark.name, strategy),
  };
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

/** Which member of a portfolio made an execution. */
function memberOf(strategy: Strategy, index: number): string | undefined {
  return "memberOf" in strategy
    ? (strategy.memberOf as (index: number) => string).call(strategy, index)
    : undefined;
}
