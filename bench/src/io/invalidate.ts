/**
 * invalidate: how long an exporter that wants its memory back waits: from dma_buf_invalidate_mappings until the map's
 * fence is signaled (it may move the memory), and until the map is gone. Once while another CPU does I/O on the
 * buffer, once with the buffer mapped and nobody using it.
 */
import type { Machine } from "@ringside/workers/machine";
import type { Bench, Comparison } from "../bench.ts";
import { BenchMachine, runFor, sharedRuns } from "../bench-machine.ts";
import { percentile } from "./percentile.ts";

/** What the I/O task does meanwhile. */
export const LOAD = { op: "read", bs: 4096, depth: 32, buffer: "vram" } as const;
/** The I/O task starts sooner and ends later than the one that invalidates (ms). */
const LEAD_MS = 50;
const TAIL_MS = 300;
/** Between two invalidations under load: the I/O gets going again. */
const PAUSE_MS = 1;

export interface Invalidations {
  /** ms, a number an invalidation. */
  readonly signaled: readonly number[];
  readonly unmapped: readonly number[];
  readonly seconds: number;
  /** Of the I/O task; 0 without one. */
  readonly iops: number;
}

/** `pauseMs` apart, under I/O on CPU 0; CPU 1 invalidates. */
export async function invalidateLoaded(
  machine: Machine,
  ms: number,
  pauseMs: number,
): Promise<Invalidations> {
  const io = runFor(machine, 0, "bench-io", { ...LOAD, warmupMs: LEAD_MS, ms: ms + TAIL_MS }, ms);
  const found = runFor(machine, 1, "bench-invalidate", { ms, pauseMs }, ms);
  const [{ ios, seconds }, result] = await Promise.all([io, found]);
  return { ...samples(result), iops: Number(ios) / Number(seconds) };
}

async function invalidateIdle(machine: Machine, ms: number): Promise<Invalidations> {
  return { ...samples(await runFor(machine, 1, "bench-invalidate-idle", { ms }, ms)), iops: 0 };
}

function samples(result: Readonly<Record<string, unknown>>): Omit<Invalidations, "iops"> {
  return {
    signaled: result["signaled"] as number[],
    unmapped: result["unmapped"] as number[],
    seconds: Number(result["seconds"]),
  };
}

export const invalidate: Bench = {
  name: "invalidate",
  what: "invalidation to fence signaled and to map gone, p50 and p99, idle and under I/O",
  comparisons: ({ quick }) => Promise.resolve(quick ? comparisons().slice(0, 1) : comparisons()),
};

/** All are read from the same runs. */
function comparisons(): Comparison[] {
  const machine = new BenchMachine({ cpus: 2 });
  const counts: Record<string, number> = {};
  const loaded = sharedRuns(async (ms: number, booted: Machine) => {
    const found = await invalidateLoaded(booted, ms, PAUSE_MS);
    counts["loadedInvalidations"] = found.signaled.length;
    counts["loadIops"] = found.iops;
    return found;
  });
  const idle = sharedRuns(async (ms: number, booted: Machine) => {
    const found = await invalidateIdle(booted, ms);
    counts["idleInvalidations"] = found.signaled.length;
    return found;
  });
  const compare = (what: string, sample: "signaled" | "unmapped", share: number): Comparison => {
    const pick = (found: Invalidations): number => 1000 * percentile(found[sample], share);
    return {
      name: `invalidation ${what}, p${share * 100}`,
      unit: "us",
      better: "lower",
      ours: machine.subject("under I/O", loaded(pick)),
      peers: [machine.subject("idle", idle(pick))],
      notes: () => counts,
    };
  };
  return [
    compare("to fence signaled", "signaled", 0.5),
    compare("to fence signaled", "signaled", 0.99),
    compare("to map gone", "unmapped", 0.5),
    compare("to map gone", "unmapped", 0.99),
  ];
}
