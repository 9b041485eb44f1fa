import { expect, it } from "vitest";
import { DDIR_READ, DDIR_WRITE } from "../job/job.ts";
import { addSample, testJob } from "../testing/jobs.ts";
import { bucketIndex } from "./buckets.ts";
import { mergeStat, newIoStat, shown } from "./io-stat.ts";
import { makeReport } from "./report.ts";
import { newThreadStat } from "./thread-merge.ts";
import type { FioRun, ThreadStat } from "./thread-stat.ts";

function run(threads: readonly ThreadStat[]): FioRun {
  return { threads, disks: [], timestampMs: 0, elapsed: 1.2 };
}

/** A thread that read `ios` blocks of 4 KiB in `ms`, each in `ns`. */
function reader(number: number, group: number, ios: number, ms: number, ns: number): ThreadStat {
  const stat = newThreadStat("reader", number, group);
  const read = stat.ddir[DDIR_READ];
  read.totalIos = ios;
  read.ioBytes = 4096 * ios;
  read.runtimeMs = ms;
  stat.runtimeMs = ms;
  for (let i = 0; i < ios; i++) {
    addSample(read.clat, ns + i);
    read.clat.buckets[bucketIndex(ns + i)]! += 1;
  }
  addSample(read.bw, (4 * ios * 1000) / ms);
  return stat;
}

it("two halves of samples merge to what all of them together are", () => {
  const samples = Array.from({ length: 500 }, (_, i) => (i * 7919) % 1009);
  const [all, left, right] = [newIoStat(), newIoStat(), newIoStat()];
  for (const [i, value] of samples.entries()) {
    addSample(all, value);
    addSample(i % 3 === 0 ? left : right, value);
  }
  mergeStat(left, right);
  const [merged, expected] = [shown(left)!, shown(all)!];
  expect([merged.min, merged.max]).toEqual([expected.min, expected.max]);
  expect(merged.mean).toBeCloseTo(expected.mean, 9);
  expect(merged.stddev).toBeCloseTo(expected.stddev, 9);
});

it("nothing has no mean, and one sample no spread", () => {
  const one = newIoStat();
  expect(shown(one)).toBeUndefined();
  addSample(one, 42);
  expect(shown(one)).toEqual({ min: 42, max: 42, mean: 42, stddev: 0 });
});

it("group_reporting makes one row of a group: counts add up, rates add up, the longest run counts", () => {
  const options = { groupReporting: true };
  const jobs = [0, 1, 2].map((number) => testJob("reader", options, { number, group: number === 2 ? 1 : 0 }));
  const threads = [reader(0, 0, 100, 50, 1000), reader(1, 0, 300, 60, 3000), reader(2, 1, 10, 10, 200)];
  const { rows } = makeReport(jobs, run(threads));
  expect(rows.map(({ members, stat }) => [members, stat.group])).toEqual([
    [2, 0],
    [1, 1],
  ]);
  const { totalIos, ioBytes, runtimeMs, clat, bw } = rows[0]!.stat.ddir[DDIR_READ];
  expect({ totalIos, ioBytes, runtimeMs }).toEqual({ totalIos: 400, ioBytes: 400 * 4096, runtimeMs: 60 });
  expect([clat.n, clat.min, clat.max]).toEqual([400, 1000, 3299]);
  expect(clat.buckets.reduce((sum, count) => sum + count)).toBe(400);
  expect([bw.n, bw.min, bw.mean]).toEqual([2, 8000 + 20_000, 8000 + 20_000]);
  expect(rows[0]!.stat.runtimeMs).toBe(110);
});

it("without group_reporting every job is a row", () => {
  const jobs = [0, 1].map((number) => testJob("reader", {}, { number }));
  const { rows } = makeReport(jobs, run([reader(1, 0, 1, 1, 1), reader(0, 0, 2, 1, 1)]));
  expect(rows.map(({ stat }) => stat.ddir[DDIR_READ].totalIos)).toEqual([2, 1]);
});

it("a group tells the sum of its bytes over its longest run, and its slowest and fastest row", () => {
  const jobs = [0, 1].map((number) => testJob("reader", {}, { number }));
  const { groups } = makeReport(jobs, run([reader(0, 0, 100, 50, 1), reader(1, 0, 300, 60, 1)]));
  expect(groups).toHaveLength(1);
  expect(groups[0]!.ddir[DDIR_READ]).toEqual({
    minRun: 50,
    maxRun: 60,
    minBw: 8_192_000,
    maxBw: 20_480_000,
    ioBytes: 400 * 4096,
    agg: Math.floor((400 * 4096 * 1000) / 60),
  });
  expect(groups[0]!.ddir[DDIR_WRITE]).toBeUndefined();
});

it("unified_rw_reporting counts every direction as one, where reads stand", () => {
  const job = testJob("mixed", { unifiedRwReporting: true });
  const thread = reader(0, 0, 100, 50, 1);
  const write = thread.ddir[DDIR_WRITE];
  Object.assign(write, { totalIos: 50, ioBytes: 50 * 4096, runtimeMs: 70 });
  const { rows, groups } = makeReport([job], run([thread]));
  const { totalIos, runtimeMs } = rows[0]!.stat.ddir[DDIR_READ];
  expect({ totalIos, runtimeMs }).toEqual({ totalIos: 150, runtimeMs: 70 });
  expect(rows[0]!.stat.ddir[DDIR_WRITE].totalIos).toBe(0);
  expect(groups[0]!.unified).toBe(true);
});

it("a row has the first error of its jobs", () => {
  const jobs = [0, 1].map((number) => testJob("reader", { groupReporting: true }, { number }));
  const threads = [reader(0, 0, 1, 1, 1), reader(1, 0, 1, 1, 1)];
  Object.assign(threads[1]!, { error: 5, errorText: "Input/output error" });
  const { rows } = makeReport(jobs, run(threads));
  expect(rows[0]!.stat).toMatchObject({ error: 5, errorText: "Input/output error" });
});

it("elapsed time is told in whole seconds, begun ones counted", () => {
  expect(makeReport([], run([])).elapsed).toBe(2);
});
