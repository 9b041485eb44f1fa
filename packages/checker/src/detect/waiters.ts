/**
 * Waiters: who is stuck at the end of an execution, on which word, and who could have changed it: the facts that
 * deadlock and lost wake-up reports tell.
 */
import type { Execution } from "../execution.ts";
import { OP_NOTIFY, OP_WAIT } from "../op.ts";
import { ASLEEP, ENDED, type Thread, UNBORN } from "../thread.ts";
import { type History, historyOf, isChange, isRead, type PastOp } from "./history.ts";

export interface Waiter {
  readonly thread: Thread;
  readonly asleep: boolean;
  /** The word it waits for; 0: it is not known. */
  readonly place: number;
  /** What a sleeper expects to find, what a spinning thread found. */
  readonly expected: number;
  readonly value: number;
  /** The last change of the word by somebody who does not wait for it. */
  readonly lastChange: PastOp | undefined;
  /** Others that have touched the word. */
  readonly touchedBy: readonly number[];
  readonly lost: LostWakeup | undefined;
}

/** Why nobody will come. */
export interface LostWakeup {
  /** The change that the sleeper does not know of. */
  readonly change: PastOp | undefined;
  /** What the sleeper had read before the change. */
  readonly stale: PastOp | undefined;
  /** The notify that found nobody asleep. */
  readonly notify: PastOp | undefined;
}

/** Reads a sleeper may have decided on, at most. */
const DECISIONS = 16;

export function waitersOf(execution: Execution): Waiter[] {
  const history = historyOf(execution.world);
  const stuck = execution.threads.filter((t) => t.state !== ENDED && t.state !== UNBORN);
  return stuck.map((thread) => waiterOf(execution, thread, history));
}

function waiterOf(execution: Execution, thread: Thread, history: History | undefined): Waiter {
  const { world } = execution;
  const asleep = thread.state === ASLEEP;
  const last = thread.spinCount - 1;
  const place = asleep ? thread.mem.p : last < 0 ? 0 : (thread.spinPlace[last] as number);
  const value = world.wordAt(place);
  const expected = asleep ? thread.mem.b | 0 : value;
  const base = { thread, asleep, place, expected, value };
  if (history === undefined || place === 0)
    return { ...base, lastChange: undefined, touchedBy: [], lost: asleep ? mismatch(base) : undefined };
  const waitsHere = (t: number): boolean => {
    const other = execution.threads[t] as Thread;
    return other.state === ASLEEP && other.mem.p === place;
  };
  const lost = asleep ? lostWakeup(history, base) : undefined;
  return { ...base, lastChange: ownerOf(history, place, waitsHere), touchedBy: touched(history, base), lost };
}

type Place = Pick<Waiter, "thread" | "place" | "expected" | "value">;

function mismatch({ expected, value }: Place): LostWakeup | undefined {
  return expected === value ? undefined : { change: undefined, stale: undefined, notify: undefined };
}

/**
 * Who has the word in hand: the last to change it that does not wait for it now, else the last to take it from 0 (a
 * lock its own owner waits for).
 */
function ownerOf(history: History, place: number, waitsHere: (t: number) => boolean): PastOp | undefined {
  const changes = (op: PastOp): boolean => op.p === place && isChange(op);
  let n = history.lastBefore(history.count, (op) => changes(op) && !waitsHere(op.thread));
  if (n < 0) n = history.lastBefore(history.count, (op) => changes(op) && op.result === 0 && isRead(op));
  if (n < 0) n = history.lastBefore(history.count, changes);
  return n < 0 ? undefined : history.op(n);
}

function touched(history: History, { thread, place }: Place): number[] {
  const threads = new Set<number>();
  for (let n = history.first; n < history.count; n++) {
    const op = history.op(n);
    if (op.p === place && op.thread !== thread.index) threads.add(op.thread);
  }
  return [...threads].sort((a, b) => a - b);
}

function lostWakeup(history: History, waiter: Place): LostWakeup | undefined {
  const { place } = waiter;
  const me = waiter.thread.index;
  const slept = history.lastBefore(history.count, (op) => op.thread === me && op.kind === OP_WAIT);
  if (waiter.value !== waiter.expected) {
    const n = history.lastBefore(history.count, (op) => op.p === place && isChange(op));
    return { ...(mismatch(waiter) as LostWakeup), change: n < 0 ? undefined : history.op(n) };
  }
  return slept < 0 ? undefined : missedNotify(history, me, place, slept);
}

/**
 * The sleeper went to sleep on an old view: it had read a word, another thread changed that word and then notified, and
 * only then it slept. If it looked at the word it sleeps on after the notify, it knew better, and is stuck for another
 * reason.
 */
function missedNotify(history: History, me: number, place: number, slept: number): LostWakeup | undefined {
  const seen = new Set<number>();
  const looked = history.lastBefore(slept, (op) => op.thread === me && op.p === place && isRead(op));
  let n = slept;
  while (seen.size < DECISIONS) {
    n = history.lastBefore(n, (op) => op.thread === me && isRead(op) && !seen.has(op.p));
    if (n < 0) return undefined;
    const stale = history.op(n);
    seen.add(stale.p);
    for (let m = n + 1; m < slept; m++) {
      const change = history.op(m);
      if (change.thread === me || change.p !== stale.p || !isChange(change) || change.after === stale.result)
        continue;
      const notified = notifyBetween(history, change.thread, place, Math.max(m, looked), slept);
      if (notified !== undefined) return { change, stale, notify: notified };
    }
  }
  return undefined;
}

function notifyBetween(
  history: History,
  by: number,
  place: number,
  from: number,
  to: number,
): PastOp | undefined {
  for (let n = from + 1; n < to; n++) {
    const op = history.op(n);
    if (op.thread === by && op.kind === OP_NOTIFY && op.p === place) return op;
  }
  return undefined;
}
