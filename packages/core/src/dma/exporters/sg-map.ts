/**
 * What every exporter's map_dma_buf does: an sg_table over its pages, mapped for the importer's device.
 *
 * Interface: sg_map_pages for a table of page addresses, sg_map_run for one run; sg_unmap takes either back.
 * The table is the mapping's: from map to unmap nobody else uses it.
 */
import { ENOMEM, ERR_PTR } from "../../debug/errno.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../../mm/slab.ts";
import type { Cpu } from "../../sched/cpu.ts";
import type { DevicePtr } from "../device.ts";
import { dma_map_sgtable, dma_unmap_sgtable } from "../mapping.ts";
import {
  sg_alloc_table,
  sg_free_table,
  sg_set_page,
  SG_TABLE_SIZE,
  sgt_entry,
  type SgTablePtr,
} from "../scatterlist.ts";

const PAGE_SIZE = 4096;

/** Maps `nr` pages whose addresses are at `pages`; neighbours in memory become one entry. -ENOMEM. */
export function sg_map_pages(cpu: Cpu, dev: DevicePtr, pages: number, nr: number, dir: number): SgTablePtr {
  const sgt = new_table(cpu, count_runs(cpu, pages, nr));
  if (sgt === 0) return ERR_PTR(-ENOMEM) as SgTablePtr;
  let entry = 0;
  let first = 0;
  for (let i = 1; i <= nr; i++) {
    if (i < nr && touches(cpu, pages, i)) continue;
    const length = (i - first) * PAGE_SIZE;
    sg_set_page(cpu, sgt_entry(cpu, sgt, entry++), cpu.mem.read(pages + 4 * first), length, 0);
    first = i;
  }
  return finish(cpu, dev, sgt, dir);
}

/** Maps `bytes` bytes from the page at `start`. -ENOMEM. */
export function sg_map_run(cpu: Cpu, dev: DevicePtr, start: number, bytes: number, dir: number): SgTablePtr {
  const sgt = new_table(cpu, 1);
  if (sgt === 0) return ERR_PTR(-ENOMEM) as SgTablePtr;
  sg_set_page(cpu, sgt_entry(cpu, sgt, 0), start, bytes, 0);
  return finish(cpu, dev, sgt, dir);
}

/** Ends the mapping and frees its table. */
export function sg_unmap(cpu: Cpu, dev: DevicePtr, sgt: SgTablePtr, dir: number): void {
  dma_unmap_sgtable(cpu, dev, sgt, dir, 0);
  free_table(cpu, sgt);
}

/** Does page `i` follow page `i - 1` in memory? */
function touches(cpu: Cpu, pages: number, i: number): boolean {
  return cpu.mem.read(pages + 4 * i) === cpu.mem.read(pages + 4 * (i - 1)) + PAGE_SIZE;
}

function count_runs(cpu: Cpu, pages: number, nr: number): number {
  let runs = 1;
  for (let i = 1; i < nr; i++) if (!touches(cpu, pages, i)) runs++;
  return runs;
}

function new_table(cpu: Cpu, entries: number): SgTablePtr {
  const sgt = kmalloc(cpu, SG_TABLE_SIZE, GFP_KERNEL) as SgTablePtr;
  if (sgt === 0 || sg_alloc_table(cpu, sgt, entries, GFP_KERNEL) === 0) return sgt;
  kfree(cpu, sgt);
  return 0 as SgTablePtr;
}

function free_table(cpu: Cpu, sgt: SgTablePtr): void {
  sg_free_table(cpu, sgt);
  kfree(cpu, sgt);
}

function finish(cpu: Cpu, dev: DevicePtr, sgt: SgTablePtr, dir: number): SgTablePtr {
  const error = dma_map_sgtable(cpu, dev, sgt, dir, 0);
  if (error === 0) return sgt;
  free_table(cpu, sgt);
  return ERR_PTR(error) as SgTablePtr;
}
