/**
 * Data transfer: every access of the device to host memory. A DMA address means nothing until the IOMMU has
 * translated it, and means it only until the next iommu_device_poll: no translation is kept longer.
 *
 * PRP rules ([B] 4.3.1): PRP1 may start anywhere dword aligned; every later entry starts a page. One page
 * more: PRP2 points at it. More than that: PRP2 points at a list, whose last slot chains to the next list
 * when entries remain.
 *
 * Interface: nvme_dma(cpu, n, sqe, inner, bytes, to_host) moves between the device's own memory at `inner`
 * and the host pages of the command; it returns a status. Data before a fault may have moved.
 */
import { iommu_translate } from "@ringside/core/dma/iommu-device";
import type { Cpu } from "@ringside/core/sched/cpu";
import { SQE_PRP1, SQE_PRP2 } from "../spec/entries.ts";
import {
  NVME_SC_DATA_XFER_ERROR,
  NVME_SC_INVALID_FIELD,
  NVME_SC_PRP_INVALID_OFFSET,
  NVME_SC_SUCCESS,
  NVME_STATUS_DNR,
} from "../spec/status.ts";
import type { NvmeCtrl } from "./state.ts";

const PRP1 = SQE_PRP1;
const PRP2 = SQE_PRP2;
const PAGE = 4096;
const PAGE_MASK = 4095;
const PRP_SIZE = 8;

const SUCCESS = NVME_SC_SUCCESS;
const XFER_ERROR = NVME_SC_DATA_XFER_ERROR;
const BAD_OFFSET: number = NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
const BAD_FIELD: number = NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;

/** Address behind `bytes` bytes at `iova`, within one page; 0 when the IOMMU refuses. */
export function nvme_translate(cpu: Cpu, n: NvmeCtrl, iova: number, bytes: number, write: boolean): number {
  return iommu_translate(cpu, n.dev, n.tlb, iova, bytes, write);
}

function move(cpu: Cpu, host: number, inner: number, bytes: number, to_host: boolean): void {
  if (to_host) cpu.mem.memcpy(host, inner, bytes);
  else cpu.mem.memcpy(inner, host, bytes);
}

/** Moves `bytes` bytes as the command's PRP entries say. */
export function nvme_dma(
  cpu: Cpu,
  n: NvmeCtrl,
  sqe: number,
  inner: number,
  bytes: number,
  to_host: boolean,
): number {
  const prp1 = cpu.mem.read64(sqe + PRP1);
  if ((prp1 & 3) !== 0) return BAD_OFFSET;
  if (prp1 === 0) return BAD_FIELD;
  const room = PAGE - (prp1 & PAGE_MASK);
  const first = bytes < room ? bytes : room;
  const host = nvme_translate(cpu, n, prp1, first, to_host);
  if (host === 0) return XFER_ERROR;
  if (first === bytes) {
    move(cpu, host, inner, bytes, to_host);
    return SUCCESS;
  }
  const prp2 = cpu.mem.read64(sqe + PRP2);
  if (prp2 === 0) return BAD_FIELD;
  const rest = bytes - first;
  if (rest > PAGE) return dma_list(cpu, n, prp2, host, first, inner, bytes, to_host);
  if ((prp2 & PAGE_MASK) !== 0) return BAD_OFFSET;
  const second = nvme_translate(cpu, n, prp2, rest, to_host);
  if (second === 0) return XFER_ERROR;
  if (second === host + first) move(cpu, host, inner, bytes, to_host);
  else {
    move(cpu, host, inner, first, to_host);
    move(cpu, second, inner + first, rest, to_host);
  }
  return SUCCESS;
}

/** Three pages or more. `run` is a stretch of host memory, `run_bytes` long, found and not yet moved. */
function dma_list(
  cpu: Cpu,
  n: NvmeCtrl,
  prp2: number,
  host: number,
  first: number,
  inner: number,
  bytes: number,
  to_host: boolean,
): number {
  if ((prp2 & (PRP_SIZE - 1)) !== 0) return BAD_OFFSET;
  let list_iova = prp2;
  let list = 0;
  let list_end = 0;
  let run = host;
  let run_bytes = first;
  let at = inner;
  let left = bytes - first;
  while (left > 0) {
    if (list === list_end) {
      // Offset only in the first list: the chain entries below are checked to be page aligned.
      const slots = (PAGE - (list_iova & PAGE_MASK)) >> 3;
      list = nvme_translate(cpu, n, list_iova, slots << 3, false);
      if (list === 0) return XFER_ERROR;
      list_end = list + (slots << 3);
    }
    const entry = cpu.mem.read64(list);
    list += PRP_SIZE;
    if ((entry & PAGE_MASK) !== 0) return BAD_OFFSET;
    if (list === list_end && left > PAGE) {
      list_iova = entry;
      continue;
    }
    const part = left < PAGE ? left : PAGE;
    const page = nvme_translate(cpu, n, entry, part, to_host);
    if (page === 0) return XFER_ERROR;
    if (page === run + run_bytes) run_bytes += part;
    else {
      move(cpu, run, at, run_bytes, to_host);
      at += run_bytes;
      run = page;
      run_bytes = part;
    }
    left -= part;
  }
  move(cpu, run, at, run_bytes, to_host);
  return SUCCESS;
}
