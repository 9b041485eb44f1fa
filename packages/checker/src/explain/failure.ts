/**
 * Failure: all that is told of a failing execution, as data. Made from the execution as it was found: shrunk, recorded,
 * set beside the nearest passing one, and with a token that repeats it.
 *
 * Interface: explainFailure once for a failure; failureJson (json.ts) and renderFailure (render.ts) show it; the
 * exporters take `recordingOf` for the whole trace.
 */
import { checkDeterminism } from "../detect/nondeterminism.ts";
import type { Execution } from "../execution.ts";
import type { FailedExecution } from "../explore.ts";
import type { Strategy } from "../strategy.ts";
import type { FailureKind, Finding } from "../world.ts";
import { type Run, runsOf } from "./blocks.ts";
import { nearestPassing, type Passing } from "./nearest.ts";
import { type Describe, record, type Recording } from "./record.ts";
import { shrink, type Shrunk } from "./shrink.ts";
import { circumstances, headline, passingStory, readStory } from "./story.ts";
import { encodeToken, type ReplayOptions } from "./token.ts";
import { replayRecordOf } from "./token-replay.ts";
import { sourcePlace, type SourcePlace, type TraceRow, traceOf } from "./trace.ts";

/** In the order of the JSON. */
export interface Failure {
  readonly kind: FailureKind;
  /** One line. */
  readonly message: string;
  /** Replay token of the shrunk execution. */
  readonly replay: string;
  /** Changes of thread between steps, except where a thread had ended. See Measure. */
  readonly contextSwitches: number;
  /** The ops worth showing, in order of execution. */
  readonly trace: readonly TraceRow[];
  /** Those where the thread could have gone on. */
  readonly preemptions: number;
  /** Steps of the schedule. */
  readonly switchPoints: number;
  /** Who and where, in words. */
  readonly where: string;
  /** Names by number. */
  readonly threads: readonly string[];
  /** Number of the thread it happened on; -1: found by a check after the end. */
  readonly thread: number;
  readonly site?: SourcePlace;
  /** The whole report in the kernel's shape, where there is one. */
  readonly report?: string;
  /** The schedule as runs of one thread. */
  readonly runs: readonly Run[];
  /** Data choices, in order. */
  readonly choices: readonly number[];
  /** The nearest passing execution; null: none was found near. */
  readonly passing: PassingRecord | null;
  readonly shrunk: ShrunkRecord;
  readonly subject: Readonly<Record<string, string>>;
  readonly strategy?: string;
  /** Number of the execution it was found in, from 0. */
  readonly execution?: number;
}

export interface PassingRecord {
  /** What has to be otherwise. */
  readonly story: string;
  /** Which read saw another write. */
  readonly read?: string;
  readonly runs: readonly Run[];
  /** Replay token of the passing execution. */
  readonly replay: string;
}

export interface ShrunkRecord {
  readonly contextSwitches: { readonly from: number; readonly to: number };
  readonly preemptions: { readonly from: number; readonly to: number };
  readonly switchPoints: { readonly from: number; readonly to: number };
  readonly replays: number;
  /** No schedule with fewer preemptions fails like this: all were tried. */
  readonly minimal: boolean;
}

export interface ExplainInput {
  /** Of the program; used for replays. */
  readonly execution: Execution;
  readonly failed: FailedExecution;
  /** What was checked, for the token. */
  readonly subject: Readonly<Record<string, string>>;
  /** Where the scheduler had a say; default "all". */
  readonly granularity?: ReplayOptions["granularity"];
  readonly strategy?: string;
  /** Default: the program's own. */
  readonly describe?: Describe;
  readonly budget?: ExplainBudget;
  /** Makes the search that certifies a small number of preemptions. */
  readonly bounded?: (preemptions: number) => Strategy;
}

export interface ExplainBudget {
  /** Executions for shrinking; default 2,000. */
  readonly replays?: number;
  /** Seconds for all; default 10, two thirds of it for shrinking. */
  readonly seconds?: number;
}

const SECONDS = 10;

export function explainFailure(input: ExplainInput): Failure {
  const { execution, failed, budget, bounded } = input;
  const seconds = budget?.seconds ?? SECONDS;
  const shrunk = shrink(execution, failed, {
    seconds: (seconds * 2) / 3,
    ...(budget?.replays === undefined ? {} : { replays: budget.replays }),
    ...(bounded === undefined ? {} : { bounded }),
  });
  if (shrunk.unstable !== undefined) return unstableFailure(input, shrunk);
  const recording = record(execution, shrunk, input.describe);
  const passing = nearestPassing(execution, shrunk, {
    seconds: seconds / 3,
    ...(input.describe === undefined ? {} : { describe: input.describe }),
  });
  return failureOf(input, shrunk, recording, passing);
}

/** The whole trace of a failure, for exports. */
export function recordingOf(
  execution: Execution,
  failed: Pick<FailedExecution, "schedule" | "choices">,
  describe?: Describe,
): Recording {
  return record(execution, failed, describe);
}

function failureOf(
  input: ExplainInput,
  shrunk: Shrunk,
  recording: Recording,
  passing: Passing | undefined,
): Failure {
  const { finding } = shrunk.outcome;
  if (finding === undefined) throw new RangeError("explainFailure: the execution did not fail");
  const { measure, before } = shrunk;
  const site = sourcePlace(finding.site);
  return {
    kind: finding.kind,
    message: headline(finding.kind, finding.message),
    replay: tokenOf(input, shrunk),
    contextSwitches: measure.contextSwitches,
    trace: traceOf(recording),
    preemptions: measure.preemptions,
    switchPoints: measure.length,
    where: circumstances(recording, finding, measure.contextSwitches),
    threads: recording.threads,
    thread: finding.thread,
    ...(site === undefined ? {} : { site }),
    ...(finding.report === undefined ? {} : { report: finding.report }),
    runs: runsOf(shrunk.schedule),
    choices: shrunk.choices,
    passing: passing === undefined ? null : passingRecord(input, passing, recording.threads),
    shrunk: {
      contextSwitches: { from: before.contextSwitches, to: measure.contextSwitches },
      preemptions: { from: before.preemptions, to: measure.preemptions },
      switchPoints: { from: before.length, to: measure.length },
      replays: shrunk.replays,
      minimal: shrunk.minimal,
    },
    subject: input.subject,
    ...(input.strategy === undefined ? {} : { strategy: input.strategy }),
    execution: input.failed.outcome.index,
  };
}

function passingRecord(input: ExplainInput, passing: Passing, threads: readonly string[]): PassingRecord {
  const read = readStory(passing, threads);
  return {
    story: passingStory(passing, threads),
    ...(read === undefined ? {} : { read }),
    runs: passing.passingRuns,
    replay: tokenOf(input, passing),
  };
}

function tokenOf(input: ExplainInput, schedule: Pick<FailedExecution, "schedule" | "choices">): string {
  const { execution, subject, granularity = "all" } = input;
  return encodeToken(replayRecordOf(execution, schedule, subject, granularity));
}

/** The same schedule did not do the same twice: that is the finding then, whatever else there is. */
function unstableFailure(input: ExplainInput, shrunk: Shrunk): Failure {
  const { execution, failed } = input;
  const recording = record(execution, failed, input.describe);
  const found = failed.outcome.finding as Finding;
  const finding: Finding = checkDeterminism(execution, failed.schedule, failed.choices).finding ?? {
    ...found,
    kind: "nondeterminism",
    message: `nondeterminism: one schedule gave "${found.message}" and then ${shrunk.unstable}`,
  };
  return failureOf(input, { ...shrunk, outcome: { ...failed.outcome, finding } }, recording, undefined);
}
