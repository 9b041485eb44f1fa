/**
 * The buddy allocator (mm/page_alloc.c): one zone, one lock, a free list per order.
 *
 * Invariants: every page is in exactly one free block or one allocated run; two free buddies of one order
 * never stay apart; the pages of a run go back when its last reference goes, so pinned user pages outlive
 * free_pages. Free pages are filled with PAGE_POISON, and a page that comes back changed is reported.
 *
 * Interface: __get_free_pages/free_pages by order, alloc_pages_exact/free_pages_exact by bytes; both give
 * addresses. Blocks are aligned to their size relative to map.pages, to 4096 absolutely. mm_init first.
 */
import { KASAN_FREE_PAGE, KASAN_NULL_PAGE } from "atomics-sync";
import { LOG_INFO, printk } from "../debug/dmesg.ts";
import { FAULT_PAGES, should_fail } from "../debug/fault-inject.ts";
import { kernel_initcall, kernel_static } from "../debug/image.ts";
import { kasan_attach, kasan_poison, kasan_unpoison } from "../debug/kasan.ts";
import { struct_layout } from "../debug/layout.ts";
import { caller_site, site_text } from "../debug/site.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import type { Cpu } from "../sched/cpu.ts";
import { mm_epoch } from "./epoch.ts";
import { __GFP_NOWARN, __GFP_ZERO, get_order, might_alloc } from "./gfp.ts";
import { INIT_LIST_HEAD, LIST_HEAD_SIZE, list_add, list_del, list_empty, list_next } from "./list.ts";
import { PAGE_SIZE } from "./memory-map.ts";
import { bad_page, check_new_pages, page_poison_init, PAGE_POISON } from "./page-check.ts";
import {
  buddy_order,
  destroy_compound_run,
  nr_ram_pages,
  PAGE_LRU,
  PAGE_REFCOUNT,
  page_address,
  page_flags,
  page_given_order,
  page_nr_pages,
  page_set_requested,
  page_to_pfn,
  type PagePtr,
  pfn_to_page,
  PG_head,
  prep_compound_run,
  set_buddy_order,
  virt_to_head_page,
  virt_to_page,
} from "./page.ts";

export { PAGE_POISON } from "./page-check.ts";

/** Blocks of up to 2^18 pages: 1 GiB. */
export const MAX_PAGE_ORDER = 18;
const NR_PAGE_ORDERS = MAX_PAGE_ORDER + 1;
/** given_order of a run from alloc_pages_exact. */
export const EXACT_RUN = 0xff;
const LOCK = 0;
// Guarded by the lock.
const NR_FREE = 4;
/** An allocation failure has been logged. */
const WARNED = 8;
/** Per order { list_head, nr_free }. */
const FREE_AREA = 12;
const FREE_AREA_SIZE = LIST_HEAD_SIZE + 4;
const AREA_NR_FREE = LIST_HEAD_SIZE;
const ZONE_SIZE = FREE_AREA + NR_PAGE_ORDERS * FREE_AREA_SIZE;

struct_layout("zone", ZONE_SIZE, [
  ["lock", LOCK, 4],
  ["nr_free", NR_FREE, 4],
  ["warned", WARNED, 4],
  ["free_area", FREE_AREA, NR_PAGE_ORDERS * FREE_AREA_SIZE],
]);

const ZONE = kernel_static("zone", ZONE_SIZE);

/** Makes all RAM pages free and the null page forbidden. Runs before every other initcall. */
export function mm_init(cpu: Cpu): void {
  kasan_attach(cpu);
  kasan_poison(cpu, 0, PAGE_SIZE, KASAN_NULL_PAGE);
  for (let order = 0; order < NR_PAGE_ORDERS; order++) INIT_LIST_HEAD(cpu, free_area(order));
  page_poison_init(cpu);
  spin_lock_irqsave(cpu, ZONE + LOCK);
  free_range(cpu, 0, nr_ram_pages(cpu));
  spin_unlock_irqrestore(cpu, ZONE + LOCK);
  kasan_poison(cpu, cpu.map.pages, cpu.map.pages_end - cpu.map.pages, KASAN_FREE_PAGE);
}
kernel_initcall(mm_init);

function free_area(order: number): number {
  return ZONE + FREE_AREA + order * FREE_AREA_SIZE;
}

function area_count(cpu: Cpu, order: number, change: number): void {
  const word = free_area(order) + AREA_NR_FREE;
  cpu.mem.write(word, cpu.mem.read(word) + change);
  cpu.mem.write(ZONE + NR_FREE, cpu.mem.read(ZONE + NR_FREE) + change * 2 ** order);
}

function add_to_free_list(cpu: Cpu, pfn: number, order: number): void {
  const page = pfn_to_page(cpu, pfn);
  set_buddy_order(cpu, page, order);
  list_add(cpu, page + PAGE_LRU, free_area(order));
  area_count(cpu, order, 1);
}

function del_from_free_list(cpu: Cpu, page: PagePtr, order: number): void {
  set_buddy_order(cpu, page, -1);
  list_del(cpu, page + PAGE_LRU);
  area_count(cpu, order, -1);
}

/** Frees one block and merges it with its buddy while that is free too. Zone lock held. */
function free_one_block(cpu: Cpu, pfn: number, order: number): void {
  const end = nr_ram_pages(cpu);
  while (order < MAX_PAGE_ORDER) {
    const buddy_pfn = pfn ^ (1 << order);
    if (buddy_pfn + (1 << order) > end) break;
    const buddy = pfn_to_page(cpu, buddy_pfn);
    if (buddy_order(cpu, buddy) !== order) break;
    del_from_free_list(cpu, buddy, order);
    pfn &= buddy_pfn;
    order++;
  }
  add_to_free_list(cpu, pfn, order);
}

/** Frees `nr` pages from `pfn` on, as the largest aligned blocks. Zone lock held. */
function free_range(cpu: Cpu, pfn: number, nr: number): void {
  while (nr > 0) {
    const aligned = pfn === 0 ? MAX_PAGE_ORDER : 31 - Math.clz32(pfn & -pfn);
    const order = Math.min(aligned, 31 - Math.clz32(nr), MAX_PAGE_ORDER);
    free_one_block(cpu, pfn, order);
    pfn += 1 << order;
    nr -= 1 << order;
  }
}

/** Takes a block of `order`, splitting a larger one if need be; 0 when there is none. Zone lock held. */
function rmqueue(cpu: Cpu, order: number): PagePtr {
  for (let current = order; current <= MAX_PAGE_ORDER; current++) {
    if (list_empty(cpu, free_area(current))) continue;
    const page = (list_next(cpu, free_area(current)) - PAGE_LRU) as PagePtr;
    const pfn = page_to_pfn(cpu, page);
    del_from_free_list(cpu, page, current);
    // The upper halves stay free: their buddies, the lower halves, are in use or split on.
    for (let half = current - 1; half >= order; half--) add_to_free_list(cpu, pfn + (1 << half), half);
    return page;
  }
  return 0 as PagePtr;
}

/**
 * Allocates `nr` pages in one piece; 0 when there is none. `given_order` is what the caller will free it
 * with. No fault injection: the allocator's own needs come here.
 */
export function alloc_page_run(
  cpu: Cpu,
  nr: number,
  given_order: number,
  gfp: number,
  site: number,
): PagePtr {
  const order = get_order(nr * PAGE_SIZE);
  if (order > MAX_PAGE_ORDER) return 0 as PagePtr;
  spin_lock_irqsave(cpu, ZONE + LOCK);
  const page = rmqueue(cpu, order);
  if (page !== 0) free_range(cpu, page_to_pfn(cpu, page) + nr, (1 << order) - nr);
  spin_unlock_irqrestore(cpu, ZONE + LOCK);
  if (page === 0) {
    warn_alloc(cpu, order, gfp, site);
    return page;
  }
  const addr = page_address(cpu, page);
  kasan_unpoison(cpu, addr, nr * PAGE_SIZE);
  check_new_pages(cpu, page, nr);
  prep_compound_run(cpu, page, nr, given_order, site, mm_epoch(cpu));
  if ((gfp & __GFP_ZERO) !== 0) cpu.mem.memset(addr, 0, nr * PAGE_SIZE);
  return page;
}

/** warn_alloc(): says so the first time a request cannot be met. */
function warn_alloc(cpu: Cpu, order: number, gfp: number, site: number): void {
  if ((gfp & __GFP_NOWARN) !== 0 || cpu.mem.exchange(ZONE + WARNED, 1) !== 0) return;
  const text = `page allocation failure: order:${order}, mode:0x${gfp.toString(16)}`;
  printk(cpu, LOG_INFO, `${text} at ${site_text(cpu, site)}`);
}

/** Gives a run without references back to the zone. */
function free_run(cpu: Cpu, head: PagePtr, site: number): void {
  const nr = page_nr_pages(cpu, head);
  const addr = page_address(cpu, head);
  kasan_unpoison(cpu, addr, nr * PAGE_SIZE);
  cpu.mem.memset(addr, PAGE_POISON, nr * PAGE_SIZE);
  kasan_poison(cpu, addr, nr * PAGE_SIZE, KASAN_FREE_PAGE);
  spin_lock_irqsave(cpu, ZONE + LOCK);
  destroy_compound_run(cpu, head, nr, site);
  free_range(cpu, page_to_pfn(cpu, head), nr);
  spin_unlock_irqrestore(cpu, ZONE + LOCK);
}

/** Drops a reference of the run `head`; the last one frees it. `site` 0: whoever called. */
export function put_page_run(cpu: Cpu, head: PagePtr, site: number): void {
  const before = cpu.mem.fetchSub(head + PAGE_REFCOUNT, 1);
  if (before > 1) return;
  const by = site === 0 ? caller_site(cpu) : site;
  if (before === 1) {
    free_run(cpu, head, by);
    return;
  }
  cpu.mem.fetchAdd(head + PAGE_REFCOUNT, 1);
  bad_page(cpu, page_address(cpu, head), "nonzero _refcount expected", by);
}

/** The run that starts at `addr` and was allocated with `given_order`; 0 and a report when it is not one. */
function run_to_free(cpu: Cpu, addr: number, given_order: number, nr: number, site: number): PagePtr {
  const page = virt_to_page(cpu, addr);
  let reason = "";
  if (page === 0 || (addr & (PAGE_SIZE - 1)) !== 0) reason = "not the address of a page";
  else if ((page_flags(cpu, page) & PG_head) === 0) {
    reason = virt_to_head_page(cpu, addr) === 0 ? "page is free (double free)" : "free of a tail page";
  } else if (page_given_order(cpu, page) !== given_order || page_nr_pages(cpu, page) !== nr) {
    reason = `wrong order: ${page_nr_pages(cpu, page)} pages allocated, ${nr} freed`;
  }
  if (reason === "") return page;
  bad_page(cpu, addr, reason, site);
  return 0 as PagePtr;
}

/** 2^order pages; 0 when there are none. */
export function __get_free_pages(cpu: Cpu, gfp: number, order: number): number {
  might_alloc(cpu, gfp);
  if (should_fail(cpu, FAULT_PAGES)) return 0;
  const page = alloc_page_run(cpu, 2 ** order, order, gfp, caller_site(cpu));
  return page === 0 ? 0 : page_address(cpu, page);
}

export function get_zeroed_page(cpu: Cpu, gfp: number): number {
  return __get_free_pages(cpu, gfp | __GFP_ZERO, 0);
}

/** Drops the owner's reference; `order` as given at allocation. Null is ignored. */
export function free_pages(cpu: Cpu, addr: number, order: number): void {
  if (addr === 0) return;
  const site = caller_site(cpu);
  const page = run_to_free(cpu, addr, order, 2 ** order, site);
  if (page !== 0) put_page_run(cpu, page, site);
}

/** Pages for `bytes`, of any number: the tail of the block stays free. 0 when there are none. */
export function alloc_pages_exact(cpu: Cpu, bytes: number, gfp: number): number {
  might_alloc(cpu, gfp);
  if (bytes <= 0 || should_fail(cpu, FAULT_PAGES)) return 0;
  const page = alloc_page_run(cpu, Math.ceil(bytes / PAGE_SIZE), EXACT_RUN, gfp, caller_site(cpu));
  if (page === 0) return 0;
  page_set_requested(cpu, page, bytes);
  return page_address(cpu, page);
}

export function free_pages_exact(cpu: Cpu, addr: number, bytes: number): void {
  if (addr === 0) return;
  const site = caller_site(cpu);
  const page = run_to_free(cpu, addr, EXACT_RUN, Math.ceil(bytes / PAGE_SIZE), site);
  if (page !== 0) put_page_run(cpu, page, site);
}

/** Pins the run that contains `addr` (as get_page on a compound page does). */
export function get_page(cpu: Cpu, addr: number): void {
  const head = virt_to_head_page(cpu, addr);
  if (head === 0 || cpu.mem.fetchAdd(head + PAGE_REFCOUNT, 1) <= 0)
    bad_page(cpu, addr, "get_page of a free page", caller_site(cpu));
}

/** Drops a reference taken with get_page; the last one frees the run. */
export function put_page(cpu: Cpu, addr: number): void {
  const head = virt_to_head_page(cpu, addr);
  if (head === 0) bad_page(cpu, addr, "put_page of a free page", caller_site(cpu));
  else put_page_run(cpu, head, 0);
}

/** References of the run that contains `addr`; 0 when it is free. */
export function page_refcount(cpu: Cpu, addr: number): number {
  const head = virt_to_head_page(cpu, addr);
  return head === 0 ? 0 : cpu.mem.loadAcquire(head + PAGE_REFCOUNT);
}

export function nr_free_pages(cpu: Cpu): number {
  return cpu.mem.readOnce(ZONE + NR_FREE);
}

/** Free blocks of `order`, as /proc/buddyinfo shows. */
export function nr_free_blocks(cpu: Cpu, order: number): number {
  return cpu.mem.readOnce(free_area(order) + AREA_NR_FREE);
}
