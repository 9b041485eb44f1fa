/**
 * From a completed request to its CQE and back to the cache (io_uring/io_uring.c,
 * __io_submit_flush_completions and io_free_batch_list): in batches, one publication of cq.tail each.
 *
 * The CQEs are out before the requests are cleaned up: as in v3 of the series, the map of a dma-buf is
 * dropped here, by the submitter's task, and not where the I/O completed; then the buffer node, then the
 * file. All with uring_lock held, in task context.
 */
import { type IoDmabufMapPtr, io_dmabuf_map_drop } from "@ringside/core/dma/token";
import { file_count_word, type FilePtr, fput } from "@ringside/core/fs/file";
import { refcount_sub_and_test } from "@ringside/core/ref/refcount";
import type { Cpu } from "@ringside/core/sched/cpu";
import { try_to_wake_up, TASK_NORMAL, type TaskPtr } from "@ringside/core/sched/task";
import { io_put_rsrc_node, type RsrcNodePtr } from "../rsrc/node.ts";
import { io_commit_cqring, io_fill_cqes } from "./cq.ts";
import { CTX_COMPL_FIRST, CTX_COMPL_LAST, CTX_EXIT_TASK, type RingCtxPtr } from "./ctx.ts";
import {
  io_req_cache_splice,
  REQ_BUF_NODE,
  REQ_COMP_LIST,
  REQ_DMABUF_MAP,
  REQ_F_BUF_NODE,
  REQ_F_CLEAN_SLOW,
  REQ_F_DROP_DMABUF,
  REQ_FILE,
  REQ_FLAGS,
  type ReqPtr,
} from "./req.ts";

const FIRST = CTX_COMPL_FIRST;
const LAST = CTX_COMPL_LAST;
const NEXT = REQ_COMP_LIST;
const FLAGS = REQ_FLAGS;
const FILE = REQ_FILE;
const F_DROP_DMABUF = REQ_F_DROP_DMABUF;
const F_BUF_NODE = REQ_F_BUF_NODE;
const BUF_NODE = REQ_BUF_NODE;
const EXIT_TASK = CTX_EXIT_TASK;
const F_CLEAN_SLOW = REQ_F_CLEAN_SLOW;

/** An empty list of completed requests: its last element is where its first word is. The ring is new. */
export function io_compl_list_init(cpu: Cpu, ctx: RingCtxPtr): void {
  cpu.mem.write(ctx + FIRST, 0);
  cpu.mem.write(ctx + LAST, ctx + FIRST - NEXT);
}

/** Adds a request whose result is set to the batch. */
export function io_req_complete_defer(cpu: Cpu, ctx: RingCtxPtr, req: ReqPtr): void {
  const mem = cpu.mem;
  // The last one's link is set when the batch is flushed.
  mem.write(mem.read(ctx + LAST) + NEXT, req);
  mem.write(ctx + LAST, req);
}

/** Posts and publishes the CQEs of the batch, then recycles its requests. */
export function io_submit_flush_completions(cpu: Cpu, ctx: RingCtxPtr): void {
  const mem = cpu.mem;
  const first = mem.read(ctx + FIRST) as ReqPtr;
  if (first === 0) return;
  const last = mem.read(ctx + LAST) as ReqPtr;
  mem.write(last + NEXT, 0);
  io_compl_list_init(cpu, ctx);
  const flags = io_fill_cqes(cpu, ctx, first);
  io_commit_cqring(cpu, ctx);
  if ((flags & F_CLEAN_SLOW) !== 0) io_clean_batch_list(cpu, ctx, first);
  io_req_cache_splice(cpu, ctx, first, last);
  const exit_task = mem.readOnce(ctx + EXIT_TASK) as TaskPtr;
  if (exit_task !== 0) try_to_wake_up(cpu, exit_task, TASK_NORMAL);
}

/** Drops what the requests of a list hold. */
function io_clean_batch_list(cpu: Cpu, ctx: RingCtxPtr, first: ReqPtr): void {
  const mem = cpu.mem;
  // References of one file are dropped together: neighbours in a batch usually share it.
  let file = 0;
  let refs = 0;
  for (let req = first; req !== 0; req = mem.read(req + NEXT) as ReqPtr) {
    const flags = mem.read(req + FLAGS);
    if ((flags & F_CLEAN_SLOW) === 0) continue;
    io_clean_req(cpu, ctx, req, flags);
    const held = mem.read(req + FILE);
    if (held === 0) continue;
    if (held !== file) {
      io_put_file_many(cpu, file as FilePtr, refs);
      file = held;
      refs = 0;
    }
    refs++;
    mem.write(req + FILE, 0);
  }
  io_put_file_many(cpu, file as FilePtr, refs);
}

/** Drops what the request held but its file, which the caller drops for the whole batch. */
function io_clean_req(cpu: Cpu, ctx: RingCtxPtr, req: ReqPtr, flags: number): void {
  const mem = cpu.mem;
  if ((flags & F_DROP_DMABUF) !== 0) {
    io_dmabuf_map_drop(cpu, mem.read(req + REQ_DMABUF_MAP) as IoDmabufMapPtr);
    mem.write(req + REQ_DMABUF_MAP, 0);
  }
  if ((flags & F_BUF_NODE) !== 0) {
    io_put_rsrc_node(cpu, ctx, mem.read(req + BUF_NODE) as RsrcNodePtr);
    mem.write(req + BUF_NODE, 0);
  }
}

/** Drops `refs` references; the last one may release the file here. */
export function io_put_file_many(cpu: Cpu, file: FilePtr, refs: number): void {
  if (refs === 0) return;
  // Never the last: one of them is dropped below.
  if (refs > 1) refcount_sub_and_test(cpu, refs - 1, file_count_word(file));
  fput(cpu, file);
}
