import { expect, it } from "vitest";
import type { ReaderResult } from "../testing/resv-bodies.ts";
import { type MachineResult, run_machine } from "../testing/threads.ts";

const MODULE = new URL("../testing/resv-bodies.ts", import.meta.url);

function run(
  cpus: readonly string[],
  readers: number,
  rounds: number,
  kasan: boolean,
): Promise<MachineResult> {
  return run_machine({
    module: MODULE,
    cpus,
    args: [readers, rounds],
    boot: "set_up",
    finish: "settle",
    config: { kthreads: 2, ram: 32 << 20, kasan },
    kworkers: 0,
  });
}

it.each([false, true])(
  "a reader without the lock never misses a fence that is there (checked memory: %s)",
  async (kasan) => {
    const { values, finished, log } = await run(["writer", "reader", "reader", "patient"], 2, 200, kasan);
    expect(log).toEqual([]);
    const results = values.slice(1, 3) as ReaderResult[];
    for (const result of results) {
      expect(result.steady).toBeGreaterThan(10);
      expect(result).toMatchObject({ missed: 0, idle: 0 });
    }
    expect(results[0]!.restarts + results[1]!.restarts, "the writer did disturb them").toBeGreaterThan(100);
    expect(values[3], "waiting ends when what was there is signaled, not before").toMatchObject({ early: 0 });
    expect(finished).toBe(0);
  },
);

it("control: a walk that does not start over misses some", async () => {
  const { values } = await run(["writer", "naive_reader"], 1, 500, false);
  expect((values[1] as ReaderResult).missed).toBeGreaterThan(0);
});
