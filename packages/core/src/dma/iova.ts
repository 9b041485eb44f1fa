/**
 * Allocation of I/O virtual addresses (drivers/iommu/iova.c): ranges of a power of two of pages, from one
 * free list per size or from the bottom of what was never used.
 *
 * The window lies above every memory address, so a CPU address used as an I/O address never translates: from
 * 256 MiB, or from the end of memory if that is higher, up to 2 GiB, so that a map of 1 GiB fits. A machine whose
 * memory leaves less than IOVA_WINDOW_MIN is refused at probe (-ENOSPC). I/O address 0 is never handed out.
 *
 * Free lists are last in, first out on purpose: the address freed last is the next one handed out, so a flush
 * that was forgotten shows at once as a device using an old translation. Freed ranges are not split or merged.
 * The link to the next free range lives in the page table entry of the range's first page, which has no
 * permission bits and so translates nothing.
 *
 * Interface: iova_alloc, map; unmap, flush, and only when the flush is acknowledged iova_free with the same
 * number of pages.
 */
import { ENOSPC } from "../debug/errno.ts";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import type { Cpu } from "../sched/cpu.ts";
import { io_pgtable_leaf, io_pte_alloc, io_pte_of, IOVA_LIMIT } from "./io-pgtable.ts";

declare const iova: unique symbol;
/** An address as the device sees it: not a memory address; only the IOMMU turns one into the other. */
export type Iova = number & { readonly [iova]: true };

/** Bytes below which a window is not worth having. */
export const IOVA_WINDOW_MIN = 64 << 20;
const WINDOW_FROM = 2 ** 28;
const PAGE_SHIFT = 12;
const PAGE_MASK = 4095;

const LOCK = 0;
// Constant after iova_domain_init:
const TOP = 8;
// Guarded by LOCK:
const NEXT = 12;
const IN_USE = 16;
const FREE = 20;
/** One list per size: 1, 2, 4 ... 2^19 pages. */
const SIZES = 20;
export const IOVA_DOMAIN_SIZE = 128;

struct_layout("iova_domain", IOVA_DOMAIN_SIZE, [
  ["lock", LOCK, 4],
  ["pgtable", TOP, 4],
  ["next", NEXT, 4],
  ["in_use", IN_USE, 4],
  ["free", FREE, 4 * SIZES],
]);

/** Where the window of a machine with this much memory begins. */
export function iova_window(memory_bytes: number): number {
  return Math.max(WINDOW_FROM, (memory_bytes + PAGE_MASK) & ~PAGE_MASK);
}

/** `iovad` is zeroed; `top` its page table. 0, or -ENOSPC when memory leaves no room for a window. */
export function iova_domain_init(cpu: Cpu, iovad: number, top: number): number {
  const start = iova_window(cpu.map.size);
  if (IOVA_LIMIT - start < IOVA_WINDOW_MIN) return -ENOSPC;
  spin_lock_init(cpu, iovad + LOCK);
  cpu.mem.write(iovad + TOP, top);
  cpu.mem.write(iovad + NEXT, start);
  return 0;
}

/** 2^order pages hold `pages` pages. */
function order_of(pages: number): number {
  return 32 - Math.clz32(pages - 1);
}

/** `pages` pages of I/O addresses; 0 when the window or memory for its tables is used up. */
export function iova_alloc(cpu: Cpu, iovad: number, pages: number): Iova {
  const order = order_of(pages);
  if (order >= SIZES) return 0 as Iova;
  const list = iovad + FREE + 4 * order;
  spin_lock_irqsave(cpu, iovad + LOCK);
  const top = cpu.mem.read(iovad + TOP);
  let found = cpu.mem.read(list);
  if (found !== 0) {
    const pte = io_pte_of(io_pgtable_leaf(cpu, top, found), found);
    cpu.mem.write(list, cpu.mem.readOnce(pte));
    cpu.mem.writeOnce(pte, 0);
  } else {
    found = take_fresh(cpu, iovad, top, order);
  }
  if (found !== 0) cpu.mem.write(iovad + IN_USE, cpu.mem.read(iovad + IN_USE) + 1);
  spin_unlock_irqrestore(cpu, iovad + LOCK);
  return found as Iova;
}

function take_fresh(cpu: Cpu, iovad: number, top: number, order: number): number {
  const next = cpu.mem.read(iovad + NEXT);
  const bytes = 2 ** (order + PAGE_SHIFT);
  if (next + bytes > IOVA_LIMIT - PAGE_MASK) return 0;
  // The entry of the first page must exist before the range does: freeing it needs a place for the link.
  if (io_pte_alloc(cpu, top, next) === 0) return 0;
  cpu.mem.write(iovad + NEXT, next + bytes);
  return next;
}

/** Gives a range back; its entries are clear and no device has a copy of them. */
export function iova_free(cpu: Cpu, iovad: number, range: Iova, pages: number): void {
  const list = iovad + FREE + 4 * order_of(pages);
  spin_lock_irqsave(cpu, iovad + LOCK);
  const top = cpu.mem.read(iovad + TOP);
  cpu.mem.writeOnce(io_pte_of(io_pgtable_leaf(cpu, top, range), range), cpu.mem.read(list));
  cpu.mem.write(list, range);
  cpu.mem.write(iovad + IN_USE, cpu.mem.read(iovad + IN_USE) - 1);
  spin_unlock_irqrestore(cpu, iovad + LOCK);
}

/** Ranges handed out and not given back. */
export function iova_in_use(cpu: Cpu, iovad: number): number {
  return cpu.mem.readOnce(iovad + IN_USE);
}
