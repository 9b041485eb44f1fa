/** Every case of every suite, once, as `ringside conformance` runs them. */
// First: the root of the kernel image.
import { runConformance } from "./runner.ts";
import { beforeAll, describe, expect, it, test } from "vitest";
import type { CaseResult } from "./report.ts";
import { suites } from "./suites/index.ts";

/** Timed cases show the same in a moment, only less often. */
const SECONDS = 0.1;
const SUITE_MS = 600_000;

describe.each(suites)("$name ($source)", (suite) => {
  let results: readonly CaseResult[];
  beforeAll(async () => {
    const report = await runConformance({ suites: [suite.name], seconds: SECONDS });
    results = report.suites[0]?.cases ?? [];
  }, SUITE_MS);

  test.for(suite.cases)("$name", ({ name }, { skip }) => {
    const result = results.find((each) => each.name === name);
    if (result?.skipped === true) skip(result.detail);
    expect(result?.ok === false ? result.detail : "", "what went wrong").toBe("");
    expect(result?.ok).toBe(true);
  });
});

describe("the list of suites", () => {
  it("has no two suites, and no suite two cases, of the same name", () => {
    const names = suites.map((suite) => suite.name);
    expect(names).toEqual([...new Set(names)].toSorted());
    for (const { name, cases } of suites) {
      const own = cases.map((each) => each.name);
      expect([...new Set(own)], name).toEqual(own);
    }
  });

  it("names a public source, and a reason for each skip", () => {
    for (const { name, source, cases } of suites) {
      expect(source, name).toMatch(/^\S/);
      for (const { skip, bodies, name: each } of cases) {
        if (skip === undefined) expect(bodies.length, each).toBeGreaterThan(0);
        else expect(skip, each).toMatch(/\w+ \w+/);
      }
    }
  });
});
