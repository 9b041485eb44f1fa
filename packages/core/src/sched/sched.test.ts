/** Sleeping, waking, timers, task work and interrupts on one CPU: return values and order. */
import { beforeEach, expect, test } from "vitest";
import { ERESTARTSYS } from "../debug/errno.ts";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { spin_lock, spin_unlock } from "../lock/spinlock.ts";
import { boot_solo, dmesg, SoloPlatform } from "../testing/solo.ts";
import {
  complete,
  complete_all,
  completion_done,
  COMPLETION_SIZE,
  init_completion,
  reinit_completion,
  try_wait_for_completion,
  wait_for_completion,
  wait_for_completion_interruptible,
  wait_for_completion_timeout,
} from "./completion.ts";
import { type Cpu, stack_pop, stack_push } from "./cpu.ts";
import { free_irq, irq_is_pending, irq_poll, irq_raise, request_irq } from "./irq.ts";
import { cond_resched, MAX_SCHEDULE_TIMEOUT, schedule, schedule_timeout } from "./schedule.ts";
import {
  clear_thread_flag,
  current_state,
  current_task,
  set_current_state,
  set_tsk_thread_flag,
  signal_pending,
  TASK_INTERRUPTIBLE,
  TASK_NORMAL,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  TIF_SIGPENDING,
  try_to_wake_up,
} from "./task.ts";
import {
  type CallbackHeadPtr,
  init_task_work,
  task_work_add,
  task_work_pending,
  task_work_run,
} from "./task-work.ts";
import { mod_timer, timer_delete, timer_pending, timer_setup, TIMER_SIZE, type TimerPtr } from "./timer.ts";
import {
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  prepare_to_wait_exclusive,
  WAIT_QUEUE_HEAD_SIZE,
  wait_entry_push,
  waitqueue_active,
  wake_up,
} from "./wait.ts";

let log: number[] = [];
const NOTE = kernel_symbol(note_call);
const ADD_MORE = kernel_symbol(add_more);
const REARM = kernel_symbol(rearm);
const COMPLETE = kernel_symbol(complete_from_timer);
const X = kernel_static("test_completion", COMPLETION_SIZE);
const TIMER = kernel_static("test_timer", TIMER_SIZE) as TimerPtr;
const LOCK = kernel_static("test_lock", 4);
function note_call(_cpu: Cpu, value: number): void {
  log.push(value);
}
function add_more(cpu: Cpu, work: number): void {
  log.push(work);
  init_task_work(cpu, work as CallbackHeadPtr, NOTE);
  task_work_add(cpu, current_task(cpu), work as CallbackHeadPtr);
}
function rearm(cpu: Cpu, timer: number): void {
  log.push(timer);
  if (log.length < 3) mod_timer(cpu, timer as TimerPtr, cpu.now() + 10);
}
function complete_from_timer(cpu: Cpu): void {
  complete(cpu, X);
}

let cpu: Cpu;
let clock: SoloPlatform;
beforeEach(() => {
  log = [];
  clock = new SoloPlatform();
  cpu = boot_solo({ platform: clock });
  init_completion(cpu, X);
});

test("schedule() returns at once while the task is running, and always as TASK_RUNNING", () => {
  schedule(cpu);
  expect(schedule_timeout(cpu, MAX_SCHEDULE_TIMEOUT)).toBe(MAX_SCHEDULE_TIMEOUT);
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  expect(schedule_timeout(cpu, 20)).toBe(0);
  expect(current_state(cpu)).toBe(TASK_RUNNING);
  expect(clock.time_ms).toBeGreaterThanOrEqual(20);
});

test("a wake-up before schedule() is not lost, and a wake-up of a running task does nothing", () => {
  expect(try_to_wake_up(cpu, current_task(cpu), TASK_NORMAL)).toBe(false);
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  expect(try_to_wake_up(cpu, current_task(cpu), TASK_INTERRUPTIBLE), "not in the mask").toBe(false);
  expect(try_to_wake_up(cpu, current_task(cpu), TASK_NORMAL)).toBe(true);
  expect(schedule_timeout(cpu, 50)).toBe(50);
});

test("a signal ends interruptible sleeps only", () => {
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  expect(signal_pending(cpu)).toBe(true);
  set_current_state(cpu, TASK_INTERRUPTIBLE);
  expect(schedule_timeout(cpu, 50)).toBe(50);
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  expect(schedule_timeout(cpu, 50)).toBe(0);
  expect(wait_for_completion_interruptible(cpu, X)).toBe(-ERESTARTSYS);
  complete(cpu, X);
  expect(wait_for_completion_interruptible(cpu, X), "done is looked at first").toBe(0);
  clear_thread_flag(cpu, TIF_SIGPENDING);
  expect(signal_pending(cpu)).toBe(false);
});

test("sleeping with a spinlock held warns", () => {
  spin_lock(cpu, LOCK);
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  schedule_timeout(cpu, 1);
  spin_unlock(cpu, LOCK);
  expect(dmesg(cpu)).toEqual([expect.stringContaining("BUG: scheduling while atomic")]);
});

test("a completion counts; complete_all is for ever; reinit forgets", () => {
  complete(cpu, X);
  complete(cpu, X);
  wait_for_completion(cpu, X);
  expect(completion_done(cpu, X)).toBe(true);
  expect(try_wait_for_completion(cpu, X)).toBe(true);
  expect(try_wait_for_completion(cpu, X)).toBe(false);
  expect(completion_done(cpu, X)).toBe(false);
  complete_all(cpu, X);
  for (let i = 0; i < 3; i++) wait_for_completion(cpu, X);
  complete(cpu, X);
  expect(try_wait_for_completion(cpu, X)).toBe(true);
  reinit_completion(cpu, X);
  expect(completion_done(cpu, X)).toBe(false);
});

test("wait_for_completion_timeout: 0 when time runs out, else what is left, at least 1", () => {
  expect(wait_for_completion_timeout(cpu, X, 10)).toBe(0);
  complete(cpu, X);
  expect(wait_for_completion_timeout(cpu, X, 0), "done already").toBe(1);
  timer_setup(cpu, TIMER, COMPLETE);
  mod_timer(cpu, TIMER, cpu.now() + 10);
  const left = wait_for_completion_timeout(cpu, X, 100);
  expect(left).toBeGreaterThan(50);
  expect(left).toBeLessThanOrEqual(90);
});

test("wake_up wakes all plain waiters and one exclusive, in order", () => {
  const wq = stack_push(cpu, WAIT_QUEUE_HEAD_SIZE);
  init_waitqueue_head(cpu, wq);
  expect(waitqueue_active(cpu, wq)).toBe(false);
  const entry = wait_entry_push(cpu);
  prepare_to_wait_exclusive(cpu, wq, entry, TASK_UNINTERRUPTIBLE);
  expect(waitqueue_active(cpu, wq)).toBe(true);
  wake_up(cpu, wq);
  expect(current_state(cpu)).toBe(TASK_RUNNING);
  expect(waitqueue_active(cpu, wq), "woken entries leave the queue").toBe(false);
  prepare_to_wait(cpu, wq, entry, TASK_INTERRUPTIBLE);
  finish_wait(cpu, wq, entry);
  expect([current_state(cpu), waitqueue_active(cpu, wq)]).toEqual([TASK_RUNNING, false]);
  stack_pop(cpu, wq);
});

test("timers run in order of expiry, not before their time, and only once", () => {
  const timers = [30, 10, 20, 10].map((delay) => {
    const timer = stack_push(cpu, TIMER_SIZE) as TimerPtr;
    timer_setup(cpu, timer, NOTE);
    expect(mod_timer(cpu, timer, cpu.now() + delay + 0.5)).toBe(0);
    return timer;
  }) as [TimerPtr, TimerPtr, TimerPtr, TimerPtr];
  clock.time_ms = 10.4;
  cond_resched(cpu);
  expect(log, "half a millisecond early").toEqual([]);
  clock.time_ms = 25;
  cond_resched(cpu);
  expect(log).toEqual([timers[1], timers[3], timers[2]]);
  expect(timer_pending(cpu, timers[0])).toBe(true);
  expect(mod_timer(cpu, timers[0], 50), "was pending").toBe(1);
  expect(timer_delete(cpu, timers[0])).toBe(1);
  expect(timer_delete(cpu, timers[0])).toBe(0);
  clock.time_ms = 100;
  cond_resched(cpu);
  expect(log).toHaveLength(3);
});

test("a timer may arm itself again", () => {
  timer_setup(cpu, TIMER, REARM);
  mod_timer(cpu, TIMER, 10);
  for (clock.time_ms = 1; clock.time_ms < 100; clock.time_ms++) cond_resched(cpu);
  expect(log).toEqual([TIMER, TIMER, TIMER]);
});

test("task works run oldest first, those they add too, and leave no signal pending", () => {
  const works = [1, 2, 3].map(() => stack_push(cpu, 8) as CallbackHeadPtr);
  for (const work of works) {
    init_task_work(cpu, work, work === works[0] ? ADD_MORE : NOTE);
    task_work_add(cpu, current_task(cpu), work);
  }
  expect([task_work_pending(cpu), signal_pending(cpu)]).toEqual([true, true]);
  expect(task_work_run(cpu)).toBe(true);
  expect(log).toEqual([...works, works[0]]);
  expect([task_work_pending(cpu), signal_pending(cpu), task_work_run(cpu)]).toEqual([false, false, false]);
});

test("an interrupt runs at the next safe point, once per raise that finds it clear, never under a spinlock", () => {
  request_irq(cpu, 0, 5, NOTE, 77);
  irq_raise(cpu, 0, 5);
  irq_raise(cpu, 0, 5);
  expect(irq_is_pending(cpu)).toBe(true);
  spin_lock(cpu, LOCK);
  expect(irq_poll(cpu)).toBe(false);
  spin_unlock(cpu, LOCK);
  cond_resched(cpu);
  expect(log).toEqual([77]);
  free_irq(cpu, 0, 5);
  irq_raise(cpu, 0, 5);
  cond_resched(cpu);
  expect(log, "no handler").toEqual([77]);
});
