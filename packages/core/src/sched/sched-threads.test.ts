/** Sleeping and waking on real threads: a lost wake-up shows as a machine that does not end. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";

const module = new URL("../testing/sched-bodies.ts", import.meta.url);
const base = { module, boot: "set_up", kworkers: 0 };

test("completions hand the turn back and forth without losing one", async () => {
  const { values } = await run_machine({ ...base, cpus: ["ping_pong", "ping_pong"], args: [3000] });
  expect(values).toEqual([3000, 3000]);
});

test("a completion on the stack is not touched after its wait returned", async () => {
  const { values } = await run_machine({
    ...base,
    cpus: ["stack_completion", "stack_completion"],
    args: [3000],
  });
  expect(values).toEqual([0, 0]);
});

test("state, test, schedule: no wake-up is lost", async () => {
  const { values } = await run_machine({ ...base, cpus: ["raw_hand_off", "raw_hand_off"], args: [3000] });
  expect(values).toEqual([0, 0]);
});

test("control: test before state loses one", async () => {
  const { values } = await run_machine({
    ...base,
    cpus: ["wrong_hand_off", "wrong_hand_off"],
    args: [20_000],
  });
  expect(Math.max(...(values as number[]))).toBe(1);
});

test("one wake_up per token is enough for exclusive waiters", async () => {
  const cpus = ["producer", "consumer", "consumer", "consumer"];
  const { values } = await run_machine({ ...base, cpus, args: [2000] });
  expect((values as number[]).reduce((a, b) => a + b, 0)).toBe(2000);
});

test("a spinlock excludes, also with more threads than cores", async () => {
  const cpus = Array.from({ length: 5 }, () => "lock_and_count");
  const { values } = await run_machine({ ...base, cpus, args: [3000] });
  expect(values).toEqual([0, 0, 0, 0, 0]);
});

test("a timer that many CPUs arm and delete is on one list only, and still after timer_delete_sync", async () => {
  const cpus = ["timer_fight", "timer_fight", "timer_fight"];
  const { values, finished } = await run_machine({ ...base, cpus, args: [100], finish: "timers_fired" });
  expect(values).toEqual([0, 0, 0]);
  expect(finished).toBeGreaterThan(0);
});

test("timer_delete_sync waits for a timer that is just starting to run", async () => {
  const cpus = ["timer_delete_race", "timer_delete_race"];
  const { values, finished } = await run_machine({ ...base, cpus, args: [1200], finish: "timers_fired" });
  expect(values).toEqual([0, 0]);
  expect(finished).toBeGreaterThan(10);
});

test("task work wakes an interruptible sleeper and is run once", async () => {
  const cpus = ["task_work_target", "task_work_adder", "task_work_adder"];
  const { values } = await run_machine({ ...base, cpus, args: [1000] });
  expect(values).toEqual([0, 0, 0]);
});

test("a sleeping CPU takes its interrupts", async () => {
  const { values } = await run_machine({ ...base, cpus: ["irq_target", "irq_source"], args: [500] });
  expect(values).toEqual([0, 0]);
});
