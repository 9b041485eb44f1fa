import { MUTANTS } from "@ringside/mutants/index";
import { DEFAULT_STRESS, run_stress, type StressOptions } from "@ringside/workers/stress";
import { expect, test } from "vitest";
import { complaints } from "./verified-run.ts";

const SETTINGS: Partial<StressOptions> = { seconds: 30, hangMs: 3000, stopAtFirst: true };

/** The others must be caught by a public test: test/conformance/src/mutants.test.ts. */
const STRESSED = MUTANTS.filter((mutant) => mutant.stress !== undefined);

test.for(STRESSED)("$name is caught", async (mutant) => {
  const { name, caughtBy, stress } = mutant;
  const report = await run_stress({ ...DEFAULT_STRESS, ...SETTINGS, ...stress, mutant: name });
  const found = complaints(report);
  expect(report.ok).toBe(false);
  expect(
    caughtBy.filter((text) => found.includes(text)),
    found,
  ).not.toEqual([]);
});

test("the token as posted (variant v3) is caught", async () => {
  const report = await run_stress({ ...DEFAULT_STRESS, ...SETTINGS, variant: "v3" });
  expect(complaints(report)).toMatch(/map-over-fence|map-during-move/);
});
