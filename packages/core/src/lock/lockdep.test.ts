import { expect, it } from "vitest";
import { dmesg_read } from "../debug/dmesg.ts";
import { EALREADY } from "../debug/errno.ts";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { dma_fence_begin_signalling, dma_fence_end_signalling } from "../dma/fence-lockdep.ts";
import { dma_fence_context_alloc, dma_fence_signal, dma_fence_wait } from "../dma/fence.ts";
import { mock_fence } from "../dma/testing/mock-fence.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import { rcu_read_lock, rcu_read_unlock, synchronize_rcu } from "../rcu/rcu.ts";
import {
  percpu_ref_lockdep_get,
  percpu_ref_lockdep_put,
  percpu_ref_might_wait,
} from "../ref/percpu-ref-lockdep.ts";
import {
  percpu_ref_init,
  percpu_ref_kill,
  PERCPU_REF_INIT_ATOMIC,
  PERCPU_REF_SIZE,
  type PercpuRefPtr,
} from "../ref/percpu-ref.ts";
import { type Cpu, SOFTIRQ_OFFSET } from "../sched/cpu.ts";
import { cpu_enter, cpu_exit, might_sleep } from "../sched/schedule.ts";
import { flush_work, INIT_WORK, queue_work, system_wq, WORK_STRUCT_SIZE } from "../sched/workqueue.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { MAX_LOCKDEP_ENTRIES, MAX_LOCKDEP_KEYS, NR_CLASSES, NR_EDGES } from "./lockdep-layout.ts";
import * as lockdep from "./lockdep.ts";
import * as mutex from "./mutex.ts";
import * as spin from "./spinlock.ts";
import { DEFINE_WW_CLASS, WW_ACQUIRE_CTX_SIZE, ww_acquire_fini, ww_acquire_init } from "./ww-acquire.ts";
import type { WwAcquireCtxPtr } from "./ww-acquire.ts";
import * as ww from "./ww-mutex.ts";
import type { WwMutexPtr } from "./ww-mutex.ts";

const AREA = kernel_static("lockdep_test_locks", 512);
const [A, B, C, D] = [AREA, AREA + 16, AREA + 32, AREA + 48] as const;
const S = AREA + 64;
const S2 = AREA + 68;
const X = (AREA + 80) as WwMutexPtr;
const Y = (AREA + 112) as WwMutexPtr;
const CTX = (AREA + 144) as WwAcquireCtxPtr;
const WORK = AREA + 256;
const REF = (AREA + 288) as PercpuRefPtr;
const MAP = kernel_static("lockdep_test_map", 4);
const CLASS = DEFINE_WW_CLASS("lockdep_test_class");
const CIRCULAR = "WARNING: possible circular locking dependency detected";
const RECURSIVE = "WARNING: possible recursive locking detected";

expect(WORK_STRUCT_SIZE + PERCPU_REF_SIZE + WW_ACQUIRE_CTX_SIZE).toBeLessThan(256);

function boot(): Cpu {
  const cpu = boot_solo({ lockdep: true });
  mutex.mutex_init(cpu, A, "&a");
  mutex.mutex_init(cpu, B, "&b");
  mutex.mutex_init(cpu, C, "&c");
  mutex.mutex_init(cpu, D, "&a");
  spin.spin_lock_init(cpu, S, "&s");
  spin.spin_lock_init(cpu, S2, "&s");
  ww.ww_mutex_init(cpu, X, CLASS);
  ww.ww_mutex_init(cpu, Y, CLASS);
  return cpu;
}

/** Takes the mutexes in this order, and lets them go in the other. */
function take(cpu: Cpu, ...locks: number[]): void {
  for (const lock of locks) mutex.mutex_lock(cpu, lock);
  for (const lock of locks.toReversed()) mutex.mutex_unlock(cpu, lock);
}

/** The whole log, information included. */
function report(cpu: Cpu): string {
  return dmesg_read(cpu, 0)
    .map((record) => record.text)
    .join("\n");
}

it("two locks in both orders are a deadlock that may happen, though one task never meets it", () => {
  const cpu = boot();
  take(cpu, A, B);
  expect(dmesg(cpu)).toEqual([]);
  take(cpu, B, A);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
  const text = report(cpu);
  expect(text).toContain("cpu0/0 is trying to acquire lock:");
  expect(text).toMatch(/\(&a\)\{\+\.\+\.\}, at: take core\/lock\/lockdep\.test\.ts:\d+/);
  expect(text).toContain("but task is already holding lock:");
  expect(text).toContain("the existing dependency chain (in reverse order) is:");
  expect(text).toMatch(/-> #1 \(&b\)\{\+\.\+\.\}:\n {7}take core/);
  expect(text).toMatch(/-> #0 \(&a\)/);
  expect(text).toContain(
    [
      " Possible unsafe locking scenario:",
      "       CPU0                    CPU1",
      "       ----                    ----",
      "  lock(&b);",
      "                               lock(&a);",
      "                               lock(&b);",
      "  lock(&a);",
      " *** DEADLOCK ***",
      "2 locks held by cpu0/0:",
    ].join("\n"),
  );
});

it("control: one order, however often, is no deadlock", () => {
  const cpu = boot();
  for (let i = 0; i < 3; i++) take(cpu, A, B, C);
  take(cpu, B, C);
  take(cpu, A, C);
  expect(dmesg(cpu)).toEqual([]);
});

it("a longer cycle is named by its chain", () => {
  const cpu = boot();
  take(cpu, A, B);
  take(cpu, B, C);
  take(cpu, C, A);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
  expect(report(cpu)).toContain("Chain exists of:\n  &a --> &b --> &c");
});

it("a report is made once, and the next different one is made all the same", () => {
  const cpu = boot();
  take(cpu, A, B);
  for (let i = 0; i < 3; i++) take(cpu, B, A);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
  take(cpu, A, C);
  take(cpu, C, A);
  expect(dmesg(cpu)).toEqual([CIRCULAR, CIRCULAR]);
  lockdep.lockdep_reset(cpu);
  take(cpu, B, A);
  expect(dmesg(cpu)).toHaveLength(2);
  take(cpu, A, B);
  expect(dmesg(cpu)).toHaveLength(3);
});

it("without lockdep nothing is said", () => {
  const cpu = boot_solo({ lockdep: false });
  mutex.mutex_init(cpu, A);
  mutex.mutex_init(cpu, B);
  take(cpu, A, B);
  take(cpu, B, A);
  expect(cpu.map.lockdep_end).toBe(cpu.map.lockdep);
  expect(dmesg(cpu)).toEqual([]);
});

it("a trylock waits for nobody, but what is taken under it does", () => {
  const cpu = boot();
  take(cpu, A, B);
  mutex.mutex_lock(cpu, B);
  expect(mutex.mutex_trylock(cpu, A)).toBe(true);
  mutex.mutex_unlock(cpu, A);
  mutex.mutex_unlock(cpu, B);
  expect(dmesg(cpu)).toEqual([]);
  expect(mutex.mutex_trylock(cpu, C)).toBe(true);
  mutex.mutex_lock(cpu, A);
  mutex.mutex_unlock(cpu, A);
  mutex.mutex_unlock(cpu, C);
  take(cpu, A, C);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
});

it("through a trylocked lock the next one depends on the lock below, too", () => {
  const cpu = boot();
  mutex.mutex_lock(cpu, A);
  mutex.mutex_trylock(cpu, B);
  mutex.mutex_lock(cpu, C);
  for (const lock of [C, B, A]) mutex.mutex_unlock(cpu, lock);
  take(cpu, C, A);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
});

it("two locks of one class are reported, unless a subclass orders them", () => {
  const cpu = boot();
  mutex.mutex_lock(cpu, A);
  mutex.mutex_lock_nested(cpu, D, 1);
  mutex.mutex_unlock(cpu, D);
  mutex.mutex_unlock(cpu, A);
  expect(dmesg(cpu)).toEqual([]);
  take(cpu, A, D);
  expect(dmesg(cpu)).toEqual([RECURSIVE]);
  expect(report(cpu)).toContain("May be due to missing lock nesting notation");
  spin.spin_lock(cpu, S);
  spin.spin_lock_nested(cpu, S2, 1);
  spin.spin_unlock(cpu, S2);
  spin.spin_unlock(cpu, S);
  expect(dmesg(cpu)).toHaveLength(1);
});

it("subclasses taken in the wrong order are a cycle", () => {
  const cpu = boot();
  mutex.mutex_lock(cpu, A);
  mutex.mutex_lock_nested(cpu, D, 1);
  mutex.mutex_unlock(cpu, D);
  mutex.mutex_unlock(cpu, A);
  mutex.mutex_lock_nested(cpu, D, 1);
  mutex.mutex_lock(cpu, A);
  mutex.mutex_unlock(cpu, A);
  mutex.mutex_unlock(cpu, D);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
});

it("a task that takes its own spinlock or mutex is told so and does not hang", () => {
  const cpu = boot();
  spin.spin_lock(cpu, S);
  spin.spin_lock(cpu, S);
  expect(dmesg(cpu)).toEqual([RECURSIVE]);
  spin.spin_unlock(cpu, S);
  expect(spin.spin_is_locked(cpu, S), "still held once").toBe(true);
  spin.spin_unlock(cpu, S);
  expect(spin.spin_is_locked(cpu, S)).toBe(false);
  expect(cpu.preempt_count).toBe(0);
  mutex.mutex_lock(cpu, A);
  mutex.mutex_lock(cpu, A);
  mutex.mutex_unlock(cpu, A);
  expect(mutex.mutex_is_locked(cpu, A)).toBe(true);
  mutex.mutex_unlock(cpu, A);
  expect(mutex.mutex_is_locked(cpu, A)).toBe(false);
  expect(dmesg(cpu)).toEqual([RECURSIVE, RECURSIVE]);
});

it("an unlock without its lock is reported and changes nothing", () => {
  const cpu = boot();
  spin.spin_unlock(cpu, S);
  expect(cpu.preempt_count).toBe(0);
  mutex.mutex_unlock(cpu, A);
  const bad = "WARNING: bad unlock balance detected!";
  expect(dmesg(cpu).filter((text) => text === bad)).toHaveLength(2);
  expect(report(cpu)).toContain("but there are no more locks to release!");
  mutex.mutex_lock(cpu, A);
  mutex.mutex_unlock(cpu, A);
  expect(mutex.mutex_is_locked(cpu, A)).toBe(false);
});

it("freeing or re-initialising memory with a held lock is reported", () => {
  const cpu = boot();
  const p = kmalloc(cpu, 64, GFP_KERNEL);
  mutex.mutex_init(cpu, p + 16, "&p->lock");
  mutex.mutex_lock(cpu, p + 16);
  kfree(cpu, p);
  expect(dmesg(cpu)).toEqual(["WARNING: held lock freed!"]);
  mutex.mutex_lock(cpu, A);
  mutex.mutex_init(cpu, A, "&a");
  expect(dmesg(cpu)).toHaveLength(2);
});

it("a lock in fresh memory that nobody initialised has no key; one in static memory has its name", () => {
  const cpu = boot();
  const p = kmalloc(cpu, 64, GFP_KERNEL);
  cpu.mem.write(p, 0);
  spin.spin_lock(cpu, p);
  spin.spin_unlock(cpu, p);
  expect(dmesg(cpu)[0]).toContain("INFO: trying to register non-static key.");
  spin.spin_lock(cpu, MAP);
  mutex.mutex_trylock(cpu, A);
  lockdep.lockdep_sys_exit(cpu);
  expect(report(cpu)).toContain("(lockdep_test_map)");
});

it("a nest lock makes any number of one class safe, if it is held", () => {
  const cpu = boot();
  mutex.mutex_lock(cpu, C);
  mutex.mutex_lock_nest_lock(cpu, A, C);
  mutex.mutex_lock_nest_lock(cpu, D, C);
  for (const lock of [A, D, C]) mutex.mutex_unlock(cpu, lock);
  expect(lockdep.lockdep_depth(cpu)).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
  spin.spin_lock_nest_lock(cpu, S, C);
  spin.spin_unlock(cpu, S);
  expect(dmesg(cpu)).toEqual(["WARNING: Nested lock was not taken"]);
});

// lib/locking-selftest.c ww_test_context_try, _context_context, _try_try, _block_try, and those that must complain
const PAIRS: readonly [string, (cpu: Cpu) => void, readonly string[]][] = [
  ["context, try", (cpu) => both(cpu, context, trylock), []],
  ["context, context", (cpu) => both(cpu, context, context), []],
  ["try, try", (cpu) => both(cpu, trylock, trylock), []],
  ["block, try", (cpu) => both(cpu, block, trylock), []],
  ["context, block", (cpu) => both(cpu, context, block), [RECURSIVE]],
  ["try, block", (cpu) => both(cpu, trylock, block), [RECURSIVE]],
  ["block, block", (cpu) => both(cpu, block, block), [RECURSIVE]],
  ["try, context", (cpu) => late_context(cpu, trylock), [RECURSIVE]],
  ["block, context", (cpu) => late_context(cpu, block), [RECURSIVE]],
];

type Take = (cpu: Cpu, lock: WwMutexPtr) => void;
function context(cpu: Cpu, lock: WwMutexPtr): void {
  expect(ww.ww_mutex_lock(cpu, lock, CTX)).toBe(0);
}
function block(cpu: Cpu, lock: WwMutexPtr): void {
  expect(ww.ww_mutex_lock(cpu, lock, 0)).toBe(0);
}
function trylock(cpu: Cpu, lock: WwMutexPtr): void {
  expect(ww.ww_mutex_trylock(cpu, lock, 0)).toBe(true);
}
function both(cpu: Cpu, first: Take, second: Take): void {
  const with_context = first === context || second === context;
  if (with_context) ww_acquire_init(cpu, CTX, CLASS);
  first(cpu, X);
  second(cpu, Y);
  ww.ww_mutex_unlock(cpu, Y);
  ww.ww_mutex_unlock(cpu, X);
  if (with_context) ww_acquire_fini(cpu, CTX);
}
function late_context(cpu: Cpu, first: Take): void {
  first(cpu, X);
  ww_acquire_init(cpu, CTX, CLASS);
  context(cpu, Y);
  ww.ww_mutex_unlock(cpu, Y);
  ww.ww_mutex_unlock(cpu, X);
  ww_acquire_fini(cpu, CTX);
}

it.each(PAIRS)("ww_mutex: %s", (_name, pair, warns) => {
  const cpu = boot();
  pair(cpu);
  expect(dmesg(cpu)).toEqual(warns);
  expect(lockdep.lockdep_depth(cpu)).toBe(0);
});

it("a ww_mutex taken by context and by none depends on other locks all the same", () => {
  const cpu = boot();
  mutex.mutex_lock(cpu, A);
  ww.ww_mutex_lock(cpu, X, 0);
  ww.ww_mutex_unlock(cpu, X);
  mutex.mutex_unlock(cpu, A);
  ww_acquire_init(cpu, CTX, CLASS);
  context(cpu, X);
  mutex.mutex_lock(cpu, A);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
});

it("ww_mutex: a task that wants what it has without a context gets -EALREADY in place of a hang", () => {
  const cpu = boot();
  block(cpu, X);
  ww_acquire_init(cpu, CTX, CLASS);
  expect(ww.ww_mutex_lock(cpu, X, CTX)).toBe(-EALREADY);
  expect(dmesg(cpu)[0]).toBe(RECURSIVE);
});

const FLUSHED = kernel_symbol(work_takes_a);
function work_takes_a(cpu: Cpu): void {
  take(cpu, A);
}

it("flushing a work under a lock that the work takes is a cycle", () => {
  const cpu = boot();
  INIT_WORK(cpu, WORK, FLUSHED);
  queue_work(cpu, system_wq(cpu), WORK);
  flush_work(cpu, WORK);
  expect(dmesg(cpu)).toEqual([]);
  mutex.mutex_lock(cpu, B);
  flush_work(cpu, WORK);
  mutex.mutex_unlock(cpu, B);
  expect(dmesg(cpu), "another lock is none").toEqual([]);
  mutex.mutex_lock(cpu, A);
  flush_work(cpu, WORK);
  mutex.mutex_unlock(cpu, A);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
  expect(report(cpu)).toContain("lock((work_completion)work_takes_a);");
});

it("waiting for a fence under a lock that the signaling path takes is a cycle", () => {
  const cpu = boot();
  const fence = mock_fence(cpu, dma_fence_context_alloc(cpu, 1), 1);
  const cookie = dma_fence_begin_signalling(cpu);
  take(cpu, A);
  dma_fence_signal(cpu, fence);
  dma_fence_end_signalling(cpu, cookie);
  mutex.mutex_lock(cpu, B);
  dma_fence_wait(cpu, fence, false);
  mutex.mutex_unlock(cpu, B);
  expect(dmesg(cpu), "another lock is none").toEqual([]);
  mutex.mutex_lock(cpu, A);
  dma_fence_wait(cpu, fence, false);
  mutex.mutex_unlock(cpu, A);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
  expect(report(cpu)).toContain("lock(dma_fence_map);");
});

it("signalling sections nest, and a wait inside one is no cycle by itself", () => {
  const cpu = boot();
  const outer = dma_fence_begin_signalling(cpu);
  const inner = dma_fence_begin_signalling(cpu);
  const fence = mock_fence(cpu, dma_fence_context_alloc(cpu, 1), 1);
  dma_fence_signal(cpu, fence);
  dma_fence_wait(cpu, fence, false);
  dma_fence_end_signalling(cpu, inner);
  dma_fence_end_signalling(cpu, outer);
  expect(lockdep.lockdep_depth(cpu)).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
});

it("waiting in an RCU reader is reported with what the task holds", () => {
  const cpu = boot();
  rcu_read_lock(cpu);
  might_sleep(cpu);
  expect(dmesg(cpu)).toHaveLength(1);
  expect(dmesg(cpu)[0]).toContain("suspicious RCU usage");
  expect(dmesg(cpu)[0]).toContain("Illegal context switch in RCU read-side critical section!");
  expect(report(cpu)).toContain("(rcu_read_lock)");
  rcu_read_unlock(cpu);
  synchronize_rcu(cpu);
  expect(dmesg(cpu)).toHaveLength(1);
});

const RELEASE = kernel_symbol(release_takes_s);
function release_takes_s(cpu: Cpu): void {
  spin.spin_lock(cpu, S);
  spin.spin_unlock(cpu, S);
}

it("waiting for a reference count's zero under a lock that its release takes is a cycle", () => {
  const cpu = boot();
  percpu_ref_init(cpu, REF, RELEASE, PERCPU_REF_INIT_ATOMIC, GFP_KERNEL);
  percpu_ref_kill(cpu, REF);
  percpu_ref_might_wait(cpu, REF);
  expect(dmesg(cpu)).toEqual([]);
  spin.spin_lock(cpu, S);
  percpu_ref_might_wait(cpu, REF);
  spin.spin_unlock(cpu, S);
  expect(dmesg(cpu)).toEqual([CIRCULAR]);
});

it("waiting for the zero of a count the task holds a reference of is reported", () => {
  const cpu = boot();
  percpu_ref_init(cpu, REF, RELEASE, 0, GFP_KERNEL);
  percpu_ref_lockdep_get(cpu, REF);
  take(cpu, A);
  percpu_ref_lockdep_put(cpu, REF);
  mutex.mutex_lock(cpu, B);
  percpu_ref_might_wait(cpu, REF);
  mutex.mutex_unlock(cpu, B);
  expect(dmesg(cpu)).toEqual([]);
  mutex.mutex_lock(cpu, A);
  percpu_ref_might_wait(cpu, REF);
  mutex.mutex_unlock(cpu, A);
  expect(dmesg(cpu), "a holder may want this lock").toEqual([CIRCULAR]);
  percpu_ref_lockdep_get(cpu, REF);
  percpu_ref_might_wait(cpu, REF);
  percpu_ref_lockdep_put(cpu, REF);
  expect(dmesg(cpu)).toEqual([CIRCULAR, RECURSIVE]);
});

it("a lock that interrupts take is not taken elsewhere with interrupts on", () => {
  const cpu = boot();
  spin.spin_lock_irqsave(cpu, S);
  spin.spin_unlock_irqrestore(cpu, S);
  cpu.in_irq = true;
  spin.spin_lock(cpu, S);
  spin.spin_unlock(cpu, S);
  cpu.in_irq = false;
  expect(dmesg(cpu)).toEqual([]);
  spin.spin_lock(cpu, S);
  spin.spin_unlock(cpu, S);
  expect(dmesg(cpu)).toEqual(["WARNING: inconsistent lock state"]);
  expect(report(cpu)).toContain("inconsistent {IN-HARDIRQ-W} -> {HARDIRQ-ON-W} usage.");
});

it("an interrupt does not depend on what it interrupted", () => {
  const cpu = boot();
  mutex.mutex_lock(cpu, A);
  cpu.preempt_count += SOFTIRQ_OFFSET;
  spin.spin_lock_irqsave(cpu, S);
  spin.spin_unlock_irqrestore(cpu, S);
  cpu.preempt_count -= SOFTIRQ_OFFSET;
  mutex.mutex_unlock(cpu, A);
  lockdep.lock_map_acquire(cpu, MAP);
  spin.spin_lock_irqsave(cpu, S);
  mutex.mutex_trylock(cpu, A);
  mutex.mutex_unlock(cpu, A);
  spin.spin_unlock_irqrestore(cpu, S);
  lockdep.lock_map_release(cpu, MAP);
  expect(dmesg(cpu)).toEqual([]);
});

it("leaving the kernel with a lock is reported", () => {
  const cpu = boot();
  mutex.mutex_lock(cpu, A);
  cpu_exit(cpu);
  expect(dmesg(cpu)).toEqual(["WARNING: lock held when returning to user space!"]);
  cpu_enter(cpu);
  expect(lockdep.lockdep_depth(cpu)).toBe(0);
});

it("recursive readers do not wait for each other", () => {
  const cpu = boot();
  lockdep.lock_map_acquire_read(cpu, MAP);
  lockdep.lock_map_acquire_read(cpu, MAP);
  take(cpu, A);
  lockdep.lock_map_release(cpu, MAP);
  lockdep.lock_map_release(cpu, MAP);
  mutex.mutex_lock(cpu, A);
  lockdep.lock_map_acquire_read(cpu, MAP);
  lockdep.lock_map_release(cpu, MAP);
  expect(dmesg(cpu)).toEqual([]);
  lockdep.lock_map_acquire(cpu, MAP);
  expect(dmesg(cpu), "a writer waits for readers").toEqual([CIRCULAR]);
});

it("a recursive reader in a reader depends on what was taken between the two", () => {
  const cpu = boot();
  lockdep.lock_map_acquire_read(cpu, MAP);
  mutex.mutex_lock(cpu, A);
  lockdep.lock_map_acquire_read(cpu, MAP);
  lockdep.lock_map_release(cpu, MAP);
  mutex.mutex_unlock(cpu, A);
  lockdep.lock_map_release(cpu, MAP);
  expect(dmesg(cpu), "readers get along").toEqual([]);
  lockdep.lock_map_acquire(cpu, MAP);
  mutex.mutex_lock(cpu, A);
  expect(dmesg(cpu), "a writer holds off the inner reader").toEqual([CIRCULAR]);
});

it("more locks than a task can have turn the checks off, once, and nothing else breaks", () => {
  const cpu = boot();
  const locks = kmalloc(cpu, 64 * 16, GFP_KERNEL);
  for (let i = 0; i < 64; i++) mutex.mutex_init(cpu, locks + i * 16, `&many[${i}]`);
  for (let i = 0; i < 64; i++) mutex.mutex_lock(cpu, locks + i * 16);
  for (let i = 63; i >= 0; i--) mutex.mutex_unlock(cpu, locks + i * 16);
  expect(dmesg(cpu)).toEqual(["BUG: MAX_LOCK_DEPTH too low!"]);
  expect(lockdep.lockdep_depth(cpu)).toBe(0);
  take(cpu, A, B);
  take(cpu, B, A);
  expect(dmesg(cpu)).toHaveLength(1);
});

it.each([
  ["MAX_LOCKDEP_ENTRIES", NR_EDGES, MAX_LOCKDEP_ENTRIES],
  ["MAX_LOCKDEP_KEYS", NR_CLASSES, MAX_LOCKDEP_KEYS],
])("a full table (%s) turns the checks off, once; held locks stay known", (name, counter, max) => {
  const cpu = boot();
  cpu.mem.write(cpu.map.lockdep + counter, max);
  mutex.mutex_init(cpu, C, "&late");
  for (const second of [B, C]) {
    mutex.mutex_lock(cpu, A);
    mutex.mutex_lock(cpu, second);
    expect(lockdep.lock_is_held(cpu, second)).toBe(true);
    mutex.mutex_unlock(cpu, second);
    mutex.mutex_unlock(cpu, A);
  }
  // A map that finds no class, too.
  const map = lockdep.lockdep_named_map(cpu, "late_map");
  lockdep.lock_map_acquire(cpu, map);
  lockdep.lock_map_release(cpu, map);
  expect(dmesg(cpu)).toEqual([`BUG: ${name} too low!`]);
  mutex.mutex_lock(cpu, C);
  mutex.mutex_lock(cpu, C);
  mutex.mutex_unlock(cpu, C);
  mutex.mutex_unlock(cpu, C);
  expect(mutex.mutex_is_locked(cpu, C), "recursion does not hang either").toBe(false);
});
