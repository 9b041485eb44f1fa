/** Reports while jobs run have what those at the end have: latencies too. */
import { run_fio } from "./fio.ts";
import { every } from "./fio-status.ts";
import { DDIR_READ, DDIR_WRITE, type JobOptions } from "@ringside/fio/job/job";
import type { FioRun, LatencyStat, ThreadStat } from "@ringside/fio/stat/thread-stat";
import { testJob } from "@ringside/fio/testing/jobs";
import { beforeAll, describe, expect, test, vi } from "vitest";

/** Longer than the test takes: it ends them. */
const ENDLESS = { ioengine: "io_uring", size: 1 << 20, timeBased: true, runtimeMs: 30_000 } as const;
const MIXED = { ...testJob("x").options.rw, ddirs: [true, true, false], random: true } as const;

function counted({ buckets }: LatencyStat): number {
  return buckets.reduce((sum, count) => sum + count, 0);
}

describe("reports of a run", () => {
  const reports: FioRun[] = [];
  let run: FioRun;
  const of = ({ threads }: FioRun, name: string): ThreadStat =>
    threads.find(({ jobName }) => jobName === name) as ThreadStat;

  beforeAll(async () => {
    const stages: readonly (readonly [name: string, stage: number, options: Partial<JobOptions>])[] = [
      ["busy", 0, { ...ENDLESS, rw: MIXED, iodepth: 8, iodepthLow: 8 }],
      ["asleep", 0, { ...ENDLESS, thinktimeUs: 1e9, thinktimeBlocks: 1 }],
      ["ramp", 0, { ...ENDLESS, rampTimeMs: 30_000 }],
      ["later", 1, ENDLESS],
    ];
    const abort = new AbortController();
    const onReport = (report: FioRun): void => {
      const known = ["busy", "asleep", "ramp"].every((name) => of(report, name).ddir[DDIR_READ].totalIos > 0);
      if (known) reports.push(report);
      if (reports.length === 3) abort.abort();
    };
    run = await run_fio(
      stages.map(([name, stage, options], number) => testJob(name, options, { number, stage })),
      { signal: abort.signal, status: { everyMs: 50, onReport } },
    );
  }, 60_000);

  test("have the latencies of a running job, each once, and they grow", () => {
    const all = [...reports, run].map((report) => of(report, "busy").ddir);
    for (const ddir of [DDIR_READ, DDIR_WRITE] as const) {
      for (const { [ddir]: stat } of all) {
        expect(stat.clat.n).toBeGreaterThan(0);
        expect(counted(stat.clat)).toBe(stat.clat.n);
        expect(stat.clat.n).toBeLessThanOrEqual(stat.totalIos);
        expect(stat.runtimeMs).toBeGreaterThan(0);
      }
      const n = all.map((stats) => stats[ddir].clat.n);
      expect(n).toEqual(n.toSorted((a, b) => a - b));
      expect(n[2]).toBeGreaterThan(n[0] as number);
    }
  });

  test("have those of a job that sleeps, and its time goes on", () => {
    const [first, , third] = reports.map((report) => of(report, "asleep")) as [
      ThreadStat,
      ThreadStat,
      ThreadStat,
    ];
    expect([first.ddir[DDIR_READ].clat.n, third.ddir[DDIR_READ].clat.n]).toEqual([1, 1]);
    expect(third.runtimeMs).toBeGreaterThan(first.runtimeMs);
  });

  test("have I/Os of the ramp time, and no latencies", () => {
    for (const report of reports) {
      const { totalIos, clat, lat } = of(report, "ramp").ddir[DDIR_READ];
      expect([totalIos > 0, clat.n, counted(clat), lat.n]).toEqual([true, 0, 0, 0]);
    }
  });

  test("have nothing of a job that has not begun, and what the disk has done", () => {
    for (const report of reports) expect(of(report, "later").ddir[DDIR_READ].totalIos).toBe(0);
    const reads = [...reports, run].map(({ disks }) => disks[0]?.ios[DDIR_READ] ?? 0);
    expect(reads[0]).toBeGreaterThan(0);
    expect(reads).toEqual(reads.toSorted((a, b) => a - b));
  });
});

test("a timer that is early brings no report twice", async () => {
  vi.useFakeTimers();
  try {
    const times: number[] = [];
    const start = performance.now();
    const real = setTimeout;
    // As Node does: a part of a millisecond is cut off.
    vi.spyOn(globalThis, "setTimeout").mockImplementation(((call: () => void, ms: number) =>
      real(call, Math.floor(ms - 0.5))) as typeof setTimeout);
    const stop = every(100, async () => {
      times.push(Math.round((performance.now() - start) / 100));
    });
    await vi.advanceTimersByTimeAsync(650);
    stop();
    expect(times).toEqual([1, 2, 3, 4, 5, 6]);
  } finally {
    vi.restoreAllMocks();
    vi.useRealTimers();
  }
});

test("reports come at multiples of the interval, never two at once, and stop", async () => {
  vi.useFakeTimers();
  try {
    const times: number[] = [];
    const start = performance.now();
    const stop = every(100, async () => {
      times.push(Math.round(performance.now() - start));
      // The second one takes long.
      await new Promise((resolve) => setTimeout(resolve, times.length === 2 ? 250 : 10));
    });
    await vi.advanceTimersByTimeAsync(650);
    stop();
    await vi.advanceTimersByTimeAsync(500);
    expect(times).toEqual([100, 200, 500, 600]);
  } finally {
    vi.useRealTimers();
  }
});
