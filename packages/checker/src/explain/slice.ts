/**
 * Slice: the ops worth showing. Backwards from the failure along what each op read and overwrote, and along its thread
 * to the thread's last dealings with others; nearest causes first, until there are enough. An op the scheduler had a
 * say before, or on a place with a name, is near; one of the many quiet ops between is far.
 *
 * Always shown: the ops before and after each of the last context switches, and the alloc and the free of an object
 * that is used wrongly.
 */
import { OP_ALLOC, OP_FREE } from "../op.ts";
import { type Recording, type Row, rowAt } from "./record.ts";

/** Rows to show at most. */
export const SLICE_ROWS = 40;
/** So few are shown as they are. */
const SMALL = 14;
const SWITCHES = 6;
const NEAR = 1;
const FAR = 6;
/** Farther than this, a cause explains nothing. */
const FARTHEST = 40;

/** Indices of rows, ascending. */
export function sliceOf(recording: Recording, limit: number = SLICE_ROWS): Set<number> {
  const { rows } = recording;
  if (rows.length <= Math.min(limit, SMALL)) return new Set(rows.map((row) => row.index));
  const shown = new Set<number>();
  for (const row of [...lifeLine(recording), ...atSwitches(recording)]) shown.add(row.index);
  const speaking = speakers(recording);
  const seen = new Set<number>();
  /** Rows to look at, by distance from the failure. */
  const layers: number[][] = [starts(recording).map((row) => row.index)];
  for (let distance = 0; distance <= FARTHEST && shown.size < limit; distance++) {
    for (const index of (layers[distance] ?? []).toSorted((a, b) => b - a)) {
      const row = rowAt(recording, index);
      if (row === undefined || seen.has(index)) continue;
      seen.add(index);
      if (shown.size < limit) shown.add(index);
      for (const cause of causesOf(recording, row, speaking)) {
        const at = distance + distanceOf(recording, cause);
        (layers[at] ??= []).push(cause);
      }
    }
  }
  return new Set([...shown].toSorted((a, b) => a - b));
}

function distanceOf(recording: Recording, index: number): number {
  const row = rowAt(recording, index);
  if (row === undefined) return FAR;
  return !row.quiet || row.thread < 0 || !recording.name(row.place).startsWith("0x") ? NEAR : FAR;
}

/** Where the failure shows: its row, each thread's last op in a deadlock, the reads of the checks after the end. */
function starts(recording: Recording): Row[] {
  const { rows, finding } = recording;
  const failing = rowAt(recording, recording.failing);
  const found = failing === undefined ? [] : [failing];
  if (finding?.kind === "deadlock" || finding?.kind === "lost-wakeup") {
    for (let t = 0; t < recording.threads.length; t++) found.push(...lastOf(rows, t));
  } else if (finding?.thread === -1) found.push(...rows.filter((row) => row.thread < 0).slice(-8));
  return found;
}

function lastOf(rows: readonly Row[], thread: number): Row[] {
  const row = rows.findLast((other) => other.thread === thread);
  return row === undefined || row.handover === "ends" ? [] : [row];
}

function causesOf(recording: Recording, row: Row, speaking: ReadonlySet<number>): number[] {
  const causes = [...row.causes];
  if (row.from >= 0) causes.push(row.from);
  // Along its thread: the last dealing with others, and the last one that is near.
  let any = false;
  for (let i = row.index - 1; i >= recording.dropped; i--) {
    if (rowAt(recording, i)?.thread !== row.thread || !speaking.has(i)) continue;
    const near = distanceOf(recording, i) === NEAR;
    if (near || !any) causes.push(i);
    if (near) break;
    any = true;
  }
  return causes;
}

/** Rows that other threads depend on, or that depend on other threads. */
function speakers({ rows }: Recording): Set<number> {
  const found = new Set<number>();
  for (const row of rows) {
    if (row.causes.length > 0) found.add(row.index);
    for (const cause of row.causes) found.add(cause);
  }
  return found;
}

function atSwitches({ rows }: Recording): Row[] {
  const found: Row[] = [];
  for (let i = rows.length - 1; i > 0 && found.length < 2 * SWITCHES; i--) {
    const row = rows[i] as Row;
    const before = rows[i - 1] as Row;
    if (row.thread >= 0 && before.step >= 0 && row.thread !== before.thread) found.push(before, row);
  }
  return found;
}

/** The last alloc and free of the bytes the failing op touches. */
export function lifeLine(recording: Recording): Row[] {
  const failing = rowAt(recording, recording.failing);
  const kind = recording.finding?.kind ?? "";
  if (failing === undefined || !/free|bounds|leak|refcount/.test(kind)) return [];
  const { place } = failing;
  const covers = (row: Row): boolean =>
    row.index < failing.index && row.place <= place && place < row.place + row.bytes;
  const alloc = recording.rows.findLast((row) => row.kind === OP_ALLOC && covers(row));
  const free = recording.rows.findLast(
    (row) => row.kind === OP_FREE && row.text.startsWith("free") && covers(row),
  );
  return [alloc, free, failing].filter((row) => row !== undefined);
}
