/**
 * What the CPUs do in rcu-threads.test.ts. The stress follows the idea of rcutorture: an element that was
 * unpublished ages by one per grace period; a reader that holds it may see age 0 or 1, never 2.
 */
import { kernel_static, kernel_symbol, type SymbolId, symbol_call } from "../debug/image.ts";
import {
  call_rcu,
  rcu_assign_pointer,
  rcu_barrier,
  rcu_dereference,
  rcu_grace_periods,
  RCU_HEAD_SIZE,
  rcu_read_lock,
  rcu_read_unlock,
  type RcuHeadPtr,
  synchronize_rcu,
} from "../rcu/rcu.ts";
import { complete, COMPLETION_SIZE, init_completion, wait_for_completion } from "../sched/completion.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { linger, nap, rendezvous, wait_until } from "./rendezvous.ts";

const ELEMENTS = 16;
const ELEMENT_SIZE = 128;
const AGE = RCU_HEAD_SIZE;
/** 1 while published or held by readers; cleared when it is freed. */
const ALIVE = AGE + 4;
const IN_USE = AGE + 8;
/** Grace periods after which an element is free again. */
const FREE_AGE = 10;

const POOL = kernel_static("test_elements", ELEMENTS * ELEMENT_SIZE);
const CURRENT = kernel_static("test_current", 4);
const STOP = kernel_static("test_stop", 4);
const POINT = kernel_static("test_point", 4);
const BUSTED = kernel_static("test_busted", 4);
const ORDER = kernel_static("test_order", 4);
const FLAG = kernel_static("test_flag", 4);
const READY = kernel_static("test_ready", 4);

const WAKE = kernel_static("test_wake", COMPLETION_SIZE);

const AGE_ELEMENT = kernel_symbol(age_element);
const CHECK_ORDER = kernel_symbol(check_order);

/** call_rcu, or a deliberately wrong one whose grace period is none (rcutorture's "busted"). */
function torture_call_rcu(cpu: Cpu, head: number, func: SymbolId): void {
  if (cpu.mem.read(BUSTED) === 0) call_rcu(cpu, head as RcuHeadPtr, func);
  else symbol_call(cpu, func, head);
}

function age_element(cpu: Cpu, element: number): void {
  const age = cpu.mem.fetchAdd(element + AGE, 1) + 1;
  if (age < FREE_AGE) {
    torture_call_rcu(cpu, element, AGE_ELEMENT);
    return;
  }
  cpu.mem.storeRelease(element + ALIVE, 0);
  cpu.mem.storeRelease(element + IN_USE, 0);
}

function new_element(cpu: Cpu): number {
  for (let i = 0; ; i = (i + 1) % ELEMENTS) {
    const element = POOL + i * ELEMENT_SIZE;
    if (cpu.mem.loadAcquire(element + IN_USE) === 0) {
      cpu.mem.storeRelease(element + IN_USE, 1);
      cpu.mem.storeRelease(element + AGE, 0);
      cpu.mem.storeRelease(element + ALIVE, 1);
      return element;
    }
    cond_resched(cpu);
  }
}

export interface Torture {
  /** pipe[n]: sections that ended with an element of age n. */
  pipe: number[];
  /** Sections that saw an element before it was initialised or after it was freed. */
  memoryErrors: number;
  gracePeriods: number;
}

export function set_up_torture(cpu: Cpu, busted: boolean): void {
  cpu.mem.write(BUSTED, busted ? 1 : 0);
  rcu_assign_pointer(cpu, CURRENT, new_element(cpu));
}

export function torture_reader(cpu: Cpu): Torture {
  const result: Torture = {
    pipe: Array.from({ length: FREE_AGE + 1 }, () => 0),
    memoryErrors: 0,
    gracePeriods: 0,
  };
  rendezvous(cpu, POINT, cpu.config.cpus);
  while (cpu.mem.loadAcquire(STOP) === 0) {
    rcu_read_lock(cpu);
    const element = rcu_dereference(cpu, CURRENT);
    linger(cpu, 600);
    if (cpu.mem.loadAcquire(element + ALIVE) !== 1) result.memoryErrors++;
    const age = Math.min(cpu.mem.loadAcquire(element + AGE), FREE_AGE);
    rcu_read_unlock(cpu);
    result.pipe[age] = (result.pipe[age] ?? 0) + 1;
    // Readers come and go: some sleep, as a CPU that goes offline.
    if (cpu.random32() % 64 === 0) nap(cpu, 1);
    cond_resched(cpu);
  }
  return result;
}

export function torture_writer(cpu: Cpu, _busted: boolean, ms: number): Torture {
  rendezvous(cpu, POINT, cpu.config.cpus);
  const end = cpu.now() + ms;
  while (cpu.now() < end) {
    const old = cpu.mem.read(CURRENT);
    rcu_assign_pointer(cpu, CURRENT, new_element(cpu));
    torture_call_rcu(cpu, old, AGE_ELEMENT);
    linger(cpu, 200);
    cond_resched(cpu);
  }
  cpu.mem.storeRelease(STOP, 1);
  return { pipe: [], memoryErrors: 0, gracePeriods: rcu_grace_periods(cpu) };
}

/** Another updater: only makes grace periods, with synchronize_rcu. */
export function fake_writer(cpu: Cpu): Torture {
  rendezvous(cpu, POINT, cpu.config.cpus);
  while (cpu.mem.loadAcquire(STOP) === 0) {
    synchronize_rcu(cpu);
    linger(cpu, 500);
  }
  return { pipe: [], memoryErrors: 0, gracePeriods: 0 };
}

export function settle(cpu: Cpu): void {
  // Elements age by callbacks that queue themselves again.
  for (let i = 0; i <= FREE_AGE; i++) rcu_barrier(cpu);
}

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

/** LKMM RCU+sync+read: x = 1; synchronize_rcu(); y = 1 against a reader of y, then x. Bad outcomes seen. */
const X = kernel_static("test_x", 4);
const Y = kernel_static("test_y", 4);
const BAD = kernel_static("test_bad", 4);
export function litmus_writer(cpu: Cpu, rounds: number): number {
  for (let round = 1; round <= rounds; round++) {
    rendezvous(cpu, POINT, cpu.config.cpus);
    cpu.mem.writeOnce(X, round);
    synchronize_rcu(cpu);
    cpu.mem.writeOnce(Y, round);
    rendezvous(cpu, POINT, cpu.config.cpus);
  }
  return cpu.mem.loadAcquire(BAD);
}
export function litmus_reader(cpu: Cpu, rounds: number): number {
  for (let round = 1; round <= rounds; round++) {
    rendezvous(cpu, POINT, cpu.config.cpus);
    linger(cpu, 300);
    rcu_read_lock(cpu);
    const x = cpu.mem.readOnce(X);
    linger(cpu, 300);
    const y = cpu.mem.readOnce(Y);
    rcu_read_unlock(cpu);
    // Reading x before the update, and y after the grace period, in one section.
    if (x !== round && y === round) cpu.mem.fetchAdd(BAD, 1);
    rendezvous(cpu, POINT, cpu.config.cpus);
  }
  return 0;
}
