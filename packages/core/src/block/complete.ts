/**
 * From the driver back to the submitter (block/blk-mq.c): end a request, or a batch of them. A batch frees
 * its tags a word at a time and leaves the queue once, so its cost per request is small.
 *
 * Interface: the driver finds a completion and claims it (blk_mq_complete_request, or blk_mq_mark_complete and
 * blk_mq_add_to_batch); then blk_mq_end_request or blk_mq_end_request_batch: the submitter is told, then the
 * holder's reference is dropped, and with the last reference the tag is free.
 */
import type { Ptr } from "atomics-sync";
import { FAULT_IO_TIMEOUT, should_fail } from "../debug/fault-inject.ts";
import { symbol_call } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";
import { bio_endio, bio_set_status } from "./bio.ts";
import { blk_queue_exit, queue_mq_op, type RequestQueuePtr } from "./queue.ts";
import {
  BLK_MQ_OPS_COMPLETE,
  hctx_tags,
  type HctxPtr,
  type RequestPtr,
  rq_bio,
  rq_end_io,
  rq_hctx,
  rq_next,
  rq_queue,
  rq_set_next,
  rq_tag,
} from "./request.ts";
import { blk_mq_mark_complete, blk_mq_set_idle, req_ref_put_and_test } from "./rq-state.ts";
import { BLK_STS_OK } from "./status.ts";
import { blk_mq_put_tags } from "./tags.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const STS_OK = BLK_STS_OK;
const IO_TIMEOUT = FAULT_IO_TIMEOUT;

export type IoCompBatchPtr = Ptr<"io_comp_batch">;

/** struct io_comp_batch, on the stack of whoever polls: requests that succeeded, linked by rq_next. */
const REQ_LIST = 0;
const REQ_TAIL = 4;
export const IO_COMP_BATCH_SIZE = 8;

struct_layout("io_comp_batch", IO_COMP_BATCH_SIZE, [
  ["req_list", REQ_LIST, 4],
  ["req_tail", REQ_TAIL, 4],
]);

/** What end_io of a request without a bio answers: the request is its caller's now, or is to be freed. */
export const RQ_END_IO_NONE = 0;
export const RQ_END_IO_FREE = 1;

/** Should the driver forget this completion, so that the request times out? Fault injection only. */
export function blk_should_fake_timeout(cpu: Cpu, _q: RequestQueuePtr): boolean {
  return should_fail(cpu, IO_TIMEOUT);
}

/** Claims the completion and lets the driver end the request. False when somebody was first: then it is not ours. */
export function blk_mq_complete_request(cpu: Cpu, rq: RequestPtr): boolean {
  if (!blk_mq_mark_complete(cpu, rq)) return false;
  symbol_call(cpu, queue_mq_op(cpu, rq_queue(cpu, rq), BLK_MQ_OPS_COMPLETE), rq);
  return true;
}

/** Ends the request: the submitter is told, the tag is free. Do not touch it afterwards. */
export function blk_mq_end_request(cpu: Cpu, rq: RequestPtr, status: number): void {
  if (blk_update_request(cpu, rq, status)) blk_mq_free_request(cpu, rq);
}

/** Tells the submitter. False when the request is its own from now on. */
function blk_update_request(cpu: Cpu, rq: RequestPtr, status: number): boolean {
  const bio = rq_bio(cpu, rq);
  if (bio === 0) return end_passthrough(cpu, rq, status);
  if (status !== STS_OK) bio_set_status(cpu, bio, status);
  bio_endio(cpu, bio);
  return true;
}

/** `rq->end_io(rq, status)`. */
function end_passthrough(cpu: Cpu, rq: RequestPtr, status: number): boolean {
  const end_io = rq_end_io(cpu, rq);
  return end_io === 0 || symbol_call(cpu, end_io, rq, status) === RQ_END_IO_FREE;
}

/** Drops the holder's reference. Do not touch it afterwards. */
export function blk_mq_free_request(cpu: Cpu, rq: RequestPtr): void {
  blk_mq_set_idle(cpu, rq);
  if (req_ref_put_and_test(cpu, rq_queue(cpu, rq), rq)) __blk_mq_free_request(cpu, rq);
}

/** Drops the reference of a walk over the busy tags. */
export function blk_mq_put_rq_ref(cpu: Cpu, rq: RequestPtr): void {
  if (req_ref_put_and_test(cpu, rq_queue(cpu, rq), rq)) __blk_mq_free_request(cpu, rq);
}

/** The last reference is gone: frees the tag and leaves the queue. */
function __blk_mq_free_request(cpu: Cpu, rq: RequestPtr): void {
  const q = rq_queue(cpu, rq);
  const tag = rq_tag(cpu, rq);
  blk_mq_put_tags(cpu, hctx_tags(cpu, rq_hctx(cpu, rq)), tag & ~31, 1 << (tag & 31));
  blk_queue_exit(cpu, q, 1);
}

/** Adds a claimed request that succeeded. */
export function blk_mq_add_to_batch(cpu: Cpu, rq: RequestPtr, iob: IoCompBatchPtr): void {
  const tail = cpu.mem.read(iob + REQ_TAIL) as RequestPtr;
  if (tail === 0) cpu.mem.write(iob + REQ_LIST, rq);
  else rq_set_next(cpu, tail, rq);
  rq_set_next(cpu, rq, 0);
  cpu.mem.write(iob + REQ_TAIL, rq);
}

/** First request of the batch, for the driver to clean up; 0 when it is empty. */
export function blk_mq_batch_first(cpu: Cpu, iob: IoCompBatchPtr): RequestPtr {
  return cpu.mem.read(iob + REQ_LIST) as RequestPtr;
}

/** Ends all requests of the batch; empties it. All belong to one queue. */
export function blk_mq_end_request_batch(cpu: Cpu, iob: IoCompBatchPtr): void {
  let rq = cpu.mem.read(iob + REQ_LIST) as RequestPtr;
  if (rq === 0) return;
  cpu.mem.write(iob + REQ_LIST, 0);
  cpu.mem.write(iob + REQ_TAIL, 0);
  const q = rq_queue(cpu, rq);
  let hctx = rq_hctx(cpu, rq);
  let base = rq_tag(cpu, rq) & ~31;
  let bits = 0;
  let count = 0;
  while (rq !== 0) {
    const next = rq_next(cpu, rq);
    if (blk_update_request(cpu, rq, STS_OK)) {
      const tag = rq_tag(cpu, rq);
      if ((tag & ~31) !== base || rq_hctx(cpu, rq) !== hctx) {
        if (count !== 0) blk_mq_flush_tag_batch(cpu, q, hctx, base, bits, count);
        hctx = rq_hctx(cpu, rq);
        base = tag & ~31;
        bits = 0;
        count = 0;
      }
      blk_mq_set_idle(cpu, rq);
      // A walk holds it: whoever drops the last reference frees the tag.
      if (req_ref_put_and_test(cpu, q, rq)) {
        bits |= 1 << (tag & 31);
        count++;
      }
    }
    rq = next;
  }
  if (count !== 0) blk_mq_flush_tag_batch(cpu, q, hctx, base, bits, count);
}

function blk_mq_flush_tag_batch(
  cpu: Cpu,
  q: RequestQueuePtr,
  hctx: HctxPtr,
  base: number,
  bits: number,
  count: number,
): void {
  blk_mq_put_tags(cpu, hctx_tags(cpu, hctx), base, bits);
  blk_queue_exit(cpu, q, count);
}
