/**
 * From the block layer to the driver (block/blk-mq.c): issue a request, or a list of them, and what happens to those
 * that cannot go now.
 *
 * A request the driver has no resources for, or that comes while the queue is quiesced, waits on its hardware
 * queue's dispatch list. A work item sends the list: after BLK_MQ_RESOURCE_DELAY, as often as it takes, or when the
 * queue is no longer quiesced. A request the driver gives back (blk_mq_requeue_request) waits on the queue's requeue
 * list until somebody kicks that.
 *
 * Issuing is an RCU read section, which is what blk_mq_quiesce_queue waits for: queue_rq must not sleep.
 */
import { kernel_symbol, symbol_call } from "../debug/image.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { rcu_read_lock, rcu_read_unlock } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { schedule_timeout } from "../sched/schedule.ts";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import {
  cancel_delayed_work_sync,
  cancel_work_sync,
  INIT_DELAYED_WORK,
  INIT_WORK,
  mod_delayed_work,
  queue_work,
  system_highpri_wq,
} from "../sched/workqueue.ts";
import { blk_mq_end_request } from "./complete.ts";
import { queue_unquiesce } from "./freeze.ts";
import {
  blk_queue_exit,
  blk_queue_quiesced,
  blk_queue_still_quiesced,
  HCTX_TYPE_DEFAULT,
  HCTX_TYPE_POLL,
  queue_hctx,
  queue_mq_op,
  queue_nr_hctx,
  Q_LOCK,
  Q_REQUEUE_LIST,
  Q_REQUEUE_TAIL,
  Q_REQUEUE_WORK,
  type RequestQueuePtr,
} from "./queue.ts";
import {
  BLK_MQ_OPS_COMMIT_RQS,
  BLK_MQ_OPS_QUEUE_RQ,
  BLK_MQ_OPS_QUEUE_RQS,
  HCTX_DISPATCH,
  HCTX_DISPATCH_TAIL,
  HCTX_LOCK,
  hctx_queue,
  HCTX_RUN_DELAY,
  HCTX_RUN_WORK,
  hctx_tags,
  type HctxPtr,
  type RequestPtr,
  rq_hctx,
  rq_next,
  rq_queue,
  rq_set_next,
} from "./request.ts";
import { blk_mq_set_idle } from "./rq-state.ts";
import { BLK_STS_DEV_RESOURCE, BLK_STS_OK, BLK_STS_RESOURCE } from "./status.ts";
import { bit_count, blk_mq_put_tags } from "./tags.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const STS_OK = BLK_STS_OK;
const QUEUE_RQ = BLK_MQ_OPS_QUEUE_RQ;
const QUEUE_RQS = BLK_MQ_OPS_QUEUE_RQS;

/** Milliseconds until a request without resources is tried again. */
const BLK_MQ_RESOURCE_DELAY = 3;

const RUN_WORK = kernel_symbol(blk_mq_run_work_fn);
const REQUEUE_WORK = kernel_symbol(blk_mq_requeue_work);

export function blk_mq_init_dispatch(cpu: Cpu, hctx: HctxPtr): void {
  spin_lock_init(cpu, hctx + HCTX_LOCK, "&hctx->lock");
  INIT_WORK(cpu, hctx + HCTX_RUN_WORK, RUN_WORK);
}

/** The queue is drained: nothing is on the list. */
export function blk_mq_exit_dispatch(cpu: Cpu, hctx: HctxPtr): void {
  cancel_work_sync(cpu, hctx + HCTX_RUN_WORK);
}

export function blk_mq_init_requeue(cpu: Cpu, q: RequestQueuePtr): void {
  INIT_DELAYED_WORK(cpu, q + Q_REQUEUE_WORK, REQUEUE_WORK);
}

export function blk_mq_exit_requeue(cpu: Cpu, q: RequestQueuePtr): void {
  cancel_delayed_work_sync(cpu, q + Q_REQUEUE_WORK);
}

/** Gives `rq` to the driver. Whatever comes of it, the request is taken care of: queued, waiting, or ended. */
export function blk_mq_issue_request(cpu: Cpu, rq: RequestPtr): void {
  rcu_read_lock(cpu);
  if (blk_queue_quiesced(cpu, rq_queue(cpu, rq))) blk_mq_hold_request(cpu, rq);
  else blk_mq_issue_directly(cpu, rq, true);
  rcu_read_unlock(cpu);
}

/** Inside the read section, the queue is not quiesced. */
function blk_mq_issue_directly(cpu: Cpu, rq: RequestPtr, last: boolean): number {
  const hctx = rq_hctx(cpu, rq);
  const queue_rq = queue_mq_op(cpu, rq_queue(cpu, rq), QUEUE_RQ);
  const status = symbol_call(cpu, queue_rq, hctx, rq, last ? 1 : 0);
  if (status === STS_OK) return status;
  if (status === BLK_STS_RESOURCE || status === BLK_STS_DEV_RESOURCE) {
    blk_mq_request_bypass_insert(cpu, hctx, rq, BLK_MQ_RESOURCE_DELAY);
    // A worker that has taken the list already is no longer pending: it will run again.
    queue_run_work(cpu, hctx);
  } else blk_mq_end_request(cpu, rq, status);
  return status;
}

/** The queue is quiesced: the request waits for blk_mq_unquiesce_queue. */
function blk_mq_hold_request(cpu: Cpu, rq: RequestPtr): void {
  const hctx = rq_hctx(cpu, rq);
  blk_mq_request_bypass_insert(cpu, hctx, rq, 0);
  // It may have come first, and found an empty list.
  if (!blk_queue_still_quiesced(cpu, hctx_queue(cpu, hctx))) queue_run_work(cpu, hctx);
}

/** Gives a list to the driver, at once if it takes lists, else one by one. One queue, one read section. */
export function blk_mq_issue_list(cpu: Cpu, list: RequestPtr): void {
  const q = rq_queue(cpu, list);
  rcu_read_lock(cpu);
  if (blk_queue_quiesced(cpu, q)) blk_mq_hold_list(cpu, list);
  else blk_mq_issue_list_directly(cpu, q, list);
  rcu_read_unlock(cpu);
}

function blk_mq_hold_list(cpu: Cpu, list: RequestPtr): void {
  for (let rq = list; rq !== 0; ) {
    const next = rq_next(cpu, rq);
    blk_mq_hold_request(cpu, rq);
    rq = next;
  }
}

function blk_mq_issue_list_directly(cpu: Cpu, q: RequestQueuePtr, list: RequestPtr): void {
  let rq = list;
  const queue_rqs = queue_mq_op(cpu, q, QUEUE_RQS);
  if (queue_rqs !== 0) rq = symbol_call(cpu, queue_rqs, rq) as RequestPtr;
  while (rq !== 0) {
    const next = rq_next(cpu, rq);
    const hctx = rq_hctx(cpu, rq);
    rq_set_next(cpu, rq, 0);
    const last = next === 0 || rq_hctx(cpu, next) !== hctx;
    const status = blk_mq_issue_directly(cpu, rq, last);
    // It did not carry "last" to the device: those before it still wait for the doorbell.
    if (last && status !== STS_OK) blk_mq_commit_rqs(cpu, hctx);
    rq = next;
  }
}

function blk_mq_commit_rqs(cpu: Cpu, hctx: HctxPtr): void {
  const commit_rqs = queue_mq_op(cpu, hctx_queue(cpu, hctx), BLK_MQ_OPS_COMMIT_RQS);
  if (commit_rqs !== 0) symbol_call(cpu, commit_rqs, hctx);
}

/**
 * The device could not do it this time: try again, at once if `kick`. The driver has claimed the completion and
 * undone its preparation.
 */
export function blk_mq_requeue_request(cpu: Cpu, rq: RequestPtr, kick: boolean): void {
  const q = rq_queue(cpu, rq);
  blk_mq_set_idle(cpu, rq);
  spin_lock_irqsave(cpu, q + Q_LOCK);
  append(cpu, q + Q_REQUEUE_LIST, q + Q_REQUEUE_TAIL, rq);
  spin_unlock_irqrestore(cpu, q + Q_LOCK);
  if (kick) blk_mq_kick_requeue_list(cpu, q);
}

export function blk_mq_kick_requeue_list(cpu: Cpu, q: RequestQueuePtr): void {
  mod_delayed_work(cpu, system_highpri_wq(cpu), q + Q_REQUEUE_WORK, 0);
}

/** The timer is this CPU's: it must come to safe points. */
export function blk_mq_delay_kick_requeue_list(cpu: Cpu, q: RequestQueuePtr, msecs: number): void {
  mod_delayed_work(cpu, system_highpri_wq(cpu), q + Q_REQUEUE_WORK, msecs);
}

function blk_mq_requeue_work(cpu: Cpu, work: number): void {
  const q = (work - Q_REQUEUE_WORK) as RequestQueuePtr;
  spin_lock_irqsave(cpu, q + Q_LOCK);
  let rq = take_list(cpu, q + Q_REQUEUE_LIST, q + Q_REQUEUE_TAIL);
  spin_unlock_irqrestore(cpu, q + Q_LOCK);
  while (rq !== 0) {
    const next = rq_next(cpu, rq);
    blk_mq_request_bypass_insert(cpu, rq_hctx(cpu, rq), rq, 0);
    rq = next;
  }
  blk_mq_run_hw_queues(cpu, q, false);
}

/** Appends to a list with a tail. Its lock is held. */
function append(cpu: Cpu, head: number, tail: number, rq: RequestPtr): void {
  rq_set_next(cpu, rq, 0);
  const last = cpu.mem.read(tail) as RequestPtr;
  if (last === 0) cpu.mem.write(head, rq);
  else rq_set_next(cpu, last, rq);
  cpu.mem.write(tail, rq);
}

/** Takes the whole list. Its lock is held. */
function take_list(cpu: Cpu, head: number, tail: number): RequestPtr {
  const list = cpu.mem.read(head) as RequestPtr;
  cpu.mem.write(head, 0);
  cpu.mem.write(tail, 0);
  return list;
}

/** Appends to the dispatch list, to be tried after `delay` ms. */
function blk_mq_request_bypass_insert(cpu: Cpu, hctx: HctxPtr, rq: RequestPtr, delay: number): void {
  spin_lock_irqsave(cpu, hctx + HCTX_LOCK);
  append(cpu, hctx + HCTX_DISPATCH, hctx + HCTX_DISPATCH_TAIL, rq);
  if (delay > 0) cpu.mem.write(hctx + HCTX_RUN_DELAY, delay);
  spin_unlock_irqrestore(cpu, hctx + HCTX_LOCK);
}

function queue_run_work(cpu: Cpu, hctx: HctxPtr): void {
  queue_work(cpu, system_highpri_wq(cpu), hctx + HCTX_RUN_WORK);
}

/** Sends what waits on the dispatch list, here or, if `async`, from a worker. */
export function blk_mq_run_hw_queue(cpu: Cpu, hctx: HctxPtr, async: boolean): void {
  // Pairs with the append: who appended before we were called is seen, and later ones see to themselves
  // (blk_queue_still_quiesced).
  if (cpu.mem.loadAcquire(hctx + HCTX_DISPATCH) === 0 || blk_queue_quiesced(cpu, hctx_queue(cpu, hctx)))
    return;
  if (async) queue_run_work(cpu, hctx);
  else blk_mq_dispatch(cpu, hctx);
}

export function blk_mq_run_hw_queues(cpu: Cpu, q: RequestQueuePtr, async: boolean): void {
  for (let type = HCTX_TYPE_DEFAULT; type <= HCTX_TYPE_POLL; type++) {
    for (let i = 0; i < queue_nr_hctx(cpu, q, type); i++) {
      blk_mq_run_hw_queue(cpu, queue_hctx(cpu, q, type, i) as HctxPtr, async);
    }
  }
}

/** Undoes one blk_mq_quiesce_queue; what has waited goes to the driver. */
export function blk_mq_unquiesce_queue(cpu: Cpu, q: RequestQueuePtr): void {
  if (queue_unquiesce(cpu, q)) blk_mq_run_hw_queues(cpu, q, true);
}

/** Tries everything on the list once; what fails again is back on the list and queues the work again. */
function blk_mq_dispatch(cpu: Cpu, hctx: HctxPtr): void {
  spin_lock_irqsave(cpu, hctx + HCTX_LOCK);
  const list = take_list(cpu, hctx + HCTX_DISPATCH, hctx + HCTX_DISPATCH_TAIL);
  cpu.mem.write(hctx + HCTX_RUN_DELAY, 0);
  spin_unlock_irqrestore(cpu, hctx + HCTX_LOCK);
  if (list !== 0) blk_mq_issue_list(cpu, list);
}

function blk_mq_run_work_fn(cpu: Cpu, work: number): void {
  const hctx = (work - HCTX_RUN_WORK) as HctxPtr;
  const delay = cpu.mem.readOnce(hctx + HCTX_RUN_DELAY);
  if (delay > 0) {
    // A worker that sleeps, and not a timer: this needs no CPU that stays in the kernel.
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, delay);
  }
  blk_mq_dispatch(cpu, hctx);
}

/** Gives back tags that were taken ahead and not used, with their queue references. */
export function blk_mq_free_cached_rqs(cpu: Cpu, hctx: HctxPtr, base: number, bits: number): void {
  blk_mq_put_tags(cpu, hctx_tags(cpu, hctx), base, bits);
  blk_queue_exit(cpu, hctx_queue(cpu, hctx), bit_count(bits));
}
