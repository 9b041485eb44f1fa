/** Mutexes on real threads. What test-ww_mutex.c tests is the conformance suite "test-ww_mutex". */
import { expect, it } from "vitest";
import { EDEADLK } from "../debug/errno.ts";
import { type MachineOptions, type MachineResult, run_machine } from "../testing/threads.ts";

const MODULE = new URL("../testing/lock-bodies.ts", import.meta.url);

function run(
  cpus: readonly string[],
  args: readonly unknown[],
  more: Partial<MachineOptions> = {},
): Promise<MachineResult> {
  return run_machine({
    module: MODULE,
    cpus,
    args,
    boot: "set_up",
    config: { kthreads: 2 },
    kworkers: 0,
    ...more,
  });
}
function each(body: string, n: number): string[] {
  return Array.from({ length: n }, () => body);
}

it("one task at a time owns a mutex", async () => {
  const { finished, log } = await run(each("count_up", 3), [3000], { finish: "counted" });
  expect(finished).toBe(9000);
  expect(log).toEqual([]);
});

it("a waiter gets the mutex beside a task that hardly lets it go", async () => {
  const { values, log } = await run(["hog", "modest"], [100]);
  expect(values[1]).toBe(100);
  expect(log).toEqual([]);
});

it("a signal ends an interruptible wait, and the queue goes on without it", async () => {
  const { values, log } = await run(["hold_until_interrupted", "be_interrupted"], []);
  expect(values[1]).toBe(true);
  expect(log).toEqual([]);
});

it("wait-die: a sleeping younger context dies when an older one queues in front of it", async () => {
  const { values, log } = await run(["oldest", "younger", "bystander"], [], { timeout: 10_000 });
  expect(values).toEqual([0, -EDEADLK, 0]);
  expect(log).toEqual([]);
});

it("control: without contexts crossed locks deadlock", async () => {
  await expect(run(each("cross", 2), [], { timeout: 1500 })).rejects.toThrow("no end after");
});
