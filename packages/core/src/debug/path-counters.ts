/**
 * What explains a figure: how often each thread rang, woke, spun and slept on the I/O path. No Linux counterpart;
 * perf's sched and irq events come nearest.
 *
 * Contract: one line per thread, written by its owner with plain stores, read by anybody with plain loads: a
 * reader may see a count that is a moment old, never a torn one. 32-bit, wraps: take differences. Counted where
 * things happen once a batch, or where a thread waits anyway: never once an I/O.
 *
 * Interface: path_count(cpu, PATH_..., n); path_counters(cpu, id) and path_counters_between from any thread.
 */
import type { Cpu } from "../sched/cpu.ts";
import { per_cpu_ptr, this_cpu_ptr } from "../sched/cpu.ts";
import { percpu_static } from "./image.ts";

/** Submission doorbells written. */
export const PATH_DOORBELLS = 0;
/** Completion head doorbells written: one for each walk that found something. */
export const PATH_CQ_DOORBELLS = 4;
/** Sleepers woken by a futex system call, and reasons to wake whose receiver was awake. */
export const PATH_NOTIFIES = 8;
export const PATH_WAKEUPS_AVOIDED = 12;
/** Interrupts taken (safe points that found a vector pending). */
export const PATH_INTERRUPTS = 16;
/** Waits that spinning ended; rounds spun in all; waits that went to sleep; microseconds slept. */
export const PATH_SPUN = 20;
export const PATH_SPIN_ROUNDS = 24;
export const PATH_SLEEPS = 28;
export const PATH_SLEPT_US = 32;
/** Times a private copy of the peer's index had to be read anew. */
export const PATH_INDEX_RELOADS = 36;
/** Bursts of the controller that executed something. */
export const PATH_BURSTS = 40;

const NAMES = [
  "doorbells",
  "cqDoorbells",
  "notifies",
  "wakeupsAvoided",
  "interrupts",
  "spun",
  "spinRounds",
  "sleeps",
  "sleptUs",
  "indexReloads",
  "bursts",
] as const;

export type PathCounters = Readonly<Record<(typeof NAMES)[number], number>>;

const COUNTERS = percpu_static("path_counters", NAMES.length * 4);

export function path_count(cpu: Cpu, counter: number, n: number): void {
  const p = this_cpu_ptr(cpu, COUNTERS) + counter;
  cpu.mem.writeOnce(p, cpu.mem.readOnce(p) + n);
}

/** Counters of thread `id` since boot. */
export function path_counters(cpu: Cpu, id: number): PathCounters {
  const base = per_cpu_ptr(cpu, COUNTERS, id);
  const values: Record<string, number> = {};
  for (let i = 0; i < NAMES.length; i++) values[NAMES[i] as string] = cpu.mem.readOnce(base + 4 * i) >>> 0;
  return values as PathCounters;
}

/** What was counted between two readings of one thread. */
export function path_counters_between(before: PathCounters, after: PathCounters): PathCounters {
  const values: Record<string, number> = {};
  for (const name of NAMES) values[name] = (after[name] - before[name]) >>> 0;
  return values as PathCounters;
}
