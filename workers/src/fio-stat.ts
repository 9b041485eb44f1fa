/** From what the kernel side measured to what the output prints: ThreadStat of a job, DiskUtil of the disk. */
import type { FioJob } from "@ringside/fio/job/job";
import type { DiskUtil, LogSample, ThreadStat } from "@ringside/fio/stat/thread-stat";
import { Measure } from "@ringside/scenarios/fio/measure";
import type { FioLog, FioResult } from "@ringside/scenarios/fio/task";
import type { WorkloadResult } from "./roles.ts";

/** What strerror(3) says of the errors a job can have. */
const ERRORS: Readonly<Record<number, string>> = {
  5: "Input/output error",
  12: "Cannot allocate memory",
  14: "Bad address",
  22: "Invalid argument",
  28: "No space left on device",
  84: "Invalid or incomplete multibyte or wide character",
  110: "Connection timed out",
};

export function error_text(errno: number): string {
  return errno === 0 ? "" : (ERRORS[errno] ?? `Unknown error ${errno}`);
}

function samples(log: FioLog): LogSample[] {
  return Array.from({ length: log.n }, (_, i) => ({
    time: log.time[i] as number,
    value: log.value[i] as number,
    ddir: log.ddir[i] as number,
    bs: log.bs[i] as number,
    offset: log.offset[i] as number,
  }));
}

/** What is missing from the logs, a line each. */
export function dropped_lines({ logs, histDropped }: FioResult): string[] {
  const dropped = {
    ...Object.fromEntries(Object.entries(logs).map(([k, v]) => [k, v.dropped])),
    hist: histDropped,
  };
  return Object.entries(dropped).flatMap(([kind, lines]) =>
    lines > 0
      ? [`fio: the ${kind} log is full: ${lines} lines are not in it (log_avg_msec makes it shorter)`]
      : [],
  );
}

/** `usage`: the workload's result. */
export function thread_stat(job: FioJob, result: FioResult, usage: WorkloadResult): ThreadStat {
  const { bw, iops, slat, clat, lat } = result.logs;
  return {
    ...result.stat,
    jobName: job.name,
    number: job.number,
    group: job.group,
    errorText: error_text(result.stat.error),
    userMs: Number(usage["user"] ?? 0),
    systemMs: Number(usage["system"] ?? 0),
    ctx: Number(usage["ctx"] ?? 0),
    majf: Number(usage["majf"] ?? 0),
    minf: Number(usage["minf"] ?? 0),
    logs: {
      bw: samples(bw),
      iops: samples(iops),
      slat: samples(slat),
      clat: samples(clat),
      lat: samples(lat),
      hist: result.hist,
    },
  };
}

/** Of a job that never began: the run was stopped before. */
export function empty_result(job: FioJob): FioResult {
  const measure = new Measure(job.options);
  return {
    stat: measure.stat_of(0),
    logs: measure.log_columns(),
    hist: [],
    histDropped: 0,
    messages: [],
    issued: [0, 0, 0],
    busyMs: 0,
  };
}

/** Commands the disk did, by its own count. */
export interface DiskCommands {
  readonly reads: number;
  readonly writes: number;
}

/**
 * "Disk stats": commands from the controller's SMART log; ticks is the sum of the latencies as far as they were
 * measured; util the share of `elapsed` (ms) in which I/O was in flight.
 */
export function disk_util(
  commands: DiskCommands,
  threads: readonly ThreadStat[],
  busy: number,
  elapsed: number,
): DiskUtil {
  const ticks = (ddir: 0 | 1): number => {
    let ns = 0;
    for (const thread of threads) {
      const { lat, clat } = thread.ddir[ddir];
      const stat = lat.n > 0 ? lat : clat;
      ns += stat.n * stat.mean;
    }
    return Math.round(ns / 1e6);
  };
  const [read, write] = [ticks(0), ticks(1)];
  return {
    name: "nvme0n1",
    ios: [commands.reads, commands.writes],
    merges: [0, 0],
    ticks: [read, write],
    inQueue: read + write,
    util: elapsed > 0 ? Math.min(100, (100 * busy) / elapsed) : 0,
  };
}
