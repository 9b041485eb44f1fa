/** Thread of the mutant loader's tests: applies the mutant it is given and posts what the fixture computes. */
import { parentPort, workerData } from "node:worker_threads";
import type { Mutant } from "@ringside/mutants/mutant";
import { assertMutantLoaded, registerMutant } from "../mutate.ts";

export interface MutateJob {
  readonly mutant?: Mutant;
  /** Apply it only after the fixture is loaded. */
  readonly late?: boolean;
}

export type MutateAnswer = { readonly clamped: number } | { readonly error: string };

const job = workerData as MutateJob;

async function run(): Promise<MutateAnswer> {
  if (job.mutant && !job.late) registerMutant(job.mutant);
  const { clamp } = await import("@ringside/workers/testing/mutate-fixture");
  if (job.mutant) {
    registerMutant(job.mutant);
    assertMutantLoaded();
  }
  return { clamped: clamp(100) };
}

const answer = await run().catch((error: unknown) => ({ error: (error as Error).message }));
parentPort?.postMessage(answer);
