/**
 * Running statistics and latency buckets, by fio's arithmetic (stat.c, stat.h), in flat arrays so that a sample costs
 * a few stores and allocates nothing.
 *
 * 1856 buckets: exact below 128 ns, then 64 for each power of two, so that a bucket is within 1 % of its latencies.
 */
import type { FioIoStat } from "./task.ts";

export const PLAT_BUCKETS = 1856;
const PLAT_BITS = 6;
const PLAT_VALUES: number = 1 << PLAT_BITS;
const EXACT: number = 2 * PLAT_VALUES;
const LAST: number = PLAT_BUCKETS - 1;
const HALF = 2 ** 32;

/** Index of the bucket that counts `ns`, a whole number of nanoseconds from 0 on. */
export function plat_index(ns: number): number {
  if (ns < EXACT) return ns;
  if (ns < HALF) {
    const error_bits = 31 - PLAT_BITS - Math.clz32(ns);
    return ((error_bits + 1) << PLAT_BITS) + ((ns >>> error_bits) & (PLAT_VALUES - 1));
  }
  // More than 4 s: clz32 sees the low word only.
  const error_bits = 63 - PLAT_BITS - Math.clz32(ns / HALF);
  const index = ((error_bits + 1) << PLAT_BITS) + (Math.floor(ns / 2 ** error_bits) & (PLAT_VALUES - 1));
  return index < LAST ? index : LAST;
}

/** A statistic is five numbers in a row: n, minimum, maximum, mean, sum of squared deviations (Welford). */
export const STAT_CELLS = 5;

export function stat_clear(cells: Float64Array, at: number): void {
  cells.fill(0, at, at + STAT_CELLS);
  cells[at + 1] = Number.POSITIVE_INFINITY;
}

export function stat_sample(cells: Float64Array, at: number, value: number): void {
  const n = (cells[at] as number) + 1;
  const mean = cells[at + 3] as number;
  const delta = value - mean;
  const moved = mean + delta / n;
  cells[at] = n;
  if (value < (cells[at + 1] as number)) cells[at + 1] = value;
  if (value > (cells[at + 2] as number)) cells[at + 2] = value;
  cells[at + 3] = moved;
  cells[at + 4] = (cells[at + 4] as number) + delta * (value - moved);
}

export function stat_object(cells: Float64Array, at: number): FioIoStat {
  return {
    n: cells[at] as number,
    min: cells[at + 1] as number,
    max: cells[at + 2] as number,
    mean: cells[at + 3] as number,
    s: cells[at + 4] as number,
  };
}

/** Which of "1, 2, 4, 8, 16, 32, >=64" a depth is. */
export function depth_index(depth: number): number {
  return depth >= 64 ? 6 : depth <= 1 ? 0 : 31 - Math.clz32(depth);
}

/** Which of "0, 1-4, 5-8, 9-16, 17-32, 33-64, >64" a count is. */
export function batch_index(nr: number): number {
  if (nr === 0) return 0;
  if (nr <= 4) return 1;
  return nr > 64 ? 6 : 31 - Math.clz32(nr - 1);
}

/** Which of "below 2, 4, 10, 20, 50, 100, 250, 500, 750, 1000" a number below 1000 is. */
export function decade_index(value: number): number {
  if (value < 50) return value < 2 ? 0 : value < 4 ? 1 : value < 10 ? 2 : value < 20 ? 3 : 4;
  return value < 100 ? 5 : value < 250 ? 6 : value < 500 ? 7 : value < 750 ? 8 : 9;
}
