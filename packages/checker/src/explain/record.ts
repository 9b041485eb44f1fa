/**
 * Record: repeats an execution and writes down every op: who, what, where, the values, and which op wrote what it read.
 *
 * A row is one op. Rows are in the order of execution; those of the checks after the end have thread -1. Rows that
 * follow the failure within its step are left out. Places are words: the writer of a byte is the writer of its word.
 */
import type { ControlledMemory } from "../controlled-memory.ts";
import type { Execution, Outcome } from "../execution.ts";
import type { FailedExecution } from "../explore.ts";
import { OP_PAUSE } from "../op.ts";
import { siteOf, type Site } from "../runtime.ts";
import { ASLEEP, ENDED, PARKED } from "../thread.ts";
import type { Finding } from "../world.ts";
import { Flow } from "./flow.ts";
import { TrackedReplay } from "./guide.ts";
import { textOf } from "./op-text.ts";

/** Gives a place a name, if it knows one; "" or undefined if not. Default: what the program says. */
export type Describe = (place: number) => string | undefined;

/** Why another thread goes on after this row. */
export type Handover = "preempted" | "sleeps" | "spins" | "ends";

export interface Row {
  readonly index: number;
  /** Of the schedule, from 0. -1: before the thread's first switch point. Its length: after the end. */
  readonly step: number;
  /** -1: the checks after the end. */
  readonly thread: number;
  readonly kind: number;
  /** Byte address; 0 for none. */
  readonly place: number;
  /** Bytes touched. */
  readonly bytes: number;
  /** Of a bulk copy: where from. */
  readonly source: number;
  /** Value read, or the old value of a write. */
  readonly read: number;
  /** Value in memory afterwards. */
  readonly written: number | undefined;
  readonly site: number;
  /** The scheduler had no say before it. */
  readonly quiet: boolean;
  /** The op in words, with the name of its place. */
  readonly text: string;
  /** Row that wrote what this one read, or overwrote; -1: it was so from the start, or there is none. */
  readonly from: number;
  /** Rows of other threads that had to come before this one for the same result. */
  readonly causes: readonly number[];
  handover?: Handover;
}

export interface Recording {
  readonly outcome: Outcome;
  readonly threads: readonly string[];
  readonly rows: readonly Row[];
  /** Index of the row of the failure; -1 when nothing failed, or not in an op. */
  readonly failing: number;
  readonly finding: Finding | undefined;
  /** Rows dropped from the start of a very long execution. */
  readonly dropped: number;
  readonly schedule: Uint8Array;
  readonly choices: readonly number[];
  /** First step at which the schedule could not be followed; -1: it was. */
  readonly diverged: number;
  readonly name: (place: number) => string;
}

/** Rows kept at most. */
const MAX_ROWS = 300_000;

export function record(
  execution: Execution,
  schedule: Pick<FailedExecution, "schedule" | "choices">,
  describe?: Describe,
): Recording {
  const { world } = execution;
  const replay = new RecordingReplay(
    schedule.schedule,
    schedule.choices,
    execution,
    describe ?? world.describe,
  );
  const before = world.recorder;
  world.recorder = (mem) => replay.op(mem);
  let outcome: Outcome;
  try {
    outcome = replay.run(execution);
  } finally {
    world.recorder = before;
  }
  const failing = failingRow(replay, outcome.finding);
  const end = replay.foundAt >= 0 ? failing + 1 - replay.dropped : replay.rows.length;
  return {
    outcome,
    threads: [...world.names],
    rows: replay.rows.slice(0, end),
    failing,
    finding: outcome.finding,
    dropped: replay.dropped,
    schedule: execution.schedule.slice(0, execution.picks),
    choices: [...execution.choices],
    diverged: replay.diverged,
    name: replay.placeName,
  };
}

/** The row of that index; undefined when it was dropped. */
export function rowAt(recording: Recording, index: number): Row | undefined {
  return recording.rows[index - recording.dropped];
}

/**
 * The op a finding is about. Accesses are judged while they are made; what the program itself reports, it says after
 * the op it speaks of; what is found at the end (a leak, a deadlock) is about the last op at that site.
 */
function failingRow(replay: RecordingReplay, finding: Finding | undefined): number {
  if (finding === undefined) return -1;
  const { rows, foundAt, dropped } = replay;
  const { thread, site, kind } = finding;
  const newest = rows.at(-1)?.index ?? -1;
  if (thread < 0) return foundAt < 0 || kind !== "assertion" ? newest : foundAt - 1;
  const at = rows[foundAt - dropped];
  const itself = kind !== "assertion" && kind !== "crash";
  if (itself && at !== undefined && at.thread === thread && at.site === site) return foundAt;
  const last = foundAt >= 0 ? foundAt : newest + 1;
  const of = rows.findLast((row) => row.index < last && row.thread === thread && row.site === site);
  return (of ?? rows.findLast((row) => row.index < last && row.thread === thread))?.index ?? -1;
}

class RecordingReplay extends TrackedReplay {
  readonly rows: Row[] = [];
  /** Row during or before which something was found. */
  foundAt: number = -1;
  dropped: number = 0;
  readonly placeName: (place: number) => string;
  private readonly execution: Execution;
  private readonly flow: Flow = new Flow();
  /** By thread: its pending op is none that a row tells of. */
  private readonly pausing: boolean[] = [];
  private lastStep: number = -1;

  constructor(
    schedule: Uint8Array,
    choices: readonly number[],
    execution: Execution,
    describe: Describe | undefined,
  ) {
    super(schedule, choices);
    this.execution = execution;
    this.placeName = (place) => nameOf(describe, place);
  }

  /** The recorder. */
  op(mem: ControlledMemory): void {
    const { execution, rows } = this;
    const step = mem.thread < 0 ? execution.picks : execution.picks - 1;
    const first = step !== this.lastStep;
    this.lastStep = step;
    const index = this.dropped + rows.length;
    const op = this.flow.next(mem, index);
    const row: Row = {
      index,
      step,
      thread: mem.thread,
      kind: mem.kind,
      place: mem.p,
      bytes: op.bytes,
      source: op.source,
      read: op.read,
      written: op.written,
      site: mem.site,
      quiet: !first || step < 0 || this.pausing[mem.thread] === true,
      text: textOf(mem, op, this.placeName),
      from: op.from,
      causes: op.causes,
    };
    rows.push(row);
    if (this.foundAt < 0 && execution.world.finding !== undefined) this.foundAt = row.index;
    if (rows.length >= MAX_ROWS) {
      rows.splice(0, MAX_ROWS / 2);
      this.dropped += MAX_ROWS / 2;
    }
  }

  override stepped(execution: Execution, thread: number): void {
    super.stepped(execution, thread);
    const at = execution.threads[thread];
    if (at === undefined) return;
    this.pausing[thread] = at.pending === OP_PAUSE;
    const row = this.rows.at(-1);
    if (row === undefined || row.thread !== thread) return;
    row.handover =
      at.state === ENDED
        ? "ends"
        : at.state === ASLEEP
          ? "sleeps"
          : at.state === PARKED
            ? "spins"
            : "preempted";
  }
}

function nameOf(describe: Describe | undefined, place: number): string {
  const name = describe?.(place) ?? "";
  return name === "" ? `0x${place.toString(16)}` : name;
}

/** Where the row stands in the source; undefined where it is not known. */
export function placeInSource(row: Row): Site | undefined {
  return row.site === 0 ? undefined : siteOf(row.site);
}
