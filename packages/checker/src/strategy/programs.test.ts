/** The benchmark programs under search: DPOR against DFS where that is small enough, and repaired forms proved. */
import { expect, it } from "vitest";
import { loadBenchmarks } from "../sct-worker.ts";
import { Dfs } from "./dfs.ts";
import { Dpor } from "./dpor.ts";
import { endsOf } from "./testing/ends.ts";
import { endOf } from "./testing/generate.ts";

/** Executions DFS may need. */
const SMALL = 10_000;
const benchmarks = await loadBenchmarks();

it("DPOR ends as DFS does on every program that DFS finishes", { timeout: 120_000 }, () => {
  const compared: string[] = [];
  for (const { name, program } of benchmarks) {
    if (program.threads.length > 32) continue;
    // Where DPOR needs many executions DFS does not finish.
    const dpor = endsOf(program, new Dpor(), endOf, { executions: 500 });
    if (!dpor.found.complete) continue;
    const dfs = endsOf(program, new Dfs(), endOf, { executions: SMALL });
    if (!dfs.found.complete) continue;
    expect(dpor.ends, name).toEqual(dfs.ends);
    expect(dpor.found.executions, name).toBeLessThanOrEqual(dfs.found.executions);
    compared.push(name);
  }
  expect(compared.length).toBeGreaterThanOrEqual(20);
});

it("repaired forms are proved, and none fails", { timeout: 120_000 }, () => {
  const proved: string[] = [];
  for (const { name, program, fixed } of benchmarks) {
    if (!fixed || program.threads.length > 32) continue;
    const { found, proof } = endsOf(program, new Dpor(), endOf, { executions: 3_000 });
    expect(found.failure, name).toBeUndefined();
    if (proof?.proved === true) proved.push(name);
  }
  expect(proved.length).toBeGreaterThanOrEqual(17);
});

it("known programs take the executions they took", () => {
  const counts = ["CS/reorder_3", "CS/reorder_4", "CS/bluetooth_driver", "CS/twostage-fixed"].map((name) => {
    const program = benchmarks.find((one) => one.name === name)?.program;
    if (program === undefined) throw new Error(`no program ${name}`);
    return endsOf(program, new Dpor(), endOf).found.counted;
  });
  expect(counts).toEqual([50, 1065, 10, 8]);
});
