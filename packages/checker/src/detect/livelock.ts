/**
 * Livelock: the step limit was reached. If in its last part the execution did nothing it had not done before, threads
 * undo or retry each other's work for ever; otherwise it may only be long, and is reported as the step limit.
 *
 * Who repeats what needs a History among the monitors.
 */
import type { Execution } from "../execution.ts";
import { OPS } from "../op.ts";
import { siteText } from "../runtime.ts";
import { ASLEEP, ENDED, type Thread, UNBORN } from "../thread.ts";
import type { Finding } from "../world.ts";
import { deadlockReport } from "./deadlock.ts";
import { type History, historyOf, type PastOp } from "./history.ts";
import { hex } from "./race-report.ts";

/** Ops looked at: the later half must hold nothing new. */
const WINDOW = 4096;
/** Sites told of each thread. */
const SITES = 4;

export function livelockReport(execution: Execution): Finding {
  const alive = execution.threads.filter((t) => t.state !== ENDED && t.state !== UNBORN);
  const users = alive.filter((t) => t.spec.daemon !== true);
  const running = users.length > 0 ? users : alive;
  const history = historyOf(execution.world);
  if (users.length > 0 && users.every((t) => sleepsOn(t, history))) return deadlockReport(execution);
  const names = running.map((t) => t.spec.name).join(", ");
  const repeats = history === undefined || isRepeating(history);
  const limit = `in ${execution.maxSteps} steps, half of them under a fair schedule`;
  const message = repeats
    ? `livelock: ${names} did not end ${limit}`
    : `step limit: ${names} did not end ${limit}, but still did something new`;
  const lines = history === undefined ? [] : running.flatMap((thread) => threadText(history, thread));
  return {
    kind: repeats ? "livelock" : "step-limit",
    message,
    thread: -1,
    site: (running[0] ?? execution.threads[0])?.mem.site ?? 0,
    report: [message, ...lines].join("\n"),
  };
}

/** Asleep without time-out, and not woken for long: the others only keep the clock going. */
function sleepsOn(thread: Thread, history: History | undefined): boolean {
  if (thread.state !== ASLEEP || thread.deadline !== Number.POSITIVE_INFINITY || history === undefined)
    return false;
  const from = Math.max(history.first, history.count - WINDOW);
  return history.lastBefore(history.count, (op) => op.thread === thread.index) < from;
}

/** Did all ops of the later half of the window, with their values, happen in the earlier half, too? */
function isRepeating(history: History): boolean {
  const from = Math.max(history.first, history.count - WINDOW);
  const middle = (from + history.count) >> 1;
  const seen = new Set<string>();
  for (let n = from; n < middle; n++) seen.add(keyOf(history.op(n)));
  for (let n = middle; n < history.count; n++) if (!seen.has(keyOf(history.op(n)))) return false;
  return true;
}

function keyOf({ thread, kind, p, site, result, after }: PastOp): string {
  return `${thread} ${kind} ${p} ${site} ${result} ${after}`;
}

interface Repeat {
  readonly op: PastOp;
  times: number;
}

function threadText(history: History, thread: Thread): string[] {
  const repeats = new Map<string, Repeat>();
  let ops = 0;
  for (let n = Math.max(history.first, history.count - WINDOW); n < history.count; n++) {
    const op = history.op(n);
    if (op.thread !== thread.index) continue;
    ops++;
    const key = `${op.site} ${op.kind} ${op.p}`;
    const repeat = repeats.get(key);
    if (repeat === undefined) repeats.set(key, { op, times: 1 });
    else repeat.times++;
  }
  const most = [...repeats.values()].sort((a, b) => b.times - a.times).slice(0, SITES);
  const lines = most.map(({ op, times }) => {
    const { name } = OPS[op.kind] as { name: string };
    return `  ${times} times ${name} of ${hex(op.p)} at ${siteText(op.site)}, last ${op.result}`;
  });
  return [`${thread.spec.name}, in its last ${ops} ops:`, ...lines];
}
