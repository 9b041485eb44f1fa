/**
 * Making and destroying a queue and its hardware queues (block/blk-mq.c). Everything a request needs is
 * allocated here: requests, driver data, tags.
 *
 * Interface: blk_mq_init_queue; the driver sets its data in each hctx; blk_mq_destroy_queue waits for all
 * requests, and for time-outs and retries to end, blk_put_queue frees.
 */
import { ENOMEM, ERR_PTR } from "../debug/errno.ts";
import { WARN_ON_ONCE } from "../debug/warn.ts";
import { alloc_pages_exact, free_pages_exact } from "../mm/page-alloc.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { blk_queue_drain_dying } from "./freeze.ts";
import {
  blk_mq_exit_dispatch,
  blk_mq_exit_requeue,
  blk_mq_init_dispatch,
  blk_mq_init_requeue,
} from "./issue.ts";
import { type QueueLimits, type QueueLimitsPtr, queue_limits_set } from "./limits.ts";
import {
  blk_queue_dying,
  blk_queue_exit_final,
  blk_queue_init,
  HCTX_TYPE_DEFAULT,
  HCTX_TYPE_POLL,
  queue_hctx,
  queue_hctx_table,
  queue_nr_hctx,
  queue_set_hctxs,
  REQUEST_QUEUE_SIZE,
  type RequestQueuePtr,
} from "./queue.ts";
import {
  hctx_init,
  hctx_init_requests,
  hctx_rqs,
  hctx_rqs_bytes,
  HCTX_SIZE,
  hctx_tags,
  type HctxPtr,
  REQUEST_SIZE,
} from "./request.ts";
import { blk_mq_free_tags, blk_mq_init_tags, TAGS_SIZE, type TagsPtr } from "./tags.ts";
import { blk_mq_init_timeout, blk_sync_queue } from "./timeout.ts";

/** What a driver asks for (struct blk_mq_tag_set). */
export interface TagSet {
  /** Address of the constant blk_mq_ops. */
  readonly ops: number;
  /** Hardware queues with interrupts: 1 ... */
  readonly nr_hw_queues: number;
  /** Polled hardware queues. */
  readonly nr_poll_queues: number;
  /** Requests of each. */
  readonly queue_depth: number;
  /** Driver bytes of a request. */
  readonly cmd_size: number;
  readonly driver_data: number;
  readonly limits: QueueLimits;
  /** Milliseconds a request may take. Default BLK_DEFAULT_TIMEOUT. */
  readonly timeout?: number;
}

/** Requests start on lines of their own when the driver's part fills them up. */
const REQUEST_ALIGN = 128;

/** A queue, or ERR_PTR(-ENOMEM). */
export function blk_mq_init_queue(cpu: Cpu, set: TagSet): RequestQueuePtr {
  const q = kzalloc(cpu, REQUEST_QUEUE_SIZE, GFP_KERNEL) as RequestQueuePtr;
  if (q === 0) return ERR_PTR(-ENOMEM) as RequestQueuePtr;
  queue_limits_set(cpu, q as number as QueueLimitsPtr, set.limits);
  if (blk_queue_init(cpu, q, set.ops, set.driver_data) < 0) {
    kfree(cpu, q);
    return ERR_PTR(-ENOMEM) as RequestQueuePtr;
  }
  blk_mq_init_timeout(cpu, q, set.timeout ?? 0);
  blk_mq_init_requeue(cpu, q);
  let error = blk_mq_alloc_hctxs(cpu, q, set, HCTX_TYPE_DEFAULT, set.nr_hw_queues);
  if (error === 0) error = blk_mq_alloc_hctxs(cpu, q, set, HCTX_TYPE_POLL, set.nr_poll_queues);
  if (error === 0) return q;
  blk_mq_put_failed_queue(cpu, q);
  return ERR_PTR(error) as RequestQueuePtr;
}

function blk_mq_alloc_hctxs(cpu: Cpu, q: RequestQueuePtr, set: TagSet, type: number, nr: number): number {
  if (nr === 0) return 0;
  const table = kzalloc(cpu, 4 * nr, GFP_KERNEL);
  if (table === 0) return -ENOMEM;
  for (let i = 0; i < nr; i++) {
    const hctx = blk_mq_alloc_hctx(cpu, q, set, type, i);
    if (hctx === 0) {
      queue_set_hctxs(cpu, q, type, table, i);
      return -ENOMEM;
    }
    cpu.mem.write(table + 4 * i, hctx);
  }
  queue_set_hctxs(cpu, q, type, table, nr);
  return 0;
}

/** A hardware queue with its tags and requests, or 0. */
function blk_mq_alloc_hctx(cpu: Cpu, q: RequestQueuePtr, set: TagSet, type: number, num: number): HctxPtr {
  const hctx = kzalloc(cpu, HCTX_SIZE, GFP_KERNEL) as HctxPtr;
  if (hctx === 0) return hctx;
  const tags = kzalloc(cpu, TAGS_SIZE, GFP_KERNEL) as TagsPtr;
  if (tags !== 0 && blk_mq_init_tags(cpu, tags, set.queue_depth, GFP_KERNEL) === 0) {
    const stride = Math.ceil((REQUEST_SIZE + set.cmd_size) / REQUEST_ALIGN) * REQUEST_ALIGN;
    const rqs = alloc_pages_exact(cpu, stride * set.queue_depth, GFP_KERNEL);
    if (rqs !== 0) {
      hctx_init(cpu, hctx, q, tags, num, type);
      hctx_init_requests(cpu, hctx, rqs, stride, set.queue_depth);
      blk_mq_init_dispatch(cpu, hctx);
      return hctx;
    }
    blk_mq_free_tags(cpu, tags);
  }
  if (tags !== 0) kfree(cpu, tags);
  kfree(cpu, hctx);
  return 0 as HctxPtr;
}

/** No request enters from now on; returns when the last one is done. The device still works. */
export function blk_mq_destroy_queue(cpu: Cpu, q: RequestQueuePtr): void {
  blk_queue_drain_dying(cpu, q);
  blk_sync_queue(cpu, q);
  blk_mq_exit_requeue(cpu, q);
}

/** Destroys and frees a queue that no disk has taken over. */
export function blk_mq_put_failed_queue(cpu: Cpu, q: RequestQueuePtr): void {
  blk_mq_destroy_queue(cpu, q);
  blk_put_queue(cpu, q);
}

/** Frees a destroyed queue. */
export function blk_put_queue(cpu: Cpu, q: RequestQueuePtr): void {
  WARN_ON_ONCE(cpu, !blk_queue_dying(cpu, q));
  blk_mq_free_hctxs(cpu, q, HCTX_TYPE_DEFAULT);
  blk_mq_free_hctxs(cpu, q, HCTX_TYPE_POLL);
  blk_queue_exit_final(cpu, q);
  kfree(cpu, q);
}

function blk_mq_free_hctxs(cpu: Cpu, q: RequestQueuePtr, type: number): void {
  const nr = queue_nr_hctx(cpu, q, type);
  for (let i = 0; i < nr; i++) {
    const hctx = queue_hctx(cpu, q, type, i) as HctxPtr;
    const tags = hctx_tags(cpu, hctx);
    blk_mq_exit_dispatch(cpu, hctx);
    free_pages_exact(cpu, hctx_rqs(cpu, hctx), hctx_rqs_bytes(cpu, hctx));
    blk_mq_free_tags(cpu, tags);
    kfree(cpu, tags);
    kfree(cpu, hctx);
  }
  kfree(cpu, queue_hctx_table(cpu, q, type));
}
