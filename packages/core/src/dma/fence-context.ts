/**
 * Timelines (drivers/dma-buf/dma-fence.c): fences of one context signal in the order of their sequence
 * numbers. Context 0 is the stub's, a fence that has always been signaled. The contract is in fence.ts.
 */
import { kernel_initcall, kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { kernel_string } from "../debug/strings.ts";
import { WARN_ON } from "../debug/warn.ts";
import { GFP_KERNEL, kzalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dma_fence_get } from "./fence-ref.ts";
import { dma_fence_is_signaled, dma_fence_signal, dma_fence_signal_timestamp } from "./fence-signal.ts";
import {
  DMA_FENCE_FLAG_ENABLE_SIGNAL,
  DMA_FENCE_FLAGS,
  DMA_FENCE_SIZE,
  dma_fence_context,
  dma_fence_driver_name,
  dma_fence_init,
  dma_fence_seqno,
  dma_fence_seqno64,
  dma_fence_timeline_name,
  type DmaFencePtr,
} from "./fence-struct.ts";

/** Contexts given out. The kernel counts 64 bits; 2^32 contexts outlast a run. */
const CONTEXT_COUNTER = kernel_static("dma_fence_context_counter", 4);

/** Reserves `num` consecutive contexts and returns the first; 1 is the first ever. */
export function dma_fence_context_alloc(cpu: Cpu, num: number): number {
  WARN_ON(cpu, num === 0);
  return (cpu.mem.fetchAdd(CONTEXT_COUNTER, num) + 1) >>> 0;
}

/** Is seqno `a` after `b`, as numbers of the kind `fence` has? */
export function __dma_fence_is_later(cpu: Cpu, fence: DmaFencePtr, a: number, b: number): boolean {
  if (dma_fence_seqno64(cpu, fence)) return a > b;
  // 32-bit numbers wrap: later is what is less than half the circle ahead.
  return ((a - b) | 0) > 0;
}

/** Does `a` signal after `b`? Only fences of one context can be compared. */
export function dma_fence_is_later(cpu: Cpu, a: DmaFencePtr, b: DmaFencePtr): boolean {
  if (WARN_ON(cpu, dma_fence_context(cpu, a) !== dma_fence_context(cpu, b))) return false;
  return __dma_fence_is_later(cpu, a, dma_fence_seqno(cpu, a), dma_fence_seqno(cpu, b));
}

export function dma_fence_is_later_or_same(cpu: Cpu, a: DmaFencePtr, b: DmaFencePtr): boolean {
  return a === b || dma_fence_is_later(cpu, a, b);
}

/** The later of two fences of one context if it is still to be waited for, else 0. No reference is taken. */
export function dma_fence_later(cpu: Cpu, a: DmaFencePtr, b: DmaFencePtr): DmaFencePtr {
  if (WARN_ON(cpu, dma_fence_context(cpu, a) !== dma_fence_context(cpu, b))) return 0 as DmaFencePtr;
  const later = dma_fence_is_later(cpu, a, b) ? a : b;
  return dma_fence_is_signaled(cpu, later) ? (0 as DmaFencePtr) : later;
}

const STUB = kernel_string("stub");
const STUB_OPS = kernel_rodata("dma_fence_stub_ops", [
  kernel_symbol(dma_fence_stub_get_name),
  kernel_symbol(dma_fence_stub_get_name),
  0,
  0,
  0,
  0,
  0,
]);
const STUB_FENCE = kernel_static("dma_fence_stub", DMA_FENCE_SIZE) as DmaFencePtr;

function dma_fence_stub_get_name(_cpu: Cpu, _fence: number): number {
  return STUB;
}

kernel_initcall(dma_fence_init_stub);
function dma_fence_init_stub(cpu: Cpu): void {
  init_stub(cpu, STUB_FENCE);
  dma_fence_signal(cpu, STUB_FENCE);
}

function init_stub(cpu: Cpu, fence: DmaFencePtr): void {
  dma_fence_init(cpu, fence, STUB_OPS, 0, 0, 0);
  cpu.mem.fetchOr(fence + DMA_FENCE_FLAGS, DMA_FENCE_FLAG_ENABLE_SIGNAL);
}

/** A reference to the one fence that is always signaled. */
export function dma_fence_get_stub(cpu: Cpu): DmaFencePtr {
  return dma_fence_get(cpu, STUB_FENCE);
}

/** A fence of one's own that was signaled at `timestamp`; 0 when out of memory. */
export function dma_fence_allocate_private_stub(cpu: Cpu, timestamp: number): DmaFencePtr {
  const fence = kzalloc(cpu, DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  if (fence === 0) return fence;
  init_stub(cpu, fence);
  dma_fence_signal_timestamp(cpu, fence, timestamp);
  return fence;
}

/** One line about a fence, as debugfs has it; a signaled one no longer has names. */
export function dma_fence_describe(cpu: Cpu, fence: DmaFencePtr): string {
  const signaled = dma_fence_is_signaled(cpu, fence);
  const timeline = signaled ? "" : dma_fence_timeline_name(cpu, fence);
  const driver = signaled ? "" : dma_fence_driver_name(cpu, fence);
  const number = `${dma_fence_context(cpu, fence)}:${dma_fence_seqno(cpu, fence)}`;
  return `${number} ${timeline} ${driver} ${signaled ? "" : "un"}signalled`;
}
