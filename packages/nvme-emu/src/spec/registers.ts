/**
 * Controller registers: offsets and fields.
 *
 * Specs:
 *   [B]  NVM Express Base Specification 2.1
 *   [P]  NVM Express NVMe over PCIe Transport Specification 1.1
 * Names as in include/linux/nvme.h where Linux has one. 64-bit registers are two words, low word first.
 */

/** [B] 3.1.4.1 CAP: Controller Capabilities, 64 bits. */
export const NVME_REG_CAP = 0x00;
/** [B] 3.1.4.2 VS: Version. */
export const NVME_REG_VS = 0x08;
/** [B] 3.1.4.3 INTMS: Interrupt Mask Set, write 1 to set. */
export const NVME_REG_INTMS = 0x0c;
/** [B] 3.1.4.4 INTMC: Interrupt Mask Clear, write 1 to clear. */
export const NVME_REG_INTMC = 0x10;
/** [B] 3.1.4.5 CC: Controller Configuration. */
export const NVME_REG_CC = 0x14;
/** [B] 3.1.4.6 CSTS: Controller Status. */
export const NVME_REG_CSTS = 0x1c;
/** [B] 3.1.4.7 NSSR: NVM Subsystem Reset; not supported here (CAP.NSSRS 0). */
export const NVME_REG_NSSR = 0x20;
/** [B] 3.1.4.8 AQA: Admin Queue Attributes. */
export const NVME_REG_AQA = 0x24;
/** [B] 3.1.4.9 ASQ: Admin Submission Queue Base Address, 64 bits. */
export const NVME_REG_ASQ = 0x28;
/** [B] 3.1.4.10 ACQ: Admin Completion Queue Base Address, 64 bits. */
export const NVME_REG_ACQ = 0x30;
/** [B] 3.1.4.11 CMBLOC, 3.1.4.12 CMBSZ: no controller memory buffer, both 0. */
export const NVME_REG_CMBLOC = 0x38;
export const NVME_REG_CMBSZ = 0x3c;
/** [B] 3.1.4.13-15 boot partition: none. */
export const NVME_REG_BPINFO = 0x40;
export const NVME_REG_BPRSEL = 0x44;
export const NVME_REG_BPMBL = 0x48;
/** [B] 3.1.4.16-17 CMB memory space control and status. */
export const NVME_REG_CMBMSC = 0x50;
export const NVME_REG_CMBSTS = 0x58;
/** [B] 3.1.4.21 CRTO: Controller Ready Timeouts; 0, since CAP.CRMS is 0. */
export const NVME_REG_CRTO = 0x68;
/** [B] 3.1.4.22-28 persistent memory region: none. */
export const NVME_REG_PMRCAP = 0xe00;
export const NVME_REG_PMRCTL = 0xe04;
export const NVME_REG_PMRSTS = 0xe08;
export const NVME_REG_PMREBS = 0xe0c;
export const NVME_REG_PMRSWTP = 0xe10;
export const NVME_REG_PMRMSCL = 0xe14;
export const NVME_REG_PMRMSCU = 0xe18;
/** [P] 3.1.2 doorbells start here. */
export const NVME_REG_DBS = 0x1000;

/** [B] 3.1.4.1, low word. MQES is zero-based; TO counts 500 ms. */
export const NVME_CAP_MQES_MASK = 0xffff;
export const NVME_CAP_CQR: number = 1 << 16;
export const NVME_CAP_AMS_SHIFT = 17;
export const NVME_CAP_TO_SHIFT = 24;
/** [B] 3.1.4.1, high word: shifts are those of the 64-bit register less 32. */
export const NVME_CAP_HI_DSTRD_SHIFT = 0;
export const NVME_CAP_HI_NSSRS: number = 1 << 4;
export const NVME_CAP_HI_CSS_SHIFT = 5;
/** CAP.CSS bit 0: the NVM command set. */
export const NVME_CAP_CSS_NVM = 1;
export const NVME_CAP_HI_MPSMIN_SHIFT = 16;
export const NVME_CAP_HI_MPSMAX_SHIFT = 20;
export const NVME_CAP_HI_CMBS: number = 1 << 25;
export const NVME_CAP_HI_CRMS_SHIFT = 27;

/** [B] 3.1.4.2: major, minor, tertiary. */
export const NVME_VS_1_4_0 = 0x00010400;

/** [B] 3.1.4.5 */
export const NVME_CC_ENABLE: number = 1 << 0;
export const NVME_CC_CSS_SHIFT = 4;
export const NVME_CC_CSS_MASK: number = 7 << 4;
export const NVME_CC_CSS_NVM: number = 0 << 4;
export const NVME_CC_MPS_SHIFT = 7;
export const NVME_CC_MPS_MASK: number = 0xf << 7;
export const NVME_CC_AMS_SHIFT = 11;
export const NVME_CC_AMS_MASK: number = 7 << 11;
/** Round robin. */
export const NVME_CC_AMS_RR: number = 0 << 11;
export const NVME_CC_SHN_SHIFT = 14;
export const NVME_CC_SHN_NONE: number = 0 << 14;
export const NVME_CC_SHN_NORMAL: number = 1 << 14;
export const NVME_CC_SHN_ABRUPT: number = 2 << 14;
export const NVME_CC_SHN_MASK: number = 3 << 14;
export const NVME_CC_IOSQES_SHIFT = 16;
export const NVME_CC_IOSQES_MASK: number = 0xf << 16;
export const NVME_CC_IOCQES_SHIFT = 20;
export const NVME_CC_IOCQES_MASK: number = 0xf << 20;
/** Entry sizes as powers of two: 64 and 16 bytes. */
export const NVME_NVM_IOSQES = 6;
export const NVME_NVM_IOCQES = 4;
export const NVME_CC_IOSQES: number = NVME_NVM_IOSQES << NVME_CC_IOSQES_SHIFT;
export const NVME_CC_IOCQES: number = NVME_NVM_IOCQES << NVME_CC_IOCQES_SHIFT;

/** [B] 3.1.4.6 */
export const NVME_CSTS_RDY: number = 1 << 0;
export const NVME_CSTS_CFS: number = 1 << 1;
export const NVME_CSTS_SHST_OCCUR: number = 1 << 2;
export const NVME_CSTS_SHST_CMPLT: number = 2 << 2;
export const NVME_CSTS_SHST_MASK: number = 3 << 2;
export const NVME_CSTS_NSSRO: number = 1 << 4;
export const NVME_CSTS_PP: number = 1 << 5;

/** [B] 3.1.4.8: both sizes zero-based; the submission queue's in bits 11:0. */
export const NVME_AQA_ASQS_MASK = 0xfff;
export const NVME_AQA_ACQS_SHIFT = 16;
/** Largest admin queue, in entries. */
export const NVME_AQA_ENTRIES_MAX = 4096;

export interface RegisterField {
  /** Name as nvme-cli's show-regs prints it. */
  readonly name: string;
  readonly offset: number;
  readonly bytes: 4 | 8;
}

/** Every register of the properties area, in the order show-regs prints them. */
export const NVME_REGISTERS: readonly RegisterField[] = [
  { name: "cap", offset: NVME_REG_CAP, bytes: 8 },
  { name: "version", offset: NVME_REG_VS, bytes: 4 },
  { name: "cc", offset: NVME_REG_CC, bytes: 4 },
  { name: "csts", offset: NVME_REG_CSTS, bytes: 4 },
  { name: "nssr", offset: NVME_REG_NSSR, bytes: 4 },
  { name: "crto", offset: NVME_REG_CRTO, bytes: 4 },
  { name: "intms", offset: NVME_REG_INTMS, bytes: 4 },
  { name: "intmc", offset: NVME_REG_INTMC, bytes: 4 },
  { name: "aqa", offset: NVME_REG_AQA, bytes: 4 },
  { name: "asq", offset: NVME_REG_ASQ, bytes: 8 },
  { name: "acq", offset: NVME_REG_ACQ, bytes: 8 },
  { name: "cmbloc", offset: NVME_REG_CMBLOC, bytes: 4 },
  { name: "cmbsz", offset: NVME_REG_CMBSZ, bytes: 4 },
  { name: "bpinfo", offset: NVME_REG_BPINFO, bytes: 4 },
  { name: "bprsel", offset: NVME_REG_BPRSEL, bytes: 4 },
  { name: "bpmbl", offset: NVME_REG_BPMBL, bytes: 8 },
  { name: "cmbmsc", offset: NVME_REG_CMBMSC, bytes: 8 },
  { name: "cmbsts", offset: NVME_REG_CMBSTS, bytes: 4 },
  { name: "pmrcap", offset: NVME_REG_PMRCAP, bytes: 4 },
  { name: "pmrctl", offset: NVME_REG_PMRCTL, bytes: 4 },
  { name: "pmrsts", offset: NVME_REG_PMRSTS, bytes: 4 },
  { name: "pmrebs", offset: NVME_REG_PMREBS, bytes: 4 },
  { name: "pmrswtp", offset: NVME_REG_PMRSWTP, bytes: 4 },
  { name: "pmrmscl", offset: NVME_REG_PMRMSCL, bytes: 4 },
  { name: "pmrmscu", offset: NVME_REG_PMRMSCU, bytes: 4 },
];
