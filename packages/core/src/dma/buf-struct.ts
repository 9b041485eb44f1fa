/**
 * struct dma_buf and struct dma_buf_attachment (include/linux/dma-buf.h): layout, accessors and the balance
 * of what was made and unmade. The contract is in buf.ts.
 */
import type { Ptr } from "atomics-sync";
import { kernel_static } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import type { FilePtr } from "../fs/file.ts";
import type { Cpu } from "../sched/cpu.ts";
import type { DevicePtr } from "./device.ts";
import { DMA_RESV_SIZE, type DmaResvPtr } from "./resv.ts";

export type DmaBufPtr = Ptr<"dma_buf">;
export type AttachmentPtr = Ptr<"dma_buf_attachment">;

/** struct dma_buf_ops: words of a kernel_rodata table. Unlocked ones run without the reservation lock. */
/** Unlocked (cpu, dmabuf, attach): 0 or -errno. Optional. */
export const DMA_BUF_OPS_ATTACH = 0;
/** Unlocked (cpu, dmabuf, attach). Optional. */
export const DMA_BUF_OPS_DETACH = 4;
/** Locked (cpu, attach): 0 or -errno. With UNPIN or not at all; says that the buffer may move. */
export const DMA_BUF_OPS_PIN = 8;
/** Locked (cpu, attach). */
export const DMA_BUF_OPS_UNPIN = 12;
/** Locked (cpu, attach, dir): sg_table, 0 for -ENOMEM, or -errno. */
export const DMA_BUF_OPS_MAP_DMA_BUF = 16;
/** Locked (cpu, attach, sg_table, dir). */
export const DMA_BUF_OPS_UNMAP_DMA_BUF = 20;
/** Unlocked (cpu, dmabuf): the last reference is gone. */
export const DMA_BUF_OPS_RELEASE = 24;
/** Unlocked (cpu, dmabuf, dir): 0 or -errno. Optional. */
export const DMA_BUF_OPS_BEGIN_CPU_ACCESS = 28;
export const DMA_BUF_OPS_END_CPU_ACCESS = 32;
/** Locked (cpu, dmabuf): address or -errno. Optional. */
export const DMA_BUF_OPS_VMAP = 36;
/** Locked (cpu, dmabuf, address). */
export const DMA_BUF_OPS_VUNMAP = 40;
export const DMA_BUF_OPS_WORDS = 11;

/** struct dma_buf_attach_ops of a dynamic importer: words of a kernel_rodata table. */
export const DMA_BUF_ATTACH_OPS_ALLOW_PEER2PEER = 0;
/** Locked (cpu, attach): must not sleep on the lock; the old mapping's use ends, soon. Optional. */
export const DMA_BUF_ATTACH_OPS_INVALIDATE_MAPPINGS = 4;
export const DMA_BUF_ATTACH_OPS_WORDS = 2;

// struct dma_buf. Constant after dma_buf_export:
const BUF_SIZE = 0;
const FILE = 8;
/** List of attachments. Guarded by the reservation lock. */
export const DMA_BUF_ATTACHMENTS = 12;
const OPS = 20;
// Guarded by the reservation lock:
export const DMA_BUF_VMAPPING_COUNTER = 24;
export const DMA_BUF_VMAP_PTR = 28;
// Constant after dma_buf_export:
const PRIV = 32;
const RESV = 36;
export const DMA_BUF_SIZE = 40;
/** Where the buffer's own reservation object lies, if it was exported without one. */
export const DMA_BUF_OWN_RESV = DMA_BUF_SIZE;

// struct dma_buf_attachment. Constant after dma_buf_dynamic_attach, but for PRIV:
const ATTACH_DMABUF = 0;
const ATTACH_DEV = 4;
/** Link in the buffer's list. Guarded by the reservation lock. */
export const ATTACH_NODE = 8;
const ATTACH_PEER2PEER = 16;
const ATTACH_IMPORTER_OPS = 20;
const ATTACH_IMPORTER_PRIV = 24;
/** The exporter's. */
const ATTACH_PRIV = 28;
export const ATTACHMENT_SIZE = 32;

struct_layout("dma_buf", DMA_BUF_SIZE + DMA_RESV_SIZE, [
  ["size", BUF_SIZE, 8],
  ["file", FILE, 4],
  ["attachments", DMA_BUF_ATTACHMENTS, 4],
  ["attachments.prev", DMA_BUF_ATTACHMENTS + 4, 4],
  ["ops", OPS, 4],
  ["vmapping_counter", DMA_BUF_VMAPPING_COUNTER, 4],
  ["vmap_ptr", DMA_BUF_VMAP_PTR, 4],
  ["priv", PRIV, 4],
  ["resv", RESV, 4],
  ["own_resv", DMA_BUF_OWN_RESV, DMA_RESV_SIZE],
]);
struct_layout("dma_buf_attachment", ATTACHMENT_SIZE, [
  ["dmabuf", ATTACH_DMABUF, 4],
  ["dev", ATTACH_DEV, 4],
  ["node", ATTACH_NODE, 8],
  ["peer2peer", ATTACH_PEER2PEER, 4],
  ["importer_ops", ATTACH_IMPORTER_OPS, 4],
  ["importer_priv", ATTACH_IMPORTER_PRIV, 4],
  ["priv", ATTACH_PRIV, 4],
]);

export function __dma_buf_fill(
  cpu: Cpu,
  dmabuf: DmaBufPtr,
  ops: number,
  priv: number,
  size: number,
  resv: DmaResvPtr,
): void {
  cpu.mem.write64(dmabuf + BUF_SIZE, size);
  cpu.mem.write(dmabuf + OPS, ops);
  cpu.mem.write(dmabuf + DMA_BUF_VMAPPING_COUNTER, 0);
  cpu.mem.write(dmabuf + DMA_BUF_VMAP_PTR, 0);
  cpu.mem.write(dmabuf + PRIV, priv);
  cpu.mem.write(dmabuf + RESV, resv);
}
export function __dma_buf_set_file(cpu: Cpu, dmabuf: DmaBufPtr, file: FilePtr): void {
  cpu.mem.write(dmabuf + FILE, file);
}

export function __attach_fill(
  cpu: Cpu,
  attach: AttachmentPtr,
  dmabuf: DmaBufPtr,
  dev: number,
  importer_ops: number,
  importer_priv: number,
): void {
  const peer2peer = importer_ops === 0 ? 0 : cpu.mem.read(importer_ops + DMA_BUF_ATTACH_OPS_ALLOW_PEER2PEER);
  cpu.mem.write(attach + ATTACH_DMABUF, dmabuf);
  cpu.mem.write(attach + ATTACH_DEV, dev);
  cpu.mem.write(attach + ATTACH_PEER2PEER, peer2peer);
  cpu.mem.write(attach + ATTACH_IMPORTER_OPS, importer_ops);
  cpu.mem.write(attach + ATTACH_IMPORTER_PRIV, importer_priv);
  cpu.mem.write(attach + ATTACH_PRIV, 0);
}

export function dma_buf_size(cpu: Cpu, dmabuf: DmaBufPtr): number {
  return cpu.mem.read64(dmabuf + BUF_SIZE);
}
export function dma_buf_file(cpu: Cpu, dmabuf: DmaBufPtr): FilePtr {
  return cpu.mem.read(dmabuf + FILE) as FilePtr;
}
export function dma_buf_op(cpu: Cpu, dmabuf: DmaBufPtr, op: number): number {
  return cpu.mem.read(cpu.mem.read(dmabuf + OPS) + op);
}
/** The exporter's. */
export function dma_buf_priv(cpu: Cpu, dmabuf: DmaBufPtr): number {
  return cpu.mem.read(dmabuf + PRIV);
}
export function dma_buf_resv(cpu: Cpu, dmabuf: DmaBufPtr): DmaResvPtr {
  return cpu.mem.read(dmabuf + RESV) as DmaResvPtr;
}

export function attach_dmabuf(cpu: Cpu, attach: AttachmentPtr): DmaBufPtr {
  return cpu.mem.read(attach + ATTACH_DMABUF) as DmaBufPtr;
}
export function attach_dev(cpu: Cpu, attach: AttachmentPtr): DevicePtr {
  return cpu.mem.read(attach + ATTACH_DEV) as DevicePtr;
}
export function attach_peer2peer(cpu: Cpu, attach: AttachmentPtr): boolean {
  return cpu.mem.read(attach + ATTACH_PEER2PEER) !== 0;
}
export function attach_importer_ops(cpu: Cpu, attach: AttachmentPtr): number {
  return cpu.mem.read(attach + ATTACH_IMPORTER_OPS);
}
export function attach_importer_priv(cpu: Cpu, attach: AttachmentPtr): number {
  return cpu.mem.read(attach + ATTACH_IMPORTER_PRIV);
}
/** The exporter's word of an attachment. */
export function attach_priv(cpu: Cpu, attach: AttachmentPtr): number {
  return cpu.mem.read(attach + ATTACH_PRIV);
}
export function attach_set_priv(cpu: Cpu, attach: AttachmentPtr, priv: number): void {
  cpu.mem.write(attach + ATTACH_PRIV, priv);
}

/** Words counted up only; atomic. */
const COUNTERS = kernel_static("dma_buf_counters", 24);
export const NR_EXPORTED = 0;
export const NR_RELEASED = 4;
export const NR_ATTACHED = 8;
export const NR_DETACHED = 12;
export const NR_MAPPED = 16;
export const NR_UNMAPPED = 20;

export function __dma_buf_count(cpu: Cpu, counter: number): void {
  cpu.mem.fetchAdd(COUNTERS + counter, 1);
}

export interface DmaBufCounters {
  readonly exported: number;
  readonly released: number;
  readonly attached: number;
  readonly detached: number;
  readonly mapped: number;
  readonly unmapped: number;
}

/** Balanced at the end of a run: released, detached and unmapped equal their partners. */
export function dma_buf_counters(cpu: Cpu): DmaBufCounters {
  return {
    exported: cpu.mem.loadAcquire(COUNTERS + NR_EXPORTED),
    released: cpu.mem.loadAcquire(COUNTERS + NR_RELEASED),
    attached: cpu.mem.loadAcquire(COUNTERS + NR_ATTACHED),
    detached: cpu.mem.loadAcquire(COUNTERS + NR_DETACHED),
    mapped: cpu.mem.loadAcquire(COUNTERS + NR_MAPPED),
    unmapped: cpu.mem.loadAcquire(COUNTERS + NR_UNMAPPED),
  };
}
