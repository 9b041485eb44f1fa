/** PRPs as the driver builds them, read back by an independent walker. */
import { expect, test } from "vitest";
import { bio_alloc, bio_iov_iter_get_pages, REQ_OP_READ, REQ_OP_WRITE } from "@ringside/core/block/bio";
import { blk_mq_bio_to_request, REQUEST_SIZE, type RequestPtr } from "@ringside/core/block/request";
import { BLK_STS_OK, BLK_STS_RESOURCE } from "@ringside/core/block/status";
import { FAULT_DMA_MAP, FAULT_PRP_POOL, fault_arm } from "@ringside/core/debug/fault-inject";
import { device_init } from "@ringside/core/dma/device";
import { dma_counters } from "@ringside/core/dma/mapping";
import type { SgTablePtr } from "@ringside/core/dma/scatterlist";
import type { IoDmabufMapPtr } from "@ringside/core/dma/token";
import { BIO_VEC_SIZE, bvec_set_page, type BioVecPtr } from "@ringside/core/fs/bvec";
import {
  iov_iter_bvec,
  iov_iter_dmabuf_map,
  IOV_ITER_SIZE,
  type IovIterPtr,
  ITER_DEST,
} from "@ringside/core/fs/iov-iter";
import { GFP_KERNEL, kzalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { boot_solo } from "@ringside/core/testing/solo";
import { NVME_DEVICE } from "../spec/device.ts";
import { walk_prps } from "../testing/prp-walker.ts";
import { nvme_dmabuf_map_set, NVME_DMABUF_MAP_SIZE } from "./dmabuf-map.ts";
import { iod_begin, iod_nr_descriptors, iod_of, iod_prp1, iod_prp2, NVME_IOD_SIZE } from "./iod.ts";
import {
  nvme_free_descriptors,
  nvme_setup_bvec_prps,
  nvme_setup_dmabuf_prps,
  nvme_unmap_bvec_prps,
} from "./prp.ts";
import { prp_alloc, prp_pool_free_count, prp_pools_init, PRP_POOLS_SIZE } from "./prp-pool.ts";

const PAGE = 4096;
const PAGES = 2600;
/** Scattered, never adjacent: page i of the buffer. */
function scattered(i: number): number {
  return 0x4000_0000 + ((i * 7919) % 8192) * 2 * PAGE;
}

class Bench {
  readonly cpu: Cpu;
  readonly pools: number;
  readonly rq: RequestPtr;
  readonly map: IoDmabufMapPtr;
  constructor(iommu: "passthrough" | "strict" = "passthrough") {
    this.cpu = boot_solo({ iommu, ram: 16 << 20 });
    device_init(this.cpu, NVME_DEVICE, "test");
    this.pools = kzalloc(this.cpu, PRP_POOLS_SIZE, GFP_KERNEL);
    prp_pools_init(this.cpu, NVME_DEVICE, this.pools);
    this.rq = kzalloc(this.cpu, REQUEST_SIZE + NVME_IOD_SIZE, GFP_KERNEL) as RequestPtr;
    this.map = kzalloc(this.cpu, NVME_DMABUF_MAP_SIZE, GFP_KERNEL) as IoDmabufMapPtr;
    const list = kzalloc(this.cpu, 4 * PAGES, GFP_KERNEL);
    for (let i = 0; i < PAGES; i++) this.cpu.mem.write(list + 4 * i, scattered(i));
    nvme_dmabuf_map_set(this.cpu, this.map, list, 0 as SgTablePtr, PAGES);
  }
  iter(): IovIterPtr {
    return kzalloc(this.cpu, IOV_ITER_SIZE, GFP_KERNEL) as IovIterPtr;
  }
  begin(op: number, iter: IovIterPtr): void {
    const bio = bio_alloc(this.cpu, 0, op, GFP_KERNEL);
    bio_iov_iter_get_pages(this.cpu, bio, iter);
    blk_mq_bio_to_request(this.cpu, this.rq, bio);
    iod_begin(this.cpu, iod_of(this.rq));
  }
  dmabuf(offset: number, bytes: number): number {
    const iter = this.iter();
    iov_iter_dmabuf_map(this.cpu, iter, ITER_DEST, this.map, offset, bytes);
    this.begin(REQ_OP_READ, iter);
    return nvme_setup_dmabuf_prps(this.cpu, this.pools, this.rq);
  }
  /** What the device would read: in passthrough DMA addresses are memory addresses. */
  walk(bytes: number): [number, number][] {
    const iod = iod_of(this.rq);
    const source = { entry: (at: number): number => this.cpu.mem.read64(at) };
    return walk_prps(source, iod_prp1(this.cpu, iod), iod_prp2(this.cpu, iod), bytes);
  }
  expected(offset: number, bytes: number): [number, number][] {
    const pieces: [number, number][] = [];
    for (let at = offset; at < offset + bytes; ) {
      const len = Math.min(PAGE - (at % PAGE), offset + bytes - at);
      pieces.push([scattered(Math.floor(at / PAGE)) + (at % PAGE), len]);
      at += len;
    }
    return pieces;
  }
  free(small: boolean): number {
    return prp_pool_free_count(this.cpu, this.pools, small);
  }
}

function check(offset: number, bytes: number): number {
  const b = new Bench();
  expect(b.dmabuf(offset, bytes)).toBe(BLK_STS_OK);
  expect(b.walk(bytes)).toEqual(b.expected(offset, bytes));
  return iod_nr_descriptors(b.cpu, iod_of(b.rq));
}

test("one page, two pages, and where the second begins: PRP1 and PRP2 alone", () => {
  for (const offset of [0, 4, 512, 4092]) {
    for (const bytes of [4, 512, 4096 - offset, 4096, 8192 - offset]) {
      if (bytes > 0) expect(check(offset, bytes)).toBe(0);
    }
  }
});

test("small lists up to 32 entries, then pages; chains begin behind 512 entries", () => {
  for (const [entries, lists] of [
    [2, 1],
    [31, 1],
    [32, 1],
    [33, 1],
    [511, 1],
    [512, 1],
    [513, 2],
    [514, 2],
    [1023, 2],
    [1024, 3],
    [1025, 3],
    [2047, 5],
  ] as const) {
    // A page for PRP1, then `entries` list entries; with an offset the last page is partial.
    expect(check(0, (1 + entries) * PAGE)).toBe(lists);
    expect(check(3 * PAGE + 512, (1 + entries) * PAGE - 512)).toBe(lists);
    expect(check(512, entries * PAGE)).toBeLessThanOrEqual(lists);
  }
});

test("any offset and length: the PRPs mean exactly those bytes of the buffer", () => {
  const b = new Bench();
  for (let trial = 0; trial < 400; trial++) {
    const bytes = 4 * (1 + (b.cpu.random32() % (trial % 2 === 0 ? 2048 : 262144)));
    const offset = 4 * (b.cpu.random32() % 262144);
    expect(b.dmabuf(offset, bytes)).toBe(BLK_STS_OK);
    expect(b.walk(bytes)).toEqual(b.expected(offset, bytes));
    expect(b.free(true) + b.free(false)).toBe(256 + 32 - iod_nr_descriptors(b.cpu, iod_of(b.rq)));
    nvme_free_descriptors(b.cpu, b.pools, iod_of(b.rq));
  }
  expect([b.free(true), b.free(false)]).toEqual([256, 32]);
});

test("negative control: the walker notices a chain slot that is off by one", () => {
  const b = new Bench();
  const bytes = 600 * PAGE;
  expect(b.dmabuf(0, bytes)).toBe(BLK_STS_OK);
  const list = iod_prp2(b.cpu, iod_of(b.rq));
  const chain = b.cpu.mem.read64(list + 511 * 8);
  // The chain pointer one slot early, the page it should hold after it.
  const displaced = b.cpu.mem.read64(list + 510 * 8);
  b.cpu.mem.write64(list + 510 * 8, chain);
  b.cpu.mem.write64(list + 511 * 8, displaced);
  let seen: unknown;
  try {
    seen = b.walk(bytes);
  } catch (error) {
    seen = error;
  }
  expect(seen).not.toEqual(b.expected(0, bytes));
});

test("an empty pool is RESOURCE and leaves every list where it was, also in the middle of a chain", () => {
  const b = new Bench();
  for (let after = 0; after < 5; after++) {
    fault_arm(b.cpu, FAULT_PRP_POOL, { after, times: 1 });
    expect(b.dmabuf(0, 2048 * PAGE)).toBe(BLK_STS_RESOURCE);
    expect([b.free(true), b.free(false)]).toEqual([256, 32]);
  }
  expect(b.dmabuf(0, 2048 * PAGE)).toBe(BLK_STS_OK);
  nvme_free_descriptors(b.cpu, b.pools, iod_of(b.rq));
  let used = 0;
  while (prp_alloc(b.cpu, b.pools, true) !== 0) used++;
  expect(used).toBe(256);
  expect(b.dmabuf(0, 3 * PAGE)).toBe(BLK_STS_RESOURCE);
});

/** Segments over real memory; returns the pieces a walker should find, as memory addresses. */
function random_bvecs(
  b: Bench,
  memory: number,
): { iter: IovIterPtr; bytes: number; pieces: [number, number][] } {
  const { cpu } = b;
  const nr = 1 + (cpu.random32() % 6);
  const bvec = kzalloc(cpu, BIO_VEC_SIZE * nr, GFP_KERNEL);
  const pieces: [number, number][] = [];
  let bytes = 0;
  for (let i = 0; i < nr; i++) {
    const pages = 1 + (cpu.random32() % 40);
    const start = i === 0 ? 4 * (cpu.random32() % 1024) : 0;
    const cut = i === nr - 1 ? 4 * (cpu.random32() % 1000) : 0;
    const len = Math.max(4, pages * PAGE - start - (start + cut < PAGE ? cut : 0));
    const page = memory + PAGE * (cpu.random32() % 200);
    bvec_set_page(cpu, (bvec + i * BIO_VEC_SIZE) as BioVecPtr, page, len, start);
    for (let at = page + start; at < page + start + len; ) {
      const piece = Math.min(PAGE - (at % PAGE), page + start + len - at);
      pieces.push([at, piece]);
      at += piece;
    }
    bytes += len;
  }
  const iter = b.iter();
  iov_iter_bvec(cpu, iter, ITER_DEST, bvec as BioVecPtr, nr, bytes);
  return { iter, bytes, pieces };
}

test("any vector: its pages are mapped one by one, in order, and all unmapped", () => {
  const b = new Bench();
  const memory = b.cpu.map.pages;
  const start = dma_counters(b.cpu);
  for (let trial = 0; trial < 200; trial++) {
    const { iter, bytes, pieces } = random_bvecs(b, memory);
    b.begin(REQ_OP_WRITE, iter);
    expect(nvme_setup_bvec_prps(b.cpu, NVME_DEVICE, b.pools, b.rq)).toBe(BLK_STS_OK);
    expect(b.walk(bytes)).toEqual(pieces);
    nvme_unmap_bvec_prps(b.cpu, NVME_DEVICE, b.rq, bytes);
    nvme_free_descriptors(b.cpu, b.pools, iod_of(b.rq));
    const now = dma_counters(b.cpu);
    expect(now.maps - start.maps).toBe(now.unmaps - start.unmaps);
  }
});

test("behind an IOMMU a failed map undoes those before it, wherever it strikes", () => {
  const b = new Bench("strict");
  const memory = b.cpu.map.pages;
  for (const after of [0, 1, 2, 30, 33, 400, 511, 512, 513, 514]) {
    const start = dma_counters(b.cpu);
    const iter = b.iter();
    const bvec = kzalloc(b.cpu, BIO_VEC_SIZE, GFP_KERNEL) as BioVecPtr;
    bvec_set_page(b.cpu, bvec, memory, 530 * PAGE, 0);
    iov_iter_bvec(b.cpu, iter, ITER_DEST, bvec, 1, 530 * PAGE);
    b.begin(REQ_OP_READ, iter);
    fault_arm(b.cpu, FAULT_DMA_MAP, { after, times: 1 });
    expect(nvme_setup_bvec_prps(b.cpu, NVME_DEVICE, b.pools, b.rq)).toBe(BLK_STS_RESOURCE);
    const end = dma_counters(b.cpu);
    expect([end.maps - start.maps, end.unmaps - start.unmaps]).toEqual([after, after]);
    expect([b.free(true), b.free(false)]).toEqual([256, 32]);
  }
});
