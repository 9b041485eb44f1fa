/**
 * Columns: an interleaving as a table with one column a thread, time running down, the source at the right.
 *
 * A row belongs to one thread, so its text may run on over the columns to the right. Numbers at the left are steps of
 * the schedule; ops that follow in the same step have none. `>` marks the failure. Plain text of at most `width`
 * columns.
 */
import { isFold, type TraceFold, type TraceOp, type TraceRow } from "./trace.ts";

export const COLUMNS_WIDTH = 112;

const NUMBER = 7;
const SITE = 34;
/** Columns a text gets at least. */
const TEXT = 30;
const LANE_MAX = 34;
const LANE_MIN = 4;

/** `threads`: names by index. Threads without a row get no column. */
export function columnsOf(
  trace: readonly TraceRow[],
  threads: readonly string[],
  width: number = COLUMNS_WIDTH,
): string[] {
  const seen = new Set(
    trace.flatMap((row) => (!isFold(row) ? [row.thread] : isJoined(row) ? [] : row.threads)),
  );
  const lanes = [...seen].filter((t) => t >= 0).toSorted((a, b) => a - b);
  const sited = trace.some((row) => !isFold(row) && row.site !== undefined);
  const room = width - NUMBER - (sited ? SITE + 1 : 0);
  const gap = Math.max(
    LANE_MIN,
    Math.min(LANE_MAX, Math.floor((room - TEXT) / Math.max(1, lanes.length - 1))),
  );
  const laneOf = (thread: number): number => (thread < 0 ? 0 : lanes.indexOf(thread) * gap);
  const lines = header(lanes, threads, gap, width);
  for (const row of trace) {
    const joined = isFold(row) && isJoined(row);
    const thread = isFold(row) ? (row.threads[0] ?? -1) : row.thread;
    const lane = " ".repeat(joined ? 0 : laneOf(thread));
    if (isFold(row)) lines.push(cut(" ".repeat(NUMBER) + lane + foldText(row, threads), width));
    else lines.push(opLine(row, lane, room, sited));
    if (row.handover !== undefined && !joined)
      lines.push(`${" ".repeat(NUMBER)}${lane}-- ${row.handover} --`);
  }
  return lines.map((line) => line.trimEnd());
}

function isJoined(fold: TraceFold): boolean {
  return fold.switches > 0;
}

function foldText(fold: TraceFold, threads: readonly string[]): string {
  const { folded, switches } = fold;
  if (!isJoined(fold)) return `… ${folded} steps`;
  const names = fold.threads.map((t) => threads[t] ?? "the checks").join(", ");
  if (fold.to < 0) return `… ${folded} steps before the first switch point (${names})`;
  return `… ${folded} steps of ${names} with ${switches} switches`;
}

function opLine(row: TraceOp, lane: string, room: number, sited: boolean): string {
  const number = row.quiet || row.thread < 0 ? "" : String(row.step);
  const mark = row.failing === true ? ">" : " ";
  const who = row.thread < 0 ? "check: " : "";
  const text = cut(lane + who + row.text, room);
  const left = `${mark}${number.padStart(NUMBER - 3)}  ${text}`;
  return sited && row.site !== undefined ? `${left.padEnd(NUMBER + room)} ${siteText(row.site)}` : left;
}

/** `name file:line`, the file by its last part, within SITE columns. */
function siteText({ file, line, name }: NonNullable<TraceOp["site"]>): string {
  const where = `${file.slice(file.lastIndexOf("/") + 1)}:${line}`;
  const room = SITE - where.length - 1;
  return room < 4 ? where.slice(-SITE) : `${cut(name, room)} ${where}`;
}

function header(lanes: readonly number[], threads: readonly string[], gap: number, width: number): string[] {
  const names = lanes.map((t) => threads[t] ?? `thread ${t}`);
  const fits = names.every((name, i) => i === names.length - 1 || name.length < gap);
  const indent = " ".repeat(NUMBER);
  if (fits) {
    const line = names.map((name) => name.padEnd(gap)).join("");
    const rule = names.map((name) => "-".repeat(name.length).padEnd(gap)).join("");
    return [cut(indent + line, width), cut(indent + rule, width)];
  }
  return names.map((name, i) => cut(indent + " ".repeat(i * gap) + name, width));
}

export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
