/**
 * struct nvme_dev (drivers/nvme/host/pci.c): the controller as the driver knows it. One per machine.
 *
 * Interface: nvme_dev(cpu) gives it after probe, 0 otherwise; nvme_disk(cpu) the namespace's disk.
 */
import type { Ptr } from "atomics-sync";
import { kernel_static } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import type { GendiskPtr } from "@ringside/core/block/disk";
import type { Cpu } from "@ringside/core/sched/cpu";
import { WORK_STRUCT_SIZE } from "@ringside/core/sched/workqueue";
import { NVME_ADMIN_SIZE } from "./admin-queue.ts";
import { NVME_QUEUE_SIZE, type NvmeQueuePtr } from "./queue.ts";

export type NvmeDevPtr = Ptr<"nvme_dev">;

/** The admin queue's user side comes first (admin-queue.ts). Everything else is constant after probe. */
const QUEUES: number = (NVME_ADMIN_SIZE + 7) & ~7;
const NR_IRQ_QUEUES: number = QUEUES + 4;
const NR_POLL_QUEUES: number = QUEUES + 8;
const Q_DEPTH: number = QUEUES + 12;
const MAX_HW_BYTES: number = QUEUES + 16;
const WRITE_CACHE: number = QUEUES + 20;
const LBA_SHIFT: number = QUEUES + 24;
const DISK: number = QUEUES + 28;
const NR_LBAS: number = QUEUES + 32;
/** A page for identify data and logs, and its DMA address; used under the admin mutex's caller. */
const BUFFER: number = QUEUES + 40;
const BUFFER_DMA: number = QUEUES + 44;
/** I/O queues that exist on the device. */
const ONLINE_QUEUES: number = QUEUES + 48;
/** The one Abort command at a time (timeout.ts): what it says, whether it is under way, and the work that sends it. */
const ABORT_CDW10: number = QUEUES + 52;
const ABORT_BUSY: number = QUEUES + 56;
const ABORT_WORK: number = QUEUES + 60;
export const NVME_DEV_SIZE: number = ABORT_WORK + WORK_STRUCT_SIZE;

struct_layout("nvme_dev", NVME_DEV_SIZE, [
  ["admin", 0, NVME_ADMIN_SIZE],
  ["queues", QUEUES, 4],
  ["nr_irq_queues", NR_IRQ_QUEUES, 4],
  ["nr_poll_queues", NR_POLL_QUEUES, 4],
  ["q_depth", Q_DEPTH, 4],
  ["max_hw_bytes", MAX_HW_BYTES, 4],
  ["write_cache", WRITE_CACHE, 4],
  ["lba_shift", LBA_SHIFT, 4],
  ["disk", DISK, 4],
  ["nr_lbas", NR_LBAS, 8],
  ["buffer", BUFFER, 4],
  ["buffer_dma", BUFFER_DMA, 4],
  ["online_queues", ONLINE_QUEUES, 4],
  ["abort_cdw10", ABORT_CDW10, 4],
  ["abort_busy", ABORT_BUSY, 4],
  ["abort_work", ABORT_WORK, WORK_STRUCT_SIZE],
]);

/** The probed device; written by probe and remove. */
const NVME_DEV = kernel_static("nvme_dev", 4);

export function nvme_dev(cpu: Cpu): NvmeDevPtr {
  return cpu.mem.loadAcquire(NVME_DEV) as NvmeDevPtr;
}
export function nvme_set_dev(cpu: Cpu, dev: number): void {
  cpu.mem.storeRelease(NVME_DEV, dev);
}

/** The namespace's disk, or 0. */
export function nvme_disk(cpu: Cpu): GendiskPtr {
  const dev = nvme_dev(cpu);
  return dev === 0 ? (0 as GendiskPtr) : (cpu.mem.read(dev + DISK) as GendiskPtr);
}

export function dev_set_queues(cpu: Cpu, dev: NvmeDevPtr, queues: number): void {
  cpu.mem.write(dev + QUEUES, queues);
}
export function dev_queues(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + QUEUES);
}
/** Queue `qid`; 0 is the admin queue. */
export function dev_queue(cpu: Cpu, dev: NvmeDevPtr, qid: number): NvmeQueuePtr {
  return (cpu.mem.read(dev + QUEUES) + qid * NVME_QUEUE_SIZE) as NvmeQueuePtr;
}

export function dev_set_queue_counts(cpu: Cpu, dev: NvmeDevPtr, irq: number, poll: number): void {
  cpu.mem.write(dev + NR_IRQ_QUEUES, irq);
  cpu.mem.write(dev + NR_POLL_QUEUES, poll);
}
export function dev_nr_irq_queues(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + NR_IRQ_QUEUES);
}
export function dev_nr_poll_queues(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + NR_POLL_QUEUES);
}
export function dev_online_queues(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + ONLINE_QUEUES);
}
export function dev_set_online_queues(cpu: Cpu, dev: NvmeDevPtr, nr: number): void {
  cpu.mem.write(dev + ONLINE_QUEUES, nr);
}
export function dev_q_depth(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + Q_DEPTH);
}
export function dev_set_q_depth(cpu: Cpu, dev: NvmeDevPtr, depth: number): void {
  cpu.mem.write(dev + Q_DEPTH, depth);
}

export function dev_set_controller(
  cpu: Cpu,
  dev: NvmeDevPtr,
  max_hw_bytes: number,
  write_cache: boolean,
): void {
  cpu.mem.write(dev + MAX_HW_BYTES, max_hw_bytes);
  cpu.mem.write(dev + WRITE_CACHE, write_cache ? 1 : 0);
}
export function dev_set_namespace(cpu: Cpu, dev: NvmeDevPtr, lba_shift: number, nr_lbas: number): void {
  cpu.mem.write(dev + LBA_SHIFT, lba_shift);
  cpu.mem.write64(dev + NR_LBAS, nr_lbas);
}
export function dev_max_hw_bytes(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + MAX_HW_BYTES);
}
export function dev_has_write_cache(cpu: Cpu, dev: NvmeDevPtr): boolean {
  return cpu.mem.read(dev + WRITE_CACHE) !== 0;
}
export function dev_lba_shift(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + LBA_SHIFT);
}
export function dev_nr_lbas(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read64(dev + NR_LBAS);
}
export function dev_disk(cpu: Cpu, dev: NvmeDevPtr): GendiskPtr {
  return cpu.mem.read(dev + DISK) as GendiskPtr;
}
export function dev_set_disk(cpu: Cpu, dev: NvmeDevPtr, disk: number): void {
  cpu.mem.write(dev + DISK, disk);
}

export function dev_set_buffer(cpu: Cpu, dev: NvmeDevPtr, buffer: number, dma: number): void {
  cpu.mem.write(dev + BUFFER, buffer);
  cpu.mem.write(dev + BUFFER_DMA, dma);
}
export function dev_buffer(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + BUFFER);
}
export function dev_buffer_dma(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + BUFFER_DMA);
}

/** Claims the abort command; false while another one is under way. */
export function dev_claim_abort(cpu: Cpu, dev: NvmeDevPtr): boolean {
  return cpu.mem.compareExchange(dev + ABORT_BUSY, 0, 1) === 0;
}
export function dev_release_abort(cpu: Cpu, dev: NvmeDevPtr): void {
  cpu.mem.storeRelease(dev + ABORT_BUSY, 0);
}
export function dev_abort_cdw10(cpu: Cpu, dev: NvmeDevPtr): number {
  return cpu.mem.read(dev + ABORT_CDW10);
}
export function dev_set_abort_cdw10(cpu: Cpu, dev: NvmeDevPtr, cdw10: number): void {
  cpu.mem.write(dev + ABORT_CDW10, cdw10);
}
export function dev_abort_work(dev: NvmeDevPtr): number {
  return dev + ABORT_WORK;
}
export function abort_work_dev(work: number): NvmeDevPtr {
  return (work - ABORT_WORK) as NvmeDevPtr;
}
