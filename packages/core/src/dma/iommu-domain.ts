/**
 * struct iommu_domain (drivers/iommu/dma-iommu.c): the address space of one device: page table, allocator of
 * I/O addresses, flush words, and in lazy mode the flush queue. It fills a page of its own.
 *
 * Modes (config.iommu): strict, an unmapped address is flushed before iommu_dma_unmap returns; lazy, flushes
 * are batched; passthrough has no domain.
 *
 * Interface: iommu_alloc_iova, iommu_map, tell the device; when the device is done, iommu_dma_unmap.
 */
import type { Ptr } from "atomics-sync";
import { ENOMEM, ERR_PTR } from "../debug/errno.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ONCE } from "../debug/warn.ts";
import { __get_free_pages, free_pages } from "../mm/page-alloc.ts";
import { __GFP_ZERO, GFP_KERNEL } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { io_pgtable_alloc, io_pgtable_free, io_pgtable_map, io_pgtable_unmap } from "./io-pgtable.ts";
import { FLUSH_QUEUE_SIZE, fq_drain, fq_init, queue_iova } from "./iommu-flush-queue.ts";
import {
  IOMMU_FLUSH_SIZE,
  iommu_flush_init,
  iommu_flush_post,
  iommu_flush_quiesce,
  iommu_flush_wait,
} from "./iommu-flush.ts";
import { type Iova, IOVA_DOMAIN_SIZE, iova_alloc, iova_domain_init, iova_free, iova_in_use } from "./iova.ts";

export type IommuDomainPtr = Ptr<"iommu_domain">;

// Constant after iommu_domain_alloc:
const TOP = 0;
const LAZY = 4;
// Each with its own locks:
const FLUSH = 128;
const IOVAD: number = FLUSH + IOMMU_FLUSH_SIZE;
const FQ: number = IOVAD + IOVA_DOMAIN_SIZE;
const IOMMU_DOMAIN_SIZE: number = FQ + FLUSH_QUEUE_SIZE;

struct_layout("iommu_domain", 4096, [
  ["pgtable", TOP, 4],
  ["lazy", LAZY, 4],
  ["flush", FLUSH, IOMMU_FLUSH_SIZE],
  ["iovad", IOVAD, IOVA_DOMAIN_SIZE],
  ["fq", FQ, IOMMU_DOMAIN_SIZE - FQ],
]);

/** A new empty domain; -ENOMEM, or -ENOSPC when memory leaves no room for I/O addresses. */
export function iommu_domain_alloc(cpu: Cpu): IommuDomainPtr {
  const domain = __get_free_pages(cpu, GFP_KERNEL | __GFP_ZERO, 0);
  if (domain === 0) return ERR_PTR(-ENOMEM) as IommuDomainPtr;
  const top = io_pgtable_alloc(cpu);
  const error = top === 0 ? -ENOMEM : iova_domain_init(cpu, domain + IOVAD, top);
  if (error < 0) {
    if (top !== 0) io_pgtable_free(cpu, top);
    free_pages(cpu, domain, 0);
    return ERR_PTR(error) as IommuDomainPtr;
  }
  cpu.mem.write(domain + TOP, top);
  cpu.mem.write(domain + LAZY, cpu.config.iommu === "lazy" ? 1 : 0);
  iommu_flush_init(cpu, domain + FLUSH);
  fq_init(cpu, domain + FQ, domain + FLUSH, domain + IOVAD);
  return domain as IommuDomainPtr;
}

/** The device is stopped and nothing is mapped any more. */
export function iommu_domain_free(cpu: Cpu, domain: IommuDomainPtr): void {
  // It would go on polling freed memory.
  WARN_ONCE(cpu, !iommu_flush_quiesce(cpu, domain + FLUSH), "iommu: domain freed while its device runs");
  fq_drain(cpu, domain + FQ);
  const leaked = iova_in_use(cpu, domain + IOVAD) !== 0;
  WARN_ONCE(cpu, leaked, "DMA-API: device driver has pending DMA allocations while released from device");
  io_pgtable_free(cpu, cpu.mem.read(domain + TOP));
  free_pages(cpu, domain, 0);
}

/** The words of the flush protocol, for the device. */
export function iommu_domain_flush(domain: IommuDomainPtr): number {
  return domain + FLUSH;
}

export function iommu_domain_pgtable(cpu: Cpu, domain: IommuDomainPtr): number {
  return cpu.mem.read(domain + TOP);
}

/** Ranges mapped or parked in the flush queue. */
export function iommu_domain_ranges(cpu: Cpu, domain: IommuDomainPtr): number {
  return iova_in_use(cpu, domain + IOVAD);
}

/** `pages` pages of I/O addresses, not mapped yet; 0 when there are none. */
export function iommu_alloc_iova(cpu: Cpu, domain: IommuDomainPtr, pages: number): Iova {
  return iova_alloc(cpu, domain + IOVAD, pages);
}

/** Gives back a range that no device was told of; its entries are clear. */
export function iommu_free_iova(cpu: Cpu, domain: IommuDomainPtr, iova: Iova, pages: number): void {
  iova_free(cpu, domain + IOVAD, iova, pages);
}

/** Maps pages at part of an allocated range. 0 or -ENOMEM. */
export function iommu_map(
  cpu: Cpu,
  domain: IommuDomainPtr,
  iova: number,
  address: number,
  pages: number,
  prot: number,
): number {
  return io_pgtable_map(cpu, cpu.mem.read(domain + TOP), iova, address, pages, prot);
}

/** Takes back pages that no device was told of: nothing to flush. */
export function iommu_unmap_untold(cpu: Cpu, domain: IommuDomainPtr, iova: number, pages: number): void {
  io_pgtable_unmap(cpu, cpu.mem.read(domain + TOP), iova, pages);
}

/**
 * Unmaps a whole range and frees it. Strict: on return the device has no translation of it and does no DMA
 * through it. Lazy: the device may still have one for a while. May wait for the device, in any context.
 */
export function iommu_dma_unmap(cpu: Cpu, domain: IommuDomainPtr, iova: Iova, pages: number): void {
  const cleared = io_pgtable_unmap(cpu, cpu.mem.read(domain + TOP), iova, pages);
  const foreign = cleared !== pages;
  // Freeing it would hand the same address out twice.
  if (WARN_ONCE(cpu, foreign, "DMA-API: device driver tries to free DMA memory it has not allocated")) return;
  if (cpu.mem.read(domain + LAZY) !== 0) {
    queue_iova(cpu, domain + FQ, iova, pages);
    return;
  }
  iommu_flush_wait(cpu, domain + FLUSH, iommu_flush_post(cpu, domain + FLUSH));
  iova_free(cpu, domain + IOVAD, iova, pages);
}
