// First: the root of the kernel image.
import { Machine, type MachineOptions } from "@ringside/workers/machine";
import { kernel_static } from "@ringside/core/debug/image";
import { kthread_request } from "@ringside/core/sched/kthread";
import { describe, expect, it } from "vitest";
import { growth, left_behind, type Resources, resources } from "./resources.ts";

const SMALL: MachineOptions = { cpus: 1, kthreads: 4, ram: 4 << 20, vram: 1 << 20, media: 1 << 20 };

/** Boots and shuts down `times` machines, one after the other. */
async function cycles(times: number, keep?: Machine[]): Promise<void> {
  for (let i = 0; i < times; i++) {
    const machine = await Machine.boot(SMALL);
    expect(await machine.shutdown(), "what the kernel had not freed").toEqual([]);
    keep?.push(machine);
  }
}

/** Per boot: measured 2 to 5 KiB of heap and no memory; a machine somebody keeps costs 54 KiB and 850 KiB. */
const HEAP_LIMIT = 20 << 10;
const RSS_LIMIT = 300 << 10;
const WARM_UP = 20;
const BOOTS = 200;
const KEPT = 20;

describe("200 boots and shutdowns in one process", () => {
  let before: Resources;
  let early: Resources;
  let late: Resources;

  it("succeed, each with nothing left allocated", { timeout: 400_000 }, async () => {
    before = await resources();
    await cycles(WARM_UP);
    early = await resources();
    await cycles(BOOTS - WARM_UP);
    late = await resources();
  });

  it("leave no thread and no handle", async () => {
    expect(late.threads).toBe(early.threads);
    expect(await left_behind(before)).toEqual({});
  });

  it("leave no memory", () => {
    const each = growth(early, late, BOOTS - WARM_UP);
    expect(each.heap).toBeLessThan(HEAP_LIMIT);
    expect(each.rss).toBeLessThan(RSS_LIMIT);
  });

  it("would show a machine that is kept (negative control)", { timeout: 120_000 }, async () => {
    const kept: Machine[] = [];
    await cycles(KEPT, kept);
    const each = growth(late, await resources(), kept.length);
    expect(each.heap).toBeGreaterThan(HEAP_LIMIT);
  });

  it("would show a thread that lives on (negative control)", async () => {
    const machine = await Machine.boot(SMALL);
    const running = await resources();
    await machine.shutdown();
    // One CPU, rcu_gp, two kworkers, the controller.
    if (running.threads > 0) expect(running.threads).toBe(late.threads + 5);
    expect(running.handles["MessagePort"] ?? 0).toBeGreaterThan(late.handles["MessagePort"] ?? 0);
    expect(await left_behind(before)).toEqual({});
  });
});

describe("a machine", () => {
  it("may run beside another one: they share nothing", async () => {
    const machines = await Promise.all([Machine.boot(SMALL), Machine.boot(SMALL)]);
    for (const machine of machines)
      expect(await machine.run(0, "nvme-smart", {}, 10_000)).toHaveProperty("reads");
    for (const machine of machines) expect(await machine.shutdown()).toEqual([]);
  });

  it("may be shut down while a kworker is still booting, and leaves nothing", async () => {
    const before = await resources();
    const machine = await Machine.boot(SMALL);
    kthread_request(machine.cpu);
    while (machine.kworkers < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(await machine.shutdown()).toEqual([]);
    expect(await left_behind(before)).toEqual({});
    await expect(machine.run(0, "nvme-smart", {}, 1000)).rejects.toThrow("has been shut down");
  });

  it("may load more kernel code than the host has, or the host other code than it", async () => {
    kernel_static("only_in_the_host", 4);
    const workloads = new URL("./image-workloads.ts", import.meta.url).href;
    for (const options of [SMALL, { ...SMALL, workloads }]) {
      const machine = await Machine.boot(options);
      expect(await machine.shutdown()).toEqual([]);
    }
  });

  it("whose threads differ in kernel code does not boot", async () => {
    const workloads = new URL("./image-workloads.ts?differ", import.meta.url).href;
    await expect(Machine.boot({ ...SMALL, workloads })).rejects.toThrow(
      /^\w+: its kernel image differs from the other threads'$/,
    );
  });

  it("has the CPUs it has", async () => {
    const machine = await Machine.boot(SMALL);
    for (const id of [-1, 0.5, 1, 2, 99]) {
      await expect(machine.run(id, "nvme-smart", {}, 1000), `${id}`).rejects.toThrow(
        `no CPU ${id}: the machine has CPUs 0 to 0`,
      );
    }
    expect(machine.failure, "a wrong question breaks nothing").toBeUndefined();
    expect(await machine.shutdown()).toEqual([]);
  });

  it("that needs too much memory is refused before any thread starts", async () => {
    const before = await resources();
    await expect(Machine.boot({ ...SMALL, ram: 2 ** 31 })).rejects.toMatchObject({
      name: "ConfigError",
      message: expect.stringMatching(/needs \d+ MiB of memory.* the limit is 2048 MiB/) as string,
    });
    expect((await resources()).threads).toBe(before.threads);
    expect(await left_behind(before)).toEqual({});
  });
});
