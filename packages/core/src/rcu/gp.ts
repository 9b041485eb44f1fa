/**
 * Grace periods (kernel/rcu/tree.c): the lists of callbacks and the thread `rcu_gp` that takes them, waits until
 * every CPU has passed a quiescent state, and runs them.
 *
 * Guarantee: a callback runs after every read section that was open when it was queued has ended. Callbacks run on
 * rcu_gp in softirq context and must not sleep; those queued by one CPU run in order.
 *
 * Each CPU has a list of callbacks: a stack anyone may push to, taken whole by rcu_gp.
 */
import { kernel_static, percpu_static } from "../debug/image.ts";
import { lock_release, rcu_lock_acquire } from "../lock/lockdep.ts";
import { llist_add, llist_del_all, llist_empty, llist_reverse_order } from "../mm/llist.ts";
import { type Cpu, nr_cpu_ids, per_cpu_ptr, SOFTIRQ_OFFSET, stack_pop, stack_push } from "../sched/cpu.ts";
import { kthread_alive, kthread_should_stop } from "../sched/kthread.ts";
import { schedule, schedule_timeout } from "../sched/schedule.ts";
import {
  set_current_state,
  task_of_cpu,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  wake_up_process,
} from "../sched/task.ts";
import { housekeeping_start, housekeeping_stop } from "../sched/timer.ts";
import { RCU_HEAD_NEXT, rcu_head_invoke } from "./head.ts";
import { rcu_cpu_passed, rcu_gp_start, rcu_gps_between, rcu_gps_started, rcu_set_gp_waiter } from "./qs.ts";
import { rcu_check_stall, rcu_jiffies_till_stall_check } from "./stall.ts";

/** Per-CPU: newest callback; pushed by anyone, taken by rcu_gp. */
const CBLIST = percpu_static("rcu_cblist", 4);
/** Written by rcu_gp alone: its CPU number + 1, and counters. */
const RCU_STATE = kernel_static("rcu_state", 128);
const GP_KTHREAD = 0;
const NR_GRACE_PERIODS = 4;
const NR_CALLBACKS = 8;
/** Key for lockdep: held while a callback runs. */
const RCU_CALLBACK_MAP = kernel_static("rcu_callback", 4);
/** Number of the latest grace period somebody polls for (rcu_request_gp). */
const GP_NEEDED = kernel_static("rcu_gp_needed", 4);

/** Appends a queued head (rcu_head_queue) to the list of CPU `id`. */
export function rcu_push_callback(cpu: Cpu, id: number, head: number): void {
  // The push has full order: the grace period that rcu_gp starts when it sees the callback is later than
  // everything the caller did, in particular the unpublishing.
  llist_add(cpu, per_cpu_ptr(cpu, CBLIST, id), head, RCU_HEAD_NEXT);
  wake_gp_kthread(cpu);
}

function wake_gp_kthread(cpu: Cpu): void {
  const kthread = cpu.mem.loadAcquire(RCU_STATE + GP_KTHREAD);
  if (kthread !== 0) wake_up_process(cpu, task_of_cpu(cpu, kthread - 1));
}

/** Sees to it that the grace period `number` happens, callbacks or not. */
export function rcu_request_gp(cpu: Cpu, number: number): void {
  for (;;) {
    const needed = cpu.mem.loadAcquire(GP_NEEDED);
    if (rcu_gps_between(number, needed) >= 0) return;
    // Pairs with the loadAcquire in gp_needed: rcu_gp has set its state before it looks, or is awake.
    if (cpu.mem.compareExchange(GP_NEEDED, needed, number) === needed) break;
  }
  wake_gp_kthread(cpu);
}

function gp_needed(cpu: Cpu): boolean {
  return rcu_gps_between(rcu_gps_started(cpu), cpu.mem.loadAcquire(GP_NEEDED)) > 0;
}

/** The grace-period thread. Returns when told to stop, no kworker is left and no callback. */
export function rcu_gp_kthread(cpu: Cpu): void {
  cpu.mem.storeRelease(RCU_STATE + GP_KTHREAD, cpu.id + 1);
  // It never leaves the kernel, so it takes the timers that must not depend on a CPU that may.
  housekeeping_start(cpu);
  for (;;) {
    // The state goes first: a push after the test wakes us, and so does the last kworker's exit.
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    // Asked before the callbacks: what the last kworker pushed is then seen.
    const stop = kthread_should_stop(cpu) && !kthread_alive(cpu);
    if (callbacks_pending(cpu) || gp_needed(cpu)) {
      set_current_state(cpu, TASK_RUNNING);
      rcu_gp_once(cpu);
    } else if (stop) break;
    else schedule(cpu);
  }
  set_current_state(cpu, TASK_RUNNING);
  housekeeping_stop(cpu);
}

function callbacks_pending(cpu: Cpu): boolean {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    if (!llist_empty(cpu, per_cpu_ptr(cpu, CBLIST, id))) return true;
  }
  return false;
}

/** One grace period: takes all callbacks, waits for every CPU, runs them. False when nobody asked for one. */
export function rcu_gp_once(cpu: Cpu): boolean {
  if (!callbacks_pending(cpu) && !gp_needed(cpu)) return false;
  const batch = stack_push(cpu, nr_cpu_ids(cpu) * 4);
  take_callbacks(cpu, batch);
  wait_for_quiescent_states(cpu, rcu_gp_start(cpu));
  count(cpu, NR_GRACE_PERIODS);
  for (let id = 0; id < nr_cpu_ids(cpu); id++) run_callbacks(cpu, cpu.mem.read(batch + id * 4));
  stack_pop(cpu, batch);
  return true;
}

function take_callbacks(cpu: Cpu, batch: number): void {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    const first = llist_del_all(cpu, per_cpu_ptr(cpu, CBLIST, id));
    cpu.mem.write(batch + id * 4, llist_reverse_order(cpu, first, RCU_HEAD_NEXT));
  }
}

function wait_for_quiescent_states(cpu: Cpu, sequence: number): void {
  const started = cpu.now();
  let stall = started + rcu_jiffies_till_stall_check(cpu);
  rcu_set_gp_waiter(cpu, cpu.id + 1);
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    if (id === cpu.id) continue;
    for (;;) {
      set_current_state(cpu, TASK_UNINTERRUPTIBLE);
      if (rcu_cpu_passed(cpu, id, sequence)) break;
      schedule_timeout(cpu, Math.max(1, Math.ceil(stall - cpu.now())));
      stall = rcu_check_stall(cpu, sequence, started, stall);
    }
  }
  set_current_state(cpu, TASK_RUNNING);
  rcu_set_gp_waiter(cpu, 0);
}

function run_callbacks(cpu: Cpu, list: number): void {
  let head = list;
  cpu.preempt_count += SOFTIRQ_OFFSET;
  while (head !== 0) {
    // The callback may free its head.
    const next = cpu.mem.read(head + RCU_HEAD_NEXT);
    if (cpu.lockdep) rcu_lock_acquire(cpu, RCU_CALLBACK_MAP);
    rcu_head_invoke(cpu, head);
    if (cpu.lockdep) lock_release(cpu, RCU_CALLBACK_MAP);
    count(cpu, NR_CALLBACKS);
    head = next;
  }
  cpu.preempt_count -= SOFTIRQ_OFFSET;
}

function count(cpu: Cpu, counter: number): void {
  cpu.mem.storeRelease(RCU_STATE + counter, cpu.mem.read(RCU_STATE + counter) + 1);
}

/** Grace periods finished since boot; with order, for those who poll. */
export function rcu_get_gp_seq(cpu: Cpu): number {
  return cpu.mem.loadAcquire(RCU_STATE + NR_GRACE_PERIODS);
}

/** Grace periods finished and callbacks run since boot. */
export function rcu_grace_periods(cpu: Cpu): number {
  return cpu.mem.readOnce(RCU_STATE + NR_GRACE_PERIODS);
}
export function rcu_callbacks_run(cpu: Cpu): number {
  return cpu.mem.readOnce(RCU_STATE + NR_CALLBACKS);
}
