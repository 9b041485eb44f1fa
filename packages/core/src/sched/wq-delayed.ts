/**
 * Works that are queued later (kernel/workqueue.c): delayed_work after a time, rcu_work after a grace period.
 * The embedded work is PENDING from queue_delayed_work / queue_rcu_work on.
 *
 * Unlike Linux, the timer runs on the housekeeping CPU, and then queues on the CPU asked for, or else on the one
 * that armed it.
 */
import type { Ptr } from "atomics-sync";
import { kernel_symbol, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ON_ONCE } from "../debug/warn.ts";
import { list_empty } from "../mm/list.ts";
import { call_rcu_hurry, RCU_HEAD_SIZE, rcu_barrier, type RcuHeadPtr } from "../rcu/rcu.ts";
import type { Cpu } from "./cpu.ts";
import { might_sleep } from "./schedule.ts";
import {
  mod_timer,
  timer_delete,
  timer_delete_sync,
  TIMER_HOUSEKEEPING,
  timer_pending,
  timer_setup,
  TIMER_SIZE,
  type TimerPtr,
} from "./timer.ts";
import { enable_work, grab_pause, try_to_grab_pending, work_release_pending } from "./wq-cancel.ts";
import { __flush_work, flush_work } from "./wq-flush.ts";
import { __queue_work, work_claim_enabled } from "./wq-insert.ts";
import {
  INIT_WORK,
  offq_disable_depth,
  work_data,
  WORK_ENTRY,
  work_pending,
  WORK_STRUCT_SIZE,
  type WorkqueuePtr,
} from "./wq-work.ts";
import { raw_smp_processor_id, WORK_CPU_UNBOUND } from "./wq-worker.ts";

export type DelayedWorkPtr = Ptr<"delayed_work">;
export type RcuWorkPtr = Ptr<"rcu_work">;

// struct delayed_work; the work comes first. WQ and CPU: written by who owns PENDING.
const DW_TIMER = WORK_STRUCT_SIZE;
const DW_WQ = DW_TIMER + TIMER_SIZE;
const DW_CPU = DW_WQ + 4;
export const DELAYED_WORK_SIZE = 48;

// struct rcu_work; the work comes first.
const RW_RCU = WORK_STRUCT_SIZE;
const RW_WQ = RW_RCU + RCU_HEAD_SIZE;
export const RCU_WORK_SIZE = 32;

struct_layout("delayed_work", DELAYED_WORK_SIZE, [
  ["work.data", 0, 4],
  ["work.entry.next", WORK_ENTRY, 4],
  ["work.entry.prev", WORK_ENTRY + 4, 4],
  ["work.func", 12, 4],
  ["timer", DW_TIMER, TIMER_SIZE],
  ["wq", DW_WQ, 4],
  ["cpu", DW_CPU, 4],
]);
struct_layout("rcu_work", RCU_WORK_SIZE, [
  ["work.func", 12, 4],
  ["rcu", RW_RCU, 8],
  ["wq", RW_WQ, 4],
]);

const DELAYED_WORK_TIMER_FN = kernel_symbol(delayed_work_timer_fn);
const RCU_WORK_RCUFN = kernel_symbol(rcu_work_rcufn);

function dwork_timer(dwork: number): TimerPtr {
  return (dwork + DW_TIMER) as TimerPtr;
}

/** Prepares; `fn(cpu, dwork)` runs. */
export function INIT_DELAYED_WORK(cpu: Cpu, dwork: number, fn: SymbolId): void {
  INIT_WORK(cpu, dwork, fn);
  timer_setup(cpu, dwork_timer(dwork), DELAYED_WORK_TIMER_FN, TIMER_HOUSEKEEPING);
}

export function delayed_work_pending(cpu: Cpu, dwork: number): boolean {
  return work_pending(cpu, dwork);
}

function delayed_work_timer_fn(cpu: Cpu, timer: number): void {
  queue_now(cpu, timer - DW_TIMER);
}

function queue_now(cpu: Cpu, dwork: number): void {
  const id = cpu.mem.read(dwork + DW_CPU);
  __queue_work(cpu, id, cpu.mem.read(dwork + DW_WQ) as WorkqueuePtr, dwork);
}

/** Queues in `delay` ms. True iff this call made it pending. */
export function queue_delayed_work(cpu: Cpu, wq: WorkqueuePtr, dwork: number, delay: number): boolean {
  return queue_delayed_work_on(cpu, WORK_CPU_UNBOUND, wq, dwork, delay);
}

/** As queue_delayed_work, on CPU `id` if the queue is bound. */
export function queue_delayed_work_on(
  cpu: Cpu,
  id: number,
  wq: WorkqueuePtr,
  dwork: number,
  delay: number,
): boolean {
  if (!work_claim_enabled(cpu, dwork)) return false;
  __queue_delayed_work(cpu, id, wq, dwork, delay);
  return true;
}

function __queue_delayed_work(cpu: Cpu, id: number, wq: WorkqueuePtr, dwork: number, delay: number): void {
  WARN_ON_ONCE(cpu, timer_pending(cpu, dwork_timer(dwork)));
  WARN_ON_ONCE(cpu, !list_empty(cpu, dwork + WORK_ENTRY));
  if (delay === 0) {
    __queue_work(cpu, id, wq, dwork);
    return;
  }
  cpu.mem.write(dwork + DW_WQ, wq);
  cpu.mem.write(dwork + DW_CPU, id === WORK_CPU_UNBOUND ? raw_smp_processor_id(cpu) : id);
  mod_timer(cpu, dwork_timer(dwork), cpu.now() + delay);
}

/** Makes PENDING ours: from the timer, the queue, or idle. Returns whether it was pending. */
function dwork_grab_pending(cpu: Cpu, dwork: number): boolean {
  for (;;) {
    // Each time: whoever claimed the item just now may be about to arm the timer.
    if (timer_delete(cpu, dwork_timer(dwork)) === 1) return true;
    const result = try_to_grab_pending(cpu, dwork);
    if (result >= 0) return result === 1;
    grab_pause(cpu);
  }
}

/** Queues in `delay` ms from now, whether it is pending or not. True iff it was pending. */
export function mod_delayed_work(cpu: Cpu, wq: WorkqueuePtr, dwork: number, delay: number): boolean {
  return mod_delayed_work_on(cpu, WORK_CPU_UNBOUND, wq, dwork, delay);
}

/** As mod_delayed_work, on CPU `id` if the queue is bound. */
export function mod_delayed_work_on(
  cpu: Cpu,
  id: number,
  wq: WorkqueuePtr,
  dwork: number,
  delay: number,
): boolean {
  const was = dwork_grab_pending(cpu, dwork);
  if (offq_disable_depth(work_data(cpu, dwork)) !== 0) work_release_pending(cpu, dwork, 0);
  else __queue_delayed_work(cpu, id, wq, dwork, delay);
  return was;
}

/** Does not wait for the rest of the delay: queues now, then waits as flush_work does. */
export function flush_delayed_work(cpu: Cpu, dwork: number): boolean {
  // Synchronous: a timer function that is about to queue the item must have done so before we look for it.
  if (timer_delete_sync(cpu, dwork_timer(dwork)) === 1) queue_now(cpu, dwork);
  return flush_work(cpu, dwork);
}

/** As cancel_work. */
export function cancel_delayed_work(cpu: Cpu, dwork: number): boolean {
  const was = dwork_grab_pending(cpu, dwork);
  work_release_pending(cpu, dwork, 0);
  return was;
}

/** As cancel_work_sync. */
export function cancel_delayed_work_sync(cpu: Cpu, dwork: number): boolean {
  const was = disable_delayed_work_sync(cpu, dwork);
  enable_work(cpu, dwork);
  return was;
}

/** As disable_work. */
export function disable_delayed_work(cpu: Cpu, dwork: number): boolean {
  const was = dwork_grab_pending(cpu, dwork);
  work_release_pending(cpu, dwork, 1);
  return was;
}

/** As disable_work_sync. */
export function disable_delayed_work_sync(cpu: Cpu, dwork: number): boolean {
  might_sleep(cpu);
  const was = disable_delayed_work(cpu, dwork);
  __flush_work(cpu, dwork, true);
  return was;
}

/** As enable_work. */
export function enable_delayed_work(cpu: Cpu, dwork: number): boolean {
  return enable_work(cpu, dwork);
}

/** Prepares; `fn(cpu, rwork)` runs. */
export function INIT_RCU_WORK(cpu: Cpu, rwork: number, fn: SymbolId): void {
  INIT_WORK(cpu, rwork, fn);
}

function rcu_work_rcufn(cpu: Cpu, rcu: number): void {
  const rwork = rcu - RW_RCU;
  __queue_work(cpu, WORK_CPU_UNBOUND, cpu.mem.read(rwork + RW_WQ) as WorkqueuePtr, rwork);
}

/** Queues after a grace period. True iff this call made it pending. It cannot be cancelled or disabled. */
export function queue_rcu_work(cpu: Cpu, wq: WorkqueuePtr, rwork: number): boolean {
  const disabled = offq_disable_depth(work_data(cpu, rwork)) !== 0;
  if (!work_claim_enabled(cpu, rwork)) {
    WARN_ON_ONCE(cpu, disabled);
    return false;
  }
  cpu.mem.write(rwork + RW_WQ, wq);
  call_rcu_hurry(cpu, (rwork + RW_RCU) as RcuHeadPtr, RCU_WORK_RCUFN);
  return true;
}

/** Waits until the last queueing has run. True if it had to wait. */
export function flush_rcu_work(cpu: Cpu, rwork: number): boolean {
  if (!work_pending(cpu, rwork)) return flush_work(cpu, rwork);
  rcu_barrier(cpu);
  flush_work(cpu, rwork);
  return true;
}
