/**
 * One run of the workload bench-io, with the counters that explain its figure: what the CPU, the controller and the
 * DMA layer did meanwhile, for each I/O.
 */
import { path_counters, path_counters_between, type PathCounters } from "@ringside/core/debug/path-counters";
import { dma_counters } from "@ringside/core/dma/counters";
import { device_cpu_id } from "@ringside/core/mm/memory-map";
import type { Machine } from "@ringside/workers/machine";
import type { WorkloadArgs } from "@ringside/workers/roles";
import { runFor } from "../bench-machine.ts";

/** Warm-up of every run (ms): the spin budgets settle. */
const WARMUP_MS = 100;
/** And of a machine's first run: so does the compiled code. In lengths of a run, at most so many ms. */
const FIRST_RUNS = 4;
const FIRST_MS = 1000;
const warm = new WeakSet<Machine>();

/** Arguments of bench-io (scenarios/src/bench-io.ts) besides the times. */
export interface IoArgs {
  readonly op: "nop" | "read" | "write";
  readonly bs: number;
  readonly depth: number;
  readonly batch?: number;
  readonly buffer?: "dmabuf" | "registered" | "vram" | "sparse";
  readonly buffers?: number;
  readonly bufferBytes?: number;
}

export interface IoRun {
  readonly iops: number;
  /** I/Os in all, those of the warm-up too. */
  readonly total: number;
  /** What explains the figure, by name. */
  readonly notes: Readonly<Record<string, number>>;
}

interface Counts {
  readonly at: number;
  readonly host: PathCounters;
  readonly device: PathCounters;
  readonly flushes: number;
  readonly pages: number;
}

function counts(machine: Machine, id: number): Counts {
  const { flushes, pages } = dma_counters(machine.cpu);
  return {
    at: performance.now(),
    host: path_counters(machine.cpu, id),
    device: path_counters(machine.cpu, device_cpu_id(machine.config)),
    flushes,
    pages,
  };
}

/** Runs for `ms` on CPU `id` after a warm-up. The counters are those of both together. */
export async function runIo(machine: Machine, id: number, io: IoArgs, ms: number): Promise<IoRun> {
  const first = Math.min(FIRST_MS, FIRST_RUNS * ms);
  const warmupMs = warm.has(machine) ? Math.min(WARMUP_MS, ms) : first;
  warm.add(machine);
  const args: WorkloadArgs = { ...io, ms, warmupMs };
  const before = counts(machine, id);
  const result = await runFor(machine, id, "bench-io", args, ms);
  const after = counts(machine, id);
  const value = (name: string): number => Number(result[name]);
  const total = value("total");
  return {
    iops: value("ios") / value("seconds"),
    total,
    notes: explain(before, after, total),
  };
}

/** Per I/O unless the name says otherwise. A share of time is that of the whole run, of one thread. */
function explain(before: Counts, after: Counts, ios: number): Readonly<Record<string, number>> {
  const host = path_counters_between(before.host, after.host);
  const device = path_counters_between(before.device, after.device);
  const us = (after.at - before.at) * 1000;
  const waits = (who: PathCounters): number => Math.max(1, who.spun + who.sleeps);
  return {
    doorbells: host.doorbells / ios,
    cqDoorbells: host.cqDoorbells / ios,
    interrupts: host.interrupts / ios,
    notifies: (host.notifies + device.notifies) / ios,
    wakeupsAvoided: (host.wakeupsAvoided + device.wakeupsAvoided) / ios,
    indexReloads: (host.indexReloads + device.indexReloads) / ios,
    iosPerBurst: ios / Math.max(1, device.bursts),
    cpuWaitsSpunShare: host.spun / waits(host),
    cpuSleptShare: host.sleptUs / us,
    controllerWaitsSpunShare: device.spun / waits(device),
    controllerSleptShare: device.sleptUs / us,
    iotlbFlushes: (after.flushes - before.flushes) / ios,
    pagesMapped: (after.pages - before.pages) / ios,
  };
}
