/** Runs roles of mm-worker.ts on real threads, bounded in time. */
import { Worker } from "node:worker_threads";
import type { MmRole } from "./mm-worker.ts";

const WORKER = new URL("./mm-worker.ts", import.meta.url);
const LIMIT_MS = 30_000;

/** What each thread posted, in order. */
export async function run_mm_roles(roles: readonly MmRole[]): Promise<number[]> {
  const workers: Worker[] = [];
  const results = roles.map(
    (role) =>
      new Promise<number>((resolve, reject) => {
        const worker = new Worker(WORKER, { workerData: role, name: `mm ${role.role} ${role.id}` });
        workers.push(worker);
        const timer = setTimeout(() => reject(new Error(`${role.role} ${role.id} hangs`)), LIMIT_MS);
        worker.once("message", resolve);
        worker.once("error", reject);
        worker.once("exit", () => clearTimeout(timer));
      }),
  );
  try {
    return await Promise.all(results);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
