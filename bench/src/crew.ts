/**
 * A crew: a subject whose work is done by worker threads of its own, one loop a thread, all at once.
 *
 * A loop is an exported function `(data, ms) => figure` of the given module, or a promise of it. Each thread
 * loads that module alone, with the flags a machine's threads have, and keeps it warm from run to run.
 * Threads start with the first run, sleep between runs, and end with `close`.
 */
import { type Transferable, Worker } from "node:worker_threads";
import type { Subject } from "./bench.ts";
import type { CrewData } from "./crew-thread.ts";

const ENTRY = new URL(
  import.meta.url.endsWith(".ts") ? "./crew-thread.ts" : "./crew-thread.js",
  import.meta.url,
);

export interface Member {
  /** The exported function to run. */
  readonly loop: string;
  /** Cloned: shared memory stays shared. */
  readonly data?: unknown;
  /** What is in `data` and cannot be cloned. */
  readonly transfer?: readonly Transferable[];
}

/** `combine`: the figure of the crew from those of its members, in their order. */
export function crew(
  name: string,
  module: URL,
  members: readonly Member[],
  combine: (figures: readonly number[]) => number,
): Subject {
  let threads: Thread[] | undefined;
  return {
    name,
    measure: async (ms) => {
      threads ??= members.map((member) => start(name, module, member));
      const failures = threads.map(({ failed }) => failed);
      const answers = Promise.all(threads.map(async ({ worker }) => await ask(worker, ms)));
      return combine(await Promise.race([answers, ...failures]));
    },
    close: async () => {
      await Promise.all((threads ?? []).map(async ({ worker }) => await worker.terminate()));
    },
  };
}

interface Thread {
  readonly worker: Worker;
  /** Rejects when it throws or ends: whoever waits for its mates would wait for ever. */
  readonly failed: Promise<never>;
}

export function mean(figures: readonly number[]): number {
  return figures.reduce((total, figure) => total + figure, 0) / figures.length;
}

function start(name: string, module: URL, { loop, data, transfer = [] }: Member): Thread {
  const workerData: CrewData = { module: module.href, loop, data };
  const worker = new Worker(ENTRY, { workerData, transferList: [...transfer], name: `${name}: ${loop}` });
  const failed = new Promise<never>((_, reject) => {
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error(`${loop}: its thread ended`)));
  });
  // Nobody may be waiting when it rejects.
  failed.catch(() => {});
  return { worker, failed };
}

async function ask(worker: Worker, ms: number): Promise<number> {
  const answer = new Promise<number>((resolve) => worker.once("message", resolve));
  worker.postMessage(ms);
  return await answer;
}
