/**
 * struct io_kiocb (include/linux/io_uring_types.h): one request, from its SQE to its CQE; and the ring's
 * cache of them.
 *
 * Requests are allocated in batches and stay with the ring until it goes, so the data path allocates
 * nothing. A free request has file, buf_node and dmabuf_map 0 and cqe.flags 0.
 *
 * Who owns a request: the submitter, or an io-wq worker, until it is issued; the file from then until
 * ki_complete; then whoever runs the submitter's task work. A submitter cannot lose the request under its
 * feet, since it is the one who recycles it; a worker can, so it holds a reference until its issue returned.
 */
import { struct_layout } from "@ringside/core/debug/layout";
import { IOV_ITER_SIZE } from "@ringside/core/fs/iov-iter";
import { KIOCB_SIZE } from "@ringside/core/fs/kiocb";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import { WORK_STRUCT_SIZE } from "@ringside/core/sched/workqueue";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Ptr } from "atomics-sync";
import { CTX_FREE_REQS, CTX_NR_REQS, type RingCtxPtr } from "./ctx.ts";

export type ReqPtr = Ptr<"io_kiocb">;

/** struct kiocb of io_rw; first, so that a kiocb is its request. */
export const REQ_KIOCB = 0;
// From the SQE:
/** rw: bytes; nop: injected result; fsync: unused. */
export const REQ_LEN = KIOCB_SIZE;
/** rw_flags, nop_flags or fsync_flags. */
export const REQ_OP_FLAGS = REQ_LEN + 4;
export const REQ_ADDR = REQ_OP_FLAGS + 4;
export const REQ_OPCODE = REQ_ADDR + 4;
/** IOSQE bits and REQ_F bits. */
export const REQ_FLAGS = REQ_OPCODE + 4;
export const REQ_FD = REQ_FLAGS + 4;
export const REQ_BUF_INDEX = REQ_FD + 4;
/** Constant: the ring. */
export const REQ_CTX = REQ_BUF_INDEX + 4;
/** The submitting task's struct io_uring_task. */
export const REQ_TCTX = REQ_CTX + 4;
// The CQE to be, in its order:
export const REQ_USER_DATA = 64;
export const REQ_RES = 72;
export const REQ_CQE_FLAGS = 76;
// Held while in flight:
export const REQ_FILE = 80;
export const REQ_BUF_NODE = 84;
export const REQ_DMABUF_MAP = 88;
/** Links free requests and completed ones. uring_lock. */
export const REQ_COMP_LIST = 92;
/** struct io_task_work: links completed requests that wait for their task. */
export const REQ_TW_NEXT = 96;
/** While a worker issues it: 2, one for the worker and one for the completion; else 0. Atomic. */
export const REQ_REFS = 100;
/** Entry in the ring's iopoll_list. uring_lock. */
export const REQ_IOPOLL = 104;
export const REQ_ITER = 112;
/** sqe.off as it came: the kiocb's own position moves with the transfer. */
export const REQ_POS = 144;
/** work_struct for io-wq. */
export const REQ_WORK = 152;
/** Two requests share no line: different threads may complete them. */
export const REQ_SIZE = 256;

struct_layout("io_kiocb", REQ_SIZE, [
  ["rw.kiocb", REQ_KIOCB, KIOCB_SIZE],
  ["rw.len", REQ_LEN, 4],
  ["rw.flags", REQ_OP_FLAGS, 4],
  ["rw.addr", REQ_ADDR, 4],
  ["opcode", REQ_OPCODE, 4],
  ["flags", REQ_FLAGS, 4],
  ["cqe.fd", REQ_FD, 4],
  ["buf_index", REQ_BUF_INDEX, 4],
  ["ctx", REQ_CTX, 4],
  ["tctx", REQ_TCTX, 4],
  ["cqe.user_data", REQ_USER_DATA, 8],
  ["cqe.res", REQ_RES, 4],
  ["cqe.flags", REQ_CQE_FLAGS, 4],
  ["file", REQ_FILE, 4],
  ["buf_node", REQ_BUF_NODE, 4],
  ["dmabuf_map", REQ_DMABUF_MAP, 4],
  ["comp_list", REQ_COMP_LIST, 4],
  ["io_task_work.node", REQ_TW_NEXT, 4],
  ["refs", REQ_REFS, 4],
  ["iopoll_node", REQ_IOPOLL, 8],
  ["iter", REQ_ITER, IOV_ITER_SIZE],
  ["pos", REQ_POS, 8],
  ["work", REQ_WORK, WORK_STRUCT_SIZE],
]);

// The low bits are the IOSQE flags.
export const REQ_F_FIXED_FILE = 1 << 0;
export const REQ_F_FORCE_ASYNC = 1 << 4;
export const REQ_F_CQE_SKIP = 1 << 6;
/** It failed. */
export const REQ_F_FAIL = 1 << 8;
/** The user said NOWAIT: never wait, never punt. */
export const REQ_F_NOWAIT = 1 << 9;
/** The device said -EAGAIN: issue it again from io-wq. */
export const REQ_F_REISSUE = 1 << 10;
/** On the iopoll_list. */
export const REQ_F_IOPOLL = 1 << 11;
// What cleaning up has to drop:
export const REQ_F_HAS_FILE = 1 << 12;
export const REQ_F_BUF_NODE = 1 << 13;
export const REQ_F_DROP_DMABUF = 1 << 14;

/** IO_REQ_CLEAN_SLOW_FLAGS. */
export const REQ_F_CLEAN_SLOW: number = REQ_F_HAS_FILE | REQ_F_BUF_NODE | REQ_F_DROP_DMABUF;

/** issue_flags: may not block; uring_lock is not held, as in io-wq. */
export const IO_URING_F_NONBLOCK = 1;
export const IO_URING_F_UNLOCKED = 2;

/** What an issue returns besides -errno: done, the result is in cqe.res. -EIOCBQUEUED: it will complete. */
export const IOU_COMPLETE = 0;

/** Requests allocated at a time. */
const IO_REQ_ALLOC_BATCH = 8;

const FLAGS = REQ_FLAGS;
const COMP_LIST = REQ_COMP_LIST;
const FREE_REQS = CTX_FREE_REQS;

/** Grows the cache. False when not even one request could be had. uring_lock held. */
export function io_alloc_req_refill(cpu: Cpu, ctx: RingCtxPtr): boolean {
  const mem = cpu.mem;
  for (let i = 0; i < IO_REQ_ALLOC_BATCH; i++) {
    const req = kzalloc(cpu, REQ_SIZE, GFP_KERNEL) as ReqPtr;
    if (req === 0) return i > 0;
    mem.write(req + REQ_CTX, ctx);
    mem.write(ctx + CTX_NR_REQS, mem.read(ctx + CTX_NR_REQS) + 1);
    io_req_add_to_cache(cpu, ctx, req);
  }
  return true;
}

/** A free request, or 0 when out of memory. uring_lock held. */
export function io_alloc_req(cpu: Cpu, ctx: RingCtxPtr): ReqPtr {
  const mem = cpu.mem;
  let req = mem.read(ctx + FREE_REQS);
  if (req === 0) {
    if (!io_alloc_req_refill(cpu, ctx)) return 0 as ReqPtr;
    req = mem.read(ctx + FREE_REQS);
  }
  mem.write(ctx + FREE_REQS, mem.read(req + COMP_LIST));
  return req as ReqPtr;
}

/** Gives a request back. uring_lock held. */
export function io_req_add_to_cache(cpu: Cpu, ctx: RingCtxPtr, req: ReqPtr): void {
  const mem = cpu.mem;
  mem.write(req + COMP_LIST, mem.read(ctx + FREE_REQS));
  mem.write(ctx + FREE_REQS, req);
}

/** Gives a list of requests back, linked from `first` to `last` by comp_list. uring_lock held. */
export function io_req_cache_splice(cpu: Cpu, ctx: RingCtxPtr, first: ReqPtr, last: ReqPtr): void {
  cpu.mem.write(last + COMP_LIST, cpu.mem.read(ctx + FREE_REQS));
  cpu.mem.write(ctx + FREE_REQS, first);
}

/** Requests in flight: those that are not free. Counts; not for the data path. uring_lock held. */
export function io_reqs_inflight(cpu: Cpu, ctx: RingCtxPtr): number {
  let inflight = cpu.mem.read(ctx + CTX_NR_REQS);
  for (let req = cpu.mem.read(ctx + FREE_REQS); req !== 0; req = cpu.mem.read(req + COMP_LIST)) inflight--;
  return inflight;
}

/** Frees all free requests. uring_lock held, or the ring is going. */
export function io_req_caches_free(cpu: Cpu, ctx: RingCtxPtr): void {
  const mem = cpu.mem;
  let req = mem.read(ctx + FREE_REQS);
  while (req !== 0) {
    const next = mem.read(req + COMP_LIST);
    kfree(cpu, req);
    mem.write(ctx + CTX_NR_REQS, mem.read(ctx + CTX_NR_REQS) - 1);
    req = next;
  }
  mem.write(ctx + FREE_REQS, 0);
}

/** Marks it failed: failures always post a CQE. */
export function req_set_fail(cpu: Cpu, req: ReqPtr): void {
  cpu.mem.write(req + FLAGS, (cpu.mem.read(req + FLAGS) | REQ_F_FAIL) & ~REQ_F_CQE_SKIP);
}
