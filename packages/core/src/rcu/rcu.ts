/**
 * RCU updates (include/linux/rcupdate.h, kernel/rcu): call_rcu, synchronize_rcu, rcu_barrier and the
 * grace-period thread `rcu_gp`. Readers are in qs.ts.
 *
 * Guarantee: a callback runs after every read section that was open when call_rcu was called has ended.
 * Callbacks run on rcu_gp in softirq context and must not sleep. Callbacks queued by one CPU run in order.
 *
 * Each CPU has a list of callbacks: a stack anyone may push to, taken whole by rcu_gp.
 */
import type { Ptr } from "atomics-sync";
import { kernel_static, kernel_symbol, percpu_static, symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ONCE } from "../debug/warn.ts";
import { llist_add, llist_del_all, llist_empty, llist_reverse_order } from "../mm/llist.ts";
import { COMPLETION_SIZE, complete, init_completion, wait_for_completion } from "../sched/completion.ts";
import { type Cpu, nr_cpu_ids, per_cpu_ptr, SOFTIRQ_OFFSET, stack_pop, stack_push } from "../sched/cpu.ts";
import { kthread_alive, kthread_should_stop } from "../sched/kthread.ts";
import { might_sleep, schedule } from "../sched/schedule.ts";
import {
  set_current_state,
  task_of_cpu,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  wake_up_process,
} from "../sched/task.ts";
import { rcu_cpu_passed, rcu_gp_start, rcu_gps_started, rcu_set_gp_waiter } from "./qs.ts";

export { rcu_read_lock, rcu_read_lock_held, rcu_read_unlock } from "./qs.ts";

export type RcuHeadPtr = Ptr<"rcu_head">;

/** struct rcu_head; owned by RCU from call_rcu until the callback. */
export const RCU_HEAD_SIZE = 8;
const NEXT = 0;
const FUNC = 4;

struct_layout("rcu_head", RCU_HEAD_SIZE, [
  ["next", NEXT, 4],
  ["func", FUNC, 4],
]);

/** Per-CPU: newest callback; pushed by anyone, taken by rcu_gp. */
const CBLIST = percpu_static("rcu_cblist", 4);
/** CPU number + 1 of rcu_gp; set when it starts. Counters are written by rcu_gp alone. */
const RCU_STATE = kernel_static("rcu_state", 128);
const GP_KTHREAD = 0;
const NR_GRACE_PERIODS = 4;
const NR_CALLBACKS = 8;

/** An on-stack waiter: rcu_head, then completion (struct rcu_synchronize). */
const SYNC_COMPLETION = RCU_HEAD_SIZE;
const SYNC_SIZE = RCU_HEAD_SIZE + COMPLETION_SIZE;

const WAKEME_AFTER_RCU = kernel_symbol(wakeme_after_rcu);

/** rcu_dereference: the pointer, and through it what was stored before rcu_assign_pointer. */
export function rcu_dereference(cpu: Cpu, p: number): number {
  return cpu.mem.loadAcquire(p);
}

/** For updaters that hold the lock which guards the pointer. */
export function rcu_dereference_protected(cpu: Cpu, p: number, held: boolean): number {
  WARN_ONCE(cpu, !held, "suspicious rcu_dereference_protected() usage");
  return cpu.mem.read(p);
}

/** rcu_assign_pointer: publishes; pairs with rcu_dereference, readers see the object initialised. */
export function rcu_assign_pointer(cpu: Cpu, p: number, value: number): void {
  cpu.mem.storeRelease(p, value);
}

/** Runs `func(cpu, head)` after a grace period. `head` belongs to RCU until then. */
export function call_rcu(cpu: Cpu, head: RcuHeadPtr, func: SymbolId): void {
  cpu.mem.write(head + FUNC, func);
  push_callback(cpu, cpu.id, head);
}

/** call_rcu that is never batched lazily; here none is. */
export function call_rcu_hurry(cpu: Cpu, head: RcuHeadPtr, func: SymbolId): void {
  call_rcu(cpu, head, func);
}

function push_callback(cpu: Cpu, id: number, head: number): void {
  // The push has full order: the grace period that rcu_gp starts when it sees the callback is later than
  // everything the caller did, in particular the unpublishing.
  llist_add(cpu, per_cpu_ptr(cpu, CBLIST, id), head, NEXT);
  const kthread = cpu.mem.loadAcquire(RCU_STATE + GP_KTHREAD);
  if (kthread !== 0) wake_up_process(cpu, task_of_cpu(cpu, kthread - 1));
}

/** Waits until all read sections that are open now have ended. Illegal inside one: it would wait for itself. */
export function synchronize_rcu(cpu: Cpu): void {
  might_sleep(cpu);
  const sync = stack_push(cpu, SYNC_SIZE);
  init_completion(cpu, sync + SYNC_COMPLETION);
  call_rcu_hurry(cpu, sync as RcuHeadPtr, WAKEME_AFTER_RCU);
  wait_for_completion(cpu, sync + SYNC_COMPLETION);
  stack_pop(cpu, sync);
}

function wakeme_after_rcu(cpu: Cpu, head: number): void {
  complete(cpu, head + SYNC_COMPLETION);
}

/** A cookie for poll_state_synchronize_rcu: names the first grace period that starts after this call. */
export function get_state_synchronize_rcu(cpu: Cpu): number {
  // Everything the caller did so far, unpublishing in particular, is before the grace period it names.
  cpu.mem.fence();
  return rcu_gps_started(cpu) + 1;
}

/** True when a full grace period has passed since the cookie was taken. */
export function poll_state_synchronize_rcu(cpu: Cpu, cookie: number): boolean {
  return cpu.mem.loadAcquire(RCU_STATE + NR_GRACE_PERIODS) - cookie >= 0;
}

/** Waits until every callback queued before, on any CPU, has run. Implies no grace period of its own. */
export function rcu_barrier(cpu: Cpu): void {
  might_sleep(cpu);
  const nr = nr_cpu_ids(cpu);
  const barrier = stack_push(cpu, nr * SYNC_SIZE);
  for (let id = 0; id < nr; id++) {
    const sync = barrier + id * SYNC_SIZE;
    init_completion(cpu, sync + SYNC_COMPLETION);
    cpu.mem.write(sync + FUNC, WAKEME_AFTER_RCU);
    push_callback(cpu, id, sync);
  }
  for (let id = 0; id < nr; id++) wait_for_completion(cpu, barrier + id * SYNC_SIZE + SYNC_COMPLETION);
  stack_pop(cpu, barrier);
}

/** The grace-period thread. Returns when told to stop, no kworker is left and no callback. */
export function rcu_gp_kthread(cpu: Cpu): void {
  cpu.mem.storeRelease(RCU_STATE + GP_KTHREAD, cpu.id + 1);
  for (;;) {
    // The state goes first: a push after the test wakes us, and so does the last kworker's exit.
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    // Asked before the callbacks: what the last kworker pushed is then seen.
    const stop = kthread_should_stop(cpu) && !kthread_alive(cpu);
    if (callbacks_pending(cpu)) {
      set_current_state(cpu, TASK_RUNNING);
      rcu_gp_once(cpu);
    } else if (stop) break;
    else schedule(cpu);
  }
  set_current_state(cpu, TASK_RUNNING);
}

function callbacks_pending(cpu: Cpu): boolean {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    if (!llist_empty(cpu, per_cpu_ptr(cpu, CBLIST, id))) return true;
  }
  return false;
}

/** One grace period: takes all callbacks, waits for every CPU, runs them. False when there were none. */
export function rcu_gp_once(cpu: Cpu): boolean {
  const batch = stack_push(cpu, nr_cpu_ids(cpu) * 4);
  const any = take_callbacks(cpu, batch);
  if (any) {
    wait_for_quiescent_states(cpu, rcu_gp_start(cpu));
    count(cpu, NR_GRACE_PERIODS);
    for (let id = 0; id < nr_cpu_ids(cpu); id++) run_callbacks(cpu, cpu.mem.read(batch + id * 4));
  }
  stack_pop(cpu, batch);
  return any;
}

function take_callbacks(cpu: Cpu, batch: number): boolean {
  let any = false;
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    const first = llist_del_all(cpu, per_cpu_ptr(cpu, CBLIST, id));
    cpu.mem.write(batch + id * 4, llist_reverse_order(cpu, first, NEXT));
    if (first !== 0) any = true;
  }
  return any;
}

function wait_for_quiescent_states(cpu: Cpu, sequence: number): void {
  rcu_set_gp_waiter(cpu, cpu.id + 1);
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    if (id === cpu.id) continue;
    for (;;) {
      set_current_state(cpu, TASK_UNINTERRUPTIBLE);
      if (rcu_cpu_passed(cpu, id, sequence)) break;
      schedule(cpu);
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
    const next = cpu.mem.read(head + NEXT);
    symbol_call(cpu, cpu.mem.read(head + FUNC), head);
    count(cpu, NR_CALLBACKS);
    head = next;
  }
  cpu.preempt_count -= SOFTIRQ_OFFSET;
}

function count(cpu: Cpu, counter: number): void {
  cpu.mem.storeRelease(RCU_STATE + counter, cpu.mem.read(RCU_STATE + counter) + 1);
}

/** Grace periods finished and callbacks run since boot. */
export function rcu_grace_periods(cpu: Cpu): number {
  return cpu.mem.readOnce(RCU_STATE + NR_GRACE_PERIODS);
}
export function rcu_callbacks_run(cpu: Cpu): number {
  return cpu.mem.readOnce(RCU_STATE + NR_CALLBACKS);
}
