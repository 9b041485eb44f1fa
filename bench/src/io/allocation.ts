/**
 * What the data path allocates on the V8 heap: bytes per I/O of every thread of a machine that is doing I/O, counted
 * by V8 itself, from outside, while the loops run.
 *
 * Asking costs the asked thread something (V8 closes its allocation area), so what two questions in a row cost is
 * taken off; and of several stretches the one with the least counts: what every I/O allocates is in all of them, what
 * a compiler does late is in one. What is left is 0 in whole bytes (the smallest object has 12), but for sleeps: each
 * reads the clock a few times, into new numbers. On a machine that has no core to spare there are many.
 */
import { path_counters } from "@ringside/core/debug/path-counters";
import { device_cpu_id } from "@ringside/core/mm/memory-map";
import { nvme_controller_counters } from "@ringside/nvme-emu/controller/counters";
import type { Machine } from "@ringside/workers/machine";
import type { IoArgs } from "./io-run.ts";

/** Compiling and settling allocate; after so many I/Os they are done. */
const WARMUP_IOS = 500_000;
const STRETCHES = 3;
/** Nobody is slower (ms). */
const LIMIT_MS = 60_000;
const POLL_MS = 5;

export interface Allocation {
  /** Measured: three times as many as asked for, or a few more. */
  readonly ios: number;
  /** By the name of the thread. */
  readonly bytesPerIo: Readonly<Record<string, number>>;
  /** Of the CPU and the controller. */
  readonly sleepsPerIo: number;
}

/**
 * Runs I/O on CPU 0 and measures three stretches of `ios` I/Os. `allocate` makes the workload allocate an object an
 * I/O: the measure's negative control. The machine's workloads are stopped then for good: shut it down.
 */
export async function allocationPerIo(
  machine: Machine,
  io: IoArgs & { readonly allocate?: boolean },
  ios: number,
): Promise<Allocation> {
  const run = machine.run(0, "bench-io", { ...io, warmupMs: 0, ms: LIMIT_MS }, 2 * LIMIT_MS);
  // Awaited below; it must not be unhandled when the waits throw first.
  run.catch(() => {});
  await reached(machine, WARMUP_IOS);
  const first = done(machine);
  let least = await allocatedIn(machine, ios);
  for (let i = 1; i < STRETCHES; i++) {
    const stretch = await allocatedIn(machine, ios);
    if (total(stretch) < total(least)) least = stretch;
  }
  const measured = done(machine) - first;
  machine.stopWorkloads();
  await run;
  return { ...least, ios: measured };
}

type Stretch = Omit<Allocation, "ios">;

function total({ bytesPerIo }: Stretch): number {
  return Object.values(bytesPerIo).reduce((sum, bytes) => sum + bytes, 0);
}

/** Over the next `ios` I/Os, or a few more. */
async function allocatedIn(machine: Machine, ios: number): Promise<Stretch> {
  const before = await machine.allocated();
  const start = await machine.allocated();
  const from = done(machine);
  const slept = sleeps(machine);
  await reached(machine, from + ios);
  const count = done(machine) - from;
  const sleepsPerIo = (sleeps(machine) - slept) / count;
  const end = await machine.allocated();
  const bytesPerIo: Record<string, number> = {};
  for (const [name, bytes] of Object.entries(end)) {
    const asking = (start[name] ?? 0) - (before[name] ?? 0);
    bytesPerIo[name] = Math.max(0, bytes - (start[name] ?? 0) - asking) / count;
  }
  return { bytesPerIo, sleepsPerIo };
}

/** Of the CPU and the controller. */
function sleeps(machine: Machine): number {
  const { cpu, config } = machine;
  return path_counters(cpu, 0).sleeps + path_counters(cpu, device_cpu_id(config)).sleeps;
}

function done(machine: Machine): number {
  return nvme_controller_counters(machine.cpu).ioCommands;
}

async function reached(machine: Machine, ios: number): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  while (done(machine) < ios) {
    if (performance.now() > end) throw new Error(`${done(machine)} I/Os of ${ios} in ${LIMIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
