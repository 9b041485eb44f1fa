/**
 * struct page (include/linux/mm_types.h): 32 bytes for each page between map.pages and map.pages_end.
 *
 * An allocated run of pages is one compound page: the head carries order, length, count and owner, every
 * tail points to its head. The first page of a free block has a buddy order; free pages have no flag but
 * PG_poisoned.
 *
 * Interface: virt_to_page, page_address, virt_to_head_page; fields by the accessors. Who may write: the zone
 * lock while a page is free, the owner while it is allocated, anyone for the reference count. Anyone may look up a
 * stale address (a double kfree does), so flags and private are read and written as ONCE.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";
import { PAGE_SHIFT, PAGE_STRUCT_SIZE } from "./memory-map.ts";

export type PagePtr = Ptr<"page">;

/** First page of an allocated run. */
export const PG_head = 1;
/** Later page of an allocated run. */
export const PG_tail = 2;
/** Head: the run holds slab objects; `private` is its struct slab. */
export const PG_slab = 4;
/** Head: the run is the allocator's own (object metadata): never a leak. */
export const PG_reserved = 8;
/** Head: the run is one large kmalloc object. */
export const PG_large_kmalloc = 16;
/** A free page filled with PAGE_POISON. */
export const PG_poisoned = 32;

// The owner; the zone lock while free. ONCE:
/** PG_*; of a freed page also, in the upper half, the site that freed it. */
const FLAGS = 0;
const FREE_SITE_SHIFT = 16;
const FLAGS_MASK = 0xffff;
/** Atomic. 0 while free. */
export const PAGE_REFCOUNT = 4;
/** While free: the list_head of the zone's free list. */
export const PAGE_LRU = 8;
/** While allocated: pages of the run, and bytes asked for. */
const NR_PAGES = 8;
const REQUESTED = 12;
const ALLOC_SITE = 16;
/** The zone lock, always: 1 + order in the first page of a free block, else 0. */
const BUDDY_ORDER = 18;
/** Leak epoch of the allocation (mm/slab-report.ts). */
const EPOCH = 20;
/** Order given by the caller, 0xff for an exact run. */
const GIVEN_ORDER = 22;
/** Bumped at each allocation. */
const GENERATION = 24;
/** Head: private to the owner; tail: the head. Stays when the run is freed. ONCE. */
const PRIVATE = 28;

struct_layout("page", PAGE_STRUCT_SIZE, [
  ["flags", FLAGS, 4],
  ["_refcount", PAGE_REFCOUNT, 4],
  ["lru.next|nr_pages", PAGE_LRU, 4],
  ["lru.prev|requested", REQUESTED, 4],
  ["alloc_site", ALLOC_SITE, 2],
  ["buddy_order", BUDDY_ORDER, 2],
  ["epoch", EPOCH, 2],
  ["given_order", GIVEN_ORDER, 2],
  ["generation", GENERATION, 4],
  ["private", PRIVATE, 4],
]);

/** The struct page of the page that contains `addr`; 0 for addresses that are not RAM pages. */
export function virt_to_page(cpu: Cpu, addr: number): PagePtr {
  const { pages, pages_end, mem_map } = cpu.map;
  if (addr < pages || addr >= pages_end) return 0 as PagePtr;
  return (mem_map + ((addr - pages) >>> PAGE_SHIFT) * PAGE_STRUCT_SIZE) as PagePtr;
}

export function page_address(cpu: Cpu, page: PagePtr): number {
  return cpu.map.pages + page_to_pfn(cpu, page) * (1 << PAGE_SHIFT);
}

/** Page frame number: index of the page in RAM. */
export function page_to_pfn(cpu: Cpu, page: PagePtr): number {
  return (page - cpu.map.mem_map) / PAGE_STRUCT_SIZE;
}

export function pfn_to_page(cpu: Cpu, pfn: number): PagePtr {
  return (cpu.map.mem_map + pfn * PAGE_STRUCT_SIZE) as PagePtr;
}

export function nr_ram_pages(cpu: Cpu): number {
  return (cpu.map.pages_end - cpu.map.pages) >>> PAGE_SHIFT;
}

/** The head of the allocated run that contains `addr`; 0 when that page is free or not RAM. */
export function virt_to_head_page(cpu: Cpu, addr: number): PagePtr {
  const page = virt_to_page(cpu, addr);
  if (page === 0) return page;
  const flags = page_flags(cpu, page);
  if ((flags & PG_tail) !== 0) return cpu.mem.readOnce(page + PRIVATE) as PagePtr;
  return (flags & PG_head) !== 0 ? page : (0 as PagePtr);
}

/** Is it no part of an allocated run? */
export function page_is_free(cpu: Cpu, page: PagePtr): boolean {
  return (page_flags(cpu, page) & (PG_head | PG_tail)) === 0;
}

/**
 * The head's private of the run that contains `addr`, if its head has `flag`; else 0. Plain reads: for who looks from
 * outside at a machine that stands still.
 */
export function observed_private(cpu: Cpu, addr: number, flag: number): number {
  const page = virt_to_page(cpu, addr);
  if (page === 0) return 0;
  const is_tail = (cpu.mem.read(page + FLAGS) & PG_tail) !== 0;
  const head = is_tail ? cpu.mem.read(page + PRIVATE) : page;
  return (cpu.mem.read(head + FLAGS) & flag) !== 0 ? cpu.mem.read(head + PRIVATE) : 0;
}

export function page_flags(cpu: Cpu, page: PagePtr): number {
  return cpu.mem.readOnce(page + FLAGS) & FLAGS_MASK;
}
/** Of an allocated page. */
export function page_set_flags(cpu: Cpu, page: PagePtr, flags: number): void {
  cpu.mem.writeOnce(page + FLAGS, flags);
}
/** Order of the free block that starts here; -1 when none does. */
export function buddy_order(cpu: Cpu, page: PagePtr): number {
  return cpu.mem.read16(page + BUDDY_ORDER) - 1;
}
export function set_buddy_order(cpu: Cpu, page: PagePtr, order: number): void {
  cpu.mem.write16(page + BUDDY_ORDER, order + 1);
}
export function page_nr_pages(cpu: Cpu, head: PagePtr): number {
  return cpu.mem.read(head + NR_PAGES);
}
export function page_requested(cpu: Cpu, head: PagePtr): number {
  return cpu.mem.read(head + REQUESTED);
}
export function page_set_requested(cpu: Cpu, head: PagePtr, bytes: number): void {
  cpu.mem.write(head + REQUESTED, bytes);
}
export function page_alloc_site(cpu: Cpu, head: PagePtr): number {
  return cpu.mem.read16(head + ALLOC_SITE);
}
/** 0 (unknown) unless the page is free. */
export function page_free_site(cpu: Cpu, page: PagePtr): number {
  return cpu.mem.readOnce(page + FLAGS) >>> FREE_SITE_SHIFT;
}
export function page_epoch(cpu: Cpu, head: PagePtr): number {
  return cpu.mem.read16(head + EPOCH);
}
export function page_given_order(cpu: Cpu, head: PagePtr): number {
  return cpu.mem.read16(head + GIVEN_ORDER);
}
export function page_generation(cpu: Cpu, page: PagePtr): number {
  return cpu.mem.read(page + GENERATION);
}
export function page_private(cpu: Cpu, head: PagePtr): number {
  return cpu.mem.readOnce(head + PRIVATE);
}
export function page_set_private(cpu: Cpu, head: PagePtr, value: number): void {
  cpu.mem.writeOnce(head + PRIVATE, value);
}

/** Makes `nr` free pages from `head` on one compound page with one reference. */
export function prep_compound_run(
  cpu: Cpu,
  head: PagePtr,
  nr: number,
  given_order: number,
  site: number,
  epoch: number,
): void {
  const { mem } = cpu;
  mem.writeOnce(head + FLAGS, PG_head);
  mem.write(head + NR_PAGES, nr);
  mem.write(head + REQUESTED, nr << PAGE_SHIFT);
  mem.write16(head + ALLOC_SITE, site);
  mem.write16(head + EPOCH, epoch);
  mem.write16(head + GIVEN_ORDER, given_order);
  mem.write(head + GENERATION, mem.read(head + GENERATION) + 1);
  mem.writeOnce(head + PRIVATE, 0);
  for (let i = 1; i < nr; i++) {
    const tail = head + i * PAGE_STRUCT_SIZE;
    mem.write16(tail + ALLOC_SITE, site);
    mem.writeOnce(tail + PRIVATE, head);
    // Pairs with virt_to_head_page of a stale address: who sees a tail sees its head. Forbidden: what the page was a
    // head of in its last life is taken for a struct page.
    mem.storeRelease(tail + FLAGS, PG_tail);
  }
  mem.storeRelease(head + PAGE_REFCOUNT, 1);
}

/** Takes a run apart: `nr` poisoned pages that belong to nobody. */
export function destroy_compound_run(cpu: Cpu, head: PagePtr, nr: number, site: number): void {
  const free = PG_poisoned | (site << FREE_SITE_SHIFT);
  for (let i = 1; i < nr; i++) cpu.mem.writeOnce(head + i * PAGE_STRUCT_SIZE + FLAGS, free);
  // The head last. Pairs with the fence in kfree_large: a second kfree of an object in a tail that saw the head taken
  // apart sees the tail so too. Forbidden: a tail that still names a head, which is no slab's: an invalid-free.
  cpu.mem.storeRelease(head + FLAGS, free);
}
