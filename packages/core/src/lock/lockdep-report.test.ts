/**
 * What lockdep prints, whole: the classic cycles, each from a run of one task in which nothing deadlocks. When lockdep
 * speaks at all is in lockdep.test.ts.
 */
import { expect, it } from "vitest";
import { dmesg_read, LOG_INFO } from "../debug/dmesg.ts";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { dma_fence_begin_signalling, dma_fence_end_signalling } from "../dma/fence-lockdep.ts";
import { dma_fence_context_alloc, dma_fence_signal, dma_fence_wait } from "../dma/fence.ts";
import type { DmaFencePtr } from "../dma/fence-struct.ts";
import { mock_fence } from "../dma/testing/mock-fence.ts";
import { rcu_dereference, rcu_read_lock, synchronize_rcu } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { flush_work, INIT_WORK, queue_work, system_wq, WORK_STRUCT_SIZE } from "../sched/workqueue.ts";
import { boot_solo } from "../testing/solo.ts";
import { mutex_init, mutex_lock, mutex_unlock, MUTEX_SIZE } from "./mutex.ts";

const A = kernel_static("lockdep_report_a", MUTEX_SIZE);
const B = kernel_static("lockdep_report_b", MUTEX_SIZE);
const C = kernel_static("lockdep_report_c", MUTEX_SIZE);
const WORK = kernel_static("lockdep_report_work", WORK_STRUCT_SIZE);

function boot(): Cpu {
  const cpu = boot_solo({ lockdep: true });
  mutex_init(cpu, A, "&a");
  mutex_init(cpu, B, "&b");
  mutex_init(cpu, C, "&c");
  return cpu;
}

function lock_a(cpu: Cpu): void {
  mutex_lock(cpu, A);
}
function lock_b(cpu: Cpu): void {
  mutex_lock(cpu, B);
}
function lock_c(cpu: Cpu): void {
  mutex_lock(cpu, C);
}
function unlock(cpu: Cpu, ...locks: readonly number[]): void {
  for (const lock of locks) mutex_unlock(cpu, lock);
}

const WORK_LOCKS_A = kernel_symbol(work_locks_a);
function work_locks_a(cpu: Cpu): void {
  lock_a(cpu);
  unlock(cpu, A);
}

function signal_with_a(cpu: Cpu, fence: DmaFencePtr): void {
  const cookie = dma_fence_begin_signalling(cpu);
  lock_a(cpu);
  unlock(cpu, A);
  dma_fence_signal(cpu, fence);
  dma_fence_end_signalling(cpu, cookie);
}

function wait_in_reader(cpu: Cpu): void {
  rcu_read_lock(cpu);
  synchronize_rcu(cpu);
}

function follow(cpu: Cpu): void {
  rcu_dereference(cpu, A);
}

/** The first report down to its stack: functions without their lines, no addresses. */
function report(cpu: Cpu): string[] {
  const records = dmesg_read(cpu, 0);
  const end = records.findIndex((record) => record.text === "stack backtrace:") + 1;
  const whole = records.slice(0, end);
  expect(whole.map((record) => record.level === LOG_INFO)).toEqual(whole.map((_, i) => i > 0));
  return whole.map(({ text }) => text.replace(/ \S+\.ts:\d+/, "").replace(/\b[0-9a-f]{8}\b/, "ADDRESS"));
}

const SCENARIO = [
  "other info that might help us debug this:",
  " Possible unsafe locking scenario:",
  "       CPU0                    CPU1",
  "       ----                    ----",
];

it("ABBA: the order of two locks", () => {
  const cpu = boot();
  lock_a(cpu);
  lock_b(cpu);
  unlock(cpu, B, A);
  lock_b(cpu);
  lock_a(cpu);
  expect(report(cpu)).toEqual([
    "WARNING: possible circular locking dependency detected",
    "------------------------------------------------------",
    "cpu0/0 is trying to acquire lock:",
    "ADDRESS (&a){+.+.}, at: lock_a",
    "but task is already holding lock:",
    "ADDRESS (&b){+.+.}, at: lock_b",
    "which lock already depends on the new lock.",
    "the existing dependency chain (in reverse order) is:",
    "-> #1 (&b){+.+.}:",
    "       lock_b",
    "       with (&a){+.+.} held since",
    "       lock_a",
    "-> #0 (&a){+.+.}:",
    "       lock_a",
    ...SCENARIO,
    "  lock(&b);",
    "                               lock(&a);",
    "                               lock(&b);",
    "  lock(&a);",
    " *** DEADLOCK ***",
    "2 locks held by cpu0/0:",
    " #0: ADDRESS (&b){+.+.}, at: lock_b",
    " #1: ADDRESS (&a){+.+.}, at: lock_a <acquiring>",
    "stack backtrace:",
  ]);
});

it("the stack of a report begins with the verb that takes the lock, then its caller", () => {
  const cpu = boot();
  lock_a(cpu);
  lock_b(cpu);
  unlock(cpu, B, A);
  lock_b(cpu);
  lock_a(cpu);
  const lines = dmesg_read(cpu, 0).map((record) => record.text);
  const stack = lines.slice(lines.indexOf("stack backtrace:") + 1);
  const frames = stack.map((line) => /^ (\S+) \S+\.ts:\d+$/.exec(line)?.[1]);
  expect(frames.slice(0, 3)).toEqual(["mutex_lock_checked", "mutex_lock", "lock_a"]);
});

it("a longer cycle: the chain in reverse order, and its two ends with what is between", () => {
  const cpu = boot();
  lock_a(cpu);
  lock_b(cpu);
  unlock(cpu, B, A);
  lock_b(cpu);
  lock_c(cpu);
  unlock(cpu, C, B);
  lock_c(cpu);
  lock_a(cpu);
  expect(report(cpu).slice(7)).toEqual([
    "the existing dependency chain (in reverse order) is:",
    "-> #2 (&c){+.+.}:",
    "       lock_c",
    "       with (&b){+.+.} held since",
    "       lock_b",
    "-> #1 (&b){+.+.}:",
    "       lock_b",
    "       with (&a){+.+.} held since",
    "       lock_a",
    "-> #0 (&a){+.+.}:",
    "       lock_a",
    "other info that might help us debug this:",
    "Chain exists of:",
    "  &a --> &b --> &c",
    ...SCENARIO.slice(1),
    "  lock(&c);",
    "                               lock(&b);",
    "                               lock(&c);",
    "  lock(&a);",
    " *** DEADLOCK ***",
    "2 locks held by cpu0/0:",
    " #0: ADDRESS (&c){+.+.}, at: lock_c",
    " #1: ADDRESS (&a){+.+.}, at: lock_a <acquiring>",
    "stack backtrace:",
  ]);
});

it("flush under a lock: a work is waited for while its function wants what the waiter holds", () => {
  const cpu = boot();
  INIT_WORK(cpu, WORK, WORK_LOCKS_A);
  queue_work(cpu, system_wq(cpu), WORK);
  flush_work(cpu, WORK);
  lock_a(cpu);
  flush_work(cpu, WORK);
  const work = "((work_completion)work_locks_a){+.+.}";
  expect(report(cpu)).toEqual([
    "WARNING: possible circular locking dependency detected",
    "------------------------------------------------------",
    "cpu0/0 is trying to acquire lock:",
    expect.stringContaining(`map ${work}, at: `),
    "but task is already holding lock:",
    "ADDRESS (&a){+.+.}, at: lock_a",
    "which lock already depends on the new lock.",
    "the existing dependency chain (in reverse order) is:",
    "-> #1 (&a){+.+.}:",
    "       lock_a",
    `       with ${work} held since`,
    "       call_work_function",
    `-> #0 ${work}:`,
    expect.stringMatching(/^ {7}\w+$/),
    ...SCENARIO,
    "  lock(&a);",
    "                               lock((work_completion)work_locks_a);",
    "                               lock(&a);",
    "  lock((work_completion)work_locks_a);",
    " *** DEADLOCK ***",
    "2 locks held by cpu0/0:",
    " #0: ADDRESS (&a){+.+.}, at: lock_a",
    expect.stringContaining(` #1: map ${work}, at: `),
    "stack backtrace:",
  ]);
});

it("fence under a lock: a fence is waited for while who signals wants what the waiter holds", () => {
  const cpu = boot();
  const fence = mock_fence(cpu, dma_fence_context_alloc(cpu, 1), 1);
  signal_with_a(cpu, fence);
  lock_a(cpu);
  dma_fence_wait(cpu, fence, false);
  expect(report(cpu)).toEqual([
    "WARNING: possible circular locking dependency detected",
    "------------------------------------------------------",
    "cpu0/0 is trying to acquire lock:",
    "ADDRESS (dma_fence_map){++++}, at: dma_fence_wait_timeout",
    "but task is already holding lock:",
    "ADDRESS (&a){+.+.}, at: lock_a",
    "which lock already depends on the new lock.",
    "the existing dependency chain (in reverse order) is:",
    "-> #1 (&a){+.+.}:",
    "       lock_a",
    "       with (dma_fence_map){++++} held since",
    "       signal_with_a",
    "-> #0 (dma_fence_map){++++}:",
    "       dma_fence_wait_timeout",
    ...SCENARIO,
    "  lock(&a);",
    "                               lock(dma_fence_map);",
    "                               lock(&a);",
    "  lock(dma_fence_map);",
    " *** DEADLOCK ***",
    "2 locks held by cpu0/0:",
    " #0: ADDRESS (&a){+.+.}, at: lock_a",
    " #1: ADDRESS (dma_fence_map){++++}, at: dma_fence_wait_timeout",
    "stack backtrace:",
  ]);
});

it("wait in a reader: the grace period would wait for its waiter", () => {
  const cpu = boot();
  lock_a(cpu);
  wait_in_reader(cpu);
  const text = "Illegal synchronize_rcu() in RCU read-side critical section!";
  expect(report(cpu)).toEqual([
    `WARNING: suspicious RCU usage: ${text}`,
    "------------------------------------------------------",
    `synchronize_rcu ${text}`,
    "other info that might help us debug this:",
    "RCU read-side nesting 1, preempt_count 0x0",
    "2 locks held by cpu0/0:",
    " #0: ADDRESS (&a){+.+.}, at: lock_a",
    " #1: ADDRESS (rcu_read_lock){....}, at: wait_in_reader",
    "stack backtrace:",
  ]);
});

it("a pointer followed outside of a reader is the fault of who follows it", () => {
  const cpu = boot();
  follow(cpu);
  expect(report(cpu)[2]).toBe("follow suspicious rcu_dereference_check() usage!");
});

it("a lock taken twice", () => {
  const cpu = boot();
  lock_a(cpu);
  lock_a(cpu);
  expect(report(cpu)).toEqual([
    "WARNING: possible recursive locking detected",
    "------------------------------------------------------",
    "cpu0/0 is trying to acquire lock:",
    "ADDRESS (&a){+.+.}, at: lock_a",
    "but task is already holding lock:",
    "ADDRESS (&a){+.+.}, at: lock_a",
    "other info that might help us debug this:",
    " Possible unsafe locking scenario:",
    "       CPU0",
    "       ----",
    "  lock(&a);",
    "  lock(&a);",
    " *** DEADLOCK ***",
    " May be due to missing lock nesting notation",
    "2 locks held by cpu0/0:",
    " #0: ADDRESS (&a){+.+.}, at: lock_a",
    " #1: ADDRESS (&a){+.+.}, at: lock_a <acquiring>",
    "stack backtrace:",
  ]);
});

it("an unlock of what is not held, in the kernel's words whatever else is", () => {
  const cpu = boot();
  lock_a(cpu);
  unlock(cpu, B);
  expect(report(cpu).slice(0, -1)).toEqual([
    "WARNING: bad unlock balance detected!",
    "------------------------------------------------------",
    "cpu0/0 is trying to release lock (&b) at:",
    "unlock",
    "but there are no more locks to release!",
    "other info that might help us debug this:",
    "1 lock held by cpu0/0:",
    " #0: ADDRESS (&a){+.+.}, at: lock_a",
  ]);
});
