/**
 * struct vram_buf: a buffer of whole pages, and its placement, a table that says where they are: in VRAM or in
 * system memory.
 *
 * A placement is switched by the holder of the reservation, or, while a move fence is pending, by the mover
 * that owns that fence; never by two at a time. Who looks at the table holds it still in one of two ways: a CPU
 * access of the user by a vram_user section (vram-user.ts); map_dma_buf by vram_placement_get, because an
 * importer that did not wait for a move fence must get stale pages and not break the kernel.
 *
 * Interface: placements are made by vram_place, and switched by vram_relocate; the rest is accessors.
 */
import type { Ptr } from "atomics-sync";
import { kernel_static } from "../../debug/image.ts";
import { struct_layout } from "../../debug/layout.ts";
import { PAGE_SIZE } from "../../mm/memory-map.ts";
import { spin_lock, spin_unlock } from "../../lock/spinlock.ts";
import { alloc_pages_exact, free_pages_exact, get_page, put_page } from "../../mm/page-alloc.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../../mm/slab.ts";
import { refcount_dec_and_test, refcount_inc, refcount_set } from "../../ref/refcount.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { WAIT_QUEUE_HEAD_SIZE } from "../../sched/wait.ts";
import { type DmaBufPtr, dma_buf_resv } from "../buf.ts";
import type { DmaResvPtr } from "../resv.ts";
import { vram_page_alloc, vram_page_free } from "./vram-pages.ts";
import { vram_user_exclude, vram_user_include } from "./vram-user.ts";

export type VramBufPtr = Ptr<"vram_buf">;
/** A table of page addresses. */
export type PlacementPtr = Ptr<"vram_placement">;

export const TTM_PL_SYSTEM = 0;
export const TTM_PL_VRAM = 2;

// Constant after vram_create:
export const VRAM_DMABUF = 0;
export const VRAM_NR_PAGES = 4;
export const VRAM_FENCE_CTX = 8;
// The pointer is guarded by VRAM_LOCK. Switched by one mover at a time, see the head.
const PLACEMENT = 16;
// Guarded by the reservation lock:
export const VRAM_FENCE_SEQ = 20;
export const VRAM_PIN_COUNT = 24;
// Atomic: moves whose fence is not signaled. Set under the reservation lock, cleared by the mover.
export const VRAM_MOVES_PENDING = 28;
// Atomic: map_dma_buf waits while it is 1. Its waiters:
export const VRAM_BLOCKED = 32;
export const VRAM_WAITQ = 36;
export const VRAM_LOCK = 48;
/** Where the current placement is: TTM_PL_*. Written with PLACEMENT. */
const RESIDENCE = 52;
/** struct vram_user: the words of CPU accesses. */
export const VRAM_USER = 128;
export const VRAM_BUF_SIZE = 256;

// struct vram_placement. Constant once it is in a buffer:
const KIND = 0;
/** Base of the system pages, one run; 0 in VRAM. */
const RUN = 4;
/** Of the table, not of the pages: the buffer, and who builds a mapping from it. */
const REFS = 8;
const PAGES = 12;

struct_layout("vram_buf", VRAM_BUF_SIZE, [
  ["dmabuf", VRAM_DMABUF, 4],
  ["nr_pages", VRAM_NR_PAGES, 4],
  ["fence_context", VRAM_FENCE_CTX, 8],
  ["placement", PLACEMENT, 4],
  ["fence_seqno", VRAM_FENCE_SEQ, 4],
  ["pin_count", VRAM_PIN_COUNT, 4],
  ["moves_pending", VRAM_MOVES_PENDING, 4],
  ["blocked", VRAM_BLOCKED, 4],
  ["waitq", VRAM_WAITQ, WAIT_QUEUE_HEAD_SIZE],
  ["lock", VRAM_LOCK, 4],
  ["residence", RESIDENCE, 4],
  ["user", VRAM_USER, 128],
]);

export const VRAM_EVICTIONS = 0;
export const VRAM_MOVES = 4;
export const VRAM_INVALIDATIONS = 8;
const COUNTERS = kernel_static("vram_counters", 12);

export interface VramCounters {
  /** Moves out of VRAM. */
  readonly evictions: number;
  /** All other moves. */
  readonly moves: number;
  readonly invalidations: number;
}

/** Counts one VRAM_EVICTIONS, VRAM_MOVES or VRAM_INVALIDATIONS. */
export function vram_count(cpu: Cpu, counter: number): void {
  cpu.mem.fetchAdd(COUNTERS + counter, 1);
}

export function vram_counters(cpu: Cpu): VramCounters {
  return {
    evictions: cpu.mem.readOnce(COUNTERS + VRAM_EVICTIONS),
    moves: cpu.mem.readOnce(COUNTERS + VRAM_MOVES),
    invalidations: cpu.mem.readOnce(COUNTERS + VRAM_INVALIDATIONS),
  };
}

export function vram_dmabuf(cpu: Cpu, buf: VramBufPtr): DmaBufPtr {
  return cpu.mem.read(buf + VRAM_DMABUF) as DmaBufPtr;
}
export function vram_resv(cpu: Cpu, buf: VramBufPtr): DmaResvPtr {
  return dma_buf_resv(cpu, vram_dmabuf(cpu, buf));
}
export function vram_nr_pages(cpu: Cpu, buf: VramBufPtr): number {
  return cpu.mem.read(buf + VRAM_NR_PAGES);
}
/** TTM_PL_VRAM or TTM_PL_SYSTEM. A racy look while a move is under way. */
export function vram_residence(cpu: Cpu, buf: VramBufPtr): number {
  return cpu.mem.readOnce(buf + RESIDENCE);
}
/** Address of page `index`. The caller is in a vram_user section, or nobody else knows the buffer. */
export function vram_page(cpu: Cpu, buf: VramBufPtr, index: number): number {
  return cpu.mem.read(cpu.mem.read(buf + PLACEMENT) + PAGES + 4 * index);
}
/** Address of the first of the page addresses. */
export function vram_placement_pages(placement: PlacementPtr): number {
  return placement + PAGES;
}

/** Makes `placement` the buffer's; returns the one before, or 0. */
export function vram_switch(cpu: Cpu, buf: VramBufPtr, placement: PlacementPtr): PlacementPtr {
  spin_lock(cpu, buf + VRAM_LOCK);
  const before = cpu.mem.read(buf + PLACEMENT) as PlacementPtr;
  cpu.mem.write(buf + PLACEMENT, placement);
  if (placement !== 0) cpu.mem.writeOnce(buf + RESIDENCE, cpu.mem.read(placement + KIND));
  spin_unlock(cpu, buf + VRAM_LOCK);
  return before;
}

/**
 * The current placement with a reference on the table, and on the pages if they are system memory: those may
 * be given to anybody when the buffer leaves them. Pages of VRAM are not held; they get poisoned.
 */
export function vram_placement_get(cpu: Cpu, buf: VramBufPtr): PlacementPtr {
  spin_lock(cpu, buf + VRAM_LOCK);
  const placement = cpu.mem.read(buf + PLACEMENT) as PlacementPtr;
  refcount_inc(cpu, placement + REFS);
  const run = cpu.mem.read(placement + RUN);
  if (run !== 0) get_page(cpu, run);
  spin_unlock(cpu, buf + VRAM_LOCK);
  return placement;
}

/** Drops the reference on the table. */
export function vram_placement_put(cpu: Cpu, placement: PlacementPtr): void {
  if (refcount_dec_and_test(cpu, placement + REFS)) kfree(cpu, placement);
}

/** Drops the reference on the pages, one of which is at `page`. */
export function vram_pages_put(cpu: Cpu, page: number): void {
  if (page < cpu.map.vram || page >= cpu.map.vram_end) put_page(cpu, page);
}

/** `nr` pages of one kind; 0 when there are not so many. */
export function vram_place(cpu: Cpu, nr: number, kind: number): PlacementPtr {
  const placement = kmalloc(cpu, PAGES + 4 * nr, GFP_KERNEL) as PlacementPtr;
  if (placement === 0) return placement;
  cpu.mem.write(placement + KIND, kind);
  cpu.mem.write(placement + RUN, 0);
  refcount_set(cpu, placement + REFS, 1);
  const placed =
    kind === TTM_PL_VRAM ? place_in_vram(cpu, placement, nr) : place_in_system(cpu, placement, nr);
  if (placed) return placement;
  kfree(cpu, placement);
  return 0 as PlacementPtr;
}

function place_in_vram(cpu: Cpu, placement: PlacementPtr, nr: number): boolean {
  for (let i = 0; i < nr; i++) {
    const page = vram_page_alloc(cpu);
    if (page === 0) {
      free_vram_pages(cpu, placement, i);
      return false;
    }
    cpu.mem.write(placement + PAGES + 4 * i, page);
  }
  return true;
}

function place_in_system(cpu: Cpu, placement: PlacementPtr, nr: number): boolean {
  const run = alloc_pages_exact(cpu, nr * PAGE_SIZE, GFP_KERNEL);
  if (run === 0) return false;
  cpu.mem.write(placement + RUN, run);
  for (let i = 0; i < nr; i++) cpu.mem.write(placement + PAGES + 4 * i, run + i * PAGE_SIZE);
  return true;
}

function free_vram_pages(cpu: Cpu, placement: PlacementPtr, nr: number): void {
  for (let i = nr - 1; i >= 0; i--) vram_page_free(cpu, cpu.mem.read(placement + PAGES + 4 * i));
}

/** The buffer lets go of the pages, which are poisoned, and of the table. */
export function vram_unplace(cpu: Cpu, placement: PlacementPtr, nr: number): void {
  const run = cpu.mem.read(placement + RUN);
  if (run === 0) free_vram_pages(cpu, placement, nr);
  else free_pages_exact(cpu, run, nr * PAGE_SIZE);
  vram_placement_put(cpu, placement);
}

/**
 * Moves the contents to `target` and makes it the buffer's placement; lets go of the old one. No device uses
 * the old pages any more, and no other mover is at work (see the head of this file).
 */
export function vram_relocate(cpu: Cpu, buf: VramBufPtr, target: PlacementPtr): void {
  const nr = vram_nr_pages(cpu, buf);
  vram_user_exclude(cpu, buf + VRAM_USER);
  for (let i = 0; i < nr; i++) {
    cpu.mem.memcpy(cpu.mem.read(target + PAGES + 4 * i), vram_page(cpu, buf, i), PAGE_SIZE);
  }
  const source = vram_switch(cpu, buf, target);
  vram_user_include(cpu, buf + VRAM_USER);
  const evicted =
    cpu.mem.read(source + KIND) === TTM_PL_VRAM && cpu.mem.read(target + KIND) === TTM_PL_SYSTEM;
  vram_count(cpu, evicted ? VRAM_EVICTIONS : VRAM_MOVES);
  vram_unplace(cpu, source, nr);
}
