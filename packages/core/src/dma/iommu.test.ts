import { describe, expect, it, vi } from "vitest";
import { ENOSPC } from "../debug/errno.ts";
import { FAULT_DMA_MAP, FAULT_PAGES, fault_arm } from "../debug/fault-inject.ts";
import { kernel_static } from "../debug/image.ts";
import type { IommuMode } from "../mm/memory-map.ts";
import { __get_free_pages, nr_free_pages } from "../mm/page-alloc.ts";
import { GFP_KERNEL } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { boot_solo, dmesg, SoloPlatform } from "../testing/solo.ts";
import { dma_counters, iommu_faults } from "./counters.ts";
import { DEVICE_SIZE, dev_iommu_domain, device_del, device_init, type DevicePtr } from "./device.ts";
import { io_pgtable_unmap } from "./io-pgtable.ts";
import { Iotlb, iommu_device_poll, iommu_device_start, iommu_device_stop } from "./iommu-device.ts";
import { iommu_flush_pending, iommu_translate } from "./iommu-device.ts";
import { iommu_domain_flush, iommu_domain_pgtable, iommu_domain_ranges } from "./iommu-domain.ts";
import { iommu_fault_log } from "./iommu-fault.ts";
import { iommu_flush_post } from "./iommu-flush.ts";
import { FQ_ENTRIES } from "./iommu-flush-queue.ts";
import { iova_window } from "./iova.ts";
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_MAPPING_ERROR, DMA_TO_DEVICE } from "./mapping.ts";
import { dma_alloc_coherent, dma_free_coherent, dma_map_page, dma_unmap_page, type Iova } from "./mapping.ts";

const DEV = kernel_static("test_device", DEVICE_SIZE) as DevicePtr;
const OUT = kernel_static("test_out", 4);

/** Its device answers flushes whenever the task sleeps. */
class PollingPlatform extends SoloPlatform {
  readonly tlb: Iotlb = new Iotlb();
  override idle(cpu: Cpu): boolean {
    const busy = iommu_device_poll(cpu, DEV, this.tlb);
    return super.idle(cpu) || busy;
  }
}

function boot(iommu: IommuMode): { cpu: Cpu; tlb: Iotlb; page: number } {
  const platform = new PollingPlatform();
  const cpu = boot_solo({ iommu, platform });
  expect(device_init(cpu, DEV, "test0")).toBe(0);
  return { cpu, tlb: platform.tlb, page: __get_free_pages(cpu, GFP_KERNEL, 0) };
}

describe("translation", () => {
  it.each(["strict", "lazy"] as const)("%s: finds exactly what was mapped", (mode) => {
    const { cpu, tlb, page } = boot(mode);
    const iova = dma_map_page(cpu, DEV, page + 100, 5000, DMA_BIDIRECTIONAL);
    expect(iova & 4095).toBe(100);
    expect(iommu_translate(cpu, DEV, tlb, iova, 3996, false)).toBe(page + 100);
    expect(iommu_translate(cpu, DEV, tlb, iova + 3996, 1004, true)).toBe(page + 4096);
    expect(iommu_faults(cpu)).toBe(0);
    expect(iommu_translate(cpu, DEV, tlb, iova - 101, 1, false), "the page before").toBe(0);
    expect(iommu_translate(cpu, DEV, tlb, iova - 100 + 8192, 1, false), "the page after").toBe(0);
    expect(iommu_faults(cpu)).toBe(2);
  });

  it("a hit and a miss give the same answer", () => {
    const { cpu, tlb, page } = boot("strict");
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_TO_DEVICE);
    for (let i = 0; i < 2; i++) {
      expect(iommu_translate(cpu, DEV, tlb, iova + 8, 8, false)).toBe(page + 8);
      expect(iommu_translate(cpu, DEV, tlb, iova + 8, 8, true), "no permission").toBe(0);
      expect(iommu_translate(cpu, DEV, tlb, iova + 4092, 8, false), "crosses the page").toBe(0);
    }
    const other = dma_map_page(cpu, DEV, page, 4096, DMA_FROM_DEVICE);
    expect(iommu_translate(cpu, DEV, tlb, other, 8, false)).toBe(0);
    expect(iommu_translate(cpu, DEV, tlb, other, 8, true)).toBe(page);
  });

  it("no memory address is an I/O address, and no garbage is one", () => {
    const { cpu, tlb, page } = boot("strict");
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
    expect(iova).toBeGreaterThanOrEqual(cpu.map.size);
    expect(iommu_translate(cpu, DEV, tlb, iova, 4, false), "warm").toBe(page);
    for (const bad of [
      0,
      page,
      -1 * iova,
      iova + 2 ** 32,
      iova + 2 ** 40,
      2 ** 31,
      -1,
      iova - 2 ** 32,
      2 ** 53,
    ]) {
      expect(iommu_translate(cpu, DEV, tlb, bad, 4, false), String(bad)).toBe(0);
    }
    expect(iommu_faults(cpu)).toBe(9);
  });

  it("a fault is recorded, counted and told", () => {
    const { cpu, tlb } = boot("strict");
    iommu_translate(cpu, DEV, tlb, 0x4000_1000, 4, true);
    expect(iommu_fault_log(cpu)).toEqual([{ iova: 0x4000_1000, device: "test0", write: true }]);
    expect(dma_counters(cpu).faults).toBe(1);
    expect(dmesg(cpu)).toEqual([
      "iommu-fault: DMAR: [DMA Write NO_PASID] test0 fault addr 0x40001000: translation not present",
    ]);
  });

  it("passthrough is the identity and never faults inside memory", () => {
    const { cpu, tlb, page } = boot("passthrough");
    const iova = dma_map_page(cpu, DEV, page + 4, 8, DMA_TO_DEVICE);
    expect(iova).toBe(page + 4);
    expect(iommu_translate(cpu, DEV, tlb, iova, 8, true)).toBe(page + 4);
    dma_unmap_page(cpu, DEV, iova, 8, DMA_TO_DEVICE);
    expect(iommu_translate(cpu, DEV, tlb, iova, 8, true)).toBe(page + 4);
    expect(iommu_translate(cpu, DEV, tlb, cpu.map.size, 8, true), "past the end").toBe(0);
    expect(iommu_translate(cpu, DEV, tlb, 0, 8, true), "null").toBe(0);
  });
});

describe("strict unmap", () => {
  it("after it no translation succeeds, however warm the IOTLB is", () => {
    const { cpu, tlb, page } = boot("strict");
    iommu_device_start(cpu, DEV, tlb);
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
    expect(iommu_translate(cpu, DEV, tlb, iova, 4, true)).toBe(page);
    dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
    expect(iommu_translate(cpu, DEV, tlb, iova, 4, true)).toBe(0);
    expect(dma_counters(cpu)).toMatchObject({ maps: 1, unmaps: 1, pages: 1, flushes: 1 });
  });

  it("control: when the flush is skipped the device still has the old translation", () => {
    const { cpu, tlb, page } = boot("strict");
    iommu_device_start(cpu, DEV, tlb);
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
    expect(iommu_translate(cpu, DEV, tlb, iova, 4, true)).toBe(page);
    expect(io_pgtable_unmap(cpu, iommu_domain_pgtable(cpu, dev_iommu_domain(cpu, DEV)), iova, 1)).toBe(1);
    expect(iommu_translate(cpu, DEV, tlb, iova, 4, true), "stale").toBe(page);
  });

  it("the address freed last is handed out first, and then means the new page", () => {
    const { cpu, tlb, page } = boot("strict");
    iommu_device_start(cpu, DEV, tlb);
    const other = __get_free_pages(cpu, GFP_KERNEL, 0);
    const first = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
    iommu_translate(cpu, DEV, tlb, first, 4, true);
    dma_unmap_page(cpu, DEV, first, 4096, DMA_BIDIRECTIONAL);
    const second = dma_map_page(cpu, DEV, other, 4096, DMA_BIDIRECTIONAL);
    expect(second).toBe(first);
    expect(iommu_translate(cpu, DEV, tlb, second, 4, true)).toBe(other);
  });

  it("a device that does not run is not waited for", () => {
    const { cpu, tlb, page } = boot("strict");
    const unmap_one = (): void => {
      const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
      dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
    };
    unmap_one();
    iommu_device_start(cpu, DEV, tlb);
    expect(iommu_flush_pending(cpu, DEV, tlb), "start answers for the past").toBe(false);
    iommu_device_stop(cpu, DEV, tlb);
    unmap_one();
    expect(iommu_flush_pending(cpu, DEV, tlb)).toBe(true);
    expect(iommu_device_poll(cpu, DEV, tlb)).toBe(true);
    expect(iommu_device_poll(cpu, DEV, tlb)).toBe(false);
  });

  it.each([
    ["an interrupt handler", true, 1],
    ["a task", false, 0],
  ])("the answer to a flush is notified to %s that sleeps for it", (_who, in_irq, notified) => {
    const { cpu, tlb, page } = boot("strict");
    iommu_device_start(cpu, DEV, tlb);
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
    const slept: number[] = [];
    const woken: number[] = [];
    vi.spyOn(cpu.mem, "wait").mockImplementation((p) => {
      slept.push(p);
      iommu_device_poll(cpu, DEV, tlb);
      return "ok";
    });
    vi.spyOn(cpu.mem, "notify").mockImplementation((p) => woken.push(p));
    cpu.in_irq = in_irq;
    dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
    cpu.in_irq = false;
    expect(slept).toHaveLength(notified);
    // The last thing the device does is to notify the word that the handler sleeps on, if there is one.
    expect(woken.filter((p) => p === slept[0])).toHaveLength(notified);
    expect(iommu_flush_pending(cpu, DEV, tlb)).toBe(false);
    woken.length = 0;
    iommu_flush_post(cpu, iommu_domain_flush(dev_iommu_domain(cpu, DEV)));
    iommu_device_poll(cpu, DEV, tlb);
    expect(woken, "nobody sleeps").toEqual([]);
  });

  it("4096 flushes later the IOTLB is still right", () => {
    const { cpu, tlb, page } = boot("strict");
    for (let i = 0; i < 5000; i++) {
      const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
      expect(iommu_translate(cpu, DEV, tlb, iova, 4, true)).toBe(page);
      dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
      iommu_device_poll(cpu, DEV, tlb);
      expect(tlb.tags.includes((iova >>> 12) + tlb.epoch)).toBe(false);
    }
  });

  it("unmapping what is not mapped warns and frees nothing", () => {
    const { cpu, page } = boot("strict");
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
    const next = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
    dma_unmap_page(cpu, DEV, next, 4096, DMA_BIDIRECTIONAL);
    dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
    dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
    expect(dmesg(cpu)).toEqual([expect.stringContaining("free DMA memory it has not allocated")]);
    const again = [1, 2, 3].map(() => dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL));
    expect(again).toEqual([iova, next, next + 4096]);
  });
});

describe("lazy unmap", () => {
  it("parks addresses until a flush: none is handed out twice before it", () => {
    const { cpu, tlb, page } = boot("lazy");
    iommu_device_start(cpu, DEV, tlb);
    const seen = new Set<Iova>();
    for (let i = 0; i < FQ_ENTRIES; i++) {
      const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
      expect(seen.has(iova)).toBe(false);
      seen.add(iova);
      iommu_translate(cpu, DEV, tlb, iova, 4, true);
      dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
    }
    const [stale] = seen;
    expect(iommu_translate(cpu, DEV, tlb, stale as Iova, 4, true), "lazy's known hole").toBe(page);
    expect(iommu_domain_ranges(cpu, dev_iommu_domain(cpu, DEV))).toBe(FQ_ENTRIES);
    expect(dma_counters(cpu).flushes).toBe(0);
  });

  it("a full queue waits for the device and then reuses", () => {
    const { cpu, tlb, page } = boot("lazy");
    iommu_device_start(cpu, DEV, tlb);
    for (let i = 0; i < 1000; i++) {
      const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
      expect(iommu_translate(cpu, DEV, tlb, iova, 4, true)).toBe(page);
      dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
    }
    expect(dma_counters(cpu).flushes).toBeGreaterThan(0);
    expect(dma_counters(cpu).flushes).toBeLessThan(20);
    expect(dmesg(cpu)).toEqual([]);
  });

  it("an address is reused only after a flush that began after its unmap", () => {
    const { cpu, tlb, page } = boot("lazy");
    iommu_device_start(cpu, DEV, tlb);
    const unmapped_at = new Map<Iova, number>();
    for (let i = 0; i < 2000; i++) {
      const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
      const flushes = dma_counters(cpu).flushes;
      expect(flushes).toBeGreaterThan(unmapped_at.get(iova) ?? -1);
      unmapped_at.set(iova, flushes);
      dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
      if (i % 7 === 0) iommu_device_poll(cpu, DEV, tlb);
    }
  });

  it("the timer flushes what a quiet device left", () => {
    const { cpu, tlb, page } = boot("lazy");
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_BIDIRECTIONAL);
    iommu_translate(cpu, DEV, tlb, iova, 4, true);
    dma_unmap_page(cpu, DEV, iova, 4096, DMA_BIDIRECTIONAL);
    (cpu.platform as SoloPlatform).time_ms += 11;
    cond_resched(cpu);
    expect(iommu_flush_pending(cpu, DEV, tlb)).toBe(true);
    iommu_device_poll(cpu, DEV, tlb);
    expect(iommu_translate(cpu, DEV, tlb, iova, 4, true)).toBe(0);
  });
});

describe("resources", () => {
  it.each(["strict", "lazy", "passthrough"] as const)("%s: the domain gives back every page", (mode) => {
    const { cpu, page } = boot(mode);
    device_del(cpu, DEV);
    const free = nr_free_pages(cpu);
    expect(device_init(cpu, DEV, "test0")).toBe(0);
    for (let bytes = 1; bytes < 2 ** 20; bytes *= 3) {
      const iova = dma_map_page(cpu, DEV, page, bytes, DMA_BIDIRECTIONAL);
      dma_unmap_page(cpu, DEV, iova, bytes, DMA_BIDIRECTIONAL);
    }
    device_del(cpu, DEV);
    expect(nr_free_pages(cpu)).toBe(free);
    expect(dmesg(cpu)).toEqual([]);
  });

  it("a domain freed under a running device warns", () => {
    const { cpu, tlb } = boot("strict");
    iommu_device_start(cpu, DEV, tlb);
    device_del(cpu, DEV);
    expect(dmesg(cpu)).toEqual([expect.stringContaining("domain freed while its device runs")]);
  });

  it("coherent memory is zeroed, mapped both ways, and freed", () => {
    const { cpu, tlb } = boot("strict");
    const free = nr_free_pages(cpu);
    const queue = dma_alloc_coherent(cpu, DEV, 8192, OUT, GFP_KERNEL);
    const iova = cpu.mem.read(OUT) as Iova;
    expect(cpu.mem.crc32c(queue, 8192)).toBe(cpu.mem.crc32c(cpu.map.media, 8192));
    expect(iommu_translate(cpu, DEV, tlb, iova + 4096, 8, true)).toBe(queue + 4096);
    dma_free_coherent(cpu, DEV, 8192, queue, iova);
    // The leaf table stays.
    expect(nr_free_pages(cpu)).toBe(free - 1);
  });

  it("a map that cannot be made returns DMA_MAPPING_ERROR and leaves nothing behind", () => {
    const { cpu, page } = boot("strict");
    fault_arm(cpu, FAULT_DMA_MAP, { times: 1 });
    expect(dma_map_page(cpu, DEV, page, 4096, DMA_TO_DEVICE)).toBe(DMA_MAPPING_ERROR);
    fault_arm(cpu, FAULT_PAGES, { times: 1 });
    expect(dma_map_page(cpu, DEV, page, 4096, DMA_TO_DEVICE), "no first leaf").toBe(DMA_MAPPING_ERROR);
    // 2048 pages need three leaves; the second one fails.
    fault_arm(cpu, FAULT_PAGES, { after: 1, times: 1 });
    expect(dma_map_page(cpu, DEV, page, 2048 * 4096, DMA_TO_DEVICE)).toBe(DMA_MAPPING_ERROR);
    expect(iommu_domain_ranges(cpu, dev_iommu_domain(cpu, DEV))).toBe(0);
    expect(dma_counters(cpu).maps).toBe(0);
  });

  it("I/O addresses begin above memory; a memory that leaves no room is refused", () => {
    expect(iova_window(64 << 20)).toBe(2 ** 28);
    expect(iova_window(2 ** 30 + 1)).toBe(2 ** 30 + 4096);
    const { cpu } = boot("strict");
    const big = Object.create(cpu, { map: { value: { ...cpu.map, size: 2 ** 31 - (32 << 20) } } }) as Cpu;
    expect(device_init(big, DEV, "test0")).toBe(-ENOSPC);
  });
});
