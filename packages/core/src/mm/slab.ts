/**
 * kmalloc and kfree (mm/slub.c with slub_debug=FPU): caches of equal objects, each slab a run of pages.
 *
 * Invariants: an object is live for one owner or free, and its record says which, since when and by whom.
 * New memory is filled with POISON_INUSE, freed memory with POISON_FREE; a free object that changed is
 * reported when it is handed out. The object freed last is reused first. With config.kasan a redzone parts
 * the objects, and freed ones wait in a quarantine.
 *
 * Interface: kmalloc/kzalloc return 0 on failure; kfree takes what they returned, or 0. Objects are aligned
 * to 8, those of a power of two up to 128 (and all larger) to their size, at most 128.
 */
import { KASAN_PAGE_REDZONE, KASAN_SLAB_FREE, KASAN_SLAB_REDZONE } from "atomics-sync";
import { FAULT_SLAB, should_fail } from "../debug/fault-inject.ts";
import { kernel_initcall } from "../debug/image.ts";
import { kasan_disable_current, kasan_enable_current, kasan_poison, kasan_unpoison } from "../debug/kasan.ts";
import { debug_check_no_obj_freed } from "../debug/objects.ts";
import { caller_site } from "../debug/site.ts";
import { debug_check_no_locks_freed } from "../lock/lockdep.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import type { Cpu } from "../sched/cpu.ts";
import { mm_epoch } from "./epoch.ts";
import { __GFP_ZERO, might_alloc } from "./gfp.ts";
import { PAGE_SIZE } from "./memory-map.ts";
import { alloc_page_run, EXACT_RUN, put_page_run } from "./page-alloc.ts";
import {
  page_address,
  page_flags,
  page_generation,
  page_is_free,
  page_nr_pages,
  page_set_flags,
  page_set_requested,
  type PagePtr,
  PG_head,
  PG_large_kmalloc,
  virt_to_head_page,
  virt_to_page,
} from "./page.ts";
import { kmem_cache_setup, slab_put, slab_take } from "./slab-cache.ts";
import {
  CACHE_LOCK,
  CACHE_OBJECT_SIZE,
  type KmemCachePtr,
  kmem_cache_at,
  KMALLOC_MAX_CACHE_SIZE,
  KMALLOC_SIZES,
  kmalloc_slab,
  OBJECT_ALLOC_CPU,
  OBJECT_ALLOC_SITE,
  OBJECT_EPOCH,
  OBJECT_FREE,
  OBJECT_FREED_BY,
  OBJECT_GENERATION,
  OBJECT_LIVE,
  OBJECT_QUARANTINED,
  OBJECT_REQUESTED,
  OBJECT_STATE,
  type ObjectPtr,
  page_slab,
  POISON_FREE,
  slab_cache,
  slab_object_address,
  slab_object_of,
  slab_of_record,
  type SlabPtr,
  virt_to_slab,
} from "./slab-meta.ts";
import { check_object_poison, report_bad_free } from "./slab-report.ts";

export {
  kmem_in_use,
  kmem_leaks,
  kmem_mark,
  kmem_object,
  type KmemObject,
  type Leak,
} from "./slab-report.ts";
export { __GFP_NOWARN, __GFP_ZERO, GFP_ATOMIC, GFP_KERNEL, GFP_NOIO, GFP_NOWAIT } from "./gfp.ts";

/** What new objects are filled with (include/linux/poison.h). */
export const POISON_INUSE = 0x5a;
/** kmalloc(0): a pointer to nothing, legal to free. */
export const ZERO_SIZE_PTR = 16;

const NO_RECORD = 0 as ObjectPtr;

/** Runs right after mm_init: this module imports that one. */
export function kmem_cache_init(cpu: Cpu): void {
  for (let i = 0; i < KMALLOC_SIZES.length; i++) {
    kmem_cache_setup(cpu, kmem_cache_at(i), KMALLOC_SIZES[i] as number);
  }
}
kernel_initcall(kmem_cache_init);

/** `size` bytes filled with POISON_INUSE, or zeroed with __GFP_ZERO; 0 when there are none. */
export function kmalloc(cpu: Cpu, size: number, gfp: number): number {
  might_alloc(cpu, gfp);
  if (size === 0) return ZERO_SIZE_PTR;
  if (should_fail(cpu, FAULT_SLAB)) return 0;
  const site = caller_site(cpu);
  if (size > KMALLOC_MAX_CACHE_SIZE) return kmalloc_large(cpu, size, gfp, site);
  const cache = kmalloc_slab(size);
  spin_lock_irqsave(cpu, cache + CACHE_LOCK);
  const record = slab_take(cpu, cache, gfp, site);
  spin_unlock_irqrestore(cpu, cache + CACHE_LOCK);
  return record === 0 ? 0 : hand_out(cpu, cache, record, size, gfp, site);
}

export function kzalloc(cpu: Cpu, size: number, gfp: number): number {
  return kmalloc(cpu, size, gfp | __GFP_ZERO);
}

/** `n` zeroed elements of `size` bytes. */
export function kcalloc(cpu: Cpu, n: number, size: number, gfp: number): number {
  return kmalloc(cpu, n * size, gfp | __GFP_ZERO);
}

/** Makes a free object, which nobody else can reach any more, live. */
function hand_out(
  cpu: Cpu,
  cache: KmemCachePtr,
  record: ObjectPtr,
  size: number,
  gfp: number,
  site: number,
): number {
  const slab = slab_of_record(record);
  const p = slab_object_address(cpu, slab, record);
  const object_size = cpu.mem.read(cache + CACHE_OBJECT_SIZE);
  check_object_poison(cpu, slab, record);
  kasan_unpoison(cpu, p, object_size);
  cpu.mem.memset(p, (gfp & __GFP_ZERO) !== 0 ? 0 : POISON_INUSE, object_size);
  kasan_poison(cpu, p + size, object_size - size, KASAN_SLAB_REDZONE);
  cpu.mem.write16(record + OBJECT_ALLOC_SITE, site);
  cpu.mem.write16(record + OBJECT_ALLOC_CPU, cpu.id);
  cpu.mem.write16(record + OBJECT_REQUESTED, size);
  cpu.mem.write16(record + OBJECT_EPOCH, mm_epoch(cpu));
  cpu.mem.write(record + OBJECT_GENERATION, cpu.mem.read(record + OBJECT_GENERATION) + 1);
  cpu.mem.storeRelease(record + OBJECT_STATE, OBJECT_LIVE);
  return p;
}

/** Frees what kmalloc returned; 0 is ignored. A pointer that is not a live object is reported and left alone. */
export function kfree(cpu: Cpu, p: number): void {
  if (p === 0 || p === ZERO_SIZE_PTR) return;
  const site = caller_site(cpu);
  const head = virt_to_head_page(cpu, p);
  const slab = page_slab(cpu, head);
  if (slab === 0) {
    kfree_large(cpu, head, p, site);
    return;
  }
  const { kasan } = cpu.config;
  // A late loser looks at records that were freed meanwhile: told below as the double free it is, and not here as well.
  if (kasan) kasan_disable_current(cpu);
  const record = record_at(cpu, slab, p);
  const freed = kasan ? OBJECT_QUARANTINED : OBJECT_FREE;
  // Decides which of two racing kfrees owns the free; the loser reports. Also pairs with the storeRelease in
  // hand_out, so the winner sees the whole record.
  const owned =
    record !== 0 && cpu.mem.compareExchange(record + OBJECT_STATE, OBJECT_LIVE, freed) === OBJECT_LIVE;
  if (kasan) kasan_enable_current(cpu);
  if (!owned) {
    report_not_owned(cpu, slab, record, p, site);
    return;
  }
  const cache = slab_cache(cpu, slab);
  const object_size = cpu.mem.read(cache + CACHE_OBJECT_SIZE);
  if (cpu.lockdep && !nothing_lives(cpu, p, object_size)) {
    // Leaked: told, and better than used after free.
    cpu.mem.storeRelease(record + OBJECT_STATE, OBJECT_LIVE);
    return;
  }
  kasan_unpoison(cpu, p, object_size);
  cpu.mem.memset(p, POISON_FREE, object_size);
  kasan_poison(cpu, p, object_size, KASAN_SLAB_FREE);
  cpu.mem.writeOnce(record + OBJECT_FREED_BY, site | (cpu.id << 16));
  spin_lock_irqsave(cpu, cache + CACHE_LOCK);
  slab_put(cpu, cache, record);
  spin_unlock_irqrestore(cpu, cache + CACHE_LOCK);
}

/** The record of the object of `slab` that starts at `p`; 0 when there is none. */
function record_at(cpu: Cpu, slab: SlabPtr, p: number): ObjectPtr {
  const record = slab_object_of(cpu, slab, p);
  return record !== 0 && slab_object_address(cpu, slab, record) === p ? record : NO_RECORD;
}

/** `record` 0: no object of `slab` starts at `p`, or the slab went away during the look. */
function report_not_owned(cpu: Cpu, slab: SlabPtr, record: ObjectPtr, p: number, site: number): void {
  if (record !== 0) {
    report_bad_free(cpu, "double-free", p, site, record);
    return;
  }
  // Pairs with the zone lock of discard_slab: the pages of a slab are free before its records are. Who read poison for
  // records sees that the pages are not the slab's now. Forbidden: a double free told as invalid-free. (Records that
  // are in use again by then cannot be told from its own: the window is small, not closed.)
  cpu.mem.fence();
  report_bad_free(cpu, virt_to_slab(cpu, p) === slab ? "invalid-free" : "double-free", p, site, NO_RECORD);
}

/** Tells of locks held in it, queued works, armed timers. False: RCU has something in it and will come back. */
function nothing_lives(cpu: Cpu, p: number, bytes: number): boolean {
  debug_check_no_locks_freed(cpu, p, bytes);
  return debug_check_no_obj_freed(cpu, p, bytes);
}

/** More than the largest cache holds: pages of its own. */
function kmalloc_large(cpu: Cpu, size: number, gfp: number, site: number): number {
  const nr = Math.ceil(size / PAGE_SIZE);
  const head = alloc_page_run(cpu, nr, EXACT_RUN, gfp, site);
  if (head === 0) return 0;
  const p = page_address(cpu, head);
  page_set_flags(cpu, head, PG_head | PG_large_kmalloc);
  page_set_requested(cpu, head, size);
  if ((gfp & __GFP_ZERO) === 0) cpu.mem.memset(p, POISON_INUSE, nr * PAGE_SIZE);
  kasan_poison(cpu, p + size, nr * PAGE_SIZE - size, KASAN_PAGE_REDZONE);
  return p;
}

/** Is the run `head` (0: none) a large kmalloc object at `p`? */
function is_large_kmalloc(cpu: Cpu, head: PagePtr, p: number): boolean {
  return head !== 0 && (page_flags(cpu, head) & PG_large_kmalloc) !== 0 && page_address(cpu, head) === p;
}

/** kfree of what is in no slab, but in the run `head`; 0: in none. */
function kfree_large(cpu: Cpu, head: PagePtr, p: number, site: number): void {
  if (is_large_kmalloc(cpu, head, p)) {
    const bytes = page_nr_pages(cpu, head) * PAGE_SIZE;
    if (!cpu.lockdep || nothing_lives(cpu, p, bytes)) put_page_run(cpu, head, site);
    return;
  }
  // Pairs with the storeRelease in destroy_compound_run: if the head was a slab's until another kfree freed the object
  // just now, the page is free at this second look. Forbidden: that double free is told as invalid-free.
  cpu.mem.fence();
  // Free pages were an object once; whatever lies outside of them never was.
  const page = virt_to_page(cpu, p);
  const was_object = page !== 0 && page_is_free(cpu, page);
  report_bad_free(cpu, was_object ? "double-free" : "invalid-free", p, site, NO_RECORD);
}

/** The record of the object that starts at `p`; 0 when there is none. */
function object_at(cpu: Cpu, p: number): ObjectPtr {
  const slab = virt_to_slab(cpu, p);
  return slab === 0 ? NO_RECORD : record_at(cpu, slab, p);
}

/** Bytes behind `p`, at least what was asked for; 0 when `p` is not the start of an object. */
export function ksize(cpu: Cpu, p: number): number {
  const record = object_at(cpu, p);
  if (record !== 0) return cpu.mem.read(slab_cache(cpu, slab_of_record(record)) + CACHE_OBJECT_SIZE);
  const head = virt_to_head_page(cpu, p);
  return is_large_kmalloc(cpu, head, p) ? page_nr_pages(cpu, head) * PAGE_SIZE : 0;
}

/** A number that is different for every object that has lived at `p`; 0 when `p` was never one. */
export function kmem_generation(cpu: Cpu, p: number): number {
  const record = object_at(cpu, p);
  if (record !== 0) return cpu.mem.read(record + OBJECT_GENERATION);
  const head = virt_to_head_page(cpu, p);
  return is_large_kmalloc(cpu, head, p) ? page_generation(cpu, head) : 0;
}
