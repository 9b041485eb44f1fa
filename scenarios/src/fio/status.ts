/**
 * What a job has measured, at its end and before (fio's --status-interval; stat.c: __show_running_run_stats). Before:
 * the host asks through the shared counters, the job looks there a few times a second and hands its statistics to
 * its outlet. A job without an outlet is asked by nobody and does not look.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { fio_asked } from "./counters.ts";
import { BUSY, BUSY_SINCE, type JobRun, MEASURE_START, PHASE_START, run_clock } from "./run.ts";
import type { FioOutlet, FioStat } from "./task.ts";

/** How long a sleeping job may not look. Milliseconds. */
export const STATUS_SLICE_MS = 100;

/** The statistics as they are now; its arrays are the job's own. */
export function status_of(cpu: Cpu, r: JobRun): FioStat {
  const ran = run_clock(cpu, r) - (r.clock[MEASURE_START] as number);
  const stat = r.measure.stat_of(ran);
  stat.error = r.error;
  stat.totalErr = r.total_err;
  stat.firstError = r.first_error;
  stat.latencyDepth = r.search?.depth ?? r.options.iodepth;
  return stat;
}

/** In a phase: answers if there is a new question. */
export function status_answer(cpu: Cpu, r: JobRun): void {
  const { outlet } = r;
  if (outlet !== undefined && fio_asked(cpu) !== r.answered) answer(cpu, r, outlet);
}

function answer(cpu: Cpu, r: JobRun, outlet: FioOutlet): void {
  r.answered = fio_asked(cpu);
  // Ramp time has I/Os and no latencies, as fio tells it; it would forget them at its end.
  if (r.ramping) r.measure.forget_latencies();
  const stat = status_of(cpu, r);
  const now = run_clock(cpu, r);
  const phase = now - (r.clock[PHASE_START] as number);
  const ios = r.measure.bandwidth.ios;
  for (let ddir = 0; ddir < 3; ddir++) {
    const of = stat.ddir[ddir as 0 | 1 | 2];
    // As Measure.ran does when the phase ends.
    if (ios[ddir] !== r.phase_before[ddir]) of.runtimeMs += Math.ceil(phase);
  }
  const busy = r.engine.in_flight > 0 ? now - (r.clock[BUSY_SINCE] as number) : 0;
  // indirect: the thread's own, outside the kernel.
  outlet.tell({ stat, busyMs: (r.clock[BUSY] as number) + busy });
}
