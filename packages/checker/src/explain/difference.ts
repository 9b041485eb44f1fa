/**
 * Difference: what two executions of one program disagree about: the first read that saw another write, and the first
 * two conflicting ops that came in the other order. Ops are matched by thread and number, as long as both executions
 * do the same at that number.
 */
import { OPS, READS } from "../op.ts";
import { type Recording, type Row, rowAt } from "./record.ts";

export interface Difference {
  readonly read: ReadDifference | undefined;
  readonly order: OrderDifference | undefined;
}

/** A read of both, by rows of the two recordings. `from` is -1 where the value stood there from the start. */
export interface ReadDifference {
  readonly failing: Row;
  readonly passing: Row;
  readonly failingFrom: Row | undefined;
  readonly passingFrom: Row | undefined;
}

/** Rows of the passing execution: there `first` comes before `second`, in the failing one it came after, or never. */
export interface OrderDifference {
  readonly first: Row;
  readonly second: Row;
}

export function differenceOf(failing: Recording, passing: Recording): Difference | undefined {
  const ours = byThread(failing);
  const theirs = byThread(passing);
  /** Row of the passing execution by index of the failing one's, and the other way round. */
  const match = new Map<number, Row>();
  const back = new Map<number, Row>();
  /** Rows of the passing execution that the failing one does not have. */
  const never = new Set<number>();
  ours.forEach((rows, thread) => {
    const others = theirs[thread] ?? [];
    let i = 0;
    for (; i < rows.length && i < others.length; i++) {
      const row = rows[i] as Row;
      const other = others[i] as Row;
      if (row.kind !== other.kind || row.site !== other.site) break;
      match.set(row.index, other);
      back.set(other.index, row);
      if (row.place !== other.place) break;
    }
    for (const other of others.slice(i)) never.add(other.index);
  });
  const read = readDifference(failing, passing, match);
  const order = orderDifference(passing, back, never);
  return read === undefined && order === undefined ? undefined : { read, order };
}

function byThread({ rows, threads }: Recording): Row[][] {
  const lists: Row[][] = threads.map(() => []);
  for (const row of rows) if (row.thread >= 0) lists[row.thread]?.push(row);
  return lists;
}

/** The first such read, of the failing thread if it has one. */
function readDifference(
  failing: Recording,
  passing: Recording,
  match: ReadonlyMap<number, Row>,
): ReadDifference | undefined {
  const found: ReadDifference[] = [];
  for (const row of failing.rows) {
    const other = match.get(row.index);
    if (other === undefined || row.place !== other.place || !readsValue(row)) continue;
    const failingFrom = rowAt(failing, row.from);
    const passingFrom = rowAt(passing, other.from);
    const same =
      failingFrom === undefined
        ? passingFrom === undefined
        : match.get(failingFrom.index)?.index === passingFrom?.index;
    if (!same) found.push({ failing: row, passing: other, failingFrom, passingFrom });
  }
  const thread = failing.finding?.thread ?? -1;
  return found.find((one) => one.failing.thread === thread && isOutside(one)) ?? found.find(isOutside);
}

/** Somebody else's write is seen, on one side at least. */
function isOutside({ failing, failingFrom, passingFrom }: ReadDifference): boolean {
  return [failingFrom, passingFrom].some((from) => from !== undefined && from.thread !== failing.thread);
}

function readsValue(row: Row): boolean {
  return row.bytes > 0 && ((OPS[row.kind]?.access ?? 0) & READS) !== 0;
}

function orderDifference(
  passing: Recording,
  back: ReadonlyMap<number, Row>,
  never: ReadonlySet<number>,
): OrderDifference | undefined {
  for (const second of passing.rows) {
    const later = back.get(second.index);
    if (later === undefined) continue;
    for (const cause of second.causes) {
      const first = rowAt(passing, cause);
      const was = back.get(cause);
      if (first === undefined) continue;
      if (was === undefined ? never.has(cause) : was.index > later.index) return { first, second };
    }
  }
  return undefined;
}
