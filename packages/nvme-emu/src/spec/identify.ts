/**
 * Identify data structures, as tables in the order nvme-cli prints them.
 *
 * Specs:
 *   [B]  NVM Express Base Specification 2.1, 5.1.13.2.1 Identify Controller (CNS 01h)
 *   [N]  NVM Express NVM Command Set Specification 1.1, 4.1.5.1 Identify Namespace (CNS 00h)
 */
import type { SpecField } from "./layout.ts";

/** [B] Identify Controller: controller capabilities and features, bytes 0 ... 255. */
const CONTROLLER_CAPABILITIES: readonly SpecField[] = [
  ["vid", 0, 2, "u"],
  ["ssvid", 2, 2, "u"],
  ["sn", 4, 20, "ascii"],
  ["mn", 24, 40, "ascii"],
  ["fr", 64, 8, "ascii"],
  ["rab", 72, 1, "u"],
  ["ieee", 73, 3, "u"],
  ["cmic", 76, 1, "u"],
  ["mdts", 77, 1, "u"],
  ["cntlid", 78, 2, "u"],
  ["ver", 80, 4, "u"],
  ["rtd3r", 84, 4, "u"],
  ["rtd3e", 88, 4, "u"],
  ["oaes", 92, 4, "u"],
  ["ctratt", 96, 4, "u"],
  ["rrls", 100, 2, "u"],
  ["cntrltype", 111, 1, "u"],
  ["fguid", 112, 16, "bytes"],
  ["crdt1", 128, 2, "u"],
  ["crdt2", 130, 2, "u"],
  ["crdt3", 132, 2, "u"],
  ["nvmsr", 253, 1, "u"],
  ["vwci", 254, 1, "u"],
  ["mec", 255, 1, "u"],
];

/** [B] Identify Controller: admin command set attributes, bytes 256 ... 511. */
const CONTROLLER_ADMIN: readonly SpecField[] = [
  ["oacs", 256, 2, "u"],
  ["acl", 258, 1, "u"],
  ["aerl", 259, 1, "u"],
  ["frmw", 260, 1, "u"],
  ["lpa", 261, 1, "u"],
  ["elpe", 262, 1, "u"],
  ["npss", 263, 1, "u"],
  ["avscc", 264, 1, "u"],
  ["apsta", 265, 1, "u"],
  ["wctemp", 266, 2, "u"],
  ["cctemp", 268, 2, "u"],
  ["mtfa", 270, 2, "u"],
  ["hmpre", 272, 4, "u"],
  ["hmmin", 276, 4, "u"],
  ["tnvmcap", 280, 16, "u"],
  ["unvmcap", 296, 16, "u"],
  ["rpmbs", 312, 4, "u"],
  ["edstt", 316, 2, "u"],
  ["dsto", 318, 1, "u"],
  ["fwug", 319, 1, "u"],
  ["kas", 320, 2, "u"],
  ["hctma", 322, 2, "u"],
  ["mntmt", 324, 2, "u"],
  ["mxtmt", 326, 2, "u"],
  ["sanicap", 328, 4, "u"],
  ["hmminds", 332, 4, "u"],
  ["hmmaxd", 336, 2, "u"],
  ["nsetidmax", 338, 2, "u"],
  ["endgidmax", 340, 2, "u"],
  ["anatt", 342, 1, "u"],
  ["anacap", 343, 1, "u"],
  ["anagrpmax", 344, 4, "u"],
  ["nanagrpid", 348, 4, "u"],
  ["pels", 352, 4, "u"],
  ["domainid", 356, 2, "u"],
  ["megcap", 368, 16, "u"],
];

/** [B] Identify Controller: NVM command set attributes, bytes 512 ... 2047. */
const CONTROLLER_NVM: readonly SpecField[] = [
  ["sqes", 512, 1, "u"],
  ["cqes", 513, 1, "u"],
  ["maxcmd", 514, 2, "u"],
  ["nn", 516, 4, "u"],
  ["oncs", 520, 2, "u"],
  ["fuses", 522, 2, "u"],
  ["fna", 524, 1, "u"],
  ["vwc", 525, 1, "u"],
  ["awun", 526, 2, "u"],
  ["awupf", 528, 2, "u"],
  ["icsvscc", 530, 1, "u"],
  ["nwpc", 531, 1, "u"],
  ["acwu", 532, 2, "u"],
  ["ocfs", 534, 2, "u"],
  ["sgls", 536, 4, "u"],
  ["mnan", 540, 4, "u"],
  ["maxdna", 544, 16, "u"],
  ["maxcna", 560, 4, "u"],
  ["subnqn", 768, 256, "ascii"],
  ["ioccsz", 1792, 4, "u"],
  ["iorcsz", 1796, 4, "u"],
  ["icdoff", 1800, 2, "u"],
  ["fcatt", 1802, 1, "u"],
  ["msdbd", 1803, 1, "u"],
  ["ofcs", 1804, 2, "u"],
];

export const NVME_ID_CTRL_FIELDS: readonly SpecField[] = [
  ...CONTROLLER_CAPABILITIES,
  ...CONTROLLER_ADMIN,
  ...CONTROLLER_NVM,
];

/** [B] power state descriptors: npss + 1 of them, 32 bytes each. */
export const NVME_ID_CTRL_PSD = 2048;
export const NVME_PSD_SIZE = 32;
export const NVME_PSD_FIELDS: readonly SpecField[] = [
  ["max_power", 0, 2, "u"],
  ["flags", 3, 1, "u"],
  ["entry_lat", 4, 4, "u"],
  ["exit_lat", 8, 4, "u"],
  ["read_tput", 12, 1, "u"],
  ["read_lat", 13, 1, "u"],
  ["write_tput", 14, 1, "u"],
  ["write_lat", 15, 1, "u"],
  ["idle_power", 16, 2, "u"],
  ["idle_scale", 18, 1, "u"],
  ["active_power", 20, 2, "u"],
  ["active_work_scale", 22, 1, "u"],
];

/** [N] Identify Namespace. */
export const NVME_ID_NS_FIELDS: readonly SpecField[] = [
  ["nsze", 0, 8, "u"],
  ["ncap", 8, 8, "u"],
  ["nuse", 16, 8, "u"],
  ["nsfeat", 24, 1, "u"],
  ["nlbaf", 25, 1, "u"],
  ["flbas", 26, 1, "u"],
  ["mc", 27, 1, "u"],
  ["dpc", 28, 1, "u"],
  ["dps", 29, 1, "u"],
  ["nmic", 30, 1, "u"],
  ["rescap", 31, 1, "u"],
  ["fpi", 32, 1, "u"],
  ["dlfeat", 33, 1, "u"],
  ["nawun", 34, 2, "u"],
  ["nawupf", 36, 2, "u"],
  ["nacwu", 38, 2, "u"],
  ["nabsn", 40, 2, "u"],
  ["nabo", 42, 2, "u"],
  ["nabspf", 44, 2, "u"],
  ["noiob", 46, 2, "u"],
  ["nvmcap", 48, 16, "u"],
  ["npwg", 64, 2, "u"],
  ["npwa", 66, 2, "u"],
  ["npdg", 68, 2, "u"],
  ["npda", 70, 2, "u"],
  ["nows", 72, 2, "u"],
  ["mssrl", 74, 2, "u"],
  ["mcl", 76, 4, "u"],
  ["msrc", 80, 1, "u"],
  ["nulbaf", 82, 1, "u"],
  ["anagrpid", 92, 4, "u"],
  ["nsattr", 99, 1, "u"],
  ["nvmsetid", 100, 2, "u"],
  ["endgid", 102, 2, "u"],
  ["nguid", 104, 16, "bytes"],
  ["eui64", 120, 8, "bytes"],
];

/** [N] LBA formats: nlbaf + 1 of them, 4 bytes each: metadata size, data size 2^ds, relative performance. */
export const NVME_ID_NS_LBAF = 128;
export const NVME_LBAF_SIZE = 4;
export const NVME_LBAF_FIELDS: readonly SpecField[] = [
  ["ms", 0, 2, "u"],
  ["ds", 2, 1, "u"],
  ["rp", 3, 1, "u"],
];
/** flbas bits 3:0: the format in use. */
export const NVME_FLBAS_INDEX_MASK = 0xf;
