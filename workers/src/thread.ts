/**
 * Entry point of every thread of a machine. Applies the mutant, if any, before the kernel's sources load,
 * then answers the host.
 */
import { setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { record_resolutions, use_resolutions } from "./resolutions.ts";
import type { Workload } from "@ringside/scenarios/workload";
import type { ThreadData } from "./roles.ts";

// The data path is deep and made of small functions: with V8's default budget the innermost are not inlined
// (NOP at depth 32 on one core: 4.5 M/s without, 16.5 M/s with).
setFlagsFromString("--max-inlined-bytecode-size-cumulative=4000");

const data = workerData as ThreadData;
const resolutions = data.resolutions === undefined ? record_resolutions() : () => "";
if (data.resolutions !== undefined) use_resolutions(data.resolutions);
if (data.mutant !== undefined) {
  const { applyMutant } = await import("./mutate.ts");
  applyMutant(data.mutant);
}
const { serve } = await import("./serve.ts");
if (parentPort === null) throw new Error("workers/thread.ts is the entry of a worker thread");
const extra = data.workloads === undefined ? {} : await load_workloads(data.workloads);
// Only now: what is mutated may belong to the caller's workloads.
if (data.mutant !== undefined) (await import("./mutate.ts")).assertMutantLoaded();
serve(data, parentPort, extra, resolutions);

/** Workloads of the caller; they load after the kernel, whose numbering they must not change (base_image). */
async function load_workloads(url: string): Promise<Readonly<Record<string, Workload>>> {
  const module = (await import(url)) as { readonly workloads: Readonly<Record<string, Workload>> };
  return module.workloads;
}
