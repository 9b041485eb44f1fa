/**
 * Where the I/Os of each random_distribution go. Frequencies of fio were measured of fio 3.33: a million I/Os over
 * 1,024 blocks (--ioengine=null --norandommap --write_iolog).
 */
import { expect, test } from "vitest";
import { BlockSampler } from "./distribution.ts";
import { FioRandom, STREAM_OFFSET } from "./random.ts";
import type { FioDistribution } from "./task.ts";

const BS = 4096;
const IOS = 200_000;

/** How many of the I/Os each block has. */
function counts_of(distribution: FioDistribution, blocks: number): number[] {
  const sampler = new BlockSampler(distribution, blocks, BS, new FioRandom(7, STREAM_OFFSET));
  const counts = Array.from({ length: blocks }, () => 0);
  for (let i = 0; i < IOS; i++) {
    const block = sampler.sample();
    if (!(block >= 0 && block < blocks && Number.isInteger(block))) throw new Error(`block ${block}`);
    counts[block] = (counts[block] as number) + 1;
  }
  return counts;
}

/** The same, most frequent first. */
function ranked(distribution: FioDistribution, blocks: number): number[] {
  return counts_of(distribution, blocks).sort((a, b) => b - a);
}

/** Shares of the I/Os in so many equal parts of the region. */
function shares(counts: readonly number[], parts: number): number[] {
  const sums = Array.from({ length: parts }, () => 0);
  counts.forEach((n, block) => {
    const part = Math.floor((block * parts) / counts.length);
    sums[part] = (sums[part] as number) + n / IOS;
  });
  return sums;
}

/** The largest difference of two lists of shares. */
function apart(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((share, i) => Math.abs(share - (b[i] as number))));
}

/** Pearson's statistic over its degrees of freedom: about 1 when the counts follow the expectation. */
function chi_square(counts: readonly number[], expected: readonly number[]): number {
  const sum = counts.reduce(
    (total, n, i) => total + (n - (expected[i] as number)) ** 2 / (expected[i] as number),
    0,
  );
  return sum / (counts.length - 1);
}

test("random is uniform, and zipf is not", () => {
  const even = Array.from({ length: 100 }, () => 2000);
  expect(chi_square(counts_of({ kind: "random" }, 100), even)).toBeLessThan(1.5);
  expect(chi_square(counts_of({ kind: "zipf", theta: 0.8, center: 0 }, 100), even)).toBeGreaterThan(100);
});

test.each([0.5, 0.8, 1.2])("zipf:%f follows its law for the ranks behind the first two", (theta) => {
  const counts = ranked({ kind: "zipf", theta, center: 0 }, 100);
  let zeta = 0;
  for (let i = 1; i <= 100; i++) zeta += i ** -theta;
  // Gray's formula is exact for two ranks and an approximation behind them.
  expect(Math.abs((counts[0] as number) / (IOS / zeta) - 1)).toBeLessThan(0.03);
  expect(Math.abs((counts[1] as number) / ((IOS * 2 ** -theta) / zeta) - 1)).toBeLessThan(0.03);
  const tail = counts.slice(10).reduce((a, b) => a + b, 0) / IOS;
  let wanted = 0;
  for (let i = 11; i <= 100; i++) wanted += i ** -theta / zeta;
  expect(Math.abs(tail - wanted)).toBeLessThan(0.05);
});

test("pareto:0.2 sends 80 % of the I/Os to 20 % of the blocks", () => {
  const counts = ranked({ kind: "pareto", h: 0.2, center: 0 }, 1000);
  const hot = counts.slice(0, 200).reduce((a, b) => a + b, 0);
  expect(Math.abs(hot / IOS - 0.8)).toBeLessThan(0.02);
});

/** A distribution around the middle, and fio's share of the I/Os in each tenth of the region. */
const TENTHS: readonly (readonly [FioDistribution, readonly number[]])[] = [
  [
    { kind: "zipf", theta: 1.2, center: 0.5 },
    [0.048, 0.059, 0.078, 0.128, 0.285, 0.259, 0.029, 0.035, 0.036, 0.042],
  ],
  [
    { kind: "zipf", theta: 0.8, center: 0.5 },
    [0.083, 0.092, 0.102, 0.126, 0.173, 0.132, 0.066, 0.073, 0.073, 0.079],
  ],
  [
    { kind: "pareto", h: 0.2, center: 0.5 },
    [0.052, 0.058, 0.067, 0.086, 0.134, 0.423, 0.04, 0.044, 0.046, 0.049],
  ],
];

test.each(TENTHS)("%j has fio's share in each tenth of the region, and only its own", (distribution, fio) => {
  const ours = shares(counts_of(distribution, 1024), 10);
  expect(apart(ours, fio)).toBeLessThan(0.006);
  for (const [, others] of TENTHS) if (others !== fio) expect(apart(ours, others)).toBeGreaterThan(0.05);
});

test.each([0, 0.25, 0.5, 0.999])("with a center of %f the most frequent block lies there", (center) => {
  for (const distribution of [
    { kind: "zipf", theta: 1.2, center },
    { kind: "pareto", h: 0.2, center },
  ] as const) {
    const counts = counts_of(distribution, 1000);
    expect(counts.indexOf(Math.max(...counts))).toBe(Math.floor(center * 1000));
  }
});

test.each([100, 1000, 1024, 5000])("of %i blocks a fifth that is preferred is scattered", (blocks) => {
  // In one piece it would have 80 %.
  for (const around of [{}, { center: 0 }]) {
    const fifths = shares(counts_of({ kind: "pareto", h: 0.2, ...around }, blocks), 5);
    expect(Math.max(...fifths)).toBeLessThan(0.65);
  }
});

test.each([2, 3, 6, 100, 1000, 1023, 1024, 5000])("of %i blocks the scatter leaves none out", (blocks) => {
  // pareto:0.5 is uniform over all ranks but the last.
  const hit = counts_of({ kind: "pareto", h: 0.5 }, blocks).filter((n) => n > 0);
  expect(hit.length).toBe(blocks - 1);
});

test.each([1024, 2 ** 20, 2 ** 31])("of %i blocks rank k lies where fio's hash says", (blocks) => {
  const fio = (rank: number): number => Number((BigInt(rank) * 0x61c8864680b583ebn) % BigInt(blocks));
  // pareto:0.5 takes its rank from the next uniform number.
  const sampler = new BlockSampler({ kind: "pareto", h: 0.5, center: 0 }, blocks, 1, new FioRandom(7, 1));
  const random = new FioRandom(7, 1);
  for (let i = 0; i < 1000; i++) {
    expect(sampler.sample()).toBe(fio(Math.floor((blocks - 1) * random.fraction())));
  }
});

/** A deviation, and fio's share of the I/Os in each sixteenth of the ranks. */
const SIXTEENTHS: readonly (readonly [number, readonly number[]])[] = [
  [0, [0, 0, 0, 0.001, 0.0103, 0.0549, 0.1602, 0.2693, 0.272, 0.163, 0.0573, 0.0108, 0.0011, 0, 0, 0]],
  [
    10,
    [
      0, 0, 0.0001, 0.0018, 0.0141, 0.0619, 0.1612, 0.2566, 0.2594, 0.1638, 0.0642, 0.0149, 0.0019, 0.0001, 0,
      0,
    ],
  ],
  [
    50,
    [
      0.0006, 0.0041, 0.0172, 0.0445, 0.0795, 0.1078, 0.1211, 0.1244, 0.1242, 0.1217, 0.1071, 0.0805, 0.045,
      0.0173, 0.0043, 0.0006,
    ],
  ],
];

/** The mean of twelve uniforms, and one of `deviation` percent of the region around it. */
test.each(SIXTEENTHS)("normal:%i has fio's bell, and only its own", (deviation, fio) => {
  const counts = counts_of({ kind: "normal", deviation }, 1024);
  const by_rank = counts.map((_, rank) => counts[Number((BigInt(rank) * 0x61c8864680b583ebn) % 1024n)] ?? 0);
  const ours = shares(by_rank, 16);
  expect(apart(ours, fio)).toBeLessThan(0.004);
  for (const [, others] of SIXTEENTHS) if (others !== fio) expect(apart(ours, others)).toBeGreaterThan(0.008);
});

test.each([0, 0.25, 0.5])(
  "a center of %f turns the normal distribution: the middle is where it is without one",
  (center) => {
    const without = shares(counts_of({ kind: "normal", deviation: 10 }, 1024), 16);
    const turned = shares(counts_of({ kind: "normal", deviation: 10, center }, 1024), 16);
    // fio 3.33: normal:10:0 has the second half of normal:10 first, normal:10:0.25 its last three quarters.
    const by = 16 * ((center + 0.5) % 1);
    expect(turned).toEqual(without.map((_, i) => without[(i + 16 - by) % 16]));
  },
);

test.each([1, 2, 3])("normal stays in a region of %i blocks", (blocks) => {
  for (const deviation of [0, 10, 99]) {
    expect(counts_of({ kind: "normal", deviation }, blocks).reduce((a, b) => a + b)).toBe(IOS);
  }
});

test("zones get their percentages, each evenly", () => {
  const zones = [
    { percent: 60, size: 10 },
    { percent: 30, size: 20 },
    { percent: 10, size: 70 },
  ];
  const counts = counts_of({ kind: "zoned", zones }, 100);
  const expected = counts.map((_, i) => (i < 10 ? 12_000 : i < 30 ? 3000 : 20_000 / 70));
  expect(chi_square(counts, expected)).toBeLessThan(1.6);
});
