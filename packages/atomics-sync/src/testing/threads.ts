/** Runs one role (see roles.ts) on each of several real threads, bounded in time. */
import { Worker } from "node:worker_threads";
import type { WasmMemory } from "../wasm.ts";
import type { RoleArguments } from "./roles.ts";

const WORKER = new URL("./worker.ts", import.meta.url);

/** Fails a test that hangs before the test runner would. */
export const LIMIT_MS = 20_000;

export interface Crew {
  /** What each thread's role returned, in the order of the arguments. Rejects after LIMIT_MS. */
  readonly results: Promise<number[]>;
  /** Ends all threads, also those that sleep. */
  end(): Promise<void>;
}

export function startThreads(memory: WasmMemory, roles: readonly RoleArguments[]): Crew {
  const workers: Worker[] = [];
  const results = roles.map(
    (role, index) =>
      new Promise<number>((resolve, reject) => {
        const worker = new Worker(WORKER, { workerData: { memory, role }, name: `${role.role} ${index}` });
        workers.push(worker);
        const timer = setTimeout(() => reject(new Error(`thread ${index} (${role.role}) hangs`)), LIMIT_MS);
        worker.once("message", (result: number) => resolve(result));
        worker.once("error", reject);
        worker.once("exit", () => {
          clearTimeout(timer);
          reject(new Error(`thread ${index} ended without a result`));
        });
      }),
  );
  const all = Promise.all(results);
  // A failure is the caller's when it awaits; until then it must not end the process.
  all.catch(() => {});
  return {
    results: all,
    end: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** Starts the threads, waits for all and ends them; what each returned. */
export async function runThreads(memory: WasmMemory, roles: readonly RoleArguments[]): Promise<number[]> {
  const crew = startThreads(memory, roles);
  try {
    return await crew.results;
  } finally {
    await crew.end();
  }
}

/** Polls without blocking the thread that owns the workers; throws after 10 s. */
export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 10_000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error("waited 10 s in vain");
}
