/**
 * Subjects that run a workload of workloads.ts on the CPUs of a real machine, on several at once if asked. They share
 * one machine.
 */
import type { MachineOptions } from "@ringside/workers/machine";
import type { Subject } from "../bench.ts";
import { BenchMachine, runFor } from "../bench-machine.ts";
import { mean } from "../crew.ts";

const WORKLOADS = new URL(
  import.meta.url.endsWith(".ts") ? "./workloads.ts" : "./workloads.js",
  import.meta.url,
).href;
const SMALL = { ram: 4 << 20, vram: 0, media: 1 << 20 };

/** `workload`: "percpu" or "rcu", with its setup and teardown. */
export function machineSubjects(
  workload: string,
  options: MachineOptions,
): (name: string, cpus: number) => Subject {
  let address = 0;
  const shared = new BenchMachine(
    { ...SMALL, workloads: WORKLOADS, ...options },
    {
      setUp: async (machine) => {
        address = Number((await runFor(machine, 0, `${workload}-setup`, {}, 0))["address"]);
      },
      tearDown: async (machine) => {
        await runFor(machine, 0, `${workload}-teardown`, { address }, 0);
      },
    },
  );
  return (name, cpus) =>
    shared.subject(name, async (ms, machine) => {
      const ids = Array.from({ length: cpus }, (_, id) => id);
      const found = await Promise.all(
        ids.map(async (id) => await runFor(machine, id, workload, { address, ms }, ms)),
      );
      return mean(found.map(({ ns }) => Number(ns)));
    });
}
