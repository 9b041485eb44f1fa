/**
 * The slab's own structs: caches, slabs and out-of-line object metadata, apart from the objects so that a
 * stray write into an object cannot reach them.
 *
 * Interface: slab.ts owns the state changes; reports read. `slab_object_of` finds the object at an address.
 * Who may write: lists and counts under the cache's lock; an object's record by whoever holds the object
 * (LIVE: its owner; FREE: the lock; the change of STATE decides who that is).
 */
import type { Ptr } from "atomics-sync";
import { kernel_static } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";
import { PAGE_SIZE } from "./memory-map.ts";
import { page_private, page_flags, type PagePtr, PG_slab, virt_to_head_page } from "./page.ts";

export type KmemCachePtr = Ptr<"kmem_cache">;
export type SlabPtr = Ptr<"slab">;
/** Record of one object. */
export type ObjectPtr = Ptr<"slab_object">;

export const KMALLOC_SIZES: readonly number[] = [32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096];
export const KMALLOC_MAX_CACHE_SIZE = 4096;
/** What freed objects are filled with (include/linux/poison.h). */
export const POISON_FREE = 0x6b;
/** Bytes of a free object that are compared with the poison when it is handed out. */
export const POISON_CHECKED = 512;

// kmem_cache. Constant after boot:
export const CACHE_OBJECT_SIZE = 0;
/** Distance of two objects: size and redzone. */
export const CACHE_STRIDE = 4;
export const CACHE_ORDER = 8;
export const CACHE_OBJECTS = 12;
/** CRC of the checked part of a poisoned object. */
export const CACHE_POISON_CRC = 16;
export const CACHE_QUARANTINE_MAX = 20;
// Guarded by the lock:
export const CACHE_LOCK = 24;
/** Slabs with free objects, the one last freed to first. */
export const CACHE_PARTIAL = 28;
export const CACHE_EMPTY_SLABS = 36;
/** FIFO of quarantined objects. */
export const CACHE_QUARANTINE_HEAD = 40;
export const CACHE_QUARANTINE_TAIL = 44;
export const CACHE_QUARANTINE_COUNT = 48;
/** The slab discarded last, whose records are still there; 0 before the first. */
export const CACHE_DISCARDED = 52;
export const KMEM_CACHE_SIZE = 128;

struct_layout("kmem_cache", KMEM_CACHE_SIZE, [
  ["object_size", CACHE_OBJECT_SIZE, 4],
  ["size", CACHE_STRIDE, 4],
  ["order", CACHE_ORDER, 4],
  ["objects", CACHE_OBJECTS, 4],
  ["poison_crc", CACHE_POISON_CRC, 4],
  ["quarantine_max", CACHE_QUARANTINE_MAX, 4],
  ["lock", CACHE_LOCK, 4],
  ["partial", CACHE_PARTIAL, 8],
  ["empty_slabs", CACHE_EMPTY_SLABS, 4],
  ["quarantine_head", CACHE_QUARANTINE_HEAD, 4],
  ["quarantine_tail", CACHE_QUARANTINE_TAIL, 4],
  ["quarantine_count", CACHE_QUARANTINE_COUNT, 4],
  ["discarded", CACHE_DISCARDED, 4],
]);

const CACHES = kernel_static("kmalloc_caches", KMALLOC_SIZES.length * KMEM_CACHE_SIZE);

// slab. Constant while its page is:
export const SLAB_CACHE = 0;
/** Address of the first object. */
export const SLAB_BASE = 4;
// Guarded by the cache's lock:
export const SLAB_LIST = 8;
/** Records of free objects, linked by OBJECT_NEXT; the last freed first. */
export const SLAB_FREELIST = 16;
/** Live and quarantined objects. */
export const SLAB_INUSE = 20;
/** Records follow. */
export const SLAB_SIZE = 64;

struct_layout("slab", SLAB_SIZE, [
  ["slab_cache", SLAB_CACHE, 4],
  ["base", SLAB_BASE, 4],
  ["slab_list", SLAB_LIST, 8],
  ["freelist", SLAB_FREELIST, 4],
  ["inuse", SLAB_INUSE, 4],
]);

export const OBJECT_FREE = 0;
export const OBJECT_LIVE = 1;
export const OBJECT_QUARANTINED = 2;

// slab_object
export const OBJECT_NEXT = 0;
/** Atomic: the compareExchange LIVE -> FREE or QUARANTINED decides which kfree wins. */
export const OBJECT_STATE = 4;
export const OBJECT_GENERATION = 8;
export const OBJECT_ALLOC_SITE = 12;
export const OBJECT_ALLOC_CPU = 14;
export const OBJECT_REQUESTED = 16;
export const OBJECT_EPOCH = 18;
/** Site and, in the upper half, CPU of the last kfree. ONCE: who frees it a second time reports it at once. */
export const OBJECT_FREED_BY = 20;
export const OBJECT_RECORD_SIZE = 24;
/** Records that fit behind a struct slab in one page. */
export const SLAB_MAX_OBJECTS: number = Math.floor((PAGE_SIZE - SLAB_SIZE) / OBJECT_RECORD_SIZE);

struct_layout("slab_object", OBJECT_RECORD_SIZE, [
  ["next", OBJECT_NEXT, 4],
  ["state", OBJECT_STATE, 4],
  ["generation", OBJECT_GENERATION, 4],
  ["alloc_site", OBJECT_ALLOC_SITE, 2],
  ["alloc_cpu", OBJECT_ALLOC_CPU, 2],
  ["requested", OBJECT_REQUESTED, 2],
  ["epoch", OBJECT_EPOCH, 2],
  ["freed_by", OBJECT_FREED_BY, 4],
]);

export function kmem_cache_at(index: number): KmemCachePtr {
  return (CACHES + index * KMEM_CACHE_SIZE) as KmemCachePtr;
}

/** The cache for `size` bytes, at most KMALLOC_MAX_CACHE_SIZE (kmalloc_slab()). */
export function kmalloc_slab(size: number): KmemCachePtr {
  let index = 0;
  while ((KMALLOC_SIZES[index] as number) < size) index++;
  return kmem_cache_at(index);
}

/** The slab whose pages contain `addr`; 0 when those are not a slab's. */
export function virt_to_slab(cpu: Cpu, addr: number): SlabPtr {
  return page_slab(cpu, virt_to_head_page(cpu, addr));
}

/** The slab of a run of pages; 0 when they are not a slab's. `head` may be 0. */
export function page_slab(cpu: Cpu, head: PagePtr): SlabPtr {
  if (head === 0 || (page_flags(cpu, head) & PG_slab) === 0) return 0 as SlabPtr;
  return page_private(cpu, head) as SlabPtr;
}

export function slab_cache(cpu: Cpu, slab: SlabPtr): KmemCachePtr {
  return cpu.mem.read(slab + SLAB_CACHE) as KmemCachePtr;
}

export function slab_record(slab: SlabPtr, index: number): ObjectPtr {
  return (slab + SLAB_SIZE + index * OBJECT_RECORD_SIZE) as ObjectPtr;
}

/** The record of the object (or its redzone) at `addr`; 0 when it is not among the objects of `slab`. */
export function slab_object_of(cpu: Cpu, slab: SlabPtr, addr: number): ObjectPtr {
  const cache = slab_cache(cpu, slab);
  const offset = addr - cpu.mem.read(slab + SLAB_BASE);
  const index = Math.floor(offset / cpu.mem.read(cache + CACHE_STRIDE));
  const is_object = index >= 0 && index < cpu.mem.read(cache + CACHE_OBJECTS);
  return is_object ? slab_record(slab, index) : (0 as ObjectPtr);
}

/** A slab's struct and records fill one page, so the record's page starts with the slab. */
export function slab_of_record(record: ObjectPtr): SlabPtr {
  return (record & ~(PAGE_SIZE - 1)) as SlabPtr;
}

/** Address of the object a record is about. */
export function slab_object_address(cpu: Cpu, slab: SlabPtr, record: ObjectPtr): number {
  const index = (record - slab - SLAB_SIZE) / OBJECT_RECORD_SIZE;
  return cpu.mem.read(slab + SLAB_BASE) + index * cpu.mem.read(slab_cache(cpu, slab) + CACHE_STRIDE);
}
