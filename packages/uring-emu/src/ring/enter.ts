/**
 * io_uring_enter(2) (io_uring/io_uring.c): submit, then wait.
 *
 * Returns the number of SQEs consumed; the error if none was. An error of the wait is hidden when something
 * was submitted. When fewer SQEs than asked for were consumed, it does not wait.
 */
import { EBADF, EEXIST, EFAULT, EINVAL, EOPNOTSUPP, EBADR } from "@ringside/core/debug/errno";
import { fget } from "@ringside/core/fs/fdtable";
import { file_private, fput } from "@ringside/core/fs/file";
import { mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched, MAX_SCHEDULE_TIMEOUT } from "@ringside/core/sched/schedule";
import { current_task } from "@ringside/core/sched/task";
import {
  GETEVENTS_ARG_PAD,
  GETEVENTS_ARG_SIZE,
  GETEVENTS_ARG_TS,
  IORING_ENTER_EXT_ARG,
  IORING_ENTER_GETEVENTS,
  IORING_ENTER_SQ_WAIT,
  IORING_ENTER_SQ_WAKEUP,
  TIMESPEC_NSEC,
  TIMESPEC_SEC,
  TIMESPEC_SIZE,
} from "../abi/enter.ts";
import {
  CHECK_CQ_DROPPED,
  CTX_CHECK_CQ,
  CTX_CQ_ENTRIES,
  CTX_SUBMITTER_TASK,
  CTX_URING_LOCK,
  io_is_uring_fops,
  type RingCtxPtr,
} from "./ctx.ts";
import { io_submit_sqes } from "./submit.ts";
import { io_run_task_work } from "./task-work.ts";
import { TCTX_IN_RING, tctx_set_state, TCTX_USER, tctx_work_pending } from "./tctx.ts";
import { access_ok } from "./user.ts";
import { io_cqring_wait } from "./wait.ts";

const GETEVENTS = IORING_ENTER_GETEVENTS;
const EXT_ARG = IORING_ENTER_EXT_ARG;
/** REGISTERED_RING and later ones are not supported. */
const ENTER_FLAGS =
  IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT | IORING_ENTER_EXT_ARG;
const LOCK = CTX_URING_LOCK;
const IN_RING = TCTX_IN_RING;
const USER = TCTX_USER;
const SUBMITTER_TASK = CTX_SUBMITTER_TASK;
const FOREVER = MAX_SCHEDULE_TIMEOUT;
const CQ_ENTRIES = CTX_CQ_ENTRIES;
const BADR = EBADR;

export function io_uring_enter(
  cpu: Cpu,
  fd: number,
  to_submit: number,
  min_complete: number,
  flags: number,
  arg: number,
  argsz: number,
): number {
  if ((flags & ~ENTER_FLAGS) !== 0) return -EINVAL;
  const file = fget(cpu, fd);
  if (file === 0) return -EBADF;
  let ret = -EOPNOTSUPP;
  if (io_is_uring_fops(cpu, file)) {
    const ctx = file_private(cpu, file) as RingCtxPtr;
    tctx_set_state(cpu, IN_RING);
    ret = enter_ring(cpu, ctx, to_submit, min_complete, flags, arg, argsz);
    exit_to_user_mode(cpu, ctx);
  }
  fput(cpu, file);
  return ret;
}

/** On the way out a task takes its interrupts and runs the work they left. */
function exit_to_user_mode(cpu: Cpu, ctx: RingCtxPtr): void {
  cond_resched(cpu);
  while (tctx_work_pending(cpu)) io_run_task_work(cpu, ctx);
  tctx_set_state(cpu, USER);
}

function enter_ring(
  cpu: Cpu,
  ctx: RingCtxPtr,
  to_submit: number,
  min_complete: number,
  flags: number,
  arg: number,
  argsz: number,
): number {
  let ret = 0;
  if (to_submit !== 0) {
    const submitter = cpu.mem.read(ctx + SUBMITTER_TASK);
    if (submitter !== 0 && submitter !== current_task(cpu)) return -EEXIST;
    mutex_lock(cpu, ctx + LOCK);
    ret = io_submit_sqes(cpu, ctx, to_submit);
    mutex_unlock(cpu, ctx + LOCK);
    if (ret !== to_submit) return ret;
  }
  if ((flags & GETEVENTS) === 0) return ret;
  const waited = io_getevents(cpu, ctx, min_complete, (flags & EXT_ARG) !== 0, arg, argsz);
  return ret === 0 ? waited : ret;
}

function io_getevents(
  cpu: Cpu,
  ctx: RingCtxPtr,
  min_complete: number,
  ext: boolean,
  arg: number,
  argsz: number,
): number {
  let timeout = FOREVER;
  if (ext) {
    timeout = io_get_ext_arg(cpu, arg, argsz);
    if (timeout < 0) return timeout;
  }
  const entries = cpu.mem.read(ctx + CQ_ENTRIES);
  const min_events = min_complete < entries ? min_complete : entries;
  const ret = io_cqring_wait(cpu, ctx, min_events, timeout);
  if (ret === -BADR) {
    // Told once; the next wait goes on without the lost ones.
    mutex_lock(cpu, ctx + LOCK);
    cpu.mem.writeOnce(ctx + CTX_CHECK_CQ, cpu.mem.read(ctx + CTX_CHECK_CQ) & ~CHECK_CQ_DROPPED);
    mutex_unlock(cpu, ctx + LOCK);
  }
  return ret;
}

/** The timeout in ms that the extended argument asks for, or -errno. */
function io_get_ext_arg(cpu: Cpu, arg: number, argsz: number): number {
  if (argsz !== GETEVENTS_ARG_SIZE) return -EINVAL;
  if (!access_ok(cpu, arg, GETEVENTS_ARG_SIZE, 8)) return -EFAULT;
  if (cpu.mem.read(arg + GETEVENTS_ARG_PAD) !== 0) return -EINVAL;
  const ts = cpu.mem.read64(arg + GETEVENTS_ARG_TS);
  if (ts === 0) return MAX_SCHEDULE_TIMEOUT;
  if (!access_ok(cpu, ts, TIMESPEC_SIZE, 8)) return -EFAULT;
  const ms = cpu.mem.read64(ts + TIMESPEC_SEC) * 1000 + cpu.mem.read64(ts + TIMESPEC_NSEC) / 1e6;
  return Math.min(Math.ceil(ms), MAX_SCHEDULE_TIMEOUT - 1);
}
