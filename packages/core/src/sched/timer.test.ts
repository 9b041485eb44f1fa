/** Timers on one CPU: what the verbs return, in every state a timer can be in. */
import { beforeEach, expect, test } from "vitest";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { boot_solo, dmesg, SoloPlatform } from "../testing/solo.ts";
import type { Cpu } from "./cpu.ts";
import { cond_resched, in_softirq } from "./schedule.ts";
import {
  add_timer,
  add_timer_on,
  mod_timer,
  mod_timer_pending,
  timer_delete,
  timer_delete_sync,
  timer_expires,
  timer_pending,
  type TimerPtr,
  timer_reduce,
  timer_set_expires,
  timer_setup,
  timer_shutdown,
  timer_shutdown_sync,
  TIMER_SIZE,
  try_to_del_timer_sync,
} from "./timer.ts";

const TIMER = kernel_static("timer_test_timer", TIMER_SIZE) as TimerPtr;

let ran: boolean[] = [];
const NOTE = kernel_symbol(note_run);
function note_run(cpu: Cpu): void {
  ran.push(in_softirq(cpu));
}
let answers: unknown[] = [];
const DELETE_SELF = kernel_symbol(delete_self);
function delete_self(cpu: Cpu, timer: TimerPtr): void {
  answers.push(timer_pending(cpu, timer), try_to_del_timer_sync(cpu, timer));
  mod_timer(cpu, timer, cpu.now() + 5);
  answers.push(timer_delete_sync(cpu, timer), timer_pending(cpu, timer));
}
const SHUT_SELF = kernel_symbol(shut_self);
function shut_self(cpu: Cpu, timer: TimerPtr): void {
  answers.push(timer_shutdown_sync(cpu, timer), mod_timer(cpu, timer, cpu.now() + 5));
}

const ARM_SELF = kernel_symbol(arm_self);
function arm_self(cpu: Cpu, timer: TimerPtr): void {
  ran.push(in_softirq(cpu));
  if (ran.length < 100) mod_timer(cpu, timer, cpu.now() - 1);
}

let cpu: Cpu;
let clock: SoloPlatform;
beforeEach(() => {
  ran = [];
  answers = [];
  clock = new SoloPlatform();
  cpu = boot_solo({ platform: clock });
  timer_setup(cpu, TIMER, NOTE);
});

function at(ms: number): void {
  clock.time_ms = ms;
  cond_resched(cpu);
}

test("a function that arms its own timer for now runs again in the next jiffy, not at once", () => {
  timer_setup(cpu, TIMER, ARM_SELF);
  mod_timer(cpu, TIMER, 10);
  at(10);
  expect([ran.length, timer_expires(cpu, TIMER)]).toEqual([1, 11]);
  at(11);
  expect(ran).toHaveLength(2);
});

test("the function runs once, in softirq context, and the timer is not pending when it does", () => {
  mod_timer(cpu, TIMER, 10);
  at(9);
  expect([ran.length, timer_pending(cpu, TIMER)]).toEqual([0, true]);
  at(10);
  at(100);
  expect([ran, timer_pending(cpu, TIMER)]).toEqual([[true], false]);
});

test("mod_timer re-arms whatever the state, and says whether it was pending", () => {
  expect(mod_timer(cpu, TIMER, 10)).toBe(0);
  expect(mod_timer(cpu, TIMER, 30)).toBe(1);
  expect(timer_expires(cpu, TIMER)).toBe(30);
  at(20);
  expect(ran).toEqual([]);
  expect(mod_timer(cpu, TIMER, 25)).toBe(1);
  at(25);
  expect(ran).toHaveLength(1);
  expect(mod_timer(cpu, TIMER, 30), "it has run").toBe(0);
});

test("mod_timer_pending leaves a timer alone that is not pending", () => {
  expect(mod_timer_pending(cpu, TIMER, 10)).toBe(0);
  expect(timer_pending(cpu, TIMER)).toBe(false);
  mod_timer(cpu, TIMER, 10);
  expect(mod_timer_pending(cpu, TIMER, 20)).toBe(1);
  expect(timer_expires(cpu, TIMER)).toBe(20);
});

test("timer_reduce never postpones", () => {
  expect(timer_reduce(cpu, TIMER, 50)).toBe(0);
  expect(timer_reduce(cpu, TIMER, 60)).toBe(1);
  expect(timer_expires(cpu, TIMER)).toBe(50);
  expect(timer_reduce(cpu, TIMER, 40)).toBe(1);
  expect(timer_expires(cpu, TIMER)).toBe(40);
  timer_delete(cpu, TIMER);
  expect(timer_reduce(cpu, TIMER, 70), "an expiry of the past does not count").toBe(0);
  expect([timer_pending(cpu, TIMER), timer_expires(cpu, TIMER)]).toEqual([true, 70]);
});

test("add_timer arms for what was set, and warns when the timer is pending", () => {
  timer_set_expires(cpu, TIMER, 12.5);
  add_timer(cpu, TIMER);
  expect(timer_expires(cpu, TIMER)).toBe(13);
  expect(dmesg(cpu)).toEqual([]);
  add_timer(cpu, TIMER);
  expect(dmesg(cpu)).toHaveLength(1);
  at(13);
  add_timer_on(cpu, TIMER, 0);
  at(14);
  expect(ran).toHaveLength(2);
});

test("a timer that was shut down cannot be armed until it is set up again", () => {
  mod_timer(cpu, TIMER, 10);
  expect(timer_shutdown(cpu, TIMER)).toBe(1);
  expect(timer_shutdown_sync(cpu, TIMER)).toBe(0);
  timer_set_expires(cpu, TIMER, 10);
  add_timer(cpu, TIMER);
  expect([mod_timer(cpu, TIMER, 10), timer_reduce(cpu, TIMER, 10), timer_pending(cpu, TIMER)]).toEqual([
    0,
    0,
    false,
  ]);
  at(50);
  expect(ran).toEqual([]);
  timer_setup(cpu, TIMER, NOTE);
  mod_timer(cpu, TIMER, 60);
  at(60);
  expect(ran).toHaveLength(1);
  expect(dmesg(cpu)).toEqual([]);
});

test("timer_delete_sync in the timer's own function warns, does not hang, and disarms", () => {
  timer_setup(cpu, TIMER, DELETE_SELF);
  mod_timer(cpu, TIMER, 10);
  at(10);
  expect(answers).toEqual([false, -1, 1, false]);
  expect(dmesg(cpu).join()).toMatch(/timer_delete_sync.*delete_self/);
  at(100);
  expect(answers).toHaveLength(4);
});

test("timer_shutdown_sync in the timer's own function warns and is for good", () => {
  timer_setup(cpu, TIMER, SHUT_SELF);
  mod_timer(cpu, TIMER, 10);
  at(10);
  expect(answers).toEqual([0, 0]);
  expect(dmesg(cpu)).toHaveLength(1);
});

test("timers of one time run in the order in which they were armed", () => {
  const order: number[] = [];
  const timers = [0, 1, 2, 3].map((i) => (TIMERS + i * TIMER_SIZE) as TimerPtr);
  for (const timer of timers) timer_setup(cpu, timer, ORDER);
  orderLog = order;
  for (const i of [2, 0, 3, 1]) mod_timer(cpu, timers[i] as TimerPtr, 10);
  mod_timer(cpu, timers[0] as TimerPtr, 10);
  at(10);
  expect(order.map((timer) => timers.indexOf(timer as TimerPtr))).toEqual([2, 3, 1, 0]);
});
const TIMERS = kernel_static("timer_test_timers", 4 * TIMER_SIZE);
let orderLog: number[] = [];
const ORDER = kernel_symbol(note_order);
function note_order(_cpu: Cpu, timer: number): void {
  orderLog.push(timer);
}
