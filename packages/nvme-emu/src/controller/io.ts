/**
 * I/O commands of the NVM command set ([N] 3.3): Read, Write, Flush on namespace 1, 512-byte blocks, over
 * media that is memory, so a write is durable when it completes.
 *
 * Interface: nvme_io_command(cpu, n, sqe) executes the entry at address `sqe` and returns its status.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  NVME_CMD_FUSE_MASK,
  NVME_CMD_PSDT_MASK,
  SQE_CDW10,
  SQE_CDW11,
  SQE_CDW12,
  SQE_NSID,
} from "../spec/entries.ts";
import { nvme_cmd_flush, nvme_cmd_read, nvme_cmd_write } from "../spec/opcodes.ts";
import {
  NVME_SC_INVALID_FIELD,
  NVME_SC_INVALID_NS,
  NVME_SC_INVALID_OPCODE,
  NVME_SC_LBA_RANGE,
  NVME_SC_SUCCESS,
  NVME_STATUS_DNR,
} from "../spec/status.ts";
import {
  nvme_count,
  NVME_COUNT_FLUSHES,
  NVME_COUNT_OTHERS,
  NVME_COUNT_READS,
  NVME_COUNT_WRITES,
} from "./counters.ts";
import { nvme_dma } from "./dma.ts";
import { NVME_LBA_SHIFT, NVME_MDTS_BYTES, NVME_NSID, type NvmeCtrl } from "./state.ts";

const NSID = SQE_NSID;
const SLBA_LO = SQE_CDW10;
const SLBA_HI = SQE_CDW11;
const CDW12 = SQE_CDW12;
const LBA_SHIFT = NVME_LBA_SHIFT;
const MDTS_BYTES = NVME_MDTS_BYTES;
const MY_NSID = NVME_NSID;
const FLUSH = nvme_cmd_flush;
const WRITE = nvme_cmd_write;
const READ = nvme_cmd_read;
/** Flags that select fused operations or scatter gather lists, in DW0. */
const UNSUPPORTED_FLAGS: number = (NVME_CMD_FUSE_MASK | NVME_CMD_PSDT_MASK) << 8;

const SUCCESS = NVME_SC_SUCCESS;
const BAD_FIELD: number = NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
const BAD_OPCODE: number = NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR;
const BAD_NS: number = NVME_SC_INVALID_NS | NVME_STATUS_DNR;
const BAD_LBA: number = NVME_SC_LBA_RANGE | NVME_STATUS_DNR;
const COUNT_READS = NVME_COUNT_READS;
const COUNT_WRITES = NVME_COUNT_WRITES;

export function nvme_io_command(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const dw0 = cpu.mem.read(sqe);
  switch (dw0 & 0xff) {
    case READ: {
      const status = nvme_rw(cpu, n, sqe, dw0, true);
      nvme_count(cpu, COUNT_READS, ++n.reads);
      return status;
    }
    case WRITE: {
      const status = nvme_rw(cpu, n, sqe, dw0, false);
      nvme_count(cpu, COUNT_WRITES, ++n.writes);
      return status;
    }
    case FLUSH: {
      nvme_count(cpu, NVME_COUNT_FLUSHES, ++n.flushes);
      return nvme_flush(cpu, sqe, dw0);
    }
    default:
      nvme_count(cpu, NVME_COUNT_OTHERS, ++n.others);
      return BAD_OPCODE;
  }
}

function nvme_rw(cpu: Cpu, n: NvmeCtrl, sqe: number, dw0: number, is_read: boolean): number {
  if ((dw0 & UNSUPPORTED_FLAGS) !== 0) return BAD_FIELD;
  if (cpu.mem.read(sqe + NSID) !== MY_NSID) return BAD_NS;
  const blocks = (cpu.mem.read(sqe + CDW12) & 0xffff) + 1;
  const slba = cpu.mem.read(sqe + SLBA_LO);
  // The namespace has fewer than 2^31 blocks: a negative word is a large number.
  if (cpu.mem.read(sqe + SLBA_HI) !== 0 || slba < 0 || slba + blocks > n.blocks) return BAD_LBA;
  const bytes = blocks << LBA_SHIFT;
  if (bytes > MDTS_BYTES) return BAD_FIELD;
  const status = nvme_dma(cpu, n, sqe, n.media + (slba << LBA_SHIFT), bytes, is_read);
  if (status !== SUCCESS) return status;
  if (is_read) n.blocks_read += blocks;
  else n.blocks_written += blocks;
  return SUCCESS;
}

/** All writes that completed are durable: media is memory. NSID FFFFFFFFh flushes every namespace. */
function nvme_flush(cpu: Cpu, sqe: number, dw0: number): number {
  if ((dw0 & UNSUPPORTED_FLAGS) !== 0) return BAD_FIELD;
  const nsid = cpu.mem.read(sqe + NSID);
  return nsid === MY_NSID || nsid === -1 ? SUCCESS : BAD_NS;
}
