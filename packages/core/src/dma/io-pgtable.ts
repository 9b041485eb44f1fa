/**
 * The IOMMU's page table (drivers/iommu/io-pgtable-*.c): two levels over 31-bit I/O addresses, 4 KiB pages.
 * Bits 30 ... 22 index the top table (512 words), bits 21 ... 12 a leaf table (1024 words).
 *
 * An entry is page address | IOMMU_READ | IOMMU_WRITE. One without either bit translates nothing; the
 * allocator of I/O addresses (iova.ts) keeps its links in the first entry of each free range.
 *
 * Invariant: a leaf table, once linked, stays until io_pgtable_free: the device may cache the link.
 *
 * Interface: io_pgtable_map / unmap own the entries of an allocated range; nothing here flushes the device's
 * copies (iommu-flush.ts).
 */
import { ENOMEM } from "../debug/errno.ts";
import { WARN_ONCE } from "../debug/warn.ts";
import { __get_free_pages, free_pages } from "../mm/page-alloc.ts";
import { __GFP_ZERO, GFP_ATOMIC } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";

export const IOMMU_READ = 1;
export const IOMMU_WRITE = 2;
const PRESENT = IOMMU_READ | IOMMU_WRITE;

/** I/O addresses are below this: positive 32-bit integers. */
export const IOVA_LIMIT = 2 ** 31;
const TOP_SHIFT = 22;
const TOP_ENTRIES = IOVA_LIMIT >>> TOP_SHIFT;
const LEAF_SHIFT = 12;
const LEAF_MASK = 1023;
const PAGE = 4096;

/** A new empty table; 0 when there is no memory. */
export function io_pgtable_alloc(cpu: Cpu): number {
  return __get_free_pages(cpu, GFP_ATOMIC | __GFP_ZERO, 0);
}

/** Frees the table. No device walks it, and no other thread maps. */
export function io_pgtable_free(cpu: Cpu, top: number): void {
  for (let i = 0; i < TOP_ENTRIES; i++) {
    const leaf = cpu.mem.read(top + 4 * i);
    if (leaf !== 0) free_pages(cpu, leaf, 0);
  }
  free_pages(cpu, top, 0);
}

/** The leaf table that covers `iova`, for a device's walk; 0 when there is none yet. */
export function io_pgtable_leaf(cpu: Cpu, top: number, iova: number): number {
  // Pairs with the compareExchange in link_leaf: a walker that sees the link sees a zeroed leaf. Otherwise it
  // could take what the page held before for translations.
  return cpu.mem.loadAcquire(top + 4 * (iova >>> TOP_SHIFT));
}

/** The entry of `iova` in its leaf table. */
export function io_pte_of(leaf: number, iova: number): number {
  return leaf + 4 * ((iova >>> LEAF_SHIFT) & LEAF_MASK);
}

/** Address of the entry of `iova`; makes its leaf table if need be. 0 when there is no memory. */
export function io_pte_alloc(cpu: Cpu, top: number, iova: number): number {
  const link = top + 4 * (iova >>> TOP_SHIFT);
  let leaf = cpu.mem.loadAcquire(link);
  if (leaf === 0) leaf = link_leaf(cpu, link);
  return leaf === 0 ? 0 : io_pte_of(leaf, iova);
}

function link_leaf(cpu: Cpu, link: number): number {
  const leaf = __get_free_pages(cpu, GFP_ATOMIC | __GFP_ZERO, 0);
  if (leaf === 0) return 0;
  const winner = cpu.mem.compareExchange(link, 0, leaf);
  if (winner === 0) return leaf;
  free_pages(cpu, leaf, 0);
  return winner;
}

/** Maps `pages` pages from `address` at `iova`. 0, or -ENOMEM with nothing mapped. */
export function io_pgtable_map(
  cpu: Cpu,
  top: number,
  iova: number,
  address: number,
  pages: number,
  prot: number,
): number {
  for (let i = 0; i < pages; i++) {
    const pte = io_pte_alloc(cpu, top, iova + i * PAGE);
    if (pte === 0) {
      // No device was told of these pages, so none has a copy: there is nothing to flush.
      io_pgtable_unmap(cpu, top, iova, i);
      return -ENOMEM;
    }
    const old = cpu.mem.readOnce(pte);
    WARN_ONCE(cpu, (old & PRESENT) !== 0, "iommu: map of an I/O address that is mapped already");
    // Plain order is enough: the device learns of this address through a doorbell, which is released after it
    // and acquired by the device before it walks.
    cpu.mem.writeOnce(pte, (address + i * PAGE) | prot);
  }
  return 0;
}

/** Clears `pages` entries from `iova`. Returns how many of them were mapped. */
export function io_pgtable_unmap(cpu: Cpu, top: number, iova: number, pages: number): number {
  let cleared = 0;
  for (let i = 0; i < pages; i++) {
    const leaf = io_pgtable_leaf(cpu, top, iova + i * PAGE);
    if (leaf === 0) continue;
    const pte = io_pte_of(leaf, iova + i * PAGE);
    // An entry without permissions may be a link of a free range: not ours to clear.
    if ((cpu.mem.readOnce(pte) & PRESENT) === 0) continue;
    cpu.mem.writeOnce(pte, 0);
    cleared++;
  }
  return cleared;
}

/** Pages that `bytes` bytes at `address` touch. */
export function io_pages(address: number, bytes: number): number {
  return ((address & (PAGE - 1)) + bytes + PAGE - 1) >>> LEAF_SHIFT;
}
