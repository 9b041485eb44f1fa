/**
 * What the workload `fio-job` is told and what it answers: plain data, so that it crosses threads. Field names and
 * units are those of @ringside/fio's FioJob and ThreadStat (which kernel code may not import); workers/src/fio-plan.ts
 * turns one into the other, and the type checker holds both together.
 */

export const DDIR_READ = 0;
export const DDIR_WRITE = 1;
export const DDIR_TRIM = 2;
/** An fsync; it has a slot as any I/O, and statistics of its own. */
export const DDIR_SYNC = 3;

export type PerDdir<T> = readonly [read: T, write: T, trim: T];

export type FioDistribution =
  | { readonly kind: "random" }
  | { readonly kind: "zipf"; readonly theta: number; readonly center?: number }
  | { readonly kind: "pareto"; readonly h: number; readonly center?: number }
  | { readonly kind: "normal"; readonly deviation: number; readonly center?: number }
  | {
      readonly kind: "zoned" | "zoned_abs";
      readonly zones: readonly { readonly percent: number; readonly size: number }[];
    };

export interface FioRw {
  readonly ddirs: PerDdir<boolean>;
  readonly random: boolean;
  readonly trimwrite: boolean;
  readonly skip: number;
  readonly count: number;
  readonly sequencer: "sequential" | "identical";
}

/** The options the engine honours, spelt as in JobOptions. */
export interface FioOptions {
  readonly rw: FioRw;
  readonly bs: PerDdir<{ readonly min: number; readonly max: number }>;
  readonly bssplit: PerDdir<readonly { readonly bytes: number; readonly percent: number }[]>;
  readonly bsUnaligned: boolean;
  readonly ioengine: "io_uring" | "null";
  readonly iodepth: number;
  readonly iodepthBatch: number;
  readonly iodepthBatchCompleteMin: number;
  readonly iodepthBatchCompleteMax: number;
  readonly iodepthLow: number;
  readonly ioSize: number;
  readonly runtimeMs: number;
  readonly timeBased: boolean;
  readonly rampTimeMs: number;
  readonly loops: number;
  readonly numberIos: number;
  readonly rwmixread: number;
  readonly norandommap: boolean;
  readonly distribution: PerDdir<FioDistribution>;
  readonly rate: PerDdir<number>;
  readonly rateIops: PerDdir<number>;
  readonly rateProcess: "linear" | "poisson";
  readonly thinktimeUs: number;
  readonly thinktimeSpinUs: number;
  readonly thinktimeBlocks: number;
  readonly thinktimeBlocksType: "complete" | "issue";
  readonly verify: "none" | "crc32c" | "md5" | "pattern" | "meta";
  readonly doVerify: boolean;
  readonly verifyFatal: boolean;
  readonly verifyPattern: readonly number[];
  readonly verifyPatternOffsets?: readonly number[];
  readonly verifyInterval: number;
  readonly verifyBacklog: number;
  readonly fsync: number;
  readonly endFsync: boolean;
  readonly slatPercentiles: boolean;
  readonly clatPercentiles: boolean;
  readonly latPercentiles: boolean;
  readonly disableSlat: boolean;
  readonly disableClat: boolean;
  readonly disableLat: boolean;
  readonly disableBw: boolean;
  readonly gtodReduce: boolean;
  readonly latencyTargetUs: number;
  readonly latencyWindowUs: number;
  readonly latencyPercentile: number;
  readonly maxLatencyUs: PerDdir<number>;
  readonly continueOnError: "none" | "read" | "write" | "io" | "verify" | "all";
  readonly logs: {
    readonly bw?: string;
    readonly iops?: string;
    readonly lat?: string;
    readonly hist?: string;
  };
  readonly logAvgMs: number;
  readonly logHistMs: number;
}

/** Where a file of the job lies, and the part of it the job uses. Bytes. */
export interface FioRegion {
  readonly name: string;
  /** Of the file, on the namespace. */
  readonly start: number;
  /** From the file's start: where the job's part begins. */
  readonly offset: number;
  readonly bytes: number;
}

export interface FioTask {
  readonly options: FioOptions;
  readonly regions: readonly FioRegion[];
  readonly buffer: "registered" | "udmabuf" | "vram";
  /** The ring polls for completions (IORING_SETUP_IOPOLL). */
  readonly polled: boolean;
  readonly seed: number;
  /** Goes into the verify headers, 1 ... 65535. */
  readonly thread: number;
}

export interface FioIoStat {
  n: number;
  min: number;
  max: number;
  mean: number;
  s: number;
}

export interface FioLatencyStat extends FioIoStat {
  readonly buckets: Float64Array;
}

export interface FioDdirStat {
  ioBytes: number;
  totalIos: number;
  shortIos: number;
  dropIos: number;
  runtimeMs: number;
  readonly slat: FioLatencyStat;
  readonly clat: FioLatencyStat;
  readonly lat: FioLatencyStat;
  readonly bw: FioIoStat;
  readonly iops: FioIoStat;
}

/** A log as columns, all of length n. */
export interface FioLog {
  readonly n: number;
  readonly time: Float64Array;
  readonly value: Float64Array;
  readonly ddir: Uint8Array;
  readonly bs: Uint32Array;
  readonly offset: Float64Array;
  /** Samples that found the log full. */
  readonly dropped: number;
}

export interface FioHistogram {
  readonly time: number;
  readonly ddir: number;
  readonly bs: number;
  readonly buckets: Float64Array;
}

export interface FioStat {
  error: number;
  readonly ddir: PerDdir<FioDdirStat>;
  readonly sync: { totalIos: number; readonly lat: FioLatencyStat };
  runtimeMs: number;
  readonly depth: Float64Array;
  readonly submit: Float64Array;
  readonly complete: Float64Array;
  totalSubmits: number;
  totalCompletes: number;
  readonly latNs: Float64Array;
  readonly latUs: Float64Array;
  readonly latMs: Float64Array;
  totalErr: number;
  firstError: number;
  latencyDepth: number;
}

/** What a job has measured so far. */
export interface FioSnapshot {
  readonly stat: FioStat;
  /** Milliseconds with I/O in flight. */
  readonly busyMs: number;
}

/** Takes a running job's answers away; what it is told stays the job's, and must be copied before it returns. */
export interface FioOutlet {
  tell(snapshot: FioSnapshot): void;
}

export interface FioResult {
  readonly stat: FioStat;
  readonly logs: Readonly<Record<"bw" | "iops" | "slat" | "clat" | "lat", FioLog>>;
  readonly hist: readonly FioHistogram[];
  /** Histograms that found the log full. */
  readonly histDropped: number;
  /** What fio would say on stderr, a failed verify for instance; the first few. */
  readonly messages: readonly string[];
  /** I/Os that reached the device, ramp time included. */
  readonly issued: PerDdir<number>;
  /** Milliseconds with I/O in flight. */
  readonly busyMs: number;
}
