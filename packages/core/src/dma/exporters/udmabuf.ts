/**
 * udmabuf (drivers/dma-buf/udmabuf.c): a dma-buf over pages that already exist and never move. The exporter
 * of the published measurements; there is nothing to invalidate, so a map lives as long as its token.
 *
 * Interface: udmabuf_create over pages of one allocation; the dma-buf keeps a reference on it, so the owner
 * may free the pages first. dma_buf_put ends it.
 */
import { EINVAL, ENOMEM, ERR_PTR, IS_ERR } from "../../debug/errno.ts";
import { kernel_rodata, kernel_symbol } from "../../debug/image.ts";
import { struct_layout } from "../../debug/layout.ts";
import { get_page, put_page } from "../../mm/page-alloc.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../mm/slab.ts";
import type { Cpu } from "../../sched/cpu.ts";
import {
  attach_dev,
  attach_dmabuf,
  type AttachmentPtr,
  dma_buf_export,
  dma_buf_priv,
  type DmaBufPtr,
} from "../buf.ts";
import type { SgTablePtr } from "../scatterlist.ts";
import { sg_map_run, sg_unmap } from "./sg-map.ts";

// struct udmabuf. Constant after udmabuf_create:
const PAGES = 0;
const BYTES = 4;
const UDMABUF_SIZE = 8;

struct_layout("udmabuf", UDMABUF_SIZE, [
  ["pages", PAGES, 4],
  ["size", BYTES, 4],
]);

const PAGE_MASK = 4095;

function map_udmabuf(cpu: Cpu, attach: AttachmentPtr, dir: number): SgTablePtr {
  const ubuf = dma_buf_priv(cpu, attach_dmabuf(cpu, attach));
  return sg_map_run(
    cpu,
    attach_dev(cpu, attach),
    cpu.mem.read(ubuf + PAGES),
    cpu.mem.read(ubuf + BYTES),
    dir,
  );
}

function unmap_udmabuf(cpu: Cpu, attach: AttachmentPtr, sgt: SgTablePtr, dir: number): void {
  sg_unmap(cpu, attach_dev(cpu, attach), sgt, dir);
}

function release_udmabuf(cpu: Cpu, dmabuf: DmaBufPtr): void {
  const ubuf = dma_buf_priv(cpu, dmabuf);
  put_page(cpu, cpu.mem.read(ubuf + PAGES));
  kfree(cpu, ubuf);
}

const udmabuf_ops = kernel_rodata("udmabuf_ops", [
  0,
  0,
  0,
  0,
  kernel_symbol(map_udmabuf),
  kernel_symbol(unmap_udmabuf),
  kernel_symbol(release_udmabuf),
  0,
  0,
  0,
  0,
]);

/** A dma-buf over `bytes` bytes of pages at `pages`, whole pages of one allocation. -EINVAL, -ENOMEM. */
export function udmabuf_create(cpu: Cpu, pages: number, bytes: number): DmaBufPtr {
  if (bytes <= 0 || ((pages | bytes) & PAGE_MASK) !== 0) return ERR_PTR(-EINVAL) as DmaBufPtr;
  const ubuf = kzalloc(cpu, UDMABUF_SIZE, GFP_KERNEL);
  if (ubuf === 0) return ERR_PTR(-ENOMEM) as DmaBufPtr;
  cpu.mem.write(ubuf + PAGES, pages);
  cpu.mem.write(ubuf + BYTES, bytes);
  get_page(cpu, pages);
  const dmabuf = dma_buf_export(cpu, udmabuf_ops, ubuf, bytes, 0);
  if (!IS_ERR(dmabuf)) return dmabuf;
  put_page(cpu, pages);
  kfree(cpu, ubuf);
  return dmabuf;
}
