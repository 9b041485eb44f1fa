/**
 * Requests that take too long (block/blk-timeout.c, block/blk-mq.c).
 *
 * Starting a request stores its deadline. The queue has one timer, armed for the nearest deadline when it was
 * armed: it is not moved when requests end. When it expires a work looks at the busy tags; only if a request is
 * late it walks over them with references, asks the driver about each late one, and arms the timer for the next.
 *
 * The driver's timeout() completes the request, or has made sure that it completes soon (BLK_EH_DONE), or wants to
 * be asked again after another time-out (BLK_EH_RESET_TIMER). It may lose against the completion: it holds a
 * reference, so the request it looks at is still the same, and claiming it fails (blk_mq_mark_complete).
 *
 * Interface: drivers call blk_mq_start_request before the device can see the request.
 */
import { kernel_symbol, symbol_call } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ON_ONCE } from "../debug/warn.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import {
  timer_armed_before,
  timer_delete_sync,
  TIMER_HOUSEKEEPING,
  type TimerPtr,
  timer_reduce,
  timer_setup,
} from "../sched/timer.ts";
import { cancel_work_sync, INIT_WORK, queue_work, system_highpri_wq } from "../sched/workqueue.ts";
import {
  blk_queue_exit,
  blk_queue_rq_timeout,
  blk_queue_tryget,
  HCTX_TYPE_DEFAULT,
  HCTX_TYPE_POLL,
  queue_hctx,
  queue_mq_op,
  queue_nr_hctx,
  queue_rq_timeout,
  Q_TIMEOUT,
  Q_TIMEOUT_WORK,
  type RequestQueuePtr,
} from "./queue.ts";
import {
  BLK_MQ_OPS_TIMEOUT,
  blk_mq_tag_to_rq,
  type HctxPtr,
  hctx_tags,
  type RequestPtr,
  rq_queue,
} from "./request.ts";
import {
  blk_mq_rq_state,
  blk_mq_set_in_flight,
  MQ_RQ_IDLE,
  MQ_RQ_IN_FLIGHT,
  rq_deadline,
  rq_flags_clear,
  rq_set_deadline,
  rq_set_timed_out,
  rq_timed_out,
  rq_timeout,
} from "./rq-state.ts";
import { blk_mq_queue_tag_busy_iter } from "./tag-iter.ts";
import { blk_mq_tags_nr_words, blk_mq_tags_word } from "./tags.ts";

/** enum blk_eh_timer_return. */
export const BLK_EH_DONE = 0;
export const BLK_EH_RESET_TIMER = 1;

/** Default of rq_timeout: 30 s. */
export const BLK_DEFAULT_TIMEOUT = 30_000;

/** struct blk_expired_data, on the worker's stack: when the scan began, the nearest deadline it saw, if any. */
const START = 0;
const NEXT = 4;
const HAS_NEXT = 8;
const HAS_TIMEDOUT = 12;
/** Some tag is taken whose request is not started. */
const HAS_IDLE = 16;
const EXPIRED_DATA_SIZE = 24;

struct_layout("blk_expired_data", EXPIRED_DATA_SIZE, [
  ["timeout_start", START, 4],
  ["next", NEXT, 4],
  ["has_next", HAS_NEXT, 4],
  ["has_timedout_rq", HAS_TIMEDOUT, 4],
  ["has_idle_rq", HAS_IDLE, 4],
]);

const TIMER_FN = kernel_symbol(blk_rq_timed_out_timer);
const TIMEOUT_WORK = kernel_symbol(blk_mq_timeout_work);
const HANDLE_EXPIRED = kernel_symbol(blk_mq_handle_expired);

/** For blk_mq_init_queue. `timeout` in ms; 0: the default. */
export function blk_mq_init_timeout(cpu: Cpu, q: RequestQueuePtr, timeout: number): void {
  blk_queue_rq_timeout(cpu, q, timeout === 0 ? BLK_DEFAULT_TIMEOUT : timeout);
  timer_setup(cpu, queue_timer(q), TIMER_FN, TIMER_HOUSEKEEPING);
  INIT_WORK(cpu, q + Q_TIMEOUT_WORK, TIMEOUT_WORK);
}

/** blk_sync_queue: no time-out handling runs or will run. The queue is frozen, so nobody arms the timer. */
export function blk_sync_queue(cpu: Cpu, q: RequestQueuePtr): void {
  timer_delete_sync(cpu, queue_timer(q));
  cancel_work_sync(cpu, q + Q_TIMEOUT_WORK);
}

function queue_timer(q: RequestQueuePtr): TimerPtr {
  return (q + Q_TIMEOUT) as TimerPtr;
}

/** Whole ms, modulo 2^32. */
function jiffies(cpu: Cpu): number {
  return Math.floor(cpu.now()) | 0;
}

/** The driver has it: from here on it may complete, or time out. Before the device can see it. */
export function blk_mq_start_request(cpu: Cpu, rq: RequestPtr): void {
  const q = rq_queue(cpu, rq);
  blk_add_timer(cpu, q, rq);
  blk_mq_set_in_flight(cpu, q, rq);
}

/**
 * The same for drivers that start many requests of `q` at once: blk_mq_batch_deadline, then this for each with what
 * it returned. So the clock and the timer are looked at once, and a deadline costs one store.
 */
export function blk_mq_start_batched(cpu: Cpu, q: RequestQueuePtr, rq: RequestPtr, deadline: number): void {
  if (rq_flags_clear(cpu, rq)) rq_set_deadline(cpu, rq, deadline);
  else blk_add_timer(cpu, q, rq);
  blk_mq_set_in_flight(cpu, q, rq);
}

export function blk_mq_batch_deadline(cpu: Cpu, q: RequestQueuePtr): number {
  return armed_deadline(cpu, q, queue_rq_timeout(cpu, q));
}

/** Sets the deadline, and the queue's timer if nothing is armed or something later. */
function blk_add_timer(cpu: Cpu, q: RequestQueuePtr, rq: RequestPtr): void {
  // A request that ended by its time-out handler and was queued again can be late again.
  if (rq_timed_out(cpu, rq)) rq_set_timed_out(cpu, rq, false);
  const own = rq_timeout(cpu, rq);
  rq_set_deadline(cpu, rq, armed_deadline(cpu, q, own === 0 ? queue_rq_timeout(cpu, q) : own));
}

/** The deadline `timeout` ms from now; the timer is armed for it or for something earlier. */
function armed_deadline(cpu: Cpu, q: RequestQueuePtr, timeout: number): number {
  // jiffies are rounded down.
  const deadline = (jiffies(cpu) + 1 + timeout) | 0;
  // A racy look, as in Linux: when the timer has just expired, its work sees the request or the timer is armed here.
  if (!timer_armed_before(cpu, queue_timer(q), deadline)) arm_timer(cpu, q, deadline);
  return deadline;
}

/** Unless it is armed for an earlier time. */
function arm_timer(cpu: Cpu, q: RequestQueuePtr, deadline: number): void {
  const now = Math.floor(cpu.now());
  timer_reduce(cpu, queue_timer(q), now + ((deadline - now) | 0));
}

/** Lets the request time out as soon as possible. The caller makes sure that it is not freed meanwhile. */
export function blk_abort_request(cpu: Cpu, rq: RequestPtr): void {
  rq_set_deadline(cpu, rq, jiffies(cpu));
  kblockd_schedule_work(cpu, rq_queue(cpu, rq) + Q_TIMEOUT_WORK);
}

function kblockd_schedule_work(cpu: Cpu, work: number): void {
  queue_work(cpu, system_highpri_wq(cpu), work);
}

function blk_rq_timed_out_timer(cpu: Cpu, timer: TimerPtr): void {
  kblockd_schedule_work(cpu, timer - Q_TIMEOUT + Q_TIMEOUT_WORK);
}

function blk_mq_timeout_work(cpu: Cpu, work: number): void {
  const q = (work - Q_TIMEOUT_WORK) as RequestQueuePtr;
  // Not blk_queue_enter: a freezer may be waiting for the very request that is late.
  if (!blk_queue_tryget(cpu, q)) return;
  const start = jiffies(cpu);
  const expired = stack_push(cpu, EXPIRED_DATA_SIZE);
  cpu.mem.write(expired + START, start);
  blk_mq_look_for_expired(cpu, q, expired);
  if (cpu.mem.read(expired + HAS_TIMEDOUT) !== 0) {
    cpu.mem.write(expired + HAS_NEXT, 0);
    // Begins with a grace period: every start and every end that was under way when we looked is over.
    blk_mq_queue_tag_busy_iter(cpu, q, HANDLE_EXPIRED, expired);
  }
  if (cpu.mem.read(expired + HAS_NEXT) !== 0) {
    arm_timer(cpu, q, cpu.mem.read(expired + NEXT));
  } else if (cpu.mem.read(expired + HAS_IDLE) !== 0) {
    // Its starter may have found our timer still armed, and not armed it. (Linux takes that risk.)
    arm_timer(cpu, q, (start + queue_rq_timeout(cpu, q)) | 0);
  }
  stack_pop(cpu, expired);
  blk_queue_exit(cpu, q, 1);
}

/** blk_mq_check_expired over all tags: is any request late? Without references: it looks, and touches nothing. */
function blk_mq_look_for_expired(cpu: Cpu, q: RequestQueuePtr, expired: number): void {
  for (let type = HCTX_TYPE_DEFAULT; type <= HCTX_TYPE_POLL; type++) {
    for (let i = 0; i < queue_nr_hctx(cpu, q, type); i++) {
      const hctx = queue_hctx(cpu, q, type, i) as HctxPtr;
      const tags = hctx_tags(cpu, hctx);
      for (let w = 0; w < blk_mq_tags_nr_words(cpu, tags); w++) {
        for (let rest = blk_mq_tags_word(cpu, tags, w); rest !== 0; rest &= rest - 1) {
          const rq = blk_mq_tag_to_rq(cpu, hctx, 32 * w + 31 - Math.clz32(rest & -rest));
          if (blk_mq_req_expired(cpu, rq, expired)) cpu.mem.write(expired + HAS_TIMEDOUT, 1);
        }
      }
    }
  }
}

/** Is it late? If it is in time, notes its deadline when that is the nearest. */
function blk_mq_req_expired(cpu: Cpu, rq: RequestPtr, expired: number): boolean {
  const mem = cpu.mem;
  const state = blk_mq_rq_state(cpu, rq);
  if (state === MQ_RQ_IDLE) mem.write(expired + HAS_IDLE, 1);
  if (state !== MQ_RQ_IN_FLIGHT) return false;
  if (rq_timed_out(cpu, rq)) return false;
  const deadline = rq_deadline(cpu, rq);
  if (((deadline - mem.read(expired + START)) | 0) <= 0) return true;
  if (mem.read(expired + HAS_NEXT) === 0 || ((deadline - mem.read(expired + NEXT)) | 0) < 0) {
    mem.write(expired + NEXT, deadline);
    mem.write(expired + HAS_NEXT, 1);
  }
  return false;
}

function blk_mq_handle_expired(cpu: Cpu, rq: RequestPtr, expired: number): number {
  if (blk_mq_req_expired(cpu, rq, expired)) blk_mq_rq_timed_out(cpu, rq);
  return 1;
}

/** Asks the driver. */
function blk_mq_rq_timed_out(cpu: Cpu, rq: RequestPtr): void {
  rq_set_timed_out(cpu, rq, true);
  const timeout = queue_mq_op(cpu, rq_queue(cpu, rq), BLK_MQ_OPS_TIMEOUT);
  if (timeout !== 0) {
    const answer = symbol_call(cpu, timeout, rq);
    if (answer === BLK_EH_DONE) return;
    WARN_ON_ONCE(cpu, answer !== BLK_EH_RESET_TIMER);
  }
  blk_add_timer(cpu, rq_queue(cpu, rq), rq);
}
