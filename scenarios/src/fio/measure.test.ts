/** What a job measures, at times that the test makes up. */
import { expect, test } from "vitest";
import { PLAT_BUCKETS } from "./latency.ts";
import { AT_END, AT_ISSUE, AT_START, Measure } from "./measure.ts";
import { SampleLog } from "./sample-log.ts";
import { DDIR_READ, DDIR_WRITE, type FioOptions } from "./task.ts";
import { fio_task } from "./testing/task.ts";

const BS = 4096;

function measure_of(options: Partial<FioOptions> = {}): Measure {
  return new Measure(fio_task({ iodepth: 2, ...options }, 1 << 20).options);
}

/** One I/O that ended at `end` ms: 1 us to submit, `us` to complete. */
function one(m: Measure, ddir: number, end: number, us: number): void {
  m.times[AT_START] = end - (us + 1) / 1000;
  m.times[AT_ISSUE] = end - us / 1000;
  m.times[AT_END] = end;
  m.issued(ddir);
  m.submitted(1, 1);
  m.completed(ddir, BS, BS, 0);
}

test("minimum, maximum, mean and deviation are those of the samples", () => {
  const m = measure_of({ slatPercentiles: true, latPercentiles: true });
  for (const us of [2, 4, 4, 4, 5, 5, 7, 9]) one(m, DDIR_READ, 100, us);
  const { clat, slat, lat } = m.stat_of(100).ddir[DDIR_READ];
  expect([clat.n, clat.min, clat.max]).toEqual([8, 2000, 9000]);
  expect(clat.mean).toBeCloseTo(5000);
  // The textbook's example: a standard deviation of 2 us over all of them.
  expect(Math.sqrt(clat.s / clat.n)).toBeCloseTo(2000);
  expect(slat.mean).toBeCloseTo(1000);
  expect(lat.mean).toBeCloseTo(6000);
  expect(clat.buckets.length).toBe(PLAT_BUCKETS);
});

test("bandwidth is sampled every half second, by what moved in it", () => {
  const m = measure_of();
  for (let now = 10; now <= 1500; now += 10) {
    one(m, DDIR_WRITE, now, 5);
    if (now >= m.next_ms) m.tick(now);
  }
  const { bw, iops } = m.stat_of(1500).ddir[DDIR_WRITE];
  expect([bw.n, bw.min, bw.max]).toEqual([3, 400, 400]);
  expect([iops.n, iops.mean]).toEqual([3, 100]);
  expect(m.stat_of(1500).ddir[DDIR_READ].bw.n).toBe(0);
});

test("what ends in the ramp time is forgotten, but not by the live view", () => {
  const m = measure_of();
  one(m, DDIR_READ, 1, 5);
  m.forget(10);
  one(m, DDIR_READ, 20, 7);
  const { totalIos, ioBytes, clat } = m.stat_of(20).ddir[DDIR_READ];
  expect([totalIos, ioBytes, clat.n, clat.max]).toEqual([1, BS, 1, 7000]);
  expect(m.all_ios[DDIR_READ]).toBe(2);
});

test("a job that ends within its ramp time tells its I/Os, and no latencies", () => {
  const m = measure_of();
  one(m, DDIR_READ, 1, 5);
  m.forget_latencies();
  const { ddir, depth, latUs } = m.stat_of(1);
  expect([ddir[DDIR_READ].totalIos, ddir[DDIR_READ].ioBytes, depth[0]]).toEqual([1, BS, 1]);
  expect([ddir[DDIR_READ].clat.n, latUs.some((count) => count > 0)]).toEqual([0, false]);
});

test("a batch has the depth at its submission, all of it", () => {
  const m = measure_of();
  m.submitted(16, 48);
  m.submitted(3, 3);
  const { depth, submit } = m.stat_of(1);
  expect([...depth]).toEqual([0, 3, 0, 0, 0, 16, 0]);
  expect([...submit]).toEqual([0, 1, 0, 1, 0, 0, 0]);
});

test("the null engine at depth 1 submits nothing", () => {
  const m = measure_of({ ioengine: "null", iodepth: 1 });
  one(m, DDIR_READ, 1, 5);
  m.reaped(1);
  const { ddir, depth, totalSubmits, totalCompletes } = m.stat_of(1);
  expect([ddir[DDIR_READ].slat.n, ddir[DDIR_READ].clat.n, depth[0]]).toEqual([0, 1, 1]);
  expect([totalSubmits, totalCompletes]).toEqual([0, 0]);
});

test("with a line for each I/O, each I/O is a sample of bandwidth", () => {
  const m = measure_of({ logs: { bw: "x" } });
  for (const us of [4, 8]) one(m, DDIR_READ, 600, us);
  m.tick(600);
  const { bw, iops } = m.stat_of(600).ddir[DDIR_READ];
  expect([bw.n, bw.min, bw.max]).toEqual([2, 512_000, 1_024_000]);
  expect([iops.n, iops.mean]).toEqual([1, 3]);
});

test("a bandwidth that is not measured is not logged", () => {
  for (const off of [{ disableBw: true }, { gtodReduce: true }]) {
    const m = measure_of({ ...off, logs: { bw: "x", iops: "x" } });
    one(m, DDIR_READ, 1, 5);
    const { bw, iops } = m.log_columns();
    // gtod_reduce asks no time: it can have no lines at all.
    expect([bw.n, iops.n]).toEqual([0, "gtodReduce" in off ? 0 : 1]);
  }
});

test("log_avg_msec makes a line of each stretch, at its multiples", () => {
  const m = measure_of({ logAvgMs: 200, logs: { bw: "x", iops: "x", lat: "x" } });
  for (let now = 10; now <= 600; now += 10) {
    one(m, DDIR_READ, now, now <= 200 ? 10 : 20);
    if (now >= m.next_ms) m.tick(now);
  }
  const { bw, iops, clat } = m.log_columns();
  expect([...bw.time]).toEqual([200, 400, 600]);
  expect([...bw.value]).toEqual([400, 400, 400]);
  expect([...iops.value]).toEqual([100, 100, 100]);
  expect([...clat.value]).toEqual([10_000, 20_000, 20_000]);
  expect([...clat.bs]).toEqual([0, 0, 0]);
});

test("histograms of log_hist_msec hold each latency once", () => {
  const m = measure_of({ logHistMs: 100, logs: { hist: "x" } });
  for (let now = 10; now <= 300; now += 10) {
    one(m, DDIR_READ, now, 5);
    if (now >= m.next_ms) m.tick(now);
  }
  const sums = m.histograms().map(({ buckets }) => buckets.reduce((a, b) => a + b, 0));
  expect(sums).toEqual([10, 10, 10]);
});

test("a histogram carries the block size of the last I/O in it, by direction, as fio's do", () => {
  const m = measure_of({ logHistMs: 100, logs: { hist: "x" } });
  const sizes = [512, 4096, 1024];
  for (let now = 50; now <= 300; now += 50) {
    m.times.fill(now);
    for (const ddir of [DDIR_READ, DDIR_WRITE]) {
      const bs = (sizes[Math.ceil(now / 100) - 1] as number) * (now % 100 === 0 ? 1 : 8) * (ddir + 1);
      m.completed(ddir, bs, bs, 0);
    }
    if (now >= m.next_ms) m.tick(now);
  }
  expect(m.histograms().map(({ ddir, bs }) => [ddir, bs])).toEqual(
    sizes.flatMap((bs) => [
      [DDIR_READ, bs],
      [DDIR_WRITE, 2 * bs],
    ]),
  );
});

test("a log that is full counts what it drops", () => {
  const log = new SampleLog(0);
  const limit = 1 << 19;
  for (let i = 0; i < limit + 5; i++) log.log_line(i, i, 0, BS, 0);
  const { n, dropped, value } = log.columns();
  expect([n, dropped, value[limit - 1]]).toEqual([limit, 5, limit - 1]);
});
