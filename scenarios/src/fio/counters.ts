/**
 * What the live view shows of a job, in the per-CPU memory of the CPU that runs it: written by the job some times a
 * second and before it sleeps, read by the host, so a figure may be a moment old but never goes back. One word goes
 * the other way: the number of the last question for the job's statistics (status.ts).
 */
import { percpu_static } from "@ringside/core/debug/image";
import { type Cpu, per_cpu_ptr, this_cpu_ptr } from "@ringside/core/sched/cpu";
import type { Measure } from "./measure.ts";

const COUNTERS = percpu_static("fio_counters", 64);
const STATE = 0;
const ERROR = 4;
/** 64-bit counts of the three directions. */
const BYTES = 8;
const IOS = 32;
const ASKED = 56;

export const FIO_STATE_SETUP = 1;
export const FIO_STATE_RAMP = 2;
export const FIO_STATE_RUNNING = 3;
export const FIO_STATE_VERIFYING = 4;
export const FIO_STATE_FSYNCING = 5;
export const FIO_STATE_FINISHING = 6;

export interface FioCounters {
  /** One of FIO_STATE_; 0 before the job has begun. */
  readonly state: number;
  readonly error: number;
  readonly bytes: readonly [read: number, write: number, trim: number];
  readonly ios: readonly [read: number, write: number, trim: number];
}

/** Zeroes the counters of this CPU: a new job begins. It may have been asked already. */
export function fio_counters_reset(cpu: Cpu): void {
  cpu.mem.memset(this_cpu_ptr(cpu, COUNTERS), 0, ASKED);
}

/** The host asks the job on CPU `id`; `number` is another each time, and 0 while none runs. */
export function fio_ask(cpu: Cpu, id: number, number: number): void {
  cpu.mem.writeOnce(per_cpu_ptr(cpu, COUNTERS, id) + ASKED, number);
}

/** The number of the last question for this CPU's job. */
export function fio_asked(cpu: Cpu): number {
  return cpu.mem.readOnce(this_cpu_ptr(cpu, COUNTERS) + ASKED);
}

export function fio_counters_publish(cpu: Cpu, state: number, error: number, m: Measure): void {
  const p = this_cpu_ptr(cpu, COUNTERS);
  cpu.mem.write(p + STATE, state);
  cpu.mem.write(p + ERROR, error);
  for (let ddir = 0; ddir < 3; ddir++) {
    cpu.mem.write64(p + BYTES + ddir * 8, m.all_bytes[ddir] as number);
    cpu.mem.write64(p + IOS + ddir * 8, m.all_ios[ddir] as number);
  }
}

/** Of the job on CPU `id`, from any thread. */
export function fio_counters(cpu: Cpu, id: number): FioCounters {
  const p = per_cpu_ptr(cpu, COUNTERS, id);
  const { mem } = cpu;
  return {
    state: mem.read(p + STATE),
    error: mem.read(p + ERROR),
    bytes: [mem.read64(p + BYTES), mem.read64(p + BYTES + 8), mem.read64(p + BYTES + 16)],
    ios: [mem.read64(p + IOS), mem.read64(p + IOS + 8), mem.read64(p + IOS + 16)],
  };
}
