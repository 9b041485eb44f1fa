/** Story: what went wrong in a sentence, and what would have to be otherwise for it to pass. */
import type { Finding } from "../world.ts";
import type { Run } from "./blocks.ts";
import type { Passing } from "./nearest.ts";
import { placeInSource, type Recording, type Row } from "./record.ts";

/** `kind: message`, once. */
export function headline(kind: string, message: string): string {
  const first = message.split("\n", 1)[0] as string;
  return first.toLowerCase().startsWith(kind) ? first : `${kind}: ${first}`;
}

/** Who, where, after how much. */
export function circumstances(recording: Recording, finding: Finding, contextSwitches: number): string {
  const thread =
    finding.thread < 0 ? "found after the end" : `in ${recording.threads[finding.thread] ?? "?"}`;
  const row = recording.rows.find((one) => one.index === recording.failing);
  const where = row === undefined || finding.thread < 0 ? "" : sourceOf(row);
  const switches = counted(contextSwitches, "context switch");
  return `${thread}${where}, after ${points(recording.schedule.length)} with ${switches}`;
}

/** `1 step`, `2 steps`. */
export function counted(n: number, noun: string): string {
  if (n === 1) return `1 ${noun}`;
  return `${n} ${noun}${noun.endsWith("ch") ? "es" : "s"}`;
}

function sourceOf(row: Row): string {
  const site = placeInSource(row);
  return site === undefined ? "" : ` at ${site.name} (${site.file}:${site.line})`;
}

/** "It passes when ..." */
export function passingStory(passing: Passing, threads: readonly string[]): string {
  const { move, difference } = passing;
  const who = threads[move.thread] ?? "?";
  const to = threads[move.to] ?? "the next thread";
  const steps = points(move.steps);
  const how = {
    later: `${who} goes on for ${steps} more before ${to} runs`,
    earlier: `${who} stops ${steps} earlier for ${to}`,
    without: `${who} is not preempted for ${to}`,
    swapped: `${to} runs before ${who}`,
    "ordinary choices": "no fault is injected",
    "no preemption": "no thread is preempted",
  }[move.kind];
  const order = difference?.order;
  const because =
    order === undefined
      ? ""
      : `: then "${opOf(order.first, threads)}" comes before "${opOf(order.second, threads)}"`;
  return `It passes when ${how}${because}.`;
}

/** "reader's read x at f (file:line) sees 1, written by writer; there it sees 0, as it was at the start" */
export function readStory(passing: Passing, threads: readonly string[]): string | undefined {
  const read = passing.difference?.read;
  if (read === undefined) return undefined;
  const value = (row: Row, from: Row | undefined): string =>
    `${row.read}, ${from === undefined ? "as it was at the start" : `written by ${opOf(from, threads)}`}`;
  const what = `${threads[read.failing.thread] ?? "?"}: ${read.failing.text.split(" = ", 1)[0]}`;
  return (
    `${what}${sourceOf(read.failing)} saw ${value(read.failing, read.failingFrom)}; ` +
    `when it passes, ${value(read.passing, read.passingFrom)}.`
  );
}

function opOf(row: Row, threads: readonly string[]): string {
  const site = placeInSource(row);
  const where =
    site === undefined ? "" : ` (${site.file.slice(site.file.lastIndexOf("/") + 1)}:${site.line})`;
  return `${threads[row.thread] ?? "the checks"}: ${row.text}${where}`;
}

/** "producer x3, consumer x7, producer" */
export function runsText(runs: readonly Run[], threads: readonly string[], most: number = 12): string {
  const shown = runs.slice(0, most).map(({ thread, steps }) => {
    const name = threads[thread] ?? `thread ${thread}`;
    return steps === 1 ? name : `${name} x${steps}`;
  });
  if (runs.length > most) shown.push(`… ${runs.length - most} more`);
  return shown.join(", ");
}

function points(n: number): string {
  return n === 1 ? "1 switch point" : `${n} switch points`;
}
