/**
 * Dynamic per-CPU data (mm/percpu.c): one line of 128 bytes per CPU, so that CPUs never share a cache line.
 *
 * Interface: base = alloc_percpu(...); CPU i's copy is at base + i * PERCPU_LINE, zeroed. The two low bits of
 * a base are 0, for flags (ref/percpu-ref.ts). free_percpu takes the base.
 */
import { WARN_ON } from "../debug/warn.ts";
import { type Cpu, nr_cpu_ids } from "../sched/cpu.ts";
import { kfree, kzalloc } from "./slab.ts";

/** Bytes of one CPU's copy: two cache lines, because hardware fetches lines in pairs. */
export const PERCPU_LINE = 128;

/** A zeroed copy of `bytes` (at most PERCPU_LINE) for every CPU, 128-aligned; 0 when there is no memory. */
export function alloc_percpu(cpu: Cpu, bytes: number, gfp: number): number {
  if (WARN_ON(cpu, bytes <= 0 || bytes > PERCPU_LINE)) return 0;
  // Objects of 128 bytes and more are 128-aligned, and the size is a multiple of that.
  return kzalloc(cpu, nr_cpu_ids(cpu) * PERCPU_LINE, gfp);
}

export function free_percpu(cpu: Cpu, base: number): void {
  kfree(cpu, base);
}
