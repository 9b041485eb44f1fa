/**
 * Submitting, waiting and completing (fio io_u.c: io_u_queued_complete, io_completed): measures what completed,
 * verifies what was read, and decides what an error means.
 */
import { EAGAIN } from "@ringside/core/debug/errno";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  type Engine,
  engine_advance,
  engine_block,
  engine_commit,
  engine_commit_and_wait,
  engine_queue,
  engine_result_at,
  engine_slot_at,
  engine_wait,
} from "./engine.ts";
import { AT_END, AT_ISSUE, AT_START } from "./measure.ts";
import { BUSY, BUSY_SINCE, type JobRun, NOW, run_clock } from "./run.ts";
import { DDIR_READ, DDIR_SYNC, DDIR_WRITE, type FioRegion } from "./task.ts";
import { ANY, check_block, describe_failure, type VerifyFormat, VERIFY_OK } from "./verify.ts";

const READ = DDIR_READ;
const WRITE = DDIR_WRITE;
const SYNC = DDIR_SYNC;
const OK = VERIFY_OK;
const CLOCK_NOW = NOW;
const START = AT_START;
const ISSUE = AT_ISSUE;
const END = AT_END;
const AGAIN = -EAGAIN;

export const EIO = 5;
/** Linux: "Invalid or incomplete multibyte or wide character"; a failed verify. */
export const EILSEQ = 84;
export const ETIMEDOUT = 110;

/** After a commit: the times and counts of what was queued. */
function note_submitted(cpu: Cpu, r: JobRun, nr: number): void {
  const e = r.engine;
  if (r.wants_issue) {
    const now = run_clock(cpu, r);
    for (let i = 0; i < nr; i++) r.issue[e.queued[i] as number] = now;
  }
  if (e.in_flight === nr) r.clock[BUSY_SINCE] = r.clock[CLOCK_NOW] as number;
  r.measure.submitted(nr, e.in_flight);
  e.nr_queued = 0;
}

/** Submits what is queued. */
export function reap_commit(cpu: Cpu, r: JobRun): void {
  const nr = r.engine.nr_queued;
  if (nr === 0) return;
  engine_commit(cpu, r.engine);
  note_submitted(cpu, r, nr);
}

/** Takes between `min` and `max` completions, and waits for them if need be. Returns how many. */
export function reap_some(cpu: Cpu, r: JobRun, min: number, max: number): number {
  const e = r.engine;
  if (e.nr_queued > 0) {
    const nr = e.nr_queued;
    // Who does not measure the submission by itself can wait in the same call.
    if (r.wants_issue) engine_commit(cpu, e);
    else engine_commit_and_wait(cpu, e, Math.min(min, e.in_flight + nr));
    note_submitted(cpu, r, nr);
  }
  const ready = engine_wait(cpu, e, Math.min(min, e.in_flight));
  const nr = ready < max || e.ring === undefined ? ready : max;
  if (nr > 0 && r.wants_end) run_clock(cpu, r);
  for (let i = 0; i < nr; i++) {
    complete_io(cpu, r, engine_slot_at(cpu, e, i), engine_result_at(cpu, e, i));
  }
  engine_advance(cpu, e, nr);
  r.measure.reaped(nr);
  if (e.in_flight === 0 && nr > 0) note_idle(r);
  return nr;
}

function note_idle(r: JobRun): void {
  const { clock } = r;
  clock[BUSY] = (clock[BUSY] as number) + (clock[CLOCK_NOW] as number) - (clock[BUSY_SINCE] as number);
}

/** fio's wait_for_completions: at least one when the job can issue no more. */
export function reap_for_room(cpu: Cpu, r: JobRun, full: boolean): void {
  const { iodepthBatchCompleteMin, iodepthBatchCompleteMax, iodepthLow } = r.options;
  let min = Math.min(iodepthBatchCompleteMin, r.used());
  if (full && min === 0) min = 1;
  const max = Math.max(iodepthBatchCompleteMax, min, 1);
  do {
    reap_some(cpu, r, Math.min(min, r.used()), max);
  } while (full && r.used() > iodepthLow);
}

/** Waits for all that is queued or in flight. */
export function reap_all(cpu: Cpu, r: JobRun): void {
  while (r.used() > 0) reap_some(cpu, r, 1, r.options.iodepth);
}

function complete_io(cpu: Cpu, r: JobRun, slot: number, res: number): void {
  const e = r.engine;
  const ddir = e.op[slot] as number;
  const { times } = r.measure;
  times[START] = r.start[slot] as number;
  times[ISSUE] = r.issue[slot] as number;
  times[END] = r.clock[CLOCK_NOW] as number;
  if (res !== e.bytes[slot]) {
    if (!complete_odd(cpu, r, slot, ddir, res)) return;
  } else if (ddir === SYNC) {
    if (!r.last_sync) r.measure.synced();
  } else {
    r.measure.completed(ddir, res, res, r.offset[slot] as number);
    if (r.search !== undefined || r.max_latency !== undefined) judge_latency(r, slot, ddir);
    if (r.format !== undefined) complete_verified(cpu, r, slot, ddir);
  }
  r.free[r.nr_free++] = slot;
}

/** Not the length asked for. False: the slot is queued again. */
function complete_odd(cpu: Cpu, r: JobRun, slot: number, ddir: number, res: number): boolean {
  const e = r.engine;
  if (res === AGAIN) {
    engine_queue(cpu, e, slot);
    return false;
  }
  if (res > 0) r.measure.completed(ddir, res, e.bytes[slot] as number, r.offset[slot] as number);
  else io_error(r, e, slot, ddir, res === 0 ? EIO : -res);
  if ((r.piece[slot] as number) >= 0) r.pieces?.forget_piece(r.piece[slot] as number);
  return true;
}

function ddir_name(ddir: number): string {
  return ddir === READ ? "read" : ddir === WRITE ? "write" : ddir === SYNC ? "sync" : "trim";
}

function io_error(r: JobRun, e: Engine, slot: number, ddir: number, errno: number): void {
  const file = (r.regions[r.region[slot] as number] as FioRegion).name;
  const io = `${ddir_name(ddir)} offset=${r.offset[slot]}, buflen=${e.bytes[slot]}`;
  r.say(`fio: io_u error on file ${file}: errno ${errno}: ${io}`);
  const { continueOnError: on } = r.options;
  const survives =
    on === "all" || on === "io" || (on === "read" ? ddir === READ : on === "write" && ddir === WRITE);
  survive_or_stop(r, errno, survives, true);
}

function survive_or_stop(r: JobRun, errno: number, survives: boolean, stops: boolean): void {
  if (survives) {
    r.total_err++;
    if (r.first_error === 0) r.first_error = errno;
    return;
  }
  r.fail(errno);
  if (stops) r.terminate = true;
}

/** Total latency against max_latency and latency_target. */
function judge_latency(r: JobRun, slot: number, ddir: number): void {
  const ns = r.measure.nanoseconds(START, END);
  r.search?.saw(ns);
  const limit = r.max_latency?.[ddir];
  if (limit === undefined || ns <= limit) return;
  const file = (r.regions[r.region[slot] as number] as FioRegion).name;
  const io = `${file} ${ddir_name(ddir)} ${r.offset[slot]} ${r.engine.bytes[slot]}`;
  r.say(`fio: latency of ${ns} nsec exceeds specified max (${limit} nsec): ${io}`);
  r.fail(ETIMEDOUT);
  r.terminate = true;
}

function complete_verified(cpu: Cpu, r: JobRun, slot: number, ddir: number): void {
  const piece = r.piece[slot] as number;
  if (ddir === WRITE && piece >= 0) r.pieces?.end_write(piece);
  if (r.check[slot] === 0) return;
  verify_slot(cpu, r, r.format as VerifyFormat, slot, piece);
  if (piece >= 0) r.pieces?.forget_piece(piece);
}

function verify_slot(cpu: Cpu, r: JobRun, format: VerifyFormat, slot: number, piece: number): void {
  const bytes = r.engine.bytes[slot] as number;
  const offset = r.offset[slot] as number;
  // Another job's blocks carry seeds and numbers this one does not know.
  const seed = piece >= 0 && r.pieces !== undefined ? r.pieces.seed_of(piece) : ANY;
  const number = piece >= 0 && r.pieces !== undefined ? r.pieces.number_of(piece) : ANY;
  const p = engine_block(cpu, r.engine, slot);
  const result = check_block(cpu, format, p, bytes, offset, seed, number);
  if (result === OK) return;
  const file = (r.regions[r.region[slot] as number] as FioRegion).name;
  r.say(describe_failure(format, result, file, offset, bytes));
  const { continueOnError: on, verifyFatal } = r.options;
  survive_or_stop(r, EILSEQ, on === "all" || on === "verify", verifyFatal);
}
