/** Rings on real threads: completions, waiters and the end come from other CPUs than the submitter's. */
import type { KernelConfig } from "@ringside/core/mm/memory-map";
import { type MachineResult, run_machine } from "@ringside/core/testing/threads";
import { expect, test } from "vitest";
import type { UringEnd } from "../testing/uring-bodies.ts";

async function run(
  cpus: readonly string[],
  args: readonly unknown[],
  config: Partial<KernelConfig> = {},
): Promise<MachineResult> {
  return await run_machine({
    module: new URL("../testing/uring-bodies.ts", import.meta.url),
    cpus,
    args,
    boot: "boot_uring",
    finish: "finish_uring",
    config: { kasan: true, ...config },
  });
}

/** Nothing warned, nothing is left. */
function expect_clean(result: MachineResult): UringEnd {
  expect(result.log.map((record) => record.text)).toEqual([]);
  const end = result.finished as UringEnd;
  expect(end.leaks).toEqual([]);
  expect(end.fds).toBe(0);
  return end;
}

test("completions by another CPU's interrupts all arrive, once each", async () => {
  const result = await run(["read_pages", "read_pages", "take_interrupts"], [2, 3000]);
  expect(result.values.slice(0, 2)).toEqual([3000, 3000]);
  expect_clean(result);
});

test("completions by the submitter's own interrupts all arrive, once each", async () => {
  const result = await run(["read_pages"], [1, 5000]);
  expect(result.values).toEqual([5000]);
  expect_clean(result);
});

test("a task that waits for CQEs of another task's requests is woken for each", async () => {
  const result = await run(["submit_nops", "wait_for_nops"], [2000]);
  expect(result.values[1]).toBe(2000);
  expect_clean(result);
});

test("a ring whose submitter has left is closed by another task, completions and all", async () => {
  const result = await run(["submit_and_leave", "close_for_another"], []);
  expect(result.values).toEqual([16, 0]);
  expect_clean(result);
});

test.for(["atomic", "owner"] as const)(
  "dma-buf reads survive an exporter that invalidates all the time, shards: %s",
  async (percpu) => {
    const cpus = ["read_dmabuf", "read_dmabuf", "invalidate_often"];
    const result = await run(cpus, [2, 1500], { percpu });
    expect(result.values.slice(0, 2)).toEqual([1500, 1500]);
    const { counters } = expect_clean(result);
    expect(counters.maps).toBe(counters.unmaps);
    expect(counters.maps).toBeGreaterThan(5);
    expect(counters.created).toBe(counters.released);
  },
);
