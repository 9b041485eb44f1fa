/** Waiting on real threads: signals against wake-ups, and the order of wake-ups. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";

const module = new URL("../testing/wait-bodies.ts", import.meta.url);
/** A token that nobody has taken by then is lost (ms). Where some are, those taken late do no harm. */
const LOST_MS = 1000;
const SOON_MS = 100;
const base = { module, boot: "set_up", kworkers: 0 };

test("a waiter that a signal takes away takes no wake-up along", async () => {
  const cpus = ["wake_and_signal", "wait_interruptibly", "wait_patiently"];
  const { values } = await run_machine({ ...base, cpus, args: [600, LOST_MS] });
  expect(values[0]).toBe(0);
});

test("control: one that looks at the signal before the condition does", async () => {
  const cpus = ["wake_and_signal", "wait_wrongly", "wait_patiently"];
  const { values } = await run_machine({ ...base, cpus, args: [40, SOON_MS] });
  // A stall of the machine loses one, perhaps.
  expect(values[0]).toBeGreaterThan(3);
});

test("completions wake their waiters in the order of waiting", async () => {
  const cpus = ["complete_in_turn", "wait_in_turn", "wait_in_turn", "wait_in_turn"];
  const { values } = await run_machine({ ...base, cpus, args: [50] });
  expect(values[0]).toBe(0);
});
