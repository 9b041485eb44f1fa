/** RCU on real threads; the stress and its negative control follow rcutorture. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";
import type { Torture } from "../testing/rcu-bodies.ts";

const module = new URL("../testing/rcu-bodies.ts", import.meta.url);

/** Sums over all CPUs: sections that saw age 0 or 1, sections that saw more, memory errors. */
async function torture(
  busted: boolean,
  ms: number,
): Promise<{ fine: number; tooShort: number; errors: number }> {
  const { values } = await run_machine({
    module,
    cpus: ["torture_writer", "torture_reader", "torture_reader", "fake_writer"],
    args: [busted, ms],
    boot: "set_up_torture",
    finish: "settle",
    kworkers: 0,
  });
  const sum = { fine: 0, tooShort: 0, errors: 0 };
  for (const value of values as Torture[]) {
    value.pipe.forEach((sections, age) => {
      if (age < 2) sum.fine += sections;
      else sum.tooShort += sections;
    });
    sum.errors += value.memoryErrors;
  }
  return sum;
}

test("a reader never holds an element longer than one grace period after it was unpublished", async () => {
  const sum = await torture(false, 1500);
  expect(sum).toMatchObject({ tooShort: 0, errors: 0 });
  expect(sum.fine).toBeGreaterThan(100);
});

test("control: the same stress catches a grace period that does not wait", async () => {
  const sum = await torture(true, 1500);
  expect(sum.tooShort).toBeGreaterThan(0);
});

test("callbacks of one CPU run in order, and rcu_barrier waits for all of them", async () => {
  const cpus = ["callbacks_in_order", "callbacks_in_order", "callbacks_in_order"];
  const { values } = await run_machine({ module, cpus, args: [20, 50], kworkers: 0 });
  expect(values).toEqual([0, 0, 0]);
});

test("a grace period waits for a section that is open, and for no safe point inside it", async () => {
  const { values } = await run_machine({ module, cpus: ["waiting_writer", "long_reader"], kworkers: 0 });
  expect(values).toEqual([0, 0]);
});

test("a sleeping CPU holds up no grace period", async () => {
  const cpus = ["many_grace_periods", "sleeper"];
  const { values } = await run_machine({ module, cpus, boot: "set_up_sleeper", kworkers: 0 });
  expect(values[1]).toBeGreaterThan(0);
});

test("RCU+sync+read: no section reads before the update and after its grace period", async () => {
  const { values } = await run_machine({
    module,
    cpus: ["litmus_writer", "litmus_reader", "litmus_reader"],
    args: [400],
    kworkers: 0,
  });
  expect(values).toEqual([0, 0, 0]);
});
