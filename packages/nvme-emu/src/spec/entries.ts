/**
 * Queue entries: a submission queue entry is 64 bytes, a completion queue entry 16, byte for byte the real
 * ones. Offsets are bytes; fields of 16 bits are read with read16.
 *
 * Specs:
 *   [B]  NVM Express Base Specification 2.1
 */
import { struct_layout } from "@ringside/core/debug/layout";

/** [B] 4.1.1: submission queue entry, struct nvme_command. */
export const NVME_SQE_SIZE = 64;
export const NVME_SQE_SHIFT = 6;
export const SQE_OPCODE = 0;
/** FUSE bits 1:0, PSDT bits 7:6. */
export const SQE_FLAGS = 1;
export const SQE_CID = 2;
export const SQE_NSID = 4;
export const SQE_CDW2 = 8;
export const SQE_CDW3 = 12;
export const SQE_MPTR = 16;
export const SQE_PRP1 = 24;
export const SQE_PRP2 = 32;
export const SQE_CDW10 = 40;
export const SQE_CDW11 = 44;
export const SQE_CDW12 = 48;
export const SQE_CDW13 = 52;
export const SQE_CDW14 = 56;
export const SQE_CDW15 = 60;
/** Read and write: starting LBA in CDW10-11, count in CDW12. */
export const SQE_SLBA: number = SQE_CDW10;

export const NVME_CMD_FUSE_MASK = 3;
export const NVME_CMD_FUSE_FIRST = 1;
export const NVME_CMD_FUSE_SECOND = 2;
export const NVME_CMD_PSDT_MASK = 0xc0;

/** [B] 4.2.1: completion queue entry, struct nvme_completion. */
export const NVME_CQE_SIZE = 16;
export const NVME_CQE_SHIFT = 4;
export const CQE_RESULT = 0;
export const CQE_DW1 = 4;
export const CQE_SQ_HEAD = 8;
export const CQE_SQ_ID = 10;
export const CQE_CID = 12;
/** Phase tag in bit 0, status in bits 15:1. */
export const CQE_STATUS = 14;
/** DW2 and DW3 as words: head | sqid << 16, and cid | phase << 16 | status << 17. */
export const CQE_DW2 = 8;
export const CQE_DW3 = 12;
export const CQE_DW3_PHASE: number = 1 << 16;
export const CQE_DW3_STATUS_SHIFT = 17;

/** [B] 4.3.1: a PRP entry is 8 bytes; a list page holds 512. */
export const NVME_PRP_SIZE = 8;
export const NVME_CTRL_PAGE_SHIFT = 12;
export const NVME_CTRL_PAGE_SIZE = 4096;

struct_layout("nvme_command", NVME_SQE_SIZE, [
  ["opcode", SQE_OPCODE, 1],
  ["flags", SQE_FLAGS, 1],
  ["command_id", SQE_CID, 2],
  ["nsid", SQE_NSID, 4],
  ["cdw2", SQE_CDW2, 4],
  ["cdw3", SQE_CDW3, 4],
  ["metadata", SQE_MPTR, 8],
  ["prp1", SQE_PRP1, 8],
  ["prp2", SQE_PRP2, 8],
  ["cdw10", SQE_CDW10, 4],
  ["cdw11", SQE_CDW11, 4],
  ["cdw12", SQE_CDW12, 4],
  ["cdw13", SQE_CDW13, 4],
  ["cdw14", SQE_CDW14, 4],
  ["cdw15", SQE_CDW15, 4],
]);

struct_layout("nvme_completion", NVME_CQE_SIZE, [
  ["result", CQE_RESULT, 4],
  ["dw1", CQE_DW1, 4],
  ["sq_head", CQE_SQ_HEAD, 2],
  ["sq_id", CQE_SQ_ID, 2],
  ["command_id", CQE_CID, 2],
  ["status", CQE_STATUS, 2],
]);
