/**
 * dma_fence_unwrap (include/linux/dma-fence-unwrap.h, drivers/dma-buf/dma-fence-unwrap.c): the plain fences inside
 * arrays and chains, and one fence that stands for several.
 *
 * Interface: a cursor on the caller's stack; `for (f = dma_fence_unwrap_first(cpu, head, cursor); f !== 0; f =
 * dma_fence_unwrap_next(cpu, cursor))`. No reference is taken on f; the cursor holds one on the chain node, so
 * whoever leaves the loop early calls dma_fence_unwrap_end.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { GFP_KERNEL, kcalloc, kfree } from "../mm/slab.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { dma_fence_array_create, dma_fence_array_first, dma_fence_array_next } from "./fence-array.ts";
import { dma_fence_chain_contained, dma_fence_chain_walk } from "./fence-chain.ts";
import {
  dma_fence_allocate_private_stub,
  dma_fence_context,
  dma_fence_context_alloc,
  dma_fence_get,
  dma_fence_is_later,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_timestamp,
  type DmaFencePtr,
} from "./fence.ts";
import { __dma_fence_at } from "./fence-struct.ts";

export type DmaFenceUnwrapPtr = Ptr<"dma_fence_unwrap">;

// All owned by the task that walks.
/** The chain node, or the only fence; holds a reference. 0 at the end. */
const CHAIN = 0;
/** What the node holds: an array, or a plain fence. */
const ARRAY = 4;
const INDEX = 8;
export const DMA_FENCE_UNWRAP_SIZE = 16;

struct_layout("dma_fence_unwrap", DMA_FENCE_UNWRAP_SIZE, [
  ["chain", CHAIN, 4],
  ["array", ARRAY, 4],
  ["index", INDEX, 4],
]);

function __dma_fence_unwrap_array(cpu: Cpu, cursor: DmaFenceUnwrapPtr): DmaFencePtr {
  const contained = dma_fence_chain_contained(cpu, cpu.mem.read(cursor + CHAIN) as DmaFencePtr);
  cpu.mem.write(cursor + ARRAY, contained);
  cpu.mem.write(cursor + INDEX, 0);
  return dma_fence_array_first(cpu, contained);
}

/** The first plain fence in `head`, or 0. */
export function dma_fence_unwrap_first(cpu: Cpu, head: DmaFencePtr, cursor: DmaFenceUnwrapPtr): DmaFencePtr {
  cpu.mem.write(cursor + CHAIN, dma_fence_get(cpu, head));
  return __dma_fence_unwrap_array(cpu, cursor);
}

/** The next one, or 0. Chain nodes that are done are skipped with all they hold. */
export function dma_fence_unwrap_next(cpu: Cpu, cursor: DmaFenceUnwrapPtr): DmaFencePtr {
  const index = cpu.mem.read(cursor + INDEX) + 1;
  cpu.mem.write(cursor + INDEX, index);
  const next = dma_fence_array_next(cpu, cpu.mem.read(cursor + ARRAY) as DmaFencePtr, index);
  if (next !== 0) return next;
  const chain = cpu.mem.read(cursor + CHAIN) as DmaFencePtr;
  cpu.mem.write(cursor + CHAIN, dma_fence_chain_walk(cpu, chain));
  return __dma_fence_unwrap_array(cpu, cursor);
}

/** Lets go of the chain node when a walk ends before its end. */
export function dma_fence_unwrap_end(cpu: Cpu, cursor: DmaFenceUnwrapPtr): void {
  dma_fence_put(cpu, cpu.mem.read(cursor + CHAIN) as DmaFencePtr);
  cpu.mem.write(cursor + CHAIN, 0);
}

/** Before: by context, and in one context the latest first. */
function comes_before(cpu: Cpu, a: DmaFencePtr, b: DmaFencePtr): boolean {
  const context = dma_fence_context(cpu, a);
  const other = dma_fence_context(cpu, b);
  return context !== other ? context < other : a !== b && dma_fence_is_later(cpu, a, b);
}

/**
 * Sorts the `num_fences` addresses at `fences` by context and keeps the latest of each; puts the others. Returns how
 * many are left. By insertion: what is merged mostly is in order already.
 */
export function dma_fence_dedup_array(cpu: Cpu, fences: number, num_fences: number): number {
  for (let i = 1; i < num_fences; i++) {
    const fence = __dma_fence_at(cpu, fences, i);
    let at = i;
    for (; at > 0 && comes_before(cpu, fence, __dma_fence_at(cpu, fences, at - 1)); at--) {
      cpu.mem.write(fences + at * 4, __dma_fence_at(cpu, fences, at - 1));
    }
    cpu.mem.write(fences + at * 4, fence);
  }
  let last = 0;
  for (let i = 1; i < num_fences; i++) {
    const fence = __dma_fence_at(cpu, fences, i);
    const same = dma_fence_context(cpu, fence) === dma_fence_context(cpu, __dma_fence_at(cpu, fences, last));
    if (same) dma_fence_put(cpu, fence);
    else cpu.mem.write(fences + ++last * 4, fence);
  }
  return last + 1;
}

// What gathering leaves on the stack.
/** Unsignaled fences found. */
const COUNT = 0;
/** The last of them, with a reference (first pass), or 0. */
const LAST = 4;
/** When the latest of the signaled ones was, in ns. */
const TIMESTAMP = 8;
const GATHERED_SIZE = 16;

/**
 * Finds the unsignaled plain fences of all `fences`, with a reference: into `array`, up to `room` of them, or without
 * an array the last one only.
 */
function gather(cpu: Cpu, num: number, fences: number, result: number, array: number, room: number): void {
  const cursor = stack_push(cpu, DMA_FENCE_UNWRAP_SIZE) as DmaFenceUnwrapPtr;
  let count = 0;
  for (let i = 0; i < num; i++) {
    let fence = dma_fence_unwrap_first(cpu, __dma_fence_at(cpu, fences, i), cursor);
    for (; fence !== 0; fence = dma_fence_unwrap_next(cpu, cursor)) {
      if (dma_fence_is_signaled(cpu, fence)) {
        const timestamp = Math.max(dma_fence_timestamp(cpu, fence), cpu.mem.read64(result + TIMESTAMP));
        cpu.mem.write64(result + TIMESTAMP, timestamp);
        continue;
      }
      // A chain that others append to cannot grow behind its head: there are no more than the first pass saw.
      if (array !== 0 && count === room) continue;
      dma_fence_get(cpu, fence);
      if (array !== 0) cpu.mem.write(array + count * 4, fence);
      else {
        dma_fence_put(cpu, cpu.mem.read(result + LAST) as DmaFencePtr);
        cpu.mem.write(result + LAST, fence);
      }
      count++;
    }
  }
  cpu.mem.write(result + COUNT, count);
  stack_pop(cpu, cursor);
}

/**
 * One fence for the `num_fences` whose addresses are at `fences`: signaled when all are. What is signaled is left out,
 * and of each context all but the latest: one that remains is returned itself, none becomes a stub signaled when the
 * last one was. 0 when out of memory.
 */
export function __dma_fence_unwrap_merge(cpu: Cpu, num_fences: number, fences: number): DmaFencePtr {
  const result = stack_push(cpu, GATHERED_SIZE);
  gather(cpu, num_fences, fences, result, 0, 0);
  const count = cpu.mem.read(result + COUNT);
  const last = cpu.mem.read(result + LAST) as DmaFencePtr;
  let merged = last;
  if (count === 0) merged = dma_fence_allocate_private_stub(cpu, cpu.mem.read64(result + TIMESTAMP));
  if (count > 1) {
    dma_fence_put(cpu, last);
    merged = merge_several(cpu, num_fences, fences, result, count);
  }
  stack_pop(cpu, result);
  return merged;
}

function merge_several(cpu: Cpu, num: number, fences: number, result: number, room: number): DmaFencePtr {
  const array = kcalloc(cpu, room, 4, GFP_KERNEL);
  if (array === 0) return 0 as DmaFencePtr;
  // Again: some may be signaled by now.
  gather(cpu, num, fences, result, array, room);
  let count = cpu.mem.read(result + COUNT);
  if (count > 1) count = dma_fence_dedup_array(cpu, array, count);
  if (count > 1) {
    const several = dma_fence_array_create(cpu, count, array, dma_fence_context_alloc(cpu, 1), 1, false);
    if (several !== 0) return several;
    for (let i = 0; i < count; i++) dma_fence_put(cpu, __dma_fence_at(cpu, array, i));
  }
  const one = count === 1 ? __dma_fence_at(cpu, array, 0) : (0 as DmaFencePtr);
  kfree(cpu, array);
  if (count !== 0) return one;
  return dma_fence_allocate_private_stub(cpu, cpu.mem.read64(result + TIMESTAMP));
}

/** As __dma_fence_unwrap_merge, of its arguments. */
export function dma_fence_unwrap_merge(cpu: Cpu, ...fences: readonly DmaFencePtr[]): DmaFencePtr {
  const array = stack_push(cpu, fences.length * 4);
  for (let i = 0; i < fences.length; i++) cpu.mem.write(array + i * 4, fences[i] as number);
  const merged = __dma_fence_unwrap_merge(cpu, fences.length, array);
  stack_pop(cpu, array);
  return merged;
}
