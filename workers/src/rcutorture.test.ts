/** The rcutorture runner: a sound RCU passes, a busted one is caught at once, and a stop gives a report. */
import { expect, test } from "vitest";
import { DEFAULT_RCUTORTURE, READERS_MAX, run_rcutorture } from "./rcutorture.ts";

const FEW = { ...DEFAULT_RCUTORTURE, readers: 2 };
const MACHINE_MS = 60_000;

test("RCU passes: no reader sees an element after its grace period", { timeout: MACHINE_MS }, async () => {
  let told = 0;
  const { report } = await run_rcutorture(
    { ...FEW, seconds: 2 },
    {
      onProgress: () => {
        told++;
      },
    },
  );
  expect(report.pipe.slice(2)).toEqual(Array(9).fill(0));
  expect(report).toMatchObject({
    ok: true,
    flavor: "qsbr",
    readers: 2,
    mbErrors: 0,
    warnings: [],
    leaks: [],
  });
  expect(report.pipe[0]).toBeGreaterThan(0);
  expect(report.barrier).toMatchObject({ errors: 0 });
  expect([report.pipe.length, report.batch.length, report.freeBlocks.length]).toEqual([11, 11, 11]);
  expect(told).toBeGreaterThan(0);
});

test("busted fails, and the run ends at the first failure", { timeout: MACHINE_MS }, async () => {
  const { report } = await run_rcutorture({ ...FEW, flavor: "busted", seconds: 40 });
  expect(report.ok).toBe(false);
  expect(report.seconds).toBeLessThan(40);
  expect(report.pipe.slice(2).some((sections) => sections > 0)).toBe(true);
  expect(report.warnings.join()).toContain("too-short grace period");
  expect(report.leaks).toEqual([]);
});

test("as many readers as there may be find room", { timeout: MACHINE_MS }, async () => {
  const { report } = await run_rcutorture({ ...DEFAULT_RCUTORTURE, readers: READERS_MAX, seconds: 0.2 });
  expect(report).toMatchObject({ ok: true, readers: READERS_MAX, violations: [], warnings: [] });
});

test("an interrupted run reports what it has", { timeout: MACHINE_MS }, async () => {
  const abort = new AbortController();
  const onProgress = (): void => abort.abort();
  const { report } = await run_rcutorture({ ...FEW, seconds: 600 }, { onProgress, signal: abort.signal });
  expect(report).toMatchObject({ ok: true, interrupted: true });
  expect(report.seconds).toBeLessThan(600);
});
