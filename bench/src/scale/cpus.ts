/**
 * scale-cpus: what a percpu_ref costs as threads are added: the memory of its shards, and the time from kill to
 * release. Threads are the CPUs and 4 kernel threads.
 *
 * Memory is linear: one 128-byte line a thread, whether it is used or not. The kill is a grace period, which looks
 * once at each thread that is online (idle ones are not waited for), and one sum over the shards: linear with a
 * constant of nanoseconds, below a fixed cost of waking rcu_gp and the task, so the curve is flat.
 */
import type { Machine } from "@ringside/workers/machine";
import type { Bench, Comparison } from "../bench.ts";
import { BenchMachine, runFor, sharedRuns } from "../bench-machine.ts";
import { curvePoint } from "./curve.ts";

const CPUS: readonly number[] = [1, 2, 4, 8, 16, 32, 64];
const KTHREADS = 4;
const RAM = 16 << 20;
/** Of a CPU's queue: requests, rings. */
const QUEUE = 2 << 20;

const MEMORY = { series: "shards of a percpu_ref", xName: "CPUs", unit: "bytes" };
const KILL = { series: "percpu_ref, kill to release", xName: "CPUs", unit: "us" };

export const scaleCpus: Bench = {
  name: "scale-cpus",
  what: "1 to 64 CPUs: memory of a percpu_ref, and its time from kill to release",
  reading:
    `Memory is linear: a line of 128 bytes for each CPU and for each of ${KTHREADS} kernel threads, rounded up by ` +
    "the allocator. A kill is a grace period, which looks once at each thread, and a sum over the shards: " +
    "nanoseconds a thread, beside a fixed cost of waking two tasks.",
  comparisons: ({ quick }) => Promise.resolve((quick ? CPUS.slice(0, 2) : CPUS).flatMap(points)),
};

function points(x: number): Comparison[] {
  const ram = RAM + x * QUEUE;
  const machine = new BenchMachine({ cpus: x, kthreads: KTHREADS, ram, vram: 1 << 20, media: 1 << 20 });
  const reader = sharedRuns(
    async (ms: number, booted: Machine) => await runFor(booted, 0, "bench-percpu-kill", { ms }, ms),
  );
  const bytes = reader((found) => Number(found["bytes"]));
  const killUs = reader(({ killMs, kills }) => (1000 * Number(killMs)) / Number(kills));
  return [
    curvePoint(MEMORY, x, machine.subject("ringside", bytes), { notes: () => ({ threads: x + KTHREADS }) }),
    curvePoint(KILL, x, machine.subject("ringside", killUs)),
  ];
}
