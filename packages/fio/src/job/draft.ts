/**
 * A job while its options are read: what has been said so far, before options that depend on each other are
 * brought together (resolve.ts). [global] is a draft as well, and each section starts from a copy of it.
 */
import type { EmulatorSettings, JobOptions, PerDdir } from "./job.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Bytes, or percent of the file. */
export interface Share {
  readonly bytes: number;
  readonly percent: number;
}

export type Engine = "io_uring" | "libaio" | "null";

export interface Draft {
  /** name=: what a section's job is called in the output; as in fio, its first clone only. Never inherited. */
  name?: string;
  readonly options: Mutable<JobOptions>;
  /** bs, and bsrange or bssplit; 0: not said. */
  bs: PerDdir<number>;
  minBs: PerDdir<number>;
  maxBs: PerDdir<number>;
  size: Share;
  ioSize: Share;
  offset: Share;
  offsetIncrement: Share;
  /** Bytes of each file; 0: as size says. */
  filesize: number;
  /** Of all filename options so far, [global]'s too: fio adds to them. None: named after the job. */
  files: readonly string[];
  numjobs: number;
  stonewall: boolean;
  newGroup: boolean;
  waitFor?: string;
  /** The engine that the job names; its own options need it. */
  engine?: Engine;
  /** Options that fio treats differently when they were given at all. */
  randseedGiven: boolean;
  verifyGiven: boolean;
  /** From gpu_dmabuf=1. */
  dmabuf: boolean;
  emulator: Partial<Mutable<EmulatorSettings>>;
  /** Log prefixes; "": named after the job. */
  logs: { bw?: string; iops?: string; lat?: string; hist?: string };
  notes: string[];
}

export const DEFAULT_PERCENTILES: readonly number[] = [
  1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99,
];

const NOTHING: Share = { bytes: 0, percent: 0 };

/** fio's default of every option. */
export function defaultOptions(): Mutable<JobOptions> {
  return {
    rw: {
      ddirs: [true, false, false],
      random: false,
      trimwrite: false,
      skip: 0,
      count: 1,
      sequencer: "sequential",
    },
    bs: [
      { min: 4096, max: 4096 },
      { min: 4096, max: 4096 },
      { min: 4096, max: 4096 },
    ],
    bssplit: [[], [], []],
    bsUnaligned: false,
    ioengine: "io_uring",
    iodepth: 1,
    iodepthBatch: 1,
    iodepthBatchCompleteMin: 1,
    iodepthBatchCompleteMax: 0,
    iodepthLow: 0,
    size: 0,
    sizePercent: 0,
    ioSize: 0,
    offset: 0,
    offsetIncrement: 0,
    runtimeMs: 0,
    timeBased: false,
    rampTimeMs: 0,
    startDelayMs: 0,
    loops: 1,
    numberIos: 0,
    rwmixread: 50,
    norandommap: false,
    randrepeat: true,
    randseed: 0x89,
    distribution: [{ kind: "random" }, { kind: "random" }, { kind: "random" }],
    ...defaultPacing(),
    ...defaultChecking(),
    ...defaultReporting(),
  };
}

function defaultPacing(): Pick<
  JobOptions,
  | "rate"
  | "rateIops"
  | "rateProcess"
  | "thinktimeUs"
  | "thinktimeSpinUs"
  | "thinktimeBlocks"
  | "thinktimeBlocksType"
  | "latencyTargetUs"
  | "latencyWindowUs"
  | "latencyPercentile"
  | "maxLatencyUs"
> {
  return {
    rate: [0, 0, 0],
    rateIops: [0, 0, 0],
    rateProcess: "linear",
    thinktimeUs: 0,
    thinktimeSpinUs: 0,
    thinktimeBlocks: 1,
    thinktimeBlocksType: "complete",
    latencyTargetUs: 0,
    latencyWindowUs: 0,
    latencyPercentile: 100,
    maxLatencyUs: [0, 0, 0],
  };
}

function defaultChecking(): Pick<
  JobOptions,
  | "verify"
  | "doVerify"
  | "verifyFatal"
  | "verifyPattern"
  | "verifyInterval"
  | "verifyBacklog"
  | "fsync"
  | "endFsync"
  | "continueOnError"
> {
  return {
    verify: "none",
    doVerify: true,
    verifyFatal: false,
    verifyPattern: [],
    verifyInterval: 0,
    verifyBacklog: 0,
    fsync: 0,
    endFsync: false,
    continueOnError: "none",
  };
}

function defaultReporting(): Pick<
  JobOptions,
  | "percentileList"
  | "slatPercentiles"
  | "clatPercentiles"
  | "latPercentiles"
  | "disableSlat"
  | "disableClat"
  | "disableLat"
  | "disableBw"
  | "gtodReduce"
  | "hipri"
  | "fixedbufs"
  | "direct"
  | "groupReporting"
  | "unifiedRwReporting"
  | "logs"
  | "logAvgMs"
  | "logHistMs"
  | "logOffset"
> {
  return {
    percentileList: DEFAULT_PERCENTILES,
    slatPercentiles: false,
    clatPercentiles: true,
    latPercentiles: false,
    disableSlat: false,
    disableClat: false,
    disableLat: false,
    disableBw: false,
    gtodReduce: false,
    hipri: false,
    fixedbufs: false,
    direct: false,
    groupReporting: false,
    unifiedRwReporting: false,
    logs: {},
    logAvgMs: 0,
    logHistMs: 0,
    logOffset: false,
  };
}

export function newDraft(): Draft {
  return {
    options: defaultOptions(),
    bs: [4096, 4096, 4096],
    minBs: [0, 0, 0],
    maxBs: [0, 0, 0],
    size: NOTHING,
    ioSize: NOTHING,
    offset: NOTHING,
    offsetIncrement: NOTHING,
    filesize: 0,
    files: [],
    numjobs: 1,
    stonewall: false,
    newGroup: false,
    randseedGiven: false,
    verifyGiven: false,
    dmabuf: false,
    emulator: {},
    logs: {},
    notes: [],
  };
}

/** A draft that begins with what `draft` says. */
export function copyDraft(draft: Draft): Draft {
  const copy = structuredClone(draft);
  delete copy.name;
  return copy;
}
