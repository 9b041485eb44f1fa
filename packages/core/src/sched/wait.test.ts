/** Completions and wait queues on one CPU: the waits that end otherwise than by a wake-up. */
import { beforeEach, expect, test } from "vitest";
import { ERESTARTSYS } from "../debug/errno.ts";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  complete,
  complete_all,
  completion_done,
  COMPLETION_SIZE,
  init_completion,
  try_wait_for_completion,
  wait_for_completion,
  wait_for_completion_interruptible_timeout,
  wait_for_completion_io,
  wait_for_completion_io_timeout,
  wait_for_completion_killable,
  wait_for_completion_killable_timeout,
  wait_for_completion_state,
} from "./completion.ts";
import { type Cpu, stack_pop } from "./cpu.ts";
import {
  clear_thread_flag,
  current_state,
  current_task,
  set_current_state,
  set_tsk_thread_flag,
  TASK_INTERRUPTIBLE,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  TIF_SIGPENDING,
} from "./task.ts";
import { mod_timer, timer_setup, TIMER_SIZE, type TimerPtr } from "./timer.ts";
import {
  add_wait_queue,
  add_wait_queue_exclusive,
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait_event,
  remove_wait_queue,
  WAIT_QUEUE_HEAD_SIZE,
  wait_entry_push,
  waitqueue_active,
  wake_up,
  wake_up_interruptible,
  wake_up_interruptible_all,
} from "./wait.ts";

const X = kernel_static("wait_test_completion", COMPLETION_SIZE);
const WQ = kernel_static("wait_test_queue", WAIT_QUEUE_HEAD_SIZE);
const TIMER = kernel_static("wait_test_timer", TIMER_SIZE) as TimerPtr;
const COMPLETE = kernel_symbol(complete_x);
function complete_x(cpu: Cpu): void {
  complete(cpu, X);
}

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
  init_completion(cpu, X);
  init_waitqueue_head(cpu, WQ);
  timer_setup(cpu, TIMER, COMPLETE);
});

function signal(): void {
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
}

test("an interruptible wait with a limit: time left, 0, or -ERESTARTSYS; but a completion comes first", () => {
  expect(wait_for_completion_interruptible_timeout(cpu, X, 5)).toBe(0);
  mod_timer(cpu, TIMER, cpu.now() + 5);
  expect(wait_for_completion_interruptible_timeout(cpu, X, 50)).toBeGreaterThan(30);
  signal();
  expect(wait_for_completion_interruptible_timeout(cpu, X, 50)).toBe(-ERESTARTSYS);
  expect(wait_for_completion_state(cpu, X, TASK_INTERRUPTIBLE)).toBe(-ERESTARTSYS);
  complete(cpu, X);
  expect(wait_for_completion_interruptible_timeout(cpu, X, 50)).toBe(50);
  expect(completion_done(cpu, X)).toBe(false);
});

test("a signal does not end the other waits", () => {
  signal();
  for (const wait of [wait_for_completion_killable_timeout, wait_for_completion_io_timeout]) {
    mod_timer(cpu, TIMER, cpu.now() + 5);
    expect(wait(cpu, X, 50)).toBeGreaterThan(30);
    expect(wait(cpu, X, 5)).toBe(0);
  }
  mod_timer(cpu, TIMER, cpu.now() + 5);
  expect(wait_for_completion_killable(cpu, X)).toBe(0);
  mod_timer(cpu, TIMER, cpu.now() + 5);
  wait_for_completion_io(cpu, X);
  mod_timer(cpu, TIMER, cpu.now() + 5);
  expect(wait_for_completion_state(cpu, X, TASK_UNINTERRUPTIBLE)).toBe(0);
  expect(try_wait_for_completion(cpu, X)).toBe(false);
});

test("complete_all sticks: neither waits nor further completes change it", () => {
  complete(cpu, X);
  complete_all(cpu, X);
  complete(cpu, X);
  for (let i = 0; i < 5; i++) {
    wait_for_completion(cpu, X);
    expect(try_wait_for_completion(cpu, X)).toBe(true);
  }
  expect(completion_done(cpu, X)).toBe(true);
});

test("prepare_to_wait_event with a signal: off the queue, and the wake-up goes to somebody else", () => {
  const entry = wait_entry_push(cpu);
  expect(prepare_to_wait_event(cpu, WQ, entry, TASK_INTERRUPTIBLE, true)).toBe(0);
  expect(waitqueue_active(cpu, WQ)).toBe(true);
  signal();
  expect(prepare_to_wait_event(cpu, WQ, entry, TASK_INTERRUPTIBLE, true)).toBe(-ERESTARTSYS);
  expect(waitqueue_active(cpu, WQ)).toBe(false);
  expect(prepare_to_wait_event(cpu, WQ, entry, TASK_UNINTERRUPTIBLE)).toBe(0);
  finish_wait(cpu, WQ, entry);
  clear_thread_flag(cpu, TIF_SIGPENDING);
  expect([waitqueue_active(cpu, WQ), current_state(cpu)]).toEqual([false, TASK_RUNNING]);
});

test("an entry of add_wait_queue stays queued when it is woken", () => {
  for (const add of [add_wait_queue, add_wait_queue_exclusive]) {
    const entry = wait_entry_push(cpu);
    add(cpu, WQ, entry);
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    wake_up(cpu, WQ);
    expect([current_state(cpu), waitqueue_active(cpu, WQ)]).toEqual([TASK_RUNNING, true]);
    remove_wait_queue(cpu, WQ, entry);
    expect(waitqueue_active(cpu, WQ)).toBe(false);
    stack_pop(cpu, entry);
  }
});

test("wake_up_interruptible leaves uninterruptible sleepers alone", () => {
  const entry = wait_entry_push(cpu);
  add_wait_queue(cpu, WQ, entry);
  for (const wake of [wake_up_interruptible, wake_up_interruptible_all]) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    wake(cpu, WQ);
    expect(current_state(cpu)).toBe(TASK_UNINTERRUPTIBLE);
    set_current_state(cpu, TASK_INTERRUPTIBLE);
    wake(cpu, WQ);
    expect(current_state(cpu)).toBe(TASK_RUNNING);
  }
  remove_wait_queue(cpu, WQ, entry);
  stack_pop(cpu, entry);
  expect(dmesg(cpu)).toEqual([]);
});
