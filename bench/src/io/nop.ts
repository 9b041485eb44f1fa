/**
 * nop: what a ring costs when the operation is nothing: io_uring NOPs, `depth` submitted and reaped at a time, beside
 * this machine's io_uring through liburing with the same batches.
 */
import type { Bench, Comparison } from "../bench.ts";
import { BenchMachine } from "../bench-machine.ts";
import { runIo } from "./io-run.ts";
import { uringBest, uringSameCalls } from "./native-io.ts";

const DEPTHS: readonly number[] = [1, 32, 128];
const TARGETED_DEPTH = 32;
const AT_LEAST = 1.5;
const SAME = "io_uring, same calls";
const BEST = "io_uring, best settings";
const SMALL = { cpus: 1, ram: 8 << 20, vram: 1 << 20, media: 1 << 20 };

export const nop: Bench = {
  name: "nop",
  what: "io_uring NOP at depths 1, 32, 128, beside the machine's real io_uring",
  reading:
    "Best settings: the ring is registered, with the flags that did best in the warm-up (DEFER_TASKRUN, COOP_TASKRUN " +
    "or none). Same calls: neither. Each turn submits and reaps `depth` operations on both sides.",
  comparisons: async ({ quick }) =>
    await Promise.all((quick ? [TARGETED_DEPTH] : DEPTHS).map(async (depth) => await atDepth(depth))),
};

async function atDepth(depth: number): Promise<Comparison> {
  const machine = new BenchMachine(SMALL);
  const job = { op: "nop", depth, batch: depth } as const;
  return {
    name: `NOP, depth ${depth}`,
    unit: "operations/s",
    better: "higher",
    ours: machine.subject(
      "ringside",
      async (ms, booted) => (await runIo(booted, 0, { ...job, bs: 512 }, ms)).iops,
    ),
    peers: await Promise.all([uringSameCalls(SAME, job), uringBest(BEST, job)]),
    targets: depth === TARGETED_DEPTH ? [{ of: BEST, atLeast: AT_LEAST }] : [],
  };
}
