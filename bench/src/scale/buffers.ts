/**
 * scale-buffers: 1 to 16384 registered dma-bufs, the most a table may have: what registering one costs, mapping one
 * (the first I/O on it), letting go of one, and an I/O on a random one of them.
 *
 * All of them are linear in sum, so constant for one buffer: a slot of the table is an index; a token, its attachment
 * and its map are allocated and linked in constant time. Per I/O the lookup is one load, and what grows is cache
 * misses: each buffer has its own token, map, percpu_ref and page. Letting go waits for a grace period for every few
 * buffers: a token's release sleeps in a kernel thread until another has unmapped, so eight go at a time.
 */
import type { Machine } from "@ringside/workers/machine";
import type { Bench, Comparison } from "../bench.ts";
import { BenchMachine, runFor, sharedRuns } from "../bench-machine.ts";
import { median } from "../measure.ts";
import { curvePoint } from "./curve.ts";

const BUFFERS: readonly number[] = [1, 4, 16, 64, 256, 1024, 4096, 16384];
/** From here on one set-up takes a second and more: one run, whose I/O has to warm up by itself, so longer. */
const MANY = 1024;
const LONGER = 8;
const PAGE = 4096;
const IO = { op: "read", bs: PAGE, depth: 32, bufferBytes: PAGE } as const;
/** Bytes of one buffer with all that belongs to it. */
const EACH = 16 << 10;

const xName = "buffers";
const COSTS = [
  { series: "register them all", xName, unit: "us" },
  { series: "map them all, by an I/O on each", xName, unit: "us" },
  { series: "unregister them all", xName, unit: "us" },
  { series: "I/O on a random one", xName, unit: "ns" },
] as const;

export const scaleBuffers: Bench = {
  name: "scale-buffers",
  what: "1 to 16384 registered dma-bufs: registering, mapping, I/O on a random one, letting go",
  reading:
    "Registering, mapping and letting go are linear in the number of buffers, so constant for each: its token, " +
    "attachment and map are allocated and linked in constant time. An I/O finds its buffer by an index; what grows " +
    "are cache misses.",
  comparisons: ({ quick }) => Promise.resolve((quick ? BUFFERS.slice(0, 2) : BUFFERS).flatMap(points)),
};

/** All costs of `x` buffers, told by the same runs: setting up 16384 takes seconds. */
function points(x: number): Comparison[] {
  const machine = new BenchMachine({ cpus: 1, ram: (24 << 20) + x * EACH, vram: 1 << 20 });
  const reader = sharedRuns(async (ms: number, booted: Machine) => {
    const ioMs = (x >= MANY ? LONGER : 1) * (ms / 2);
    const args = { ...IO, buffers: x, ms: ms / 2, ioMs };
    const found = await runFor(booted, 0, "bench-register", args, ms);
    const us = (phase: string): number => 1000 * median(found[phase] as number[]);
    const ns = (1e9 * Number(found["seconds"])) / Number(found["ios"]);
    return [us("registerMs"), us("mapMs"), us("releaseMs"), ns];
  });
  return COSTS.map((cost, i) => {
    const ours = machine.subject(
      "ringside",
      reader((costs) => costs[i] as number),
    );
    return curvePoint(cost, x, ours, { once: x >= MANY });
  });
}
