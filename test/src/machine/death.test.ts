// First: the root of the kernel image.
import { Machine, type MachineOptions } from "@ringside/workers/machine";
import { LOG_BUG } from "@ringside/core/debug/dmesg";
import { expect, it } from "vitest";
import { left_behind, resources } from "./resources.ts";

const OPTIONS: MachineOptions = {
  cpus: 2,
  kthreads: 4,
  ram: 4 << 20,
  vram: 1 << 20,
  media: 1 << 20,
  workloads: new URL("./faulty-workloads.ts", import.meta.url).href,
};
const ANSWER_MS = 30_000;

/** Boots a machine, lets `body` ruin it, and expects that shutdown ends every thread. */
async function ruin(body: (machine: Machine) => Promise<void>): Promise<void> {
  const before = await resources();
  const machine = await Machine.boot(OPTIONS);
  try {
    await body(machine);
  } finally {
    expect(await machine.shutdown(), "a dead machine cannot tell").toEqual([]);
  }
  expect(await left_behind(before)).toEqual({});
  expect((await resources()).threads).toBeLessThanOrEqual(before.threads + 1);
}

it("a workload runs on the CPU it is given to", async () => {
  await ruin(async (machine) => {
    expect(await machine.run(1, "answers", {}, ANSWER_MS)).toEqual({ cpu: 1 });
    expect(machine.failure).toBeUndefined();
  });
});

it.each([
  ["throws", /^thread cpu1 died: the workload is wrong$/],
  ["bugs", /^thread cpu1 died: kernel BUG at .*faulty-workloads.*: the kernel is wrong$/],
  ["exits", /^thread cpu1 died: exited with code 3$/],
  ["does not exist", /^thread cpu1 died: unknown workload does not exist$/],
])("a workload that %s stops the machine, and the error names the thread", async (name, message) => {
  await ruin(async (machine) => {
    const bystander = machine.run(0, "sleeps", {}, ANSWER_MS);
    const bystanders = expect(bystander, "nobody waits for a dead machine").rejects.toThrow(message);
    await expect(machine.run(1, name, {}, ANSWER_MS)).rejects.toThrow(message);
    await bystanders;
    expect(machine.failure?.message).toMatch(message);
    await expect(machine.run(0, "answers", {}, ANSWER_MS), "from now on").rejects.toThrow(message);
  });
});

it("a kernel BUG is in the log too", async () => {
  await ruin(async (machine) => {
    await expect(machine.run(0, "bugs", {}, ANSWER_MS)).rejects.toThrow("kernel BUG");
    expect(machine.log().filter((record) => record.level === LOG_BUG)).toMatchObject([{ cpu: 0 }]);
  });
});

it("a thread that never answers is given up, and ends", async () => {
  await ruin(async (machine) => {
    const error: unknown = await machine.run(1, "spins", {}, 500).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ message: 'cpu1 did not answer "spins" within 500 ms' });
    machine.giveUp(error);
  });
});
