/**
 * IORING_OP_READ_FIXED and WRITE_FIXED (io_uring/rw.c): a read or write between a file and a registered
 * buffer.
 *
 * The inline attempt never blocks; -EAGAIN from the buffer or the file sends the request to io-wq, where the
 * second attempt may. -EIOCBQUEUED means that io_complete_rw runs later, once, perhaps in an interrupt and
 * perhaps before the submitter is back: after the file's operation was called with that result the request
 * is not touched.
 */
import {
  EAGAIN,
  EBADF,
  EINTR,
  EINVAL,
  EIOCBQUEUED,
  EOPNOTSUPP,
  ERESTARTSYS,
} from "@ringside/core/debug/errno";
import { kernel_symbol, symbol_call } from "@ringside/core/debug/image";
import {
  file_mode,
  file_op,
  type FilePtr,
  FMODE_READ,
  FMODE_WRITE,
  FOP_IOPOLL,
  FOP_READ_ITER,
  FOP_WRITE_ITER,
} from "@ringside/core/fs/file";
import {
  init_kiocb,
  IOCB_DIRECT,
  IOCB_DSYNC,
  IOCB_HIPRI,
  IOCB_NOWAIT,
  IOCB_WRITE,
  kiocb_flags,
  type KiocbPtr,
} from "@ringside/core/fs/kiocb";
import { ITER_DEST, ITER_SOURCE } from "@ringside/core/fs/iov-iter";
import type { Cpu } from "@ringside/core/sched/cpu";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import {
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOWAIT,
  RWF_SYNC,
  SQE_ADDR,
  SQE_BUF_INDEX,
  SQE_IOPRIO,
  SQE_LEN,
  SQE_OFF,
  SQE_OP_FLAGS,
  SQE_PAD2,
  type SqePtr,
} from "../abi/sqe.ts";
import { CTX_FLAGS } from "../ring/ctx.ts";
import { io_iopoll_add, io_iopoll_del } from "../ring/iopoll-list.ts";
import {
  IO_URING_F_NONBLOCK,
  IOU_COMPLETE,
  REQ_ADDR,
  REQ_BUF_INDEX,
  REQ_CTX,
  REQ_F_NOWAIT,
  REQ_F_REISSUE,
  REQ_FILE,
  REQ_FLAGS,
  REQ_ITER,
  REQ_LEN,
  REQ_OP_FLAGS,
  REQ_POS,
  REQ_RES,
  req_set_fail,
  type ReqPtr,
} from "../ring/req.ts";
import { io_req_task_work_add } from "../ring/tctx.ts";
import { io_import_reg_buf, IO_REGBUF_IMPORT_ALLOW_DMABUF } from "../rsrc/import.ts";

const RWF_SUPPORTED = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT;
/** I/O priorities: three bits of class, thirteen of data. Accepted and not acted on. */
const IOPRIO_CLASS_SHIFT = 13;
const IOPRIO_CLASS_IDLE = 3;

const OFF = SQE_OFF;
const ADDR = SQE_ADDR;
const LEN = SQE_LEN;
const IOPRIO = SQE_IOPRIO;
const PAD2 = SQE_PAD2;
const OP_FLAGS = SQE_OP_FLAGS;
const BUF_INDEX = SQE_BUF_INDEX;
const TO_ADDR = REQ_ADDR;
const TO_LEN = REQ_LEN;
const TO_OP_FLAGS = REQ_OP_FLAGS;
const TO_BUF_INDEX = REQ_BUF_INDEX;
const FLAGS = REQ_FLAGS;
const RES = REQ_RES;
const ITER = REQ_ITER;
const POS = REQ_POS;
const NONBLOCK = IO_URING_F_NONBLOCK;
const IOPOLL = IORING_SETUP_IOPOLL;
const CTXFLAGS = CTX_FLAGS;
const FILE = REQ_FILE;
const DEST = ITER_DEST;
const SOURCE = ITER_SOURCE;
const MODE_READ = FMODE_READ;
const OP_READ_ITER = FOP_READ_ITER;
const OP_WRITE_ITER = FOP_WRITE_ITER;
const OP_IOPOLL = FOP_IOPOLL;
const CTX = REQ_CTX;
const IOCBQUEUED = EIOCBQUEUED;
const F_DIRECT = IOCB_DIRECT;
const MODE_WRITE = FMODE_WRITE;
const F_WRITE = IOCB_WRITE;
const F_NOWAIT = IOCB_NOWAIT;
const F_HIPRI = IOCB_HIPRI;
const ALLOW_DMABUF = IO_REGBUF_IMPORT_ALLOW_DMABUF;

const IO_COMPLETE_RW = kernel_symbol(io_complete_rw);

export function io_prep_rw_fixed(cpu: Cpu, req: ReqPtr, sqe: SqePtr): number {
  const mem = cpu.mem;
  mem.write(req + POS, mem.read(sqe + OFF));
  mem.write(req + POS + 4, mem.read(sqe + OFF + 4));
  // No address has more than 31 bits: -1 is outside of every buffer.
  mem.write(req + TO_ADDR, mem.read(sqe + ADDR + 4) === 0 ? mem.read(sqe + ADDR) : -1);
  mem.write(req + TO_LEN, mem.read(sqe + LEN));
  mem.write(req + TO_OP_FLAGS, mem.read(sqe + OP_FLAGS));
  mem.write(req + TO_BUF_INDEX, mem.read16(sqe + BUF_INDEX));
  if (mem.read16(sqe + IOPRIO) >>> IOPRIO_CLASS_SHIFT > IOPRIO_CLASS_IDLE) return -EINVAL;
  // attr_type_mask: no attributes (protection information) here.
  return (mem.read(sqe + PAD2) | mem.read(sqe + PAD2 + 4)) === 0 ? 0 : -EINVAL;
}

export function io_read_fixed(cpu: Cpu, req: ReqPtr, issue_flags: number): number {
  return io_rw_fixed(cpu, req, issue_flags, DEST, MODE_READ, OP_READ_ITER);
}

export function io_write_fixed(cpu: Cpu, req: ReqPtr, issue_flags: number): number {
  return io_rw_fixed(cpu, req, issue_flags, SOURCE, MODE_WRITE, OP_WRITE_ITER);
}

function io_rw_fixed(
  cpu: Cpu,
  req: ReqPtr,
  issue_flags: number,
  ddir: number,
  mode: number,
  fop: number,
): number {
  const mem = cpu.mem;
  const len = mem.read(req + TO_LEN);
  const addr = mem.read(req + TO_ADDR);
  let ret = io_import_reg_buf(cpu, req, addr, len, ddir, issue_flags, ALLOW_DMABUF);
  if (ret < 0) return ret;
  const polled = (mem.read(mem.read(req + CTX) + CTXFLAGS) & IOPOLL) !== 0;
  const file = mem.read(req + FILE) as FilePtr;
  ret = io_rw_init_file(cpu, req, file, issue_flags, mode, polled);
  if (ret < 0) return ret;
  const op = file_op(cpu, file, fop);
  if (op === 0) return -EINVAL;

  mem.write(req + RES, len);
  // Before the call: afterwards the request may be complete.
  if (polled) io_iopoll_add(cpu, req, issue_flags);
  const result = symbol_call(cpu, op, req, req + ITER);
  if (result === -IOCBQUEUED) return result;
  if (polled) io_iopoll_del(cpu, req, issue_flags);
  return io_rw_done(cpu, req, result, len);
}

/** The operation completed at once: bytes, or -errno. -EAGAIN goes to io-wq if the user can wait. */
function io_rw_done(cpu: Cpu, req: ReqPtr, result: number, len: number): number {
  if (result === -EAGAIN && io_rw_should_reissue(cpu, req)) return result;
  io_rw_set_res(cpu, req, result, len);
  return IOU_COMPLETE;
}

/** Only an attempt that was not allowed to wait is repeated, unless it is the user who forbade it. */
function io_rw_should_reissue(cpu: Cpu, req: ReqPtr): boolean {
  if ((kiocb_flags(cpu, req as number as KiocbPtr) & IOCB_NOWAIT) === 0) return false;
  return (cpu.mem.read(req + FLAGS) & REQ_F_NOWAIT) === 0;
}

function io_rw_set_res(cpu: Cpu, req: ReqPtr, result: number, len: number): void {
  if (result !== len) req_set_fail(cpu, req);
  // A signal broke a wait: there is no restarting a request.
  cpu.mem.write(req + RES, result === -ERESTARTSYS ? -EINTR : result);
}

/** Prepares the kiocb. 0 or -errno. */
function io_rw_init_file(
  cpu: Cpu,
  req: ReqPtr,
  file: FilePtr,
  issue_flags: number,
  mode: number,
  polled: boolean,
): number {
  const mem = cpu.mem;
  const kiocb = req as number as KiocbPtr;
  if ((file_mode(cpu, file) & mode) === 0) return -EBADF;
  // -1 means the file position: these files have none. Other negative offsets are no offsets.
  const pos_high = mem.read(req + POS + 4);
  if (pos_high < 0) return -EINVAL;
  const pos_low = mem.read(req + POS);
  const pos = pos_high === 0 && pos_low >= 0 ? pos_low : mem.read64(req + POS);

  let flags = mode === MODE_WRITE ? F_WRITE : 0;
  if ((issue_flags & NONBLOCK) !== 0) flags |= F_NOWAIT;
  if (polled) flags |= F_HIPRI;
  const rw_flags = mem.read(req + TO_OP_FLAGS);
  if (rw_flags !== 0) {
    const more = kiocb_set_rw_flags(cpu, req, rw_flags, polled);
    if (more < 0) return more;
    flags |= more;
  }
  init_kiocb(cpu, kiocb, file, pos, flags, IO_COMPLETE_RW);
  if (!polled) return 0;
  const direct = (kiocb_flags(cpu, kiocb) & F_DIRECT) !== 0;
  return direct && file_op(cpu, file, OP_IOPOLL) !== 0 ? 0 : -EOPNOTSUPP;
}

/** What the SQE's rw_flags mean for the kiocb: its flags, or -errno. */
function kiocb_set_rw_flags(cpu: Cpu, req: ReqPtr, rw_flags: number, polled: boolean): number {
  if ((rw_flags & ~RWF_SUPPORTED) !== 0) return -EOPNOTSUPP;
  if ((rw_flags & RWF_HIPRI) !== 0 && !polled) return -EINVAL;
  let flags = (rw_flags & (RWF_DSYNC | RWF_SYNC)) !== 0 ? IOCB_DSYNC : 0;
  if ((rw_flags & RWF_NOWAIT) !== 0) {
    flags |= IOCB_NOWAIT;
    cpu.mem.write(req + FLAGS, cpu.mem.read(req + FLAGS) | REQ_F_NOWAIT);
  }
  return flags;
}

/** ki_complete: bytes or -errno. Any context, also an interrupt; the request is its task's afterwards. */
function io_complete_rw(cpu: Cpu, kiocb: KiocbPtr, res: number): void {
  const req = kiocb as number as ReqPtr;
  const len = cpu.mem.read(req + RES);
  if (res !== len) {
    if (res === -EAGAIN && io_rw_should_reissue(cpu, req)) {
      cpu.mem.write(req + FLAGS, cpu.mem.read(req + FLAGS) | REQ_F_REISSUE);
    } else io_rw_set_res(cpu, req, res, len);
  }
  io_req_task_work_add(cpu, req);
}
