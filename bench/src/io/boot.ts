/** boot: how long a machine takes to boot and to shut down, wall clock, in a process that has booted one before. */
import { Machine } from "@ringside/workers/machine";
import type { Bench, Comparison } from "../bench.ts";
import { sharedRuns } from "../bench-machine.ts";
import { median } from "../measure.ts";

const CPUS: readonly number[] = [2, 1, 8];
const DEFAULT_CPUS = 2;

interface Times {
  readonly bootMs: number;
  readonly shutdownMs: number;
}

export const boot: Bench = {
  name: "boot",
  what: "boot and shutdown of a machine of 1, 2 and 8 CPUs",
  comparisons: ({ quick }) => Promise.resolve((quick ? [1] : CPUS).flatMap(bootAndShutdown)),
};

function bootAndShutdown(cpus: number): Comparison[] {
  const machine = cpus === DEFAULT_CPUS ? "default machine, 2 CPUs" : `${cpus} CPU${cpus > 1 ? "s" : ""}`;
  const reader = sharedRuns(async (ms) => await boots(cpus, ms));
  return (["boot", "shutdown"] as const).map((what) => ({
    name: `${what}, ${machine}`,
    unit: "ms",
    better: "lower",
    ours: { name: "ringside", measure: reader((all) => median(all.map((times) => times[`${what}Ms`]))) },
    peers: [],
  }));
}

/** As many as fit into `ms`, one at least. */
async function boots(cpus: number, ms: number): Promise<Times[]> {
  const found: Times[] = [];
  const start = performance.now();
  do {
    const begin = performance.now();
    const machine = await Machine.boot({ cpus });
    const booted = performance.now();
    await machine.shutdown();
    found.push({ bootMs: booted - begin, shutdownMs: performance.now() - booted });
  } while (performance.now() - start < ms);
  return found;
}
