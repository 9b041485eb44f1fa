/**
 * What one job measured (fio's struct thread_stat), as the engine counts it and the output prints it.
 *
 * Plain data of numbers and typed arrays, so that it crosses threads by structured clone. Times are
 * nanoseconds unless the name says otherwise. Latency buckets: stat/buckets.ts.
 */
import type { PerDdir } from "../job/job.ts";

/** fio's struct io_stat: running minimum, maximum, mean and the sum of squared deviations (Welford). */
export interface IoStat {
  /** Samples. */
  n: number;
  /** Infinity without samples. */
  min: number;
  max: number;
  mean: number;
  /** Sum of squared deviations from the mean. */
  s: number;
}

/** Latencies of one kind: the running numbers, and a count for each bucket (1856 of them). */
export interface LatencyStat extends IoStat {
  readonly buckets: Float64Array;
}

export interface DdirStat {
  ioBytes: number;
  totalIos: number;
  shortIos: number;
  dropIos: number;
  /** From the first to the last I/O of the direction, whole milliseconds. */
  runtimeMs: number;
  readonly slat: LatencyStat;
  readonly clat: LatencyStat;
  readonly lat: LatencyStat;
  /** Samples of the bandwidth in KiB/s, one for every bwavgtime (500 ms). */
  readonly bw: IoStat;
  /** Samples of the I/Os a second. */
  readonly iops: IoStat;
}

/** One line of a log (write_*_log). */
export interface LogSample {
  /** Milliseconds since the job's start. */
  readonly time: number;
  readonly value: number;
  readonly ddir: number;
  readonly bs: number;
  readonly offset: number;
}

export interface ThreadStat {
  readonly jobName: string;
  /** Names the job among all (FioJob.number). */
  readonly number: number;
  readonly group: number;
  /** Positive errno of the first error, or 0; and its words. */
  error: number;
  errorText: string;
  readonly ddir: PerDdir<DdirStat>;
  readonly sync: { totalIos: number; readonly lat: LatencyStat };
  /** Milliseconds the job ran, ramp time excluded. */
  runtimeMs: number;
  /** CPU time of the thread while it ran. Milliseconds. */
  userMs: number;
  systemMs: number;
  /** Context switches, major and minor faults. */
  ctx: number;
  majf: number;
  minf: number;
  /** I/Os issued with 1, 2, 4, 8, 16, 32, >=64 in flight. */
  readonly depth: Float64Array;
  /** Submissions, and completions reaped, of 0, 1-4, 5-8, 9-16, 17-32, 33-64, >64 I/Os at once. */
  readonly submit: Float64Array;
  readonly complete: Float64Array;
  totalSubmits: number;
  totalCompletes: number;
  /** Completion latencies below 2, 4, 10, 20, 50, 100, 250, 500, 750, 1000 ns; as many of us; of ms, 2000, more. */
  readonly latNs: Float64Array;
  readonly latUs: Float64Array;
  readonly latMs: Float64Array;
  /** Errors survived with continue_on_error. */
  totalErr: number;
  firstError: number;
  latencyDepth: number;
  readonly logs: {
    readonly bw: readonly LogSample[];
    readonly iops: readonly LogSample[];
    readonly slat: readonly LogSample[];
    readonly clat: readonly LogSample[];
    readonly lat: readonly LogSample[];
    /** A histogram of clat for every log_hist_msec: time, ddir, bs, counts. */
    readonly hist: readonly {
      readonly time: number;
      readonly ddir: number;
      readonly bs: number;
      readonly buckets: Float64Array;
    }[];
  };
}

/** What the controller's counters say about a disk: "disk_util" of the JSON. */
export interface DiskUtil {
  readonly name: string;
  readonly ios: readonly [read: number, write: number];
  readonly merges: readonly [read: number, write: number];
  /** Milliseconds. */
  readonly ticks: readonly [read: number, write: number];
  readonly inQueue: number;
  /** 0 ... 100. */
  readonly util: number;
}

/** All that the output needs. */
export interface FioRun {
  readonly threads: readonly ThreadStat[];
  readonly disks: readonly DiskUtil[];
  /** Wall-clock time when the run ended, ms since 1970. */
  readonly timestampMs: number;
  /** Seconds since the run began. */
  readonly elapsed: number;
  /**
   * The controller's own count of read and write commands in the run (SMART), and what the jobs sent, ramp time
   * included. Equal, unless blocks are longer than one command may be (MDTS) or other tasks used the disk too.
   */
  readonly smart?: {
    readonly reads: number;
    readonly writes: number;
    readonly issuedReads: number;
    readonly issuedWrites: number;
  };
}
