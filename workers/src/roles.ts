/**
 * What the host says to a thread, over comlink. Control plane only: boot, start, stop, results.
 *
 * One thread, one role: a CPU runs workloads when asked; a kernel thread and the controller enter one loop
 * and stay there until the machine stops.
 */
import type { KernelConfig } from "@ringside/core/mm/memory-map";
import type { Args, Result } from "@ringside/scenarios/workload";
import type { Shadow, WasmMemory } from "atomics-sync";

export type Role = "cpu" | "rcu_gp" | "kworker" | "nvme";

/** What a thread is started with (workerData). */
export interface ThreadData {
  readonly role: Role;
  /** smp_processor_id(), or device_cpu_id for the controller. */
  readonly id: number;
  readonly config: KernelConfig;
  readonly wasm: WasmMemory;
  /** Shadow of checked memory; present exactly when config.kasan. */
  readonly shadow?: Shadow;
  /** Mutant to apply to the sources before they load. */
  readonly mutant?: string;
  /** Module whose export `workloads` this machine has besides the listed ones. */
  readonly workloads?: string;
  /** Where imports lead (resolutions.ts); absent in the first thread of a process. */
  readonly resolutions?: string;
  /** The machine's epoch on the monotonic clock (clock.ts), ms. */
  readonly epoch: number;
}

/** Plain data to and from a workload. */
export type WorkloadArgs = Args;
export type WorkloadResult = Result;

/** One leaked allocation site. */
export interface Leak {
  readonly site: string;
  readonly objects: number;
  readonly bytes: number;
}

/** The image after the kernel's own modules, and with those of the caller's workloads. */
export interface ImageHashes {
  readonly base: number;
  readonly whole: number;
}

export interface ThreadApi {
  /** Hashes of the kernel image: `base` equal in all threads and the host, `whole` equal in all threads. */
  image(): ImageHashes;
  /** Where this thread's imports led; empty when it was told. */
  resolutions(): string;
  /** Boot CPU: memory, initcalls. Returns 0 or a negative errno. */
  start_kernel(): number;
  /** Boot CPU: brings up the controller and the disk. Returns 0 or a negative errno. */
  probe(): number;
  /** Kernel threads and controller: runs until the machine stops. */
  loop(): void;
  /** CPUs: runs a workload to its end. */
  run(workload: string, args: WorkloadArgs): WorkloadResult;
  /** Boot CPU: takes the disk and the driver down; returns what is still allocated. */
  remove(): readonly Leak[];
}
