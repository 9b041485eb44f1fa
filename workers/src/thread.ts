/**
 * Entry point of every thread of a machine. Applies the mutant, if any, before the kernel's sources load,
 * then answers the host.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { ThreadData } from "./roles.ts";

const data = workerData as ThreadData;
if (data.mutant !== undefined) {
  const { applyMutant } = await import("./mutate.ts");
  applyMutant(data.mutant);
}
const { serve } = await import("./serve.ts");
if (data.mutant !== undefined) (await import("./mutate.ts")).assertMutantLoaded();
if (parentPort === null) throw new Error("workers/thread.ts is the entry of a worker thread");
serve(data, parentPort);
