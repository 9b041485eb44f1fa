/** IORING_OP_NOP (io_uring/nop.c): does nothing, and with flags looks up what other operations look up. */
import { EBADF, EFAULT, EINVAL, EIOCBQUEUED } from "@ringside/core/debug/errno";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  IORING_NOP_FILE,
  IORING_NOP_FIXED_BUFFER,
  IORING_NOP_FIXED_FILE,
  IORING_NOP_INJECT_RESULT,
  IORING_NOP_TW,
  SQE_BUF_INDEX,
  SQE_FD,
  SQE_LEN,
  SQE_OP_FLAGS,
  type SqePtr,
} from "../abi/sqe.ts";
import { io_file_get_normal } from "../ring/file.ts";
import {
  IOU_COMPLETE,
  REQ_BUF_INDEX,
  REQ_FD,
  REQ_LEN,
  REQ_OP_FLAGS,
  REQ_RES,
  req_set_fail,
  type ReqPtr,
} from "../ring/req.ts";
import { io_req_task_work_add } from "../ring/tctx.ts";
import { io_find_buf_node } from "../rsrc/import.ts";

/** CQE32 is missing: rings with 32-byte CQEs are not supported. */
const NOP_FLAGS =
  IORING_NOP_INJECT_RESULT |
  IORING_NOP_FILE |
  IORING_NOP_FIXED_FILE |
  IORING_NOP_FIXED_BUFFER |
  IORING_NOP_TW;

const SQE_NOP_FLAGS = SQE_OP_FLAGS;
const NOP_FLAGS_FIELD = REQ_OP_FLAGS;
const RES = REQ_RES;
const COMPLETE = IOU_COMPLETE;
/** buf_index in the low half, personality in the high one. */
const SQE_PERSONALITY_WORD = SQE_BUF_INDEX;

/** Completes a NOP without flags: it needs nothing but its SQE. False: it is another, and nothing has happened. */
export function io_nop_plain(cpu: Cpu, req: number, sqe: number): boolean {
  const mem = cpu.mem;
  // The personality's half of its word, as in io_init_req.
  if (mem.read(sqe + SQE_NOP_FLAGS) !== 0 || mem.read(sqe + SQE_PERSONALITY_WORD) >>> 16 !== 0) return false;
  mem.write(req + RES, 0);
  return true;
}

export function io_nop_prep(cpu: Cpu, req: ReqPtr, sqe: SqePtr): number {
  const mem = cpu.mem;
  const flags = mem.read(sqe + SQE_NOP_FLAGS);
  mem.write(req + NOP_FLAGS_FIELD, flags);
  if (flags === 0) return 0;
  if ((flags & ~NOP_FLAGS) !== 0) return -EINVAL;
  mem.write(req + REQ_LEN, (flags & IORING_NOP_INJECT_RESULT) !== 0 ? mem.read(sqe + SQE_LEN) : 0);
  mem.write(req + REQ_FD, mem.read(sqe + SQE_FD));
  mem.write(req + REQ_BUF_INDEX, mem.read16(sqe + SQE_BUF_INDEX));
  return 0;
}

export function io_nop(cpu: Cpu, req: ReqPtr, issue_flags: number): number {
  const mem = cpu.mem;
  const flags = mem.read(req + NOP_FLAGS_FIELD);
  if (flags === 0) {
    mem.write(req + RES, 0);
    return COMPLETE;
  }
  const ret = io_nop_lookups(cpu, req, flags, issue_flags);
  if (ret < 0) req_set_fail(cpu, req);
  mem.write(req + RES, ret);
  if ((flags & IORING_NOP_TW) === 0) return IOU_COMPLETE;
  io_req_task_work_add(cpu, req);
  return -EIOCBQUEUED;
}

/** The injected result or 0; -errno of the first lookup that fails. */
function io_nop_lookups(cpu: Cpu, req: ReqPtr, flags: number, issue_flags: number): number {
  if ((flags & IORING_NOP_FILE) !== 0) {
    // There are no registered files yet, so none has that index.
    if ((flags & IORING_NOP_FIXED_FILE) !== 0) return -EBADF;
    if (!io_file_get_normal(cpu, req, issue_flags)) return -EBADF;
  }
  if ((flags & IORING_NOP_FIXED_BUFFER) !== 0 && io_find_buf_node(cpu, req, issue_flags) === 0)
    return -EFAULT;
  return cpu.mem.read(req + REQ_LEN);
}
