/** Pools per CPU, rescuers, and queues that come and go, on real threads. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";
import { WQ_CPU_INTENSIVE, WQ_MEM_RECLAIM, WQ_UNBOUND } from "./workqueue.ts";

const module = new URL("../testing/workqueue-pool-bodies.ts", import.meta.url);

test("queue_work_on runs the work on that CPU's pool", async () => {
  const { values, log } = await run_machine({
    module,
    cpus: ["aim_at_cpus", "nothing", "nothing"],
    args: [40],
  });
  expect(values[0]).toBe(0);
  expect(log).toEqual([]);
});

test.each([
  ["works of one CPU that do not block run one at a time", 1, 0, [1, 1]],
  ["works of two CPUs run beside each other", 2, 0, [2, 2]],
  ["CPU intensive works do not hold others up", 1, WQ_CPU_INTENSIVE, [2, 6]],
  ["an unbound queue runs everything at once", 1, WQ_UNBOUND, [2, 6]],
] as const)("%s", async (_law, spread, flags, [least, most]) => {
  const { values } = await run_machine({
    module,
    cpus: ["peak_of_busy", "nothing"],
    args: [spread, flags],
    kworkers: 5,
  });
  expect(values[0]).toBeGreaterThanOrEqual(least);
  expect(values[0]).toBeLessThanOrEqual(most);
});

test("an item queued from everywhere to everywhere never runs twice at once, and once for each true", async () => {
  const { values, finished, log } = await run_machine({
    module,
    cpus: ["queue_everywhere", "queue_everywhere", "queue_everywhere"],
    args: [2500],
    boot: "set_up_shared",
    finish: "tear_down_shared",
  });
  const queued = (values as number[]).reduce((a, b) => a + b, 0);
  expect(finished).toEqual({ ran: queued, overlaps: 0 });
  expect(queued).toBeGreaterThan(500);
  expect(log).toEqual([]);
});

test("a reclaiming queue makes progress while all other kworkers are blocked", async () => {
  const { values, kworkers, log } = await run_machine({
    module,
    cpus: ["need_rescue", "nothing"],
    args: [4, WQ_MEM_RECLAIM],
    config: { kthreads: 6 },
  });
  expect(kworkers).toBe(5);
  expect(values[0]).toContain(
    "workqueue: Failed to create a worker thread: -EAGAIN (config.kthreads 6 is reached)",
  );
  expect(log).toEqual([]);
});

test("control: without a rescuer it hangs", async () => {
  const machine = run_machine({
    module,
    cpus: ["need_rescue", "nothing"],
    args: [5, 0],
    config: { kthreads: 6 },
    timeout: 2500,
  });
  await expect(machine).rejects.toThrow(/unfinished: cpu 0 \(need_rescue\)/);
});

test("rescuers are limited by config.kthreads, and destroying a queue gives its thread back", async () => {
  const { values, kworkers, log } = await run_machine({
    module,
    cpus: ["rescuers_there_are"],
    config: { kthreads: 6 },
  });
  // Five kworkers, of which one always serves the pools.
  expect(values).toEqual([[4, 4]]);
  expect(kworkers).toBe(5);
  expect(log.map((record) => record.text)).toEqual([
    'workqueue: Failed to create a rescuer kthread for wq "reclaim": -EAGAIN',
    'workqueue: Failed to create a rescuer kthread for wq "reclaim": -EAGAIN',
  ]);
});

test("alloc_workqueue gives up when every thread is busy and none can come", async () => {
  const { values } = await run_machine({
    module,
    cpus: ["refused_rescuer"],
    args: [3],
    config: { kthreads: 4 },
  });
  expect(values).toEqual([true]);
});

test("items may be flushed and cancelled while their queue is destroyed, in checked memory", async () => {
  const { log } = await run_machine({
    module,
    cpus: ["come_and_go", "come_and_go", "come_and_go"],
    args: [150],
    boot: "set_up_counted",
    config: { kasan: true },
  });
  expect(log).toEqual([]);
});

test("draining waits for works that queue themselves, whatever CPU they go to", async () => {
  const { values, log } = await run_machine({ module, cpus: ["drain_chains", "nothing"], args: [60] });
  expect(values[0]).toBe(0);
  expect(log).toEqual([]);
});

test("rcu_works run once for each queueing; cancelling one waits out the grace period", async () => {
  const { values, finished } = await run_machine({
    module,
    cpus: ["rcu_rounds", "rcu_rounds"],
    args: [40],
    finish: "ran_in_all",
  });
  expect((values as number[]).reduce((a, b) => a + b, 0)).toBe(finished);
});

test.each([
  ["after 30 s without progress a starving pool is reported, once", 65_000, 1],
  ["but not before", 29_000, 0],
] as const)("%s", async (_law, ms, reports) => {
  const { values } = await run_machine({
    module,
    cpus: ["starve"],
    args: [2, ms],
    config: { kthreads: 3, clock: "virtual" },
  });
  const lockup = "BUG: workqueue lockup - pool cpus=0 flags=0x0 nice=0 stuck for 30s!";
  expect((values[0] as string[]).filter((text) => text === lockup)).toHaveLength(reports);
});
