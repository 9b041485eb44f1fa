/**
 * Attachments of a dma-buf and their mappings (drivers/dma-buf/dma-buf.c). The contract is in buf.ts.
 *
 * A dynamic importer (with importer_ops) is told when a mapping becomes invalid and waits for KERNEL fences
 * itself; for a static one the buffer is pinned while mapped, and the wait is done here.
 */
import { EBUSY, EINVAL, ENOMEM, ERR_PTR, IS_ERR } from "../debug/errno.ts";
import { symbol_call } from "../debug/image.ts";
import { WARN_ON, WARN_ON_ONCE } from "../debug/warn.ts";
import { list_add, list_del, list_next } from "../mm/list.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT, might_sleep } from "../sched/schedule.ts";
import {
  __attach_fill,
  __dma_buf_count,
  ATTACH_NODE,
  attach_dmabuf,
  attach_importer_ops,
  ATTACHMENT_SIZE,
  type AttachmentPtr,
  DMA_BUF_ATTACH_OPS_INVALIDATE_MAPPINGS,
  DMA_BUF_ATTACHMENTS,
  DMA_BUF_OPS_ATTACH,
  DMA_BUF_OPS_DETACH,
  DMA_BUF_OPS_MAP_DMA_BUF,
  DMA_BUF_OPS_PIN,
  DMA_BUF_OPS_UNMAP_DMA_BUF,
  DMA_BUF_OPS_UNPIN,
  dma_buf_op,
  dma_buf_resv,
  type DmaBufPtr,
  NR_ATTACHED,
  NR_DETACHED,
  NR_MAPPED,
  NR_UNMAPPED,
} from "./buf-struct.ts";
import type { SgTablePtr } from "./scatterlist.ts";
import {
  DMA_RESV_USAGE_KERNEL,
  dma_resv_assert_held,
  dma_resv_assert_not_held,
  dma_resv_held,
  dma_resv_lock,
  dma_resv_unlock,
  dma_resv_wait_timeout,
  type DmaResvPtr,
} from "./resv.ts";

/**
 * Takes the reservation for a verb that must be called without it, and returns whether there is something to unlock:
 * a caller that has it was warned about, and taking it again would hang.
 */
export function __dma_buf_lock(cpu: Cpu, resv: DmaResvPtr): boolean {
  if (dma_resv_held(cpu, resv)) return false;
  dma_resv_lock(cpu, resv, 0);
  return true;
}
export function __dma_buf_unlock(cpu: Cpu, resv: DmaResvPtr, locked: boolean): void {
  if (locked) dma_resv_unlock(cpu, resv);
}

/**
 * Adds `dev` to the users of the buffer. `importer_ops` 0 makes a static importer. Reservation not held: the
 * exporter is asked first. An address, or -errno.
 */
export function dma_buf_dynamic_attach(
  cpu: Cpu,
  dmabuf: DmaBufPtr,
  dev: number,
  importer_ops: number,
  importer_priv: number,
): AttachmentPtr {
  if (WARN_ON(cpu, dmabuf === 0 || dev === 0)) return ERR_PTR(-EINVAL) as AttachmentPtr;
  const resv = dma_buf_resv(cpu, dmabuf);
  dma_resv_assert_not_held(cpu, resv);
  const attach = kzalloc(cpu, ATTACHMENT_SIZE, GFP_KERNEL) as AttachmentPtr;
  if (attach === 0) return ERR_PTR(-ENOMEM) as AttachmentPtr;
  __attach_fill(cpu, attach, dmabuf, dev, importer_ops, importer_priv);
  const op = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_ATTACH);
  const error = op === 0 ? 0 : symbol_call(cpu, op, dmabuf, attach);
  if (error !== 0) {
    kfree(cpu, attach);
    return ERR_PTR(error) as AttachmentPtr;
  }
  const locked = __dma_buf_lock(cpu, resv);
  list_add(cpu, attach + ATTACH_NODE, dmabuf + DMA_BUF_ATTACHMENTS);
  __dma_buf_unlock(cpu, resv, locked);
  __dma_buf_count(cpu, NR_ATTACHED);
  return attach;
}

/** A static importer. */
export function dma_buf_attach(cpu: Cpu, dmabuf: DmaBufPtr, dev: number): AttachmentPtr {
  return dma_buf_dynamic_attach(cpu, dmabuf, dev, 0, 0);
}

/** Ends an attachment without mappings. Reservation not held. */
export function dma_buf_detach(cpu: Cpu, dmabuf: DmaBufPtr, attach: AttachmentPtr): void {
  if (WARN_ON(cpu, dmabuf === 0 || attach === 0 || attach_dmabuf(cpu, attach) !== dmabuf)) return;
  const resv = dma_buf_resv(cpu, dmabuf);
  dma_resv_assert_not_held(cpu, resv);
  const locked = __dma_buf_lock(cpu, resv);
  list_del(cpu, attach + ATTACH_NODE);
  __dma_buf_unlock(cpu, resv, locked);
  const op = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_DETACH);
  if (op !== 0) symbol_call(cpu, op, dmabuf, attach);
  kfree(cpu, attach);
  __dma_buf_count(cpu, NR_DETACHED);
}

export function dma_buf_attachment_is_dynamic(cpu: Cpu, attach: AttachmentPtr): boolean {
  return attach_importer_ops(cpu, attach) !== 0;
}

/** Can the importer let go of a mapping when told? */
export function dma_buf_attach_revocable(cpu: Cpu, attach: AttachmentPtr): boolean {
  const ops = attach_importer_ops(cpu, attach);
  return ops !== 0 && cpu.mem.read(ops + DMA_BUF_ATTACH_OPS_INVALIDATE_MAPPINGS) !== 0;
}

/** Keeps the buffer where it is, for a dynamic importer. Reservation held. 0 or -errno. */
export function dma_buf_pin(cpu: Cpu, attach: AttachmentPtr): number {
  if (WARN_ON(cpu, attach === 0)) return -EINVAL;
  const dmabuf = attach_dmabuf(cpu, attach);
  WARN_ON(cpu, !dma_buf_attachment_is_dynamic(cpu, attach));
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, dmabuf));
  const op = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_PIN);
  return op === 0 ? 0 : symbol_call(cpu, op, attach);
}

/** Reservation held. */
export function dma_buf_unpin(cpu: Cpu, attach: AttachmentPtr): void {
  if (WARN_ON(cpu, attach === 0)) return;
  const dmabuf = attach_dmabuf(cpu, attach);
  WARN_ON(cpu, !dma_buf_attachment_is_dynamic(cpu, attach));
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, dmabuf));
  const op = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_UNPIN);
  if (op !== 0) symbol_call(cpu, op, attach);
}

/** A movable buffer is pinned while a static importer has it mapped. */
function pin_on_map(cpu: Cpu, attach: AttachmentPtr): boolean {
  const movable = dma_buf_op(cpu, attach_dmabuf(cpu, attach), DMA_BUF_OPS_PIN) !== 0;
  return movable && !dma_buf_attachment_is_dynamic(cpu, attach);
}

/**
 * The addresses of the buffer for the attached device. Reservation held; sleeps. An sg_table, or -errno.
 * A dynamic importer has to wait for KERNEL fences before it uses them.
 */
export function dma_buf_map_attachment(cpu: Cpu, attach: AttachmentPtr, direction: number): SgTablePtr {
  might_sleep(cpu);
  if (WARN_ON(cpu, attach === 0 || attach_dmabuf(cpu, attach) === 0)) return ERR_PTR(-EINVAL) as SgTablePtr;
  const dmabuf = attach_dmabuf(cpu, attach);
  const resv = dma_buf_resv(cpu, dmabuf);
  dma_resv_assert_held(cpu, resv);
  const pinned = pin_on_map(cpu, attach);
  if (pinned) {
    const error = symbol_call(cpu, dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_PIN), attach);
    // Nothing that was attached may keep an exporter from pinning.
    WARN_ON_ONCE(cpu, error === -EBUSY);
    if (error !== 0) return ERR_PTR(error) as SgTablePtr;
  }
  const map = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_MAP_DMA_BUF);
  const sgt = symbol_call(cpu, map, attach, direction) as SgTablePtr;
  let error = sgt === 0 ? -ENOMEM : IS_ERR(sgt) ? sgt : 0;
  if (error === 0 && !dma_buf_attachment_is_dynamic(cpu, attach)) {
    const left = dma_resv_wait_timeout(cpu, resv, DMA_RESV_USAGE_KERNEL, true, MAX_SCHEDULE_TIMEOUT);
    if (left < 0) {
      symbol_call(cpu, dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_UNMAP_DMA_BUF), attach, sgt, direction);
      error = left;
    }
  }
  if (error === 0) {
    __dma_buf_count(cpu, NR_MAPPED);
    return sgt;
  }
  if (pinned) symbol_call(cpu, dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_UNPIN), attach);
  return ERR_PTR(error) as SgTablePtr;
}

/** Ends a mapping. Reservation held; sleeps. */
export function dma_buf_unmap_attachment(
  cpu: Cpu,
  attach: AttachmentPtr,
  sgt: SgTablePtr,
  direction: number,
): void {
  might_sleep(cpu);
  if (WARN_ON(cpu, attach === 0 || attach_dmabuf(cpu, attach) === 0 || sgt === 0)) return;
  const dmabuf = attach_dmabuf(cpu, attach);
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, dmabuf));
  symbol_call(cpu, dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_UNMAP_DMA_BUF), attach, sgt, direction);
  __dma_buf_count(cpu, NR_UNMAPPED);
  if (pin_on_map(cpu, attach)) symbol_call(cpu, dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_UNPIN), attach);
}

/** As dma_buf_map_attachment; takes the reservation. */
export function dma_buf_map_attachment_unlocked(
  cpu: Cpu,
  attach: AttachmentPtr,
  direction: number,
): SgTablePtr {
  if (WARN_ON(cpu, attach === 0 || attach_dmabuf(cpu, attach) === 0)) return ERR_PTR(-EINVAL) as SgTablePtr;
  const resv = dma_buf_resv(cpu, attach_dmabuf(cpu, attach));
  dma_resv_assert_not_held(cpu, resv);
  const locked = __dma_buf_lock(cpu, resv);
  const sgt = dma_buf_map_attachment(cpu, attach, direction);
  __dma_buf_unlock(cpu, resv, locked);
  return sgt;
}

/** As dma_buf_unmap_attachment; takes the reservation. */
export function dma_buf_unmap_attachment_unlocked(
  cpu: Cpu,
  attach: AttachmentPtr,
  sgt: SgTablePtr,
  direction: number,
): void {
  if (WARN_ON(cpu, attach === 0 || attach_dmabuf(cpu, attach) === 0 || sgt === 0)) return;
  const resv = dma_buf_resv(cpu, attach_dmabuf(cpu, attach));
  dma_resv_assert_not_held(cpu, resv);
  const locked = __dma_buf_lock(cpu, resv);
  dma_buf_unmap_attachment(cpu, attach, sgt, direction);
  __dma_buf_unlock(cpu, resv, locked);
}

/**
 * The exporter is about to move the buffer: tells every dynamic importer. Reservation held. Afterwards old
 * mappings may still be in use until the fences in the reservation have signaled; new ones may be asked for.
 */
export function dma_buf_invalidate_mappings(cpu: Cpu, dmabuf: DmaBufPtr): void {
  if (WARN_ON(cpu, dmabuf === 0)) return;
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, dmabuf));
  const head = dmabuf + DMA_BUF_ATTACHMENTS;
  for (let node = list_next(cpu, head); node !== head; node = list_next(cpu, node)) {
    const attach = (node - ATTACH_NODE) as AttachmentPtr;
    if (!dma_buf_attach_revocable(cpu, attach)) continue;
    const ops = attach_importer_ops(cpu, attach);
    symbol_call(cpu, cpu.mem.read(ops + DMA_BUF_ATTACH_OPS_INVALIDATE_MAPPINGS), attach);
  }
}
