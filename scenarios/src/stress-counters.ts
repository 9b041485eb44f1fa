/** What the stress tasks count, one line per CPU, written by its owner; the host adds them up. */
import { percpu_static } from "@ringside/core/debug/image";
import { type Cpu, nr_cpu_ids, per_cpu_ptr, this_cpu_ptr } from "@ringside/core/sched/cpu";

const COUNTERS = percpu_static("stress_counters", 64);
/** 64-bit counters. */
export const READS = 0;
export const WRITES = 8;
export const BYTES = 16;
/** Sectors whose stamp and checksum were compared. */
export const VERIFIED = 24;
export const MISMATCHES = 32;
export const ERRORS = 40;
/** Completions with -EAGAIN, submitted again. */
export const AGAIN = 48;
/** Of the adversary: what it did. */
export const ACTIONS = 56;

export interface IoCounters {
  readonly reads: number;
  readonly writes: number;
  readonly bytes: number;
  readonly verified: number;
  readonly mismatches: number;
  readonly errors: number;
  readonly again: number;
  readonly actions: number;
}

export function stress_count(cpu: Cpu, counter: number, n: number): void {
  const p = this_cpu_ptr(cpu, COUNTERS) + counter;
  cpu.mem.write64(p, cpu.mem.read64(p) + n);
}

function total(cpu: Cpu, counter: number): number {
  let sum = 0;
  for (let id = 0; id < nr_cpu_ids(cpu); id++)
    sum += cpu.mem.read64(per_cpu_ptr(cpu, COUNTERS, id) + counter);
  return sum;
}

export function stress_counters(cpu: Cpu): IoCounters {
  return {
    reads: total(cpu, READS),
    writes: total(cpu, WRITES),
    bytes: total(cpu, BYTES),
    verified: total(cpu, VERIFIED),
    mismatches: total(cpu, MISMATCHES),
    errors: total(cpu, ERRORS),
    again: total(cpu, AGAIN),
    actions: total(cpu, ACTIONS),
  };
}
