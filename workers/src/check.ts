/**
 * Check: searches of a scenario or a user's program on a pool of threads, as seen from the thread that asked.
 *
 * Interface: `await run_check(request, hooks)`, `await run_replay(...)`, `await programs_in(module)`. All searching
 * happens in worker threads: one shard each, the first failure ends them all. A thread whose step does not end is
 * found by its pulse, named with its last site, and terminated. What is wrong with the request is a CheckUsageError;
 * an abort of `hooks.signal` ends a search or replay with what it has, and a look with CheckInterrupted.
 */
import type { CheckJob, CheckJobAnswer, CheckJobMessage, ExportText, SearchJob } from "./check-job-types.ts";
import { type Ended, merge, type SearchAnswer } from "./check-merge.ts";
import {
  CheckInterrupted,
  type CheckProgress,
  type CheckReport,
  type CheckRequest,
  type CheckState,
  type CheckTarget,
  CheckUsageError,
} from "./check-request.ts";
import { StateBook } from "./check-state.ts";
import { Watch } from "./check-watch.ts";
import { job_file, run_pool } from "./pool.ts";

export interface CheckHooks {
  readonly signal?: AbortSignal;
  /** About four times a second. */
  readonly onProgress?: (progress: CheckProgress) => void;
  /** Where the search stands: every few seconds, and at its end. */
  readonly onState?: (state: CheckState) => void;
  /** Milliseconds without an op after which a step is taken to be endless; default 10,000. */
  readonly hangMs?: number;
}

export interface Checked {
  readonly report: CheckReport;
  readonly exports: readonly ExportText[];
}

const HANG_MS = 10_000;

/** Searches. Throws CheckUsageError. */
export async function run_check(request: CheckRequest, hooks: CheckHooks = {}): Promise<Checked> {
  const book = new StateBook(request, hooks.onState);
  const answers: SearchAnswer[] = [];
  let failed: Error | undefined;
  const ended = await with_jobs(hooks, {
    jobs: (watch) => Array.from({ length: request.jobs }, (_, i) => search_job(request, i, watch, book)),
    onMessage: (message) => book.hear(message),
    onDone: (job, outcome, watch) => {
      if (outcome instanceof Error) {
        if (!watch.gaveUp(job.id)) failed ??= outcome;
        watch.stop();
        return;
      }
      if (outcome.kind === "usage") failed ??= new CheckUsageError(outcome.message);
      if (outcome.kind === "search") {
        answers.push(outcome);
        book.end(job.id, outcome);
      }
      if (outcome.kind === "usage" || (outcome.kind === "search" && outcome.report.failure !== null))
        watch.stop();
    },
  });
  if (failed !== undefined) throw failed;
  const report = merge(request, { ...ended, answers });
  return { report, exports: answers.flatMap((answer) => answer.exports) };
}

/** Job `i` of the request: every jobs-th part of its shard. */
function search_job(request: CheckRequest, i: number, watch: Watch, book: StateBook): SearchJob {
  const { target, strategy, seed, seconds, executions, timeouts, detect, jobs, shard, exports } = request;
  const resume = book.resume(i);
  return {
    kind: "search",
    ...watch.add(),
    target,
    strategy,
    seed,
    exports,
    shard: { index: shard.index + i * shard.count, count: shard.count * jobs },
    ...(executions === undefined ? {} : { executions: Math.ceil((executions - i) / jobs) }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(detect === undefined ? {} : { detect }),
    ...(resume === undefined ? {} : { resume }),
  };
}

export type ReplayAnswer = Extract<CheckJobAnswer, { kind: "replay" }>;

/** Repeats the execution of a token `times` times. Throws CheckUsageError. */
export async function run_replay(
  request: { target: CheckTarget; token: string; times: number; exports: readonly string[] },
  hooks: CheckHooks = {},
): Promise<ReplayAnswer> {
  const answer = await one_job(hooks, (watch) => ({ kind: "replay", ...watch.add(), ...request }));
  if (answer.kind !== "replay") throw new Error(`a replay answered ${answer.kind}`);
  return answer;
}

/** Names of the programs a module exports. Throws CheckUsageError. */
export async function programs_in(module: string, hooks: CheckHooks = {}): Promise<readonly string[]> {
  const answer = await one_job(hooks, (watch) => ({ kind: "look", ...watch.add(), module, exports: [] }));
  if (answer.kind !== "look") throw new Error(`a look answered ${answer.kind}`);
  return answer.programs;
}

async function one_job(hooks: CheckHooks, make: (watch: Watch) => CheckJob): Promise<CheckJobAnswer> {
  let answer: CheckJobAnswer | Error | undefined;
  const { hang, interrupted } = await with_jobs(hooks, {
    jobs: (watch) => [make(watch)],
    onMessage: () => {},
    onDone: (_job, outcome) => {
      answer = outcome;
    },
  });
  if (hang !== undefined) throw new Error(hang);
  if (answer === undefined || answer instanceof Error) {
    if (interrupted) throw new CheckInterrupted("interrupted");
    throw answer ?? new Error("no answer");
  }
  if (answer.kind === "usage") throw new CheckUsageError(answer.message);
  return answer;
}

interface Run {
  readonly jobs: (watch: Watch) => CheckJob[];
  readonly onMessage: (message: CheckJobMessage) => void;
  readonly onDone: (job: CheckJob, outcome: CheckJobAnswer | Error, watch: Watch) => void;
}

/** Runs jobs side by side under a watch. */
async function with_jobs(hooks: CheckHooks, run: Run): Promise<Omit<Ended, "answers">> {
  const watch = new Watch(hooks.hangMs ?? HANG_MS, hooks.onProgress ?? (() => {}));
  const stop = (): void => watch.stop();
  hooks.signal?.addEventListener("abort", stop);
  let hang: string | undefined;
  const lost = { executions: 0, steps: 0, seconds: 0 };
  try {
    const jobs = run.jobs(watch);
    if (hooks.signal?.aborted === true) stop();
    await run_pool<CheckJob, CheckJobAnswer>(jobs, {
      file: job_file("check-job", import.meta.url),
      threads: jobs.length,
      signal: (job) => watch.signal(job.id),
      onMessage: (message) => {
        watch.hear(message as CheckJobMessage);
        run.onMessage(message as CheckJobMessage);
      },
      onDone: (job, outcome) => {
        watch.end(job.id);
        hang ??= watch.hang(job.id);
        if (outcome instanceof Error) watch.count(job.id, lost);
        run.onDone(job, outcome, watch);
      },
    });
  } finally {
    watch.close();
    hooks.signal?.removeEventListener("abort", stop);
  }
  return { hang, interrupted: hooks.signal?.aborted === true, lost };
}
