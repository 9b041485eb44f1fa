/**
 * Timelines (drivers/dma-buf/dma-fence.c): fences of one context signal in the order of their sequence
 * numbers. Context 0 is the stub's, a fence that has always been signaled. The contract is in fence.ts.
 */
import { kernel_initcall, kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { kernel_string } from "../debug/strings.ts";
import { WARN_ON } from "../debug/warn.ts";
import { spin_lock_init } from "../lock/spinlock.ts";
import { GFP_KERNEL, kzalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dma_fence_get } from "./fence-ref.ts";
import { dma_fence_signal } from "./fence-signal.ts";
import {
  DMA_FENCE_SIZE,
  dma_fence_context,
  dma_fence_init,
  dma_fence_seqno,
  dma_fence_seqno64,
  type DmaFencePtr,
} from "./fence-struct.ts";

/** Contexts given out. The kernel counts 64 bits; 2^32 contexts outlast a run. */
const CONTEXT_COUNTER = kernel_static("dma_fence_context_counter", 4);

/** Reserves `num` consecutive contexts and returns the first; 1 is the first ever. */
export function dma_fence_context_alloc(cpu: Cpu, num: number): number {
  WARN_ON(cpu, num === 0);
  return (cpu.mem.fetchAdd(CONTEXT_COUNTER, num) + 1) >>> 0;
}

/** Does `a` signal after `b`? Only fences of one context can be compared. */
export function dma_fence_is_later(cpu: Cpu, a: DmaFencePtr, b: DmaFencePtr): boolean {
  if (WARN_ON(cpu, dma_fence_context(cpu, a) !== dma_fence_context(cpu, b))) return false;
  const seqno = dma_fence_seqno(cpu, a);
  const other = dma_fence_seqno(cpu, b);
  if (dma_fence_seqno64(cpu, a)) return seqno > other;
  // 32-bit numbers wrap: later is what is less than half the circle ahead.
  return ((seqno - other) | 0) > 0;
}

export function dma_fence_is_later_or_same(cpu: Cpu, a: DmaFencePtr, b: DmaFencePtr): boolean {
  return a === b || dma_fence_is_later(cpu, a, b);
}

const STUB = kernel_string("stub");
const STUB_OPS = kernel_rodata("dma_fence_stub_ops", [
  kernel_symbol(dma_fence_stub_get_name),
  kernel_symbol(dma_fence_stub_get_name),
  0,
  0,
  0,
  0,
]);
const STUB_FENCE = kernel_static("dma_fence_stub", DMA_FENCE_SIZE) as DmaFencePtr;
const STUB_LOCK = kernel_static("dma_fence_stub_lock", 4);

function dma_fence_stub_get_name(_cpu: Cpu, _fence: number): number {
  return STUB;
}

kernel_initcall(dma_fence_init_stub);
function dma_fence_init_stub(cpu: Cpu): void {
  spin_lock_init(cpu, STUB_LOCK);
  dma_fence_init(cpu, STUB_FENCE, STUB_OPS, STUB_LOCK, 0, 0);
  dma_fence_signal(cpu, STUB_FENCE);
}

/** A reference to the one fence that is always signaled. */
export function dma_fence_get_stub(cpu: Cpu): DmaFencePtr {
  return dma_fence_get(cpu, STUB_FENCE);
}

/** A signaled fence of one's own; 0 when out of memory. */
export function dma_fence_allocate_private_stub(cpu: Cpu): DmaFencePtr {
  const fence = kzalloc(cpu, DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  if (fence === 0) return fence;
  dma_fence_init(cpu, fence, STUB_OPS, STUB_LOCK, 0, 0);
  dma_fence_signal(cpu, fence);
  return fence;
}
