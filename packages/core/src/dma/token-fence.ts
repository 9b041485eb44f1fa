/**
 * struct io_dmabuf_fence: the fence of one map. Its base comes first: the default release frees the base
 * pointer.
 */
import { kernel_rodata, kernel_symbol } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { kernel_string } from "../debug/strings.ts";
import { spin_lock_init } from "../lock/spinlock.ts";
import type { Cpu } from "../sched/cpu.ts";
import { DMA_FENCE_SIZE, dma_fence_init, type DmaFencePtr } from "./fence.ts";

const BASE = 0;
const LOCK = DMA_FENCE_SIZE;
export const IO_DMABUF_FENCE_SIZE = LOCK + 4;

struct_layout("io_dmabuf_fence", IO_DMABUF_FENCE_SIZE, [
  ["base", BASE, DMA_FENCE_SIZE],
  ["lock", LOCK, 4],
]);

const NAME = kernel_string("DMABUF token");
const io_dmabuf_fence_ops = kernel_rodata("io_dmabuf_fence_ops", [
  kernel_symbol(io_dmabuf_fence_drv_name),
  kernel_symbol(io_dmabuf_fence_timeline_name),
  0,
  0,
  0,
  0,
  0,
]);
function io_dmabuf_fence_drv_name(): number {
  return NAME;
}

function io_dmabuf_fence_timeline_name(): number {
  return NAME;
}

/** Initialises the fence at `fence` as number `seqno` of the token's context. */
export function io_dmabuf_fence_init(cpu: Cpu, fence: number, context: number, seqno: number): DmaFencePtr {
  const base = (fence + BASE) as DmaFencePtr;
  spin_lock_init(cpu, fence + LOCK, "&fence->lock");
  dma_fence_init(cpu, base, io_dmabuf_fence_ops, fence + LOCK, context, seqno);
  return base;
}
