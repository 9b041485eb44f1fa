/** fio's struct io_stat: running minimum, maximum, mean and spread (sum_stat, calc_lat). */
import { BUCKETS } from "./buckets.ts";
import type { IoStat, LatencyStat } from "./thread-stat.ts";

export function newIoStat(): IoStat {
  return { n: 0, min: Infinity, max: 0, mean: 0, s: 0 };
}

export function newLatencyStat(): LatencyStat {
  return { ...newIoStat(), buckets: new Float64Array(BUCKETS) };
}

/** Two sets of samples as one. */
export function mergeStat(into: IoStat, from: IoStat): void {
  if (from.n === 0) return;
  const n = into.n + from.n;
  const delta = from.mean - into.mean;
  into.s = into.n === 0 ? from.s : into.s + from.s + delta ** 2 * ((into.n * from.n) / n);
  into.mean = into.n === 0 ? from.mean : (from.mean * from.n + into.mean * into.n) / n;
  into.min = Math.min(into.min, from.min);
  into.max = Math.max(into.max, from.max);
  into.n = n;
}

/** Rates of jobs that ran side by side: they add up, as do their minima and maxima. Samples add up too. */
export function sumRates(into: IoStat, from: IoStat): void {
  if (from.n === 0) return;
  into.min = into.n === 0 ? from.min : into.min + from.min;
  into.max = into.n === 0 ? from.max : into.max + from.max;
  into.mean += from.mean;
  into.s += from.s;
  into.n += from.n;
}

export function mergeLatency(into: LatencyStat, from: LatencyStat): void {
  mergeStat(into, from);
  addCounts(into.buckets, from.buckets);
}

export function addCounts(into: Float64Array, from: Float64Array): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + (from[i] as number);
}

/** What is shown of a stat. */
export interface Shown {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly stddev: number;
}

/** Undefined without samples. */
export function shown(stat: IoStat): Shown | undefined {
  if (stat.n === 0) return undefined;
  const stddev = stat.n > 1 ? Math.sqrt(stat.s / (stat.n - 1)) : 0;
  return { min: stat.min, max: stat.max, mean: stat.mean, stddev };
}
