/** IORING_OP_FSYNC (io_uring/sync.c): always from io-wq, since it blocks. */
import { EINVAL } from "@ringside/core/debug/errno";
import { symbol_call } from "@ringside/core/debug/image";
import { WARN_ON_ONCE } from "@ringside/core/debug/warn";
import { file_op, type FilePtr, FOP_FSYNC } from "@ringside/core/fs/file";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  IORING_FSYNC_DATASYNC,
  SQE_ADDR,
  SQE_BUF_INDEX,
  SQE_FILE_INDEX,
  SQE_OP_FLAGS,
  type SqePtr,
} from "../abi/sqe.ts";
import {
  IO_URING_F_NONBLOCK,
  IOU_COMPLETE,
  REQ_F_FORCE_ASYNC,
  REQ_FILE,
  REQ_FLAGS,
  REQ_OP_FLAGS,
  REQ_RES,
  req_set_fail,
  type ReqPtr,
} from "../ring/req.ts";

export function io_fsync_prep(cpu: Cpu, req: ReqPtr, sqe: SqePtr): number {
  const mem = cpu.mem;
  const unused =
    mem.read64(sqe + SQE_ADDR) + mem.read16(sqe + SQE_BUF_INDEX) + (mem.read(sqe + SQE_FILE_INDEX) >>> 0);
  if (unused !== 0) return -EINVAL;
  const flags = mem.read(sqe + SQE_OP_FLAGS);
  if ((flags & ~IORING_FSYNC_DATASYNC) !== 0) return -EINVAL;
  mem.write(req + REQ_OP_FLAGS, flags);
  mem.write(req + REQ_FLAGS, mem.read(req + REQ_FLAGS) | REQ_F_FORCE_ASYNC);
  return 0;
}

/** The whole file is synced, whatever range the SQE names. */
export function io_fsync(cpu: Cpu, req: ReqPtr, issue_flags: number): number {
  WARN_ON_ONCE(cpu, (issue_flags & IO_URING_F_NONBLOCK) !== 0);
  const mem = cpu.mem;
  const file = mem.read(req + REQ_FILE) as FilePtr;
  const fsync = file_op(cpu, file, FOP_FSYNC);
  const datasync = mem.read(req + REQ_OP_FLAGS) & IORING_FSYNC_DATASYNC;
  const ret = fsync === 0 ? -EINVAL : symbol_call(cpu, fsync, file, datasync);
  if (ret < 0) req_set_fail(cpu, req);
  mem.write(req + REQ_RES, ret);
  return IOU_COMPLETE;
}
