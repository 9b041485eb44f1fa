/**
 * Counters the controller keeps for whoever writes the report: completed I/O commands by kind, and what went
 * wrong. SMART says the same through the front door; a run checks that both agree.
 *
 * Invariant: a counter is stored before the completion entry of the command it counts is published, so a
 * host that has seen N completions reads at least N here, and exactly N when nothing is in flight.
 *
 * Interface: nvme_controller_counters(cpu) from any thread.
 */
import { kernel_static } from "@ringside/core/debug/image";
import type { Cpu } from "@ringside/core/sched/cpu";

const COUNTERS = kernel_static("nvme_counters", 128);
/** 64-bit each. Written by the controller's thread alone. */
export const NVME_COUNT_READS = 0;
export const NVME_COUNT_WRITES = 8;
export const NVME_COUNT_FLUSHES = 16;
/** I/O commands with another opcode: all of them failed. */
export const NVME_COUNT_OTHERS = 24;
export const NVME_COUNT_ADMIN = 32;
/** Commands, admin or I/O, that completed with an error. */
export const NVME_COUNT_ERRORS = 40;
/** Doorbell writes that were ignored. */
export const NVME_COUNT_BAD_DOORBELLS = 48;
export const NVME_COUNT_INTERRUPTS = 56;

export interface NvmeControllerCounters {
  /** I/O commands completed: reads + writes + flushes + others. */
  readonly ioCommands: number;
  readonly reads: number;
  readonly writes: number;
  readonly flushes: number;
  readonly others: number;
  readonly admin: number;
  readonly errors: number;
  readonly badDoorbells: number;
  readonly interrupts: number;
}

/** Device side: stores a counter. */
export function nvme_count(cpu: Cpu, counter: number, value: number): void {
  cpu.mem.write64(COUNTERS + counter, value);
}

function counter_read(cpu: Cpu, counter: number): number {
  return cpu.mem.read64(COUNTERS + counter);
}

export function nvme_controller_counters(cpu: Cpu): NvmeControllerCounters {
  const reads = counter_read(cpu, NVME_COUNT_READS);
  const writes = counter_read(cpu, NVME_COUNT_WRITES);
  const flushes = counter_read(cpu, NVME_COUNT_FLUSHES);
  const others = counter_read(cpu, NVME_COUNT_OTHERS);
  return {
    ioCommands: reads + writes + flushes + others,
    reads,
    writes,
    flushes,
    others,
    admin: counter_read(cpu, NVME_COUNT_ADMIN),
    errors: counter_read(cpu, NVME_COUNT_ERRORS),
    badDoorbells: counter_read(cpu, NVME_COUNT_BAD_DOORBELLS),
    interrupts: counter_read(cpu, NVME_COUNT_INTERRUPTS),
  };
}
