// First: the root of the kernel image.
import "@ringside/workers/machine";
import { expect, it } from "vitest";
import { measureBenches } from "../measure.ts";
import { scaleCpus } from "./cpus.ts";

it("scale-cpus: a percpu_ref has a line of 128 bytes for every thread", async () => {
  const results = await measureBenches([scaleCpus], { quick: true, ms: 5, runs: 1 });
  expect(results).toHaveLength(4);
  for (const { ours, unit, notes } of results) {
    expect(ours).toBeGreaterThan(0);
    if (unit === "bytes") expect(ours).toBeGreaterThanOrEqual(128 * (notes["threads"] ?? Infinity));
  }
});
