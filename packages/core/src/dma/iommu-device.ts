/**
 * The device's side of the IOMMU: its IOTLB, the page walk, and the answers to flush requests.
 *
 * Interface, all from the device's thread: iommu_device_start; per access iommu_translate, which covers at
 * most one page; iommu_device_poll between commands and while idle. Do not use a translated address after a
 * poll: the memory behind it may have another owner. Before sleeping: futex_announce, then test
 * iommu_flush_pending once more. Last iommu_device_stop. A device without a thread of its own (a one-thread
 * kernel) does not start, but polls before each command all the same.
 */
import type { Cpu } from "../sched/cpu.ts";
import { dma_count_flush } from "./counters.ts";
import { dev_iommu_domain, type DevicePtr } from "./device.ts";
import { io_pgtable_leaf, io_pte_of, IOMMU_READ, IOMMU_WRITE } from "./io-pgtable.ts";
import { iommu_domain_flush, iommu_domain_pgtable } from "./iommu-domain.ts";
import { iommu_fault } from "./iommu-fault.ts";
import {
  iommu_flush_ack,
  iommu_flush_requested,
  iommu_flush_start,
  iommu_flush_stop,
} from "./iommu-flush.ts";

const PAGE_SHIFT = 12;
const PAGE_MASK = 4095;
const PAGE = 4096;
const READ = IOMMU_READ;
const WRITE = IOMMU_WRITE;
/** Direct mapped: 1024 entries cover 4 MiB. */
const TLB_ENTRIES = 1024;
const TLB_MASK = TLB_ENTRIES - 1;
/** A tag is page number (19 bits) | epoch (12 bits) << 19. */
const EPOCH_STEP = 2 ** 19;
const EPOCH_END = 2 ** 31;
const TOP_SHIFT = 22;
const TOP_ENTRIES = 512;

/** A device's private copies of translations. One per device thread. */
export class Iotlb {
  /** Page and epoch of each entry; -1 when empty. */
  readonly tags: Int32Array = new Int32Array(TLB_ENTRIES).fill(-1); // private: the device's own IOTLB
  readonly entries: Int32Array = new Int32Array(TLB_ENTRIES); // private: the device's own IOTLB
  /** Links to leaf tables: they never change once set. */
  readonly leaves: Int32Array = new Int32Array(TOP_ENTRIES); // private: the device's paging-structure cache
  /** Entries of an older epoch are stale: a flush is one addition. */
  epoch: number = 0;
  /** The last flush carried out. */
  acked: number = 0;
  /** The device this IOTLB belongs to, its page table and its flush words; 0 and 0 in passthrough. */
  dev: number = 0;
  top: number = 0;
  flush: number = 0;

  /** Forgets every translation. */
  invalidate(): void {
    this.epoch += EPOCH_STEP;
    if (this.epoch < EPOCH_END) return;
    this.epoch = 0;
    this.tags.fill(-1);
  }
}

/** Ties an IOTLB to a device, empty. */
function iotlb_bind(cpu: Cpu, dev: DevicePtr, tlb: Iotlb): void {
  const domain = dev_iommu_domain(cpu, dev);
  tlb.dev = dev;
  tlb.top = domain === 0 ? 0 : iommu_domain_pgtable(cpu, domain);
  tlb.flush = domain === 0 ? 0 : iommu_domain_flush(domain);
  tlb.leaves.fill(0);
  tlb.invalidate();
}

/** This thread is the device from here on: unmaps wait for its answers. */
export function iommu_device_start(cpu: Cpu, dev: DevicePtr, tlb: Iotlb): void {
  iotlb_bind(cpu, dev, tlb);
  if (tlb.flush !== 0) tlb.acked = iommu_flush_start(cpu, tlb.flush);
}

/** The device translates no more. Unmaps stop waiting for it. */
export function iommu_device_stop(cpu: Cpu, dev: DevicePtr, tlb: Iotlb): void {
  iotlb_bind(cpu, dev, tlb);
  if (tlb.flush !== 0) iommu_flush_stop(cpu, tlb.flush);
}

/** Does a flush wait for its answer? For the last look before a sleep. */
export function iommu_flush_pending(cpu: Cpu, dev: DevicePtr, tlb: Iotlb): boolean {
  if (tlb.dev !== dev) iotlb_bind(cpu, dev, tlb);
  return tlb.flush !== 0 && iommu_flush_requested(cpu, tlb.flush) !== tlb.acked;
}

/** Carries out the flushes asked for. One load when there are none. True when there were any. */
export function iommu_device_poll(cpu: Cpu, dev: DevicePtr, tlb: Iotlb): boolean {
  if (tlb.dev !== dev) iotlb_bind(cpu, dev, tlb);
  if (tlb.flush === 0) return false;
  const requested = iommu_flush_requested(cpu, tlb.flush);
  if (requested === tlb.acked) return false;
  // The copies go before the answer does; walks from here on see what was cleared before the request.
  tlb.invalidate();
  tlb.acked = requested;
  dma_count_flush(cpu);
  iommu_flush_ack(cpu, tlb.flush, requested);
  return true;
}

/**
 * The memory address of `bytes` bytes at `iova`, all in one page; 0 when the device may not, after recording
 * the fault. Any number may come in: it is whatever the host put into a descriptor.
 */
export function iommu_translate(
  cpu: Cpu,
  dev: DevicePtr,
  tlb: Iotlb,
  iova: number,
  bytes: number,
  write: boolean,
): number {
  const page = iova >>> PAGE_SHIFT;
  const slot = page & TLB_MASK;
  if (tlb.dev === dev && (iova | 0) === iova && iova >= 0 && tlb.tags[slot] === page + tlb.epoch) {
    const entry = tlb.entries[slot] as number;
    const offset = iova & PAGE_MASK;
    if ((entry & (write ? WRITE : READ)) !== 0 && offset + bytes <= PAGE)
      return (entry & ~PAGE_MASK) + offset;
  }
  return translate_slow(cpu, dev, tlb, iova, bytes, write);
}

/** Not in the IOTLB, or not permitted by it, or passthrough. */
function translate_slow(
  cpu: Cpu,
  dev: DevicePtr,
  tlb: Iotlb,
  iova: number,
  bytes: number,
  write: boolean,
): number {
  if (tlb.dev !== dev) iotlb_bind(cpu, dev, tlb);
  let reason = "";
  if ((iova & PAGE_MASK) + bytes > PAGE) reason = "access crosses a page";
  else if (tlb.top === 0) {
    if (iova >= PAGE && iova + bytes <= cpu.map.size) return iova;
    reason = "no memory at this address";
  } else if ((iova | 0) !== iova || iova < 0) reason = "address beyond the input width";
  else {
    const entry = walk(cpu, tlb, iova);
    if ((entry & (write ? WRITE : READ)) !== 0) return (entry & ~PAGE_MASK) + (iova & PAGE_MASK);
    if ((entry & (READ | WRITE)) === 0) reason = "translation not present";
    else reason = `${write ? "write" : "read"} permission not set`;
  }
  iommu_fault(cpu, dev, iova, write, reason);
  return 0;
}

/** The entry of `iova`, remembered if it is a translation. */
function walk(cpu: Cpu, tlb: Iotlb, iova: number): number {
  const index = iova >>> TOP_SHIFT;
  let leaf = tlb.leaves[index] as number;
  if (leaf === 0) {
    leaf = io_pgtable_leaf(cpu, tlb.top, iova);
    if (leaf === 0) return 0;
    tlb.leaves[index] = leaf;
  }
  // Racy on purpose with a host that unmaps: whichever value is read, the flush that follows is answered only
  // after this access and forgets it.
  const entry = cpu.mem.readOnce(io_pte_of(leaf, iova));
  if ((entry & (READ | WRITE)) !== 0) {
    const page = iova >>> PAGE_SHIFT;
    tlb.tags[page & TLB_MASK] = page + tlb.epoch;
    tlb.entries[page & TLB_MASK] = entry;
  }
  return entry;
}
