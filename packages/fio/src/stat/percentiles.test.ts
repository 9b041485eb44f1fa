import { expect, it } from "vitest";
import { PERCENTILES } from "../testing/jobs.ts";
import { BUCKETS, bucketIndex, bucketValue } from "./buckets.ts";
import { samplesAt } from "./long-double.ts";
import { percentiles } from "./percentiles.ts";

/** A small generator: the same samples at every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function histogram(samples: readonly number[]): Float64Array {
  const buckets = new Float64Array(BUCKETS);
  for (const ns of samples) buckets[bucketIndex(ns)]! += 1;
  return buckets;
}

it.each([1, 2, 3, 10, 999, 1000, 1001, 20_000])(
  "percentiles of %i samples are those of sorting them",
  (n) => {
    const next = random(n);
    const samples = Array.from({ length: n }, () => Math.floor(50 * 2 ** (20 * next() ** 3)));
    const sorted = samples.toSorted((a, b) => a - b);
    const expected = PERCENTILES.map((percent) => {
      const rank = Math.max(1, Number(samplesAt(percent, n)));
      return { percent, value: bucketValue(bucketIndex(sorted[rank - 1] as number)) };
    });
    expect(percentiles(histogram(samples), n, PERCENTILES)).toEqual(expected);
  },
);

it.each([
  // 99.9 is a little above 99.9: 999 of 1000 samples are not enough, and a double would say they are.
  [99.9, 1000, 1000n],
  [99.99, 10_000, 9999n],
  [50, 2, 1n],
  [10, 10, 1n],
  [0.1, 1000, 2n],
  [100, 12_345, 12_345n],
  [33.3, 7, 3n],
])("%d %% of %i samples are the first %i, in 64 bits of mantissa", (percent, n, expected) => {
  expect(samplesAt(percent, n)).toBe(expected);
});

it("a list is told in ascending order and ends at its first 0", () => {
  const buckets = histogram([1, 2, 3, 4]);
  expect(percentiles(buckets, 4, [100, 50, 0, 75])).toEqual([
    { percent: 50, value: 2 },
    { percent: 100, value: 4 },
  ]);
});

it("there are no percentiles of nothing", () => {
  expect(percentiles(new Float64Array(BUCKETS), 0, PERCENTILES)).toEqual([]);
});

it("ranks up to 1000 samples are those of a long double, as gcc computes them", () => {
  let checksum = 0n;
  for (const percent of PERCENTILES) {
    for (let n = 1; n < 1000; n++) checksum = (checksum * 31n + samplesAt(percent, n)) % 1_000_000_007n;
  }
  // From a C program of four lines on x86-64: (long double)p / 100.0 * n, the first whole number not below it.
  expect(checksum).toBe(171_180_129n);
});
