/** What the CPUs do in rcu-threads.test.ts. */
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import {
  call_rcu,
  poll_state_synchronize_rcu,
  rcu_barrier,
  rcu_grace_periods,
  RCU_HEAD_SIZE,
  rcu_read_lock,
  rcu_read_unlock,
  type RcuHeadPtr,
  start_poll_synchronize_rcu,
  synchronize_rcu,
} from "../rcu/rcu.ts";
import { complete, COMPLETION_SIZE, init_completion, wait_for_completion } from "../sched/completion.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { msleep } from "../sched/delay.ts";
import { linger, rendezvous, wait_until } from "./rendezvous.ts";

const POINT = kernel_static("test_point", 4);
const ORDER = kernel_static("test_order", 4);
const FLAG = kernel_static("test_flag", 4);
const READY = kernel_static("test_ready", 4);

const WAKE = kernel_static("test_wake", COMPLETION_SIZE);

const CHECK_ORDER = kernel_symbol(check_order);

/** A callback of this CPU: { rcu_head, number, word of the last number }. */
const NUMBER = RCU_HEAD_SIZE;
const LAST = NUMBER + 4;
const CALLBACK_SIZE = 16;

function check_order(cpu: Cpu, head: number): void {
  const last = cpu.mem.read(head + LAST);
  if (cpu.mem.read(last) + 1 !== cpu.mem.read(head + NUMBER)) cpu.mem.fetchAdd(ORDER, 1);
  cpu.mem.write(last, cpu.mem.read(head + NUMBER));
}

/** Callbacks of one CPU run in order, and all before rcu_barrier returns. Failures. */
export function callbacks_in_order(cpu: Cpu, rounds: number, callbacks: number): number {
  const heads = stack_push(cpu, callbacks * CALLBACK_SIZE);
  const last = stack_push(cpu, 8);
  let wrong = 0;
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (let round = 0; round < rounds; round++) {
    cpu.mem.write(last, 0);
    for (let i = 0; i < callbacks; i++) {
      const head = heads + i * CALLBACK_SIZE;
      cpu.mem.write(head + NUMBER, i + 1);
      cpu.mem.write(head + LAST, last);
      call_rcu(cpu, head as RcuHeadPtr, CHECK_ORDER);
      linger(cpu, 50);
    }
    rcu_barrier(cpu);
    if (cpu.mem.read(last) !== callbacks) wrong++;
  }
  stack_pop(cpu, heads);
  return wrong + cpu.mem.loadAcquire(ORDER);
}

/** One CPU sits in a read section; the grace period of another must not end before. 1 if it did. */
export function long_reader(cpu: Cpu): number {
  rcu_read_lock(cpu);
  cpu.mem.fetchAdd(READY, 1);
  // Long enough for a grace period that ignores us to end; interrupts and safe points do not count.
  const end = cpu.now() + 50;
  while (cpu.now() < end) cond_resched(cpu);
  const early = cpu.mem.loadAcquire(FLAG);
  rcu_read_unlock(cpu);
  // No longer a reader, but still busy: the safe point lets the grace period end.
  while (cpu.mem.loadAcquire(FLAG) === 0) cond_resched(cpu);
  return early;
}
export function waiting_writer(cpu: Cpu): number {
  wait_until(cpu, READY, 1);
  synchronize_rcu(cpu);
  cpu.mem.storeRelease(FLAG, 1);
  return 0;
}

/** A CPU asleep in schedule() holds up no grace period: it is woken only after five. How many it slept through. */
export function sleeper(cpu: Cpu): number {
  const before = rcu_grace_periods(cpu);
  wait_for_completion(cpu, WAKE);
  return rcu_grace_periods(cpu) - before;
}
export function set_up_sleeper(cpu: Cpu): void {
  init_completion(cpu, WAKE);
}
export function many_grace_periods(cpu: Cpu): number {
  for (let i = 0; i < 5; i++) synchronize_rcu(cpu);
  complete(cpu, WAKE);
  return 0;
}

/** Cookies, no callbacks, against a CPU that is busy with sections. Grace periods that came. */
export function polling_writer(cpu: Cpu): number {
  let done = 0;
  for (let i = 0; i < 20; i++) {
    const cookie = start_poll_synchronize_rcu(cpu);
    while (!poll_state_synchronize_rcu(cpu, cookie)) msleep(cpu, 1);
    done++;
  }
  cpu.mem.storeRelease(FLAG, 1);
  return done;
}
export function busy_reader(cpu: Cpu): number {
  while (cpu.mem.loadAcquire(FLAG) === 0) {
    rcu_read_lock(cpu);
    linger(cpu, 100);
    rcu_read_unlock(cpu);
    cond_resched(cpu);
  }
  return 0;
}

/** Both CPUs queue the same head in each round; nothing must break. */
const SHARED_HEAD = kernel_static("test_shared_head", RCU_HEAD_SIZE);
const RUNS = kernel_static("test_double_runs", 4);
const COUNT_RUN = kernel_symbol(count_run);
function count_run(cpu: Cpu): void {
  cpu.mem.fetchAdd(RUNS, 1);
}
export function double_caller(cpu: Cpu, rounds: number): number {
  for (let round = 0; round < rounds; round++) {
    rendezvous(cpu, POINT, cpu.config.cpus);
    call_rcu(cpu, SHARED_HEAD as RcuHeadPtr, COUNT_RUN);
    rendezvous(cpu, POINT, cpu.config.cpus);
    rcu_barrier(cpu);
  }
  return 0;
}
export function runs_of_double(cpu: Cpu): number {
  rcu_barrier(cpu);
  return cpu.mem.loadAcquire(RUNS);
}
