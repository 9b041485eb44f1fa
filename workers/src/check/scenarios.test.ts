/**
 * The scenarios of atomics-sync and of the kernel's larger parts: what must be clean is clean, small ones are proved,
 * and what is broken is found by the default search.
 */
import { defaultMonitors } from "@ringside/checker/detect/index";
import { Execution } from "@ringside/checker/execution";
import { type Exploration, explore } from "@ringside/checker/explore";
import { makeStrategy } from "@ringside/checker/strategy/index";
import { findMutant, MUTANTS } from "@ringside/mutants/index";
import { check_scenarios } from "@ringside/scenarios/check/index";
import { is_expected } from "@ringside/scenarios/check/scenario";
import { describe, expect, test } from "vitest";
import { findScenario, loadScenario } from "./load.ts";

/** A clean form runs so many executions; a broken one is found within so many. */
const CLEAN_EXECUTIONS = { memory: 250, kernel: 30 };
const FOUND_WITHIN = 10_000;

const MEMORY: readonly string[] = ["mutex", "semaphore", "seqlock", "spsc", "event", "barrier"];
const KERNEL: readonly string[] = [
  "fence-callback",
  "resv-iter",
  "workqueue-requeue",
  "slab-double-free",
  "token-lifetime-3",
  "token-lifetime-4",
  "nvme-timeout",
  "uring-buffer-update",
];

async function search(
  scenario: string,
  form: string,
  strategy: string,
  executions: number,
): Promise<Exploration> {
  const { program } = await loadScenario({ scenario, form });
  const execution = new Execution(program, { monitors: defaultMonitors() });
  return explore(execution, makeStrategy(strategy, { seed: 1 }), { executions });
}

describe.for([...MEMORY, ...KERNEL])("%s", (name) => {
  const { forms, kind } = findScenario(name);

  test.for(Object.entries(forms))("%s", async ([form, { expect: wanted }]) => {
    const executions = wanted === "clean" ? CLEAN_EXECUTIONS[kind] : FOUND_WITHIN;
    const { failure } = await search(name, form, "portfolio", executions);
    const finding = failure?.outcome.finding;
    const told = finding?.report ?? finding?.message ?? "nothing was found";
    expect(is_expected(wanted, finding?.kind), told).toBe(true);
  });

  test("has one correct form at least, and two broken ones", () => {
    expect(forms["correct"]?.expect).toBe("clean");
    expect(Object.values(forms).filter((form) => form.expect !== "clean").length).toBeGreaterThan(1);
  });
});

test.for([
  ["mutex", "correct"],
  ["semaphore", "correct"],
  ["seqlock", "correct"],
  ["seqlock", "correct-fence"],
  ["event", "correct"],
  ["fence-callback", "correct-keep"],
  ["slab-double-free", "correct-quarantine"],
] as const)("%s (%s) is proved: DPOR searches it to the end", async ([name, form]) => {
  const { complete, failure, proof } = await search(name, form, "dpor", Number.POSITIVE_INFINITY);
  expect(failure?.outcome.finding).toBe(undefined);
  expect({ complete, reasons: proof?.reasons }).toEqual({ complete: true, reasons: [] });
});

test.for([
  ["spsc", "correct", /spinning threads may give up/],
  ["barrier", "correct", /spinning threads may give up/],
  ["slab-double-free", "correct", /taken for spinning/],
] as const)("%s (%s): DPOR comes to the end, and says why that is no proof", async ([name, form, why]) => {
  const { complete, failure, truncated, proof } = await search(name, form, "dpor", Number.POSITIVE_INFINITY);
  expect(failure?.outcome.finding).toBe(undefined);
  expect({ complete, truncated, proved: proof?.proved }).toEqual({
    complete: true,
    truncated: 0,
    proved: false,
  });
  expect(proof?.reasons.join()).toMatch(why);
});

describe("mutants", () => {
  test("every form's mutant exists", () => {
    const named = check_scenarios.flatMap(({ forms }) => Object.values(forms).map((form) => form.mutant));
    for (const mutant of named) if (mutant !== undefined) findMutant(mutant);
  });

  test("each that names a form is planted by that form, and told of as the form expects", () => {
    for (const { name, check, caughtBy } of MUTANTS) {
      if (check === undefined) continue;
      const form = findScenario(check.scenario).forms[check.form];
      expect(form?.mutant, name).toBe(name);
      expect(caughtBy, name).toEqual(form?.expect.split(" or "));
    }
  });
});
