/**
 * References to struct dma_fence (drivers/dma-buf/dma-fence.c). The contract is in fence.ts.
 */
import { EDEADLK } from "../debug/errno.ts";
import { symbol_call } from "../debug/image.ts";
import { WARN } from "../debug/warn.ts";
import { list_empty } from "../mm/list.ts";
import { kfree_rcu } from "../rcu/kfree-rcu.ts";
import { rcu_dereference } from "../rcu/rcu.ts";
import { refcount_dec_and_test, refcount_inc, refcount_inc_not_zero } from "../ref/refcount.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dma_fence_signal_locked } from "./fence-signal.ts";
import {
  DMA_FENCE_CB_LIST,
  DMA_FENCE_ERROR,
  DMA_FENCE_OPS_RELEASE,
  DMA_FENCE_RCU,
  DMA_FENCE_REFCOUNT,
  dma_fence_context,
  dma_fence_driver_name,
  dma_fence_test_signaled_flag,
  dma_fence_lock_irqsave,
  dma_fence_op,
  dma_fence_seqno,
  dma_fence_timeline_name,
  dma_fence_unlock_irqrestore,
  type DmaFencePtr,
} from "./fence-struct.ts";

/** One more reference; NULL stays NULL. */
export function dma_fence_get(cpu: Cpu, fence: DmaFencePtr): DmaFencePtr {
  if (fence !== 0) refcount_inc(cpu, fence + DMA_FENCE_REFCOUNT);
  return fence;
}

/** A reference if the fence is not dying, else 0. RCU read lock held. */
export function dma_fence_get_rcu(cpu: Cpu, fence: DmaFencePtr): DmaFencePtr {
  return refcount_inc_not_zero(cpu, fence + DMA_FENCE_REFCOUNT) ? fence : (0 as DmaFencePtr);
}

/** The fence an RCU pointer word holds, with a reference, or 0. RCU read lock held. */
export function dma_fence_get_rcu_safe(cpu: Cpu, fencep: number): DmaFencePtr {
  for (;;) {
    const fence = rcu_dereference(cpu, fencep) as DmaFencePtr;
    if (fence === 0) return fence;
    // Dying: then the pointer has changed, or will.
    if (dma_fence_get_rcu(cpu, fence) === 0) continue;
    // The full order of taking the reference comes before this look. Same pointer: the reference is on the
    // fence that is published, not on an earlier life of its memory.
    if (rcu_dereference(cpu, fencep) === fence) return fence;
    dma_fence_put(cpu, fence);
  }
}

/** Drops a reference; the last one releases the fence. NULL is fine. */
export function dma_fence_put(cpu: Cpu, fence: DmaFencePtr): void {
  if (fence !== 0 && refcount_dec_and_test(cpu, fence + DMA_FENCE_REFCOUNT)) dma_fence_release(cpu, fence);
}

function dma_fence_release(cpu: Cpu, fence: DmaFencePtr): void {
  if (!dma_fence_test_signaled_flag(cpu, fence) && !list_empty(cpu, fence + DMA_FENCE_CB_LIST)) {
    const text = fence_text(cpu, fence);
    WARN(cpu, true, `Fence ${text} released with pending signals!`);
    // Whoever waits gets an answer, though not a good one.
    dma_fence_lock_irqsave(cpu, fence);
    cpu.mem.writeOnce(fence + DMA_FENCE_ERROR, -EDEADLK);
    dma_fence_signal_locked(cpu, fence);
    dma_fence_unlock_irqrestore(cpu, fence);
  }
  const release = dma_fence_op(cpu, fence, DMA_FENCE_OPS_RELEASE);
  if (release !== 0) symbol_call(cpu, release, fence);
  else dma_fence_free(cpu, fence);
}

/** Frees the memory after a grace period; the fence is the first member of what was allocated. */
export function dma_fence_free(cpu: Cpu, fence: DmaFencePtr): void {
  kfree_rcu(cpu, fence, DMA_FENCE_RCU);
}

/** "driver:timeline:context:seqno", the numbers in hex. */
function fence_text(cpu: Cpu, fence: DmaFencePtr): string {
  const driver = dma_fence_driver_name(cpu, fence);
  const timeline = dma_fence_timeline_name(cpu, fence);
  const context = dma_fence_context(cpu, fence).toString(16);
  const seqno = dma_fence_seqno(cpu, fence).toString(16);
  return `${driver}:${timeline}:${context}:${seqno}`;
}
