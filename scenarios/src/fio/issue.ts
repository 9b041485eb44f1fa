/**
 * Issuing the next I/O of a job (fio io_u.c: get_io_u, and backend.c: do_io): which one it is, when it may go, what it
 * carries.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { machine_should_stop } from "@ringside/core/sched/kthread";
import { cond_resched, schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_RUNNING, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";
import { engine_block_done, engine_new_block, engine_queue } from "./engine.ts";
import type { RatePacer } from "./pacing.ts";
import type { WrittenPieces } from "./pieces.ts";
import { reap_all, reap_commit, reap_some } from "./reap.ts";
import { type JobRun, run_clock, run_publish, RUN_END } from "./run.ts";
import { STATUS_SLICE_MS, status_answer } from "./status.ts";
import { DDIR_READ, DDIR_SYNC, DDIR_TRIM, DDIR_WRITE, type FioRegion } from "./task.ts";
import { stamp_block, type VerifyFormat } from "./verify.ts";

const READ = DDIR_READ;
const WRITE = DDIR_WRITE;
const TRIM = DDIR_TRIM;
const SYNC = DDIR_SYNC;
/** Shorter waits spin: a sleep takes longer. Milliseconds. */
const SPIN_MS = 0.05;
const US = 1000;

/** Issues one I/O; there is room. False: this pass has none left. */
export function issue_next(cpu: Cpu, r: JobRun): boolean {
  if (sync_is_due(r)) {
    issue_sync(cpu, r);
    return true;
  }
  if (r.options.verifyBacklog > 0 && r.pieces !== undefined && issue_backlog(cpu, r, r.pieces)) return true;
  let ddir = r.mix.choose();
  if (r.pacer !== undefined) {
    ddir = pace(cpu, r, r.pacer, ddir);
    if (r.terminate) return false;
  }
  const { source } = r;
  if (!source.choose(ddir)) return false;
  if (ddir === WRITE && r.pieces !== undefined) wait_for_overlap(cpu, r, r.pieces);
  const slot = r.free[--r.nr_free] as number;
  r.region[slot] = source.region;
  r.offset[slot] = source.offset;
  r.piece[slot] = -1;
  // A job that only reads verifies what it reads.
  r.check[slot] = r.format !== undefined && ddir === READ && !r.mix.mixed ? 1 : 0;
  r.engine.op[slot] = ddir;
  r.engine.bytes[slot] = source.bytes;
  if (ddir === WRITE && r.format !== undefined) stamp_slot(cpu, r, r.format, slot);
  if (ddir !== TRIM || !r.options.rw.trimwrite) {
    r.pass_bytes += source.bytes;
    r.issued_bytes += source.bytes;
  }
  r.issued_ios++;
  r.mix.issued(ddir);
  r.pacer?.issued(ddir, source.bytes);
  send(cpu, r, slot, ddir);
  return true;
}

/** The slot is filled in. */
function send(cpu: Cpu, r: JobRun, slot: number, ddir: number): void {
  const e = r.engine;
  e.position[slot] = (r.regions[r.region[slot] as number] as FioRegion).start + (r.offset[slot] as number);
  if (r.wants_start || ddir === SYNC) r.start[slot] = run_clock(cpu, r);
  engine_queue(cpu, e, slot);
  if (ddir !== SYNC || !r.last_sync) r.measure.issued(ddir);
  if (ddir !== SYNC) r.issued_all[ddir] = (r.issued_all[ddir] as number) + 1;
  // Who is full waits next, and unless the submission is measured by itself one call does both.
  if (e.nr_queued >= r.options.iodepthBatch && (r.wants_issue || !r.is_full())) reap_commit(cpu, r);
}

function stamp_slot(cpu: Cpu, r: JobRun, format: VerifyFormat, slot: number): void {
  const { engine: e, pieces } = r;
  const bytes = e.bytes[slot] as number;
  const offset = r.offset[slot] as number;
  const seed = r.data.bits() >>> 0;
  const number = (r.issued_all[WRITE] as number) & 0xffff;
  stamp_block(cpu, format, engine_new_block(cpu, e, slot), bytes, offset, seed, number);
  engine_block_done(cpu, e, slot);
  if (pieces === undefined) return;
  r.piece[slot] = pieces.begin_write(r.region[slot] as number, offset, bytes, seed, number);
}

/** Two I/Os of one block in flight may take effect in either order: then nobody could verify it. */
function wait_for_overlap(cpu: Cpu, r: JobRun, pieces: WrittenPieces): void {
  const { source } = r;
  while (pieces.is_busy(source.region, source.offset, source.bytes)) {
    reap_some(cpu, r, 1, r.options.iodepth);
  }
}

function sync_is_due(r: JobRun): boolean {
  const { fsync } = r.options;
  const writes = r.issued_all[WRITE] as number;
  return fsync > 0 && writes !== r.synced_at && writes % fsync === 0;
}

export function issue_sync(cpu: Cpu, r: JobRun): void {
  r.synced_at = r.issued_all[WRITE] as number;
  const slot = r.free[--r.nr_free] as number;
  r.region[slot] = 0;
  r.offset[slot] = 0;
  r.piece[slot] = -1;
  r.check[slot] = 0;
  r.engine.op[slot] = SYNC;
  r.engine.bytes[slot] = 0;
  send(cpu, r, slot, SYNC);
}

/** verify_backlog: after so many writes, as many reads of the oldest of them. */
function issue_backlog(cpu: Cpu, r: JobRun, pieces: WrittenPieces): boolean {
  if (r.backlog === 0) {
    if (pieces.waiting < r.options.verifyBacklog) return false;
    r.backlog = r.options.verifyBacklog;
  }
  r.backlog--;
  while (!issue_read_back(cpu, r, pieces)) {
    // The oldest is still being written.
    if (pieces.waiting === 0 || r.used() === 0) return false;
    reap_some(cpu, r, 1, r.options.iodepth);
  }
  return true;
}

/** Reads the oldest written block back. False: there is none that is written. */
export function issue_read_back(cpu: Cpu, r: JobRun, pieces: WrittenPieces): boolean {
  const piece = pieces.begin_read();
  if (piece < 0) return false;
  const slot = r.free[--r.nr_free] as number;
  r.region[slot] = pieces.region_of(piece);
  r.offset[slot] = pieces.offset_of(piece);
  r.piece[slot] = piece;
  r.check[slot] = 1;
  r.engine.op[slot] = READ;
  r.engine.bytes[slot] = pieces.bytes_of(piece);
  send(cpu, r, slot, READ);
  return true;
}

/** Waits until an I/O of `ddir` may go; a mixed job takes the other direction when that may go first. */
function pace(cpu: Cpu, r: JobRun, pacer: RatePacer, ddir: number): number {
  const now = run_clock(cpu, r) * US;
  if (pacer.due_us(ddir) <= now) return ddir;
  let chosen = ddir;
  if (r.mix.mixed) {
    const other = ddir === READ ? WRITE : READ;
    if (pacer.due_us(other) <= now) return other;
    if (pacer.due_us(other) < pacer.due_us(ddir)) chosen = other;
  }
  reap_all(cpu, r);
  sleep_until(cpu, r, pacer.due_us(chosen) / US);
  return chosen;
}

/** Sleeps until `ms` after the job's start, but not past its end; terminates the job when that has come. */
export function sleep_until(cpu: Cpu, r: JobRun, ms: number): void {
  const end = r.clock[RUN_END] as number;
  const until = ms < end ? ms : end;
  run_publish(cpu, r, r.state);
  for (;;) {
    const left = until - run_clock(cpu, r);
    if (machine_should_stop(cpu)) r.terminate = true;
    if (left <= 0 || r.terminate) break;
    if (left < SPIN_MS) {
      cond_resched(cpu);
      cpu.mem.pause();
      continue;
    }
    status_answer(cpu, r);
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    // Tested after the state: a stop that came before wakes nobody, one that comes later wakes this task.
    if (machine_should_stop(cpu)) set_current_state(cpu, TASK_RUNNING);
    else schedule_timeout(cpu, r.outlet === undefined ? left : Math.min(left, STATUS_SLICE_MS));
  }
  if (ms >= end) r.terminate = true;
}

/** thinktime: quiet, then busy for its spinning part, then asleep. */
export function take_a_pause(cpu: Cpu, r: JobRun): void {
  const { thinktimeUs, thinktimeSpinUs } = r.options;
  reap_all(cpu, r);
  const start = run_clock(cpu, r);
  const spin = start + Math.min(thinktimeSpinUs, thinktimeUs) / US;
  while (run_clock(cpu, r) < spin && !machine_should_stop(cpu)) {
    cond_resched(cpu);
    cpu.mem.pause();
  }
  sleep_until(cpu, r, start + thinktimeUs / US);
}
