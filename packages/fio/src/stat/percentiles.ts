/** Percentiles of a latency histogram, to the bit as fio has them (calc_clat_percentiles in stat.c). */
import { BUCKETS, bucketValue } from "./buckets.ts";
import { samplesAt } from "./long-double.ts";

export interface Percentile {
  /** 0 ... 100. */
  readonly percent: number;
  /** Nanoseconds. */
  readonly value: number;
}

/**
 * The value at each of `percents`, in ascending order of them. `n` is the number of samples, which the buckets
 * add up to. A list ends at its first 0, as fio's does. Empty without samples.
 */
export function percentiles(buckets: Float64Array, n: number, percents: readonly number[]): Percentile[] {
  const end = percents.indexOf(0);
  const list = (end < 0 ? [...percents] : percents.slice(0, end)).sort((a, b) => a - b);
  const found: Percentile[] = [];
  if (n === 0) return found;
  let sum = 0;
  let last = 0;
  for (let index = 0; index < BUCKETS && found.length < list.length; index++) {
    const count = buckets[index] as number;
    if (count === 0) continue;
    sum += count;
    last = index;
    while (found.length < list.length) {
      const percent = list[found.length] as number;
      if (BigInt(sum) < samplesAt(percent, n)) break;
      found.push({ percent, value: bucketValue(index) });
    }
  }
  // Fewer samples in the buckets than `n`: a caller's mistake that fio reports; the rest is the largest seen.
  for (const percent of list.slice(found.length)) found.push({ percent, value: bucketValue(last) });
  return found;
}
