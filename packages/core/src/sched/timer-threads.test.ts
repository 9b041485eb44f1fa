/** Timers on real threads: who runs them, and that nobody runs one twice at once. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";

const module = new URL("../testing/timer-bodies.ts", import.meta.url);
const base = { module, boot: "set_up", kworkers: 0, finish: "fired" };

test("a timer's function never runs on two CPUs at once, though it migrates with mod_timer", async () => {
  const cpus = ["arm_together", "arm_together", "arm_together"];
  const { values, finished } = await run_machine({ ...base, cpus, args: [1500] });
  expect(values).toEqual([0, 0, 0]);
  expect(finished).toBeGreaterThan(100);
});

test("after timer_shutdown_sync nobody can arm it, and it does not run", async () => {
  const { values, finished } = await run_machine({
    ...base,
    cpus: ["shut_down", "shut_down", "shut_down"],
    args: [60],
  });
  expect(values).toEqual([0, 0, 0]);
  expect(finished).toBeGreaterThan(0);
});

test("add_timer_on wakes a CPU that sleeps longer", async () => {
  const { values } = await run_machine({ ...base, cpus: ["arm_remote", "sleep_long"], args: [100] });
  expect(values[0]).toBe(0);
});

test("a housekeeping timer does not wait for the CPU that armed it; another one does", async () => {
  const housekeeping = await run_machine({ ...base, cpus: ["arm_and_leave"], args: [true] });
  expect(housekeeping.values, "rcu_gp is CPU 1").toEqual([2]);
  const local = await run_machine({ ...base, cpus: ["arm_and_leave"], args: [false] });
  expect(local.values).toEqual([0]);
});
