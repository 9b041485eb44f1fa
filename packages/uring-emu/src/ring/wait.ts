/**
 * Waiting for CQEs (io_uring/io_uring.c, io_cqring_wait and io_iopoll_check).
 *
 * The waiter runs its own task work, takes its interrupts, polls if the ring is polled, and sleeps when there
 * is nothing to do. Others' CQEs wake it through cq_wait.
 *
 * No lost wake-up: it counts itself as a waiter under uring_lock, and every CQE is published under
 * uring_lock; so a CQE that was published before is seen by the test that follows, and one published after
 * finds a waiter to wake. Its own completions find the state TCTX_WAITING, or break the sleep as task work.
 */
import { EBADR, EINTR, ETIME } from "@ringside/core/debug/errno";
import { symbol_call } from "@ringside/core/debug/image";
import { file_op, type FilePtr, FOP_IOPOLL } from "@ringside/core/fs/file";
import { mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import { list_empty, list_next } from "@ringside/core/mm/list";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched, MAX_SCHEDULE_TIMEOUT, schedule_timeout } from "@ringside/core/sched/schedule";
import { TASK_INTERRUPTIBLE, task_sigpending } from "@ringside/core/sched/task";
import { finish_wait, prepare_to_wait, wait_entry_push, type WaitEntryPtr } from "@ringside/core/sched/wait";
import { __io_cqring_events_user, __io_cqring_overflow_flush } from "./cq.ts";
import {
  CHECK_CQ_DROPPED,
  CHECK_CQ_OVERFLOW,
  CTX_CHECK_CQ,
  CTX_CQ_WAIT,
  CTX_CQ_WAIT_TAIL,
  CTX_CQ_WAITERS,
  CTX_IOPOLL_LIST,
  CTX_RINGS,
  CTX_URING_LOCK,
  type RingCtxPtr,
} from "./ctx.ts";
import { REQ_FILE, REQ_IOPOLL } from "./req.ts";
import { RINGS_CQ_HEAD } from "./rings.ts";
import { io_run_task_work, io_run_task_work_clear } from "./task-work.ts";
import { TCTX_IN_RING, tctx_set_state, TCTX_WAITING, tctx_work_pending } from "./tctx.ts";

const CHECK_CQ = CTX_CHECK_CQ;
const LOCK = CTX_URING_LOCK;
const OVERFLOW = CHECK_CQ_OVERFLOW;
const DROPPED = CHECK_CQ_DROPPED;
const FOREVER = MAX_SCHEDULE_TIMEOUT;
const CQ_WAIT = CTX_CQ_WAIT;
const INTERRUPTIBLE = TASK_INTERRUPTIBLE;
const WAITING = TCTX_WAITING;
const IN_RING = TCTX_IN_RING;
const IOPOLL_LIST = CTX_IOPOLL_LIST;

/** Keep waiting; any other result ends the wait. */
const GO_ON = 1;

function io_cqring_do_overflow_flush(cpu: Cpu, ctx: RingCtxPtr): void {
  mutex_lock(cpu, ctx + LOCK);
  __io_cqring_overflow_flush(cpu, ctx);
  mutex_unlock(cpu, ctx + LOCK);
}

/**
 * Waits until `min_events` CQEs are there for the user. `timeout` in ms, or MAX_SCHEDULE_TIMEOUT. 0; -EINTR
 * on a signal, -ETIME, -EBADR when CQEs were lost; 0 instead of these if there is any CQE. No lock held.
 */
export function io_cqring_wait(cpu: Cpu, ctx: RingCtxPtr, min_events: number, timeout: number): number {
  // Enough already, and nothing held back: task work runs on the way out anyway.
  const done = __io_cqring_events_user(cpu, ctx) >= min_events && min_events !== 0;
  if (done && cpu.mem.readOnce(ctx + CHECK_CQ) === 0) return 0;
  if (tctx_work_pending(cpu)) io_run_task_work(cpu, ctx);
  if ((cpu.mem.readOnce(ctx + CHECK_CQ) & OVERFLOW) !== 0) io_cqring_do_overflow_flush(cpu, ctx);
  const events = __io_cqring_events_user(cpu, ctx);
  const poll_once = min_events === 0 && events === 0 && !list_empty(cpu, ctx + IOPOLL_LIST);
  if (events >= min_events && !poll_once) return 0;
  // Often the interrupt is here already, and then there is no need to queue up.
  let ret = io_cqring_look(cpu, ctx, min_events);
  if (ret === GO_ON) ret = io_cqring_sleep(cpu, ctx, min_events, timeout);
  return __io_cqring_events_user(cpu, ctx) === 0 ? ret : 0;
}

/** One round of everything that may bring CQEs. */
function io_cqring_look(cpu: Cpu, ctx: RingCtxPtr, min_events: number): number {
  cond_resched(cpu);
  if (!list_empty(cpu, ctx + IOPOLL_LIST)) io_do_iopoll(cpu, ctx);
  io_run_task_work_clear(cpu, ctx);
  const check = cpu.mem.readOnce(ctx + CHECK_CQ);
  if ((check & OVERFLOW) !== 0) io_cqring_do_overflow_flush(cpu, ctx);
  if ((check & DROPPED) !== 0) return -EBADR;
  if (__io_cqring_events_user(cpu, ctx) >= min_events) return 0;
  return task_sigpending(cpu) ? -EINTR : GO_ON;
}

function io_cqring_sleep(cpu: Cpu, ctx: RingCtxPtr, min_events: number, timeout: number): number {
  const deadline = timeout === FOREVER ? Number.POSITIVE_INFINITY : cpu.now() + timeout;
  io_cq_waiter_add(cpu, ctx, min_events);
  const entry = wait_entry_push(cpu);
  let ret = io_cqring_look(cpu, ctx, min_events);
  while (ret === GO_ON) {
    const left = deadline === Number.POSITIVE_INFINITY ? FOREVER : deadline - cpu.now();
    if (left <= 0) ret = -ETIME;
    else {
      // While there is something to poll for, the next look is what brings CQEs.
      if (list_empty(cpu, ctx + IOPOLL_LIST)) io_cqring_schedule(cpu, ctx, entry, min_events, left);
      ret = io_cqring_look(cpu, ctx, min_events);
    }
  }
  finish_wait(cpu, ctx + CQ_WAIT, entry);
  io_cq_waiter_del(cpu, ctx);
  return ret;
}

/** Queues up, tests once more, sleeps. */
function io_cqring_schedule(
  cpu: Cpu,
  ctx: RingCtxPtr,
  entry: WaitEntryPtr,
  min_events: number,
  timeout: number,
): void {
  prepare_to_wait(cpu, ctx + CQ_WAIT, entry, INTERRUPTIBLE);
  tctx_set_state(cpu, WAITING);
  // After the queueing, or a CQE published just before would wake nobody.
  const idle = cpu.mem.readOnce(ctx + CHECK_CQ) === 0 && __io_cqring_events_user(cpu, ctx) < min_events;
  if (idle && !tctx_work_pending(cpu)) schedule_timeout(cpu, timeout);
  tctx_set_state(cpu, IN_RING);
}

function io_cq_waiter_add(cpu: Cpu, ctx: RingCtxPtr, min_events: number): void {
  const mem = cpu.mem;
  mutex_lock(cpu, ctx + LOCK);
  const tail = (mem.readOnce(mem.read(ctx + CTX_RINGS) + RINGS_CQ_HEAD) + min_events) | 0;
  const waiters = mem.read(ctx + CTX_CQ_WAITERS);
  // With several waiters the least demanding one decides; the others look and sleep again.
  if (waiters === 0 || ((tail - mem.read(ctx + CTX_CQ_WAIT_TAIL)) | 0) < 0) {
    mem.write(ctx + CTX_CQ_WAIT_TAIL, tail);
  }
  mem.write(ctx + CTX_CQ_WAITERS, waiters + 1);
  mutex_unlock(cpu, ctx + LOCK);
}

function io_cq_waiter_del(cpu: Cpu, ctx: RingCtxPtr): void {
  mutex_lock(cpu, ctx + LOCK);
  cpu.mem.write(ctx + CTX_CQ_WAITERS, cpu.mem.read(ctx + CTX_CQ_WAITERS) - 1);
  mutex_unlock(cpu, ctx + LOCK);
}

/** Asks the devices of the requests in flight, oldest first, until one finds completions. */
export function io_do_iopoll(cpu: Cpu, ctx: RingCtxPtr): void {
  const mem = cpu.mem;
  mutex_lock(cpu, ctx + LOCK);
  const list = ctx + IOPOLL_LIST;
  let polled = 0;
  for (let node = list_next(cpu, list); node !== list; node = list_next(cpu, node)) {
    const req = node - REQ_IOPOLL;
    const file = mem.read(req + REQ_FILE);
    // One look at a device is enough for all of its requests.
    if (file === polled) continue;
    polled = file;
    if (symbol_call(cpu, file_op(cpu, file as FilePtr, FOP_IOPOLL), req) > 0) break;
  }
  mutex_unlock(cpu, ctx + LOCK);
}
