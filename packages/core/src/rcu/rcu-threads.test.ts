/** RCU on real threads. The stress, its negative control and the litmus tests are in the public suites. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";

const module = new URL("../testing/rcu-bodies.ts", import.meta.url);

const MODES = ["qsbr", "strict"] as const;

test.for(MODES)(
  "callbacks of one CPU run in order, and rcu_barrier waits for all of them: %s",
  async (rcu) => {
    const cpus = ["callbacks_in_order", "callbacks_in_order", "callbacks_in_order"];
    const { values } = await run_machine({ module, cpus, args: [20, 50], kworkers: 0, config: { rcu } });
    expect(values).toEqual([0, 0, 0]);
  },
);

test.for(MODES)(
  "a grace period waits for a section that is open, and for no safe point in it: %s",
  async (rcu) => {
    const cpus = ["waiting_writer", "long_reader"];
    const { values } = await run_machine({ module, cpus, kworkers: 0, config: { rcu } });
    expect(values).toEqual([0, 0]);
  },
);

test("a sleeping CPU holds up no grace period", async () => {
  const cpus = ["many_grace_periods", "sleeper"];
  const { values } = await run_machine({ module, cpus, boot: "set_up_sleeper", kworkers: 0 });
  expect(values[1]).toBeGreaterThan(0);
});

test("a grace period that is asked for by a cookie comes, and with no callback", async () => {
  const cpus = ["polling_writer", "busy_reader"];
  const { values, log } = await run_machine({ module, cpus, kworkers: 0 });
  expect(values).toEqual([20, 0]);
  expect(log).toEqual([]);
});

test("of two CPUs that queue one head at once, one is told", async () => {
  const cpus = ["double_caller", "double_caller"];
  const { values, finished, log } = await run_machine({
    module,
    cpus,
    args: [200],
    kworkers: 0,
    finish: "runs_of_double",
  });
  expect(values).toEqual([0, 0]);
  const told = log.filter((record) => record.text.includes("ODEBUG: activate active")).length;
  expect(
    told + Number(finished),
    "each call was told or its callback ran, or a first call was given up",
  ).toBeGreaterThanOrEqual(200);
  expect(log.every((record) => record.text.includes("ODEBUG"))).toBe(true);
});
