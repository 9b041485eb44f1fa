/**
 * The life of a request (block/blk-mq.c): its state and its references.
 *
 *   IDLE -> IN_FLIGHT (blk_mq_start_request) -> COMPLETE (blk_mq_mark_complete, exactly once) -> IDLE, freed
 *
 * The tag's holder has one reference, and whoever walks over the busy tags (tag-iter.ts: time-outs, cancelling)
 * takes one more of each request it looks at. The tag is free only when the last is dropped: so nobody else can
 * get the request while a time-out handler looks at it, though it completes meanwhile.
 *
 * These walks are rare, I/O is not. So requests are claimed and freed with plain accesses while no walk is on, and
 * with atomics while one is. A walk announces itself in the queue (queue_iterated), then waits for a grace period:
 * code between two safe points either saw the announcement or is over by then. Hence the rule: no safe point
 * between the look at queue_iterated and the store that depends on it.
 *
 * What that leaves to drivers, as in Linux: outside such walks a queue's completions are found by one thread at a
 * time.
 */
import type { Cpu } from "../sched/cpu.ts";
import { queue_iterated, type RequestQueuePtr } from "./queue.ts";
import { type RequestPtr, rq_queue, RQ_DEADLINE, RQ_FLAGS, RQ_REF, RQ_STATE } from "./request.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const STATE = RQ_STATE;
const FLAGS = RQ_FLAGS;
const DEADLINE = RQ_DEADLINE;
const REF = RQ_REF;

const IDLE = 0;
const IN_FLIGHT = 1;
const COMPLETE = 2;
export const MQ_RQ_IDLE = IDLE;
export const MQ_RQ_IN_FLIGHT = IN_FLIGHT;
export const MQ_RQ_COMPLETE = COMPLETE;

/**
 * rq_flags. One word with the request's own time-out in ms (0: that of the queue), so that both are reset by one
 * store.
 */
const RQF_TIMED_OUT = 1 << 30;
const RQ_TIMEOUT_MASK = RQF_TIMED_OUT - 1;

/** For walkers and the like; completions look by themselves. */
export function blk_mq_rq_state(cpu: Cpu, rq: RequestPtr): number {
  // Pairs with the storeRelease in blk_mq_set_in_flight: who sees it in flight sees its deadline.
  return cpu.mem.loadAcquire(rq + STATE);
}
/** The driver has it, or has had it: in flight or complete. */
export function blk_mq_request_started(cpu: Cpu, rq: RequestPtr): boolean {
  return blk_mq_rq_state(cpu, rq) !== IDLE;
}
export function blk_mq_request_completed(cpu: Cpu, rq: RequestPtr): boolean {
  return blk_mq_rq_state(cpu, rq) === COMPLETE;
}

/** The time-out handler has been told, and the timer is not reset. */
export function rq_timed_out(cpu: Cpu, rq: RequestPtr): boolean {
  return (cpu.mem.readOnce(rq + FLAGS) & RQF_TIMED_OUT) !== 0;
}
export function rq_set_timed_out(cpu: Cpu, rq: RequestPtr, timed_out: boolean): void {
  const timeout = rq_timeout(cpu, rq);
  cpu.mem.writeOnce(rq + FLAGS, timed_out ? timeout | RQF_TIMED_OUT : timeout);
}
/** Neither late nor with a time-out of its own: nothing to look at when it is started. */
export function rq_flags_clear(cpu: Cpu, rq: RequestPtr): boolean {
  return cpu.mem.readOnce(rq + FLAGS) === 0;
}
/** `rq->timeout = ms`, before it is started. */
export function rq_set_timeout(cpu: Cpu, rq: RequestPtr, ms: number): void {
  cpu.mem.writeOnce(rq + FLAGS, ms & RQ_TIMEOUT_MASK);
}
export function rq_timeout(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.readOnce(rq + FLAGS) & RQ_TIMEOUT_MASK;
}
/** In ms, modulo 2^32. */
export function rq_deadline(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.readOnce(rq + DEADLINE);
}
export function rq_set_deadline(cpu: Cpu, rq: RequestPtr, deadline: number): void {
  cpu.mem.writeOnce(rq + DEADLINE, deadline);
}

/** A tag was taken: the request is its holder's, with the one reference. */
export function blk_mq_rq_ctx_init(cpu: Cpu, rq: RequestPtr): void {
  cpu.mem.writeOnce(rq + FLAGS, 0);
  // From 0, which no walker can change: req_ref_inc_not_zero leaves it alone.
  cpu.mem.writeOnce(rq + REF, 1);
}

/** To IN_FLIGHT; the deadline is set. */
export function blk_mq_set_in_flight(cpu: Cpu, q: RequestQueuePtr, rq: RequestPtr): void {
  // Pairs with the loadAcquire in blk_mq_rq_state: a walker that sees it in flight must see the deadline, or it would
  // time out by the one of its former life.
  if (queue_iterated(cpu, q)) cpu.mem.storeRelease(rq + STATE, IN_FLIGHT);
  else cpu.mem.writeOnce(rq + STATE, IN_FLIGHT);
}

/** To IDLE: it is freed, or will be queued again. */
export function blk_mq_set_idle(cpu: Cpu, rq: RequestPtr): void {
  cpu.mem.writeOnce(rq + STATE, IDLE);
}

/** Claims the completion. False: it is not in flight, or somebody was first; leave it alone then. */
export function blk_mq_mark_complete(cpu: Cpu, rq: RequestPtr): boolean {
  if (queue_iterated(cpu, rq_queue(cpu, rq))) return claim_among_many(cpu, rq);
  if (cpu.mem.readOnce(rq + STATE) !== IN_FLIGHT) return false;
  cpu.mem.writeOnce(rq + STATE, COMPLETE);
  return true;
}

function claim_among_many(cpu: Cpu, rq: RequestPtr): boolean {
  return cpu.mem.compareExchange(rq + STATE, IN_FLIGHT, COMPLETE) === IN_FLIGHT;
}

export function req_ref_read(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.loadAcquire(rq + REF);
}

/** For walkers: a reference, unless the request is free. */
export function req_ref_inc_not_zero(cpu: Cpu, rq: RequestPtr): boolean {
  for (;;) {
    const ref = cpu.mem.loadAcquire(rq + REF);
    if (ref === 0) return false;
    if (cpu.mem.compareExchange(rq + REF, ref, ref + 1) === ref) return true;
  }
}

/** Drops one. True if it was the last: the tag is to be freed. `q` is the request's queue. */
export function req_ref_put_and_test(cpu: Cpu, q: RequestQueuePtr, rq: RequestPtr): boolean {
  if (queue_iterated(cpu, q)) return cpu.mem.fetchSub(rq + REF, 1) === 1;
  // No walker has one, so this is the holder's.
  cpu.mem.writeOnce(rq + REF, 0);
  return true;
}
