/**
 * What the slab knows, for people: the object behind an address, reports of bad frees and overwritten
 * poison, leaks. Cold; nothing here changes the allocator's state.
 *
 * Leaks: allocations are stamped with an epoch. kmem_mark starts a new one, so what is live and carries the
 * present epoch was allocated since. Interface: kmem_mark after boot, kmem_leaks when all should be gone and
 * the machine is quiet; kmem_object any time.
 */
import { LOG_BUG, printk } from "../debug/dmesg.ts";
import { kasan_disable_current, kasan_enable_current } from "../debug/kasan-poison.ts";
import { site_text } from "../debug/site.ts";
import type { Cpu } from "../sched/cpu.ts";
import { PAGE_SIZE } from "./memory-map.ts";
import { mm_epoch, mm_next_epoch } from "./epoch.ts";
import {
  buddy_order,
  nr_ram_pages,
  page_address,
  page_alloc_site,
  page_epoch,
  page_flags,
  page_free_site,
  page_generation,
  page_nr_pages,
  page_private,
  page_requested,
  type PagePtr,
  pfn_to_page,
  PG_head,
  PG_reserved,
  PG_slab,
  virt_to_head_page,
  virt_to_page,
} from "./page.ts";
import {
  CACHE_OBJECT_SIZE,
  CACHE_OBJECTS,
  CACHE_POISON_CRC,
  OBJECT_ALLOC_CPU,
  OBJECT_ALLOC_SITE,
  OBJECT_EPOCH,
  OBJECT_FREED_BY,
  OBJECT_GENERATION,
  OBJECT_LIVE,
  OBJECT_QUARANTINED,
  OBJECT_REQUESTED,
  OBJECT_STATE,
  type ObjectPtr,
  POISON_CHECKED,
  POISON_FREE,
  slab_cache,
  slab_object_address,
  slab_object_of,
  slab_of_record,
  slab_record,
  type SlabPtr,
  virt_to_slab,
} from "./slab-meta.ts";

export interface KmemObject {
  /** "kmalloc-64", or "pages". */
  readonly cache: string;
  /** First byte. */
  readonly address: number;
  /** Bytes asked for. */
  readonly size: number;
  readonly state: "live" | "free" | "quarantined";
  readonly generation: number;
  readonly allocSite: string;
  readonly allocCpu: number;
  /** "unknown" if never freed. */
  readonly freeSite: string;
  readonly freeCpu: number;
}

export interface Leak {
  readonly site: string;
  readonly objects: number;
  readonly bytes: number;
}

/** The object, live or freed, in whose memory or redzone `addr` lies. */
export function kmem_object(cpu: Cpu, addr: number): KmemObject | undefined {
  const slab = virt_to_slab(cpu, addr);
  if (slab === 0) return page_object(cpu, addr);
  const record = slab_object_of(cpu, slab, addr);
  return record === 0 ? undefined : object_of_record(cpu, record);
}

function object_of_record(cpu: Cpu, record: ObjectPtr): KmemObject {
  const slab = slab_of_record(record);
  const state = cpu.mem.readOnce(record + OBJECT_STATE);
  const freed_by = cpu.mem.readOnce(record + OBJECT_FREED_BY);
  return {
    cache: `kmalloc-${cpu.mem.read(slab_cache(cpu, slab) + CACHE_OBJECT_SIZE)}`,
    address: slab_object_address(cpu, slab, record),
    size: cpu.mem.read16(record + OBJECT_REQUESTED),
    state: state === OBJECT_LIVE ? "live" : state === OBJECT_QUARANTINED ? "quarantined" : "free",
    generation: cpu.mem.readOnce(record + OBJECT_GENERATION),
    allocSite: site_text(cpu, cpu.mem.read16(record + OBJECT_ALLOC_SITE)),
    allocCpu: cpu.mem.read16(record + OBJECT_ALLOC_CPU),
    freeSite: site_text(cpu, freed_by & 0xffff),
    freeCpu: freed_by >>> 16,
  };
}

/** The run of pages, or the free page, at `addr`. */
function page_object(cpu: Cpu, addr: number): KmemObject | undefined {
  const page = virt_to_page(cpu, addr);
  if (page === 0) return undefined;
  const head = virt_to_head_page(cpu, addr);
  const start = head === 0 ? page : head;
  return {
    cache: "pages",
    address: page_address(cpu, start),
    size: head === 0 ? PAGE_SIZE : page_requested(cpu, head),
    state: head === 0 ? "free" : "live",
    generation: page_generation(cpu, start),
    allocSite: site_text(cpu, page_alloc_site(cpu, start)),
    allocCpu: 0,
    freeSite: site_text(cpu, page_free_site(cpu, start)),
    freeCpu: 0,
  };
}

/** "kmalloc-64 object, 40 bytes at 1234; allocated by ...; freed by ..." for reports. */
function describe_object(object: KmemObject | undefined): string {
  if (object === undefined) return "no object of the kernel's";
  return (
    `${object.state} ${object.cache} object of ${object.size} bytes at ${object.address}` +
    `\nAllocated by: ${object.allocSite}\nFreed by: ${object.freeSite}`
  );
}

/**
 * Reports a kfree of something that is not a live object. `record`: of the object that it was, if that is known; 0:
 * whatever is at `p` now.
 */
export function report_bad_free(
  cpu: Cpu,
  what: "double-free" | "invalid-free",
  p: number,
  site: number,
  record: ObjectPtr,
): void {
  const head = `BUG: KASAN: ${what} in ${site_text(cpu, site)}`;
  // The records may be freed meanwhile. One bug, one report: the look is no use after free of the caller's.
  kasan_disable_current(cpu);
  const object = describe_object(record === 0 ? kmem_object(cpu, p) : object_of_record(cpu, record));
  kasan_enable_current(cpu);
  printk(cpu, LOG_BUG, `${head}\nFree of addr ${p} by cpu ${cpu.id}: ${object}`);
}

/** Reports, and mends, a free object that was written to since it was freed. True if it was. */
export function check_object_poison(cpu: Cpu, slab: SlabPtr, record: ObjectPtr): boolean {
  const cache = slab_cache(cpu, slab);
  const p = slab_object_address(cpu, slab, record);
  const checked = Math.min(POISON_CHECKED, cpu.mem.read(cache + CACHE_OBJECT_SIZE));
  kasan_disable_current(cpu);
  const overwritten = (cpu.mem.crc32c(p, checked) | 0) !== cpu.mem.read(cache + CACHE_POISON_CRC);
  if (overwritten) {
    let at = p;
    while (at < p + checked - 1 && cpu.mem.read8(at) === POISON_FREE) at++;
    const value = cpu.mem.read8(at).toString(16);
    const head = "BUG: slab use-after-free write detected: Poison overwritten";
    printk(
      cpu,
      LOG_BUG,
      `${head}\n0x${value} instead of 0x6b at ${at}: ${describe_object(kmem_object(cpu, p))}`,
    );
    cpu.mem.memset(p, POISON_FREE, checked);
  }
  kasan_enable_current(cpu);
  return overwritten;
}

/** From here on allocations count as leaks until they are freed. Earlier ones never do. */
export function kmem_mark(cpu: Cpu): void {
  mm_next_epoch(cpu);
}

/** What was allocated since the last kmem_mark and is still there, by site, most bytes first. */
export function kmem_leaks(cpu: Cpu): Leak[] {
  const sums = new Map<number, { objects: number; bytes: number }>();
  const epoch = mm_epoch(cpu);
  for (const allocation of live_allocations(cpu)) {
    if (allocation.epoch !== epoch) continue;
    const sum = sums.get(allocation.site) ?? { objects: 0, bytes: 0 };
    sum.objects++;
    sum.bytes += allocation.bytes;
    sums.set(allocation.site, sum);
  }
  const leaks: Leak[] = [];
  for (const [site, sum] of sums) leaks.push({ site: site_text(cpu, site), ...sum });
  return leaks.sort((a, b) => b.bytes - a.bytes);
}

/** Bytes asked for and not freed, boot included. */
export function kmem_in_use(cpu: Cpu): number {
  let total = 0;
  for (const allocation of live_allocations(cpu)) total += allocation.bytes;
  return total;
}

/**
 * Looks at the poison of every free object, as handing it out would. Returns how many were overwritten. The
 * machine must be quiet.
 */
export function kmem_verify(cpu: Cpu): number {
  let overwritten = 0;
  for (let pfn = 0; pfn < nr_ram_pages(cpu); pfn += pages_from(cpu, pfn)) {
    const page = pfn_to_page(cpu, pfn);
    if ((page_flags(cpu, page) & PG_slab) === 0) continue;
    const slab = page_private(cpu, page) as SlabPtr;
    for (let i = slab_objects(cpu, slab) - 1; i >= 0; i--) {
      const record = slab_record(slab, i);
      if (cpu.mem.read(record + OBJECT_STATE) === OBJECT_LIVE) continue;
      if (check_object_poison(cpu, slab, record)) overwritten++;
    }
  }
  return overwritten;
}

interface Allocation {
  readonly site: number;
  readonly bytes: number;
  readonly epoch: number;
}

/** Every live slab object and run of pages; the allocator's own pages are nobody's. */
function live_allocations(cpu: Cpu): Allocation[] {
  const live: Allocation[] = [];
  for (let pfn = 0; pfn < nr_ram_pages(cpu); pfn += pages_from(cpu, pfn)) {
    const page = pfn_to_page(cpu, pfn);
    const flags = page_flags(cpu, page);
    if ((flags & PG_slab) !== 0) add_live_objects(cpu, page_private(cpu, page) as SlabPtr, live);
    else if ((flags & PG_head) !== 0 && (flags & PG_reserved) === 0) {
      const site = page_alloc_site(cpu, page);
      live.push({ site, bytes: page_requested(cpu, page), epoch: page_epoch(cpu, page) });
    }
  }
  return live;
}

function add_live_objects(cpu: Cpu, slab: SlabPtr, live: Allocation[]): void {
  for (let i = slab_objects(cpu, slab) - 1; i >= 0; i--) {
    const record = slab_record(slab, i);
    if (cpu.mem.loadAcquire(record + OBJECT_STATE) !== OBJECT_LIVE) continue;
    live.push({
      site: cpu.mem.read16(record + OBJECT_ALLOC_SITE),
      bytes: cpu.mem.read16(record + OBJECT_REQUESTED),
      epoch: cpu.mem.read16(record + OBJECT_EPOCH),
    });
  }
}

function slab_objects(cpu: Cpu, slab: SlabPtr): number {
  return cpu.mem.read(slab_cache(cpu, slab) + CACHE_OBJECTS);
}

/** Pages from `pfn` to the next run or free block. */
function pages_from(cpu: Cpu, pfn: number): number {
  const page: PagePtr = pfn_to_page(cpu, pfn);
  const flags = page_flags(cpu, page);
  if ((flags & PG_head) !== 0) return page_nr_pages(cpu, page);
  return buddy_order(cpu, page) < 0 ? 1 : 2 ** buddy_order(cpu, page);
}
