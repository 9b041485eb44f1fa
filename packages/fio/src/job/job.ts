/**
 * A job after parsing: what fio calls a thread_data's options, resolved to numbers. The parser makes it, the
 * engine runs it, the output repeats its texts.
 *
 * Units: bytes, milliseconds where the name says so, else microseconds; fractions of 1 for percentiles are
 * never used: percentages are 0 ... 100. Index 0 is read, 1 write, 2 trim wherever there are three of a thing.
 */

/** Data directions (fio's enum fio_ddir). */
export const DDIR_READ = 0;
export const DDIR_WRITE = 1;
export const DDIR_TRIM = 2;

/** One value for each data direction. */
export type PerDdir<T> = readonly [read: T, write: T, trim: T];

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** One row of bssplit: `percent` of the I/Os have `bytes`. */
export interface BlockShare {
  readonly bytes: number;
  readonly percent: number;
}

/**
 * random_distribution. `zoned` rows: `percent` of the I/Os go to the next `size` (percent of the region, or bytes
 * if abs).
 */
export type Distribution =
  | { readonly kind: "random" }
  | { readonly kind: "zipf"; readonly theta: number; readonly center?: number }
  | { readonly kind: "pareto"; readonly h: number; readonly center?: number }
  | { readonly kind: "normal"; readonly deviation: number; readonly center?: number }
  | {
      readonly kind: "zoned" | "zoned_abs";
      readonly zones: readonly { readonly percent: number; readonly size: number }[];
    };

export type Verify = "none" | "crc32c" | "md5" | "pattern" | "meta";

export interface Rw {
  /** Which directions happen at all. */
  readonly ddirs: PerDdir<boolean>;
  readonly random: boolean;
  /** trimwrite and randtrimwrite: each block is trimmed, then written. */
  readonly trimwrite: boolean;
  /** `:N` behind a sequential rw: bytes skipped after each I/O; behind a random one: I/Os between two new offsets. */
  readonly skip: number;
  readonly count: number;
  readonly sequencer: "sequential" | "identical";
}

/** Settings of the emulated machine, from `;emu key=value` comments (real fio ignores them). */
export interface EmulatorSettings {
  readonly buf: "dmabuf" | "registered";
  readonly iommu: "strict" | "lazy" | "passthrough";
  readonly percpu: "atomic" | "owner";
  readonly completion: "irq" | "poll";
  readonly variant: "v3" | "v3-fixed";
  /** Bytes of the namespace. */
  readonly media: number;
  /** An exporter invalidates the job's buffers this often; 0: never. Milliseconds. */
  readonly invalidateMs: number;
}

export interface JobOptions {
  readonly rw: Rw;
  readonly bs: PerDdir<Range>;
  /** Empty: bs decides. */
  readonly bssplit: PerDdir<readonly BlockShare[]>;
  readonly bsUnaligned: boolean;
  readonly ioengine: "io_uring" | "null";
  readonly iodepth: number;
  /** iodepth_batch, at least 1. */
  readonly iodepthBatch: number;
  readonly iodepthBatchCompleteMin: number;
  readonly iodepthBatchCompleteMax: number;
  readonly iodepthLow: number;
  /** Bytes of the region; percent of the file when `sizePercent` is set; 0: all of the file or device. */
  readonly size: number;
  readonly sizePercent: number;
  /** Bytes to transfer; 0: as size says. */
  readonly ioSize: number;
  readonly offset: number;
  readonly offsetIncrement: number;
  /** Milliseconds; 0: no limit. */
  readonly runtimeMs: number;
  readonly timeBased: boolean;
  readonly rampTimeMs: number;
  readonly startDelayMs: number;
  readonly loops: number;
  /** 0: no limit. */
  readonly numberIos: number;
  /** Percent of the mix that is reads. */
  readonly rwmixread: number;
  readonly norandommap: boolean;
  readonly randrepeat: boolean;
  readonly randseed: number;
  readonly distribution: PerDdir<Distribution>;
  /** Bytes a second; 0: no limit. */
  readonly rate: PerDdir<number>;
  /** I/Os a second; 0: no limit. */
  readonly rateIops: PerDdir<number>;
  readonly rateProcess: "linear" | "poisson";
  readonly thinktimeUs: number;
  readonly thinktimeSpinUs: number;
  readonly thinktimeBlocks: number;
  readonly thinktimeBlocksType: "complete" | "issue";
  readonly verify: Verify;
  readonly doVerify: boolean;
  readonly verifyFatal: boolean;
  /** Bytes; empty: fio's default. At most 512. */
  readonly verifyPattern: readonly number[];
  /** Places in verifyPattern where `%o` stood: the block's offset goes there, 8 bytes, little endian. */
  readonly verifyPatternOffsets?: readonly number[];
  /** Bytes between verification headers inside a block; 0: one per block. */
  readonly verifyInterval: number;
  /** Blocks written before they are read back; 0: at the end. */
  readonly verifyBacklog: number;
  /** An fsync after so many writes; 0: never. */
  readonly fsync: number;
  readonly endFsync: boolean;
  /** Percentages, ascending, at most 20. */
  readonly percentileList: readonly number[];
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
  readonly hipri: boolean;
  readonly fixedbufs: boolean;
  readonly direct: boolean;
  readonly groupReporting: boolean;
  readonly unifiedRwReporting: boolean;
  /** Prefix of the file, or absent. */
  readonly logs: {
    readonly bw?: string;
    readonly iops?: string;
    readonly lat?: string;
    readonly hist?: string;
  };
  readonly logAvgMs: number;
  readonly logHistMs: number;
  readonly logOffset: boolean;
  readonly description?: string;
}

export interface FioJob {
  readonly name: string;
  /** Which of the section's clones (numjobs) this is: 0 ... numjobs-1. */
  readonly clone: number;
  /** Number among all jobs of the run, from 0: names log files (from 1) and orders the output. */
  readonly number: number;
  /** Reporting group (fio's groupid): changes at a stonewall or new_group. */
  readonly group: number;
  /** Jobs of one stage run together; a stage starts when the one before has ended (stonewall). From 0. */
  readonly stage: number;
  /** Name of the job that has to end first (wait_for). */
  readonly waitFor?: string;
  /** File or device names; `/dev/nvme0n1` and `nvme0n1` are the namespace, others are regions of it. */
  readonly files: readonly string[];
  readonly options: JobOptions;
  readonly emulator: EmulatorSettings;
  /** What the section itself says, as written, in fio's canonical order of appearance: "job options" of the JSON. */
  readonly given: readonly (readonly [key: string, value: string])[];
  /** What [global] says at the end: "global options" of the JSON. The same for all jobs. */
  readonly globals: readonly (readonly [key: string, value: string])[];
}
