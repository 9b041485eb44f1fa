/**
 * `nvme show-regs`: the properties area (a dump of BAR0 from offset 0) as nvme-cli 2.8 prints it: text, JSON,
 * and with `human` the fields of the registers that mean something here.
 */
import * as R from "../spec/registers.ts";
import { type Bytes, hex, number_at } from "./decode.ts";

/** Labels the original sets with a tab, and those it prints with a prefix. */
const TABBED: ReadonlySet<string> = new Set(["cmbmsc", "cmbsts", "pmrmscl", "pmrmscu"]);
const PREFIXED: ReadonlySet<string> = new Set(["pmrmscl", "pmrmscu"]);
const NAME_WIDTH = 8;

export function show_regs_text(bar: Bytes, human: boolean = false): string {
  const lines: string[] = [];
  for (const { name, offset, bytes } of R.NVME_REGISTERS) {
    const value = number_at(bar, offset, bytes);
    const digits = PREFIXED.has(name) ? hex(value) : digits_at(bar, offset, bytes);
    lines.push(TABBED.has(name) ? `${name}\t: ${digits}` : `${name.padEnd(NAME_WIDTH)}: ${digits}`);
    if (human) lines.push(...register_fields(bar, name));
  }
  return `${lines.join("\n")}\n`;
}

/** The same names, except that "version" is "vs", in the original's own order. 64-bit values may be inexact. */
export function show_regs_json(bar: Bytes): Record<string, number> {
  const order = ["cap", "version", "intms", "intmc", "cc", "csts", "nssr", "crto"];
  const rest = R.NVME_REGISTERS.filter((register) => !order.includes(register.name));
  const first = order.map((name) => R.NVME_REGISTERS.find((register) => register.name === name));
  const root: Record<string, number> = {};
  for (const register of [...first, ...rest]) {
    if (register === undefined) continue;
    const name = register.name === "version" ? "vs" : register.name;
    root[name] = number_at(bar, register.offset, register.bytes);
  }
  return root;
}

/** Lower-case hexadecimal without prefix, exact in 64 bits. */
function digits_at(bar: Bytes, offset: number, bytes: number): string {
  let digits = "";
  for (let i = bytes - 1; i >= 0; i--) digits += (bar[offset + i] ?? 0).toString(16).padStart(2, "0");
  return digits.replace(/^0+(?=.)/, "");
}

function register_fields(bar: Bytes, name: string): string[] {
  switch (name) {
    case "cap":
      return cap_fields(bar);
    case "version": {
      const vs = number_at(bar, R.NVME_REG_VS, 4);
      return [`\tNVMe specification ${vs >>> 16}.${(vs >>> 8) & 0xff}`, ""];
    }
    case "cc":
      return cc_fields(bar);
    case "csts":
      return csts_fields(bar);
    case "aqa": {
      const aqa = number_at(bar, R.NVME_REG_AQA, 4);
      const completion = (aqa >>> R.NVME_AQA_ACQS_SHIFT) & R.NVME_AQA_ASQS_MASK;
      return [
        `\tAdmin Completion Queue Size (ACQS): ${completion + 1}`,
        `\tAdmin Submission Queue Size (ASQS): ${(aqa & R.NVME_AQA_ASQS_MASK) + 1}`,
        "",
      ];
    }
    case "asq":
      return [`\tAdmin Submission Queue Base (ASQB): ${digits_at(bar, R.NVME_REG_ASQ, 8)}`, ""];
    case "acq":
      return [`\tAdmin Completion Queue Base (ACQB): ${digits_at(bar, R.NVME_REG_ACQ, 8)}`, ""];
    case "intms":
      return [`\tInterrupt Vector Mask Set (IVMS): ${digits_at(bar, R.NVME_REG_INTMS, 4)}`, ""];
    case "intmc":
      return [`\tInterrupt Vector Mask Clear (IVMC): ${digits_at(bar, R.NVME_REG_INTMC, 4)}`, ""];
    default:
      return [];
  }
}

function cap_fields(bar: Bytes): string[] {
  const low = number_at(bar, R.NVME_REG_CAP, 4);
  const high = number_at(bar, R.NVME_REG_CAP + 4, 4);
  const page = (shift: number): number => 2 ** (12 + ((high >>> shift) & 0xf));
  const css = (high >>> R.NVME_CAP_HI_CSS_SHIFT) & 0xff;
  return [
    `\tMemory Page Size Maximum      (MPSMAX): ${page(R.NVME_CAP_HI_MPSMAX_SHIFT)} bytes`,
    `\tMemory Page Size Minimum      (MPSMIN): ${page(R.NVME_CAP_HI_MPSMIN_SHIFT)} bytes`,
    `\tCommand Sets Supported           (CSS): NVM command set is ${css & 1 ? "Supported" : "Not Supported"}`,
    `\tNVM Subsystem Reset Supported  (NSSRS): ${high & R.NVME_CAP_HI_NSSRS ? "Yes" : "No"}`,
    `\tDoorbell Stride                (DSTRD): ${4 << (high & 0xf)} bytes`,
    `\tTimeout                           (TO): ${(low >>> R.NVME_CAP_TO_SHIFT) * 500} ms`,
    `\tContiguous Queues Required       (CQR): ${low & R.NVME_CAP_CQR ? "Yes" : "No"}`,
    `\tMaximum Queue Entries Supported (MQES): ${(low & R.NVME_CAP_MQES_MASK) + 1}`,
    "",
  ];
}

const SHUTDOWN_REQUESTS = [
  "No notification; no effect",
  "Normal shutdown notification",
  "Abrupt shutdown notification",
  "Reserved",
];

function cc_fields(bar: Bytes): string[] {
  const cc = number_at(bar, R.NVME_REG_CC, 4);
  const field = (mask: number, shift: number): number => (cc & mask) >>> shift;
  const cqes = field(R.NVME_CC_IOCQES_MASK, R.NVME_CC_IOCQES_SHIFT);
  const sqes = field(R.NVME_CC_IOSQES_MASK, R.NVME_CC_IOSQES_SHIFT);
  const shn = SHUTDOWN_REQUESTS[field(R.NVME_CC_SHN_MASK, R.NVME_CC_SHN_SHIFT)];
  const round_robin = field(R.NVME_CC_AMS_MASK, R.NVME_CC_AMS_SHIFT) === 0;
  const nvm = field(R.NVME_CC_CSS_MASK, R.NVME_CC_CSS_SHIFT) === 0;
  return [
    `\tI/O Completion Queue Entry Size (IOCQES): ${2 ** cqes} bytes`,
    `\tI/O Submission Queue Entry Size (IOSQES): ${2 ** sqes} bytes`,
    `\tShutdown Notification              (SHN): ${shn}`,
    `\tArbitration Mechanism Selected     (AMS): ${round_robin ? "Round Robin" : "Other"}`,
    `\tMemory Page Size                   (MPS): ${2 ** (12 + field(R.NVME_CC_MPS_MASK, R.NVME_CC_MPS_SHIFT))} bytes`,
    `\tI/O Command Set Selected           (CSS): ${nvm ? "NVM Command Set" : "Other"}`,
    `\tEnable                              (EN): ${cc & R.NVME_CC_ENABLE ? "Yes" : "No"}`,
    "",
  ];
}

const SHUTDOWN_STATES = [
  "Normal operation (no shutdown has been requested)",
  "Shutdown processing occurring",
  "Shutdown processing complete",
  "Reserved",
];

function csts_fields(bar: Bytes): string[] {
  const csts = number_at(bar, R.NVME_REG_CSTS, 4);
  return [
    `\tProcessing Paused               (PP): ${csts & R.NVME_CSTS_PP ? "Yes" : "No"}`,
    `\tNVM Subsystem Reset Occurred (NSSRO): ${csts & R.NVME_CSTS_NSSRO ? "Yes" : "No"}`,
    `\tShutdown Status               (SHST): ${SHUTDOWN_STATES[(csts & R.NVME_CSTS_SHST_MASK) >>> 2]}`,
    `\tController Fatal Status        (CFS): ${csts & R.NVME_CSTS_CFS ? "True" : "False"}`,
    `\tReady                          (RDY): ${csts & R.NVME_CSTS_RDY ? "Yes" : "No"}`,
    "",
  ];
}
