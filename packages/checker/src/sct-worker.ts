/**
 * A thread that loads the benchmark programs as coroutines and runs them: the thread that asks for it may have loaded
 * modules natively. `workerData` is a SctJob; posts a SctRow for each row, and ends.
 */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import type { Benchmark } from "./programs/benchmark.ts";
import { runSct } from "./sct.ts";
import { registerControlled } from "./transform/load.ts";

export interface SctJob {
  /** Names, with or without what is before the slash, or of suites; none: all with a bug. */
  readonly programs: readonly string[];
  /** Of the programs, numbers `first`, `first + every` ...; default all. */
  readonly first?: number;
  readonly every?: number;
  readonly strategies: readonly string[];
  readonly seeds: number;
  readonly limit: number;
}

const PROGRAMS = new URL("./programs/index.ts", import.meta.url);

/** Loads the programs. Call it once a thread, before anything has imported them. */
export async function loadBenchmarks(): Promise<readonly Benchmark[]> {
  const loader = registerControlled({ entry: PROGRAMS, granularity: "all" });
  const loaded = (await loader.import()) as { readonly BENCHMARKS: readonly Benchmark[] };
  loader.deregister();
  return loaded.BENCHMARKS;
}

/** Those of the names, of a suite only those with a bug; throws RangeError for a name there is none of. */
export function selectBenchmarks(all: readonly Benchmark[], names: readonly string[]): Benchmark[] {
  if (names.length === 0) return all.filter((benchmark) => !benchmark.fixed);
  return names.flatMap((name) => {
    const found = all.filter((one) => one.name === name || one.name.replace(/^.*\//, "") === name);
    if (found.length === 0) found.push(...all.filter((one) => one.suite === name && !one.fixed));
    if (found.length === 0) {
      const suites = [...new Set(all.map((one) => one.suite))].join(", ");
      const near = all.filter((one) => one.name.startsWith(name.slice(0, 4))).map((one) => one.name);
      const some = near.length === 0 ? "" : `; such as ${near.slice(0, 6).join(", ")}`;
      throw new RangeError(
        `unknown benchmark program ${name}: expected a suite (${suites}) or a program${some}`,
      );
    }
    return found;
  });
}

if (!isMainThread && parentPort !== null && isJob(workerData)) {
  const job: SctJob = workerData;
  const port = parentPort;
  const { first = 0, every = 1 } = job;
  const selected = selectBenchmarks(await loadBenchmarks(), job.programs);
  const benchmarks = selected.filter((_, i) => i % every === first);
  runSct({ ...job, benchmarks, progress: (row) => port.postMessage(row) });
}

function isJob(data: unknown): data is SctJob {
  return typeof data === "object" && data !== null && "strategies" in data && "limit" in data;
}
