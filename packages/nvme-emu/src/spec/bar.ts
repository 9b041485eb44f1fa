/**
 * BAR0: registers, MSI-X table and doorbells as plain words of the machine's memory, and how the two sides
 * notice each other's writes.
 *
 *   0x0000  properties (spec/registers.ts)       0x0c80  MSI-X pending bits, one a vector
 *   0x0800  MSI-X table, 16 bytes a vector       0x1000  doorbells, one every 128 bytes
 *
 * Only the host writes CC, AQA, ASQ, ACQ, the doorbells and the MSI-X table; only the device writes the rest.
 * But the device zeroes doorbells: all at enable and reset, a queue's own when it is made or deleted, and those
 * of no queue.
 * There is no trap on a store: the device polls, and when idle it sleeps.
 *
 * Interface, host side: store the register or tail doorbell with storeRelease, then nvme_ring_device(cpu);
 * nvme_mmio_write32 does both. After a head doorbell nvme_ring_cq_head(cpu) is enough. INTMS and INTMC must
 * go through nvme_mmio_write32, which applies them.
 *
 * Specs:
 *   [P]  NVM Express NVMe over PCIe Transport Specification 1.1
 */
import { kernel_static } from "@ringside/core/debug/image";
import { device_cpu_id } from "@ringside/core/mm/memory-map";
import type { Cpu } from "@ringside/core/sched/cpu";
import { kick_task, task_is_sleeping, task_of_cpu } from "@ringside/core/sched/task";
import { NVME_REG_DBS, NVME_REG_INTMC, NVME_REG_INTMS } from "./registers.ts";

/** CAP.DSTRD: doorbells are 4 << 5 = 128 bytes apart, so no two share a cache line pair. */
export const NVME_DSTRD = 5;
export const NVME_DB_STRIDE: number = 4 << NVME_DSTRD;
/** Submission (and completion) queues with doorbells: the admin queue and 64 of I/O. */
export const NVME_MAX_QUEUES = 65;
export const NVME_MAX_IO_QUEUES = 64;
/** CAP.MQES + 1: entries of the largest I/O queue. */
export const NVME_MAX_QUEUE_ENTRIES = 4096;

export const NVME_BAR0_SIZE = 24576;
/** Address of register 0. */
export const NVME_BAR0: number = kernel_static("nvme_bar0", NVME_BAR0_SIZE);

/** [P] 3.1.2.1 address of the tail doorbell of submission queue `qid`. */
export function nvme_sq_doorbell(qid: number): number {
  return NVME_BAR0 + NVME_REG_DBS + 2 * qid * NVME_DB_STRIDE;
}

/** [P] 3.1.2.2 address of the head doorbell of completion queue `qid`. */
export function nvme_cq_doorbell(qid: number): number {
  return NVME_BAR0 + NVME_REG_DBS + (2 * qid + 1) * NVME_DB_STRIDE;
}

/** MSI-X table: { addr_lo = target CPU id, addr_hi = 0, data = its irq vector 0 ... 7, control }. */
export const NVME_MSIX_TABLE = 0x800;
export const NVME_MSIX_ENTRY_SIZE = 16;
export const NVME_MSIX_VECTORS = 65;
export const MSIX_ENTRY_ADDR_LO = 0;
export const MSIX_ENTRY_ADDR_HI = 4;
export const MSIX_ENTRY_DATA = 8;
export const MSIX_ENTRY_CTRL = 12;
export const MSIX_CTRL_MASKED = 1;
/** Pending bit array: three words. */
export const NVME_MSIX_PBA = 0xc80;

/** Address of the table entry of `vector`. */
export function nvme_msix_entry(vector: number): number {
  return NVME_BAR0 + NVME_MSIX_TABLE + vector * NVME_MSIX_ENTRY_SIZE;
}

/** Programs a vector: interrupts of it arrive at CPU `target` as `irq`. Unmasks it. */
export function nvme_msix_program(cpu: Cpu, vector: number, target: number, irq: number): void {
  const entry = nvme_msix_entry(vector);
  cpu.mem.write(entry + MSIX_ENTRY_ADDR_LO, target);
  cpu.mem.write(entry + MSIX_ENTRY_ADDR_HI, 0);
  cpu.mem.write(entry + MSIX_ENTRY_DATA, irq);
  // Pairs with the loadAcquire of the control word in nvme_irq_deliver: an unmasked vector has its target.
  cpu.mem.storeRelease(entry + MSIX_ENTRY_CTRL, 0);
  nvme_ring_device(cpu);
}

/**
 * Wakes the controller if it sleeps; call it after every store the controller should notice.
 *
 * Pairs with futex_announce in nvme_idle: the device sets SLEEPING, then looks at CC and the doorbells. We
 * stored first and look at SLEEPING after. Both are storeRelease then loadAcquire of the other's word, and
 * those may not pass each other here: otherwise we would skip the kick and the device would sleep on it.
 */
export function nvme_ring_device(cpu: Cpu): void {
  const task = task_of_cpu(cpu, device_cpu_id(cpu.config));
  if (task_is_sleeping(cpu, task)) kick_task(cpu, task);
}

/** Not zero while some completion queue is full and the device waits for its head to move. */
export const NVME_CQ_WITHHELD: number = kernel_static("nvme_cq_withheld", 4);

/**
 * After the store of a completion queue head: the device needs to hear of it only if a queue was full. A
 * sleeping device is left asleep otherwise. (nvme_ring_device would be right too, and wake it for nothing.)
 *
 * Pairs with the second look in nvme_cq_room: it sets WITHHELD, then reads the head once more.
 */
export function nvme_ring_cq_head(cpu: Cpu): void {
  if (cpu.mem.loadAcquire(NVME_CQ_WITHHELD) !== 0) nvme_ring_device(cpu);
}

/** A 32-bit register write as the device sees it. `offset` is from BAR0. */
export function nvme_mmio_write32(cpu: Cpu, offset: number, value: number): void {
  const mask = NVME_BAR0 + NVME_REG_INTMS;
  if (offset === NVME_REG_INTMS) cpu.mem.fetchOr(mask, value);
  else if (offset === NVME_REG_INTMC) cpu.mem.fetchAnd(mask, ~value);
  else cpu.mem.storeRelease(NVME_BAR0 + offset, value);
  nvme_ring_device(cpu);
}

/** A 32-bit register read, unsigned. INTMC reads as the mask too, [P] 3.1.1. */
export function nvme_mmio_read32(cpu: Cpu, offset: number): number {
  const at = offset === NVME_REG_INTMC ? NVME_REG_INTMS : offset;
  return cpu.mem.loadAcquire(NVME_BAR0 + at) >>> 0;
}

/** A 64-bit register read as two 32-bit ones, low first. */
export function nvme_mmio_read64(cpu: Cpu, offset: number): number {
  return nvme_mmio_read32(cpu, offset) + nvme_mmio_read32(cpu, offset + 4) * 4294967296;
}

/** A 64-bit register write as two 32-bit ones, low first. */
export function nvme_mmio_write64(cpu: Cpu, offset: number, value: number): void {
  nvme_mmio_write32(cpu, offset, value);
  nvme_mmio_write32(cpu, offset + 4, value / 4294967296);
}
