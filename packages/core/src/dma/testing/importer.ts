/**
 * An importer for exporter tests: maps a buffer for a device, and at each invalidation gives the reservation
 * a fence that a work item signals later, as the token does.
 */
import { kernel_rodata, kernel_static, kernel_symbol } from "../../debug/image.ts";
import { kernel_string } from "../../debug/strings.ts";
import { GFP_KERNEL, kzalloc } from "../../mm/slab.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { INIT_WORK, queue_work, system_wq, WORK_STRUCT_SIZE } from "../../sched/workqueue.ts";
import { attach_dmabuf, type AttachmentPtr, dma_buf_dynamic_attach, dma_buf_map_attachment } from "../buf.ts";
import { dma_buf_resv, dma_buf_unmap_attachment, type DmaBufPtr } from "../buf.ts";
import { DEVICE_SIZE, device_init, type DevicePtr } from "../device.ts";
import { dma_fence_context_alloc, dma_fence_init, dma_fence_put, dma_fence_signal } from "../fence.ts";
import { DMA_FENCE_SIZE, type DmaFencePtr } from "../fence.ts";
import { DMA_BIDIRECTIONAL } from "../mapping.ts";
import { dma_resv_add_fence, dma_resv_lock, dma_resv_reserve_fences, dma_resv_unlock } from "../resv.ts";
import { DMA_RESV_USAGE_KERNEL, dma_resv_wait_timeout } from "../resv.ts";
import { sg_dma_address, sg_dma_len, sgt_entry, type SgTablePtr } from "../scatterlist.ts";

export const IMPORTER_DEV = kernel_static("test_importer_dev", DEVICE_SIZE) as DevicePtr;
/** Invalidations heard, fences signaled since. */
const HEARD = kernel_static("test_importer_heard", 4);
const SIGNALED = kernel_static("test_importer_signaled", 4);

const NAME = kernel_string("importer");
function importer_fence_name(): number {
  return NAME;
}
const NAME_FN = kernel_symbol(importer_fence_name);
const FENCE_OPS = kernel_rodata("test_importer_fence_ops", [NAME_FN, NAME_FN, 0, 0, 0, 0, 0]);
/** Behind the fence, for the signal that comes later. */
const FENCE_WORK = DMA_FENCE_SIZE;

export function importer_init(cpu: Cpu): void {
  if (device_init(cpu, IMPORTER_DEV, "importer0") < 0) throw new Error("no device");
}

function signal_later(cpu: Cpu, work: number): void {
  signal_fence(cpu, (work - FENCE_WORK) as DmaFencePtr);
}
const SIGNAL_LATER = kernel_symbol(signal_later);

/** Adds a fence. Reservation held; signal_fence ends it. */
export function add_fence(cpu: Cpu, dmabuf: DmaBufPtr, usage: number): DmaFencePtr {
  const resv = dma_buf_resv(cpu, dmabuf);
  if (dma_resv_reserve_fences(cpu, resv, 1) < 0) throw new Error("no room for a fence");
  const fence = kzalloc(cpu, FENCE_WORK + WORK_STRUCT_SIZE, GFP_KERNEL) as DmaFencePtr;
  dma_fence_init(cpu, fence, FENCE_OPS, 0, dma_fence_context_alloc(cpu, 1), 1);
  dma_resv_add_fence(cpu, resv, fence, usage);
  return fence;
}

export function signal_fence(cpu: Cpu, fence: DmaFencePtr): void {
  cpu.mem.fetchAdd(SIGNALED, 1);
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
}

/** Adds a fence that a work item signals. Reservation held. */
export function add_late_fence(cpu: Cpu, dmabuf: DmaBufPtr, usage: number): void {
  const fence = add_fence(cpu, dmabuf, usage);
  INIT_WORK(cpu, fence + FENCE_WORK, SIGNAL_LATER);
  queue_work(cpu, system_wq(cpu), fence + FENCE_WORK);
}

function importer_invalidate(cpu: Cpu, attach: AttachmentPtr): void {
  cpu.mem.fetchAdd(HEARD, 1);
  add_late_fence(cpu, attach_dmabuf(cpu, attach), DMA_RESV_USAGE_KERNEL);
}
const IMPORTER_OPS = kernel_rodata("test_importer_ops", [1, kernel_symbol(importer_invalidate)]);

export function importer_attach(cpu: Cpu, dmabuf: DmaBufPtr): AttachmentPtr {
  return dma_buf_dynamic_attach(cpu, dmabuf, IMPORTER_DEV, IMPORTER_OPS, 0);
}

/** Maps; waits for KERNEL fences first if `polite`. */
export function importer_map(cpu: Cpu, attach: AttachmentPtr, polite: boolean): SgTablePtr {
  const resv = dma_buf_resv(cpu, attach_dmabuf(cpu, attach));
  dma_resv_lock(cpu, resv, 0);
  if (polite) dma_resv_wait_timeout(cpu, resv, DMA_RESV_USAGE_KERNEL, false, 10_000);
  const sgt = dma_buf_map_attachment(cpu, attach, DMA_BIDIRECTIONAL);
  dma_resv_unlock(cpu, resv);
  return sgt;
}

export function importer_unmap(cpu: Cpu, attach: AttachmentPtr, sgt: SgTablePtr): void {
  const resv = dma_buf_resv(cpu, attach_dmabuf(cpu, attach));
  dma_resv_lock(cpu, resv, 0);
  dma_buf_unmap_attachment(cpu, attach, sgt, DMA_BIDIRECTIONAL);
  dma_resv_unlock(cpu, resv);
}

/** The device address of byte `offset` of a mapping. */
export function importer_address(cpu: Cpu, sgt: SgTablePtr, offset: number): number {
  let left = offset;
  for (let i = 0; ; i++) {
    const sg = sgt_entry(cpu, sgt, i);
    if (left < sg_dma_len(cpu, sg)) return sg_dma_address(cpu, sg) + left;
    left -= sg_dma_len(cpu, sg);
  }
}

/** [invalidations heard, fences signaled since]. */
export function importer_books(cpu: Cpu): [number, number] {
  return [cpu.mem.loadAcquire(HEARD), cpu.mem.loadAcquire(SIGNALED)];
}
