/** Jobs for tests of the statistics and the outputs: fio's defaults, with what a test says about it. */
import { DEFAULT_PERCENTILES, defaultOptions } from "../job/draft.ts";
import type { IoStat } from "../stat/thread-stat.ts";
import type { FioJob, JobOptions, PerDdir } from "../job/job.ts";

/** fio's default percentile_list. */
export const PERCENTILES: readonly number[] = DEFAULT_PERCENTILES;

export const same = <T>(value: T): PerDdir<T> => [value, value, value];

/** As the options are once a job is resolved: fixups made, a region given. */
const OPTIONS: JobOptions = {
  ...defaultOptions(),
  ioengine: "null",
  iodepthBatchCompleteMax: 1,
  iodepthLow: 1,
  size: 1 << 20,
  randseed: 1,
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
