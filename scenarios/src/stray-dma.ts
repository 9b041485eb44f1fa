/**
 * A driver bug on purpose: the controller is told to write into a page that was unmapped before. Behind an
 * IOMMU the access is refused and reported, the command fails, the machine goes on.
 */
import { DMA_FROM_DEVICE, dma_map_page, dma_unmap_page } from "@ringside/core/dma/mapping";
import { GFP_KERNEL } from "@ringside/core/mm/gfp";
import { alloc_pages_exact, free_pages_exact } from "@ringside/core/mm/page-alloc";
import type { Cpu } from "@ringside/core/sched/cpu";
import { nvme_submit_admin } from "@ringside/nvme-emu/driver/admin-queue";
import { nvme_dev } from "@ringside/nvme-emu/driver/dev";
import { NVME_DEVICE } from "@ringside/nvme-emu/spec/device";
import { NVME_ID_CNS_CTRL, nvme_admin_identify } from "@ringside/nvme-emu/spec/opcodes";
import type { Args, Result } from "./workload.ts";

const PAGE_SIZE = 4096;

/** Results: mapped and unmapped, the status of the same command before and after the unmap; iova. */
export function stray_dma(cpu: Cpu, _args: Args): Result {
  const page = alloc_pages_exact(cpu, PAGE_SIZE, GFP_KERNEL);
  if (page === 0) throw new Error("stray-dma: no memory for a page");
  const iova = dma_map_page(cpu, NVME_DEVICE, page, PAGE_SIZE, DMA_FROM_DEVICE);
  if (iova === -1) throw new Error("stray-dma: the page cannot be mapped");
  const dev = nvme_dev(cpu);
  const mapped = nvme_submit_admin(cpu, dev, nvme_admin_identify, 0, iova, NVME_ID_CNS_CTRL, 0);
  dma_unmap_page(cpu, NVME_DEVICE, iova, PAGE_SIZE, DMA_FROM_DEVICE);
  const unmapped = nvme_submit_admin(cpu, dev, nvme_admin_identify, 0, iova, NVME_ID_CNS_CTRL, 0);
  free_pages_exact(cpu, page, PAGE_SIZE);
  return { mapped, unmapped, iova };
}
