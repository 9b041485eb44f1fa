/**
 * A search, a replay, or a look at what a module has, as a job of a pool (pool.ts): loads the target in its own thread,
 * then computes to the end. It tells that it lives, and is told to stop, by a Pulse.
 */
import { parentPort } from "node:worker_threads";
import { type CheckOptions, checkOn, strategyOf } from "@ringside/checker/check";
import { defaultMonitors, type DetectOptions } from "@ringside/checker/detect/index";
import { Execution, type ExecutionOptions } from "@ringside/checker/execution";
import { explainFailure, type Failure } from "@ringside/checker/explain/failure";
import { decodeToken, type ReplayRecord } from "@ringside/checker/explain/token";
import { type Replayed, replayRecord } from "@ringside/checker/explain/token-replay";
import { type ExportFormat, exportFailure } from "@ringside/checker/export";
import { Pulse } from "@ringside/checker/pulse";
import { siteCount, siteText } from "@ringside/checker/runtime";
import type {
  CheckJob,
  CheckJobAnswer,
  CheckJobMessage,
  ExportText,
  ReplayJob,
  SearchJob,
} from "./check-job-types.ts";
import { place_in, receive_guest } from "./check-guest.ts";
import {
  CheckUsageError,
  detect_of,
  detect_subject,
  is_module,
  subject_of,
  target_name,
} from "./check-request.ts";
import { type LoadedTarget, load_target, programs_of } from "./check-target.ts";

export default async function check_job(job: CheckJob): Promise<CheckJobAnswer> {
  if (job.kind === "look" || is_module(job.target)) receive_guest();
  try {
    if (job.kind === "look") {
      const warn = (text: string): boolean => process.stderr.write(`warning: ${text}\n`);
      return { kind: "look", programs: [...(await programs_of(job.module, warn)).keys()] };
    }
    const loaded = await load_target(job.target);
    return job.kind === "search" ? search(job, loaded) : replay(job, loaded);
  } catch (error) {
    // Errors lose their class between threads.
    if (error instanceof CheckUsageError || error instanceof RangeError)
      return { kind: "usage", message: error.message };
    throw error;
  }
}

function say(message: CheckJobMessage): void {
  parentPort?.postMessage(message);
}

/** An execution that shows that it lives. */
function begin(
  job: SearchJob | ReplayJob,
  loaded: LoadedTarget,
  options: ExecutionOptions,
  detect?: DetectOptions,
): { execution: Execution; pulse: Pulse } {
  const pulse = new Pulse(job.pulse);
  const monitors = [pulse, ...defaultMonitors(detect)];
  const execution = set_up(job, () => new Execution(loaded.program, { ...options, monitors }));
  const sites = Array.from({ length: siteCount() }, (_, site) => siteText(site));
  say({ job: job.id, sites, threads: [...execution.world.names] });
  pulse.load();
  return { execution, pulse };
}

/** The setup of a user's program may throw: no schedule is to blame, there is nothing to search. */
function set_up(job: SearchJob | ReplayJob, make: () => Execution): Execution {
  try {
    return make();
  } catch (error) {
    if (!is_module(job.target) || error instanceof RangeError) throw error;
    const text = error instanceof Error ? error.message : String(error);
    throw new CheckUsageError(`${target_name(job.target)}: its setup threw: ${text}${place_in(error)}`, {
      cause: error,
    });
  }
}

function search(job: SearchJob, loaded: LoadedTarget): CheckJobAnswer {
  const { detect, timeouts, strategy: name, seed, shard, resume, executions, seconds } = job;
  const { execution, pulse } = begin(job, loaded, timeouts === undefined ? {} : { timeouts }, detect);
  const strategy = strategyOf(name, seed, shard);
  const options: CheckOptions = {
    seed,
    shard,
    subject: { ...subject_of(job.target), ...detect_subject(detect) },
    granularity: loaded.granularity,
    stop: () => pulse.stopped,
    progress: ({ executions, steps, estimate }) => {
      pulse.count(executions, steps);
      if (estimate !== undefined) pulse.expect(estimate.executions, estimate.done);
    },
    checkpoint: (state) => say({ job: job.id, state }),
    ...(executions === undefined ? {} : { executions }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(resume === undefined ? {} : { resume }),
  };
  const report = checkOn(execution, strategy, options);
  pulse.count(report.executions, report.steps);
  const { program: _program, ...facts } = loaded;
  return {
    kind: "search",
    report,
    loaded: facts,
    exports: exported(execution, report.failure, job.exports),
    estimate: strategy.estimate?.()?.executions ?? 0,
  };
}

function exported(execution: Execution, failure: Failure | null, formats: readonly string[]): ExportText[] {
  if (failure === null) return [];
  return formats.map((format) => ({
    format,
    text: exportFailure(execution, failure, format as ExportFormat),
  }));
}

function replay(job: ReplayJob, loaded: LoadedTarget): CheckJobAnswer {
  const record = decodeToken(job.token);
  const { maxSteps, timeouts, earlyTimeouts } = record.options;
  const { execution, pulse } = begin(
    job,
    loaded,
    { maxSteps, timeouts, earlyTimeouts },
    detect_of(record.subject),
  );
  let same = 0;
  let exact = 0;
  let last: Replayed | undefined;
  let times = 0;
  for (; times < job.times && !pulse.stopped; times++) {
    last = replayRecord(execution, record);
    if (last.same) same++;
    if (last.exact) exact++;
    pulse.count(times + 1, 0);
  }
  const failure = last?.outcome.finding === undefined ? null : explained(execution, job, record, last);
  return {
    kind: "replay",
    times,
    same,
    exact,
    changed: last?.changed ?? null,
    failure,
    exports: exported(execution, failure, job.exports),
  };
}

/** The failure of the last replay. */
function explained(execution: Execution, job: ReplayJob, record: ReplayRecord, last: Replayed): Failure {
  return explainFailure({
    execution,
    failed: {
      outcome: last.outcome,
      schedule: execution.schedule.slice(0, execution.picks),
      choices: [...execution.choices],
    },
    subject: record.subject,
    granularity: record.options.granularity,
    strategy: "replay",
    ...(execution.program.describe === undefined ? {} : { describe: execution.program.describe }),
  });
}
