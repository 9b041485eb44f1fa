/**
 * A run as it is told: one row for each job, or for each group with group_reporting, and the arithmetic of the
 * "Run status group" lines (__show_run_stats in stat.c). All outputs print from here.
 */
import type { FioJob, PerDdir } from "../job/job.ts";
import { mergeThread, newThreadStat } from "./thread-merge.ts";
import type { DiskUtil, FioRun, ThreadStat } from "./thread-stat.ts";

export interface Row {
  /** Names and describes the row: the group's first job. */
  readonly job: FioJob;
  /** The job whose percentiles and options count: the group's last one, as in fio. */
  readonly last: FioJob;
  readonly members: number;
  readonly stat: ThreadStat;
}

/** One direction of a group. Bandwidths in bytes a second, of its slowest and its fastest row. */
export interface GroupDdir {
  readonly minRun: number;
  readonly maxRun: number;
  readonly minBw: number;
  readonly maxBw: number;
  readonly ioBytes: number;
  readonly agg: number;
}

export interface Group {
  readonly id: number;
  readonly unified: boolean;
  /** Absent: the group did nothing in this direction. */
  readonly ddir: PerDdir<GroupDdir | undefined>;
}

export interface Report {
  /** What [global] says. */
  readonly globals: FioJob["globals"];
  readonly rows: readonly Row[];
  readonly groups: readonly Group[];
  readonly disks: readonly DiskUtil[];
  readonly timestampMs: number;
  /** Seconds. */
  readonly elapsed: number;
}

/** amount * 1000 / ms, rounded down, exact where a double would not be. */
export function perSecond(amount: number, ms: number): number {
  return ms === 0 ? 0 : Number((BigInt(Math.trunc(amount)) * 1000n) / BigInt(Math.round(ms)));
}

/** `jobs` are all jobs of the run; a job that never started has no thread and no row. */
export function makeReport(jobs: readonly FioJob[], run: FioRun): Report {
  const rows = makeRows(jobs, run.threads);
  const ids = Array.from({ length: Math.max(-1, ...jobs.map((job) => job.group)) + 1 }, (_, id) => id);
  return {
    globals: jobs[0]?.globals ?? [],
    rows,
    groups: ids.map((id) => makeGroup(id, rows)),
    disks: run.disks,
    timestampMs: run.timestampMs,
    elapsed: Math.ceil(run.elapsed),
  };
}

function makeRows(jobs: readonly FioJob[], threads: readonly ThreadStat[]): Row[] {
  const byNumber = new Map(jobs.map((job) => [job.number, job]));
  const rows: Row[] = [];
  let group = -1;
  for (const thread of threads.toSorted((a, b) => a.number - b.number)) {
    const job = byNumber.get(thread.number);
    if (job === undefined) throw new Error(`a thread of job ${thread.number}, which is none of the run's`);
    const open = job.options.groupReporting && group === thread.group ? rows.at(-1) : undefined;
    const row = open ?? {
      job,
      last: job,
      members: 0,
      stat: newThreadStat(thread.jobName, thread.number, thread.group),
    };
    group = thread.group;
    mergeThread(row.stat, thread, row.job.options.unifiedRwReporting);
    const grown = { ...row, last: job, members: row.members + 1 };
    if (open === undefined) rows.push(grown);
    else rows[rows.length - 1] = grown;
  }
  return rows;
}

function makeGroup(id: number, rows: readonly Row[]): Group {
  const own = rows.filter((row) => row.stat.group === id);
  const directions = [0, 1, 2].map((ddir) => {
    const stats = own.map((row) => row.stat.ddir[ddir as 0 | 1 | 2]).filter((stat) => stat.runtimeMs > 0);
    if (stats.length === 0) return undefined;
    const bandwidths = stats.map((stat) => perSecond(stat.ioBytes, stat.runtimeMs));
    const runtimes = stats.map((stat) => stat.runtimeMs);
    const ioBytes = stats.reduce((sum, stat) => sum + stat.ioBytes, 0);
    const maxRun = Math.max(...runtimes);
    return {
      minRun: Math.min(...runtimes),
      maxRun,
      minBw: Math.min(...bandwidths),
      maxBw: Math.max(...bandwidths),
      ioBytes,
      agg: perSecond(ioBytes, maxRun),
    };
  });
  return {
    id,
    unified: own.some((row) => row.job.options.unifiedRwReporting),
    ddir: [directions[0], directions[1], directions[2]],
  };
}

/** A row's mean bandwidth in percent of its group's: `kib` is what the row's samples average. */
export function shareOfGroup(group: Group | undefined, ddir: 0 | 1 | 2, kib: number): number {
  const agg = group?.ddir[ddir]?.agg ?? 0;
  if (agg <= 1024) return 100;
  // fio passes the mean through an int.
  return Math.min(100, (Math.trunc(kib) * 100) / (agg / 1024));
}
