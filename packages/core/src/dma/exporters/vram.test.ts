import { describe, expect, it } from "vitest";
import { EBUSY, EINVAL, ENOMEM } from "../../debug/errno.ts";
import {
  FAULT_DMA_MAP,
  FAULT_PAGES,
  FAULT_RESERVE_FENCES,
  FAULT_SLAB,
  fault_arm,
} from "../../debug/fault-inject.ts";
import { stop_kernel } from "../../debug/image.ts";
import type { IommuMode } from "../../mm/memory-map.ts";
import { alloc_pages_exact, free_pages_exact, nr_free_pages, page_refcount } from "../../mm/page-alloc.ts";
import { GFP_KERNEL } from "../../mm/slab.ts";
import { kmem_leaks, kmem_mark } from "../../mm/slab-report.ts";
import { rcu_barrier } from "../../rcu/rcu.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { might_sleep } from "../../sched/schedule.ts";
import { flush_workqueue, system_wq } from "../../sched/workqueue.ts";
import { boot_solo, dmesg, type SoloOptions, SoloPlatform } from "../../testing/solo.ts";
import {
  type AttachmentPtr,
  dma_buf_attach,
  dma_buf_detach,
  dma_buf_map_attachment_unlocked,
} from "../buf.ts";
import { dma_buf_put, dma_buf_size, dma_buf_unmap_attachment_unlocked, type DmaBufPtr } from "../buf.ts";
import { device_del } from "../device.ts";
import { Iotlb, iommu_translate } from "../iommu-device.ts";
import { DMA_BIDIRECTIONAL } from "../mapping.ts";
import {
  dma_resv_lock,
  dma_resv_test_signaled,
  dma_resv_unlock,
  DMA_RESV_USAGE_BOOKKEEP,
  DMA_RESV_USAGE_KERNEL,
} from "../resv.ts";
import { sgt_nents } from "../scatterlist.ts";
import { add_fence, add_late_fence, signal_fence } from "../testing/importer.ts";
import { IMPORTER_DEV, importer_address, importer_attach } from "../testing/importer.ts";
import { importer_books, importer_init, importer_map, importer_unmap } from "../testing/importer.ts";
import { udmabuf_create } from "./udmabuf.ts";
import {
  vram_async_move,
  vram_block_map,
  type VramBufPtr,
  vram_counters,
  vram_create,
  vram_destroy,
  vram_dmabuf,
  vram_evict,
  vram_hold_resv,
  vram_invalidate,
  vram_invalidate_and_hold,
  vram_is_resident,
  vram_move,
  vram_pages_used,
  VRAM_POISON,
  vram_resv,
  vram_restore,
  vram_user_begin,
  vram_user_end,
  vram_user_page,
} from "./vram.ts";

const PAGES = 5;

function boot(options: SoloOptions = {}): Cpu {
  const cpu = boot_solo({ vram: 64 << 12, ...options });
  importer_init(cpu);
  kmem_mark(cpu);
  return cpu;
}

function make(cpu: Cpu): VramBufPtr {
  const buf = vram_create(cpu, PAGES * 4096);
  expect(buf).toBeGreaterThan(0);
  for (let i = 0; i < PAGES; i++) cpu.mem.memset(page(cpu, buf, i), 10 + i, 4096);
  return buf;
}

function page(cpu: Cpu, buf: VramBufPtr, index: number): number {
  vram_user_begin(cpu, buf);
  const address = vram_user_page(cpu, buf, index);
  vram_user_end(cpu, buf);
  return address;
}

function in_vram(cpu: Cpu, address: number): boolean {
  return address >= cpu.map.vram && address < cpu.map.vram_end;
}

function expect_contents(cpu: Cpu, buf: VramBufPtr): void {
  for (let i = 0; i < PAGES; i++) {
    const at = page(cpu, buf, i);
    expect([cpu.mem.read8(at), cpu.mem.read8(at + 4095)]).toEqual([10 + i, 10 + i]);
  }
}

/** Ends the kernel and looks for what was left behind. */
function expect_clean(cpu: Cpu, buf: VramBufPtr): void {
  vram_destroy(cpu, buf);
  flush_workqueue(cpu, system_wq(cpu));
  rcu_barrier(cpu);
  device_del(cpu, IMPORTER_DEV);
  expect(vram_pages_used(cpu)).toBe(0);
  expect(kmem_leaks(cpu)).toEqual([]);
  stop_kernel(cpu);
  expect(dmesg(cpu)).toEqual([]);
}

describe("moves", () => {
  it("contents and size survive every move; nothing is left behind", () => {
    const cpu = boot();
    const buf = make(cpu);
    expect(dma_buf_size(cpu, vram_dmabuf(cpu, buf))).toBe(PAGES * 4096);
    const before = page(cpu, buf, 0);
    expect(in_vram(cpu, before)).toBe(true);
    expect(vram_evict(cpu, buf)).toBe(0);
    expect(in_vram(cpu, page(cpu, buf, 0))).toBe(false);
    expect(vram_is_resident(cpu, buf)).toBe(false);
    expect(cpu.mem.read8(before), "poisoned").toBe(VRAM_POISON);
    expect_contents(cpu, buf);
    expect(vram_evict(cpu, buf), "again: nothing to do").toBe(0);
    expect(vram_restore(cpu, buf)).toBe(0);
    expect(vram_is_resident(cpu, buf)).toBe(true);
    expect_contents(cpu, buf);
    const restored = page(cpu, buf, 0);
    expect(vram_move(cpu, buf)).toBe(0);
    expect(page(cpu, buf, 0)).not.toBe(restored);
    expect_contents(cpu, buf);
    expect(vram_counters(cpu)).toEqual({ evictions: 1, moves: 2, invalidations: 3 });
    expect_clean(cpu, buf);
  });

  it("a move waits for the importer's fence before it touches a page", () => {
    const cpu = boot();
    const buf = make(cpu);
    const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
    const sgt = importer_map(cpu, attach, true);
    expect(vram_evict(cpu, buf)).toBe(0);
    expect(importer_books(cpu)).toEqual([1, 1]);
    expect_contents(cpu, buf);
    importer_unmap(cpu, attach, sgt);
    dma_buf_detach(cpu, vram_dmabuf(cpu, buf), attach);
    expect_clean(cpu, buf);
  });

  it.each([1, 2, 3])("a move waits for fences of usage %i too", (usage) => {
    const cpu = boot();
    const buf = make(cpu);
    const resv = vram_resv(cpu, buf);
    dma_resv_lock(cpu, resv, 0);
    add_late_fence(cpu, vram_dmabuf(cpu, buf), usage);
    dma_resv_unlock(cpu, resv);
    expect(importer_books(cpu)).toEqual([0, 0]);
    expect(vram_evict(cpu, buf)).toBe(0);
    expect(importer_books(cpu)).toEqual([0, 1]);
    expect_clean(cpu, buf);
  });

  it("no room: -ENOMEM, nobody is told, nothing moved", () => {
    const cpu = boot({ vram: 8 << 12 });
    const buf = make(cpu);
    expect(vram_move(cpu, buf), "3 pages are free").toBe(-ENOMEM);
    fault_arm(cpu, FAULT_PAGES, { times: 1 });
    expect(vram_evict(cpu, buf)).toBe(-ENOMEM);
    expect(vram_async_move(cpu, buf, false)).toBe(-ENOMEM);
    expect(vram_counters(cpu)).toEqual({ evictions: 0, moves: 0, invalidations: 0 });
    expect(vram_pages_used(cpu)).toBe(PAGES);
    expect_contents(cpu, buf);
    expect_clean(cpu, buf);
  });

  it("a buffer that a static importer has mapped is pinned", () => {
    const cpu = boot();
    const buf = make(cpu);
    const dmabuf = vram_dmabuf(cpu, buf);
    const attach = dma_buf_attach(cpu, dmabuf, IMPORTER_DEV);
    const sgt = dma_buf_map_attachment_unlocked(cpu, attach, DMA_BIDIRECTIONAL);
    expect(vram_evict(cpu, buf)).toBe(-EBUSY);
    expect(vram_async_move(cpu, buf, true)).toBe(-EBUSY);
    dma_buf_unmap_attachment_unlocked(cpu, attach, sgt, DMA_BIDIRECTIONAL);
    expect(vram_evict(cpu, buf)).toBe(0);
    dma_buf_detach(cpu, dmabuf, attach);
    expect_clean(cpu, buf);
  });

  it.each(["strict", "passthrough"] as const)(
    "%s: a mapping shows where the buffer is",
    (iommu: IommuMode) => {
      const cpu = boot({ iommu });
      const buf = make(cpu);
      // Other pages than neighbours: the free list hands out the page freed last first.
      vram_move(cpu, buf);
      vram_move(cpu, buf);
      const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
      for (const move of [vram_evict, vram_restore]) {
        move(cpu, buf);
        const sgt = importer_map(cpu, attach, true);
        const tlb = new Iotlb();
        for (let i = 0; i < PAGES; i++) {
          const iova = importer_address(cpu, sgt, i * 4096 + 8);
          expect(iommu_translate(cpu, IMPORTER_DEV, tlb, iova, 8, true)).toBe(page(cpu, buf, i) + 8);
        }
        expect(sgt_nents(cpu, sgt)).toBeLessThanOrEqual(iommu === "strict" ? 1 : PAGES);
        importer_unmap(cpu, attach, sgt);
      }
      dma_buf_detach(cpu, vram_dmabuf(cpu, buf), attach);
      expect_clean(cpu, buf);
    },
  );
});

describe("asynchronous moves", () => {
  it("leave a move fence, and move when the fences before it are done", () => {
    const cpu = boot();
    const buf = make(cpu);
    const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
    const before = page(cpu, buf, 0);
    expect(vram_async_move(cpu, buf, true)).toBe(0);
    expect(dma_resv_test_signaled(cpu, vram_resv(cpu, buf), DMA_RESV_USAGE_KERNEL)).toBe(false);
    expect(page(cpu, buf, 0), "not yet").toBe(before);
    flush_workqueue(cpu, system_wq(cpu));
    expect(dma_resv_test_signaled(cpu, vram_resv(cpu, buf), DMA_RESV_USAGE_KERNEL)).toBe(true);
    expect(vram_is_resident(cpu, buf)).toBe(false);
    expect_contents(cpu, buf);
    expect(vram_counters(cpu)).toEqual({ evictions: 1, moves: 0, invalidations: 1 });
    dma_buf_detach(cpu, vram_dmabuf(cpu, buf), attach);
    expect_clean(cpu, buf);
  });

  it("nothing moves before the earlier fences are signaled", () => {
    class Signaling extends SoloPlatform {
      before_signal: (() => void) | undefined;
      override idle(cpu: Cpu): boolean {
        const signaling = this.before_signal !== undefined;
        if (this.time_ms > 50) this.before_signal?.();
        return super.idle(cpu) || signaling;
      }
    }
    const platform = new Signaling();
    const cpu = boot({ platform });
    const buf = make(cpu);
    const resv = vram_resv(cpu, buf);
    dma_resv_lock(cpu, resv, 0);
    const fence = add_fence(cpu, vram_dmabuf(cpu, buf), DMA_RESV_USAGE_BOOKKEEP);
    dma_resv_unlock(cpu, resv);
    let resident: boolean | undefined;
    platform.before_signal = () => {
      platform.before_signal = undefined;
      resident = vram_is_resident(cpu, buf);
      signal_fence(cpu, fence);
    };
    expect(vram_async_move(cpu, buf, true)).toBe(0);
    flush_workqueue(cpu, system_wq(cpu));
    expect([resident, vram_is_resident(cpu, buf)]).toEqual([true, false]);
    expect_clean(cpu, buf);
  });

  it("a map that did not wait for the move fence is a violation, one that waited is not", () => {
    const cpu = boot();
    const buf = make(cpu);
    const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
    vram_async_move(cpu, buf, false);
    importer_unmap(cpu, attach, importer_map(cpu, attach, true));
    expect(dmesg(cpu)).toEqual([]);
    vram_async_move(cpu, buf, false);
    importer_unmap(cpu, attach, importer_map(cpu, attach, false));
    expect(dmesg(cpu)).toEqual([expect.stringMatching(/^map-during-move: /)]);
  });

  it("several in a row, a synchronous one behind them", () => {
    const cpu = boot();
    const buf = make(cpu);
    for (let i = 0; i < 5; i++) expect(vram_async_move(cpu, buf, i % 2 === 0)).toBe(0);
    expect(vram_restore(cpu, buf)).toBe(0);
    expect(vram_is_resident(cpu, buf)).toBe(true);
    expect(vram_counters(cpu)).toEqual({ evictions: 3, moves: 3, invalidations: 6 });
    expect_contents(cpu, buf);
    expect_clean(cpu, buf);
  });

  it("a map that fails leaves no reference on the pages", () => {
    const cpu = boot();
    const buf = make(cpu);
    vram_evict(cpu, buf);
    const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
    fault_arm(cpu, FAULT_DMA_MAP, { times: 1 });
    expect(importer_map(cpu, attach, true)).toBe(-ENOMEM);
    fault_arm(cpu, FAULT_SLAB, { after: 1, times: 1 });
    expect(importer_map(cpu, attach, true)).toBe(-ENOMEM);
    expect(page_refcount(cpu, page(cpu, buf, 0))).toBe(1);
    dma_buf_detach(cpu, vram_dmabuf(cpu, buf), attach);
    expect_clean(cpu, buf);
  });

  it("system pages that a mapping still points to are not given to others", () => {
    const cpu = boot();
    const buf = make(cpu);
    vram_evict(cpu, buf);
    const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
    const sgt = importer_map(cpu, attach, true);
    const left = page(cpu, buf, 0);
    vram_restore(cpu, buf);
    expect(page_refcount(cpu, left)).toBe(1);
    importer_unmap(cpu, attach, sgt);
    expect(page_refcount(cpu, left)).toBe(0);
    dma_buf_detach(cpu, vram_dmabuf(cpu, buf), attach);
    expect_clean(cpu, buf);
  });

  it("the buffer may be destroyed while one is on its way", () => {
    const cpu = boot();
    const buf = make(cpu);
    expect(vram_async_move(cpu, buf, false)).toBe(0);
    expect_clean(cpu, buf);
  });

  it("without memory for the fence the move is done at once, and importers are still waited for", () => {
    const cpu = boot();
    const buf = make(cpu);
    const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
    // The importer's own reservation succeeds.
    fault_arm(cpu, FAULT_RESERVE_FENCES, { after: 1, times: 1 });
    expect(vram_async_move(cpu, buf, true)).toBe(0);
    expect(importer_books(cpu)).toEqual([1, 1]);
    expect(vram_is_resident(cpu, buf)).toBe(false);
    expect_contents(cpu, buf);
    dma_buf_detach(cpu, vram_dmabuf(cpu, buf), attach);
    expect_clean(cpu, buf);
  });

  it.each([0, 1, 2])("allocation %i fails: -ENOMEM and nothing changed", (after) => {
    const cpu = boot();
    const buf = make(cpu);
    fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
    expect(vram_async_move(cpu, buf, false)).toBe(-ENOMEM);
    expect(vram_counters(cpu).invalidations).toBe(0);
    expect_clean(cpu, buf);
  });
});

describe("controls", () => {
  it("vram_invalidate tells importers and leaves their fence pending", () => {
    const cpu = boot();
    const buf = make(cpu);
    const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
    const before = page(cpu, buf, 0);
    expect(vram_invalidate(cpu, buf)).toBe(0);
    expect(importer_books(cpu)).toEqual([1, 0]);
    expect(dma_resv_test_signaled(cpu, vram_resv(cpu, buf), DMA_RESV_USAGE_KERNEL)).toBe(false);
    expect(page(cpu, buf, 0)).toBe(before);
    flush_workqueue(cpu, system_wq(cpu));
    dma_buf_detach(cpu, vram_dmabuf(cpu, buf), attach);
    expect_clean(cpu, buf);
  });

  it("holding the reservation takes its time, 30 s at most", () => {
    const cpu = boot();
    const buf = make(cpu);
    const platform = cpu.platform as SoloPlatform;
    const took = (hold: () => void): number => {
      const from = platform.time_ms;
      hold();
      return platform.time_ms - from;
    };
    expect(took(() => vram_hold_resv(cpu, buf, 20))).toBeGreaterThanOrEqual(20);
    expect(took(() => vram_invalidate_and_hold(cpu, buf, 30))).toBeGreaterThanOrEqual(30);
    expect(took(() => vram_hold_resv(cpu, buf, 100_000))).toBeLessThan(31_000);
    expect_clean(cpu, buf);
  });

  it("a blocked map waits with the reservation held until it is let go, 30 s at most", () => {
    class Unblocking extends SoloPlatform {
      buf: VramBufPtr = 0 as VramBufPtr;
      at_ms: number = Number.POSITIVE_INFINITY;
      override idle(cpu: Cpu): boolean {
        if (this.time_ms >= this.at_ms) vram_block_map(cpu, this.buf, false);
        return super.idle(cpu);
      }
    }
    const platform = new Unblocking();
    const cpu = boot({ platform });
    const buf = make(cpu);
    platform.buf = buf;
    const attach = importer_attach(cpu, vram_dmabuf(cpu, buf));
    for (const [at_ms, low, high] of [
      [40, 40, 60],
      [Number.POSITIVE_INFINITY, 30_000, 30_100],
    ] as const) {
      vram_block_map(cpu, buf, true);
      const from = platform.time_ms;
      platform.at_ms = from + at_ms;
      importer_unmap(cpu, attach, importer_map(cpu, attach, true));
      expect(platform.time_ms - from).toBeGreaterThanOrEqual(low);
      expect(platform.time_ms - from).toBeLessThan(high);
    }
    dma_buf_detach(cpu, vram_dmabuf(cpu, buf), attach);
    expect_clean(cpu, buf);
  });

  it("sleeping inside a user's access warns", () => {
    const cpu = boot();
    const buf = make(cpu);
    vram_user_begin(cpu, buf);
    might_sleep(cpu);
    vram_user_end(cpu, buf);
    expect(dmesg(cpu)).toEqual([expect.stringContaining("sleeping function called from invalid context")]);
  });
});

describe("VRAM pages", () => {
  it("a write to a page that a buffer left is seen when the page is handed out", () => {
    const cpu = boot();
    const buf = make(cpu);
    const left = page(cpu, buf, 2);
    vram_evict(cpu, buf);
    cpu.mem.write(left + 1000, 1);
    expect(dmesg(cpu)).toEqual([]);
    vram_restore(cpu, buf);
    expect(dmesg(cpu)).toEqual([expect.stringMatching(/^vram-use-after-free: 0x1 at /)]);
  });

  it("or at shutdown", () => {
    const cpu = boot();
    const buf = make(cpu);
    const left = page(cpu, buf, 2);
    vram_destroy(cpu, buf);
    cpu.mem.write(left, 1);
    stop_kernel(cpu);
    expect(dmesg(cpu)).toEqual([expect.stringMatching(/^vram-use-after-free: /)]);
  });

  it("a buffer of no or odd size, or larger than VRAM, is refused; a buffer kept at shutdown is told", () => {
    const cpu = boot();
    const free = nr_free_pages(cpu);
    expect(vram_create(cpu, 0)).toBe(-EINVAL);
    expect(vram_create(cpu, 100)).toBe(-EINVAL);
    expect(vram_create(cpu, 65 * 4096)).toBe(-ENOMEM);
    expect(vram_pages_used(cpu)).toBe(0);
    expect(kmem_leaks(cpu)).toEqual([]);
    expect(nr_free_pages(cpu)).toBeLessThanOrEqual(free);
    make(cpu);
    stop_kernel(cpu);
    expect(dmesg(cpu)).toContainEqual(expect.stringContaining("vram: 5 pages are still allocated"));
  });
});

describe("udmabuf", () => {
  const BYTES = 6 * 4096;

  function map_all(cpu: Cpu, dmabuf: DmaBufPtr, attach: AttachmentPtr, pages: number): void {
    const sgt = importer_map(cpu, attach, true);
    expect(sgt_nents(cpu, sgt)).toBe(1);
    const iova = importer_address(cpu, sgt, 5 * 4096);
    expect(iommu_translate(cpu, IMPORTER_DEV, new Iotlb(), iova, 4096, true)).toBe(pages + 5 * 4096);
    importer_unmap(cpu, attach, sgt);
    dma_buf_detach(cpu, dmabuf, attach);
  }

  it.each(["strict", "lazy", "passthrough"] as const)("%s: maps its pages as one segment", (iommu) => {
    const cpu = boot({ iommu });
    const pages = alloc_pages_exact(cpu, BYTES, GFP_KERNEL);
    const dmabuf = udmabuf_create(cpu, pages, BYTES);
    expect(dma_buf_size(cpu, dmabuf)).toBe(BYTES);
    map_all(cpu, dmabuf, importer_attach(cpu, dmabuf), pages);
    dma_buf_put(cpu, dmabuf);
    expect(page_refcount(cpu, pages)).toBe(1);
    free_pages_exact(cpu, pages, BYTES);
    device_del(cpu, IMPORTER_DEV);
    rcu_barrier(cpu);
    expect(kmem_leaks(cpu)).toEqual([]);
  });

  it("its pages outlive their owner", () => {
    const cpu = boot();
    const pages = alloc_pages_exact(cpu, BYTES, GFP_KERNEL);
    const dmabuf = udmabuf_create(cpu, pages, BYTES);
    free_pages_exact(cpu, pages, BYTES);
    map_all(cpu, dmabuf, importer_attach(cpu, dmabuf), pages);
    expect(page_refcount(cpu, pages)).toBe(1);
    dma_buf_put(cpu, dmabuf);
    expect(page_refcount(cpu, pages)).toBe(0);
  });

  it("takes whole pages only", () => {
    const cpu = boot();
    const pages = alloc_pages_exact(cpu, BYTES, GFP_KERNEL);
    expect(udmabuf_create(cpu, pages, 0)).toBe(-EINVAL);
    expect(udmabuf_create(cpu, pages, 100)).toBe(-EINVAL);
    expect(udmabuf_create(cpu, pages + 8, 4096)).toBe(-EINVAL);
    for (let after = 0; after < 3; after++) {
      fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
      expect(udmabuf_create(cpu, pages, 4096)).toBe(-ENOMEM);
    }
    expect(page_refcount(cpu, pages)).toBe(1);
  });
});
