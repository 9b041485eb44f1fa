/**
 * The submission side (io_uring/io_uring.c, io_submit_sqes): SQEs in, requests issued.
 *
 * Rules: a bad SQE is consumed, gets a CQE with its error, and ends the submission; an SQ array entry out of
 * range is consumed, counted as dropped, and gets none. sq.head is published once, when everything of the
 * batch has been read; from then on the SQEs are the user's again.
 */
import { EAGAIN, EINVAL, EIOCBQUEUED, EOPNOTSUPP } from "@ringside/core/debug/errno";
import { blk_finish_plug, blk_start_plug_nr_ios, type PlugPtr } from "@ringside/core/block/plug";
import type { Cpu } from "@ringside/core/sched/cpu";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import {
  IOSQE_ASYNC,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_FIXED_FILE,
  SQE_BUF_INDEX,
  SQE_FD,
  SQE_USER_DATA,
  type SqePtr,
} from "../abi/sqe.ts";
import { io_issue_def, io_op_prep, OP_IOPOLL, OP_IOPRIO, OP_NONE, OP_PLUG } from "../ops/opdef.ts";
import { io_req_complete_defer, io_submit_flush_completions } from "./complete.ts";
import {
  CTX_CACHED_SQ_HEAD,
  CTX_FLAGS,
  CTX_RINGS,
  CTX_SQ_ARRAY,
  CTX_SQ_ENTRIES,
  CTX_SQES,
  type RingCtxPtr,
} from "./ctx.ts";
import { io_file_batch_end, io_file_batch_start } from "./file.ts";
import { io_issue_sqe, io_req_fail } from "./issue.ts";
import { io_queue_iowq } from "./iowq.ts";
import {
  io_alloc_req,
  io_req_add_to_cache,
  IO_URING_F_NONBLOCK,
  IOU_COMPLETE,
  REQ_F_FORCE_ASYNC,
  REQ_F_NOWAIT,
  REQ_FD,
  REQ_FLAGS,
  REQ_OPCODE,
  REQ_TCTX,
  REQ_USER_DATA,
  type ReqPtr,
} from "./req.ts";
import { RINGS_SQ_DROPPED, RINGS_SQ_HEAD, RINGS_SQ_TAIL } from "./rings.ts";
import { current_tctx } from "./tctx.ts";

const RINGS = CTX_RINGS;
const CTXFLAGS = CTX_FLAGS;
const CACHED_HEAD = CTX_CACHED_SQ_HEAD;
const ENTRIES = CTX_SQ_ENTRIES;
const ARRAY = CTX_SQ_ARRAY;
const SQES = CTX_SQES;
const SHARED_HEAD = RINGS_SQ_HEAD;
const SHARED_TAIL = RINGS_SQ_TAIL;
const SQE_FD_ = SQE_FD;
const SQE_DATA = SQE_USER_DATA;
/** buf_index in the low half, personality in the high one. */
const SQE_PERSONALITY_WORD = SQE_BUF_INDEX;
const FLAGS = REQ_FLAGS;
const OPCODE = REQ_OPCODE;
const FD = REQ_FD;
const DATA = REQ_USER_DATA;
const TCTX = REQ_TCTX;
const F_FORCE_ASYNC = REQ_F_FORCE_ASYNC;
const IOPOLL = IORING_SETUP_IOPOLL;
const DEF_NONE = OP_NONE;
const DEF_IOPRIO = OP_IOPRIO;
const DEF_IOPOLL = OP_IOPOLL;
const DEF_PLUG = OP_PLUG;

/** Links and DRAIN are not supported yet: -EINVAL, like a flag that does not exist. */
const SQE_VALID_FLAGS = IOSQE_FIXED_FILE | IOSQE_ASYNC | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
const INLINE_ISSUE = IO_URING_F_NONBLOCK;
/** Smaller batches go without a plug (IO_PLUG_THRESHOLD). */
const IO_PLUG_THRESHOLD = 2;

/** Consumes up to `nr` SQEs. Returns how many, or -EAGAIN when memory is short. uring_lock held. */
export function io_submit_sqes(cpu: Cpu, ctx: RingCtxPtr, nr: number): number {
  const mem = cpu.mem;
  const rings = mem.read(ctx + RINGS);
  // Pairs with the storeRelease in __io_uring_flush_sq: who sees the tail sees the SQEs below it.
  const ready = (mem.loadAcquire(rings + SHARED_TAIL) - mem.read(ctx + CACHED_HEAD)) >>> 0;
  // The tail is the user's: more than the ring holds is nonsense, and bounded.
  const entries = mem.read(ctx + ENTRIES);
  const full = ready < entries ? ready : entries;
  const wanted = nr < full ? nr : full;
  if (wanted === 0) return 0;

  io_file_batch_start(cpu, ctx, wanted);
  const left = io_submit_loop(cpu, ctx, rings, wanted);
  io_submit_flush_completions(cpu, ctx);
  io_file_batch_end(cpu, ctx);
  // Pairs with the loadAcquire in io_uring_get_sqe: all SQEs were read before the user may overwrite them.
  mem.storeRelease(rings + SHARED_HEAD, mem.read(ctx + CACHED_HEAD));
  return left === wanted && wanted !== 0 ? io_nothing_submitted(cpu, ctx) : wanted - left;
}

/** Nothing was consumed: an array entry was out of range, or no request could be allocated. */
function io_nothing_submitted(cpu: Cpu, ctx: RingCtxPtr): number {
  const req = io_alloc_req(cpu, ctx);
  if (req === 0) return -EAGAIN;
  io_req_add_to_cache(cpu, ctx, req);
  return 0;
}

/** Returns how many of `wanted` are left over. */
function io_submit_loop(cpu: Cpu, ctx: RingCtxPtr, rings: number, wanted: number): number {
  const mem = cpu.mem;
  const mask = mem.read(ctx + ENTRIES) - 1;
  const array = mem.read(ctx + ARRAY);
  const sqes = mem.read(ctx + SQES);
  let head = mem.read(ctx + CACHED_HEAD);
  let left = wanted;
  let plug = 0 as PlugPtr;
  while (left > 0) {
    const req = io_alloc_req(cpu, ctx);
    if (req === 0) break;
    const slot = head & mask;
    head = (head + 1) | 0;
    // The user may scribble in the array at any time: read once, checked after.
    const index = array === 0 ? slot : mem.readOnce(array + slot * 4);
    if (index >>> 0 > mask) {
      mem.writeOnce(rings + RINGS_SQ_DROPPED, mem.readOnce(rings + RINGS_SQ_DROPPED) + 1);
      io_req_add_to_cache(cpu, ctx, req);
      break;
    }
    const sqe = (sqes + index * 64) as SqePtr;
    // opcode, flags, ioprio: read once too.
    const first = mem.read(sqe);
    const def = io_issue_def(first & 0xff);
    if (plug === 0 && wanted > IO_PLUG_THRESHOLD && def >= DEF_PLUG) plug = blk_start_plug_nr_ios(cpu, left);
    left--;
    if (io_submit_sqe(cpu, ctx, req, sqe, first, def) !== 0) break;
  }
  mem.write(ctx + CACHED_HEAD, head);
  blk_finish_plug(cpu, plug);
  return left;
}

/** Turns an SQE into a request and issues it. -errno ends the submission. */
function io_submit_sqe(
  cpu: Cpu,
  ctx: RingCtxPtr,
  req: ReqPtr,
  sqe: SqePtr,
  first: number,
  def: number,
): number {
  const ret = io_init_req(cpu, ctx, req, sqe, first, def);
  if (ret !== 0) {
    io_req_fail(cpu, req, ret);
    io_req_complete_defer(cpu, ctx, req);
    return ret;
  }
  if ((cpu.mem.read(req + FLAGS) & F_FORCE_ASYNC) !== 0) io_queue_iowq(cpu, req);
  else io_queue_sqe(cpu, ctx, req);
  return 0;
}

function io_init_req(
  cpu: Cpu,
  ctx: RingCtxPtr,
  req: ReqPtr,
  sqe: SqePtr,
  first: number,
  def: number,
): number {
  const mem = cpu.mem;
  const opcode = first & 0xff;
  const flags = (first >>> 8) & 0xff;
  mem.write(req + OPCODE, opcode);
  mem.write(req + FLAGS, flags);
  mem.write(req + FD, mem.read(sqe + SQE_FD_));
  mem.write(req + DATA, mem.read(sqe + SQE_DATA));
  mem.write(req + DATA + 4, mem.read(sqe + SQE_DATA + 4));
  mem.write(req + TCTX, current_tctx(cpu));
  if (flags !== 0) {
    const error = io_check_sqe_flags(cpu, req, flags);
    if (error !== 0) return error;
  }
  if (def === DEF_NONE) return -EINVAL;
  if (first >>> 16 !== 0 && (def & DEF_IOPRIO) === 0) return -EINVAL;
  if ((def & DEF_IOPOLL) === 0 && (mem.read(ctx + CTXFLAGS) & IOPOLL) !== 0) return -EINVAL;
  // No credentials can be registered, so no personality has that number.
  if (mem.read(sqe + SQE_PERSONALITY_WORD) >>> 16 !== 0) return -EINVAL;
  return io_op_prep(cpu, opcode, req, sqe);
}

function io_check_sqe_flags(cpu: Cpu, req: ReqPtr, flags: number): number {
  if ((flags & ~SQE_VALID_FLAGS) !== 0) {
    cpu.mem.write(req + FLAGS, 0);
    return -EINVAL;
  }
  return (flags & IOSQE_BUFFER_SELECT) !== 0 ? -EOPNOTSUPP : 0;
}

/** The inline attempt; whatever would block goes to io-wq. */
function io_queue_sqe(cpu: Cpu, ctx: RingCtxPtr, req: ReqPtr): void {
  const ret = io_issue_sqe(cpu, req, INLINE_ISSUE);
  if (ret === IOU_COMPLETE) {
    io_req_complete_defer(cpu, ctx, req);
    return;
  }
  if (ret === -EIOCBQUEUED) return;
  if (ret === -EAGAIN && (cpu.mem.read(req + FLAGS) & REQ_F_NOWAIT) === 0) {
    io_queue_iowq(cpu, req);
    return;
  }
  io_req_fail(cpu, req, ret);
  io_req_complete_defer(cpu, ctx, req);
}
