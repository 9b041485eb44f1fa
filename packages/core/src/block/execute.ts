/**
 * Requests without a bio (block/blk-mq.c): what drivers and tools send to a device by themselves (passthrough).
 *
 * Interface: blk_mq_alloc_request, fill the driver's data; then blk_execute_rq, which waits, and
 * blk_mq_free_request; or rq_set_end_io and blk_execute_rq_nowait: end_io(cpu, rq, status) answers whether the
 * request is to be freed.
 */
import { ERR_PTR, EAGAIN } from "../debug/errno.ts";
import { kernel_symbol } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import {
  complete,
  completion_done,
  COMPLETION_SIZE,
  init_completion,
  wait_for_completion,
} from "../sched/completion.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { RQ_END_IO_NONE } from "./complete.ts";
import { blk_mq_issue_request } from "./issue.ts";
import { blk_flush_plug } from "./plug.ts";
import {
  BLK_MQ_REQ_NOWAIT,
  blk_queue_enter,
  blk_queue_exit,
  HCTX_TYPE_POLL,
  type RequestQueuePtr,
} from "./queue.ts";
import {
  blk_mq_tag_to_rq,
  blk_rq_init,
  hctx_type,
  type RequestPtr,
  rq_end_io_data,
  rq_hctx,
  rq_set_end_io,
} from "./request.ts";
import { blk_mq_rq_ctx_init } from "./rq-state.ts";
import { blk_mq_get_tag, blk_mq_map_queue, blk_mq_poll } from "./submit.ts";

const EWOULDBLOCK = EAGAIN;

/** struct blk_rq_wait, on the stack of whoever waits. */
const DONE = 0;
const RET: number = COMPLETION_SIZE;
const RQ_WAIT_SIZE: number = COMPLETION_SIZE + 8;

struct_layout("blk_rq_wait", RQ_WAIT_SIZE, [
  ["done", DONE, COMPLETION_SIZE],
  ["ret", RET, 4],
]);

const END_SYNC_RQ = kernel_symbol(blk_end_sync_rq);

/**
 * A request of this CPU's hardware queue, the caller's until it is executed. ERR_PTR: -EWOULDBLOCK when `flags` have
 * BLK_MQ_REQ_NOWAIT and it would have to wait, -ENODEV when the queue dies.
 */
export function blk_mq_alloc_request(cpu: Cpu, q: RequestQueuePtr, opf: number, flags: number): RequestPtr {
  const nowait = (flags & BLK_MQ_REQ_NOWAIT) !== 0;
  // Whoever froze the queue waits for what we hold back.
  if (!nowait) blk_flush_plug(cpu);
  const error = blk_queue_enter(cpu, q, flags);
  if (error < 0) return ERR_PTR(error) as RequestPtr;
  const hctx = blk_mq_map_queue(cpu, q, opf);
  const tag = blk_mq_get_tag(cpu, hctx, nowait);
  if (tag < 0) {
    blk_queue_exit(cpu, q, 1);
    return ERR_PTR(-EWOULDBLOCK) as RequestPtr;
  }
  const rq = blk_mq_tag_to_rq(cpu, hctx, tag);
  blk_rq_init(cpu, rq, opf);
  blk_mq_rq_ctx_init(cpu, rq);
  return rq;
}

/** Gives it to the driver; its end_io is called at the end, perhaps before this returns. */
export function blk_execute_rq_nowait(cpu: Cpu, rq: RequestPtr, _at_head: boolean): void {
  blk_mq_issue_request(cpu, rq);
}

/** Gives it to the driver and waits. Its status; the request is the caller's again. */
export function blk_execute_rq(cpu: Cpu, rq: RequestPtr, at_head: boolean): number {
  const wait = stack_push(cpu, RQ_WAIT_SIZE);
  init_completion(cpu, wait + DONE);
  rq_set_end_io(cpu, rq, END_SYNC_RQ, wait);
  const hctx = rq_hctx(cpu, rq);
  blk_execute_rq_nowait(cpu, rq, at_head);
  while (hctx_type(cpu, hctx) === HCTX_TYPE_POLL && !completion_done(cpu, wait + DONE)) {
    if (blk_mq_poll(cpu, hctx) === 0) cpu.mem.pause();
    cond_resched(cpu);
  }
  wait_for_completion(cpu, wait + DONE);
  const status = cpu.mem.read(wait + RET);
  stack_pop(cpu, wait);
  return status;
}

function blk_end_sync_rq(cpu: Cpu, rq: RequestPtr, status: number): number {
  const wait = rq_end_io_data(cpu, rq);
  cpu.mem.write(wait + RET, status);
  // Its stack frame may be gone after this.
  complete(cpu, wait + DONE);
  return RQ_END_IO_NONE;
}
