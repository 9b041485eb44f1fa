/** percpu_ref on real threads, in both kinds of shards, and two wrong counters that the same load catches. */
import { describe, expect, test } from "vitest";
import type { PercpuMode } from "../mm/memory-map.ts";
import type { RefCounts } from "../testing/percpu-ref-bodies.ts";
import { type MachineResult, run_machine } from "../testing/threads.ts";

const module = new URL("../testing/percpu-ref-bodies.ts", import.meta.url);
const MODES: readonly PercpuMode[] = ["atomic", "owner"];

function machine(body: string, args: unknown[], percpu: PercpuMode, kasan = false): Promise<MachineResult> {
  const cpus = Array.from({ length: 4 }, () => body);
  return run_machine({ module, cpus, args, kworkers: 0, config: { percpu, kasan } });
}

describe.each(MODES)("percpu: %s", (percpu) => {
  test("release runs once, never while a reference is held; none is live after confirm", async () => {
    const { values, log } = await machine("use_and_kill", ["percpu_ref", 60], percpu);
    for (const counts of values as RefCounts[]) {
      expect(counts).toMatchObject({ rounds: 60, held: 0, twice: 0, late: 0 });
    }
    expect(log).toEqual([]);
  });

  test("a reference may be put on another CPU than it was taken on", async () => {
    const { values, log } = await machine("hand_over", [2000], percpu);
    expect(values).toEqual([0, 0, 0, 0]);
    expect(log).toEqual([]);
  });

  test("switches of mode, kills and reinits lose no reference", async () => {
    const { values, log } = await machine("switch_modes", [100], percpu);
    expect(values).toEqual([0, 0, 0, 0]);
    expect(log).toEqual([]);
  });

  test("an object found under RCU alone may be freed in release: kill implies a grace period", async () => {
    const { values, log } = await machine("lookup_and_replace", [60], percpu, true);
    expect(Math.max(...(values as number[]))).toBeGreaterThan(0);
    expect(log, "no use after free").toEqual([]);
  });
});

test("control: a faithful copy of the idea passes the load", async () => {
  const { values } = await machine("use_and_kill", ["faithful copy", 60], "atomic");
  for (const counts of values as RefCounts[]) expect(counts).toMatchObject({ rounds: 60, held: 0, twice: 0 });
});

test.each(["no grace period", "no bias"])("control: the load catches a copy with %s", async (name) => {
  const { values } = await machine("use_and_kill", [name, 2000], "atomic");
  const { held, twice, rounds } = (values as RefCounts[])[0] as RefCounts;
  expect(held + twice).toBeGreaterThan(0);
  expect(rounds).toBeLessThan(2000);
});
