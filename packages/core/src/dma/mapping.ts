/**
 * The DMA API (include/linux/dma-mapping.h): memory addresses become addresses a device may use, and stop
 * being that.
 *
 * From map to unmap the memory is the device's. What an unmap promises depends on config.iommu: strict, no
 * access of the device after it returns; lazy, soon; passthrough, nothing ever stops a device.
 *
 * Interface: dma_map_page and dma_unmap_page per I/O (any context); dma_map_sgtable for long-lived maps;
 * dma_alloc_coherent for queues. Unmap with the same size and direction.
 */
import { ENOMEM } from "../debug/errno.ts";
import { FAULT_DMA_MAP, should_fail } from "../debug/fault-inject.ts";
import { alloc_pages_exact, free_pages_exact } from "../mm/page-alloc.ts";
import { __GFP_ZERO } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from "./direction.ts";
import { dma_count_map, dma_count_unmap } from "./counters.ts";
import { dev_iommu_domain, type DevicePtr } from "./device.ts";
import { io_pages, IOMMU_READ, IOMMU_WRITE } from "./io-pgtable.ts";
import {
  iommu_alloc_iova,
  iommu_dma_unmap,
  iommu_free_iova,
  iommu_map,
  iommu_unmap_untold,
  type IommuDomainPtr,
} from "./iommu-domain.ts";
import type { Iova } from "./iova.ts";
import {
  sg_dma_address,
  sg_dma_len,
  sg_length,
  sg_set_dma,
  sg_virt,
  sgt_entry,
  sgt_nents,
  sgt_orig_nents,
  sgt_set_nents,
  type SgTablePtr,
} from "./scatterlist.ts";

export { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE };
export type { Iova } from "./iova.ts";
export { dma_counters, type DmaCounters } from "./counters.ts";

export const DMA_MAPPING_ERROR: Iova = -1 as Iova;

const PAGE_MASK = 4095;
const PAGE_SIZE = 4096;

export function dma_mapping_error(_cpu: Cpu, _dev: DevicePtr, iova: Iova): boolean {
  return iova === -1;
}

/** Permissions of the device for a direction (dma_info_to_prot). */
function prot_of(dir: number): number {
  if (dir === DMA_TO_DEVICE) return IOMMU_READ;
  return dir === DMA_FROM_DEVICE ? IOMMU_WRITE : IOMMU_READ | IOMMU_WRITE;
}

/** Maps `bytes` bytes at `addr`, contiguous in memory. DMA_MAPPING_ERROR (-1) when it fails. Does not sleep. */
export function dma_map_page(cpu: Cpu, dev: DevicePtr, addr: number, bytes: number, dir: number): Iova {
  if (should_fail(cpu, FAULT_DMA_MAP)) return -1 as Iova;
  const pages = io_pages(addr, bytes);
  const domain = dev_iommu_domain(cpu, dev);
  if (domain === 0) {
    dma_count_map(cpu, pages);
    return addr as Iova;
  }
  const iova = iommu_alloc_iova(cpu, domain, pages);
  if (iova === 0) return -1 as Iova;
  const error = iommu_map(cpu, domain, iova, addr & ~PAGE_MASK, pages, prot_of(dir));
  if (error < 0) {
    iommu_free_iova(cpu, domain, iova, pages);
    return -1 as Iova;
  }
  dma_count_map(cpu, pages);
  return (iova + (addr & PAGE_MASK)) as Iova;
}

/** Ends a map made by dma_map_page. May wait for the device, in any context. */
export function dma_unmap_page(cpu: Cpu, dev: DevicePtr, iova: Iova, bytes: number, _dir: number): void {
  const domain = dev_iommu_domain(cpu, dev);
  dma_count_unmap(cpu);
  if (domain === 0) return;
  iommu_dma_unmap(cpu, domain, (iova & ~PAGE_MASK) as Iova, io_pages(iova, bytes));
}

/**
 * Maps a table. Behind an IOMMU all runs land in one range of I/O addresses, so a table of whole pages
 * becomes one segment; in passthrough runs that touch in memory are merged. 0 or -ENOMEM.
 */
export function dma_map_sgtable(
  cpu: Cpu,
  dev: DevicePtr,
  sgt: SgTablePtr,
  dir: number,
  _attrs: number,
): number {
  if (should_fail(cpu, FAULT_DMA_MAP)) return -ENOMEM;
  const nents = sgt_orig_nents(cpu, sgt);
  let pages = 0;
  for (let i = 0; i < nents; i++) {
    const sg = sgt_entry(cpu, sgt, i);
    pages += io_pages(sg_virt(cpu, sg), sg_length(cpu, sg));
  }
  const domain = dev_iommu_domain(cpu, dev);
  if (domain === 0) finalise_direct(cpu, sgt);
  else {
    const iova = iommu_alloc_iova(cpu, domain, pages);
    if (iova === 0) return -ENOMEM;
    const mapped = map_runs(cpu, domain, sgt, iova, prot_of(dir));
    if (mapped !== pages) {
      iommu_unmap_untold(cpu, domain, iova, mapped);
      iommu_free_iova(cpu, domain, iova, pages);
      return -ENOMEM;
    }
    finalise_iova(cpu, sgt, iova);
  }
  dma_count_map(cpu, pages);
  return 0;
}

/** Maps the runs one after the other. Returns how many pages were mapped: less than asked when it failed. */
function map_runs(cpu: Cpu, domain: IommuDomainPtr, sgt: SgTablePtr, iova: Iova, prot: number): number {
  const nents = sgt_orig_nents(cpu, sgt);
  let done = 0;
  for (let i = 0; i < nents; i++) {
    const sg = sgt_entry(cpu, sgt, i);
    const addr = sg_virt(cpu, sg);
    const pages = io_pages(addr, sg_length(cpu, sg));
    if (iommu_map(cpu, domain, iova + done * PAGE_SIZE, addr & ~PAGE_MASK, pages, prot) < 0) return done;
    done += pages;
  }
  return done;
}

/** Writes the DMA segments of a table that was mapped at `iova` (__finalise_sg). */
function finalise_iova(cpu: Cpu, sgt: SgTablePtr, iova: Iova): void {
  const nents = sgt_orig_nents(cpu, sgt);
  let page = iova as number;
  let count = 0;
  for (let i = 0; i < nents; i++) {
    const sg = sgt_entry(cpu, sgt, i);
    const addr = sg_virt(cpu, sg);
    const length = sg_length(cpu, sg);
    count = append_segment(cpu, sgt, count, page + (addr & PAGE_MASK), length);
    page += io_pages(addr, length) * PAGE_SIZE;
  }
  sgt_set_nents(cpu, sgt, count);
}

function finalise_direct(cpu: Cpu, sgt: SgTablePtr): void {
  const nents = sgt_orig_nents(cpu, sgt);
  let count = 0;
  for (let i = 0; i < nents; i++) {
    const sg = sgt_entry(cpu, sgt, i);
    count = append_segment(cpu, sgt, count, sg_virt(cpu, sg), sg_length(cpu, sg));
  }
  sgt_set_nents(cpu, sgt, count);
}

/** Adds a segment after `count` others, or lengthens the last one if they touch. Returns the new count. */
function append_segment(cpu: Cpu, sgt: SgTablePtr, count: number, address: number, length: number): number {
  if (count > 0) {
    const last = sgt_entry(cpu, sgt, count - 1);
    const start = sg_dma_address(cpu, last);
    const end = start + sg_dma_len(cpu, last);
    if (end === address) {
      sg_set_dma(cpu, last, start, end - start + length);
      return count;
    }
  }
  sg_set_dma(cpu, sgt_entry(cpu, sgt, count), address, length);
  return count + 1;
}

/** Ends a map made by dma_map_sgtable. May wait for the device. */
export function dma_unmap_sgtable(
  cpu: Cpu,
  dev: DevicePtr,
  sgt: SgTablePtr,
  _dir: number,
  _attrs: number,
): void {
  const domain = dev_iommu_domain(cpu, dev);
  dma_count_unmap(cpu);
  if (domain === 0) return;
  const start = sg_dma_address(cpu, sgt_entry(cpu, sgt, 0)) & ~PAGE_MASK;
  const last = sgt_entry(cpu, sgt, sgt_nents(cpu, sgt) - 1);
  const end = sg_dma_address(cpu, last) + sg_dma_len(cpu, last);
  iommu_dma_unmap(cpu, domain, start as Iova, io_pages(start, end - start));
}

/**
 * Zeroed memory that CPU and device use together. Returns its address and stores the device's address in the
 * word at `dma_handle`; 0 when there is none.
 */
export function dma_alloc_coherent(
  cpu: Cpu,
  dev: DevicePtr,
  bytes: number,
  dma_handle: number,
  gfp: number,
): number {
  const addr = alloc_pages_exact(cpu, bytes, gfp | __GFP_ZERO);
  if (addr === 0) return 0;
  const iova = dma_map_page(cpu, dev, addr, bytes, DMA_BIDIRECTIONAL);
  if (iova === -1) {
    free_pages_exact(cpu, addr, bytes);
    return 0;
  }
  cpu.mem.write(dma_handle, iova);
  return addr;
}

export function dma_free_coherent(cpu: Cpu, dev: DevicePtr, bytes: number, addr: number, iova: Iova): void {
  dma_unmap_page(cpu, dev, iova, bytes, DMA_BIDIRECTIONAL);
  free_pages_exact(cpu, addr, bytes);
}

/**
 * Hands mapped memory to the device, or back to the CPU. Caches are coherent here, so nothing happens: the
 * order comes from the doorbell (to the device) and the completion (from it).
 */
export function dma_sync_single_for_device(
  _cpu: Cpu,
  _dev: DevicePtr,
  _at: Iova,
  _bytes: number,
  _dir: number,
): void {}
export function dma_sync_single_for_cpu(
  _cpu: Cpu,
  _dev: DevicePtr,
  _at: Iova,
  _bytes: number,
  _dir: number,
): void {}
