/** Fences for tests: their own lock, a name, no driver behind. */
import { kernel_rodata, kernel_symbol } from "../../debug/image.ts";
import { kernel_string } from "../../debug/strings.ts";
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
  0,
]);

function mock_name(_cpu: Cpu, _fence: number): number {
  return NAME;
}

/** An unsignaled fence with one reference; 0 when out of memory. */
export function mock_fence(cpu: Cpu, context: number, seqno: number): DmaFencePtr {
  const fence = kmalloc(cpu, DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  if (fence !== 0) dma_fence_init(cpu, fence, MOCK_OPS, 0, context, seqno);
  return fence;
}
