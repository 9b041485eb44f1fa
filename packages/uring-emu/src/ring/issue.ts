/** Issuing a request (io_uring/io_uring.c, io_issue_sqe): its file, its operation, its result. */
import { EBADF, EIOCBQUEUED } from "@ringside/core/debug/errno";
import type { Cpu } from "@ringside/core/sched/cpu";
import { io_issue_def, io_op_issue, OP_NEEDS_FILE } from "../ops/opdef.ts";
import { io_req_complete_defer } from "./complete.ts";
import type { RingCtxPtr } from "./ctx.ts";
import { io_file_get_normal } from "./file.ts";
import {
  IO_URING_F_COMPLETE_DEFER,
  IOU_COMPLETE,
  REQ_CTX,
  REQ_OPCODE,
  REQ_RES,
  req_set_fail,
  type ReqPtr,
} from "./req.ts";
import { io_req_task_work_add } from "./tctx.ts";

const OPCODE = REQ_OPCODE;
const CTX = REQ_CTX;
const NEEDS_FILE = OP_NEEDS_FILE;
const COMPLETE_DEFER = IO_URING_F_COMPLETE_DEFER;

/**
 * One attempt. 0: the request has completed or will, do not touch it. -errno: it is the caller's to punt or
 * fail.
 */
export function io_issue_sqe(cpu: Cpu, req: ReqPtr, issue_flags: number): number {
  const mem = cpu.mem;
  const opcode = mem.read(req + OPCODE);
  if ((io_issue_def(opcode) & NEEDS_FILE) !== 0 && !io_file_get_normal(cpu, req, issue_flags)) return -EBADF;
  const ret = io_op_issue(cpu, opcode, req, issue_flags);
  if (ret === IOU_COMPLETE) {
    if ((issue_flags & COMPLETE_DEFER) !== 0) {
      io_req_complete_defer(cpu, mem.read(req + CTX) as RingCtxPtr, req);
    } else io_req_task_work_add(cpu, req);
    return 0;
  }
  return ret === -EIOCBQUEUED ? 0 : ret;
}

/** Sets the error of a request that is to complete. */
export function io_req_fail(cpu: Cpu, req: ReqPtr, error: number): void {
  req_set_fail(cpu, req);
  cpu.mem.write(req + REQ_RES, error);
}
