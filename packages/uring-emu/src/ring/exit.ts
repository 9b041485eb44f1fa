/**
 * The end of a ring (io_uring/io_uring.c, io_ring_ctx_wait_and_kill and io_ring_exit_work): waits for the
 * requests in flight, then frees everything.
 *
 * Unlike Linux, where a worker does it later, the last fput of the ring does it here and sleeps meanwhile.
 * The last fput never comes from a request of the ring itself: requests do not hold rings (ring/file.ts).
 */
import { kernel_initcall, kernel_symbol } from "@ringside/core/debug/image";
import { file_private, type FilePtr, FOP_RELEASE } from "@ringside/core/fs/file";
import { mutex_destroy, mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import { list_empty } from "@ringside/core/mm/list";
import { free_pages_exact } from "@ringside/core/mm/page-alloc";
import { kfree } from "@ringside/core/mm/slab";
import { type Cpu, nr_cpu_ids } from "@ringside/core/sched/cpu";
import { cond_resched, schedule_timeout } from "@ringside/core/sched/schedule";
import {
  current_task,
  set_current_state,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
} from "@ringside/core/sched/task";
import { io_sqe_buffers_unregister } from "../rsrc/buffers.ts";
import { io_cqring_overflow_kill } from "./cq.ts";
import {
  CTX_EXIT_TASK,
  CTX_IOPOLL_LIST,
  CTX_REFS,
  CTX_RINGS,
  CTX_RINGS_BYTES,
  CTX_SQES,
  CTX_SQES_BYTES,
  CTX_URING_LOCK,
  io_uring_fops,
  type RingCtxPtr,
} from "./ctx.ts";
import { io_req_caches_free, io_reqs_inflight } from "./req.ts";
import { io_handle_tw_list, io_run_task_work } from "./task-work.ts";
import { tctx_of_cpu, tctx_set_state, tctx_take_shared, TCTX_WAITING, tctx_work_pending } from "./tctx.ts";
import { io_do_iopoll } from "./wait.ts";

/** How often it looks for completions that were left to a task which does not run them. HZ/20. */
const EXIT_INTERVAL_MS = 50;

const IO_URING_RELEASE = kernel_symbol(io_uring_release);

kernel_initcall(io_uring_fops_init);
function io_uring_fops_init(cpu: Cpu): void {
  cpu.mem.write(io_uring_fops + FOP_RELEASE, IO_URING_RELEASE);
}

/** The ring's file is closed: nobody can submit or wait any more. */
function io_uring_release(cpu: Cpu, file: FilePtr): void {
  const ctx = file_private(cpu, file) as RingCtxPtr;
  // Under the lock, as io_submit_flush_completions reads it: who recycles requests after this wakes us.
  mutex_lock(cpu, ctx + CTX_URING_LOCK);
  cpu.mem.writeOnce(ctx + CTX_EXIT_TASK, current_task(cpu));
  mutex_unlock(cpu, ctx + CTX_URING_LOCK);
  while (!io_ring_idle(cpu, ctx)) io_ring_exit_wait(cpu, ctx);
  io_ring_ctx_free(cpu, ctx);
}

/** No request in flight and, looked at after that, no task that has only just recycled one. */
function io_ring_idle(cpu: Cpu, ctx: RingCtxPtr): boolean {
  mutex_lock(cpu, ctx + CTX_URING_LOCK);
  const inflight = io_reqs_inflight(cpu, ctx);
  mutex_unlock(cpu, ctx + CTX_URING_LOCK);
  return inflight === 0 && cpu.mem.loadAcquire(ctx + CTX_REFS) === 0;
}

function io_ring_exit_wait(cpu: Cpu, ctx: RingCtxPtr): void {
  cond_resched(cpu);
  if (!list_empty(cpu, ctx + CTX_IOPOLL_LIST)) io_do_iopoll(cpu, ctx);
  io_run_task_work(cpu, ctx);
  io_steal_task_work(cpu, ctx);
  // Before the test: a wake-up after it finds the state and cancels the sleep.
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  const before = tctx_set_state(cpu, TCTX_WAITING);
  const polling = !list_empty(cpu, ctx + CTX_IOPOLL_LIST);
  if (!polling && !tctx_work_pending(cpu) && !io_ring_idle(cpu, ctx)) {
    // Testing may have slept on the lock, which resets the state: then this returns at once.
    schedule_timeout(cpu, EXIT_INTERVAL_MS);
  }
  set_current_state(cpu, TASK_RUNNING);
  tctx_set_state(cpu, before);
}

/** Runs what is queued to other tasks: they may have left for good, or be busy in user mode. */
function io_steal_task_work(cpu: Cpu, ctx: RingCtxPtr): void {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    const list = tctx_take_shared(cpu, tctx_of_cpu(cpu, id));
    if (list !== 0) io_handle_tw_list(cpu, list, ctx);
  }
}

function io_ring_ctx_free(cpu: Cpu, ctx: RingCtxPtr): void {
  mutex_lock(cpu, ctx + CTX_URING_LOCK);
  io_sqe_buffers_unregister(cpu, ctx);
  io_cqring_overflow_kill(cpu, ctx);
  io_req_caches_free(cpu, ctx);
  mutex_unlock(cpu, ctx + CTX_URING_LOCK);
  mutex_destroy(cpu, ctx + CTX_URING_LOCK);
  io_rings_free(cpu, ctx);
  kfree(cpu, ctx);
}

/** Frees the shared pages; also of a ring that was never opened. */
export function io_rings_free(cpu: Cpu, ctx: RingCtxPtr): void {
  const mem = cpu.mem;
  free_pages_exact(cpu, mem.read(ctx + CTX_RINGS), mem.read(ctx + CTX_RINGS_BYTES));
  free_pages_exact(cpu, mem.read(ctx + CTX_SQES), mem.read(ctx + CTX_SQES_BYTES));
}
