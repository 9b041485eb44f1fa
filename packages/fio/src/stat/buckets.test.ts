import { expect, it } from "vitest";
import { BUCKET_LIMIT, BUCKETS, bucketIndex, bucketValue } from "./buckets.ts";

/** Both sides of every power of two, where an arithmetic of bits goes wrong, and a ladder between them. */
function* latencies(): Generator<number> {
  for (let ns = 0; ns < 4096; ns++) yield ns;
  for (let ns = 4096; ns < 2 ** 53; ns = Math.floor(ns * 1.003) + 1) yield ns;
  for (let bit = 7; bit <= 52; bit++) yield* [2 ** bit - 1, 2 ** bit, 2 ** bit + 1];
}

it("every bucket is the bucket of its own value", () => {
  const all = Array.from({ length: BUCKETS }, (_, i) => i);
  expect(all.map((i) => bucketIndex(bucketValue(i)))).toEqual(all);
});

it("a longer latency never has a lower bucket", () => {
  const sorted = [...latencies()].sort((a, b) => a - b).map(bucketIndex);
  expect(sorted).toEqual(sorted.toSorted((a, b) => a - b));
  expect(sorted.at(-1)).toBe(BUCKETS - 1);
});

it("a bucket tells its latencies with an error below 1 %, and those below 128 ns exactly", () => {
  let worst = 0;
  for (const ns of latencies()) {
    if (ns >= BUCKET_LIMIT) continue;
    const told = bucketValue(bucketIndex(ns));
    if (ns < 128) expect(told).toBe(ns);
    else worst = Math.max(worst, Math.abs(told - ns) / ns);
  }
  expect(worst).toBeLessThan(0.01);
  // The bound is a property of 64 buckets a group, not of a sparse ladder: it is nearly reached.
  expect(worst).toBeGreaterThan(0.007);
});

it("what is too long has the last bucket", () => {
  expect([BUCKET_LIMIT, 2 ** 40, Number.MAX_SAFE_INTEGER].map(bucketIndex)).toEqual([1855, 1855, 1855]);
  expect(bucketValue(BUCKETS - 1)).toBe(17_112_760_320);
});

it("there is no bucket past the last one", () => {
  expect(() => bucketValue(BUCKETS)).toThrow(/expected 0 \.\.\. 1855/);
});
