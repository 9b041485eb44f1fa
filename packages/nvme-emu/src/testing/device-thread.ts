/** Runs the controller on a real thread for a test, bounded in time. */
import { Worker } from "node:worker_threads";
import { image_hash } from "./image.ts";
import type { Cpu } from "@ringside/core/sched/cpu";
import { kthread_stop_all } from "@ringside/core/sched/kthread";
import { nvme_ring_device } from "../spec/bar.ts";
import type { MachineParts } from "./machine.ts";

export interface DeviceThread {
  /** Stops the machine's kernel threads and waits for this one; fails after ten seconds. */
  stop(cpu: Cpu): Promise<void>;
  end(): Promise<unknown>;
}

export function start_device(parts: MachineParts): DeviceThread {
  const worker = new Worker(new URL("./device-worker.ts", import.meta.url), {
    workerData: { parts, image: image_hash() },
  });
  let failure: unknown;
  worker.once("error", (error) => {
    failure = error;
  });
  const stopped = new Promise<void>((resolve) => {
    worker.once("exit", () => resolve());
  });
  return {
    stop: async (cpu) => {
      kthread_stop_all(cpu);
      nvme_ring_device(cpu);
      const timer = setTimeout(() => void worker.terminate(), 10_000);
      await stopped;
      clearTimeout(timer);
      if (failure !== undefined) throw failure;
    },
    end: () => worker.terminate(),
  };
}
