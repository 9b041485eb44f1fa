/**
 * Questions to a reservation object (drivers/dma-buf/dma-resv.c). None needs the lock; all may be asked with
 * it. The contract is in resv.ts.
 */
import { ENOMEM } from "../debug/errno.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import { rcu_assign_pointer } from "../rcu/rcu.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import {
  dma_fence_context,
  dma_fence_get,
  dma_fence_put,
  dma_fence_wait_timeout,
  type DmaFencePtr,
} from "./fence.ts";
import { dma_resv_next_generation } from "./resv-fences.ts";
import {
  DMA_RESV_ITER_SIZE,
  dma_resv_iter_begin,
  dma_resv_iter_end,
  dma_resv_iter_first_unlocked,
  dma_resv_iter_is_restarted,
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

/** Gives `dst`, whose lock is held, the unsignaled fences of `src` instead of its own. 0 or -ENOMEM. */
export function dma_resv_copy_fences(cpu: Cpu, dst: DmaResvPtr, src: DmaResvPtr, usage: number): number {
  dma_resv_assert_held(cpu, dst);
  const cursor = iter_push(cpu, src, usage);
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
