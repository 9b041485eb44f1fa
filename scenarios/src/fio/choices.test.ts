/** What a fio job chooses: offsets, lengths, directions, times. Pure arithmetic, fixed seeds. */
import { expect, test } from "vitest";
import { DirectionMix } from "./mix.ts";
import { OffsetSource } from "./offsets.ts";
import {
  DepthSearch,
  RatePacer,
  SEARCH_DONE,
  SEARCH_FAILED,
  SEARCH_LOWERED,
  SEARCH_SETTLED,
  ThinkTime,
} from "./pacing.ts";
import { RandomMap } from "./random-map.ts";
import { DDIR_READ, DDIR_WRITE, type FioOptions } from "./task.ts";
import { fio_task, rw } from "./testing/task.ts";

const BS = 4096;

/** Block numbers of a pass, as chosen. */
function pass_of(source: OffsetSource, ddir: number): number[] {
  const blocks: number[] = [];
  source.start_pass();
  while (source.choose(ddir)) blocks.push(source.offset / BS);
  return blocks;
}

test.each([1, 31, 32, 33, 1000, 1024, 33_000])("a random pass over %i blocks is a permutation", (blocks) => {
  const source = new OffsetSource(fio_task({ rw: rw("randread") }, blocks * BS), false);
  const first = pass_of(source, DDIR_READ);
  const sorted = [...first].sort((a, b) => a - b);
  expect(sorted).toEqual(Array.from({ length: blocks }, (_, i) => i));
  if (blocks > 3) expect(first).not.toEqual(sorted);
  // The next pass is one too.
  expect(pass_of(source, DDIR_READ).length).toBe(blocks);
});

test("with norandommap blocks come twice before all had their turn", () => {
  const source = new OffsetSource(fio_task({ rw: rw("randread"), norandommap: true }, 64 * BS), false);
  source.start_pass();
  const seen = new Set<number>();
  for (let i = 0; i < 64; i++) if (source.choose(DDIR_READ)) seen.add(source.offset);
  expect(seen.size).toBeLessThan(64);
});

test("a random map of mixed block sizes hits every byte once", () => {
  const fixed = { min: BS, max: BS };
  const options: Partial<FioOptions> = { rw: rw("randread"), bs: [{ min: BS, max: 4 * BS }, fixed, fixed] };
  const source = new OffsetSource(fio_task(options, 512 * BS), false);
  const hits = new Uint8Array(512);
  source.start_pass();
  while (source.choose(DDIR_READ)) {
    for (let at = 0; at < source.bytes; at += BS) {
      const block = (source.offset + at) / BS;
      hits[block] = (hits[block] as number) + 1;
    }
  }
  expect(hits.every((n) => n === 1)).toBe(true);
});

test("a job that goes by time starts over when its blocks are used up", () => {
  const source = new OffsetSource(fio_task({ rw: rw("randread"), timeBased: true }, 8 * BS), true);
  source.start_pass();
  const blocks = Array.from({ length: 24 }, () => (source.choose(DDIR_READ) ? source.offset / BS : -1));
  for (const from of [0, 8, 16]) expect(new Set(blocks.slice(from, from + 8)).size).toBe(8);
});

test("randread:4 takes a new offset for every fourth I/O and goes on behind it", () => {
  const task = fio_task({ rw: { ...rw("randread"), count: 4 }, norandommap: true }, 4096 * BS);
  const source = new OffsetSource(task, false);
  source.start_pass();
  const blocks = Array.from({ length: 40 }, () => (source.choose(DDIR_READ) ? source.offset / BS : -1));
  blocks.forEach((block, i) => {
    if (i % 4 !== 0) expect(block).toBe((blocks[i - 1] as number) + 1);
  });
});

test("rw_sequencer=identical repeats the offset instead", () => {
  const task = fio_task({ rw: { ...rw("randread"), count: 3, sequencer: "identical" } }, 4096 * BS);
  const source = new OffsetSource(task, false);
  source.start_pass();
  const blocks = Array.from({ length: 9 }, () => (source.choose(DDIR_READ) ? source.offset / BS : -1));
  expect(blocks[1]).toBe(blocks[0]);
  expect(blocks[2]).toBe(blocks[0]);
  expect(blocks[3]).not.toBe(blocks[0]);
});

test("read:4k leaves a hole behind each I/O", () => {
  const source = new OffsetSource(fio_task({ rw: { ...rw("read"), skip: BS } }, 64 * BS), false);
  source.start_pass();
  const blocks = Array.from({ length: 4 }, () => (source.choose(DDIR_READ) ? source.offset / BS : -1));
  expect(blocks).toEqual([0, 2, 4, 6]);
});

test("bssplit gives each size its share", () => {
  const bssplit = [
    [
      { bytes: 4096, percent: 60 },
      { bytes: 65536, percent: 40 },
    ],
    [],
    [],
  ] as const;
  const source = new OffsetSource(
    fio_task({ rw: rw("randread"), norandommap: true, bssplit }, 64 << 20),
    true,
  );
  source.start_pass();
  let small = 0;
  for (let i = 0; i < 10_000; i++) if (source.choose(DDIR_READ) && source.bytes === 4096) small++;
  expect(Math.abs(small - 6000)).toBeLessThan(200);
});

const KB = 1024;

/** How many of 100 I/Os have which length, of 20,000. */
function length_shares(min: number, max: number): Record<string, number> {
  const range = { min, max };
  const options: Partial<FioOptions> = { rw: rw("randread"), norandommap: true, bs: [range, range, range] };
  const source = new OffsetSource(fio_task(options, 64 << 20), true);
  const counts: Record<string, number> = {};
  source.start_pass();
  for (let i = 0; i < 20_000; i++) {
    if (source.choose(DDIR_READ)) counts[source.bytes / KB] = (counts[source.bytes / KB] ?? 0) + 1 / 200;
  }
  return counts;
}

// Shares as measured of fio 3.33.
test.each([
  [4, 16, { "4": 25, "8": 25, "12": 25, "16": 25 }],
  [4, 10, { "4": 40, "8": 40, "10": 20 }],
  [3, 10, { "3": 30, "6": 30, "9": 30, "10": 10 }],
])("bsrange=%ik-%ik is min plus a random part of max, in multiples of min, cut at max", (min, max, fio) => {
  const ours = length_shares(min * KB, max * KB);
  expect(Object.keys(ours)).toEqual(Object.keys(fio));
  for (const [length, share] of Object.entries(fio)) {
    expect(Math.abs((ours[length] as number) - share)).toBeLessThan(1.5);
  }
});

test("with a random map, too, no I/O is longer than max", () => {
  const range = { min: BS, max: 10 * KB };
  const options: Partial<FioOptions> = { rw: rw("randread"), bs: [range, range, range] };
  const source = new OffsetSource(fio_task(options, 512 * BS), false);
  const lengths = new Set<number>();
  source.start_pass();
  while (source.choose(DDIR_READ)) lengths.add(source.bytes / KB);
  expect([...lengths].sort((a, b) => a - b)).toEqual([4, 8, 10]);
});

test("a map finds the next free block behind full words, and wraps", () => {
  const map = new RandomMap(5000);
  for (let i = 100; i < 4900; i++) map.mark(i);
  expect(map.next_free(100)).toBe(4900);
  for (let i = 4900; i < 5000; i++) map.mark(i);
  expect(map.next_free(300)).toBe(0);
  for (let i = 0; i < 100; i++) map.mark(i);
  expect(map.left).toBe(0);
  expect(map.next_free(0)).toBe(-1);
});

test.each([0, 1, 30, 50, 70, 100])("a mix of %i percent reads holds its share", (percent) => {
  const mix = new DirectionMix(fio_task({ rw: rw("randrw"), rwmixread: percent }, 1 << 20));
  let reads = 0;
  const total = 20_000;
  for (let i = 1; i <= total; i++) {
    const ddir = mix.choose();
    mix.issued(ddir);
    if (ddir === DDIR_READ) reads++;
    else if (ddir !== DDIR_WRITE) throw new Error(`direction ${ddir}`);
  }
  expect(Math.abs((100 * reads) / total - percent)).toBeLessThan(1);
});

test("a linear rate is due when the bytes so far are paid for", () => {
  const pacer = new RatePacer(fio_task({ rate: [1 << 20, 0, 0] }, 1 << 20));
  expect(pacer.due_us(DDIR_READ)).toBe(0);
  for (let i = 0; i < 256; i++) pacer.issued(DDIR_READ, 4096);
  expect(pacer.due_us(DDIR_READ)).toBeCloseTo(1e6);
  expect(pacer.due_us(DDIR_WRITE)).toBe(0);
});

test("rate_iops counts I/Os, and poisson keeps the mean with exponential gaps", () => {
  const pacer = new RatePacer(fio_task({ rateIops: [1000, 0, 0], rateProcess: "poisson" }, 1 << 20));
  const gaps: number[] = [];
  for (let i = 0, before = 0; i < 10_000; i++) {
    pacer.issued(DDIR_READ, BS);
    gaps.push(pacer.due_us(DDIR_READ) - before);
    before = pacer.due_us(DDIR_READ);
  }
  expect(pacer.due_us(DDIR_READ) / 10_000).toBeGreaterThan(970);
  expect(pacer.due_us(DDIR_READ) / 10_000).toBeLessThan(1030);
  const long = gaps.filter((gap) => gap > 1000).length / 10_000;
  expect(Math.abs(long - Math.exp(-1))).toBeLessThan(0.02);
});

test("thinktime_blocks=8 pauses once for each eight, however they complete", () => {
  const think = new ThinkTime(8);
  const pauses = [1, 7, 8, 8, 15, 25, 31, 32].filter((ios) => think.is_due(ios));
  expect(pauses).toEqual([8, 25, 32]);
});

/** Runs the search against a device whose latency is 100 us for each I/O in flight. */
function search_until_done(targetUs: number, percentile: number): { depth: number; verdict: number } {
  const options = fio_task(
    { iodepth: 64, latencyTargetUs: targetUs, latencyWindowUs: 1000, latencyPercentile: percentile },
    1 << 20,
  ).options;
  const search = new DepthSearch(options);
  for (let now = 0; now < 1e6; now += 100) {
    search.saw(search.depth * 100_000);
    const verdict = search.judge(now);
    if (verdict === SEARCH_DONE || verdict === SEARCH_FAILED) return { depth: search.depth, verdict };
    expect([0, SEARCH_LOWERED, SEARCH_SETTLED]).toContain(verdict);
  }
  return { depth: search.depth, verdict: -1 };
}

test.each([
  [100, 1],
  [550, 5],
  [2000, 20],
  [6300, 63],
  [100_000, 64],
])("latency_target=%i us finds depth %i", (target, depth) => {
  expect(search_until_done(target, 95)).toEqual({ depth, verdict: SEARCH_DONE });
  expect(search_until_done(target, 100)).toEqual({ depth, verdict: SEARCH_DONE });
});

test("a target that depth 1 misses fails the job", () => {
  expect(search_until_done(50, 95).verdict).toBe(SEARCH_FAILED);
});
