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
  IORING_OP_NOP,
  IOSQE_ASYNC,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_FIXED_FILE,
  SQE_BUF_INDEX,
  SQE_FD,
  SQE_USER_DATA,
  type SqePtr,
} from "../abi/sqe.ts";
import {
  io_issue_def,
  io_op_prep,
  OP_IOPOLL,
  OP_IOPRIO,
  OP_NEEDS_FILE,
  OP_NONE,
  OP_PLUG,
} from "../ops/opdef.ts";
import { io_nop_plain } from "../ops/nop.ts";
import { io_submit_flush_completions } from "./complete.ts";
import {
  CTX_CACHED_SQ_HEAD,
  CTX_COMPL_LAST,
  CTX_FLAGS,
  CTX_FREE_REQS,
  CTX_RINGS,
  CTX_SQ_ARRAY,
  CTX_SQ_ENTRIES,
  CTX_SQES,
  type RingCtxPtr,
} from "./ctx.ts";
import { io_file_batch_end, io_file_batch_start } from "./file.ts";
import { io_issue_op, io_req_fail } from "./issue.ts";
import { io_queue_iowq } from "./iowq.ts";
import {
  io_alloc_req,
  io_alloc_req_refill,
  io_req_add_to_cache,
  IO_URING_F_NONBLOCK,
  IOU_COMPLETE,
  REQ_COMP_LIST,
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
const FREE_REQS = CTX_FREE_REQS;
const COMPL_LAST = CTX_COMPL_LAST;
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
const NEXT = REQ_COMP_LIST;
const F_FORCE_ASYNC = REQ_F_FORCE_ASYNC;
const IOPOLL = IORING_SETUP_IOPOLL;
const DEF_NONE = OP_NONE;
const DEF_NEEDS_FILE = OP_NEEDS_FILE;
const DEF_IOPRIO = OP_IOPRIO;
const DEF_IOPOLL = OP_IOPOLL;
const DEF_PLUG = OP_PLUG;

/** Links and DRAIN are not supported yet: -EINVAL, like a flag that does not exist. */
const SQE_VALID_FLAGS = IOSQE_FIXED_FILE | IOSQE_ASYNC | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
const INLINE_ISSUE = IO_URING_F_NONBLOCK;
const IOCBQUEUED = EIOCBQUEUED;
const COMPLETE = IOU_COMPLETE;
/** Of io_submit_sqe, besides COMPLETE. */
const QUEUED = 1;
/** First word of an SQE: opcode NOP, flags and ioprio 0. */
const PLAIN_NOP = IORING_OP_NOP;
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

/**
 * Returns how many of `wanted` are left over. While it runs, the heads of the free list and of the SQ and the end
 * of the completed list are in its variables: nothing called from here looks at them, and uring_lock keeps
 * others out.
 */
function io_submit_loop(cpu: Cpu, ctx: RingCtxPtr, rings: number, wanted: number): number {
  const tctx = current_tctx(cpu);
  let head = cpu.mem.read(ctx + CACHED_HEAD) | 0;
  let last = cpu.mem.read(ctx + COMPL_LAST) | 0;
  let left = wanted | 0;
  let plug = 0 as PlugPtr;
  let go_on = true;
  while (go_on && left > 0) {
    const mem = cpu.mem;
    const mask = (mem.read(ctx + ENTRIES) - 1) | 0;
    const array = mem.read(ctx + ARRAY);
    const sqes = mem.read(ctx + SQES);
    let free = mem.read(ctx + FREE_REQS) | 0;
    let req = 0;
    let sqe = 0;
    let first = 0;
    // Up to the first SQE that is no plain NOP. No call stands in this loop, on whatever path: after one, the engine
    // looks for the memory again at each access, and a NOP costs a third more.
    while (left > 0 && free !== 0) {
      const slot = head & mask;
      // The user may scribble in the array at any time: read once, checked after.
      const index = array === 0 ? slot : mem.readOnce(array + (slot << 2));
      if ((index & ~mask) !== 0) break;
      head = (head + 1) | 0;
      left = (left - 1) | 0;
      req = free;
      free = mem.read(req + NEXT);
      sqe = (sqes + (index << 6)) | 0;
      // opcode, flags, ioprio: read once too.
      first = mem.read(sqe);
      mem.write(req + OPCODE, first & 0xff);
      mem.write(req + FLAGS, (first >>> 8) & 0xff);
      mem.write(req + DATA, mem.read(sqe + SQE_DATA));
      mem.write(req + DATA + 4, mem.read(sqe + SQE_DATA + 4));
      mem.write(req + TCTX, tctx);
      if (first !== PLAIN_NOP || !io_nop_plain(cpu, req, sqe)) break;
      mem.write(last + NEXT, req);
      last = req;
      req = 0;
    }
    mem.write(ctx + FREE_REQS, free);
    if (req !== 0) {
      const def = io_issue_def(first & 0xff);
      if (def >= DEF_PLUG && plug === 0 && wanted > IO_PLUG_THRESHOLD) {
        plug = blk_start_plug_nr_ios(cpu, left + 1);
      }
      const ret = io_submit_sqe(cpu, ctx, req as ReqPtr, sqe as SqePtr, first, def);
      go_on = ret >= 0;
      if (ret !== QUEUED) {
        mem.write(last + NEXT, req);
        last = req;
      }
    } else if (free === 0) go_on = left > 0 && io_alloc_req_refill(cpu, ctx);
    else if (left > 0) {
      head = (head + 1) | 0;
      io_count_dropped(cpu, rings);
      go_on = false;
    }
  }
  cpu.mem.write(ctx + COMPL_LAST, last);
  cpu.mem.write(ctx + CACHED_HEAD, head);
  blk_finish_plug(cpu, plug);
  return left;
}

function io_count_dropped(cpu: Cpu, rings: number): void {
  cpu.mem.writeOnce(rings + RINGS_SQ_DROPPED, cpu.mem.readOnce(rings + RINGS_SQ_DROPPED) + 1);
}

/**
 * Goes on with a request that has opcode, flags and user_data. COMPLETE: its result is set. QUEUED: it will
 * complete. -errno: its result is set, and it ends the submission.
 */
function io_submit_sqe(
  cpu: Cpu,
  ctx: RingCtxPtr,
  req: ReqPtr,
  sqe: SqePtr,
  first: number,
  def: number,
): number {
  const error = io_init_req(cpu, ctx, req, sqe, first, def);
  if (error === 0) return io_queue_sqe(cpu, req, first & 0xff, def);
  io_req_fail(cpu, req, error);
  return error;
}

/** Checks what opcode and flags ask for and reads the rest of the SQE. 0 or -errno. */
function io_init_req(
  cpu: Cpu,
  ctx: RingCtxPtr,
  req: ReqPtr,
  sqe: SqePtr,
  first: number,
  def: number,
): number {
  const mem = cpu.mem;
  const flags = (first >>> 8) & 0xff;
  if (def === DEF_NONE) return -EINVAL;
  if (flags !== 0) {
    const error = io_check_sqe_flags(cpu, req, flags);
    if (error !== 0) return error;
  }
  if (first >>> 16 !== 0 && (def & DEF_IOPRIO) === 0) return -EINVAL;
  if ((def & DEF_IOPOLL) === 0 && (mem.read(ctx + CTXFLAGS) & IOPOLL) !== 0) return -EINVAL;
  if ((def & DEF_NEEDS_FILE) !== 0) mem.write(req + FD, mem.read(sqe + SQE_FD_));
  // No credentials can be registered, so no personality has that number.
  if (mem.read(sqe + SQE_PERSONALITY_WORD) >>> 16 !== 0) return -EINVAL;
  return io_op_prep(cpu, first & 0xff, req, sqe);
}

function io_check_sqe_flags(cpu: Cpu, req: ReqPtr, flags: number): number {
  if ((flags & ~SQE_VALID_FLAGS) !== 0) {
    cpu.mem.write(req + FLAGS, 0);
    return -EINVAL;
  }
  return (flags & IOSQE_BUFFER_SELECT) !== 0 ? -EOPNOTSUPP : 0;
}

/** The inline attempt; whatever would block goes to io-wq. COMPLETE or QUEUED. */
function io_queue_sqe(cpu: Cpu, req: ReqPtr, opcode: number, def: number): number {
  if ((cpu.mem.read(req + FLAGS) & F_FORCE_ASYNC) !== 0) {
    io_queue_iowq(cpu, req);
    return QUEUED;
  }
  const ret = io_issue_op(cpu, req, opcode, def, INLINE_ISSUE);
  if (ret === COMPLETE) return COMPLETE;
  if (ret === -IOCBQUEUED) return QUEUED;
  if (ret === -EAGAIN && (cpu.mem.read(req + FLAGS) & REQ_F_NOWAIT) === 0) {
    io_queue_iowq(cpu, req);
    return QUEUED;
  }
  io_req_fail(cpu, req, ret);
  return COMPLETE;
}
