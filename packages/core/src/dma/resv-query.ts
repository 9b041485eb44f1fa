/**
 * Questions to a reservation object (drivers/dma-buf/dma-resv.c). None needs the lock; all may be asked with
 * it. The contract is in resv.ts.
 */
import { ENOMEM } from "../debug/errno.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import { rcu_assign_pointer } from "../rcu/rcu.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { dma_fence_array_create } from "./fence-array.ts";
import { dma_fence_dedup_array } from "./fence-unwrap.ts";
import {
  dma_fence_context,
  dma_fence_context_alloc,
  dma_fence_describe,
  dma_fence_get,
  dma_fence_put,
  dma_fence_set_deadline,
  dma_fence_wait_timeout,
  type DmaFencePtr,
} from "./fence.ts";
import { dma_resv_next_generation } from "./resv-fences.ts";
import {
  DMA_RESV_ITER_SIZE,
  dma_resv_iter_begin,
  dma_resv_iter_end,
  dma_resv_iter_first,
  dma_resv_iter_first_unlocked,
  dma_resv_iter_is_restarted,
  dma_resv_iter_next,
  dma_resv_iter_next_unlocked,
  dma_resv_iter_num_fences,
  dma_resv_iter_usage,
  type DmaResvIterPtr,
} from "./resv-iter.ts";
import {
  dma_resv_list_alloc,
  dma_resv_list_free,
  dma_resv_list_num,
  dma_resv_list_set,
  dma_resv_list_set_num,
  type DmaResvListPtr,
} from "./resv-list.ts";
import {
  DMA_RESV_FENCES,
  dma_resv_assert_held,
  dma_resv_fences_locked,
  type DmaResvPtr,
} from "./resv-lock.ts";
import { DMA_RESV_USAGE_BOOKKEEP, DMA_RESV_USAGE_READ } from "./resv-usage.ts";

function iter_push(cpu: Cpu, obj: number, usage: number): DmaResvIterPtr {
  const cursor = stack_push(cpu, DMA_RESV_ITER_SIZE) as DmaResvIterPtr;
  dma_resv_iter_begin(cpu, cursor, obj, usage);
  return cursor;
}

function iter_pop(cpu: Cpu, cursor: DmaResvIterPtr): void {
  dma_resv_iter_end(cpu, cursor);
  stack_pop(cpu, cursor);
}

/**
 * Waits for all fences of `usage` and stronger, for at most `timeout` in all. Positive: idle, the time left,
 * at least 1. 0: not idle in time. -ERESTARTSYS: a signal came first, if `intr`. A time-out of 0 just looks:
 * 1 is idle, 0 is busy, never an error for being busy.
 */
export function dma_resv_wait_timeout(
  cpu: Cpu,
  obj: number,
  usage: number,
  intr: boolean,
  timeout: number,
): number {
  const cursor = iter_push(cpu, obj, usage);
  let left = timeout === 0 ? 1 : timeout;
  let fence = dma_resv_iter_first_unlocked(cpu, cursor);
  while (fence !== 0) {
    left = dma_fence_wait_timeout(cpu, fence, intr, timeout === 0 ? 0 : left);
    if (left <= 0) break;
    fence = dma_resv_iter_next_unlocked(cpu, cursor);
  }
  iter_pop(cpu, cursor);
  return left;
}

/** Are all fences of `usage` and stronger signaled? */
export function dma_resv_test_signaled(cpu: Cpu, obj: number, usage: number): boolean {
  const cursor = iter_push(cpu, obj, usage);
  const idle = dma_resv_iter_first_unlocked(cpu, cursor) === 0;
  iter_pop(cpu, cursor);
  return idle;
}

/** Is there an unsignaled fence of `context`? For oracles; the kernel has no such question. */
export function dma_resv_has_unsignaled(cpu: Cpu, obj: number, usage: number, context: number): boolean {
  const cursor = iter_push(cpu, obj, usage);
  let fence = dma_resv_iter_first_unlocked(cpu, cursor);
  while (fence !== 0 && dma_fence_context(cpu, fence) !== context) {
    fence = dma_resv_iter_next_unlocked(cpu, cursor);
  }
  iter_pop(cpu, cursor);
  return fence !== 0;
}

/**
 * All unsignaled fences of `usage` and stronger. Stores their number at `num_fences` and, at `fences`, an
 * array from kmalloc (0 when there are none). The caller puts the fences and frees the array. 0 or -ENOMEM.
 */
export function dma_resv_get_fences(
  cpu: Cpu,
  obj: number,
  usage: number,
  num_fences: number,
  fences: number,
): number {
  const cursor = iter_push(cpu, obj, usage);
  let array = 0;
  let num = 0;
  let error = 0;
  let fence = dma_resv_iter_first_unlocked(cpu, cursor);
  while (fence !== 0) {
    if (dma_resv_iter_is_restarted(cpu, cursor)) {
      put_array(cpu, array, num);
      num = 0;
      array = kmalloc(cpu, dma_resv_iter_num_fences(cpu, cursor) * 4, GFP_KERNEL);
      if (array === 0) {
        error = -ENOMEM;
        break;
      }
    }
    cpu.mem.write(array + num++ * 4, dma_fence_get(cpu, fence));
    fence = dma_resv_iter_next_unlocked(cpu, cursor);
  }
  iter_pop(cpu, cursor);
  cpu.mem.write(num_fences, num);
  cpu.mem.write(fences, array);
  return error;
}

function put_array(cpu: Cpu, array: number, num: number): void {
  for (let i = 0; i < num; i++) dma_fence_put(cpu, cpu.mem.read(array + i * 4) as DmaFencePtr);
  if (array !== 0) kfree(cpu, array);
}

/**
 * One fence for all unsignaled ones of `usage` and stronger, an array if there are several. Stores its address at
 * `fence`, with a reference, or 0 when there are none. 0 or -ENOMEM.
 */
export function dma_resv_get_singleton(cpu: Cpu, obj: number, usage: number, fence: number): number {
  const out = stack_push(cpu, 8);
  const error = dma_resv_get_fences(cpu, obj, usage, out, out + 4);
  const num = cpu.mem.read(out);
  const fences = cpu.mem.read(out + 4);
  stack_pop(cpu, out);
  if (error !== 0) return error;
  if (num > 1) return store_as_one(cpu, fences, num, fence);
  cpu.mem.write(fence, num === 0 ? 0 : cpu.mem.read(fences));
  if (fences !== 0) kfree(cpu, fences);
  return 0;
}

/** Stores the `num` fences as one. Takes over the array and the references in it. */
function store_as_one(cpu: Cpu, fences: number, num: number, fence: number): number {
  const count = dma_fence_dedup_array(cpu, fences, num);
  const array = dma_fence_array_create(cpu, count, fences, dma_fence_context_alloc(cpu, 1), 1, false);
  if (array === 0) put_array(cpu, fences, count);
  else cpu.mem.write(fence, array);
  return array === 0 ? -ENOMEM : 0;
}

/** Tells the drivers of all unsignaled fences of `usage` and stronger by when (ns) they are wanted. */
export function dma_resv_set_deadline(cpu: Cpu, obj: number, usage: number, deadline: number): void {
  const cursor = iter_push(cpu, obj, usage);
  let fence = dma_resv_iter_first_unlocked(cpu, cursor);
  for (; fence !== 0; fence = dma_resv_iter_next_unlocked(cpu, cursor)) {
    dma_fence_set_deadline(cpu, fence, deadline);
  }
  iter_pop(cpu, cursor);
}

const USAGE_NAMES: readonly string[] = ["kernel", "write", "read", "bookkeep"];

/** A line a fence, as debugfs has it: what implicit synchronisation waits for, so none of BOOKKEEP. Lock held. */
export function dma_resv_describe(cpu: Cpu, obj: number): string[] {
  const lines: string[] = [];
  const cursor = iter_push(cpu, obj, DMA_RESV_USAGE_READ);
  let fence = dma_resv_iter_first(cpu, cursor);
  for (; fence !== 0; fence = dma_resv_iter_next(cpu, cursor)) {
    const usage = USAGE_NAMES[dma_resv_iter_usage(cpu, cursor)];
    lines.push(`\t${usage} fence:${dma_fence_describe(cpu, fence)}`);
  }
  // The locked walk holds no reference.
  stack_pop(cpu, cursor);
  return lines;
}

/** Gives `dst`, whose lock is held, the unsignaled fences of `src` instead of its own. 0 or -ENOMEM. */
export function dma_resv_copy_fences(cpu: Cpu, dst: DmaResvPtr, src: DmaResvPtr): number {
  dma_resv_assert_held(cpu, dst);
  const cursor = iter_push(cpu, src, DMA_RESV_USAGE_BOOKKEEP);
  let list = 0 as DmaResvListPtr;
  let error = 0;
  let fence = dma_resv_iter_first_unlocked(cpu, cursor);
  while (fence !== 0) {
    if (dma_resv_iter_is_restarted(cpu, cursor)) {
      dma_resv_list_free(cpu, list);
      const room = dma_resv_iter_num_fences(cpu, cursor);
      list = dma_resv_list_alloc(cpu, room, dma_resv_next_generation(cpu, dst));
      if (list === 0) {
        error = -ENOMEM;
        break;
      }
    }
    const num = dma_resv_list_num(cpu, list);
    dma_resv_list_set(cpu, list, num, dma_fence_get(cpu, fence), dma_resv_iter_usage(cpu, cursor));
    dma_resv_list_set_num(cpu, list, num + 1);
    fence = dma_resv_iter_next_unlocked(cpu, cursor);
  }
  iter_pop(cpu, cursor);
  if (error !== 0) return error;
  const old = dma_resv_fences_locked(cpu, dst);
  // Pairs with dma_resv_fences_rcu: a reader sees the entries.
  rcu_assign_pointer(cpu, dst + DMA_RESV_FENCES, list);
  dma_resv_list_free(cpu, old);
  return 0;
}
