/** Jobs for tests of the statistics and the outputs: fio's defaults, with what a test says about it. */
import type { IoStat } from "../stat/thread-stat.ts";
import type { FioJob, JobOptions, PerDdir, Range } from "../job/job.ts";

const BLOCK: Range = { min: 4096, max: 4096 };

/** fio's default percentile_list. */
// biome-ignore format: a short list
export const PERCENTILES: readonly number[] = [
  1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99,
];

export const same = <T>(value: T): PerDdir<T> => [value, value, value];

const OPTIONS: JobOptions = {
  rw: {
    ddirs: [true, false, false],
    random: false,
    trimwrite: false,
    skip: 0,
    count: 1,
    sequencer: "sequential",
  },
  bs: same(BLOCK),
  bssplit: same([]),
  bsUnaligned: false,
  ioengine: "null",
  iodepth: 1,
  iodepthBatch: 1,
  iodepthBatchCompleteMin: 1,
  iodepthBatchCompleteMax: 1,
  iodepthLow: 1,
  size: 1 << 20,
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
  randseed: 1,
  distribution: same({ kind: "random" }),
  rate: same(0),
  rateIops: same(0),
  rateProcess: "linear",
  thinktimeUs: 0,
  thinktimeSpinUs: 0,
  thinktimeBlocks: 1,
  thinktimeBlocksType: "complete",
  verify: "none",
  doVerify: true,
  verifyFatal: false,
  verifyPattern: [],
  verifyInterval: 0,
  verifyBacklog: 0,
  fsync: 0,
  endFsync: false,
  percentileList: PERCENTILES,
  slatPercentiles: false,
  clatPercentiles: true,
  latPercentiles: false,
  disableSlat: false,
  disableClat: false,
  disableLat: false,
  disableBw: false,
  gtodReduce: false,
  latencyTargetUs: 0,
  latencyWindowUs: 0,
  latencyPercentile: 100,
  maxLatencyUs: same(0),
  continueOnError: "none",
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

/** `place`: what is not an option. */
export function testJob(
  name: string,
  options: Partial<JobOptions> = {},
  place: Partial<FioJob> = {},
): FioJob {
  return {
    name,
    clone: 0,
    number: 0,
    group: 0,
    stage: 0,
    files: ["/dev/nvme0n1"],
    options: { ...OPTIONS, ...options },
    emulator: {
      buf: "registered",
      iommu: "strict",
      percpu: "atomic",
      completion: "irq",
      variant: "v3-fixed",
      media: 64 << 20,
      invalidateMs: 0,
    },
    given: [],
    globals: [],
    ...place,
  };
}

/** One sample more (fio: add_stat_sample). */
export function addSample(stat: IoStat, value: number): void {
  if (value > stat.max) stat.max = value;
  if (value < stat.min) stat.min = value;
  const delta = value - stat.mean;
  stat.mean += delta / (stat.n + 1);
  stat.s += delta * (value - stat.mean);
  stat.n += 1;
}
