/**
 * struct dma_resv_list (drivers/dma-buf/dma-resv.c): the array of fences of a reservation object, published
 * under RCU. An entry is a fence address with its usage in the two low bits.
 *
 * Changed under the reservation lock: entries in place, then the count; a longer array is a new list.
 * GENERATION is not in the kernel: see resv-iter.ts.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { GFP_KERNEL, kmalloc } from "../mm/slab.ts";
import { kfree_rcu } from "../rcu/kfree-rcu.ts";
import { RCU_HEAD_SIZE } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { type DmaFencePtr, dma_fence_put } from "./fence.ts";

export type DmaResvListPtr = Ptr<"dma_resv_list">;

const RCU = 0;
/** Entries in use. Written under the lock, after the entry it covers. */
const NUM_FENCES = RCU_HEAD_SIZE;
/** Entries there is room for; no more than NUM_FENCES while unlocked. Guarded by the lock. */
const MAX_FENCES = NUM_FENCES + 4;
/** Constant. */
const GENERATION = NUM_FENCES + 8;
/** Entries; RCU pointers. */
const TABLE = NUM_FENCES + 12;
const HEADER_SIZE = TABLE;

const USAGE_MASK = 3;

struct_layout("dma_resv_list", HEADER_SIZE, [
  ["rcu", RCU, RCU_HEAD_SIZE],
  ["num_fences", NUM_FENCES, 4],
  ["max_fences", MAX_FENCES, 4],
  ["generation", GENERATION, 4],
]);

/** An empty list with room for `max` entries, or 0. */
export function dma_resv_list_alloc(cpu: Cpu, max: number, generation: number): DmaResvListPtr {
  const list = kmalloc(cpu, HEADER_SIZE + max * 4, GFP_KERNEL) as DmaResvListPtr;
  if (list === 0) return list;
  cpu.mem.write(list + NUM_FENCES, 0);
  cpu.mem.write(list + MAX_FENCES, max);
  cpu.mem.write(list + GENERATION, generation);
  return list;
}

/** Drops all fences, and the list after a grace period. */
export function dma_resv_list_free(cpu: Cpu, list: DmaResvListPtr): void {
  if (list === 0) return;
  const num = cpu.mem.read(list + NUM_FENCES);
  for (let i = 0; i < num; i++) {
    dma_fence_put(cpu, dma_resv_entry_fence(cpu.mem.read(list + TABLE + i * 4)));
  }
  dma_resv_list_free_rcu(cpu, list);
}

/** Frees the list alone, after a grace period. */
export function dma_resv_list_free_rcu(cpu: Cpu, list: DmaResvListPtr): void {
  kfree_rcu(cpu, list, RCU);
}

/** Entry `i`, for readers too: its fence is initialised as seen through it. */
export function dma_resv_list_entry(cpu: Cpu, list: DmaResvListPtr, i: number): number {
  return cpu.mem.loadAcquire(list + TABLE + i * 4);
}

export function dma_resv_entry_fence(entry: number): DmaFencePtr {
  return (entry & ~USAGE_MASK) as DmaFencePtr;
}
export function dma_resv_entry_usage(entry: number): number {
  return entry & USAGE_MASK;
}

/** Publishes `fence` with `usage` as entry `i`; pairs with the loadAcquire in dma_resv_list_entry. */
export function dma_resv_list_set(
  cpu: Cpu,
  list: DmaResvListPtr,
  i: number,
  fence: DmaFencePtr,
  usage: number,
): void {
  cpu.mem.storeRelease(list + TABLE + i * 4, fence | usage);
}

export function dma_resv_list_num(cpu: Cpu, list: DmaResvListPtr): number {
  // Pairs with the storeRelease below: every entry it covers is written.
  return cpu.mem.loadAcquire(list + NUM_FENCES);
}
export function dma_resv_list_set_num(cpu: Cpu, list: DmaResvListPtr, num: number): void {
  cpu.mem.storeRelease(list + NUM_FENCES, num);
}
export function dma_resv_list_max(cpu: Cpu, list: DmaResvListPtr): number {
  return cpu.mem.read(list + MAX_FENCES);
}
export function dma_resv_list_generation(cpu: Cpu, list: DmaResvListPtr): number {
  return cpu.mem.read(list + GENERATION);
}

/** dma_resv_reset_max_fences: reserved entries do not survive an unlock. */
export function dma_resv_list_forget_reserved(cpu: Cpu, list: DmaResvListPtr): void {
  if (list !== 0) cpu.mem.write(list + MAX_FENCES, cpu.mem.read(list + NUM_FENCES));
}
