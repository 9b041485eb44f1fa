/**
 * struct io_ring_ctx (include/linux/io_uring_types.h): one ring.
 *
 * Unlike Linux there is no completion_lock: whoever posts a CQE runs in task context and holds uring_lock,
 * as in rings that Linux calls lockless_cq. Completions from interrupts come through task work.
 *
 * The ring lives while its file does, and while a task that took a reference with io_ring_ref runs its
 * requests. Offsets are exported for this package only; the data path copies them into constants.
 */
import { kernel_static } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import { file_fop, type FilePtr, FOP_WORDS } from "@ringside/core/fs/file";
import { MUTEX_SIZE } from "@ringside/core/lock/mutex";
import type { Cpu } from "@ringside/core/sched/cpu";
import { try_to_wake_up, TASK_NORMAL, type TaskPtr } from "@ringside/core/sched/task";
import { WAIT_QUEUE_HEAD_SIZE } from "@ringside/core/sched/wait";
import type { Ptr } from "atomics-sync";

export type RingCtxPtr = Ptr<"io_ring_ctx">;

// Constant after io_uring_setup:
export const CTX_FLAGS = 0;
export const CTX_RINGS = 4;
export const CTX_SQES = 8;
/** 0 with NO_SQARRAY. */
export const CTX_SQ_ARRAY = 12;
export const CTX_CQES = 16;
export const CTX_SQ_ENTRIES = 20;
export const CTX_CQ_ENTRIES = 24;
/** The one task that may submit (SINGLE_ISSUER), or 0. */
export const CTX_SUBMITTER_TASK = 28;
export const CTX_RINGS_BYTES = 32;
export const CTX_SQES_BYTES = 36;

/** struct mutex; owns its line, since other tasks' attempts write it. */
export const CTX_URING_LOCK = 128;

// uring_lock must be held for:
/** Private copy of sq.head: SQEs consumed. */
export const CTX_CACHED_SQ_HEAD = 256;
/** Free requests, linked by comp_list. */
export const CTX_FREE_REQS = 260;
/** Completed requests without a CQE yet, oldest first. */
export const CTX_COMPL_FIRST = 264;
export const CTX_COMPL_LAST = 268;
/** Requests in all, free or in flight. */
export const CTX_NR_REQS = 272;
/** Private copy of cq.tail: CQEs filled. */
export const CTX_CACHED_CQ_TAIL = 280;
/** cq.tail as published. */
export const CTX_PUBLISHED_CQ_TAIL = 284;
/** Private copy of cq.head, re-read when the CQ seems full. */
export const CTX_CACHED_CQ_HEAD = 288;
/** CQEs that found no room, oldest first. */
export const CTX_OVERFLOW_FIRST = 292;
export const CTX_OVERFLOW_LAST = 296;
/** CHECK_CQ_* bits; read without the lock to decide about taking it. */
export const CTX_CHECK_CQ = 300;
/** Requests to poll for (list_head). */
export const CTX_IOPOLL_LIST = 304;
/** Registered buffers: number of slots, and the array of nodes. */
export const CTX_BUF_NR = 312;
export const CTX_BUF_NODES = 316;
/** Tasks asleep in io_cqring_wait, and the earliest cq.tail one of them waits for. */
export const CTX_CQ_WAITERS = 320;
export const CTX_CQ_WAIT_TAIL = 324;
/** The file of the last SQE of this batch, and references taken ahead for it. */
export const CTX_FILE_FD = 328;
export const CTX_FILE = 332;
export const CTX_FILE_REFS = 336;
/** References to take with the next file: SQEs of this batch, 1 once it names several files. */
export const CTX_FILE_WANT = 340;

/** wait_queue_head, with its own lock. */
export const CTX_CQ_WAIT = 384;

// Atomic:
/** Tasks that run requests of this ring without holding its file; changed by fetchAdd. */
export const CTX_REFS = 512;
/** The task that waits for the ring to become idle, or 0. Written under uring_lock. */
export const CTX_EXIT_TASK = 516;
export const CTX_SIZE = 640;

struct_layout("io_ring_ctx", CTX_SIZE, [
  ["flags", CTX_FLAGS, 4],
  ["rings", CTX_RINGS, 4],
  ["sq_sqes", CTX_SQES, 4],
  ["sq_array", CTX_SQ_ARRAY, 4],
  ["cqes", CTX_CQES, 4],
  ["sq_entries", CTX_SQ_ENTRIES, 4],
  ["cq_entries", CTX_CQ_ENTRIES, 4],
  ["submitter_task", CTX_SUBMITTER_TASK, 4],
  ["rings_bytes", CTX_RINGS_BYTES, 4],
  ["sqes_bytes", CTX_SQES_BYTES, 4],
  ["uring_lock", CTX_URING_LOCK, MUTEX_SIZE],
  ["cached_sq_head", CTX_CACHED_SQ_HEAD, 4],
  ["submit_state.free_list", CTX_FREE_REQS, 4],
  ["submit_state.compl_reqs.first", CTX_COMPL_FIRST, 4],
  ["submit_state.compl_reqs.last", CTX_COMPL_LAST, 4],
  ["nr_reqs", CTX_NR_REQS, 4],
  ["cached_cq_tail", CTX_CACHED_CQ_TAIL, 4],
  ["published_cq_tail", CTX_PUBLISHED_CQ_TAIL, 4],
  ["cached_cq_head", CTX_CACHED_CQ_HEAD, 4],
  ["cq_overflow_list.first", CTX_OVERFLOW_FIRST, 4],
  ["cq_overflow_list.last", CTX_OVERFLOW_LAST, 4],
  ["check_cq", CTX_CHECK_CQ, 4],
  ["iopoll_list", CTX_IOPOLL_LIST, 8],
  ["buf_table.nr", CTX_BUF_NR, 4],
  ["buf_table.nodes", CTX_BUF_NODES, 4],
  ["cq_waiters", CTX_CQ_WAITERS, 4],
  ["cq_wait_tail", CTX_CQ_WAIT_TAIL, 4],
  ["submit_state.file_fd", CTX_FILE_FD, 4],
  ["submit_state.file", CTX_FILE, 4],
  ["submit_state.file_refs", CTX_FILE_REFS, 4],
  ["submit_state.file_want", CTX_FILE_WANT, 4],
  ["cq_wait", CTX_CQ_WAIT, WAIT_QUEUE_HEAD_SIZE],
  ["refs", CTX_REFS, 4],
  ["exit_task", CTX_EXIT_TASK, 4],
]);

/** check_cq: the overflow list is not empty; a CQE was lost. */
export const CHECK_CQ_OVERFLOW = 1;
export const CHECK_CQ_DROPPED = 2;

/** struct file_operations of rings; its release is filled in by ring/exit.ts. */
export const io_uring_fops: number = kernel_static("io_uring_fops", FOP_WORDS * 4);

export function io_is_uring_fops(cpu: Cpu, file: FilePtr): boolean {
  return file_fop(cpu, file) === io_uring_fops;
}

/** Keeps the ring's memory; the caller knows that a request of it is in flight. */
export function io_ring_ref(cpu: Cpu, ctx: RingCtxPtr): void {
  cpu.mem.fetchAdd(ctx + CTX_REFS, 1);
}

/** Lets go. The ring may be gone when this returns. */
export function io_ring_unref(cpu: Cpu, ctx: RingCtxPtr): void {
  // Read while the reference still holds the memory. The exit loop looks again by itself after a while, so
  // a task that registers right here is only late.
  const task = cpu.mem.readOnce(ctx + CTX_EXIT_TASK) as TaskPtr;
  if (cpu.mem.fetchSub(ctx + CTX_REFS, 1) === 1 && task !== 0) try_to_wake_up(cpu, task, TASK_NORMAL);
}
