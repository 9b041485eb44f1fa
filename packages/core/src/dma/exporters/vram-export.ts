/**
 * The dma_buf_ops of VRAM buffers, and their creation. The contract is in vram.ts.
 */
import { EINVAL, ENOMEM, ERR_PTR, IS_ERR, PTR_ERR } from "../../debug/errno.ts";
import { kernel_rodata, kernel_symbol } from "../../debug/image.ts";
import { violation, WARN_ON } from "../../debug/warn.ts";
import { PAGE_SIZE } from "../../mm/memory-map.ts";
import { spin_lock_init } from "../../lock/spinlock.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../mm/slab.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT, schedule_timeout } from "../../sched/schedule.ts";
import { TASK_UNINTERRUPTIBLE } from "../../sched/task.ts";
import { finish_wait, init_waitqueue_head, prepare_to_wait, wait_entry_push } from "../../sched/wait.ts";
import {
  attach_dev,
  attach_dmabuf,
  type AttachmentPtr,
  dma_buf_export,
  dma_buf_priv,
  dma_buf_put,
  type DmaBufPtr,
} from "../buf.ts";
import { dma_fence_context_alloc } from "../fence.ts";
import {
  dma_resv_assert_held,
  DMA_RESV_USAGE_BOOKKEEP,
  DMA_RESV_USAGE_KERNEL,
  dma_resv_wait_timeout,
} from "../resv.ts";
import { sg_virt, sgt_entry, type SgTablePtr } from "../scatterlist.ts";
import { sg_map_pages, sg_unmap } from "./sg-map.ts";
import {
  type PlacementPtr,
  TTM_PL_VRAM,
  VRAM_BLOCKED,
  VRAM_BUF_SIZE,
  VRAM_LOCK,
  vram_dmabuf,
  VRAM_DMABUF,
  VRAM_FENCE_CTX,
  VRAM_MOVES_PENDING,
  vram_nr_pages,
  VRAM_NR_PAGES,
  VRAM_PIN_COUNT,
  vram_page,
  vram_pages_put,
  vram_place,
  vram_placement_get,
  vram_placement_pages,
  vram_placement_put,
  vram_residence,
  vram_resv,
  vram_switch,
  vram_unplace,
  VRAM_USER,
  VRAM_WAITQ,
  type VramBufPtr,
} from "./vram-buf.ts";
import { vram_user_enter, vram_user_exit, vram_user_init, vram_user_leave } from "./vram-user.ts";

/** Nobody holds a mapping up for longer. */
export const VRAM_HOLD_MS_MAX = 30_000;

function buf_of(cpu: Cpu, attach: AttachmentPtr): VramBufPtr {
  return dma_buf_priv(cpu, attach_dmabuf(cpu, attach)) as VramBufPtr;
}

/** Keeps the buffer where it is; a move under way is waited for. Reservation held. */
function pin_vram(cpu: Cpu, attach: AttachmentPtr): number {
  const buf = buf_of(cpu, attach);
  dma_resv_wait_timeout(cpu, vram_resv(cpu, buf), DMA_RESV_USAGE_KERNEL, false, MAX_SCHEDULE_TIMEOUT);
  cpu.mem.write(buf + VRAM_PIN_COUNT, cpu.mem.read(buf + VRAM_PIN_COUNT) + 1);
  return 0;
}

function unpin_vram(cpu: Cpu, attach: AttachmentPtr): void {
  const buf = buf_of(cpu, attach);
  const count = cpu.mem.read(buf + VRAM_PIN_COUNT);
  if (!WARN_ON(cpu, count <= 0)) cpu.mem.write(buf + VRAM_PIN_COUNT, count - 1);
}

/** Maps where the buffer is now. Reservation held; the importer has waited for the KERNEL fences. */
function map_vram(cpu: Cpu, attach: AttachmentPtr, dir: number): SgTablePtr {
  const buf = buf_of(cpu, attach);
  dma_resv_assert_held(cpu, vram_resv(cpu, buf));
  if (cpu.mem.loadAcquire(buf + VRAM_BLOCKED) !== 0) wait_unblocked(cpu, buf);
  // The importer did not wait: it gets the pages that the move is about to leave.
  if (cpu.mem.loadAcquire(buf + VRAM_MOVES_PENDING) !== 0) {
    violation(cpu, "map-during-move", "map_dma_buf with an unsignaled move fence in the reservation");
  }
  const placement = vram_placement_get(cpu, buf);
  const pages = vram_placement_pages(placement);
  const sgt = sg_map_pages(cpu, attach_dev(cpu, attach), pages, vram_nr_pages(cpu, buf), dir);
  if (IS_ERR(sgt)) vram_pages_put(cpu, cpu.mem.read(pages));
  vram_placement_put(cpu, placement);
  return sgt;
}

/** Sleeps with the reservation held, as a driver does that has to make the buffer resident first. */
function wait_unblocked(cpu: Cpu, buf: VramBufPtr): void {
  const entry = wait_entry_push(cpu);
  let left = VRAM_HOLD_MS_MAX;
  for (;;) {
    prepare_to_wait(cpu, buf + VRAM_WAITQ, entry, TASK_UNINTERRUPTIBLE);
    if (left === 0 || cpu.mem.loadAcquire(buf + VRAM_BLOCKED) === 0) break;
    left = schedule_timeout(cpu, left);
  }
  finish_wait(cpu, buf + VRAM_WAITQ, entry);
}

function unmap_vram(cpu: Cpu, attach: AttachmentPtr, sgt: SgTablePtr, dir: number): void {
  const page = sg_virt(cpu, sgt_entry(cpu, sgt, 0));
  sg_unmap(cpu, attach_dev(cpu, attach), sgt, dir);
  vram_pages_put(cpu, page);
}

/** Waits for a move under way, as ttm_bo_release does for all fences. */
function release_vram(cpu: Cpu, dmabuf: DmaBufPtr): void {
  const buf = dma_buf_priv(cpu, dmabuf) as VramBufPtr;
  const resv = vram_resv(cpu, buf);
  WARN_ON(cpu, dma_resv_wait_timeout(cpu, resv, DMA_RESV_USAGE_BOOKKEEP, false, MAX_SCHEDULE_TIMEOUT) <= 0);
  WARN_ON(cpu, cpu.mem.read(buf + VRAM_PIN_COUNT) !== 0);
  free_buf(cpu, buf);
}

const vram_ops = kernel_rodata("vram_ops", [
  0,
  0,
  kernel_symbol(pin_vram),
  kernel_symbol(unpin_vram),
  kernel_symbol(map_vram),
  kernel_symbol(unmap_vram),
  kernel_symbol(release_vram),
  0,
  0,
  0,
  0,
]);

/** A buffer in VRAM, contents undefined, exported. -EINVAL unless whole pages, -ENOMEM. */
export function vram_create(cpu: Cpu, bytes: number): VramBufPtr {
  if (bytes <= 0 || bytes % PAGE_SIZE !== 0) return ERR_PTR(-EINVAL) as VramBufPtr;
  const buf = kzalloc(cpu, VRAM_BUF_SIZE, GFP_KERNEL) as VramBufPtr;
  if (buf === 0) return ERR_PTR(-ENOMEM) as VramBufPtr;
  const nr = bytes / PAGE_SIZE;
  cpu.mem.write(buf + VRAM_NR_PAGES, nr);
  cpu.mem.write64(buf + VRAM_FENCE_CTX, dma_fence_context_alloc(cpu, 1));
  spin_lock_init(cpu, buf + VRAM_LOCK);
  init_waitqueue_head(cpu, buf + VRAM_WAITQ);
  const ready = vram_user_init(cpu, buf + VRAM_USER) !== 0;
  const placement = ready ? vram_place(cpu, nr, TTM_PL_VRAM) : (0 as PlacementPtr);
  const placed = placement !== 0;
  vram_switch(cpu, buf, placement);
  const dmabuf = placed ? dma_buf_export(cpu, vram_ops, buf, bytes, 0) : (ERR_PTR(-ENOMEM) as DmaBufPtr);
  if (IS_ERR(dmabuf)) {
    free_buf(cpu, buf);
    return PTR_ERR(dmabuf) as VramBufPtr;
  }
  cpu.mem.write(buf + VRAM_DMABUF, dmabuf);
  return buf;
}

function free_buf(cpu: Cpu, buf: VramBufPtr): void {
  const placement = vram_switch(cpu, buf, 0 as PlacementPtr);
  if (placement !== 0) vram_unplace(cpu, placement, vram_nr_pages(cpu, buf));
  vram_user_exit(cpu, buf + VRAM_USER);
  kfree(cpu, buf);
}

/** Drops the creator's reference. */
export function vram_destroy(cpu: Cpu, buf: VramBufPtr): void {
  dma_buf_put(cpu, vram_dmabuf(cpu, buf));
}

/** Is the buffer in VRAM now? A racy look while a move is under way. */
export function vram_is_resident(cpu: Cpu, buf: VramBufPtr): boolean {
  return vram_residence(cpu, buf) === TTM_PL_VRAM;
}

/** Begins a short CPU access; the buffer does not move until vram_user_end. Sleeps while it moves. */
export function vram_user_begin(cpu: Cpu, buf: VramBufPtr): void {
  vram_user_enter(cpu, buf + VRAM_USER);
}

export function vram_user_end(cpu: Cpu, buf: VramBufPtr): void {
  vram_user_leave(cpu, buf + VRAM_USER);
}

/** Address of page `index`; valid until vram_user_end. */
export function vram_user_page(cpu: Cpu, buf: VramBufPtr, index: number): number {
  return vram_page(cpu, buf, index);
}
