import { describe, expect, it } from "vitest";
import { run_machine } from "../testing/threads.ts";
import { WQ_CPU_INTENSIVE, WQ_UNBOUND } from "./workqueue.ts";

const BODIES = new URL("../testing/clock-bodies.ts", import.meta.url);
const VIRTUAL = { clock: "virtual" } as const;

async function run(
  options: Omit<Parameters<typeof run_machine>[0], "module">,
): ReturnType<typeof run_machine> {
  return await run_machine({
    module: BODIES,
    boot: "set_up",
    ...options,
    config: { ...VIRTUAL, ...options.config },
  });
}

describe("the virtual clock", () => {
  it("wakes sleepers in the order of their deadlines, each exactly on time", async () => {
    const { finished, log } = await run({
      cpus: ["sleep_in_steps", "sleep_in_steps", "sleep_in_steps"],
      args: [[7, 11, 50]],
      finish: "read_log",
    });
    expect(log).toEqual([]);
    const expected = [7, 14, 21, 28].map((ms) => [ms, 7]);
    expected.push(...[11, 22, 33, 44].map((ms) => [ms, 11]), ...[50, 100, 150, 200].map((ms) => [ms, 50]));
    expected.sort((a, b) => (a[0] as number) - (b[0] as number));
    expect(finished).toEqual(expected.map(([ms, who]) => `${ms} ${who}`));
  });

  it("stands still while one thread computes, whoever waits for it", async () => {
    const { values } = await run({ cpus: ["compute", "wait_for_compute"], args: [2_000_000] });
    expect(values).toEqual([0, 0]);
  });

  it("lets a wake-up come before the deadline", async () => {
    const { values } = await run({ cpus: ["wake_after", "wait_at_most_100"], args: [30] });
    expect(values).toEqual([30, [70, 30]]);
  });

  it("lets the deadline come before the wake-up", async () => {
    const { values } = await run({ cpus: ["wake_after", "wait_at_most_100"], args: [130] });
    expect(values).toEqual([130, [0, 100]]);
  });

  it("stands still while kworkers are started", async () => {
    const { values, finished, kworkers } = await run({
      cpus: ["grow", "sleep_long"],
      args: [6],
      kworkers: 1,
      finish: "read_log",
    });
    expect(values[0]).toBe(10);
    expect((finished as string[]).toSorted()).toEqual([0, 1, 2, 3, 4, 5].map((i) => `0 ${100 + i}`));
    expect(kworkers).toBeGreaterThanOrEqual(6);
  });

  it("goes on when no further kworker may start", async () => {
    const { values } = await run({ cpus: ["grow"], args: [6], kworkers: 2, config: { kthreads: 3 } });
    expect(values).toEqual([30]);
  });

  it("lets a grace period take no time", async () => {
    const { values } = await run({ cpus: ["grace_periods", "sleep_long"], args: [20] });
    expect(values[0]).toBe(0);
  });
});

describe("mdelay on the virtual clock", () => {
  it("makes the works of a bound queue wait for their CPU", async () => {
    const { finished } = await run({ cpus: ["burn"], args: [WQ_CPU_INTENSIVE], finish: "read_log" });
    expect(finished).toEqual(["4 100", "8 101", "12 102"]);
  });

  it("lets threads of an unbound queue burn side by side", async () => {
    const { finished } = await run({ cpus: ["burn"], args: [WQ_UNBOUND], finish: "read_log" });
    expect((finished as string[]).toSorted()).toEqual(["4 100", "4 101", "4 102"]);
  });
});
