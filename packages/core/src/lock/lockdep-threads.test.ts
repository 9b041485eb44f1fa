import { expect, it } from "vitest";
import { type MachineOptions, type MachineResult, run_machine } from "../testing/threads.ts";

const MODULE = new URL("../testing/lockdep-bodies.ts", import.meta.url);
const TIMEOUT_MS = 4000;

function run(
  cpus: readonly string[],
  args: readonly unknown[] = [],
  more: Partial<MachineOptions> = {},
): Promise<MachineResult> {
  return run_machine({ module: MODULE, cpus, args, boot: "set_up", kworkers: 1, ...more });
}

/** The error of a machine that does not end. */
async function hang(cpus: readonly string[], more: Partial<MachineOptions> = {}): Promise<string> {
  const error = await run(cpus, [], { timeout: TIMEOUT_MS, ...more }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(Error);
  return (error as Error).message;
}

it("two threads that take two locks in two orders, one after the other, are told of the deadlock", async () => {
  const { log } = await run(["in_turn", "in_turn"], [false]);
  expect(log.map((record) => record.text)).toEqual([
    "WARNING: possible circular locking dependency detected",
  ]);
});

it("control: in one order they are not", async () => {
  const { log } = await run(["in_turn", "in_turn"], [true]);
  expect(log).toEqual([]);
});

// Side by side: machines that hang.
it.concurrent("a deadlock of two mutexes is reported with its tasks, locks and holders", async () => {
  const text = await hang(["abba", "abba"]);
  expect(text).toContain("no end after");
  expect(text).toMatch(/INFO: task cpu0:0 blocked for more than \d seconds\./);
  expect(text).toMatch(
    /state:D, waits for mutex 0x[0-9a-f]+ \(&b\) at abba core\/testing\/lockdep-bodies\.ts:\d+\n/,
  );
  expect(text).toContain("INFO: task cpu0:0 is blocked on a mutex likely owned by task cpu1:1.");
  expect(text).toContain("INFO: task cpu1:1 is blocked on a mutex likely owned by task cpu0:0.");
  expect(text).toMatch(/INFO: tasks wait for each other: cpu0:0 -> cpu1:1 -> cpu0:0/);
  expect(text).toContain("2 locks held by cpu0/0:");
  expect(text).toMatch(/ #0: [0-9a-f]+ \(&a\)\{\+\.\+\.\}, at: abba core\/testing\/lockdep-bodies\.ts:\d+\n/);
  expect(text).toMatch(
    / #1: [0-9a-f]+ \(&b\)\{\+\.\+\.\}, at: abba core\/testing\/lockdep-bodies\.ts:\d+ <acquiring>/,
  );
});

it.concurrent("without lockdep the tasks and owners are reported all the same", async () => {
  const text = await hang(["abba", "abba"], { config: { lockdep: false } });
  expect(text).toContain("INFO: task cpu1:1 is blocked on a mutex likely owned by task cpu0:0.");
  expect(text).toContain("tasks wait for each other");
  expect(text).not.toContain("Showing all locks held");
});

it.concurrent("a task stuck on a spinlock is reported with the holder", async () => {
  const text = await hang(["hold_spinlock", "want_spinlock", "wait_for_nobody"]);
  expect(text).toMatch(/state:R, waits for spinlock 0x[0-9a-f]+ \(&s\)/);
  expect(text).toContain("INFO: task cpu1:1 is blocked on a spinlock held by task cpu0:0.");
  expect(text).toMatch(/task cpu2:2 blocked for more than \d seconds\.\n +state:D, waits for completion/);
  expect(text).toContain("task cpu0:0 is running");
  expect(text).toContain("(&s){+.+.}, at: want_spinlock core/testing/lockdep-bodies.ts");
});
