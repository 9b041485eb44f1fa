/**
 * The requests of an IOPOLL ring that a poll may find complete. Guarded by uring_lock.
 *
 * Unlike Linux, a request is listed before it is issued: completions come through task work here, and an
 * io-wq worker could not list a request that the submitter has already completed and recycled.
 */
import { mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import { list_add_tail, list_del } from "@ringside/core/mm/list";
import type { Cpu } from "@ringside/core/sched/cpu";
import { CTX_IOPOLL_LIST, CTX_URING_LOCK } from "./ctx.ts";
import { IO_URING_F_UNLOCKED, REQ_CTX, REQ_F_IOPOLL, REQ_FLAGS, REQ_IOPOLL, type ReqPtr } from "./req.ts";

export function io_iopoll_add(cpu: Cpu, req: ReqPtr, issue_flags: number): void {
  const mem = cpu.mem;
  const ctx = mem.read(req + REQ_CTX);
  mem.write(req + REQ_FLAGS, mem.read(req + REQ_FLAGS) | REQ_F_IOPOLL);
  if ((issue_flags & IO_URING_F_UNLOCKED) !== 0) mutex_lock(cpu, ctx + CTX_URING_LOCK);
  list_add_tail(cpu, req + REQ_IOPOLL, ctx + CTX_IOPOLL_LIST);
  if ((issue_flags & IO_URING_F_UNLOCKED) !== 0) mutex_unlock(cpu, ctx + CTX_URING_LOCK);
}

export function io_iopoll_del(cpu: Cpu, req: ReqPtr, issue_flags: number): void {
  const mem = cpu.mem;
  const ctx = mem.read(req + REQ_CTX);
  mem.write(req + REQ_FLAGS, mem.read(req + REQ_FLAGS) & ~REQ_F_IOPOLL);
  if ((issue_flags & IO_URING_F_UNLOCKED) !== 0) mutex_lock(cpu, ctx + CTX_URING_LOCK);
  list_del(cpu, req + REQ_IOPOLL);
  if ((issue_flags & IO_URING_F_UNLOCKED) !== 0) mutex_unlock(cpu, ctx + CTX_URING_LOCK);
}
