/**
 * Clocks: a vector clock for each row of a recording. A row comes after the rows of its thread before it, after the
 * write it read, and after the notify that woke it. Each row is one event of its thread.
 */
import { OP_WAKE, OPS, READS } from "../op.ts";
import type { Recording, Row } from "./record.ts";

/** By row of the recording: events of each thread known then. The last entry is that of the checks after the end. */
export function clocksOf(recording: Recording): Int32Array[] {
  const size = recording.threads.length + 1;
  const now = Array.from({ length: size }, () => new Int32Array(size));
  const clocks: Int32Array[] = [];
  for (const row of recording.rows) {
    const host = row.thread < 0 ? size - 1 : row.thread;
    const clock = now[host] as Int32Array;
    if (row.thread < 0) for (const other of now) join(clock, other);
    const from = seesFrom(row) ? clocks[row.from - recording.dropped] : undefined;
    if (from !== undefined) join(clock, from);
    clock[host] = (clock[host] as number) + 1;
    clocks.push(clock.slice());
  }
  return clocks;
}

/** Does row.from say whose write it saw, or who woke it? */
export function seesFrom(row: Row): boolean {
  return row.from >= 0 && (row.kind === OP_WAKE || ((OPS[row.kind]?.access ?? 0) & READS) !== 0);
}

function join(clock: Int32Array, other: Int32Array): void {
  for (let i = 0; i < clock.length; i++) clock[i] = Math.max(clock[i] as number, other[i] as number);
}
