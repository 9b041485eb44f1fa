/**
 * A dma-buf larger than memory, for measuring: `bytes` of addresses over a few pages that repeat. What a map of it
 * costs (table entries, I/O addresses, the driver's list) is what a buffer of that size costs; what I/O leaves
 * in it is not kept.
 *
 * Interface: sparse_create; dma_buf_put ends it.
 */
import { EINVAL, ENOMEM, ERR_PTR, IS_ERR } from "@ringside/core/debug/errno";
import { kernel_rodata, kernel_symbol } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import {
  attach_dev,
  attach_dmabuf,
  type AttachmentPtr,
  dma_buf_export,
  dma_buf_priv,
  type DmaBufPtr,
} from "@ringside/core/dma/buf";
import { sg_map_pages, sg_unmap } from "@ringside/core/dma/exporters/sg-map";
import type { SgTablePtr } from "@ringside/core/dma/scatterlist";
import { PAGE_SIZE } from "@ringside/core/mm/memory-map";
import { alloc_pages_exact, free_pages_exact } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";

/** Real pages at most: a scatter list entry stands for a run of so many. */
const REAL_PAGES = 64;

// struct sparse_buf. Constant after sparse_create:
/** The real pages, one run. */
const RUN = 0;
const RUN_BYTES = 4;
/** The address of each page of the buffer. */
const TABLE = 8;
const NR_PAGES = 12;
const SPARSE_BUF_SIZE = 16;

struct_layout("sparse_buf", SPARSE_BUF_SIZE, [
  ["run", RUN, 4],
  ["run_bytes", RUN_BYTES, 4],
  ["table", TABLE, 4],
  ["nr_pages", NR_PAGES, 4],
]);

function sparse_of(cpu: Cpu, attach: AttachmentPtr): number {
  return dma_buf_priv(cpu, attach_dmabuf(cpu, attach));
}

function sparse_map(cpu: Cpu, attach: AttachmentPtr, dir: number): SgTablePtr {
  const buf = sparse_of(cpu, attach);
  const table = cpu.mem.read(buf + TABLE);
  return sg_map_pages(cpu, attach_dev(cpu, attach), table, cpu.mem.read(buf + NR_PAGES), dir);
}

function sparse_unmap(cpu: Cpu, attach: AttachmentPtr, sgt: SgTablePtr, dir: number): void {
  sg_unmap(cpu, attach_dev(cpu, attach), sgt, dir);
}

function sparse_release(cpu: Cpu, dmabuf: DmaBufPtr): void {
  sparse_free(cpu, dma_buf_priv(cpu, dmabuf));
}

function sparse_free(cpu: Cpu, buf: number): void {
  const run = cpu.mem.read(buf + RUN);
  const table = cpu.mem.read(buf + TABLE);
  if (run !== 0) free_pages_exact(cpu, run, cpu.mem.read(buf + RUN_BYTES));
  if (table !== 0) free_pages_exact(cpu, table, 4 * cpu.mem.read(buf + NR_PAGES));
  kfree(cpu, buf);
}

const sparse_ops = kernel_rodata("sparse_ops", [
  0,
  0,
  0,
  0,
  kernel_symbol(sparse_map),
  kernel_symbol(sparse_unmap),
  kernel_symbol(sparse_release),
  0,
  0,
  0,
  0,
]);

/** `bytes`: whole pages, less than 2 GiB. -EINVAL, -ENOMEM. */
export function sparse_create(cpu: Cpu, bytes: number): DmaBufPtr {
  if (bytes <= 0 || bytes % PAGE_SIZE !== 0) return ERR_PTR(-EINVAL) as DmaBufPtr;
  const buf = kzalloc(cpu, SPARSE_BUF_SIZE, GFP_KERNEL);
  if (buf === 0) return ERR_PTR(-ENOMEM) as DmaBufPtr;
  const nr = bytes / PAGE_SIZE;
  const real = Math.min(nr, REAL_PAGES);
  const run = alloc_pages_exact(cpu, real * PAGE_SIZE, GFP_KERNEL);
  const table = alloc_pages_exact(cpu, 4 * nr, GFP_KERNEL);
  cpu.mem.write(buf + RUN, run);
  cpu.mem.write(buf + RUN_BYTES, real * PAGE_SIZE);
  cpu.mem.write(buf + TABLE, table);
  cpu.mem.write(buf + NR_PAGES, nr);
  if (run !== 0 && table !== 0) {
    for (let i = 0; i < nr; i++) cpu.mem.write(table + 4 * i, run + (i % real) * PAGE_SIZE);
    const dmabuf = dma_buf_export(cpu, sparse_ops, buf, bytes, 0);
    if (!IS_ERR(dmabuf)) return dmabuf;
  }
  sparse_free(cpu, buf);
  return ERR_PTR(-ENOMEM) as DmaBufPtr;
}
