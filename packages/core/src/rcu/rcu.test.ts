/** RCU's laws on one CPU. Parallel ones are in rcu-threads.test.ts. */
import { beforeEach, expect, test } from "vitest";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { type Cpu, stack_push } from "../sched/cpu.ts";
import { cond_resched, might_sleep } from "../sched/schedule.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  call_rcu,
  rcu_barrier,
  rcu_callbacks_run,
  rcu_dereference_protected,
  rcu_gp_once,
  rcu_grace_periods,
  RCU_HEAD_SIZE,
  rcu_read_lock,
  rcu_read_lock_held,
  rcu_read_unlock,
  type RcuHeadPtr,
  synchronize_rcu,
} from "./rcu.ts";

const NOTE = kernel_symbol(note_callback);
const AGAIN = kernel_symbol(queue_again);
const SLEEPER = kernel_symbol(sleep_in_callback);
const PROTECTED = kernel_static("test_protected", 4);
let log: number[] = [];
function note_callback(_cpu: Cpu, head: number): void {
  log.push(head);
}
function queue_again(cpu: Cpu, head: number): void {
  log.push(head);
  call_rcu(cpu, head as RcuHeadPtr, NOTE);
}
function sleep_in_callback(cpu: Cpu): void {
  might_sleep(cpu);
}

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
  log = [];
});
function head(): RcuHeadPtr {
  return stack_push(cpu, RCU_HEAD_SIZE) as RcuHeadPtr;
}

test("a callback runs after a grace period, once, in order", () => {
  const [a, b, c] = [head(), head(), head()];
  for (const h of [a, b, c]) call_rcu(cpu, h, NOTE);
  expect(log).toEqual([]);
  expect(rcu_gp_once(cpu)).toBe(true);
  expect(log).toEqual([a, b, c]);
  expect(rcu_gp_once(cpu), "nothing left").toBe(false);
  expect([rcu_grace_periods(cpu), rcu_callbacks_run(cpu)]).toEqual([1, 3]);
});

test("a callback may queue itself again, for a later grace period", () => {
  const a = head();
  call_rcu(cpu, a, AGAIN);
  rcu_gp_once(cpu);
  expect(log).toEqual([a]);
  rcu_gp_once(cpu);
  expect(log).toEqual([a, a]);
});

test("rcu_barrier: everything queued before has run", () => {
  for (let i = 0; i < 10; i++) call_rcu(cpu, head(), NOTE);
  rcu_barrier(cpu);
  expect(log).toHaveLength(10);
});

test("read sections nest", () => {
  expect(rcu_read_lock_held(cpu)).toBe(false);
  rcu_read_lock(cpu);
  rcu_read_lock(cpu);
  rcu_read_unlock(cpu);
  expect(rcu_read_lock_held(cpu)).toBe(true);
  rcu_read_unlock(cpu);
  expect(rcu_read_lock_held(cpu)).toBe(false);
});

test("waiting for a grace period inside a read section warns", () => {
  rcu_read_lock(cpu);
  cond_resched(cpu);
  expect(dmesg(cpu), "a safe point is fine").toEqual([]);
  synchronize_rcu(cpu);
  expect(dmesg(cpu).join()).toContain("Illegal context switch in RCU read-side critical section!");
});

test("a callback runs in softirq context: sleeping in it warns", () => {
  call_rcu(cpu, head(), SLEEPER);
  rcu_gp_once(cpu);
  expect(dmesg(cpu).join()).toContain("BUG: sleeping function called from invalid context");
});

test("rcu_dereference_protected without the lock warns", () => {
  rcu_dereference_protected(cpu, PROTECTED, true);
  expect(dmesg(cpu)).toEqual([]);
  rcu_dereference_protected(cpu, PROTECTED, false);
  expect(dmesg(cpu).join()).toContain("suspicious rcu_dereference_protected() usage");
});
