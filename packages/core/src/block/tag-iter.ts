/**
 * Walks over the requests whose tags are in use (block/blk-mq-tag.c). Each request is visited with a reference, so
 * its tag stays taken during the visit, whatever becomes of the request. A request that starts or ends during the
 * walk is visited or not.
 *
 * A walk is announced and waits for a grace period first (rq-state.ts says why), so it sleeps: milliseconds.
 *
 * Interface: `fn(cpu, rq, priv)` is a symbol; it returns 0 to end the walk. A queue is its own tag set here.
 */
import { symbol_call, type SymbolId } from "../debug/image.ts";
import { synchronize_rcu } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { schedule_timeout } from "../sched/schedule.ts";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import { blk_mq_put_rq_ref } from "./complete.ts";
import {
  blk_queue_exit,
  blk_queue_tryget,
  HCTX_TYPE_DEFAULT,
  HCTX_TYPE_POLL,
  queue_hctx,
  queue_iter_announce,
  queue_iter_over,
  queue_nr_hctx,
  type RequestQueuePtr,
} from "./queue.ts";
import { blk_mq_tag_to_rq, type HctxPtr, hctx_tags, type RequestPtr } from "./request.ts";
import { blk_mq_request_completed, blk_mq_request_started, req_ref_inc_not_zero } from "./rq-state.ts";
import { blk_mq_tags_nr_words, blk_mq_tags_word } from "./tags.ts";

/** Visits every request that has a tag, started or not. */
export function blk_mq_queue_tag_busy_iter(cpu: Cpu, q: RequestQueuePtr, fn: SymbolId, priv: number): void {
  queue_busy_iter(cpu, q, fn, priv, false);
}

/** Visits every request that is started: in flight or complete, and not freed. */
export function blk_mq_tagset_busy_iter(cpu: Cpu, q: RequestQueuePtr, fn: SymbolId, priv: number): void {
  queue_busy_iter(cpu, q, fn, priv, true);
}

function queue_busy_iter(cpu: Cpu, q: RequestQueuePtr, fn: SymbolId, priv: number, started: boolean): void {
  // Nobody is inside: no request either.
  if (!blk_queue_tryget(cpu, q)) return;
  queue_iter_announce(cpu, q);
  // Pairs with the looks at queue_iterated: those that saw nothing have had their plain stores when this returns.
  synchronize_rcu(cpu);
  if (type_iter(cpu, q, HCTX_TYPE_DEFAULT, fn, priv, started)) {
    type_iter(cpu, q, HCTX_TYPE_POLL, fn, priv, started);
  }
  queue_iter_over(cpu, q);
  blk_queue_exit(cpu, q, 1);
}

function type_iter(
  cpu: Cpu,
  q: RequestQueuePtr,
  type: number,
  fn: SymbolId,
  priv: number,
  started: boolean,
): boolean {
  for (let i = 0; i < queue_nr_hctx(cpu, q, type); i++) {
    if (!bt_for_each(cpu, queue_hctx(cpu, q, type, i) as HctxPtr, fn, priv, started)) return false;
  }
  return true;
}

/** False when the walk is to end. */
function bt_for_each(cpu: Cpu, hctx: HctxPtr, fn: SymbolId, priv: number, started: boolean): boolean {
  const tags = hctx_tags(cpu, hctx);
  for (let w = 0; w < blk_mq_tags_nr_words(cpu, tags); w++) {
    for (let rest = blk_mq_tags_word(cpu, tags, w); rest !== 0; rest &= rest - 1) {
      const rq = blk_mq_tag_to_rq(cpu, hctx, 32 * w + 31 - Math.clz32(rest & -rest));
      if (!bt_iter(cpu, rq, fn, priv, started)) return false;
    }
  }
  return true;
}

function bt_iter(cpu: Cpu, rq: RequestPtr, fn: SymbolId, priv: number, started: boolean): boolean {
  // The tag is taken, but perhaps only just, or not any more.
  if (!req_ref_inc_not_zero(cpu, rq)) return true;
  let go_on = true;
  if (!started || blk_mq_request_started(cpu, rq)) go_on = symbol_call(cpu, fn, rq, priv) !== 0;
  blk_mq_put_rq_ref(cpu, rq);
  return go_on;
}

/** Is there a request that is complete and not freed yet? A look without references: it may be out of date. */
export function blk_mq_has_completed_request(cpu: Cpu, q: RequestQueuePtr): boolean {
  for (let type = HCTX_TYPE_DEFAULT; type <= HCTX_TYPE_POLL; type++) {
    for (let i = 0; i < queue_nr_hctx(cpu, q, type); i++) {
      const hctx = queue_hctx(cpu, q, type, i) as HctxPtr;
      const tags = hctx_tags(cpu, hctx);
      for (let w = 0; w < blk_mq_tags_nr_words(cpu, tags); w++) {
        for (let rest = blk_mq_tags_word(cpu, tags, w); rest !== 0; rest &= rest - 1) {
          const rq = blk_mq_tag_to_rq(cpu, hctx, 32 * w + 31 - Math.clz32(rest & -rest));
          if (blk_mq_request_completed(cpu, rq)) return true;
        }
      }
    }
  }
  return false;
}

/** Waits until every request that is complete has been freed; who calls it makes sure that no more complete. */
export function blk_mq_tagset_wait_completed_request(cpu: Cpu, q: RequestQueuePtr): void {
  while (blk_mq_has_completed_request(cpu, q)) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, 5);
  }
}
