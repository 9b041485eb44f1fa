/** Issuing a request (io_uring/io_uring.c, io_issue_sqe): its file, then its operation. */
import { EBADF } from "@ringside/core/debug/errno";
import type { Cpu } from "@ringside/core/sched/cpu";
import { io_issue_def, io_op_issue, OP_NEEDS_FILE } from "../ops/opdef.ts";
import { io_file_get_normal } from "./file.ts";
import { REQ_OPCODE, REQ_RES, req_set_fail, type ReqPtr } from "./req.ts";

const OPCODE = REQ_OPCODE;
const NEEDS_FILE = OP_NEEDS_FILE;

/**
 * One attempt. IOU_COMPLETE: it is done, its result is set. -EIOCBQUEUED: it will complete through task work.
 * Other -errno: the caller punts or fails it.
 */
export function io_issue_sqe(cpu: Cpu, req: ReqPtr, issue_flags: number): number {
  const opcode = cpu.mem.read(req + OPCODE);
  return io_issue_op(cpu, req, opcode, io_issue_def(opcode), issue_flags);
}

/** The same, for who has the opcode and its definition at hand. */
export function io_issue_op(cpu: Cpu, req: ReqPtr, opcode: number, def: number, issue_flags: number): number {
  if ((def & NEEDS_FILE) !== 0 && !io_file_get_normal(cpu, req, issue_flags)) return -EBADF;
  return io_op_issue(cpu, opcode, req, issue_flags);
}

/** Sets the error of a request that is to complete. */
export function io_req_fail(cpu: Cpu, req: ReqPtr, error: number): void {
  req_set_fail(cpu, req);
  cpu.mem.write(req + REQ_RES, error);
}
