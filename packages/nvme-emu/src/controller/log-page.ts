/**
 * Get Log Page ([B] 5.1.12): error information, SMART, firmware slot.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { SQE_CDW10, SQE_CDW11, SQE_CDW12, SQE_CDW13, SQE_NSID } from "../spec/entries.ts";
import {
  NVME_ERROR_LOG_ENTRY_SIZE,
  NVME_ERROR_LOG_FIELDS,
  NVME_FW_SLOT_FIELDS,
  NVME_FW_SLOT_LOG_SIZE,
  NVME_SMART_DATA_UNIT_BLOCKS,
  NVME_SMART_FIELDS,
  NVME_SMART_LOG_SIZE,
} from "../spec/logs.ts";
import {
  NVME_AER_ERROR,
  NVME_LOG_ERROR,
  NVME_LOG_FW_SLOT,
  NVME_LOG_NUMDL_SHIFT,
  NVME_LOG_RAE,
  NVME_LOG_SMART,
} from "../spec/opcodes.ts";
import {
  NVME_SC_INVALID_FIELD,
  NVME_SC_INVALID_LOG_PAGE,
  NVME_SC_SUCCESS,
  NVME_STATUS_DNR,
} from "../spec/status.ts";
import { nvme_dma } from "./dma.ts";
import { NVME_FIRMWARE } from "./identify.ts";
import { page_number, page_numbers, page_text } from "./page.ts";
import { NVME_ELPE, type NvmeCtrl, NvmeErrorEntry } from "./state.ts";

const BAD_FIELD: number = NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
/** 300 K: a cool 27 degrees. */
const TEMPERATURE = 300;

export function nvme_get_log_page(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const dw10 = cpu.mem.read(sqe + SQE_CDW10);
  const dwords = (dw10 >>> NVME_LOG_NUMDL_SHIFT) + (cpu.mem.read(sqe + SQE_CDW11) & 0xffff) * 65536 + 1;
  const offset = (cpu.mem.read(sqe + SQE_CDW12) >>> 0) + cpu.mem.read(sqe + SQE_CDW13) * 4294967296;
  const lid = dw10 & 0xff;
  if ((offset & 3) !== 0) return BAD_FIELD;
  const nsid = cpu.mem.read(sqe + SQE_NSID);
  // SMART is kept for the controller, not per namespace (LPA bit 0).
  if (lid === NVME_LOG_SMART && nsid !== 0 && nsid !== -1) return BAD_FIELD;
  const size = build_log(cpu, n, lid);
  if (size === 0) return NVME_SC_INVALID_LOG_PAGE | NVME_STATUS_DNR;
  if (offset < 0 || offset > size) return BAD_FIELD;
  const bytes = Math.min(dwords * 4, size - offset);
  const status = bytes === 0 ? NVME_SC_SUCCESS : nvme_dma(cpu, n, sqe, n.scratch + offset, bytes, true);
  if (status === NVME_SC_SUCCESS && lid === NVME_LOG_ERROR && (dw10 & NVME_LOG_RAE) === 0) {
    n.events_masked &= ~(1 << NVME_AER_ERROR);
  }
  return status;
}

/** Builds the page in the scratch memory; its size, 0 when there is no such log. */
function build_log(cpu: Cpu, n: NvmeCtrl, lid: number): number {
  switch (lid) {
    case NVME_LOG_ERROR:
      return build_error_log(cpu, n);
    case NVME_LOG_SMART:
      return build_smart_log(cpu, n);
    case NVME_LOG_FW_SLOT:
      cpu.mem.memset(n.scratch, 0, NVME_FW_SLOT_LOG_SIZE);
      page_number(cpu, n.scratch, NVME_FW_SLOT_FIELDS, "afi", 1);
      page_text(cpu, n.scratch, NVME_FW_SLOT_FIELDS, "frs1", NVME_FIRMWARE);
      return NVME_FW_SLOT_LOG_SIZE;
    default:
      return 0;
  }
}

function build_error_log(cpu: Cpu, n: NvmeCtrl): number {
  const entries = NVME_ELPE + 1;
  cpu.mem.memset(n.scratch, 0, entries * NVME_ERROR_LOG_ENTRY_SIZE);
  for (let i = 0; i < entries && i < n.error_count; i++) {
    const entry = n.errors[(n.error_count - 1 - i) % entries] as NvmeErrorEntry;
    page_numbers(cpu, n.scratch + i * NVME_ERROR_LOG_ENTRY_SIZE, NVME_ERROR_LOG_FIELDS, [
      ["error_count", entry.error_count],
      ["sqid", entry.sqid],
      ["cmdid", entry.cmdid],
      ["status_field", entry.status_field],
      ["lba", entry.lba],
      ["nsid", entry.nsid],
    ]);
  }
  return entries * NVME_ERROR_LOG_ENTRY_SIZE;
}

function data_units(blocks: number): number {
  return Math.ceil(blocks / NVME_SMART_DATA_UNIT_BLOCKS);
}

function build_smart_log(cpu: Cpu, n: NvmeCtrl): number {
  cpu.mem.memset(n.scratch, 0, NVME_SMART_LOG_SIZE);
  page_numbers(cpu, n.scratch, NVME_SMART_FIELDS, [
    ["temperature", TEMPERATURE],
    ["avail_spare", 100],
    ["spare_thresh", 10],
    ["data_units_read", data_units(n.blocks_read)],
    ["data_units_written", data_units(n.blocks_written)],
    ["host_read_commands", n.reads],
    ["host_write_commands", n.writes],
    ["power_cycles", 1],
    ["num_err_log_entries", n.error_count],
  ]);
  return NVME_SMART_LOG_SIZE;
}
