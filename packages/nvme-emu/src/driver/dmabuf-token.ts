/**
 * The importer side of dma-buf tokens in the NVMe driver (patch 07 of the series, v3).
 *
 * create: a dynamic attachment whose invalidate_mappings tells the token. map (reservation held): the whole
 * buffer's addresses, 4 KiB each; io_dmabuf_init_map comes last, so that a map that failed has nothing to
 * release. unmap (reservation held): undoes it; the core frees the struct. release: detaches.
 *
 * Unlike v3: the driver's data is freed when attaching fails (v4 fixed that leak), and addresses beyond the
 * buffer's size are -EINVAL instead of overrunning the array.
 *
 * As in v3 the attachment holds no reference on the device: the tokens must be gone before nvme_remove.
 */
import { EINVAL, ENOMEM, ERR_PTR, IS_ERR, PTR_ERR } from "@ringside/core/debug/errno";
import { FAULT_CREATE_TOKEN, FAULT_MISSING_OPS, should_fail } from "@ringside/core/debug/fault-inject";
import { kernel_rodata, kernel_symbol } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import type { RequestQueuePtr } from "@ringside/core/block/queue";
import {
  type AttachmentPtr,
  attach_importer_priv,
  dma_buf_detach,
  dma_buf_dynamic_attach,
  dma_buf_map_attachment,
  dma_buf_resv,
  dma_buf_size,
  dma_buf_unmap_attachment,
} from "@ringside/core/dma/buf";
import { dma_resv_assert_held } from "@ringside/core/dma/resv";
import {
  sg_dma_address,
  sg_dma_len,
  sgt_entry,
  sgt_nents,
  type SgTablePtr,
} from "@ringside/core/dma/scatterlist";
import {
  io_dmabuf_init_map,
  type IoDmabufMapPtr,
  io_dmabuf_token_dev_priv,
  io_dmabuf_token_dir,
  io_dmabuf_token_dmabuf,
  io_dmabuf_token_invalidate_mappings,
  type IoDmabufTokenPtr,
  io_dmabuf_token_set_dev,
} from "@ringside/core/dma/token";
import { PAGE_SIZE } from "@ringside/core/mm/memory-map";
import { GFP_KERNEL, kfree, kmalloc, kzalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { NVME_DEVICE } from "../spec/device.ts";
import {
  nvme_dmabuf_map_list,
  nvme_dmabuf_map_set,
  nvme_dmabuf_map_sgt,
  NVME_DMABUF_MAP_SIZE,
} from "./dmabuf-map.ts";

/** struct nvme_dmabuf_token: the token's dev_priv. */
const ATTACH = 0;
const NVME_DMABUF_TOKEN_SIZE = 4;

struct_layout("nvme_dmabuf_token", NVME_DMABUF_TOKEN_SIZE, [["attach", ATTACH, 4]]);

const PAGE_SHIFT = 12;

const MAP = kernel_symbol(nvme_dmabuf_token_map);
const UNMAP = kernel_symbol(nvme_dmabuf_token_unmap);
const RELEASE = kernel_symbol(nvme_dmabuf_token_release);

/** In the order of struct io_dmabuf_token_dev_ops. */
const DEV_OPS = kernel_rodata("nvme_dmabuf_token_ops", [MAP, UNMAP, RELEASE]);
/** A driver that forgot one (FAULT_MISSING_OPS). */
const DEV_OPS_INCOMPLETE = kernel_rodata("nvme_dmabuf_token_ops_incomplete", [MAP, 0, RELEASE]);

/** allow_peer2peer, invalidate_mappings. */
const IMPORTER_OPS = kernel_rodata("nvme_dmabuf_importer_ops", [
  1,
  kernel_symbol(nvme_dmabuf_invalidate_mappings),
]);

/** blk_mq_ops.create_dmabuf_token: fills the device's part of the token. 0 or -errno. */
export function nvme_create_dmabuf_token(cpu: Cpu, _q: RequestQueuePtr, token: IoDmabufTokenPtr): number {
  if (should_fail(cpu, FAULT_CREATE_TOKEN)) return -ENOMEM;
  const data = kzalloc(cpu, NVME_DMABUF_TOKEN_SIZE, GFP_KERNEL);
  if (data === 0) return -ENOMEM;
  io_dmabuf_token_set_dev(
    cpu,
    token,
    data,
    should_fail(cpu, FAULT_MISSING_OPS) ? DEV_OPS_INCOMPLETE : DEV_OPS,
  );
  const dmabuf = io_dmabuf_token_dmabuf(cpu, token);
  const attach = dma_buf_dynamic_attach(cpu, dmabuf, NVME_DEVICE, IMPORTER_OPS, token);
  if (IS_ERR(attach)) {
    kfree(cpu, data);
    return PTR_ERR(attach);
  }
  cpu.mem.write(data + ATTACH, attach);
  return 0;
}

function token_attach(cpu: Cpu, token: IoDmabufTokenPtr): AttachmentPtr {
  return cpu.mem.read(io_dmabuf_token_dev_priv(cpu, token) + ATTACH) as AttachmentPtr;
}

/** The exporter moves the buffer; reservation held. */
function nvme_dmabuf_invalidate_mappings(cpu: Cpu, attach: AttachmentPtr): void {
  io_dmabuf_token_invalidate_mappings(cpu, attach_importer_priv(cpu, attach) as IoDmabufTokenPtr);
}

/** A new map of the whole buffer, or -errno. */
function nvme_dmabuf_token_map(cpu: Cpu, token: IoDmabufTokenPtr): IoDmabufMapPtr {
  const dmabuf = io_dmabuf_token_dmabuf(cpu, token);
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, dmabuf));
  const nr_entries = Math.floor(dma_buf_size(cpu, dmabuf) / PAGE_SIZE);
  const map = kzalloc(cpu, NVME_DMABUF_MAP_SIZE, GFP_KERNEL) as IoDmabufMapPtr;
  if (map === 0) return ERR_PTR(-ENOMEM) as IoDmabufMapPtr;
  const dma_list = kmalloc(cpu, 4 * nr_entries, GFP_KERNEL);
  const error = dma_list === 0 ? -ENOMEM : map_buffer(cpu, token, map, dma_list, nr_entries);
  if (error === 0) return map;
  if (dma_list !== 0) kfree(cpu, dma_list);
  kfree(cpu, map);
  return ERR_PTR(error) as IoDmabufMapPtr;
}

function map_buffer(
  cpu: Cpu,
  token: IoDmabufTokenPtr,
  map: IoDmabufMapPtr,
  dma_list: number,
  nr_entries: number,
): number {
  const attach = token_attach(cpu, token);
  const dir = io_dmabuf_token_dir(cpu, token);
  const sgt = dma_buf_map_attachment(cpu, attach, dir);
  if (IS_ERR(sgt)) return PTR_ERR(sgt);
  let error = fill_dma_list(cpu, sgt, dma_list, nr_entries);
  if (error === 0) {
    nvme_dmabuf_map_set(cpu, map, dma_list, sgt, nr_entries);
    error = io_dmabuf_init_map(cpu, token, map);
  }
  if (error !== 0) dma_buf_unmap_attachment(cpu, attach, sgt, dir);
  return error;
}

/** One address a page. -EINVAL when a segment is no whole number of pages, or there are too many or too few. */
function fill_dma_list(cpu: Cpu, sgt: SgTablePtr, dma_list: number, nr_entries: number): number {
  let entry = 0;
  for (let i = 0; i < sgt_nents(cpu, sgt); i++) {
    const sg = sgt_entry(cpu, sgt, i);
    const address = sg_dma_address(cpu, sg);
    const length = sg_dma_len(cpu, sg);
    if (length % PAGE_SIZE !== 0 || entry + (length >> PAGE_SHIFT) > nr_entries) return -EINVAL;
    for (let done = 0; done < length; done += PAGE_SIZE)
      cpu.mem.write(dma_list + 4 * entry++, address + done);
  }
  return entry === nr_entries ? 0 : -EINVAL;
}

/** No request uses the map any more; reservation held. The core frees the struct. */
function nvme_dmabuf_token_unmap(cpu: Cpu, token: IoDmabufTokenPtr, map: IoDmabufMapPtr): void {
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, io_dmabuf_token_dmabuf(cpu, token)));
  const sgt = nvme_dmabuf_map_sgt(cpu, map);
  dma_buf_unmap_attachment(cpu, token_attach(cpu, token), sgt, io_dmabuf_token_dir(cpu, token));
  kfree(cpu, nvme_dmabuf_map_list(cpu, map));
}

function nvme_dmabuf_token_release(cpu: Cpu, token: IoDmabufTokenPtr): void {
  dma_buf_detach(cpu, io_dmabuf_token_dmabuf(cpu, token), token_attach(cpu, token));
  kfree(cpu, io_dmabuf_token_dev_priv(cpu, token));
}
