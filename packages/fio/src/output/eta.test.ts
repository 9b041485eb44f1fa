import { expect, it } from "vitest";
import type { PerDdir } from "../job/job.ts";
import { same, testJob } from "../testing/jobs.ts";
import { EtaLine, type JobProgress, type JobState } from "./eta.ts";

const MIB = 1 << 20;

function at(number: number, state: JobState, mib: PerDdir<number>, elapsedMs: number): JobProgress {
  const ioBytes = mib.map((amount) => amount * MIB) as unknown as PerDdir<number>;
  const ios = ioBytes.map((bytes) => bytes / 4096) as unknown as PerDdir<number>;
  return { number, state, ioBytes, ios, elapsedMs, filesOpen: state === "running" ? 1 : 0 };
}

const RANDOM = { ...testJob("x").options.rw, random: true };

it("the line has who runs, how far it is, rates and what is left", () => {
  const job = testJob("x", { rw: RANDOM, runtimeMs: 10_000, timeBased: true, size: 1 << 30 });
  const eta = new EtaLine([job], 0);
  expect(eta.next([at(0, "running", [0, 0, 0], 1000)], 1000)).toBe("Jobs: 1 (f=1)\r");
  // By time half of it; all its bytes have been read once.
  const line = eta.next([at(0, "running", [4096, 0, 0], 5000)], 5000);
  expect(line).toBe("Jobs: 1 (f=1): [r(1)][50.0%][r=1024MiB/s][r=262k IOPS][eta 00m:05s]\r");
});

it("a line comes no sooner than a second after the one before", () => {
  const eta = new EtaLine([testJob("x")], 0);
  const progress = [at(0, "running", [1, 0, 0], 100)];
  expect(eta.next(progress, 500)).toBeUndefined();
  expect(eta.next(progress, 960)).toBeDefined();
  expect(eta.next(progress, 1500)).toBeUndefined();
});

it("jobs are told by what they do, runs of the same counted", () => {
  const rw = testJob("x").options.rw;
  const kinds = [
    [testJob("a", { rw }), "exited"],
    [testJob("b", { rw: RANDOM }), "running"],
    [testJob("c", { rw: RANDOM }), "running"],
    [testJob("d", { rw: { ...rw, ddirs: [true, true, false] } }), "running"],
    [testJob("e", { rw: { ...RANDOM, ddirs: [false, true, false] } }), "running"],
    [testJob("f", { rw: { ...rw, ddirs: [false, false, true] } }), "running"],
    [testJob("g"), "verifying"],
    [testJob("h"), "ramp"],
    [testJob("i"), "pending"],
  ] as const;
  const jobs = kinds.map(([job], number) => ({ ...job, number }));
  const progress = kinds.map(([, state], number) => at(number, state, [1, 0, 0], 5000));
  const line = new EtaLine(jobs, 0).next(progress, 5000);
  expect(line).toContain("Jobs: 7 (f=5): [_(1),r(2),M(1),w(1),D(1),V(1),/(1),P(1)]");
});

it("a job that failed is an X", () => {
  const failed = { ...at(0, "exited", [0, 0, 0], 1), error: true };
  const jobs = [testJob("a"), testJob("b", {}, { number: 1 })];
  const line = new EtaLine(jobs, 0).next([failed, at(1, "running", [1, 0, 0], 4000)], 4000);
  expect(line).toContain("[X(1),R(1)]");
});

it("limits stand behind the files: bytes a second, else I/Os a second", () => {
  const progress = [at(0, "running", [1, 0, 0], 1000)];
  const line = (options: Parameters<typeof testJob>[1]): string | undefined =>
    new EtaLine([testJob("x", options)], 0).next(progress, 1000);
  expect(line({ rate: same(MIB) })).toBe("Jobs: 1 (f=1), 0B/s-1024KiB/s\r");
  expect(line({ rateIops: same(1000) })).toBe("Jobs: 1 (f=1), 0-1000 IOPS\r");
});

it("a shorter line covers the longer one before it", () => {
  const eta = new EtaLine([testJob("x")], 0);
  const long = eta.next([at(0, "running", [1, 0, 0], 4000)], 4000)!;
  const short = eta.next([at(0, "pending", [1, 0, 0], 5000)], 5000)!;
  expect(short).toMatch(/^Jobs: 0 \(f=0\) +\r$/);
  expect(short).toHaveLength(long.length);
});

it("stages to come add to what is left", () => {
  const options = { runtimeMs: 60_000, timeBased: true };
  const jobs = [0, 1, 2].map((number) => testJob("x", options, { number, stage: Math.min(number, 1) }));
  const line = new EtaLine(jobs, 0).next(
    [at(0, "running", [1, 0, 0], 10_000), at(1, "pending", [0, 0, 0], 0), at(2, "pending", [0, 0, 0], 0)],
    10_000,
  );
  // 50 s of the first stage, 60 s of the second one, in which two run at once.
  expect(line).toContain("[eta 01m:50s]");
});
