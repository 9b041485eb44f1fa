/** Merges what the shards of one search have to say into one report. */
import type { Failure } from "@ringside/checker/explain/failure";
import type { CheckJobAnswer } from "./check-job-types.ts";
import { type CheckReport, type CheckRequest, target_name, type Verdict } from "./check-request.ts";

export type SearchAnswer = Extract<CheckJobAnswer, { kind: "search" }>;

export interface Ended {
  readonly answers: readonly SearchAnswer[];
  /** Of a job that was given up. */
  readonly hang: string | undefined;
  readonly interrupted: boolean;
  /** What jobs without an answer had done. */
  readonly lost: { readonly executions: number; readonly steps: number; readonly seconds: number };
}

export function merge(request: CheckRequest, ended: Ended): CheckReport {
  const { answers, hang, lost } = ended;
  const reports = answers.map((answer) => answer.report);
  const first = answers[0];
  const executions = sum(reports.map((report) => report.executions)) + lost.executions;
  const seconds = Math.max(lost.seconds, ...reports.map((report) => report.seconds));
  const failure =
    reports.find((report) => report.failure !== null)?.failure ?? (hang === undefined ? null : hung(hang));
  const complete = reports.length === request.jobs && reports.every((report) => report.proof !== null);
  const reasons = complete ? reasonsOf(request, reports) : [];
  const verdict: Verdict = failure !== null ? "fail" : complete && reasons.length === 0 ? "proved" : "pass";
  return {
    scenario: target_name(request.target),
    variant: first?.loaded.variant ?? null,
    strategy: request.strategy,
    executions,
    steps: sum(reports.map((report) => report.steps)) + lost.steps,
    seconds: Number(seconds.toFixed(3)),
    executionsPerSecond: Math.round(executions / Math.max(seconds, 1e-3)),
    verdict,
    failure,
    form: first?.loaded.form ?? null,
    mutant: first?.loaded.mutant ?? null,
    seed: request.seed,
    jobs: request.jobs,
    shard: request.shard.count === 1 ? null : `${request.shard.index + 1}/${request.shard.count}`,
    classes: complete ? sum(reports.map((report) => report.proof?.classes ?? 0)) : null,
    assumptions: [...new Set(reports.flatMap((report) => report.proof?.assumptions ?? []))],
    reasons,
    estimate: Math.round(sum(answers.map((answer) => answer.estimate))) || null,
    truncated: sum(reports.map((report) => report.truncated)),
    expected: first?.loaded.expected ?? null,
    interrupted: ended.interrupted,
  };
}

function reasonsOf(request: CheckRequest, reports: readonly SearchAnswer["report"][]): string[] {
  const reasons = new Set(reports.flatMap((report) => report.proof?.reasons ?? []));
  const { index, count } = request.shard;
  if (count > 1) reasons.add(`it is shard ${index + 1} of ${count}: the others have to be searched, too`);
  return [...reasons];
}

/** A failure of which there is no schedule: the thread that ran it had to be ended. */
function hung(message: string): Failure {
  const none = { from: 0, to: 0 };
  return {
    kind: "step-limit",
    message,
    replay: "",
    contextSwitches: 0,
    trace: [],
    preemptions: 0,
    switchPoints: 0,
    where: message,
    threads: [],
    thread: -1,
    runs: [],
    choices: [],
    passing: null,
    shrunk: { contextSwitches: none, preemptions: none, switchPoints: none, replays: 0, minimal: false },
    subject: {},
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}
