/**
 * Adding fences to a reservation object (drivers/dma-buf/dma-resv.c). All verbs need the lock. The contract
 * is in resv.ts.
 */
import { EINVAL, ENOMEM } from "../debug/errno.ts";
import { FAULT_RESERVE_FENCES, should_fail } from "../debug/fault-inject.ts";
import { BUG_ON, WARN_ON } from "../debug/warn.ts";
import { rcu_assign_pointer } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dma_fence_is_container } from "./fence-array.ts";
import {
  dma_fence_context,
  dma_fence_get,
  dma_fence_is_later_or_same,
  dma_fence_is_signaled,
  dma_fence_put,
  type DmaFencePtr,
} from "./fence.ts";
import {
  dma_resv_entry_fence,
  dma_resv_entry_usage,
  dma_resv_list_alloc,
  dma_resv_list_entry,
  dma_resv_list_free_rcu,
  dma_resv_list_max,
  dma_resv_list_num,
  dma_resv_list_set,
  dma_resv_list_set_num,
  type DmaResvListPtr,
} from "./resv-list.ts";
import {
  DMA_RESV_FENCES,
  DMA_RESV_GENERATION,
  dma_resv_assert_held,
  dma_resv_fences_locked,
  type DmaResvPtr,
} from "./resv-lock.ts";

/** Smallest list. */
const MIN_FENCES = 4;

/**
 * Makes room for `num` more fences. 0, or -ENOMEM: then nothing has changed. The room lasts until the unlock.
 * May sleep for memory.
 */
export function dma_resv_reserve_fences(cpu: Cpu, obj: DmaResvPtr, num: number): number {
  dma_resv_assert_held(cpu, obj);
  if (WARN_ON(cpu, num === 0)) return -EINVAL;
  if (should_fail(cpu, FAULT_RESERVE_FENCES)) return -ENOMEM;
  const old = dma_resv_fences_locked(cpu, obj);
  const max = old === 0 ? 0 : dma_resv_list_max(cpu, old);
  const used = old === 0 ? 0 : dma_resv_list_num(cpu, old);
  if (max !== 0 && used + num <= max) return 0;
  const room = max !== 0 ? Math.max(used + num, max * 2) : Math.max(MIN_FENCES, roundup_pow_of_two(num));
  const list = dma_resv_list_alloc(cpu, room, dma_resv_next_generation(cpu, obj));
  if (list === 0) return -ENOMEM;
  const dropped = move_unsignaled(cpu, old, used, list, room);
  // Pairs with dma_resv_fences_rcu: a reader sees the entries.
  rcu_assign_pointer(cpu, obj + DMA_RESV_FENCES, list);
  if (old === 0) return 0;
  for (let i = dropped; i < room; i++) {
    dma_fence_put(cpu, dma_resv_entry_fence(dma_resv_list_entry(cpu, list, i)));
  }
  dma_resv_list_free_rcu(cpu, old);
  return 0;
}

/** Number of the next list of `obj`. Lock held. */
export function dma_resv_next_generation(cpu: Cpu, obj: DmaResvPtr): number {
  const generation = cpu.mem.read(obj + DMA_RESV_GENERATION) + 1;
  cpu.mem.write(obj + DMA_RESV_GENERATION, generation);
  return generation;
}

/**
 * Copies the entries of `old`: those still unsignaled to the front, the others to the end, past the count,
 * where nobody looks. Returns where the others begin. Each is asked once: it may signal any time.
 */
function move_unsignaled(
  cpu: Cpu,
  old: DmaResvListPtr,
  used: number,
  list: DmaResvListPtr,
  room: number,
): number {
  let kept = 0;
  let dropped = room;
  for (let i = 0; i < used; i++) {
    const entry = dma_resv_list_entry(cpu, old, i);
    const fence = dma_resv_entry_fence(entry);
    const at = dma_fence_is_signaled(cpu, fence) ? --dropped : kept++;
    dma_resv_list_set(cpu, list, at, fence, dma_resv_entry_usage(entry));
  }
  dma_resv_list_set_num(cpu, list, kept);
  return dropped;
}

function roundup_pow_of_two(n: number): number {
  let power = 1;
  while (power < n) power *= 2;
  return power;
}

/**
 * Adds a fence into reserved room; takes a reference. It replaces an entry that is signaled, or that is an
 * earlier one of the same context and of the same or a weaker usage: one context is one timeline.
 */
export function dma_resv_add_fence(cpu: Cpu, obj: DmaResvPtr, fence: DmaFencePtr, usage: number): void {
  dma_fence_get(cpu, fence);
  dma_resv_assert_held(cpu, obj);
  // Its fences one by one: they can be replaced one by one.
  WARN_ON(cpu, dma_fence_is_container(cpu, fence));
  const list = dma_resv_fences_locked(cpu, obj);
  BUG_ON(cpu, list === 0, "dma_resv_add_fence without dma_resv_reserve_fences");
  const num = dma_resv_list_num(cpu, list);
  for (let i = 0; i < num; i++) {
    const entry = dma_resv_list_entry(cpu, list, i);
    const old = dma_resv_entry_fence(entry);
    if (!replaces(cpu, old, dma_resv_entry_usage(entry), fence, usage)) continue;
    dma_resv_list_set(cpu, list, i, fence, usage);
    dma_fence_put(cpu, old);
    return;
  }
  BUG_ON(cpu, num >= dma_resv_list_max(cpu, list), "fobj->num_fences >= fobj->max_fences");
  dma_resv_list_set(cpu, list, num, fence, usage);
  // The entry comes before the count that covers it; pairs with dma_resv_list_num, or a reader would take
  // what the memory held before for a fence.
  dma_resv_list_set_num(cpu, list, num + 1);
}

function replaces(cpu: Cpu, old: DmaFencePtr, old_usage: number, fence: DmaFencePtr, usage: number): boolean {
  const same = dma_fence_context(cpu, old) === dma_fence_context(cpu, fence) && old_usage >= usage;
  if (same && dma_fence_is_later_or_same(cpu, fence, old)) return true;
  return dma_fence_is_signaled(cpu, old);
}

/** Puts `replacement` in place of every fence of `context`: when it signals, their work has no access left. */
export function dma_resv_replace_fences(
  cpu: Cpu,
  obj: DmaResvPtr,
  context: number,
  replacement: DmaFencePtr,
  usage: number,
): void {
  dma_resv_assert_held(cpu, obj);
  const list = dma_resv_fences_locked(cpu, obj);
  const num = list === 0 ? 0 : dma_resv_list_num(cpu, list);
  for (let i = 0; i < num; i++) {
    const old = dma_resv_entry_fence(dma_resv_list_entry(cpu, list, i));
    if (dma_fence_context(cpu, old) !== context) continue;
    dma_resv_list_set(cpu, list, i, dma_fence_get(cpu, replacement), usage);
    dma_fence_put(cpu, old);
  }
}
