/**
 * Chrome trace event JSON, as Perfetto and chrome://tracing open it ("Trace Event Format", Google, 2016).
 *
 * pid is the run, tid the thread plus one. One complete event (ph X) a step, at ts = step + 1 with dur 1; further ops
 * of the same step are slices within it. Time is the order of steps, not a clock: a microsecond is a step. Flows
 * (ph s, f) lead from a write to the read that saw it, and from a notify to the one it woke.
 */
import { seesFrom } from "./clocks.ts";
import { placeInSource, type Recording, type Row, rowAt } from "./record.ts";

export interface ChromeEvent {
  readonly name: string;
  readonly ph: "X" | "M" | "s" | "f" | "i";
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly id?: number;
  readonly bp?: "e";
  readonly s?: "t";
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface ChromeTrace {
  readonly traceEvents: readonly ChromeEvent[];
  readonly displayTimeUnit: "ns";
  readonly otherData: Readonly<Record<string, string>>;
}

/** `runs`: one process each, for the failing and the passing execution side by side. */
export function chromeTrace(
  runs: readonly { readonly name: string; readonly recording: Recording }[],
): ChromeTrace {
  const traceEvents = runs.flatMap(({ name, recording }, i) =>
    eventsOf(name, recording, i + 1, i * 1_000_000),
  );
  return { traceEvents, displayTimeUnit: "ns", otherData: { time: "1 us = 1 step" } };
}

function eventsOf(name: string, recording: Recording, pid: number, flows: number): ChromeEvent[] {
  const events: ChromeEvent[] = [{ name: "process_name", ph: "M", pid, tid: 0, args: { name } }];
  const names = [...recording.threads, "checks"];
  names.forEach((thread, t) => {
    events.push({ name: "thread_name", ph: "M", pid, tid: t + 1, args: { name: thread } });
    events.push({ name: "thread_sort_index", ph: "M", pid, tid: t + 1, args: { sort_index: t } });
  });
  const starts = new Map<number, number>();
  for (const group of steps(recording.rows)) events.push(...slices(group, pid, names.length, starts));
  let id = flows;
  for (const row of recording.rows) {
    const from = seesFrom(row) ? rowAt(recording, row.from) : undefined;
    if (from === undefined || from.thread === row.thread || row.thread < 0) continue;
    id++;
    const flow = { name: "sees", cat: "flow", id, pid };
    events.push({ ...flow, ph: "s", tid: from.thread + 1, ts: starts.get(from.index) as number });
    events.push({ ...flow, ph: "f", bp: "e", tid: row.thread + 1, ts: starts.get(row.index) as number });
  }
  return events;
}

/** Ops of one step, or of what ran before the first or after the last. */
function steps(rows: readonly Row[]): Row[][] {
  const groups: Row[][] = [];
  for (const row of rows) {
    const group = groups.at(-1);
    if (group?.[0]?.step === row.step && group[0].thread === row.thread) group.push(row);
    else groups.push([row]);
  }
  return groups;
}

function slices(
  group: readonly Row[],
  pid: number,
  checks: number,
  starts: Map<number, number>,
): ChromeEvent[] {
  return group.map((row, i) => {
    const step = row.step + 1;
    const ts = i === 0 ? step : step + i / (group.length + 1);
    const dur = i === 0 ? 1 : 1 / (group.length + 2);
    starts.set(row.index, ts);
    const site = placeInSource(row);
    const where = site === undefined ? {} : { at: `${site.file}:${site.line}`, function: site.name };
    const tid = row.thread < 0 ? checks : row.thread + 1;
    return { name: row.text, cat: "op", ph: "X", ts, dur, pid, tid, args: { step: row.step, ...where } };
  });
}
