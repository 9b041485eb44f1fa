import { describe, expect, it } from "vitest";
import { EINVAL, ENOMEM } from "../debug/errno.ts";
import { FAULT_DMA_MAP, FAULT_PAGES, fault_arm } from "../debug/fault-inject.ts";
import { kernel_static } from "../debug/image.ts";
import type { IommuMode } from "../mm/memory-map.ts";
import { alloc_pages_exact } from "../mm/page-alloc.ts";
import { GFP_KERNEL } from "../mm/slab.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { DEVICE_SIZE, dev_iommu_domain, device_init, type DevicePtr } from "./device.ts";
import { Iotlb, iommu_device_poll, iommu_translate } from "./iommu-device.ts";
import { iommu_domain_ranges } from "./iommu-domain.ts";
import { DMA_BIDIRECTIONAL, dma_counters, dma_map_sgtable, dma_unmap_sgtable } from "./mapping.ts";
import {
  sg_alloc_table,
  sg_dma_address,
  sg_dma_len,
  sg_free_table,
  sg_set_page,
  SG_SIZE,
} from "./scatterlist.ts";
import { SG_TABLE_SIZE, sgt_entry, sgt_nents, sgt_orig_nents, type SgTablePtr } from "./scatterlist.ts";

const DEV = kernel_static("test_device", DEVICE_SIZE) as DevicePtr;
const SGT = kernel_static("test_sgt", SG_TABLE_SIZE) as SgTablePtr;

/** [first page of the pool, offset, bytes] per run. */
type Run = readonly [page: number, offset: number, bytes: number];

function boot(iommu: IommuMode, runs: readonly Run[]): { cpu: Cpu; pool: number } {
  const cpu = boot_solo({ iommu });
  device_init(cpu, DEV, "test0");
  const pool = alloc_pages_exact(cpu, 64 * 4096, GFP_KERNEL);
  expect(sg_alloc_table(cpu, SGT, runs.length, GFP_KERNEL)).toBe(0);
  runs.forEach(([page, offset, bytes], i) =>
    sg_set_page(cpu, sgt_entry(cpu, SGT, i), pool + page * 4096, bytes, offset),
  );
  return { cpu, pool };
}

function segments(cpu: Cpu): [number, number][] {
  const found: [number, number][] = [];
  for (let i = 0; i < sgt_nents(cpu, SGT); i++) {
    const sg = sgt_entry(cpu, SGT, i);
    found.push([sg_dma_address(cpu, sg), sg_dma_len(cpu, sg)]);
  }
  return found;
}

const SCATTERED: readonly Run[] = [
  [9, 0, 4096],
  [3, 0, 8192],
  [5, 0, 4096],
  [1, 0, 4096],
];

describe("dma_map_sgtable", () => {
  it.each(["strict", "lazy"] as const)("%s: whole pages become one segment, in order", (mode) => {
    const { cpu, pool } = boot(mode, SCATTERED);
    expect(dma_map_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0)).toBe(0);
    const [[iova, length] = [0, 0], ...more] = segments(cpu);
    expect([length, more]).toEqual([5 * 4096, []]);
    const tlb = new Iotlb();
    const seen = [0, 1, 2, 3, 4].map((i) => iommu_translate(cpu, DEV, tlb, iova + i * 4096, 4096, true));
    expect(seen).toEqual([9, 3, 4, 5, 1].map((page) => pool + page * 4096));
    dma_unmap_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0);
    // Lazy: the flush is asked for later.
    if (mode === "lazy") tlb.invalidate();
    iommu_device_poll(cpu, DEV, tlb);
    for (let i = 0; i < 5; i++) expect(iommu_translate(cpu, DEV, tlb, iova + i * 4096, 1, false)).toBe(0);
    expect(dma_counters(cpu)).toMatchObject({ maps: 1, unmaps: 1, pages: 5 });
    expect(sgt_orig_nents(cpu, SGT)).toBe(4);
  });

  it("passthrough: one segment for each run of memory", () => {
    const { cpu, pool } = boot("passthrough", SCATTERED);
    expect(dma_map_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0)).toBe(0);
    expect(segments(cpu)).toEqual([
      [pool + 9 * 4096, 4096],
      [pool + 3 * 4096, 3 * 4096],
      [pool + 4096, 4096],
    ]);
    dma_unmap_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0);
  });

  it("runs that do not fill their pages keep their offsets and stay apart", () => {
    const { cpu, pool } = boot("strict", [
      [0, 256, 512],
      [7, 0, 4096],
      [9, 0, 100],
      [2, 8, 16],
    ]);
    expect(dma_map_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0)).toBe(0);
    const found = segments(cpu);
    const base = (found[0]?.[0] ?? 0) - 256;
    expect(base & 4095).toBe(0);
    expect(found).toEqual([
      [base + 256, 512],
      [base + 4096, 4196],
      [base + 3 * 4096 + 8, 16],
    ]);
    expect(iommu_translate(cpu, DEV, new Iotlb(), base + 2 * 4096, 100, true)).toBe(pool + 9 * 4096);
    dma_unmap_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0);
    expect(iommu_domain_ranges(cpu, dev_iommu_domain(cpu, DEV))).toBe(0);
    expect(dmesg(cpu)).toEqual([]);
  });

  it("may be repeated on the same table", () => {
    const { cpu } = boot("strict", SCATTERED);
    for (let i = 0; i < 3; i++) {
      expect(dma_map_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0)).toBe(0);
      expect(segments(cpu)).toHaveLength(1);
      dma_unmap_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0);
    }
  });

  it("fails without leaving anything behind", () => {
    const { cpu } = boot("strict", SCATTERED);
    fault_arm(cpu, FAULT_DMA_MAP, { times: 1 });
    expect(dma_map_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0)).toBe(-ENOMEM);
    fault_arm(cpu, FAULT_PAGES, { times: 1 });
    expect(dma_map_sgtable(cpu, DEV, SGT, DMA_BIDIRECTIONAL, 0)).toBe(-ENOMEM);
    expect(iommu_domain_ranges(cpu, dev_iommu_domain(cpu, DEV))).toBe(0);
    expect(dma_counters(cpu).maps).toBe(0);
  });
});

it("sg_alloc_table: at least one entry; sg_free_table gives it back", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  expect(sg_alloc_table(cpu, SGT, 0, GFP_KERNEL)).toBe(-EINVAL);
  expect(sg_alloc_table(cpu, SGT, 1000, GFP_KERNEL)).toBe(0);
  expect(kmem_in_use(cpu)).toBe(before + 1000 * SG_SIZE);
  sg_free_table(cpu, SGT);
  expect(kmem_in_use(cpu)).toBe(before);
});
