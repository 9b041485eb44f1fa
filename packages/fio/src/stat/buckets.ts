/**
 * fio's latency buckets (stat.h: PLAT_BITS 6, 29 groups; plat_val_to_idx and plat_idx_to_val in stat.c).
 *
 * A latency below 128 ns has a bucket of its own. Above, 64 buckets divide each power of two, and a bucket is
 * told as the middle of its range, so that it is never wrong by 1 %. From 2^34 ns on all is one last bucket.
 */

const BITS = 6;
const PER_GROUP = 1 << BITS;
const GROUPS = 29;

/** Buckets of one latency kind. */
export const BUCKETS: number = GROUPS * PER_GROUP;

/** The first value that is no longer told apart: 2^34 ns, 17 s. */
export const BUCKET_LIMIT: number = 2 ** (GROUPS + BITS - 1);

/** The bucket of a latency. `ns` is a whole number, 0 ... 2^53. */
export function bucketIndex(ns: number): number {
  if (ns < 2 * PER_GROUP) return ns;
  if (ns >= BUCKET_LIMIT) return BUCKETS - 1;
  // Above 2^32 Math.clz32 would see the low word only.
  const high = Math.floor(ns / 2 ** 32);
  const msb = high > 0 ? 63 - Math.clz32(high) : 31 - Math.clz32(ns);
  const group = msb - BITS;
  return (group + 1) * PER_GROUP + (Math.floor(ns / 2 ** group) % PER_GROUP);
}

/** What a bucket's samples are told as, in ns: exact below 128, else the middle of the range. */
export function bucketValue(index: number): number {
  if (!(index >= 0 && index < BUCKETS))
    throw new RangeError(`bucket ${index}: expected 0 ... ${BUCKETS - 1}`);
  if (index < 2 * PER_GROUP) return index;
  const group = Math.floor(index / PER_GROUP) - 1;
  return Math.floor(2 ** (group + BITS) + ((index % PER_GROUP) + 0.5) * 2 ** group);
}
