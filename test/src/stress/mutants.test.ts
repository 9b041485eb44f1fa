import { MUTANTS } from "@ringside/mutants/index";
import { DEFAULT_STRESS, run_stress, type StressOptions, type StressReport } from "@ringside/workers/stress";
import { expect, test } from "vitest";

/** Everything a report says is wrong. */
function complaints(report: StressReport): string {
  const leaks = report.leaks.map((leak) => `leak: ${leak.site}`);
  return [...report.violations, ...report.warnings, ...leaks].join("\n");
}

const SETTINGS: Partial<StressOptions> = { seconds: 30, hangMs: 3000, stopAtFirst: true };

test.for(MUTANTS.map((mutant) => [mutant.name, mutant] as const))("%s is caught", async ([name, mutant]) => {
  const report = await run_stress({ ...DEFAULT_STRESS, ...SETTINGS, ...mutant.stress, mutant: name });
  const found = complaints(report);
  expect(report.ok).toBe(false);
  expect(
    mutant.caughtBy.filter((text) => found.includes(text)),
    found,
  ).not.toEqual([]);
});
