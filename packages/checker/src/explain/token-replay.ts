/**
 * Replay of a token: repeats the execution, and says whether it is the same one still.
 *
 * The token keeps a hash of all ops with their results, and a byte of that hash along the way. So a program that has
 * changed since is noticed, and about where; whether it still fails in the same way is a second question.
 */
import type { Execution, Outcome } from "../execution.ts";
import type { FailedExecution } from "../explore.ts";
import { Replay } from "../strategy/replay.ts";
import { signatureHash } from "./signature.ts";
import { type ReplayOptions, type ReplayRecord, strideOf } from "./token.ts";

/** ReplayRecord.kind of an execution that found nothing. */
export const PASSES = "pass";

export interface Replayed {
  readonly outcome: Outcome;
  /** The same ops with the same results. */
  readonly exact: boolean;
  /** The same failure (or none, if the token is of a passing execution). */
  readonly same: boolean;
  /** What is otherwise than when the token was made; undefined if nothing is. */
  readonly changed: string | undefined;
}

/** What a token keeps of an execution: repeats it once to learn its hash. */
export function replayRecordOf(
  execution: Execution,
  schedule: Pick<FailedExecution, "schedule" | "choices">,
  subject: Readonly<Record<string, string>>,
  granularity: ReplayOptions["granularity"],
): ReplayRecord {
  const replay = new MarkedReplay(schedule.schedule, schedule.choices);
  replay.begin();
  const outcome = execution.run(replay, 0);
  const { finding } = outcome;
  return {
    subject,
    options: optionsOf(execution, granularity),
    threads: execution.threads.length,
    hash: outcome.hash,
    marks: replay.marks,
    schedule: execution.schedule.slice(0, execution.picks),
    choices: withoutZeros(execution.choices),
    kind: finding?.kind ?? PASSES,
    signature: finding === undefined ? 0 : signatureHash(execution.world, finding),
  };
}

/** `execution` is made by the caller, of the record's subject and with its options. */
export function replayRecord(execution: Execution, record: ReplayRecord): Replayed {
  const replay = new MarkedReplay(record.schedule, record.choices);
  replay.begin();
  const outcome = execution.run(replay, 0);
  const exact = outcome.hash === record.hash && outcome.picks === record.schedule.length;
  const { finding } = outcome;
  const signature = finding === undefined ? 0 : signatureHash(execution.world, finding);
  return {
    outcome,
    exact,
    same: signature === record.signature && (finding?.kind ?? PASSES) === record.kind,
    changed: exact ? undefined : changeOf(execution, record, replay),
  };
}

function changeOf(execution: Execution, record: ReplayRecord, replay: MarkedReplay): string {
  const threads = execution.threads.length;
  if (threads !== record.threads)
    return `the program has ${threads} threads, the token was made of ${record.threads}`;
  const options = optionDifference(optionsOf(execution, record.options.granularity), record.options);
  if (options !== undefined) return options;
  const stride = strideOf(record.schedule.length);
  const wrong = record.marks.findIndex((mark, i) => mark !== replay.marks[i]);
  const from = (wrong < 0 ? record.marks.length : wrong) * stride;
  const to = Math.min(record.schedule.length, from + stride);
  const { diverged } = replay;
  const cannot =
    diverged < 0
      ? ""
      : `; at step ${diverged} ${execution.world.nameOf(record.schedule[diverged] ?? -1)} cannot run`;
  return `the program has changed: it does something else between step ${from} and step ${to}${cannot}`;
}

function optionDifference(now: ReplayOptions, then: ReplayOptions): string | undefined {
  for (const key of ["timeouts", "earlyTimeouts", "maxSteps"] as const) {
    if (now[key] !== then[key]) return `${key} is ${now[key]}, the token was made with ${then[key]}`;
  }
  return undefined;
}

function optionsOf(execution: Execution, granularity: ReplayOptions["granularity"]): ReplayOptions {
  const { timeouts, earlyTimeouts } = execution.options;
  return {
    granularity,
    timeouts: timeouts ?? "lazy",
    earlyTimeouts: timeouts === "eager" ? (earlyTimeouts ?? 2) : 0,
    maxSteps: execution.maxSteps,
  };
}

function withoutZeros(choices: readonly number[]): number[] {
  const last = choices.findLastIndex((value) => value !== 0);
  return choices.slice(0, last + 1);
}

/** Replay that notes the hash along the way. */
class MarkedReplay extends Replay {
  readonly marks: number[] = [];
  private readonly stride: number;

  constructor(schedule: Uint8Array, choices: readonly number[]) {
    super(schedule, choices);
    this.stride = strideOf(schedule.length);
  }
  stepped(execution: Execution): void {
    if (execution.picks % this.stride === 0) this.marks.push(execution.world.hash & 0xff);
  }
}
