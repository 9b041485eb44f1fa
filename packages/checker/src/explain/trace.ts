/**
 * Trace: a recording as a failure record tells it: the rows of its slice with names instead of numbers, and a fold for
 * each run of rows left out. Plain data, the same in JSON.
 */
import { OPS } from "../op.ts";
import { siteOf } from "../runtime.ts";
import type { Handover, Recording, Row } from "./record.ts";
import { sliceOf } from "./slice.ts";

/** Where an op stands in the source. Lines and columns from 1. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly name: string;
}

export interface TraceOp {
  /** Of the schedule, from 0; -1: before the thread's first switch point. */
  readonly step: number;
  /** Index into the failure's threads; -1: the checks after the end. */
  readonly thread: number;
  /** The verb. */
  readonly op: string;
  /** Name or address; "" for none. */
  readonly place: string;
  /** In words, with values. */
  readonly text: string;
  /** Value read, or the old value of a write; absent where nobody knows. */
  readonly read?: number;
  readonly written?: number;
  /** Absent where the program was written without the loader. */
  readonly site?: SourcePlace;
  /** The scheduler had no say before it. */
  readonly quiet: boolean;
  /** The failure shows here. */
  readonly failing?: boolean;
  /** Another thread goes on after this op, and why. */
  readonly handover?: Handover;
}

/** Ops that were left out. */
export interface TraceFold {
  readonly folded: number;
  /** Whose; several when their folds follow one another many times. */
  readonly threads: readonly number[];
  /** Changes of thread among them. */
  readonly switches: number;
  /** Steps of the schedule it begins and ends with. */
  readonly from: number;
  readonly to: number;
  readonly handover?: Handover;
}

export type TraceRow = TraceOp | TraceFold;

export function isFold(row: TraceRow): row is TraceFold {
  return "folded" in row;
}

export function traceOf(recording: Recording, limit?: number): TraceRow[] {
  const shown = sliceOf(recording, limit);
  const { rows } = recording;
  const trace: TraceRow[] = [];
  for (let i = 0; i < rows.length; ) {
    const row = rows[i] as Row;
    if (shown.has(row.index)) {
      trace.push(traceOp(recording, row, rows[i + 1]));
      i++;
      continue;
    }
    let end = i + 1;
    while (end < rows.length && rows[end]?.thread === row.thread && !shown.has((rows[end] as Row).index))
      end++;
    // A fold takes a line, too.
    if (end === i + 1) {
      shown.add(row.index);
      continue;
    }
    const last = rows[end - 1] as Row;
    trace.push({
      folded: end - i,
      threads: [row.thread],
      switches: 0,
      from: row.step,
      to: last.step,
      ...handover(last, rows[end]),
    });
    i = end;
  }
  return joinFolds(trace);
}

/** Folds in a row that are shown one by one. */
const FOLDS = 3;

/** Many folds in a row become one; those before the first switch point always. */
function joinFolds(trace: readonly TraceRow[]): TraceRow[] {
  const joined: TraceRow[] = [];
  for (let i = 0; i < trace.length; ) {
    let end = i;
    while (end < trace.length && isFold(trace[end] as TraceRow)) end++;
    const folds = trace.slice(i, end).filter(isFold);
    if (folds.length > FOLDS || (folds.length > 1 && (folds.at(-1) as TraceFold).to < 0))
      joined.push(joinedFold(folds));
    else joined.push(...folds);
    if (end < trace.length) joined.push(trace[end] as TraceRow);
    i = end + 1;
  }
  return joined;
}

function joinedFold(folds: readonly TraceFold[]): TraceFold {
  const [first, last] = [folds[0] as TraceFold, folds.at(-1) as TraceFold];
  return {
    folded: folds.reduce((sum, fold) => sum + fold.folded, 0),
    threads: [...new Set(folds.flatMap((fold) => fold.threads))].toSorted((a, b) => a - b),
    switches: folds.length - 1,
    from: first.from,
    to: last.to,
    ...(last.handover === undefined ? {} : { handover: last.handover }),
  };
}

function handover(row: Row, next: Row | undefined): { handover?: Handover } {
  if (row.handover === undefined || row.thread < 0) return {};
  // At the very end only those who wait for ever are worth a word.
  const last = next === undefined || next.thread < 0;
  if (last ? row.handover !== "sleeps" && row.handover !== "spins" : next.thread === row.thread) return {};
  return { handover: row.handover };
}

export function traceOp(recording: Recording, row: Row, next: Row | undefined): TraceOp {
  const site = sourcePlace(row.site);
  return {
    step: row.step,
    thread: row.thread,
    op: OPS[row.kind]?.name ?? "?",
    place: row.place === 0 && row.bytes === 0 ? "" : recording.name(row.place),
    text: row.text,
    ...(Number.isNaN(row.read) ? {} : { read: row.read }),
    ...(row.written === undefined || Number.isNaN(row.written) ? {} : { written: row.written }),
    ...(site === undefined ? {} : { site }),
    quiet: row.quiet,
    ...(row.index === recording.failing ? { failing: true } : {}),
    ...handover(row, next),
  };
}

/** undefined for site 0, "unknown". */
export function sourcePlace(site: number): SourcePlace | undefined {
  if (site === 0) return undefined;
  const { file, line, column, name } = siteOf(site);
  return { file, line, column, name };
}
