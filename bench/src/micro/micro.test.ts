import { describe, expect, test } from "vitest";
import { measureBenches, type Result } from "../measure.ts";
import { findBenches } from "../registry.ts";
import { benches } from "./index.ts";

describe.for(benches.map(({ name }) => name))("%s", (name) => {
  test("runs once and every side says a figure, or why there is none", { timeout: 30_000 }, async () => {
    const [bench] = findBenches([name]);
    const results: Result[] = await measureBenches([bench as (typeof benches)[number]], {
      runs: 1,
      ms: 10,
      quick: true,
    });
    expect(results.length).toBeGreaterThan(0);
    for (const { ours, peers, missing, targets } of results) {
      expect(Number.isFinite(ours)).toBe(true);
      expect(ours).toBeGreaterThan(0);
      expect(peers.every(({ value, ratio }) => value > 0 && ratio > 0)).toBe(true);
      // Only what is built from C may be missing.
      expect(missing.filter((side) => !side.name.startsWith("C"))).toEqual([]);
      const names = [...peers, ...missing].map((side) => side.name);
      expect(targets.filter(({ of }) => !names.includes(of))).toEqual([]);
    }
  });
});

test("a name that no bench has is refused with the list", () => {
  expect(() => findBenches(["spcs"])).toThrow(/^unknown bench "spcs"; expected one of percpu, rcu, spsc, /);
});
