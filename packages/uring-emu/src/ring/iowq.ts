/**
 * io-wq (io_uring/io-wq.c): attempts that may block, in worker threads. Unlike Linux it is an ordinary
 * unbound workqueue, one for all rings, with a bound on how many items run at once.
 */
import { EAGAIN, EIOCBQUEUED, ENOMEM } from "@ringside/core/debug/errno";
import { kernel_exitcall, kernel_initcall, kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import {
  alloc_workqueue,
  destroy_workqueue,
  INIT_WORK,
  queue_work,
  WQ_UNBOUND,
  type WorkPtr,
  type WorkqueuePtr,
} from "@ringside/core/sched/workqueue";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import { CTX_FLAGS } from "./ctx.ts";
import { io_issue_sqe, io_req_fail } from "./issue.ts";
import {
  IO_URING_F_UNLOCKED,
  IOU_COMPLETE,
  REQ_CTX,
  REQ_F_NOWAIT,
  REQ_FLAGS,
  REQ_REFS,
  REQ_WORK,
  type ReqPtr,
} from "./req.ts";
import { io_req_task_work_add } from "./tctx.ts";

/** Items running at once, for each CPU that submits. */
const MAX_ACTIVE_PER_CPU = 2;

/**
 * Items may all sleep for a fence that only a work of system_wq signals, and that work needs a thread too:
 * whatever happens, half of the threads are left to other queues.
 */
function io_wq_max_active(cpu: Cpu): number {
  const kworkers = cpu.config.kthreads - 1;
  return Math.max(1, Math.min(MAX_ACTIVE_PER_CPU * cpu.config.cpus, kworkers >> 1));
}

/** Constant after boot: the workqueue. */
const IO_WQ = kernel_static("io_wq", 4);
const IO_WQ_SUBMIT_WORK = kernel_symbol(io_wq_submit_work);

kernel_initcall(io_wq_init);
function io_wq_init(cpu: Cpu): number {
  const wq = alloc_workqueue(cpu, "io-wq", WQ_UNBOUND, io_wq_max_active(cpu));
  cpu.mem.write(IO_WQ, wq);
  return wq === 0 ? -ENOMEM : 0;
}

kernel_exitcall(io_wq_exit);
function io_wq_exit(cpu: Cpu): void {
  destroy_workqueue(cpu, cpu.mem.read(IO_WQ) as WorkqueuePtr);
}

/** Sends the request to a worker. Do not touch it afterwards. */
export function io_queue_iowq(cpu: Cpu, req: ReqPtr): void {
  INIT_WORK(cpu, req + REQ_WORK, IO_WQ_SUBMIT_WORK);
  queue_work(cpu, cpu.mem.read(IO_WQ) as WorkqueuePtr, req + REQ_WORK);
}

/** Waiting for a tag or for room is what a worker is for; polled files say -EAGAIN even to it. */
function io_wq_submit_work(cpu: Cpu, work: WorkPtr): void {
  const mem = cpu.mem;
  const req = (work - REQ_WORK) as ReqPtr;
  const polled = (mem.read(mem.read(req + REQ_CTX) + CTX_FLAGS) & IORING_SETUP_IOPOLL) !== 0;
  // Ours and the completion's: see io_req_task_work_add.
  mem.writeOnce(req + REQ_REFS, 2);
  let ret = io_issue_sqe(cpu, req, IO_URING_F_UNLOCKED);
  while (ret === -EAGAIN && polled && (mem.read(req + REQ_FLAGS) & REQ_F_NOWAIT) === 0) {
    cond_resched(cpu);
    ret = io_issue_sqe(cpu, req, IO_URING_F_UNLOCKED);
  }
  if (ret !== -EIOCBQUEUED) {
    // There is no completion that holds the other reference.
    mem.writeOnce(req + REQ_REFS, 0);
    if (ret !== IOU_COMPLETE) io_req_fail(cpu, req, ret);
  }
  io_req_task_work_add(cpu, req);
}
