/**
 * From the block layer to the driver (block/blk-mq.c): issue a request, or a list of them, and what happens
 * when the driver has no resources: the request waits on its hardware queue's dispatch list and a work item
 * tries again after BLK_MQ_RESOURCE_DELAY, as long as it takes.
 */
import { kernel_symbol, symbol_call } from "../debug/image.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import type { Cpu } from "../sched/cpu.ts";
import { schedule_timeout } from "../sched/schedule.ts";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import { cancel_work_sync, INIT_WORK, queue_work, system_wq } from "../sched/workqueue.ts";
import { blk_mq_end_request } from "./complete.ts";
import { blk_queue_exit, queue_mq_op } from "./queue.ts";
import {
  BLK_MQ_OPS_COMMIT_RQS,
  BLK_MQ_OPS_QUEUE_RQ,
  BLK_MQ_OPS_QUEUE_RQS,
  blk_mq_unstart_request,
  HCTX_DISPATCH,
  HCTX_DISPATCH_TAIL,
  HCTX_LOCK,
  hctx_queue,
  HCTX_RUN_WORK,
  hctx_tags,
  type HctxPtr,
  type RequestPtr,
  rq_hctx,
  rq_next,
  rq_queue,
  rq_set_next,
} from "./request.ts";
import { BLK_STS_DEV_RESOURCE, BLK_STS_OK, BLK_STS_RESOURCE } from "./status.ts";
import { bit_count, blk_mq_put_tags } from "./tags.ts";

/** Milliseconds until a request without resources is tried again. */
const BLK_MQ_RESOURCE_DELAY = 3;

const RUN_WORK = kernel_symbol(blk_mq_run_work_fn);

export function blk_mq_init_dispatch(cpu: Cpu, hctx: HctxPtr): void {
  INIT_WORK(cpu, hctx + HCTX_RUN_WORK, RUN_WORK);
}

/** The queue is drained: nothing is on the list. */
export function blk_mq_exit_dispatch(cpu: Cpu, hctx: HctxPtr): void {
  cancel_work_sync(cpu, hctx + HCTX_RUN_WORK);
}

/** Gives `rq` to the driver. Whatever the status, the request is taken care of: queued, waiting, or ended. */
export function blk_mq_issue_request(cpu: Cpu, rq: RequestPtr, last: boolean): number {
  const hctx = rq_hctx(cpu, rq);
  const queue_rq = queue_mq_op(cpu, rq_queue(cpu, rq), BLK_MQ_OPS_QUEUE_RQ);
  const status = symbol_call(cpu, queue_rq, hctx, rq, last ? 1 : 0);
  if (status === BLK_STS_OK) return status;
  if (status === BLK_STS_RESOURCE || status === BLK_STS_DEV_RESOURCE) {
    blk_mq_request_bypass_insert(cpu, hctx, rq);
  } else blk_mq_end_request(cpu, rq, status);
  return status;
}

/** Gives a list to the driver, at once if it takes lists, else one by one. */
export function blk_mq_issue_list(cpu: Cpu, list: RequestPtr): void {
  let rq = list;
  const queue_rqs = queue_mq_op(cpu, rq_queue(cpu, rq), BLK_MQ_OPS_QUEUE_RQS);
  if (queue_rqs !== 0) rq = symbol_call(cpu, queue_rqs, rq) as RequestPtr;
  while (rq !== 0) {
    const next = rq_next(cpu, rq);
    const hctx = rq_hctx(cpu, rq);
    rq_set_next(cpu, rq, 0);
    const last = next === 0 || rq_hctx(cpu, next) !== hctx;
    const status = blk_mq_issue_request(cpu, rq, last);
    // It did not carry "last" to the device: those before it still wait for the doorbell.
    if (last && status !== BLK_STS_OK) blk_mq_commit_rqs(cpu, hctx);
    rq = next;
  }
}

function blk_mq_commit_rqs(cpu: Cpu, hctx: HctxPtr): void {
  const commit_rqs = queue_mq_op(cpu, hctx_queue(cpu, hctx), BLK_MQ_OPS_COMMIT_RQS);
  if (commit_rqs !== 0) symbol_call(cpu, commit_rqs, hctx);
}

/** The device could not do it this time: try again. The driver has undone its preparation. */
export function blk_mq_requeue_request(cpu: Cpu, rq: RequestPtr): void {
  blk_mq_unstart_request(cpu, rq);
  blk_mq_request_bypass_insert(cpu, rq_hctx(cpu, rq), rq);
}

/** Appends to the dispatch list and sees to it that somebody tries again. */
function blk_mq_request_bypass_insert(cpu: Cpu, hctx: HctxPtr, rq: RequestPtr): void {
  rq_set_next(cpu, rq, 0);
  spin_lock_irqsave(cpu, hctx + HCTX_LOCK);
  const tail = cpu.mem.read(hctx + HCTX_DISPATCH_TAIL) as RequestPtr;
  if (tail === 0) cpu.mem.write(hctx + HCTX_DISPATCH, rq);
  else rq_set_next(cpu, tail, rq);
  cpu.mem.write(hctx + HCTX_DISPATCH_TAIL, rq);
  spin_unlock_irqrestore(cpu, hctx + HCTX_LOCK);
  // A worker that has taken the list already is no longer pending: it will run again.
  queue_work(cpu, system_wq(cpu), hctx + HCTX_RUN_WORK);
}

/** Tries everything on the list once; what fails again is back on the list and queues the work again. */
function blk_mq_run_work_fn(cpu: Cpu, work: number): void {
  const hctx = (work - HCTX_RUN_WORK) as HctxPtr;
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  schedule_timeout(cpu, BLK_MQ_RESOURCE_DELAY);
  spin_lock_irqsave(cpu, hctx + HCTX_LOCK);
  const list = cpu.mem.read(hctx + HCTX_DISPATCH) as RequestPtr;
  cpu.mem.write(hctx + HCTX_DISPATCH, 0);
  cpu.mem.write(hctx + HCTX_DISPATCH_TAIL, 0);
  spin_unlock_irqrestore(cpu, hctx + HCTX_LOCK);
  if (list !== 0) blk_mq_issue_list(cpu, list);
}

/** Gives back tags that were taken ahead and not used, with their queue references. */
export function blk_mq_free_cached_rqs(cpu: Cpu, hctx: HctxPtr, base: number, bits: number): void {
  blk_mq_put_tags(cpu, hctx_tags(cpu, hctx), base, bits);
  blk_queue_exit(cpu, hctx_queue(cpu, hctx), bit_count(bits));
}
