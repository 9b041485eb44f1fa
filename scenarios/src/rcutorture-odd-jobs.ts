/**
 * Smaller parts of the torture: readers that come for one section and go (rcu_torture_read_exit), and a head queued
 * twice (rcu_test_debug_objects); and one CPU that does them, barriers and forward progress by turns.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { LOG_INFO, printk } from "@ringside/core/debug/dmesg";
import {
  call_rcu,
  destroy_rcu_head_on_stack,
  init_rcu_head_on_stack,
  rcu_barrier,
  RCU_HEAD_SIZE,
  rcu_read_lock,
  rcu_read_unlock,
  type RcuHeadPtr,
} from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import {
  flush_work,
  INIT_WORK,
  queue_work,
  system_wq,
  WORK_STRUCT_SIZE,
} from "@ringside/core/sched/workqueue";
import { rcu_torture_barrier, rcu_torture_barrier_once } from "./rcutorture-barrier.ts";
import { rcu_torture_fwd_prog_cr, rcu_torture_fwd_prog_nr } from "./rcutorture-fwd.ts";
import { torture_can_poll, torture_cb_barrier } from "./rcutorture-ops.ts";
import { rcu_torture_one_read } from "./rcutorture-reader.ts";
import { N_READ_EXITS, stutter_wait, torture_must_stop, torture_sleep } from "./rcutorture-state.ts";

const READ_EXIT_CHILD = kernel_symbol(rcu_torture_read_exit_child);
const LEAK_CB = kernel_symbol(rcu_torture_leak_cb);
const ERR_CB = kernel_symbol(rcu_torture_err_cb);

/** Children of one burst (read_exit_burst). */
const READ_EXIT_BURST = 16;
const DUPLICATED = "rcutorture: duplicated callback was invoked.";
/** How long one forward-progress test takes at least, and the pause of the odd jobs between two rounds (ms). */
const FWD_MS = 50;
const ODD_JOBS_PAUSE_MS = 50;

/** The child sleeps, reads once, and is gone: its thread goes idle right after the section. */
function rcu_torture_read_exit_child(cpu: Cpu): void {
  torture_sleep(cpu, 1);
  rcu_torture_one_read(cpu, -1);
}

/** A burst of children, one after the other. Each is a work: there are no threads to be made at run time. */
export function rcu_torture_read_exit(cpu: Cpu): void {
  const child = stack_push(cpu, WORK_STRUCT_SIZE);
  INIT_WORK(cpu, child, READ_EXIT_CHILD);
  for (let i = 0; i < READ_EXIT_BURST && !torture_must_stop(cpu); i++) {
    queue_work(cpu, system_wq(cpu), child);
    cond_resched(cpu);
    flush_work(cpu, child);
    cpu.mem.fetchAdd(N_READ_EXITS, 1);
    stutter_wait(cpu);
  }
  torture_cb_barrier(cpu);
  stack_pop(cpu, child);
}

function rcu_torture_leak_cb(): void {}

function rcu_torture_err_cb(cpu: Cpu): void {
  printk(cpu, LOG_INFO, DUPLICATED);
}

/** Gives one head to call_rcu twice: debug objects must see it, and the second callback must not run. */
export function rcu_test_debug_objects(cpu: Cpu): void {
  const rh1 = stack_push(cpu, RCU_HEAD_SIZE) as RcuHeadPtr;
  const rh2 = stack_push(cpu, RCU_HEAD_SIZE) as RcuHeadPtr;
  init_rcu_head_on_stack(cpu, rh1);
  init_rcu_head_on_stack(cpu, rh2);
  // No grace period ends meanwhile.
  rcu_read_lock(cpu);
  call_rcu(cpu, rh1, LEAK_CB);
  call_rcu(cpu, rh2, LEAK_CB);
  call_rcu(cpu, rh2, ERR_CB);
  rcu_read_unlock(cpu);
  rcu_barrier(cpu);
  destroy_rcu_head_on_stack(cpu, rh1);
  destroy_rcu_head_on_stack(cpu, rh2);
  stack_pop(cpu, rh2);
  stack_pop(cpu, rh1);
}

/** Barriers, visiting readers and forward progress by turns on one CPU, until the torture stops. */
export function rcu_torture_odd_jobs(cpu: Cpu): void {
  // Without rcu_barrier nobody may rely on a callback's stack or heap.
  if (!torture_can_poll(cpu)) return rcu_torture_barrier(cpu);
  while (!torture_must_stop(cpu)) {
    for (let i = 0; i < 10 && !torture_must_stop(cpu); i++) rcu_torture_barrier_once(cpu);
    rcu_torture_read_exit(cpu);
    rcu_torture_fwd_prog_nr(cpu, FWD_MS);
    rcu_torture_fwd_prog_cr(cpu);
    torture_sleep(cpu, ODD_JOBS_PAUSE_MS);
    stutter_wait(cpu);
  }
}
