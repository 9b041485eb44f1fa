/**
 * struct nvme_dmabuf_map (patch 07 of the dma-buf series): a map of a whole dma-buf as a flat array of DMA
 * addresses, one for each 4 KiB. Constant while the map is published; the generic map comes first, since the
 * core frees the object through it.
 */
import { struct_layout } from "@ringside/core/debug/layout";
import { IO_DMABUF_MAP_SIZE, type IoDmabufMapPtr } from "@ringside/core/dma/token";
import type { SgTablePtr } from "@ringside/core/dma/scatterlist";
import type { Cpu } from "@ringside/core/sched/cpu";

const DMA_LIST: number = IO_DMABUF_MAP_SIZE;
const SGT: number = DMA_LIST + 4;
const NR_ENTRIES: number = DMA_LIST + 8;
export const NVME_DMABUF_MAP_SIZE: number = DMA_LIST + 12;

struct_layout("nvme_dmabuf_map", NVME_DMABUF_MAP_SIZE, [
  ["dma_list", DMA_LIST, 4],
  ["sgt", SGT, 4],
  ["nr_entries", NR_ENTRIES, 4],
]);

/** DMA address of page `index` of the buffer. */
export function nvme_dmabuf_map_dma(cpu: Cpu, map: number, index: number): number {
  return cpu.mem.read(cpu.mem.read(map + DMA_LIST) + 4 * index);
}

export function nvme_dmabuf_map_list(cpu: Cpu, map: IoDmabufMapPtr): number {
  return cpu.mem.read(map + DMA_LIST);
}
export function nvme_dmabuf_map_sgt(cpu: Cpu, map: IoDmabufMapPtr): SgTablePtr {
  return cpu.mem.read(map + SGT) as SgTablePtr;
}
export function nvme_dmabuf_map_nr_entries(cpu: Cpu, map: IoDmabufMapPtr): number {
  return cpu.mem.read(map + NR_ENTRIES);
}
export function nvme_dmabuf_map_set(
  cpu: Cpu,
  map: IoDmabufMapPtr,
  dma_list: number,
  sgt: SgTablePtr,
  nr_entries: number,
): void {
  cpu.mem.write(map + DMA_LIST, dma_list);
  cpu.mem.write(map + SGT, sgt);
  cpu.mem.write(map + NR_ENTRIES, nr_entries);
}
