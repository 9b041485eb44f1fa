/**
 * Physical Region Pages: how a command says where its data is (NVMe 2.1 4.3.1).
 *
 * PRP1 is the first page with its offset. PRP2 is 0, or the second page, or, for more, the address of a list
 * of pages. A list page has 512 slots; when they are used up and pages remain, the last slot's page moves to
 * the first slot of another list and the slot points to that list.
 *
 * Two sources: a dma-buf request takes addresses from the list its map holds (patch 07 of the series); an
 * ordinary request maps each page for this I/O and unmaps it when it completes. The rest is the same.
 */
import { bio_bvec_done, bio_dmabuf_map, bio_iovec } from "@ringside/core/block/bio";
import { blk_rq_bytes, type RequestPtr, req_op, rq_bio } from "@ringside/core/block/request";
import { BLK_STS_OK, BLK_STS_RESOURCE } from "@ringside/core/block/status";
import type { DevicePtr } from "@ringside/core/dma/device";
import {
  DMA_FROM_DEVICE,
  dma_map_page,
  DMA_TO_DEVICE,
  dma_unmap_page,
  type Iova,
} from "@ringside/core/dma/mapping";
import { BIO_VEC_SIZE, bvec_len, bvec_virt, type BioVecPtr } from "@ringside/core/fs/bvec";
import { PAGE_SIZE } from "@ringside/core/mm/memory-map";
import type { Cpu } from "@ringside/core/sched/cpu";
import { nvme_dmabuf_map_dma } from "./dmabuf-map.ts";
import {
  iod_add_descriptor,
  iod_descriptor,
  iod_drop_descriptors,
  iod_is_small,
  iod_nr_descriptors,
  iod_of,
  iod_prp1,
  iod_prp2,
  iod_set_prp1,
  iod_set_prp2,
  type IodPtr,
} from "./iod.ts";
import { prp_alloc, prp_dma, prp_free } from "./prp-pool.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const STS_OK = BLK_STS_OK;
const PAGE = PAGE_SIZE;
const TO_DEVICE = DMA_TO_DEVICE;
const FROM_DEVICE = DMA_FROM_DEVICE;
const VEC_SIZE = BIO_VEC_SIZE;

const PAGE_SHIFT = 12;
const PAGE_MASK = 4095;
const PRP_SIZE = 8;
const SMALL_ENTRIES = 32;
const LIST_ENTRIES = 512;
const OP_WRITE = 1;

/** Direction of the data, as the DMA API says it. */
function rq_dma_dir(cpu: Cpu, rq: RequestPtr): number {
  return req_op(cpu, rq) === OP_WRITE ? TO_DEVICE : FROM_DEVICE;
}

function write_prp(cpu: Cpu, slot: number, iova: number): void {
  cpu.mem.write(slot, iova);
  cpu.mem.write(slot + 4, 0);
}

/** A list for the next `entries` pages; 0 when the pool is empty. */
function next_list(cpu: Cpu, pools: number, iod: IodPtr, entries: number): number {
  const small = entries <= SMALL_ENTRIES;
  const list = prp_alloc(cpu, pools, small);
  if (list !== 0) iod_add_descriptor(cpu, iod, list, small);
  return list;
}

/** Links a new list behind the full `list`: its last page moves, its last slot becomes the pointer. */
function chain_list(cpu: Cpu, pools: number, iod: IodPtr, list: number): number {
  const next = prp_alloc(cpu, pools, false);
  if (next === 0) return 0;
  iod_add_descriptor(cpu, iod, next, false);
  const last = list + (LIST_ENTRIES - 1) * PRP_SIZE;
  write_prp(cpu, next, cpu.mem.read(last));
  write_prp(cpu, last, prp_dma(cpu, pools, next, false));
  return next;
}

/** Gives the lists of a request back. */
export function nvme_free_descriptors(cpu: Cpu, pools: number, iod: IodPtr): void {
  const nr = iod_nr_descriptors(cpu, iod);
  const small = iod_is_small(cpu, iod);
  for (let i = 0; i < nr; i++) prp_free(cpu, pools, iod_descriptor(cpu, iod, i), small);
  iod_drop_descriptors(cpu, iod);
}

/** nvme_rq_setup_dmabuf_map: PRPs from the map's list. BLK_STS_OK or BLK_STS_RESOURCE. */
export function nvme_setup_dmabuf_prps(cpu: Cpu, pools: number, rq: RequestPtr): number {
  const iod = iod_of(rq);
  const bio = rq_bio(cpu, rq);
  const map = bio_dmabuf_map(cpu, bio);
  const offset = bio_bvec_done(cpu, bio);
  let index = offset >> PAGE_SHIFT;
  // Caches are coherent: the per-page sync of the series has nothing to do.
  iod_set_prp1(cpu, iod, nvme_dmabuf_map_dma(cpu, map, index++) + (offset & PAGE_MASK));
  const left = blk_rq_bytes(cpu, rq) - (PAGE - (offset & PAGE_MASK));
  if (left <= 0) return STS_OK;
  if (left <= PAGE) {
    iod_set_prp2(cpu, iod, nvme_dmabuf_map_dma(cpu, map, index));
    return STS_OK;
  }
  const entries = (left + PAGE_MASK) >> PAGE_SHIFT;
  let list = next_list(cpu, pools, iod, entries);
  if (list === 0) return BLK_STS_RESOURCE;
  iod_set_prp2(cpu, iod, prp_dma(cpu, pools, list, iod_is_small(cpu, iod)));
  let slot = 0;
  for (let entry = 0; entry < entries; entry++) {
    if (slot === LIST_ENTRIES) {
      list = chain_list(cpu, pools, iod, list);
      if (list === 0) {
        nvme_free_descriptors(cpu, pools, iod);
        return BLK_STS_RESOURCE;
      }
      slot = 1;
    }
    write_prp(cpu, list + slot++ * PRP_SIZE, nvme_dmabuf_map_dma(cpu, map, index++));
  }
  return STS_OK;
}

/** PRPs from pages mapped for this request. On failure nothing stays mapped. */
export function nvme_setup_bvec_prps(cpu: Cpu, dev: DevicePtr, pools: number, rq: RequestPtr): number {
  const iod = iod_of(rq);
  const bio = rq_bio(cpu, rq);
  const dir = rq_dma_dir(cpu, rq);
  const bytes = blk_rq_bytes(cpu, rq);
  let bvec = bio_iovec(cpu, bio) as number;
  let skip = bio_bvec_done(cpu, bio);
  let entries = 0;
  let list = 0;
  let slot = 0;
  for (let done = 0; done < bytes; ) {
    // The block layer cut the bio where its pages have gaps: only the first and the last are partial.
    const addr = bvec_virt(cpu, bvec as BioVecPtr) + skip;
    const room = PAGE - (addr & PAGE_MASK);
    const len = bytes - done < room ? bytes - done : room;
    const iova = dma_map_page(cpu, dev, addr, len, dir);
    if (iova === -1) return undo_bvec_prps(cpu, dev, pools, rq, done);
    if (done === 0) {
      iod_set_prp1(cpu, iod, iova);
      entries = (bytes - len + PAGE_MASK) >> PAGE_SHIFT;
    } else if (entries === 1) iod_set_prp2(cpu, iod, iova);
    else {
      if (slot === 0) {
        list = next_list(cpu, pools, iod, entries);
        iod_set_prp2(cpu, iod, list === 0 ? 0 : prp_dma(cpu, pools, list, iod_is_small(cpu, iod)));
      } else if (slot === LIST_ENTRIES) {
        list = chain_list(cpu, pools, iod, list);
        slot = 1;
      }
      if (list === 0) {
        dma_unmap_page(cpu, dev, iova, len, dir);
        return undo_bvec_prps(cpu, dev, pools, rq, done);
      }
      write_prp(cpu, list + slot++ * PRP_SIZE, iova);
    }
    done += len;
    skip += len;
    while (done < bytes && skip >= bvec_len(cpu, bvec as BioVecPtr)) {
      skip -= bvec_len(cpu, bvec as BioVecPtr);
      bvec += VEC_SIZE;
    }
  }
  return STS_OK;
}

function undo_bvec_prps(cpu: Cpu, dev: DevicePtr, pools: number, rq: RequestPtr, mapped: number): number {
  nvme_unmap_bvec_prps(cpu, dev, rq, mapped);
  nvme_free_descriptors(cpu, pools, iod_of(rq));
  return BLK_STS_RESOURCE;
}

/** Unmaps the first `bytes` bytes of the request, as the lists have them. Before the lists are freed. */
export function nvme_unmap_bvec_prps(cpu: Cpu, dev: DevicePtr, rq: RequestPtr, bytes: number): void {
  if (bytes === 0) return;
  const iod = iod_of(rq);
  const dir = rq_dma_dir(cpu, rq);
  const total = blk_rq_bytes(cpu, rq);
  const prp1 = iod_prp1(cpu, iod);
  let done = PAGE - (prp1 & PAGE_MASK);
  dma_unmap_page(cpu, dev, prp1 as Iova, done < total ? done : total, dir);
  let descriptor = 0;
  let slot = 0;
  while (done < bytes) {
    const len = total - done < PAGE ? total - done : PAGE;
    let iova = iod_prp2(cpu, iod);
    if (iod_nr_descriptors(cpu, iod) !== 0) {
      // The last slot is a pointer exactly when there is another list.
      if (slot === LIST_ENTRIES - 1 && descriptor + 1 < iod_nr_descriptors(cpu, iod)) {
        descriptor++;
        slot = 0;
      }
      iova = cpu.mem.read(iod_descriptor(cpu, iod, descriptor) + slot++ * PRP_SIZE);
    }
    dma_unmap_page(cpu, dev, iova as Iova, len, dir);
    done += len;
  }
}
