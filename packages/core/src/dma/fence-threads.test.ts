import { expect, it } from "vitest";
import type { RaceResult } from "../testing/fence-bodies.ts";
import { run_machine } from "../testing/threads.ts";

const PASSES = 1000;
const MODULE = new URL("../testing/fence-bodies.ts", import.meta.url);

// drivers/dma-buf/st-dma-fence.c race_signal_callback
it.each([
  [true, false],
  [false, false],
  [true, true],
  [false, true],
])("a callback that was accepted runs (signal before: %s, checked memory: %s)", async (before, kasan) => {
  const { values, finished, log } = await run_machine({
    module: MODULE,
    cpus: ["race", "race"],
    args: [before, PASSES],
    boot: "set_up",
    finish: "settle",
    config: { kthreads: 2, ram: 32 << 20, kasan },
    kworkers: 0,
  });
  const results = values as RaceResult[];
  let accepted = 0;
  for (const { misses, unseen } of results) {
    expect(unseen).toBe(0);
    accepted += PASSES - misses;
  }
  expect(accepted, "the CPUs did meet").toBeGreaterThan(PASSES / 10);
  expect(log).toEqual([]);
  expect(finished).toEqual({ initialised: 2 * PASSES + 1, signalled: 2 * PASSES + 1, leaked: 0 });
});

it("every waiter of a fence is woken, and each callback ran or was removed", async () => {
  const cpus = ["signaler", "waiter", "waiter", "remover"];
  const { values, finished, log } = await run_machine({
    module: MODULE,
    cpus,
    args: [1000, cpus.length - 1],
    boot: "set_up",
    finish: "settle",
    config: { kthreads: 2 },
    kworkers: 0,
  });
  expect(values).toEqual([1000, 0, 0, 0]);
  expect(log).toEqual([]);
  expect(finished).toEqual({ initialised: 1001, signalled: 1001, leaked: 0 });
});
