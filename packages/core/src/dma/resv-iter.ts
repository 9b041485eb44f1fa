/**
 * Walking the fences of a reservation object (drivers/dma-buf/dma-resv.c).
 *
 * Locked: yields every entry up to the usage, signaled ones too. Unlocked: yields unsignaled ones with a
 * reference, under RCU; when the list changed, or a fence was dying, it starts over from the first entry, and
 * dma_resv_iter_is_restarted says so: what was gathered so far is void. A fence that is in the object all the
 * while is never missed, because a list only loses entries by becoming another list.
 *
 * Departure from Linux, which compares list pointers only: between two steps a reader holds no list, so the
 * old one may be freed and the new one get its address; then the cursor would go on at an index that means
 * another entry, and skip a fence. Each list carries its number; same address and same number is same list.
 *
 * Interface: dma_resv_iter_begin, first(_unlocked), next(_unlocked) until 0, dma_resv_iter_end. Do not mix
 * locked and unlocked steps on one cursor.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { rcu_read_lock, rcu_read_unlock } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dma_fence_get_rcu, dma_fence_is_signaled, dma_fence_put, type DmaFencePtr } from "./fence.ts";
import {
  dma_resv_entry_fence,
  dma_resv_entry_usage,
  dma_resv_list_entry,
  dma_resv_list_generation,
  dma_resv_list_num,
  type DmaResvListPtr,
} from "./resv-list.ts";
import { dma_resv_assert_held, dma_resv_fences_locked, dma_resv_fences_rcu } from "./resv-lock.ts";

export type DmaResvIterPtr = Ptr<"dma_resv_iter">;

// All owned by the task that iterates.
const OBJ = 0;
const USAGE = 4;
/** The fence a reference is held on (unlocked), or 0. */
const FENCE = 8;
const FENCE_USAGE = 12;
const INDEX = 16;
export const DMA_RESV_ITER_FENCES = 20;
const NUM_FENCES = 24;
const IS_RESTARTED = 28;
const GENERATION = 32;
export const DMA_RESV_ITER_SIZE = 40;

struct_layout("dma_resv_iter", DMA_RESV_ITER_SIZE, [
  ["obj", OBJ, 4],
  ["usage", USAGE, 4],
  ["fence", FENCE, 4],
  ["fence_usage", FENCE_USAGE, 4],
  ["index", INDEX, 4],
  ["fences", DMA_RESV_ITER_FENCES, 4],
  ["num_fences", NUM_FENCES, 4],
  ["is_restarted", IS_RESTARTED, 4],
  ["generation", GENERATION, 4],
]);

/** Starts at `cursor`, on the caller's stack: fences of `usage` and stronger. */
export function dma_resv_iter_begin(cpu: Cpu, cursor: DmaResvIterPtr, obj: number, usage: number): void {
  cpu.mem.write(cursor + OBJ, obj);
  cpu.mem.write(cursor + USAGE, usage);
  cpu.mem.write(cursor + FENCE, 0);
}

/** Ends the walk, at any point of it. */
export function dma_resv_iter_end(cpu: Cpu, cursor: DmaResvIterPtr): void {
  dma_fence_put(cpu, cpu.mem.read(cursor + FENCE) as DmaFencePtr);
}

/** Usage of the fence last yielded. */
export function dma_resv_iter_usage(cpu: Cpu, cursor: DmaResvIterPtr): number {
  return cpu.mem.read(cursor + FENCE_USAGE);
}
/** Was the fence last yielded the first of a walk from the beginning? */
export function dma_resv_iter_is_restarted(cpu: Cpu, cursor: DmaResvIterPtr): boolean {
  return cpu.mem.read(cursor + IS_RESTARTED) !== 0;
}
/** Entries there are in the list being walked: no more fences come before a restart. */
export function dma_resv_iter_num_fences(cpu: Cpu, cursor: DmaResvIterPtr): number {
  return cpu.mem.read(cursor + NUM_FENCES);
}

/** First fence, or 0. Lock held. */
export function dma_resv_iter_first(cpu: Cpu, cursor: DmaResvIterPtr): DmaFencePtr {
  const obj = cpu.mem.read(cursor + OBJ);
  dma_resv_assert_held(cpu, obj);
  cpu.mem.write(cursor + INDEX, 0);
  cpu.mem.write(cursor + DMA_RESV_ITER_FENCES, dma_resv_fences_locked(cpu, obj));
  const fence = dma_resv_iter_next(cpu, cursor);
  cpu.mem.write(cursor + IS_RESTARTED, 1);
  return fence;
}

/** Next fence, or 0. Lock held since dma_resv_iter_first. */
export function dma_resv_iter_next(cpu: Cpu, cursor: DmaResvIterPtr): DmaFencePtr {
  dma_resv_assert_held(cpu, cpu.mem.read(cursor + OBJ));
  cpu.mem.write(cursor + IS_RESTARTED, 0);
  const list = cpu.mem.read(cursor + DMA_RESV_ITER_FENCES) as DmaResvListPtr;
  const num = list === 0 ? 0 : dma_resv_list_num(cpu, list);
  let index = cpu.mem.read(cursor + INDEX);
  let found = 0;
  while (found === 0 && index < num) {
    const entry = dma_resv_list_entry(cpu, list, index++);
    if (dma_resv_entry_usage(entry) <= cpu.mem.read(cursor + USAGE)) found = entry;
  }
  cpu.mem.write(cursor + INDEX, index);
  cpu.mem.write(cursor + FENCE_USAGE, dma_resv_entry_usage(found));
  return dma_resv_entry_fence(found);
}

/** First unsignaled fence, or 0. The cursor holds a reference on it until the next step. */
export function dma_resv_iter_first_unlocked(cpu: Cpu, cursor: DmaResvIterPtr): DmaFencePtr {
  rcu_read_lock(cpu);
  do {
    restart_unlocked(cpu, cursor);
    walk_unlocked(cpu, cursor);
  } while (list_changed(cpu, cursor));
  rcu_read_unlock(cpu);
  return cpu.mem.read(cursor + FENCE) as DmaFencePtr;
}

/** Next unsignaled fence, or 0; may start over. */
export function dma_resv_iter_next_unlocked(cpu: Cpu, cursor: DmaResvIterPtr): DmaFencePtr {
  rcu_read_lock(cpu);
  cpu.mem.write(cursor + IS_RESTARTED, 0);
  let restart = list_changed(cpu, cursor);
  do {
    if (restart) restart_unlocked(cpu, cursor);
    walk_unlocked(cpu, cursor);
    restart = true;
    // Only now is the result good: all that was read came from the list that is still current.
  } while (list_changed(cpu, cursor));
  rcu_read_unlock(cpu);
  return cpu.mem.read(cursor + FENCE) as DmaFencePtr;
}

function list_changed(cpu: Cpu, cursor: DmaResvIterPtr): boolean {
  const list = dma_resv_fences_rcu(cpu, cpu.mem.read(cursor + OBJ));
  if (list !== cpu.mem.read(cursor + DMA_RESV_ITER_FENCES)) return true;
  return list !== 0 && dma_resv_list_generation(cpu, list) !== cpu.mem.read(cursor + GENERATION);
}

function restart_unlocked(cpu: Cpu, cursor: DmaResvIterPtr): void {
  const list = dma_resv_fences_rcu(cpu, cpu.mem.read(cursor + OBJ));
  cpu.mem.write(cursor + INDEX, 0);
  cpu.mem.write(cursor + DMA_RESV_ITER_FENCES, list);
  cpu.mem.write(cursor + NUM_FENCES, list === 0 ? 0 : dma_resv_list_num(cpu, list));
  cpu.mem.write(cursor + GENERATION, list === 0 ? 0 : dma_resv_list_generation(cpu, list));
  cpu.mem.write(cursor + IS_RESTARTED, 1);
}

/** Goes to the next unsignaled fence up to the usage and takes a reference. Read section. */
function walk_unlocked(cpu: Cpu, cursor: DmaResvIterPtr): void {
  dma_fence_put(cpu, cpu.mem.read(cursor + FENCE) as DmaFencePtr);
  cpu.mem.write(cursor + FENCE, 0);
  for (;;) {
    const index = cpu.mem.read(cursor + INDEX);
    if (index >= cpu.mem.read(cursor + NUM_FENCES)) return;
    const list = cpu.mem.read(cursor + DMA_RESV_ITER_FENCES) as DmaResvListPtr;
    const entry = dma_resv_list_entry(cpu, list, index);
    cpu.mem.write(cursor + INDEX, index + 1);
    const fence = dma_fence_get_rcu(cpu, dma_resv_entry_fence(entry));
    if (fence === 0) {
      // It was replaced and is dying: what stands there now was not seen.
      restart_unlocked(cpu, cursor);
      continue;
    }
    const usage = dma_resv_entry_usage(entry);
    if (usage <= cpu.mem.read(cursor + USAGE) && !dma_fence_is_signaled(cpu, fence)) {
      cpu.mem.write(cursor + FENCE, fence);
      cpu.mem.write(cursor + FENCE_USAGE, usage);
      return;
    }
    dma_fence_put(cpu, fence);
  }
}
