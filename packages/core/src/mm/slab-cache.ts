/**
 * The inside of a slab cache: making and giving back slabs, taking and putting objects, the quarantine.
 *
 * Invariants: a slab is on its cache's partial list exactly when it has a free object; at most one slab a
 * cache is empty; an object in the quarantine is in no free list. With KASAN a freed object is reused only
 * after CACHE_QUARANTINE_MAX later ones, or when memory runs out. The records of a slab outlive it until the next
 * one of its cache is discarded.
 *
 * Interface: all with the cache's lock held, but kmem_cache_setup.
 */
import { KASAN_SLAB_REDZONE } from "atomics-sync";
import { kasan_poison } from "../debug/kasan.ts";
import { spin_lock_init } from "../lock/spinlock.ts";
import type { Cpu } from "../sched/cpu.ts";
import { get_order } from "./gfp.ts";
import { INIT_LIST_HEAD, list_add, list_del, list_empty, list_next } from "./list.ts";
import { PAGE_SIZE } from "./memory-map.ts";
import { alloc_page_run, EXACT_RUN, put_page_run } from "./page-alloc.ts";
import {
  page_address,
  page_generation,
  page_set_flags,
  page_set_private,
  PG_head,
  PG_reserved,
  PG_slab,
  virt_to_head_page,
} from "./page.ts";
import {
  CACHE_DISCARDED,
  CACHE_EMPTY_SLABS,
  CACHE_LOCK,
  CACHE_OBJECT_SIZE,
  CACHE_OBJECTS,
  CACHE_ORDER,
  CACHE_PARTIAL,
  CACHE_POISON_CRC,
  CACHE_QUARANTINE_COUNT,
  CACHE_QUARANTINE_HEAD,
  CACHE_QUARANTINE_MAX,
  CACHE_QUARANTINE_TAIL,
  CACHE_STRIDE,
  type KmemCachePtr,
  OBJECT_FREE,
  OBJECT_GENERATION,
  OBJECT_NEXT,
  OBJECT_STATE,
  type ObjectPtr,
  POISON_CHECKED,
  POISON_FREE,
  SLAB_BASE,
  SLAB_CACHE,
  SLAB_FREELIST,
  SLAB_INUSE,
  SLAB_LIST,
  SLAB_MAX_OBJECTS,
  slab_of_record,
  slab_record,
  type SlabPtr,
} from "./slab-meta.ts";
import { check_object_poison } from "./slab-report.ts";

/** Bytes of redzone behind each object at least. */
const REDZONE = 32;
const MAX_SLAB_ORDER = 3;
/** A slab is made large enough for this many objects, up to MAX_SLAB_ORDER. */
const WANTED_OBJECTS = 128;
/** The quarantine of one cache holds this part of RAM at most. */
const QUARANTINE_PART = 128;
const QUARANTINE_MIN = 8;

/** Alignment of objects: the largest power of two in the size, at most 128. */
function object_align(size: number): number {
  return Math.min(size & -size, 128);
}

export function kmem_cache_setup(cpu: Cpu, cache: KmemCachePtr, size: number): void {
  const align = object_align(size);
  const stride = cpu.config.kasan ? Math.ceil((size + REDZONE) / align) * align : size;
  const order = Math.min(MAX_SLAB_ORDER, get_order(stride * WANTED_OBJECTS));
  const { mem } = cpu;
  mem.write(cache + CACHE_OBJECT_SIZE, size);
  mem.write(cache + CACHE_STRIDE, stride);
  mem.write(cache + CACHE_ORDER, order);
  mem.write(cache + CACHE_OBJECTS, Math.min(SLAB_MAX_OBJECTS, Math.floor((PAGE_SIZE << order) / stride)));
  const quarantine = Math.floor(cpu.config.ram / QUARANTINE_PART / stride);
  mem.write(cache + CACHE_QUARANTINE_MAX, Math.max(QUARANTINE_MIN, quarantine));
  spin_lock_init(cpu, cache + CACHE_LOCK);
  INIT_LIST_HEAD(cpu, cache + CACHE_PARTIAL);
}

/** Adds to a word the lock guards. */
function bump(cpu: Cpu, word: number, change: number): number {
  const value = cpu.mem.read(word) + change;
  cpu.mem.write(word, value);
  return value;
}

/** Takes a free object; 0 when there is no memory. */
export function slab_take(cpu: Cpu, cache: KmemCachePtr, gfp: number, site: number): ObjectPtr {
  if (list_empty(cpu, cache + CACHE_PARTIAL) && new_slab(cpu, cache, gfp, site) === 0) {
    quarantine_reduce(cpu, cache, 0);
    if (list_empty(cpu, cache + CACHE_PARTIAL)) return 0 as ObjectPtr;
  }
  const slab = (list_next(cpu, cache + CACHE_PARTIAL) - SLAB_LIST) as SlabPtr;
  const record = cpu.mem.read(slab + SLAB_FREELIST) as ObjectPtr;
  const next = cpu.mem.read(record + OBJECT_NEXT);
  cpu.mem.write(slab + SLAB_FREELIST, next);
  if (next === 0) list_del(cpu, slab + SLAB_LIST);
  if (bump(cpu, slab + SLAB_INUSE, 1) === 1) bump(cpu, cache + CACHE_EMPTY_SLABS, -1);
  return record;
}

/** Takes back an object that is no longer live: at once, or through the quarantine. */
export function slab_put(cpu: Cpu, cache: KmemCachePtr, record: ObjectPtr): void {
  if (!cpu.config.kasan) {
    free_to_slab(cpu, cache, record);
    return;
  }
  const tail = cpu.mem.read(cache + CACHE_QUARANTINE_TAIL);
  cpu.mem.write(record + OBJECT_NEXT, 0);
  cpu.mem.write(tail === 0 ? cache + CACHE_QUARANTINE_HEAD : tail + OBJECT_NEXT, record);
  cpu.mem.write(cache + CACHE_QUARANTINE_TAIL, record);
  bump(cpu, cache + CACHE_QUARANTINE_COUNT, 1);
  quarantine_reduce(cpu, cache, cpu.mem.read(cache + CACHE_QUARANTINE_MAX));
}

/** Lets the oldest objects go until `keep` are left. */
function quarantine_reduce(cpu: Cpu, cache: KmemCachePtr, keep: number): void {
  while (cpu.mem.read(cache + CACHE_QUARANTINE_COUNT) > keep) {
    const record = cpu.mem.read(cache + CACHE_QUARANTINE_HEAD) as ObjectPtr;
    const next = cpu.mem.read(record + OBJECT_NEXT);
    cpu.mem.write(cache + CACHE_QUARANTINE_HEAD, next);
    if (next === 0) cpu.mem.write(cache + CACHE_QUARANTINE_TAIL, 0);
    bump(cpu, cache + CACHE_QUARANTINE_COUNT, -1);
    cpu.mem.storeRelease(record + OBJECT_STATE, OBJECT_FREE);
    free_to_slab(cpu, cache, record);
  }
}

/** Puts an object first in line for reuse. */
function free_to_slab(cpu: Cpu, cache: KmemCachePtr, record: ObjectPtr): void {
  const slab = slab_of_record(record);
  const freelist = cpu.mem.read(slab + SLAB_FREELIST);
  cpu.mem.write(record + OBJECT_NEXT, freelist);
  cpu.mem.write(slab + SLAB_FREELIST, record);
  if (freelist !== 0) list_del(cpu, slab + SLAB_LIST);
  list_add(cpu, slab + SLAB_LIST, cache + CACHE_PARTIAL);
  if (bump(cpu, slab + SLAB_INUSE, -1) > 0) return;
  // One empty slab is kept, so that a cache used by one object does not make and give back slabs all day.
  if (bump(cpu, cache + CACHE_EMPTY_SLABS, 1) > 1) discard_slab(cpu, cache, slab);
}

/** Makes a slab and puts it on the partial list; 0 when there are no pages. */
function new_slab(cpu: Cpu, cache: KmemCachePtr, gfp: number, site: number): SlabPtr {
  const pages = alloc_page_run(cpu, 2 ** cpu.mem.read(cache + CACHE_ORDER), EXACT_RUN, gfp, site);
  if (pages === 0) return 0 as SlabPtr;
  const records = alloc_page_run(cpu, 1, EXACT_RUN, gfp, site);
  if (records === 0) {
    put_page_run(cpu, pages, site);
    return 0 as SlabPtr;
  }
  const slab = page_address(cpu, records) as SlabPtr;
  const base = page_address(cpu, pages);
  const bytes = PAGE_SIZE << cpu.mem.read(cache + CACHE_ORDER);
  page_set_flags(cpu, records, PG_head | PG_reserved);
  cpu.mem.memset(slab, 0, PAGE_SIZE);
  cpu.mem.write(slab + SLAB_CACHE, cache);
  cpu.mem.write(slab + SLAB_BASE, base);
  page_set_private(cpu, pages, slab);
  page_set_flags(cpu, pages, PG_head | PG_slab);
  cpu.mem.memset(base, POISON_FREE, bytes);
  // Once: later readers hold no lock.
  if (cpu.mem.read(cache + CACHE_POISON_CRC) === 0) {
    const checked = Math.min(POISON_CHECKED, cpu.mem.read(cache + CACHE_OBJECT_SIZE));
    cpu.mem.write(cache + CACHE_POISON_CRC, cpu.mem.crc32c(base, checked));
  }
  kasan_poison(cpu, base, bytes, KASAN_SLAB_REDZONE);
  link_records(cpu, cache, slab, page_generation(cpu, pages) << 12);
  list_add(cpu, slab + SLAB_LIST, cache + CACHE_PARTIAL);
  bump(cpu, cache + CACHE_EMPTY_SLABS, 1);
  return slab;
}

/** Makes all objects free, the first one first in line. Generations go on where the pages' last life cannot be. */
function link_records(cpu: Cpu, cache: KmemCachePtr, slab: SlabPtr, generation: number): void {
  let next = 0;
  for (let i = cpu.mem.read(cache + CACHE_OBJECTS) - 1; i >= 0; i--) {
    const record = slab_record(slab, i);
    cpu.mem.write(record + OBJECT_NEXT, next);
    cpu.mem.write(record + OBJECT_GENERATION, generation);
    next = record;
  }
  cpu.mem.write(slab + SLAB_FREELIST, next);
}

/** Gives the pages of an empty slab back, after a last look at its objects. */
function discard_slab(cpu: Cpu, cache: KmemCachePtr, slab: SlabPtr): void {
  const base = cpu.mem.read(slab + SLAB_BASE);
  for (let i = cpu.mem.read(cache + CACHE_OBJECTS) - 1; i >= 0; i--) {
    check_object_poison(cpu, slab, slab_record(slab, i));
  }
  list_del(cpu, slab + SLAB_LIST);
  bump(cpu, cache + CACHE_EMPTY_SLABS, -1);
  put_page_run(cpu, virt_to_head_page(cpu, base), 0);
  // A second kfree of the last object may be on its way to the record: it has to find it there, and FREE. Forbidden: it
  // takes poison, or what the page is next, for a record. One later than a further discard looks again in kfree.
  const last = cpu.mem.read(cache + CACHE_DISCARDED);
  cpu.mem.write(cache + CACHE_DISCARDED, slab);
  if (last !== 0) put_page_run(cpu, virt_to_head_page(cpu, last), 0);
}
