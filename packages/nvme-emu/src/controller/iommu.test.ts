/** The controller behind an IOMMU: what is not mapped, or mapped the other way, is a data transfer error. */
import { describe, expect, it } from "vitest";
import { iommu_faults } from "@ringside/core/dma/counters";
import { device_init } from "@ringside/core/dma/device";
import type { Iova } from "@ringside/core/dma/iova";
import {
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  dma_map_page,
  DMA_TO_DEVICE,
  dma_unmap_page,
} from "@ringside/core/dma/mapping";
import { GFP_KERNEL } from "@ringside/core/mm/gfp";
import { alloc_pages_exact } from "@ringside/core/mm/page-alloc";
import { boot_solo } from "@ringside/core/testing/solo";
import { device_cpu_id } from "@ringside/core/mm/memory-map";
import { Cpu } from "@ringside/core/sched/cpu";
import { Memory } from "atomics-sync";
import { NVME_DEVICE } from "../spec/device.ts";
import * as O from "../spec/opcodes.ts";
import { NvmeTestClient } from "../testing/client.ts";
import { NvmeController } from "./controller.ts";

function boot(): NvmeTestClient {
  const cpu = boot_solo({ iommu: "strict", ram: 16 << 20 });
  expect(device_init(cpu, NVME_DEVICE, "nvme0")).toBe(0);
  const device = new Cpu(new Memory(cpu.mem.wasm), device_cpu_id(cpu.config), cpu.config, cpu.platform);
  const controller = new NvmeController(device, cpu.map.media, cpu.config.media);
  const client = new NvmeTestClient(cpu, controller);
  client.alloc_pages = (bytes) => alloc_pages_exact(cpu, bytes, GFP_KERNEL);
  client.map_dma = (p, bytes) => dma_map_page(cpu, NVME_DEVICE, p, bytes, DMA_BIDIRECTIONAL);
  client.enable();
  client.create_pair(1);
  return client;
}

const XFER = "0/04h DATA_XFER_ERROR";
const OK = "0/00h SUCCESS";

describe("strict mode", () => {
  it("a mapped page is read and written; after its unmap the device faults", () => {
    const client = boot();
    const { cpu } = client;
    const p = client.alloc(4096);
    const iova = client.dma(p);
    expect(iova).not.toBe(p);
    cpu.mem.memset(p, 0x33, 512);
    expect(client.io_status(1, { opcode: O.nvme_cmd_write, prp1: iova })).toBe(OK);
    cpu.mem.memset(p, 0, 512);
    expect(client.io_status(1, { opcode: O.nvme_cmd_read, prp1: iova })).toBe(OK);
    expect(cpu.mem.read8(p + 100)).toBe(0x33);
    expect(iommu_faults(cpu)).toBe(0);
    dma_unmap_page(cpu, NVME_DEVICE, iova as Iova, 4096, DMA_BIDIRECTIONAL);
    expect(client.io_status(1, { opcode: O.nvme_cmd_read, prp1: iova })).toBe(XFER);
    expect(iommu_faults(cpu)).toBe(1);
  });

  it("a memory address is no DMA address", () => {
    const client = boot();
    expect(client.io_status(1, { opcode: O.nvme_cmd_read, prp1: client.alloc(4096) })).toBe(XFER);
  });

  it("the direction of the mapping binds the device", () => {
    const client = boot();
    const { cpu } = client;
    const from = client.alloc(4096);
    const read_only = dma_map_page(cpu, NVME_DEVICE, from, 4096, DMA_TO_DEVICE);
    expect(client.io_status(1, { opcode: O.nvme_cmd_write, prp1: read_only })).toBe(OK);
    expect(client.io_status(1, { opcode: O.nvme_cmd_read, prp1: read_only })).toBe(XFER);
    const write_only = dma_map_page(cpu, NVME_DEVICE, from, 4096, DMA_FROM_DEVICE);
    expect(client.io_status(1, { opcode: O.nvme_cmd_read, prp1: write_only })).toBe(OK);
    expect(client.io_status(1, { opcode: O.nvme_cmd_write, prp1: write_only })).toBe(XFER);
  });

  it("a list page that is not mapped is a data transfer error", () => {
    const client = boot();
    const data = client.alloc(4096);
    const read = { opcode: O.nvme_cmd_read, prp1: client.dma(data), cdw12: 31 };
    expect(client.io_status(1, { ...read, prp2: 0x7f000000 })).toBe(XFER);
  });
});
