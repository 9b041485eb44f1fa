/**
 * What the DMA layer has done: per-CPU counts, each written by its own CPU alone, summed when somebody asks.
 * 64-bit: a busy machine passes 2^32 maps within the hour.
 */
import { percpu_static } from "../debug/image.ts";
import { type Cpu, nr_cpu_ids, per_cpu_ptr, this_cpu_ptr } from "../sched/cpu.ts";

const MAPS = 0;
const UNMAPS = 8;
const PAGES = 16;
const FLUSHES = 24;
const FAULTS = 32;
const COUNTERS = percpu_static("dma_counters", 40);

export interface DmaCounters {
  /** Successful dma_map_*, coherent memory included. */
  readonly maps: number;
  readonly unmaps: number;
  /** Pages mapped by them. */
  readonly pages: number;
  /** IOTLB flushes carried out by devices. */
  readonly flushes: number;
  /** Translations refused. */
  readonly faults: number;
}

/** Owner only; readers may see the halves of a carry apart. */
function count(cpu: Cpu, counter: number, n: number): void {
  const p = this_cpu_ptr(cpu, COUNTERS) + counter;
  const sum = (cpu.mem.readOnce(p) >>> 0) + n;
  cpu.mem.writeOnce(p, sum | 0);
  if (sum >= 2 ** 32) cpu.mem.writeOnce(p + 4, cpu.mem.readOnce(p + 4) + 1);
}

export function dma_count_map(cpu: Cpu, pages: number): void {
  count(cpu, MAPS, 1);
  count(cpu, PAGES, pages);
}
export function dma_count_unmap(cpu: Cpu): void {
  count(cpu, UNMAPS, 1);
}
export function dma_count_flush(cpu: Cpu): void {
  count(cpu, FLUSHES, 1);
}
export function dma_count_fault(cpu: Cpu): void {
  count(cpu, FAULTS, 1);
}

/** Over all threads, devices included. */
function sum_counter(cpu: Cpu, counter: number): number {
  let sum = 0;
  // One area more than CPUs: the device's.
  for (let id = 0; id <= nr_cpu_ids(cpu); id++)
    sum += cpu.mem.read64(per_cpu_ptr(cpu, COUNTERS, id) + counter);
  return sum;
}

export function dma_counters(cpu: Cpu): DmaCounters {
  return {
    maps: sum_counter(cpu, MAPS),
    unmaps: sum_counter(cpu, UNMAPS),
    pages: sum_counter(cpu, PAGES),
    flushes: sum_counter(cpu, FLUSHES),
    faults: sum_counter(cpu, FAULTS),
  };
}

/** Translations refused so far, by any device. */
export function iommu_faults(cpu: Cpu): number {
  return sum_counter(cpu, FAULTS);
}
