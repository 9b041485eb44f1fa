/** Every mutant that a public test must catch is caught by that test. */
// First: the root of the kernel image.
import { runConformance } from "./runner.ts";
import { MUTANTS } from "@ringside/mutants/index";
import { expect, test } from "vitest";

const TARGETED = MUTANTS.filter((mutant) => mutant.conformance !== undefined);
/** Timed cases look for as long as that at a time, in seconds, and again until they have found something. */
const SECONDS = 0.5;
const TRIES = 20;
/** Who is caught by hanging has hung by then, ms; the others have the runner's own patience for what they show. */
const HANG_MS = 6000;
const CASE_MS = 120_000;

// Side by side (maxConcurrency in vitest.config.ts): a mutant that hangs leaves the cores to others.
test.concurrent.for(TARGETED)(
  "$name is caught by $conformance.suite/$conformance.case",
  { timeout: CASE_MS },
  async (mutant) => {
    const hangs = mutant.caughtBy.includes("hung") ? { hangMs: HANG_MS } : {};
    const report = await runConformance({ mutant: mutant.name, seconds: SECONDS, repeat: TRIES, ...hangs });
    const cases = report.suites.flatMap((suite) => suite.cases);
    expect(cases.map((each) => each.name)).toEqual([mutant.conformance?.case]);
    const [result] = cases;
    expect(result?.ok, "the case passed").toBe(false);
    expect(
      mutant.caughtBy.filter((text) => result?.detail.includes(text)),
      result?.detail,
    ).not.toEqual([]);
  },
);

test("every mutant names where it is caught", () => {
  for (const { name, stress, conformance, check, caughtBy } of MUTANTS) {
    expect(stress ?? conformance ?? check, name).toBeDefined();
    expect(caughtBy, name).not.toEqual([]);
  }
});
