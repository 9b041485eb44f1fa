/** The workqueue on real threads. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";
import type { ItemCounts } from "../testing/workqueue-bodies.ts";
import { WQ_UNBOUND } from "./workqueue.ts";

const module = new URL("../testing/workqueue-bodies.ts", import.meta.url);

test("every successful queue_work leads to one run, never two at once", async () => {
  const { finished, log } = await run_machine({
    module,
    cpus: ["queue_at_random", "queue_at_random", "queue_at_random"],
    args: [3000],
    boot: "set_up_items",
    finish: "balance",
  });
  const counts = finished as ItemCounts;
  expect(counts).toMatchObject({ overlaps: 0, wrong: 0, takenBack: 0 });
  expect(counts.queued).toBeGreaterThan(1000);
  expect(counts.ran).toBe(counts.queued);
  expect(log).toEqual([]);
});

test("a queued item runs once or is taken back once, whoever cancels and flushes", async () => {
  const { finished, log } = await run_machine({
    module,
    cpus: ["queue_at_random", "queue_at_random", "take_back_at_random", "take_back_at_random"],
    args: [1500],
    boot: "set_up_items",
    finish: "balance",
  });
  const counts = finished as ItemCounts;
  expect(counts).toMatchObject({ overlaps: 0, wrong: 0 });
  expect(counts.takenBack).toBeGreaterThan(0);
  expect(counts.ran + counts.takenBack).toBe(counts.queued);
  expect(log).toEqual([]);
});

for (const unbound of [false, true]) {
  test(`works that wait for a later work of their queue end, as the pool grows (unbound: ${unbound})`, async () => {
    const { values, kworkers } = await run_machine({
      module,
      cpus: ["waiters_first"],
      args: [5, unbound],
      kworkers: 1,
      config: { kthreads: 8 },
    });
    expect(values[0]).toBeGreaterThanOrEqual(10);
    expect(kworkers).toBeGreaterThan(5);
  });
}

test("a worker that blocks hands the pool to an idle one", async () => {
  // Idle threads enough: neither growth nor a new work calls them, only the worker that goes to sleep.
  const { values } = await run_machine({ module, cpus: ["waiters_first"], args: [4, false], kworkers: 6 });
  expect(values[0]).toBeGreaterThanOrEqual(8);
});

test.each([1, 2, 4])("no more than max_active = %i works of a queue run at once", async (max_active) => {
  const { values } = await run_machine({
    module,
    cpus: ["peak_of"],
    args: [max_active, 12, WQ_UNBOUND],
    kworkers: 5,
  });
  expect(values).toEqual([max_active]);
});

test("an ordered queue runs in order, one at a time", async () => {
  const { values } = await run_machine({ module, cpus: ["ordered_queue"], args: [200], kworkers: 4 });
  expect(values).toEqual([0]);
});

test("flush_workqueue from many CPUs: each sees its own earlier works done", async () => {
  const cpus = Array.from({ length: 4 }, () => "flush_together");
  const { values } = await run_machine({
    module,
    cpus,
    args: [150],
    boot: "one_queue",
    finish: "drop_queue",
  });
  expect(values).toEqual([0, 0, 0, 0]);
});

test("a delayed work runs or was cancelled, never both", async () => {
  const { values } = await run_machine({
    module,
    cpus: ["delayed_at_random", "delayed_at_random"],
    args: [150],
  });
  expect(values).toEqual([0, 0]);
});

test("works queued before the stop still run, and rcu_gp outlives them", async () => {
  const { log } = await run_machine({ module, cpus: ["leave_works_behind"], args: [6], timeout: 10_000 });
  expect(log).toEqual([]);
});

// From here on side by side: machines that hang.
test.concurrent("control: with one kworker and no room to grow they hang", async () => {
  const machine = run_machine({
    module,
    cpus: ["waiters_first"],
    args: [2, false],
    kworkers: 1,
    config: { kthreads: 2 },
    timeout: 2000,
  });
  await expect(machine).rejects.toThrow(/no end after 2000 ms; unfinished: cpu 0 \(waiters_first\)/);
});

test.concurrent("the fixture names the thread that fails", async () => {
  await expect(run_machine({ module, cpus: ["idle", "throw_error"] })).rejects.toThrow(
    /cpu 1 \(throw_error\): Error: deliberate/,
  );
});

test.concurrent("the fixture names the threads that hang", async () => {
  await expect(run_machine({ module, cpus: ["idle", "wait_forever"], timeout: 4000 })).rejects.toThrow(
    /unfinished: cpu 1 \(wait_forever\)/,
  );
});
