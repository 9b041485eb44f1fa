/**
 * The workload `fio-job`: one job of a fio run on one CPU (fio backend.c: thread_main, do_io, do_verify), from its
 * first I/O to its statistics. Runs until its limits are reached or the machine is told to stop; either way nothing is
 * in flight afterwards and what was measured so far comes back.
 *
 * As fio: a pass goes once through the job's part of its files, and a verifying job reads back what each pass wrote,
 * unless the runtime ended it. Unlike fio: without verify_fatal a failed check does not stop the job before all is
 * checked (what fio's manual says it does), thinktime counts blocks that complete together once, and two writes of one
 * block never overlap in a verifying job.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { machine_should_stop } from "@ringside/core/sched/kthread";
import type { Args, Result } from "../workload.ts";
import {
  FIO_STATE_FINISHING,
  FIO_STATE_FSYNCING,
  FIO_STATE_RAMP,
  FIO_STATE_RUNNING,
  FIO_STATE_SETUP,
  FIO_STATE_VERIFYING,
  fio_counters_reset,
} from "./counters.ts";
import { engine_close, engine_open } from "./engine.ts";
import { issue_next, issue_read_back, issue_sync, take_a_pause } from "./issue.ts";
import { SEARCH_DONE, SEARCH_FAILED, SEARCH_LOWERED, SEARCH_SETTLED, type DepthSearch } from "./pacing.ts";
import { ETIMEDOUT, reap_all, reap_for_room } from "./reap.ts";
import {
  BUSY,
  JobRun,
  NEXT_LOOK,
  NOW,
  ORIGIN,
  RAMP_END,
  run_clock,
  RUN_END,
  run_forget,
  run_phase,
  run_phase_end,
  run_publish,
} from "./run.ts";
import { status_answer, status_of } from "./status.ts";
import { DDIR_WRITE, type FioOutlet, type FioResult, type FioTask } from "./task.ts";

const CLOCK_NOW = NOW;
const CLOCK_NEXT = NEXT_LOOK;
/** How often the live view hears of the job. Milliseconds. */
const PUBLISH_MS = 100;
/** Without measured latencies the clock is read every so many turns, a power of two. */
const CLOCK_TURNS = 64;

/** args.task: { opaque: FioTask }. Result: { opaque: FioResult }. Answers questions only with an `outlet`. */
export function fio_job(cpu: Cpu, args: Args, outlet?: FioOutlet): Result {
  const task = (args["task"] as { readonly opaque: unknown }).opaque as FioTask;
  fio_counters_reset(cpu);
  const r = new JobRun(task, outlet);
  run_publish(cpu, r, FIO_STATE_SETUP);
  engine_open(cpu, r.engine, task);
  begin(cpu, r);
  run_passes(cpu, r);
  run_publish(cpu, r, FIO_STATE_FINISHING);
  if (r.ramping) r.measure.forget_latencies();
  engine_close(cpu, r.engine);
  return { result: { opaque: result_of(cpu, r) } };
}

function begin(cpu: Cpu, r: JobRun): void {
  const { rampTimeMs, runtimeMs } = r.options;
  const { clock } = r;
  clock[ORIGIN] = cpu.now();
  clock[RAMP_END] = rampTimeMs;
  clock[RUN_END] = runtimeMs > 0 ? rampTimeMs + runtimeMs : Number.POSITIVE_INFINITY;
  r.ramping = rampTimeMs > 0;
  run_clock(cpu, r);
}

function run_passes(cpu: Cpu, r: JobRun): void {
  const { timeBased, ioSize, loops, doVerify } = r.options;
  for (let pass = 1; ; pass++) {
    r.pass_bytes = 0;
    r.source.start_pass();
    do_io(cpu, r);
    if (r.terminate || r.pass_bytes === 0) return;
    if (doVerify && r.pieces !== undefined) do_verify(cpu, r);
    if (r.terminate) return;
    if (timeBased) continue;
    if (ioSize === 0 ? pass >= loops : ioSize * loops - r.issued_bytes < r.block_max) return;
    if (ios_used_up(r)) return;
  }
}

function ios_used_up(r: JobRun): boolean {
  const { numberIos, loops } = r.options;
  return numberIos > 0 && r.issued_ios >= numberIos * loops;
}

function pass_is_over(r: JobRun): boolean {
  const { timeBased, ioSize, loops } = r.options;
  if (ios_used_up(r)) return true;
  if (!timeBased && ioSize > 0 && r.issued_bytes >= ioSize * loops) return true;
  return r.pass_bytes >= r.region_bytes && (!timeBased || r.format !== undefined);
}

function do_io(cpu: Cpu, r: JobRun): void {
  run_phase(cpu, r, r.ramping ? FIO_STATE_RAMP : FIO_STATE_RUNNING);
  const eager = r.options.iodepthBatchCompleteMin === 0;
  while (!r.terminate) {
    look_around(cpu, r);
    if (r.terminate || pass_is_over(r)) break;
    if (!r.is_full() && !issue_next(cpu, r)) break;
    const full = r.is_full();
    if (full || eager) reap_for_room(cpu, r, full);
    if (r.think !== undefined) think(cpu, r);
    if (r.search !== undefined && !r.ramping) search_depth(cpu, r, r.search);
  }
  reap_all(cpu, r);
  if (r.options.endFsync && r.options.rw.ddirs[DDIR_WRITE] && r.error === 0) {
    run_publish(cpu, r, FIO_STATE_FSYNCING);
    r.last_sync = true;
    issue_sync(cpu, r);
    reap_all(cpu, r);
    r.last_sync = false;
  }
  run_phase_end(cpu, r);
}

/** Reads back what was written. */
function do_verify(cpu: Cpu, r: JobRun): void {
  const { pieces } = r;
  if (pieces === undefined) return;
  run_phase(cpu, r, FIO_STATE_VERIFYING);
  while (!r.terminate) {
    look_around(cpu, r);
    if (r.is_full()) reap_for_room(cpu, r, true);
    else if (!issue_read_back(cpu, r, pieces)) break;
  }
  reap_all(cpu, r);
  run_phase_end(cpu, r);
}

/** What time brings: the end, samples, the live view. Mostly one comparison. */
function look_around(cpu: Cpu, r: JobRun): void {
  if (machine_should_stop(cpu)) r.terminate = true;
  r.turns++;
  // Latencies keep the clock fresh.
  if (!r.wants_end && (r.turns & (CLOCK_TURNS - 1)) === 0) run_clock(cpu, r);
  if ((r.clock[CLOCK_NOW] as number) >= (r.clock[CLOCK_NEXT] as number)) time_has_passed(cpu, r);
}

function time_has_passed(cpu: Cpu, r: JobRun): void {
  const { clock, measure } = r;
  const now = run_clock(cpu, r);
  if (r.ramping && now >= (clock[RAMP_END] as number)) {
    r.ramping = false;
    r.issued_bytes = 0;
    r.issued_ios = 0;
    run_forget(cpu, r);
    run_publish(cpu, r, FIO_STATE_RUNNING);
  } else run_publish(cpu, r, r.state);
  if (now >= (clock[RUN_END] as number)) r.terminate = true;
  if (now >= measure.next_ms && !r.ramping) measure.tick(now);
  status_answer(cpu, r);
  let next = Math.min(now + PUBLISH_MS, clock[RUN_END] as number);
  next = Math.min(next, r.ramping ? (clock[RAMP_END] as number) : measure.next_ms);
  clock[CLOCK_NEXT] = next;
}

function think(cpu: Cpu, r: JobRun): void {
  const counts = r.options.thinktimeBlocksType === "issue" ? r.issued_all : r.measure.all_ios;
  const ios = (counts[0] as number) + (counts[1] as number) + (counts[2] as number);
  if (r.think?.is_due(ios) === true && !pass_is_over(r)) take_a_pause(cpu, r);
}

function search_depth(cpu: Cpu, r: JobRun, search: DepthSearch): void {
  switch (search.judge((r.clock[CLOCK_NOW] as number) * 1000)) {
    case SEARCH_LOWERED:
      reap_all(cpu, r);
      break;
    case SEARCH_SETTLED:
      run_forget(cpu, r);
      break;
    case SEARCH_DONE:
      r.terminate = true;
      break;
    case SEARCH_FAILED:
      r.say(`fio: latency target of ${r.options.latencyTargetUs} usec missed even at depth 1`);
      r.fail(ETIMEDOUT);
      r.terminate = true;
      break;
    default:
      break;
  }
}

function result_of(cpu: Cpu, r: JobRun): FioResult {
  const stat = status_of(cpu, r);
  run_publish(cpu, r, FIO_STATE_FINISHING);
  return {
    stat,
    logs: r.measure.log_columns(),
    hist: r.measure.histograms(),
    histDropped: r.measure.hist_dropped,
    messages: r.unsaid === 0 ? r.messages : [...r.messages, `fio: ${r.unsaid} more messages of this job`],
    issued: [r.issued_all[0] as number, r.issued_all[1] as number, r.issued_all[2] as number],
    busyMs: r.clock[BUSY] as number,
  };
}
