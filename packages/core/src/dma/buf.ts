/**
 * dma-buf (include/linux/dma-buf.h, drivers/dma-buf/dma-buf.c): a buffer one driver exports and others
 * import. It lives as long as its file.
 *
 * The locking convention, which every verb asserts. An importer holds the reservation lock for map, unmap,
 * pin, unpin, vmap, vunmap, and must not hold it for export, fd, get, put, attach, detach and begin or end of
 * CPU access. An exporter holds it for invalidate_mappings. The exporter's callbacks run accordingly: attach,
 * detach, release and CPU access unlocked, the others locked.
 *
 * Interface: dma_buf_export gives one reference; dma_buf_fd hands it to a descriptor; dma_buf_get and
 * dma_buf_put; buf-attach.ts for importers; dma_buf_invalidate_mappings before the exporter moves the buffer.
 */
import { EBADF, EINVAL, ENOMEM, ERR_PTR } from "../debug/errno.ts";
import { kernel_rodata, kernel_symbol, symbol_call } from "../debug/image.ts";
import { BUG_ON, WARN_ON } from "../debug/warn.ts";
import { fd_install, fget, get_unused_fd_flags } from "../fs/fdtable.ts";
import {
  anon_inode_getfile,
  file_fop,
  file_private,
  type FilePtr,
  fput,
  get_file,
  O_RDWR,
} from "../fs/file.ts";
import { INIT_LIST_HEAD, list_empty } from "../mm/list.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import {
  __dma_buf_count,
  __dma_buf_fill,
  __dma_buf_set_file,
  DMA_BUF_ATTACHMENTS,
  DMA_BUF_OPS_MAP_DMA_BUF,
  DMA_BUF_OPS_PIN,
  DMA_BUF_OPS_RELEASE,
  DMA_BUF_OPS_UNMAP_DMA_BUF,
  DMA_BUF_OPS_UNPIN,
  DMA_BUF_OWN_RESV,
  DMA_BUF_SIZE,
  DMA_BUF_VMAPPING_COUNTER,
  dma_buf_file,
  dma_buf_op,
  dma_buf_resv,
  type DmaBufPtr,
  NR_EXPORTED,
  NR_RELEASED,
} from "./buf-struct.ts";
import {
  DMA_RESV_SIZE,
  dma_resv_assert_not_held,
  dma_resv_fini,
  dma_resv_init,
  type DmaResvPtr,
} from "./resv.ts";

export * from "./buf-struct.ts";
export * from "./buf-attach.ts";
export * from "./buf-access.ts";

const dma_buf_fops = kernel_rodata("dma_buf_fops", [kernel_symbol(dma_buf_file_release), 0, 0, 0, 0, 0]);

/**
 * Makes a dma-buf of `size` bytes. `ops` is a table of DMA_BUF_OPS_WORDS words, `priv` the exporter's; with
 * `resv` 0 it gets a reservation object of its own. An address with one reference, or -EINVAL, -ENOMEM.
 */
export function dma_buf_export(
  cpu: Cpu,
  ops: number,
  priv: number,
  size: number,
  resv: DmaResvPtr | 0,
): DmaBufPtr {
  if (WARN_ON(cpu, priv === 0 || ops === 0 || !has_required_ops(cpu, ops))) {
    return ERR_PTR(-EINVAL) as DmaBufPtr;
  }
  if (resv !== 0) dma_resv_assert_not_held(cpu, resv);
  const pin = cpu.mem.read(ops + DMA_BUF_OPS_PIN) !== 0;
  if (WARN_ON(cpu, pin !== (cpu.mem.read(ops + DMA_BUF_OPS_UNPIN) !== 0)))
    return ERR_PTR(-EINVAL) as DmaBufPtr;
  const bytes = DMA_BUF_SIZE + (resv === 0 ? DMA_RESV_SIZE : 0);
  const dmabuf = kzalloc(cpu, bytes, GFP_KERNEL) as DmaBufPtr;
  if (dmabuf === 0) return ERR_PTR(-ENOMEM) as DmaBufPtr;
  const file = anon_inode_getfile(cpu, dma_buf_fops, dmabuf, O_RDWR);
  if (file === 0) {
    kfree(cpu, dmabuf);
    return ERR_PTR(-ENOMEM) as DmaBufPtr;
  }
  const own = (dmabuf + DMA_BUF_OWN_RESV) as DmaResvPtr;
  if (resv === 0) dma_resv_init(cpu, own);
  INIT_LIST_HEAD(cpu, dmabuf + DMA_BUF_ATTACHMENTS);
  __dma_buf_fill(cpu, dmabuf, ops, priv, size, resv === 0 ? own : resv);
  __dma_buf_set_file(cpu, dmabuf, file);
  __dma_buf_count(cpu, NR_EXPORTED);
  return dmabuf;
}

function has_required_ops(cpu: Cpu, ops: number): boolean {
  const map = cpu.mem.read(ops + DMA_BUF_OPS_MAP_DMA_BUF);
  const unmap = cpu.mem.read(ops + DMA_BUF_OPS_UNMAP_DMA_BUF);
  return map !== 0 && unmap !== 0 && cpu.mem.read(ops + DMA_BUF_OPS_RELEASE) !== 0;
}

/** The last reference to the file is gone. */
function dma_buf_file_release(cpu: Cpu, file: FilePtr): void {
  const dmabuf = file_private(cpu, file) as DmaBufPtr;
  BUG_ON(
    cpu,
    cpu.mem.read(dmabuf + DMA_BUF_VMAPPING_COUNTER) !== 0,
    "dma_buf_release: vmapping_counter != 0",
  );
  // An importer that detaches later would use freed memory.
  WARN_ON(cpu, !list_empty(cpu, dmabuf + DMA_BUF_ATTACHMENTS));
  symbol_call(cpu, dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_RELEASE), dmabuf);
  const own = (dmabuf + DMA_BUF_OWN_RESV) as DmaResvPtr;
  if (dma_buf_resv(cpu, dmabuf) === own) dma_resv_fini(cpu, own);
  kfree(cpu, dmabuf);
  __dma_buf_count(cpu, NR_RELEASED);
}

/** Installs the buffer under a new descriptor, which takes over the caller's reference. fd or -errno. */
export function dma_buf_fd(cpu: Cpu, dmabuf: DmaBufPtr, flags: number = 0): number {
  if (dmabuf === 0 || dma_buf_file(cpu, dmabuf) === 0) return -EINVAL;
  dma_resv_assert_not_held(cpu, dma_buf_resv(cpu, dmabuf));
  const fd = get_unused_fd_flags(cpu, flags);
  if (fd >= 0) fd_install(cpu, fd, dma_buf_file(cpu, dmabuf));
  return fd;
}

/** The buffer behind `fd` with a reference; -EBADF, or -EINVAL when it is another kind of file. */
export function dma_buf_get(cpu: Cpu, fd: number): DmaBufPtr {
  const file = fget(cpu, fd);
  if (file === 0) return ERR_PTR(-EBADF) as DmaBufPtr;
  if (file_fop(cpu, file) !== dma_buf_fops) {
    fput(cpu, file);
    return ERR_PTR(-EINVAL) as DmaBufPtr;
  }
  const dmabuf = file_private(cpu, file) as DmaBufPtr;
  dma_resv_assert_not_held(cpu, dma_buf_resv(cpu, dmabuf));
  return dmabuf;
}

/** One more reference; the caller has one. */
export function get_dma_buf(cpu: Cpu, dmabuf: DmaBufPtr): void {
  get_file(cpu, dma_buf_file(cpu, dmabuf));
}

/** Drops a reference. The last one releases the buffer: may sleep, reservation not held. */
export function dma_buf_put(cpu: Cpu, dmabuf: DmaBufPtr): void {
  if (WARN_ON(cpu, dmabuf === 0 || dma_buf_file(cpu, dmabuf) === 0)) return;
  dma_resv_assert_not_held(cpu, dma_buf_resv(cpu, dmabuf));
  fput(cpu, dma_buf_file(cpu, dmabuf));
}
