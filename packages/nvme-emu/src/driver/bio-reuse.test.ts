/** A bio is used again for something quite different: nothing of its first use reaches the device or the IOMMU. */
import { dma_counters } from "@ringside/core/dma/mapping";
import { __get_free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import { dmesg } from "@ringside/core/testing/solo";
import { expect, test } from "vitest";
import { DriverMachine } from "../testing/driver-machine.ts";

test.for(["passthrough", "strict", "lazy"] as const)(
  "flushes after cut and uncut writes map and unmap nothing, and the bytes are there (%s)",
  (iommu) => {
    const m = DriverMachine.started({ iommu });
    const memory = __get_free_pages(m.cpu, GFP_KERNEL, 9);
    for (let i = 0; i < 1 << 19; i++) m.cpu.mem.write(memory + 4 * i, i);
    // The larger ones are cut into several requests, and so take several bios.
    for (const bytes of [512, 4096, 65536, 2 << 20, 1024]) {
      expect(m.write(4096, { bvecs: [[memory, bytes]] }, 0, true)).toBe(bytes);
      const { maps, unmaps, pages } = dma_counters(m.cpu);
      expect(m.fsync()).toBe(0);
      expect(dma_counters(m.cpu)).toMatchObject({ maps, unmaps, pages, faults: 0 });
      expect(m.cpu.mem.crc32c(m.cpu.map.media + 4096, bytes)).toBe(m.cpu.mem.crc32c(memory, bytes));
    }
    expect(dmesg(m.cpu)).toEqual([]);
  },
);
