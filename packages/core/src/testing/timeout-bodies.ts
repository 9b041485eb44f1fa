/** Bodies for timeout-threads.test.ts: tasks that send requests with tiny time-outs, and a device about as slow. */
import { blk_execute_rq_nowait, blk_mq_alloc_request } from "../block/execute.ts";
import { RQ_END_IO_FREE } from "../block/complete.ts";
import { type RequestPtr, rq_end_io_data, rq_set_end_io } from "../block/request.ts";
import { rq_set_timeout } from "../block/rq-state.ts";
import { BLK_STS_OK, BLK_STS_TIMEOUT } from "../block/status.ts";
import { IS_ERR } from "../debug/errno.ts";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { kmem_in_use } from "../mm/slab.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched, schedule_timeout } from "../sched/schedule.ts";
import {
  set_current_state,
  task_of_cpu,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  wake_up_process,
} from "../sched/task.ts";
import {
  late_disk,
  late_disk_add,
  late_disk_complete,
  late_disk_counts,
  late_disk_remove,
  late_disk_take,
  type LateCounts,
} from "./late-disk.ts";

const SLOTS = 8;
const MAX_TASKS = 8;
/** Time-outs are 1 ... 3 ms. The device is about as slow when all slots are in use; now and then it takes a break. */
const TIMEOUT_MS = 3;
const DEVICE_MS = 0.5;
const BREAK_EVERY = 20;
const BREAK_MS = 5;
/** A request that has not ended by then never will. */
const LOST_MS = 10_000;

const STATE = kernel_static("timeout_bodies", 128);
const BEFORE = 0;
const SENDERS = 4;
/** Requests that ended twice, or with a status nobody gave; requests that did not end. */
const BAD = 8;
const LOST = 12;
const STALLED = 16;
/** Per task and slot, {how often it ended, status}. */
const ENDS = kernel_static("timeout_ends", MAX_TASKS * 128);

const END_IO = kernel_symbol(count_end);
function count_end(cpu: Cpu, rq: RequestPtr, status: number): number {
  const slot = rq_end_io_data(cpu, rq);
  cpu.mem.write(slot + 4, status);
  cpu.mem.fetchAdd(slot, 1);
  wake_up_process(cpu, task_of_cpu(cpu, Math.floor((slot - ENDS) / 128)));
  return RQ_END_IO_FREE;
}

export function set_up(cpu: Cpu, senders: number, depth: number): void {
  cpu.mem.write(STATE + BEFORE, kmem_in_use(cpu));
  late_disk_add(cpu, 2, depth);
  cpu.mem.storeRelease(STATE + SENDERS, senders);
}

/** Sends `count` requests, SLOTS at a time. Returns how many ended in time. */
export function send(cpu: Cpu, _senders: number, _depth: number, count: number): number {
  let in_time = 0;
  for (let i = 0; i < count; i += SLOTS) {
    for (let k = 0; k < SLOTS; k++) if (!send_one(cpu, slot_of(cpu, k))) cpu.mem.fetchAdd(STATE + BAD, 1);
    for (let k = 0; k < SLOTS; k++) if (await_end(cpu, slot_of(cpu, k)) === BLK_STS_OK) in_time++;
    cond_resched(cpu);
  }
  cpu.mem.fetchSub(STATE + SENDERS, 1);
  return in_time;
}

function slot_of(cpu: Cpu, k: number): number {
  return ENDS + 128 * cpu.id + 8 * k;
}

function send_one(cpu: Cpu, slot: number): boolean {
  cpu.mem.storeRelease(slot, 0);
  const rq = blk_mq_alloc_request(cpu, late_disk(cpu), 0, 0);
  if (IS_ERR(rq)) return false;
  rq_set_timeout(cpu, rq, 1 + (cpu.random32() % TIMEOUT_MS));
  rq_set_end_io(cpu, rq, END_IO, slot);
  blk_execute_rq_nowait(cpu, rq, false);
  return true;
}

/** The status the request ended with, or -1. */
function await_end(cpu: Cpu, slot: number): number {
  const deadline = cpu.now() + LOST_MS;
  for (;;) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    if (cpu.mem.loadAcquire(slot) !== 0 || cpu.now() > deadline) break;
    schedule_timeout(cpu, 100);
  }
  set_current_state(cpu, TASK_RUNNING);
  const ends = cpu.mem.loadAcquire(slot);
  const status = cpu.mem.read(slot + 4);
  if (ends === 0) {
    cpu.mem.fetchAdd(STATE + LOST, 1);
    return -1;
  }
  if (ends !== 1 || (status !== BLK_STS_OK && status !== BLK_STS_TIMEOUT)) cpu.mem.fetchAdd(STATE + BAD, 1);
  return status;
}

/** The device: takes commands in order, and completes each some time after the last. */
export function serve(cpu: Cpu): void {
  serve_until_done(cpu, true);
}
/** The same by a driver that completes without asking. */
export function serve_wrongly(cpu: Cpu): void {
  serve_until_done(cpu, false);
}

function serve_until_done(cpu: Cpu, claim: boolean): void {
  const out = stack_push(cpu, 8);
  while (cpu.mem.loadAcquire(STATE + SENDERS) !== 0) {
    if (late_disk_take(cpu, out)) {
      const pause =
        cpu.random32() % BREAK_EVERY === 0 ? BREAK_MS : ((cpu.random32() % 1000) * DEVICE_MS) / 1000;
      const until = cpu.now() + pause;
      while (cpu.now() < until) cond_resched(cpu);
      late_disk_complete(cpu, out, claim);
    } else {
      set_current_state(cpu, TASK_UNINTERRUPTIBLE);
      schedule_timeout(cpu, 1);
    }
  }
  stack_pop(cpu, out);
}

/** A device that never completes anything. */
export function stall(cpu: Cpu): void {
  while (cpu.mem.loadAcquire(STATE + SENDERS) !== 0) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, 1);
  }
  cpu.mem.write(STATE + STALLED, 1);
}

export interface TimeoutEnd extends LateCounts {
  readonly bad: number;
  readonly lost: number;
  readonly leaked: number;
}

export function tear_down(cpu: Cpu): TimeoutEnd {
  late_disk_remove(cpu);
  rcu_barrier(cpu);
  return report(cpu);
}

export function report(cpu: Cpu): TimeoutEnd {
  return {
    ...late_disk_counts(cpu),
    bad: cpu.mem.read(STATE + BAD),
    lost: cpu.mem.read(STATE + LOST),
    leaked: kmem_in_use(cpu) - cpu.mem.read(STATE + BEFORE),
  };
}
