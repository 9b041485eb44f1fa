/**
 * Running completions (io_uring/tw.c): the task takes its lists of completed requests and turns them into
 * CQEs, ring by ring, one batch each.
 *
 * A task may have requests of several rings. The ring it is inside of is held by its file; any other ring
 * could be closed by another task as soon as its last request is recycled, so it gets a reference meanwhile.
 */
import { kernel_initcall, kernel_symbol } from "@ringside/core/debug/image";
import { mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import type { Cpu } from "@ringside/core/sched/cpu";
import { clear_thread_flag, signal_pending, TIF_NOTIFY_SIGNAL } from "@ringside/core/sched/task";
import { task_work_pending, task_work_run } from "@ringside/core/sched/task-work";
import { io_req_complete_defer, io_submit_flush_completions } from "./complete.ts";
import { CTX_URING_LOCK, io_ring_ref, io_ring_unref, type RingCtxPtr } from "./ctx.ts";
import { io_iopoll_del } from "./iopoll-list.ts";
import { io_queue_iowq } from "./iowq.ts";
import { REQ_CTX, REQ_F_IOPOLL, REQ_F_REISSUE, REQ_FLAGS, REQ_TW_NEXT, type ReqPtr } from "./req.ts";
import {
  current_tctx,
  tctx_callback_init,
  TCTX_IN_RING,
  tctx_set_state,
  tctx_take_local,
  tctx_take_shared,
  tctx_unqueue,
} from "./tctx.ts";

const CTX = REQ_CTX;
const NEXT = REQ_TW_NEXT;
const FLAGS = REQ_FLAGS;
const LOCK = CTX_URING_LOCK;
const F_SPECIAL = REQ_F_REISSUE | REQ_F_IOPOLL;

const NO_RING = 0 as RingCtxPtr;
const TCTX_TASK_WORK = kernel_symbol(tctx_task_work);

kernel_initcall(io_task_work_init);
function io_task_work_init(cpu: Cpu): void {
  tctx_callback_init(cpu, TCTX_TASK_WORK);
}

/** The task work itself: (cpu, callback). */
function tctx_task_work(cpu: Cpu, _work: number): void {
  tctx_unqueue(cpu);
  io_run_lists(cpu, NO_RING);
}

/** Completes the requests of a list. `pinned`: a ring that the caller holds, or 0. No uring_lock held. */
export function io_handle_tw_list(cpu: Cpu, list: ReqPtr, pinned: RingCtxPtr): void {
  const mem = cpu.mem;
  let ctx = NO_RING;
  let req = list;
  while (req !== 0) {
    const next = mem.read(req + NEXT) as ReqPtr;
    const of = mem.read(req + CTX) as RingCtxPtr;
    if (of !== ctx) {
      if (ctx !== 0) leave_ring(cpu, ctx, pinned);
      ctx = of;
      if (ctx !== pinned) io_ring_ref(cpu, ctx);
      mutex_lock(cpu, ctx + LOCK);
    }
    const flags = mem.read(req + FLAGS);
    if ((flags & F_SPECIAL) === 0) io_req_complete_defer(cpu, ctx, req);
    else handle_special(cpu, ctx, req, flags);
    req = next;
  }
  if (ctx !== 0) leave_ring(cpu, ctx, pinned);
}

function leave_ring(cpu: Cpu, ctx: RingCtxPtr, pinned: RingCtxPtr): void {
  io_submit_flush_completions(cpu, ctx);
  mutex_unlock(cpu, ctx + LOCK);
  if (ctx !== pinned) io_ring_unref(cpu, ctx);
}

/** A polled request leaves the poll list; one whose device said -EAGAIN goes to io-wq instead. */
function handle_special(cpu: Cpu, ctx: RingCtxPtr, req: ReqPtr, flags: number): void {
  if ((flags & REQ_F_IOPOLL) !== 0) io_iopoll_del(cpu, req, 0);
  if ((flags & REQ_F_REISSUE) === 0) {
    io_req_complete_defer(cpu, ctx, req);
    return;
  }
  cpu.mem.write(req + FLAGS, cpu.mem.read(req + FLAGS) & ~REQ_F_REISSUE);
  io_queue_iowq(cpu, req);
}

function io_run_lists(cpu: Cpu, pinned: RingCtxPtr): void {
  const before = tctx_set_state(cpu, TCTX_IN_RING);
  for (;;) {
    let list = tctx_take_local(cpu);
    if (list === 0) list = tctx_take_shared(cpu, current_tctx(cpu));
    if (list === 0) break;
    io_handle_tw_list(cpu, list, pinned);
  }
  tctx_set_state(cpu, before);
}

/** Runs all completions of the task. `pinned` as above. No uring_lock held. */
export function io_run_task_work(cpu: Cpu, pinned: RingCtxPtr): void {
  if (task_work_pending(cpu)) {
    // The lists first: the callback that follows finds them empty and needs no extra references.
    io_run_lists(cpu, pinned);
    task_work_run(cpu);
  } else {
    const list = tctx_take_local(cpu);
    if (list !== 0) io_handle_tw_list(cpu, list, pinned);
  }
}

/** As io_run_task_work; also forgets a notification whose work has run already. For wait loops. */
export function io_run_task_work_clear(cpu: Cpu, pinned: RingCtxPtr): void {
  // The flag may be set after the work it stands for was run: left on, it would keep schedule() from sleeping.
  if (signal_pending(cpu)) clear_thread_flag(cpu, TIF_NOTIFY_SIGNAL);
  io_run_task_work(cpu, pinned);
}
