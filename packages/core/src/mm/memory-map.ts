/**
 * Who owns which bytes. A pure function of the configuration, so every thread computes the same map.
 *
 *   0        null page, never touched          ...         kernel log, site table
 *   8192     static data (debug/image.ts)      ...         page structs, pages (heap, buffers)
 *   131072   per-CPU areas, one a thread       ...         VRAM aperture, NVMe media
 *                                              ...         lockdep's tables, if it is on
 */
import { PERCPU_AREA, STATIC_LIMIT } from "../debug/image.ts";
import { lockdep_bytes } from "../lock/lockdep-layout.ts";

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
/** Bytes of one struct page (mm/page-alloc.ts). */
export const PAGE_STRUCT_SIZE = 32;
/** The kernel log: records of fixed size. */
export const DMESG_RECORDS = 1024;
export const DMESG_RECORD_SIZE = 512;
/** The table of source sites. */
export const SITE_RECORDS = 2048;
export const SITE_RECORD_SIZE = 128;

export type IommuMode = "strict" | "lazy" | "passthrough";
export type Variant = "v3" | "v3-fixed";
export type PercpuMode = "atomic" | "owner";
/** When a CPU counts as a reader: all the time it is in the kernel, or in read sections only. */
export type RcuMode = "qsbr" | "strict";
/** Who tells the CPU that a command completed. */
export type CompletionMode = "irq" | "poll";

/** What a machine is built from; every thread gets an equal copy. */
export interface KernelConfig {
  /** Threads that run tasks: 1 ... 64. */
  readonly cpus: number;
  /** Threads that may run kernel work, rcu_gp included: 2 ... 64. */
  readonly kthreads: number;
  /** Bytes of general pages (heap and buffers). */
  readonly ram: number;
  /** Bytes of exporter VRAM. */
  readonly vram: number;
  /** Bytes of the NVMe namespace. */
  readonly media: number;
  readonly iommu: IommuMode;
  readonly variant: Variant;
  readonly percpu: PercpuMode;
  readonly completion: CompletionMode;
  /** "strict": grace periods end as early as they may, so that a missing rcu_read_lock shows. */
  readonly rcu: RcuMode;
  /** Checked memory: shadow, redzones, quarantine. */
  readonly kasan: boolean;
  /** The lock validator: order graph and held locks (lock/lockdep.ts). */
  readonly lockdep: boolean;
  /** Virtual time moves only when every thread sleeps, to the earliest time-out. */
  readonly clock: "real" | "virtual";
  /** Seeds every thread's random numbers. */
  readonly seed: number;
}

export const DEFAULT_CONFIG: KernelConfig = {
  cpus: 2,
  kthreads: 16,
  ram: 64 << 20,
  vram: 16 << 20,
  media: 64 << 20,
  iommu: "strict",
  variant: "v3-fixed",
  percpu: "atomic",
  completion: "irq",
  rcu: "qsbr",
  kasan: false,
  lockdep: false,
  clock: "real",
  seed: 1,
};

export interface MemoryMap {
  readonly percpu: number;
  readonly dmesg: number;
  readonly sites: number;
  /** Page structs of the pages at `pages`. */
  readonly mem_map: number;
  readonly pages: number;
  readonly pages_end: number;
  readonly vram: number;
  readonly vram_end: number;
  readonly media: number;
  readonly media_end: number;
  /** Tables of the lock validator (lock/lockdep-layout.ts); nothing without config.lockdep. */
  readonly lockdep: number;
  readonly lockdep_end: number;
  /** Bytes in all. */
  readonly size: number;
}

/** Addresses stay small integers, so one machine has less than 2 GiB. */
export const MEMORY_LIMIT = 2 ** 31 - 65536;

function pageAlign(p: number): number {
  return Math.ceil(p / PAGE_SIZE) * PAGE_SIZE;
}

/** Number of threads that run kernel code: nr_cpu_ids. CPUs come first, then kernel threads. */
export function nr_threads(config: KernelConfig): number {
  return config.cpus + config.kthreads;
}

/** Id of the NVMe controller's context: a device, not a CPU; it has a per-CPU area only to sleep and be kicked. */
export function device_cpu_id(config: KernelConfig): number {
  return nr_threads(config);
}

export function memory_map(config: KernelConfig): MemoryMap {
  const percpu = STATIC_LIMIT;
  const dmesg = percpu + (nr_threads(config) + 1) * PERCPU_AREA;
  const sites = pageAlign(dmesg + 128 + DMESG_RECORDS * DMESG_RECORD_SIZE);
  const mem_map = pageAlign(sites + 128 + SITE_RECORDS * SITE_RECORD_SIZE);
  const pages = pageAlign(mem_map + Math.ceil(config.ram / PAGE_SIZE) * PAGE_STRUCT_SIZE);
  const pages_end = pages + pageAlign(config.ram);
  const vram_end = pages_end + pageAlign(config.vram);
  const media_end = vram_end + pageAlign(config.media);
  // Locks lie below `pages_end`. The device's context sleeps and may hold locks, too.
  const tables = config.lockdep ? pageAlign(lockdep_bytes(nr_threads(config) + 1, pages_end)) : 0;
  return {
    percpu,
    dmesg,
    sites,
    mem_map,
    pages,
    pages_end,
    vram: pages_end,
    vram_end,
    media: vram_end,
    media_end,
    lockdep: media_end,
    lockdep_end: media_end + tables,
    size: media_end + tables,
  };
}
