/**
 * Scatter lists (include/linux/scatterlist.h): a table of memory runs, and beside each the DMA segment it was
 * mapped to. After dma_map_sgtable the first `nents` entries hold the DMA segments, which may be fewer than
 * the `orig_nents` memory runs: read sg_dma_* for the device, the rest for the CPU.
 *
 * Interface: sg_alloc_table, sg_set_page for each entry, dma_map_sgtable ... dma_unmap_sgtable, sg_free_table.
 * The table and its entries belong to one owner at a time.
 */
import type { Ptr } from "atomics-sync";
import { EINVAL, ENOMEM } from "../debug/errno.ts";
import { struct_layout } from "../debug/layout.ts";
import { kfree, kmalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";

export type SgTablePtr = Ptr<"sg_table">;
export type ScatterlistPtr = Ptr<"scatterlist">;

// struct sg_table
const SGL = 0;
const NENTS = 4;
const ORIG_NENTS = 8;
export const SG_TABLE_SIZE = 12;

// struct scatterlist
/** Address of the page; device memory has one too. */
const PAGE = 0;
const OFFSET = 4;
const LENGTH = 8;
const DMA_ADDRESS = 12;
const DMA_LENGTH = 16;
export const SG_SIZE = 20;

struct_layout("sg_table", SG_TABLE_SIZE, [
  ["sgl", SGL, 4],
  ["nents", NENTS, 4],
  ["orig_nents", ORIG_NENTS, 4],
]);
struct_layout("scatterlist", SG_SIZE, [
  ["page_link", PAGE, 4],
  ["offset", OFFSET, 4],
  ["length", LENGTH, 4],
  ["dma_address", DMA_ADDRESS, 4],
  ["dma_length", DMA_LENGTH, 4],
]);

/** Gives `sgt` room for `n` entries, 1 or more. 0, -EINVAL, or -ENOMEM. */
export function sg_alloc_table(cpu: Cpu, sgt: SgTablePtr, n: number, gfp: number): number {
  if (n <= 0) return -EINVAL;
  const sgl = kmalloc(cpu, n * SG_SIZE, gfp);
  if (sgl === 0) return -ENOMEM;
  cpu.mem.memset(sgl, 0, n * SG_SIZE);
  cpu.mem.write(sgt + SGL, sgl);
  cpu.mem.write(sgt + NENTS, n);
  cpu.mem.write(sgt + ORIG_NENTS, n);
  return 0;
}

export function sg_free_table(cpu: Cpu, sgt: SgTablePtr): void {
  kfree(cpu, cpu.mem.read(sgt + SGL));
  cpu.mem.write(sgt + SGL, 0);
  cpu.mem.write(sgt + NENTS, 0);
  cpu.mem.write(sgt + ORIG_NENTS, 0);
}

/** DMA segments once mapped. */
export function sgt_nents(cpu: Cpu, sgt: SgTablePtr): number {
  return cpu.mem.read(sgt + NENTS);
}
/** Written by dma_map_sgtable. */
export function sgt_set_nents(cpu: Cpu, sgt: SgTablePtr, nents: number): void {
  cpu.mem.write(sgt + NENTS, nents);
}
/** Memory runs. */
export function sgt_orig_nents(cpu: Cpu, sgt: SgTablePtr): number {
  return cpu.mem.read(sgt + ORIG_NENTS);
}

export function sgt_entry(cpu: Cpu, sgt: SgTablePtr, i: number): ScatterlistPtr {
  return (cpu.mem.read(sgt + SGL) + i * SG_SIZE) as ScatterlistPtr;
}

/** `length` bytes from `offset` into the page at `page`; they may run on into the pages after it. */
export function sg_set_page(
  cpu: Cpu,
  sg: ScatterlistPtr,
  page: number,
  length: number,
  offset: number,
): void {
  cpu.mem.write(sg + PAGE, page);
  cpu.mem.write(sg + OFFSET, offset);
  cpu.mem.write(sg + LENGTH, length);
}

/** Address of the first byte, for the CPU (sg_virt). */
export function sg_virt(cpu: Cpu, sg: ScatterlistPtr): number {
  return cpu.mem.read(sg + PAGE) + cpu.mem.read(sg + OFFSET);
}
export function sg_length(cpu: Cpu, sg: ScatterlistPtr): number {
  return cpu.mem.read(sg + LENGTH);
}

export function sg_set_dma(cpu: Cpu, sg: ScatterlistPtr, address: number, length: number): void {
  cpu.mem.write(sg + DMA_ADDRESS, address);
  cpu.mem.write(sg + DMA_LENGTH, length);
}
export function sg_dma_address(cpu: Cpu, sg: ScatterlistPtr): number {
  return cpu.mem.read(sg + DMA_ADDRESS);
}
export function sg_dma_len(cpu: Cpu, sg: ScatterlistPtr): number {
  return cpu.mem.read(sg + DMA_LENGTH);
}
