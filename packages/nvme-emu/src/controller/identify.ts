/**
 * Identify ([B] 5.1.13): what this controller and its namespace say they are.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { NVME_PCI_VENDOR } from "../spec/device.ts";
import { NVME_NVM_IOCQES, NVME_NVM_IOSQES, NVME_VS_1_4_0 } from "../spec/registers.ts";
import { SQE_CDW10, SQE_NSID } from "../spec/entries.ts";
import {
  NVME_ID_CTRL_FIELDS,
  NVME_ID_CTRL_PSD,
  NVME_ID_NS_FIELDS,
  NVME_ID_NS_LBAF,
  NVME_LBAF_FIELDS,
  NVME_PSD_FIELDS,
} from "../spec/identify.ts";
import {
  NVME_ID_CNS_CTRL,
  NVME_ID_CNS_NS,
  NVME_ID_CNS_NS_ACTIVE_LIST,
  NVME_IDENTIFY_DATA_SIZE,
} from "../spec/opcodes.ts";
import { NVME_SC_INVALID_FIELD, NVME_SC_INVALID_NS, NVME_STATUS_DNR } from "../spec/status.ts";
import { nvme_dma } from "./dma.ts";
import { page_number, page_numbers, page_text } from "./page.ts";
import {
  NVME_ACL,
  NVME_AERL,
  NVME_ELPE,
  NVME_LBA_SHIFT,
  NVME_LBA_SIZE,
  NVME_MDTS,
  NVME_NN,
  NVME_NSID,
  type NvmeCtrl,
} from "./state.ts";

const BAD_NS: number = NVME_SC_INVALID_NS | NVME_STATUS_DNR;
/** Warning and critical temperature, kelvin. */
const WCTEMP = 343;
const CCTEMP = 373;
/** Required and maximum entry sizes, both nibbles. */
const SQES: number = NVME_NVM_IOSQES * 0x11;
const CQES: number = NVME_NVM_IOCQES * 0x11;

export const NVME_SERIAL = "RINGSIDE0001";
export const NVME_MODEL = "ringside NVMe Controller";
export const NVME_FIRMWARE = "1.0";
export const NVME_SUBNQN = "nqn.2026-01.dev.ringside:nvme0";

const CTRL_VALUES: readonly (readonly [string, number])[] = [
  ["vid", NVME_PCI_VENDOR],
  ["ssvid", NVME_PCI_VENDOR],
  ["mdts", NVME_MDTS],
  ["ver", NVME_VS_1_4_0],
  ["cntrltype", 1], // I/O controller
  ["acl", NVME_ACL],
  ["aerl", NVME_AERL],
  ["frmw", 0x03], // one slot, read only
  ["lpa", 0x04], // log page offset and long counts
  ["elpe", NVME_ELPE],
  ["wctemp", WCTEMP],
  ["cctemp", CCTEMP],
  ["sqes", SQES],
  ["cqes", CQES],
  ["nn", NVME_NN],
  ["vwc", 0x07], // flush, also of all namespaces
];

export function nvme_identify(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const page = n.scratch;
  const nsid = cpu.mem.read(sqe + SQE_NSID) >>> 0;
  cpu.mem.memset(page, 0, NVME_IDENTIFY_DATA_SIZE);
  switch (cpu.mem.read(sqe + SQE_CDW10) & 0xff) {
    case NVME_ID_CNS_NS:
      // FFFFFFFFh would mean capabilities common to all namespaces, with namespace management only.
      if (nsid === 0 || nsid > NVME_NN) return BAD_NS;
      if (nsid === NVME_NSID) identify_namespace(cpu, n, page);
      break;
    case NVME_ID_CNS_CTRL:
      identify_controller(cpu, n, page);
      break;
    case NVME_ID_CNS_NS_ACTIVE_LIST:
      if (nsid >= 0xfffffffe) return BAD_NS;
      if (nsid < NVME_NSID) cpu.mem.write(page, NVME_NSID);
      break;
    default:
      return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
  }
  return nvme_dma(cpu, n, sqe, page, NVME_IDENTIFY_DATA_SIZE, true);
}

function identify_controller(cpu: Cpu, n: NvmeCtrl, page: number): void {
  const table = NVME_ID_CTRL_FIELDS;
  page_text(cpu, page, table, "sn", NVME_SERIAL);
  page_text(cpu, page, table, "mn", NVME_MODEL);
  page_text(cpu, page, table, "fr", NVME_FIRMWARE);
  page_text(cpu, page, table, "subnqn", NVME_SUBNQN, 0);
  page_numbers(cpu, page, table, CTRL_VALUES);
  page_number(cpu, page, table, "tnvmcap", n.blocks * NVME_LBA_SIZE);
  page_numbers(cpu, page + NVME_ID_CTRL_PSD, NVME_PSD_FIELDS, [["max_power", 2500]]);
}

function identify_namespace(cpu: Cpu, n: NvmeCtrl, page: number): void {
  page_numbers(cpu, page, NVME_ID_NS_FIELDS, [
    ["nsze", n.blocks],
    ["ncap", n.blocks],
    ["nuse", n.blocks],
    ["nvmcap", n.blocks * NVME_LBA_SIZE],
  ]);
  page_number(cpu, page + NVME_ID_NS_LBAF, NVME_LBAF_FIELDS, "ds", NVME_LBA_SHIFT);
}
