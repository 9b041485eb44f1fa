/**
 * Check: a program, searched with all detectors on, and a report that explains what was found. What the parts do one by
 * one (Execution, Strategy, explore, explainFailure), with the usual choices made.
 *
 * Interface: `const report = check(program)`, in the thread that calls, to the end. `report.text` is for people; the
 * rest is plain data. `checkOn` does the same over an execution and a strategy of the caller's.
 */
import { checkDeterminism, defaultMonitors, type DetectOptions } from "./detect/index.ts";
import { Execution, type ExecutionOptions } from "./execution.ts";
import { type ExplainBudget, explainFailure, type Failure } from "./explain/failure.ts";
import { renderFailure } from "./explain/render.ts";
import { decodeToken } from "./explain/token.ts";
import { type Replayed, replayRecord } from "./explain/token-replay.ts";
import { type Budget, explore, type FailedExecution, type Progress } from "./explore.ts";
import type { Program } from "./program.ts";
import type { Strategy } from "./strategy.ts";
import { Bounded } from "./strategy/bounded.ts";
import type { Checkpoint } from "./strategy/checkpoint.ts";
import { estimateText } from "./strategy/estimate.ts";
import { makeStrategy } from "./strategy/index.ts";
import type { Proof } from "./strategy/proof.ts";
import { RandomWalk } from "./strategy/random.ts";
import { EveryNth, type Shard, WHOLE } from "./strategy/shard.ts";

export interface CheckOptions extends ExecutionOptions {
  /** One of STRATEGY_NAMES; default "portfolio". "dpor" searches everything, and proves what it has searched. */
  readonly strategy?: string;
  /** Of random choices; default 1. */
  readonly seed?: number;
  /** Executions at most; default 10,000, or no limit where `seconds` is given. */
  readonly executions?: number;
  /** Seconds at most; default none. */
  readonly seconds?: number;
  /** Part of the search; default all of it. */
  readonly shard?: Shard;
  /** Detectors to switch on or off; see DETECTORS. */
  readonly detect?: DetectOptions;
  /** What was checked, for the replay token; default the program's name. */
  readonly subject?: Readonly<Record<string, string>>;
  /** Where the loader let the scheduler have a say; default "all". */
  readonly granularity?: "all" | "sync";
  /** Effort for shrinking and explaining a failure. */
  readonly explain?: ExplainBudget;
  /** Called about four times a second. */
  readonly progress?: (progress: Progress) => void;
  /** Called about once in ten seconds, and at the end: where the search stands. */
  readonly checkpoint?: (state: Checkpoint) => void;
  /** Asked before each execution: ends the search. */
  readonly stop?: () => boolean;
  /** Goes on where an earlier search of the same program, strategy, seed and shard stopped. */
  readonly resume?: Checkpoint;
}

export interface Report {
  readonly program: string;
  readonly strategy: string;
  readonly seed: number;
  /** Of this call; earlier ones that it resumed are not counted. */
  readonly executions: number;
  readonly steps: number;
  readonly seconds: number;
  readonly executionsPerSecond: number;
  /** pass: nothing was found by this effort. proved: nothing can be found, under the assumptions. */
  readonly verdict: "pass" | "fail" | "proved";
  readonly failure: Failure | null;
  /** Of a search that came to its end: what it shows, on what that rests, and what it lacks to be a proof. */
  readonly proof: Proof | null;
  /** Executions the step limit bent. */
  readonly truncated: number;
  /** To go on from here. */
  readonly state: Checkpoint;
  /** All that in words. */
  readonly text: string;
}

/** Throws RangeError for names that are not there, programs of no or too many threads, and a wrong `resume`. */
export function check(program: Program, options: CheckOptions = {}): Report {
  const { seed = 1, strategy = "portfolio", shard = WHOLE } = options;
  const monitors = [...defaultMonitors(options.detect), ...(options.monitors ?? [])];
  const execution = new Execution(program, { ...options, monitors });
  return checkOn(execution, strategyOf(strategy, seed, shard), options);
}

/** Searches that deal out their own tree. */
const TREES: readonly string[] = ["bounded", "dfs", "dpor"];

/** Throws RangeError for an unknown name. */
export function strategyOf(name: string, seed: number, shard: Shard): Strategy {
  if (shard.count === 1) return makeStrategy(name, { seed });
  return TREES.includes(name)
    ? makeStrategy(name, { seed, shard })
    : new EveryNth(makeStrategy(name, { seed }), shard);
}

/** As `check`. The program itself is judged first: a schedule repeated must meet the same steps. */
export function checkOn(execution: Execution, strategy: Strategy, options: CheckOptions = {}): Report {
  const unstable = options.resume === undefined ? nondeterminism(execution) : undefined;
  let stopped = unstable !== undefined;
  const begin = strategy.begin.bind(strategy);
  strategy.begin = (one, index) => {
    stopped ||= options.stop?.() === true;
    return !stopped && begin(one, index);
  };
  let state: Checkpoint | undefined;
  const found = explore(
    execution,
    strategy,
    budgetOf(options, (now) => {
      state = now;
      options.checkpoint?.(now);
    }),
  );
  const proof = (stopped ? undefined : found.proof) ?? null;
  const failed = unstable ?? found.failure;
  const failure = failed === undefined ? null : explained(execution, strategy, failed, options);
  const whole = options.shard === undefined || options.shard.count === 1;
  const { executions, steps, seconds, truncated } = found;
  const report = {
    program: execution.program.name,
    strategy: strategy.name,
    seed: options.seed ?? 1,
    executions,
    steps,
    seconds,
    executionsPerSecond: executions / Math.max(seconds, 1e-6),
    verdict: verdictOf(failure, whole ? proof : null),
    failure,
    proof,
    truncated,
    state: state as Checkpoint,
  };
  return { ...report, text: textOf(report, strategy) };
}

function verdictOf(failure: Failure | null, proof: Proof | null): Report["verdict"] {
  if (failure !== null) return "fail";
  return proof?.proved === true ? "proved" : "pass";
}

/** Schedules that are run twice before a search. */
const TWICE = 2;

function nondeterminism(execution: Execution): FailedExecution | undefined {
  for (let index = 0; index < TWICE; index++) {
    const walk = new RandomWalk(1);
    walk.begin(execution, index);
    const outcome = execution.run(walk, index);
    const schedule = execution.schedule.slice(0, execution.picks);
    const choices = [...execution.choices];
    const { finding } = checkDeterminism(execution, schedule, choices);
    if (finding !== undefined) return { outcome: { ...outcome, finding }, schedule, choices };
  }
  return undefined;
}

function budgetOf(options: CheckOptions, checkpoint: (state: Checkpoint) => void): Budget {
  const { executions, seconds, progress, resume } = options;
  const limit = executions ?? (seconds === undefined ? undefined : Number.POSITIVE_INFINITY);
  return {
    checkpoint,
    ...(limit === undefined ? {} : { executions: limit }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(progress === undefined ? {} : { progress }),
    ...(resume === undefined ? {} : { resume }),
  };
}

function explained(
  execution: Execution,
  strategy: Strategy,
  failed: FailedExecution,
  options: CheckOptions,
): Failure {
  return explainFailure({
    execution,
    failed,
    subject: options.subject ?? { program: execution.program.name },
    granularity: options.granularity ?? "all",
    strategy: strategy.name,
    bounded: (preemptions) => new Bounded({ from: preemptions, to: preemptions }),
    ...(execution.program.describe === undefined ? {} : { describe: execution.program.describe }),
    ...(options.explain === undefined ? {} : { budget: options.explain }),
  });
}

/**
 * Repeats the execution of a token that `check` printed. Throws TokenError or TokenVersionError. The program has to be
 * the one the token was made of; where it has changed since, `changed` says what is otherwise.
 */
export function replay(program: Program, token: string, detect?: DetectOptions): Replayed {
  const record = decodeToken(token);
  const { maxSteps, timeouts, earlyTimeouts } = record.options;
  const monitors = defaultMonitors(detect);
  return replayRecord(new Execution(program, { maxSteps, timeouts, earlyTimeouts, monitors }), record);
}

function textOf(report: Omit<Report, "text">, strategy: Strategy): string {
  const { failure, proof, verdict } = report;
  const counts = `${amount(report.executions)} executions, ${amount(report.steps)} steps`;
  const how = `${report.strategy}, seed ${report.seed}`;
  const lines = [`${report.program}: ${verdict} (${counts}, ${report.seconds.toFixed(1)} s; ${how})`];
  if (failure !== null) lines.push(renderFailure(failure, { command: "token" }));
  else if (proof?.proved === true) {
    lines.push(`  nothing is wrong in any of ${amount(proof.classes)} executions that differ, if`);
    for (const assumption of proof.assumptions) lines.push(`  - ${assumption}`);
  } else if (proof !== null) {
    lines.push("  the search came to its end, but it is no proof:");
    for (const reason of proof.reasons) lines.push(`  - ${reason}`);
  } else {
    const estimate = strategy.estimate?.();
    if (estimate !== undefined) lines.push(`  the whole search: ${estimateText(estimate)}`);
  }
  return lines.join("\n");
}

function amount(n: number): string {
  return n.toLocaleString("en-US");
}
