/**
 * A disk whose requests are completed about when they time out, by a device on one CPU and by the time-out handler
 * on another, with nothing between the two but what the block layer gives them. It watches that a request is not
 * given to somebody else while its handler runs.
 *
 * The device remembers (request, use) and may come when that use is long over. So it says which request it is
 * about to touch, then checks the use; the handler ends the use, then waits until no device touches the request.
 * One of the two sees the other. Real drivers disable the device instead.
 *
 * Interface: late_disk_add; requests of blk_mq_alloc_request; late_disk_take and late_disk_complete on the device's
 * CPUs; late_disk_remove.
 */
import { kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { blk_mq_destroy_queue, blk_mq_init_queue, blk_put_queue } from "../block/blk-mq.ts";
import { blk_mq_end_request } from "../block/complete.ts";
import type { RequestQueuePtr } from "../block/queue.ts";
import { blk_mq_rq_to_pdu, type HctxPtr, type RequestPtr } from "../block/request.ts";
import { blk_mq_mark_complete, blk_mq_request_completed } from "../block/rq-state.ts";
import { BLK_STS_OK, BLK_STS_TIMEOUT } from "../block/status.ts";
import { BLK_EH_DONE, BLK_EH_RESET_TIMER, blk_mq_start_request } from "../block/timeout.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "../lock/spinlock.ts";
import { type Cpu, nr_cpu_ids } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { linger } from "./rendezvous.ts";
import { RAM_DISK_LIMITS } from "./ram-disk.ts";

const MAX_CPUS = 32;
const RING = 256;
/** How long the wrong driver waits for a time-out. */
const EXPIRY_MS = 10;

const STATE = kernel_static("late_disk", 256 + 8 * RING);
const QUEUE = 0;
// Counters.
/** Late requests the driver was asked about; those the handler ended; those it found complete. */
const ASKED = 4;
const EXPIRED = 8;
const OVERTAKEN = 12;
/** Completions by the device that came too late. */
const LATE = 16;
/** A request in the hands of its handler was given to somebody else. */
const STOLEN = 20;
// Guarded by LOCK: the ring of (request, use).
const LOCK = 128;
const HEAD = 132;
const TAIL = 136;
const ENTRIES = 256;

/** The request each CPU is about to touch as the device, one line each. */
const HAZARDS = kernel_static("late_disk_hazards", 128 * MAX_CPUS);

/** The driver's data of a request: which use of the tag this is. */
const USE = 0;
const CMD_SIZE = 4;

const OPS = kernel_rodata("late_disk_mq_ops", [
  kernel_symbol(late_queue_rq),
  0,
  kernel_symbol(late_complete_rq),
  0,
  kernel_symbol(late_timeout),
  0,
  0,
]);

/** A queue with `depth` tags; ERR_PTR when out of memory. At most `RING` requests may be in use and late together. */
export function late_disk_add(cpu: Cpu, queues: number, depth: number): RequestQueuePtr {
  cpu.mem.memset(STATE, 0, 256);
  spin_lock_init(cpu, STATE + LOCK);
  const q = blk_mq_init_queue(cpu, {
    ops: OPS,
    nr_hw_queues: queues,
    nr_poll_queues: 0,
    queue_depth: depth,
    cmd_size: CMD_SIZE,
    driver_data: 0,
    limits: RAM_DISK_LIMITS,
  });
  cpu.mem.write(STATE + QUEUE, q);
  return q;
}

export function late_disk(cpu: Cpu): RequestQueuePtr {
  return cpu.mem.read(STATE + QUEUE) as RequestQueuePtr;
}

export function late_disk_remove(cpu: Cpu): void {
  blk_mq_destroy_queue(cpu, late_disk(cpu));
  blk_put_queue(cpu, late_disk(cpu));
}

export interface LateCounts {
  readonly asked: number;
  readonly expired: number;
  readonly overtaken: number;
  readonly late: number;
  readonly stolen: number;
}

export function late_disk_counts(cpu: Cpu): LateCounts {
  return {
    asked: cpu.mem.loadAcquire(STATE + ASKED),
    expired: cpu.mem.loadAcquire(STATE + EXPIRED),
    overtaken: cpu.mem.loadAcquire(STATE + OVERTAKEN),
    late: cpu.mem.loadAcquire(STATE + LATE),
    stolen: cpu.mem.loadAcquire(STATE + STOLEN),
  };
}

function bump(cpu: Cpu, counter: number): void {
  cpu.mem.fetchAdd(STATE + counter, 1);
}

function late_queue_rq(cpu: Cpu, _hctx: HctxPtr, rq: RequestPtr, _last: number): number {
  const use = cpu.mem.fetchAdd(blk_mq_rq_to_pdu(rq) + USE, 1) + 1;
  blk_mq_start_request(cpu, rq);
  spin_lock(cpu, STATE + LOCK);
  const tail = cpu.mem.read(STATE + TAIL);
  const entry = STATE + ENTRIES + 8 * (tail % RING);
  cpu.mem.write(entry, rq);
  cpu.mem.write(entry + 4, use);
  cpu.mem.write(STATE + TAIL, tail + 1);
  spin_unlock(cpu, STATE + LOCK);
  return BLK_STS_OK;
}

function late_complete_rq(cpu: Cpu, rq: RequestPtr): void {
  blk_mq_end_request(cpu, rq, BLK_STS_OK);
}

/** Takes the oldest command into the two words at `out`: request and use. False when there is none. */
export function late_disk_take(cpu: Cpu, out: number): boolean {
  spin_lock(cpu, STATE + LOCK);
  const head = cpu.mem.read(STATE + HEAD);
  const any = head !== cpu.mem.read(STATE + TAIL);
  if (any) {
    const entry = STATE + ENTRIES + 8 * (head % RING);
    cpu.mem.write(out, cpu.mem.read(entry));
    cpu.mem.write(out + 4, cpu.mem.read(entry + 4));
    cpu.mem.write(STATE + HEAD, head + 1);
  }
  spin_unlock(cpu, STATE + LOCK);
  return any;
}

/** The device is done with the command at `out`. `claim` false: it does not ask whether it may (a wrong driver). */
export function late_disk_complete(cpu: Cpu, out: number, claim: boolean): void {
  const rq = cpu.mem.read(out) as RequestPtr;
  const hazard = HAZARDS + 128 * cpu.id;
  // Pairs with the fetchAdd of USE in late_timeout, then its look here.
  cpu.mem.storeRelease(hazard, rq);
  if (cpu.mem.loadAcquire(blk_mq_rq_to_pdu(rq) + USE) === cpu.mem.read(out + 4)) {
    linger(cpu, 40);
    if (!claim) await_expiry(cpu, rq);
    if (!claim || blk_mq_mark_complete(cpu, rq)) blk_mq_end_request(cpu, rq, BLK_STS_OK);
    else bump(cpu, LATE);
  } else bump(cpu, LATE);
  cpu.mem.storeRelease(hazard, 0);
}

/** The wrong driver is slow too: it comes when the time-out has taken the request, if that is soon. */
function await_expiry(cpu: Cpu, rq: RequestPtr): void {
  const until = cpu.now() + EXPIRY_MS;
  while (!blk_mq_request_completed(cpu, rq) && cpu.now() < until) cond_resched(cpu);
}

/** blk_mq_ops.timeout. */
function late_timeout(cpu: Cpu, rq: RequestPtr): number {
  const use = blk_mq_rq_to_pdu(rq) + USE;
  const before = cpu.mem.loadAcquire(use);
  bump(cpu, ASKED);
  linger(cpu, 200);
  if (cpu.random32() % 8 === 0) return BLK_EH_RESET_TIMER;
  let after = before;
  if (blk_mq_mark_complete(cpu, rq)) {
    bump(cpu, EXPIRED);
    blk_mq_end_request(cpu, rq, BLK_STS_TIMEOUT);
    cpu.mem.fetchAdd(use, 1);
    after++;
    wait_for_devices(cpu, rq);
  } else bump(cpu, OVERTAKEN);
  // The request has ended, but we have a reference: nobody may get it before we return.
  linger(cpu, 2000);
  if (cpu.mem.loadAcquire(use) !== after) bump(cpu, STOLEN);
  return BLK_EH_DONE;
}

function wait_for_devices(cpu: Cpu, rq: RequestPtr): void {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    while (cpu.mem.loadAcquire(HAZARDS + 128 * id) === rq) cpu.mem.pause();
  }
}
