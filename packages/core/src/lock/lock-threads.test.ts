import { expect, it } from "vitest";
import { EDEADLK } from "../debug/errno.ts";
import { type MachineOptions, type MachineResult, run_machine } from "../testing/threads.ts";

const MODULE = new URL("../testing/lock-bodies.ts", import.meta.url);
const CLASSES = ["wait-die", "wound-wait"];

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

// kernel/locking/test-ww_mutex.c test_mutex
it("one task at a time owns a mutex", async () => {
  const { finished, log } = await run(each("count_up", 3), ["wait-die", 3000], { finish: "counted" });
  expect(finished).toBe(9000);
  expect(log).toEqual([]);
});

it("a waiter gets the mutex beside a task that hardly lets it go", async () => {
  const { values, log } = await run(["hog", "modest"], ["wait-die", 100]);
  expect(values[1]).toBe(100);
  expect(log).toEqual([]);
});

it("a signal ends an interruptible wait, and the queue goes on without it", async () => {
  const { values, log } = await run(["hold_until_interrupted", "be_interrupted"], ["wait-die"]);
  expect(values[1]).toBe(true);
  expect(log).toEqual([]);
});

for (const ww_class of CLASSES) {
  // kernel/locking/test-ww_mutex.c test_abba
  it.each([false, true])(
    `${ww_class}: crossed locks (first by trylock: %s): one side dies`,
    async (trylock) => {
      const { values, log } = await run(each("abba", 2), [ww_class, trylock, false]);
      expect([0, -EDEADLK]).toContain(values[0]);
      expect([0, -EDEADLK]).toContain(values[1]);
      expect(values).toContain(-EDEADLK);
      expect(log).toEqual([]);
    },
  );

  it.each([false, true])(
    `${ww_class}: crossed locks (first by trylock: %s): backing off resolves it`,
    async (trylock) => {
      const { values, log } = await run(each("abba", 2), [ww_class, trylock, true]);
      expect(values).toEqual([0, 0]);
      expect(log).toEqual([]);
    },
  );

  // kernel/locking/test-ww_mutex.c test_cycle
  it.each([2, 3, 4])(`${ww_class}: a cycle of %i always resolves`, async (n) => {
    const { values, log } = await run(each("cycle", n), [ww_class, 100, false]);
    expect(values.reduce((a, b) => (a as number) + (b as number), 0)).toBeGreaterThanOrEqual(100);
    expect(log).toEqual([]);
  });

  // kernel/locking/test-ww_mutex.c stress_inorder_work, stress_one_work
  it(`${ww_class}: many locks in any order, with lockers without a context among them`, async () => {
    const args = [ww_class, 400, 16, 6];
    const { finished, log } = await run(["stress", "stress", "stress", "stress_one"], args, {
      finish: "stress_sum",
    });
    expect(finished).toBe(3 * 400 * 6 + 400);
    expect(log).toEqual([]);
  });
}

it("wait-die: a sleeping younger context dies when an older one queues in front of it", async () => {
  const { values, log } = await run(["oldest", "younger", "bystander"], ["wait-die"], { timeout: 10_000 });
  expect(values).toEqual([0, -EDEADLK, 0]);
  expect(log).toEqual([]);
});

it("control: without contexts the same cycle deadlocks", async () => {
  await expect(run(each("cycle", 2), ["wait-die", 1, true], { timeout: 1500 })).rejects.toThrow(
    "no end after",
  );
});
