/**
 * The table of operations (io_uring/opdef.c): what each needs, how its SQE is read, how it is issued. Written
 * as switches, so that the data path makes direct calls.
 *
 * An opcode without a row is not supported: its CQE says -EINVAL.
 */
import { EINVAL } from "@ringside/core/debug/errno";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { SqePtr } from "../abi/sqe.ts";
import type { ReqPtr } from "../ring/req.ts";
import { io_fsync, io_fsync_prep } from "./fsync.ts";
import { io_nop, io_nop_prep } from "./nop.ts";
import { io_prep_rw_fixed, io_read_fixed, io_write_fixed } from "./rw.ts";

/** The SQE names a file. */
export const OP_NEEDS_FILE = 1;
/** ioprio may be set. */
export const OP_IOPRIO = 2;
/** Allowed on IOPOLL rings. */
export const OP_IOPOLL = 4;
/** Submits bios: a batch of them goes under a plug. The largest bit: ring/submit.ts compares. */
export const OP_PLUG = 8;
/** No such operation. */
export const OP_NONE = -1;

// IORING_OP_*: case labels on the data path are literals.
const NOP = 0;
const FSYNC = 3;
const READ_FIXED = 4;
const WRITE_FIXED = 5;

const NOP_NEEDS = 4;
const FSYNC_NEEDS = 1;
const RW_NEEDS = 15;

/** OP_* bits of an operation, or OP_NONE. */
export function io_issue_def(opcode: number): number {
  switch (opcode) {
    case NOP:
      return NOP_NEEDS;
    case READ_FIXED:
    case WRITE_FIXED:
      return RW_NEEDS;
    case FSYNC:
      return FSYNC_NEEDS;
    default:
      return OP_NONE;
  }
}

/** Reads the rest of the SQE; it is not looked at again. 0 or -errno. */
export function io_op_prep(cpu: Cpu, opcode: number, req: ReqPtr, sqe: SqePtr): number {
  switch (opcode) {
    case NOP:
      return io_nop_prep(cpu, req, sqe);
    case READ_FIXED:
    case WRITE_FIXED:
      return io_prep_rw_fixed(cpu, req, sqe);
    case FSYNC:
      return io_fsync_prep(cpu, req, sqe);
    default:
      return -EINVAL;
  }
}

/** IOU_COMPLETE with the result in the request, -EIOCBQUEUED, or -errno with nothing set. */
export function io_op_issue(cpu: Cpu, opcode: number, req: ReqPtr, issue_flags: number): number {
  switch (opcode) {
    case NOP:
      return io_nop(cpu, req, issue_flags);
    case READ_FIXED:
      return io_read_fixed(cpu, req, issue_flags);
    case WRITE_FIXED:
      return io_write_fixed(cpu, req, issue_flags);
    case FSYNC:
      return io_fsync(cpu, req, issue_flags);
    default:
      return -EINVAL;
  }
}
