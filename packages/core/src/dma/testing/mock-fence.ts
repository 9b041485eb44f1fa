/** Fences for tests: a lock of their own, a name, no driver behind. */
import { kernel_rodata, kernel_symbol } from "../../debug/image.ts";
import { kernel_string } from "../../debug/strings.ts";
import { spin_lock_init } from "../../lock/spinlock.ts";
import { GFP_KERNEL, kmalloc } from "../../mm/slab.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { DMA_FENCE_SIZE, dma_fence_init, type DmaFencePtr } from "../fence.ts";

const NAME = kernel_string("mock");
export const MOCK_OPS: number = kernel_rodata("mock_fence_ops", [
  kernel_symbol(mock_name),
  kernel_symbol(mock_name),
  0,
  0,
  0,
  0,
]);
const LOCK = DMA_FENCE_SIZE;

function mock_name(_cpu: Cpu, _fence: number): number {
  return NAME;
}

/** An unsignaled fence with one reference. */
export function mock_fence(cpu: Cpu, context: number, seqno: number): DmaFencePtr {
  const fence = kmalloc(cpu, DMA_FENCE_SIZE + 4, GFP_KERNEL) as DmaFencePtr;
  spin_lock_init(cpu, fence + LOCK);
  dma_fence_init(cpu, fence, MOCK_OPS, fence + LOCK, context, seqno);
  return fence;
}
