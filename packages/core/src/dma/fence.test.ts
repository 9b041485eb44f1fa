import { expect, it } from "vitest";
import { EDEADLK, EINVAL, EIO, ENOENT, ENOMEM, ERESTARTSYS } from "../debug/errno.ts";
import { FAULT_SLAB, fault_arm } from "../debug/fault-inject.ts";
import { kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { layout_faults, struct_layouts } from "../debug/layout.ts";
import { kernel_string } from "../debug/strings.ts";
import { KernelBug } from "../debug/warn.ts";
import { spin_is_locked, spin_lock, spin_unlock } from "../lock/spinlock.ts";
import { GFP_KERNEL, kmalloc } from "../mm/slab.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import { rcu_barrier, rcu_read_lock, rcu_read_unlock } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { current_task, set_tsk_thread_flag, TIF_SIGPENDING } from "../sched/task.ts";
import { mod_timer, TIMER_SIZE, timer_setup, type TimerPtr } from "../sched/timer.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import * as fence from "./fence.ts";
import type { DmaFenceCbPtr, DmaFencePtr } from "./fence.ts";

const NAME = kernel_string("mock");
const OPS = kernel_rodata("mock_ops", [kernel_symbol(mock_name), kernel_symbol(mock_name), 0, 0, 0, 0, 0]);
const NAMELESS_OPS = kernel_rodata("nameless_ops", [kernel_symbol(mock_name), 0, 0, 0, 0, 0, 0]);
const SEEN = kernel_static("test_seen", 8);
const TIMER = kernel_static("test_timer", TIMER_SIZE + 8) as TimerPtr;
const LOCK = kernel_static("test_fence_lock", 4);
const SIMPLE_CALLBACK = kernel_symbol(simple_callback);
const SIGNAL_TIMER = kernel_symbol(signal_timer);

function mock_name(_cpu: Cpu, _fence: number): number {
  return NAME;
}
function simple_callback(cpu: Cpu, _fence: number, _cb: number): void {
  cpu.mem.fetchAdd(SEEN, 1);
}
function signal_timer(cpu: Cpu, timer: number): void {
  fence.dma_fence_signal(cpu, cpu.mem.read(timer + TIMER_SIZE) as DmaFencePtr);
}

function mock_fence(cpu: Cpu, ops: number = OPS, context: number = 7, seqno: number = 1): DmaFencePtr {
  const p = kmalloc(cpu, fence.DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  fence.dma_fence_init(cpu, p, ops, LOCK, context, seqno);
  return p;
}
function mock_cb(cpu: Cpu): DmaFenceCbPtr {
  return kmalloc(cpu, fence.DMA_FENCE_CB_SIZE, GFP_KERNEL) as DmaFenceCbPtr;
}
function seen(cpu: Cpu): number {
  return cpu.mem.read(SEEN);
}

it.each(struct_layouts().filter((l) => /fence/.test(l.name)))("$name has a sound layout", (layout) => {
  expect(layout_faults(layout)).toEqual([]);
});

it("who is first to signal is told, and fences are counted", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  expect(fence.dma_fence_signal(cpu, f)).toBe(0);
  expect(fence.dma_fence_signal(cpu, f)).toBe(-EINVAL);
  const g = mock_fence(cpu);
  expect(fence.dma_fence_check_and_signal(cpu, g)).toBe(false);
  expect(fence.dma_fence_check_and_signal(cpu, g)).toBe(true);
  expect(fence.dma_fence_counters(cpu)).toEqual({ initialised: 3, signalled: 3 }); // and the stub
  expect(dmesg(cpu)).toEqual([]);
});

it("a fence that is put is freed after a grace period, not before", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const f = mock_fence(cpu);
  fence.dma_fence_put(cpu, f);
  expect(kmem_in_use(cpu)).toBeGreaterThan(before);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
});

it("a wait leaves what is left of its time, and all of it for a signaled fence", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  timer_setup(cpu, TIMER, SIGNAL_TIMER);
  cpu.mem.write(TIMER + TIMER_SIZE, f);
  mod_timer(cpu, TIMER, cpu.now() + 3);
  const left = fence.dma_fence_wait_timeout(cpu, f, false, 10);
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(10);
  expect(fence.dma_fence_wait_timeout(cpu, f, false, 25)).toBe(25);
  expect(fence.dma_fence_wait(cpu, f, true)).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
});

it("a signaled fence lets go of its driver, unless it needs a release or wait of its own", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  expect([fence.dma_fence_driver_name(cpu, f), fence.dma_fence_timeline_name(cpu, f)]).toEqual([
    "mock",
    "mock",
  ]);
  expect(fence.dma_fence_describe(cpu, f)).toBe("7:1 mock mock unsignalled");
  fence.dma_fence_signal(cpu, f);
  expect(fence.dma_fence_ops(cpu, f)).toBe(0);
  expect(fence.dma_fence_driver_name(cpu, f)).toBe("detached-driver");
  expect(fence.dma_fence_timeline_name(cpu, f)).toBe("signaled-timeline");
  expect(fence.dma_fence_describe(cpu, f)).toBe("7:1   signalled");
  fence.dma_fence_set_deadline(cpu, f, 5);
  const g = mock_fence(cpu, LAZY_OPS);
  fence.dma_fence_signal(cpu, g);
  expect(fence.dma_fence_ops(cpu, g)).toBe(LAZY_OPS);
  expect(fence.dma_fence_driver_name(cpu, g)).toBe("mock");
  expect(dmesg(cpu)).toEqual([]);
});

it("without a lock a fence uses one of its own", () => {
  const cpu = boot_solo();
  const own = kmalloc(cpu, fence.DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  fence.dma_fence_init(cpu, own, OPS, 0, 7, 1);
  expect(fence.dma_fence_spinlock(cpu, own)).toBe(own);
  expect(fence.dma_fence_spinlock(cpu, mock_fence(cpu))).toBe(LOCK);
  expect(fence.dma_fence_was_initialized(cpu, own)).toBe(true);
  expect(fence.dma_fence_was_initialized(cpu, 0 as DmaFencePtr)).toBe(false);
  expect(fence.dma_fence_add_callback(cpu, own, mock_cb(cpu), LOCKED_CALLBACK)).toBe(0);
  expect(fence.dma_fence_signal(cpu, own)).toBe(0);
  expect(seen(cpu)).toBe(1);
});
const LOCKED_CALLBACK = kernel_symbol((cpu: Cpu, f: number) => {
  expect(spin_is_locked(cpu, fence.dma_fence_spinlock(cpu, f as DmaFencePtr))).toBe(true);
  cpu.mem.fetchAdd(SEEN, 1);
});

it("a fence may have been done earlier than it is signaled", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  expect(fence.dma_fence_timestamp(cpu, f), "not signaled: warns, and it is now").toBe(fence.ktime_get(cpu));
  expect(dmesg(cpu)).toHaveLength(1);
  expect(fence.dma_fence_signal_timestamp(cpu, f, 12345)).toBe(0);
  expect(fence.dma_fence_timestamp(cpu, f)).toBe(12345);
  expect(fence.dma_fence_signal_timestamp(cpu, f, 99999)).toBe(-EINVAL);
  expect(fence.dma_fence_timestamp(cpu, f)).toBe(12345);
  const stub = fence.dma_fence_allocate_private_stub(cpu, 777);
  expect(fence.dma_fence_is_signaled(cpu, stub)).toBe(true);
  expect(fence.dma_fence_timestamp(cpu, stub)).toBe(777);
  expect(dmesg(cpu)).toHaveLength(1);
});

it("NULL is answered as in Linux, with a warning where there is one", () => {
  const cpu = boot_solo();
  const none = 0 as DmaFencePtr;
  fence.dma_fence_put(cpu, none);
  expect(fence.dma_fence_get(cpu, none)).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
  expect(fence.dma_fence_signal(cpu, none)).toBe(-EINVAL);
  expect(fence.dma_fence_signal_locked(cpu, none)).toBe(-EINVAL);
  expect(fence.dma_fence_signal_timestamp(cpu, none, 1)).toBe(-EINVAL);
  expect(fence.dma_fence_check_and_signal(cpu, none)).toBe(true);
  expect(fence.dma_fence_add_callback(cpu, none, mock_cb(cpu), SIMPLE_CALLBACK)).toBe(-EINVAL);
  expect(fence.dma_fence_add_callback(cpu, mock_fence(cpu), mock_cb(cpu), 0)).toBe(-EINVAL);
  expect(dmesg(cpu)).toHaveLength(6);
});

it("a fence without operations, or names, is a BUG", () => {
  const cpu = boot_solo();
  const p = kmalloc(cpu, fence.DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  expect(() => fence.dma_fence_init(cpu, p, 0, LOCK, 1, 1)).toThrow(KernelBug);
  expect(() => fence.dma_fence_init(cpu, p, NAMELESS_OPS, LOCK, 1, 1)).toThrow(KernelBug);
});

it("of two fences of a context the later one is worth waiting for, unless it is done", () => {
  const cpu = boot_solo();
  const [first, second] = [mock_fence(cpu, OPS, 7, 1), mock_fence(cpu, OPS, 7, 2)];
  expect(fence.dma_fence_later(cpu, first, second)).toBe(second);
  expect(fence.dma_fence_later(cpu, second, first)).toBe(second);
  fence.dma_fence_signal(cpu, second);
  expect(fence.dma_fence_later(cpu, first, second)).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
  expect(fence.dma_fence_later(cpu, first, mock_fence(cpu, OPS, 8, 1))).toBe(0);
  expect(dmesg(cpu)).toHaveLength(1);
});

it("an error set too late or out of range warns", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  fence.dma_fence_set_error(cpu, f, 0);
  expect(dmesg(cpu)).toHaveLength(1);
  fence.dma_fence_signal(cpu, f);
  fence.dma_fence_set_error(cpu, f, -EIO);
  expect(dmesg(cpu)).toHaveLength(2);
});

it("a signal breaks an interruptible wait, but not one for a signaled fence", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  expect(fence.dma_fence_wait(cpu, f, true)).toBe(-ERESTARTSYS);
  expect(fence.dma_fence_wait_timeout(cpu, f, true, 0), "the signal is looked at first").toBe(-ERESTARTSYS);
  expect(fence.dma_fence_wait_timeout(cpu, f, false, 2)).toBe(0);
  fence.dma_fence_signal(cpu, f);
  expect(fence.dma_fence_wait(cpu, f, true)).toBe(0);
});

it("a negative time-out warns and is -EINVAL", () => {
  const cpu = boot_solo();
  expect(fence.dma_fence_wait_timeout(cpu, mock_fence(cpu), false, -1)).toBe(-EINVAL);
  expect(dmesg(cpu)).toHaveLength(1);
});

it("waiting for any fence tells which one, and takes its callbacks back", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const array = kmalloc(cpu, 12, GFP_KERNEL);
  const fences = [mock_fence(cpu), mock_fence(cpu), mock_fence(cpu)] as const;
  fences.forEach((f, i) => cpu.mem.write(array + 4 * i, f));
  const idx = SEEN + 4;
  const any = (timeout: number): number =>
    fence.dma_fence_wait_any_timeout(cpu, array, 3, false, timeout, idx);
  expect(any(0)).toBe(0);
  expect(any(2)).toBe(0);
  timer_setup(cpu, TIMER, SIGNAL_TIMER);
  cpu.mem.write(TIMER + TIMER_SIZE, fences[1]);
  mod_timer(cpu, TIMER, cpu.now() + 3);
  expect(any(10)).toBeGreaterThan(0);
  expect(cpu.mem.read(idx)).toBe(1);
  fence.dma_fence_signal(cpu, fences[0]);
  expect(any(0)).toBe(1);
  expect(cpu.mem.read(idx)).toBe(0);
  expect(any(5)).toBe(5);
  expect(fence.dma_fence_wait_any_timeout(cpu, 0, 3, false, 0, 0)).toBe(-EINVAL);
  expect(dmesg(cpu)).toHaveLength(1);
  for (const f of fences) fence.dma_fence_put(cpu, f);
  rcu_barrier(cpu);
  // The array alone: no wait left a callback or an array of its own.
  expect(kmem_in_use(cpu) - before).toBeLessThanOrEqual(12);
  expect(dmesg(cpu)).toHaveLength(1);
});

it("waiting for any fence may run out of memory, or be interrupted, and keeps no callback", () => {
  const cpu = boot_solo();
  const array = kmalloc(cpu, 8, GFP_KERNEL);
  const fences = [mock_fence(cpu), mock_fence(cpu)] as const;
  fences.forEach((f, i) => cpu.mem.write(array + 4 * i, f));
  const before = kmem_in_use(cpu);
  const any = (intr: boolean, timeout: number): number =>
    fence.dma_fence_wait_any_timeout(cpu, array, 2, intr, timeout, 0);
  fault_arm(cpu, FAULT_SLAB, { after: 0, times: 1 });
  expect(any(false, 5)).toBe(-ENOMEM);
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  expect(any(true, 5)).toBe(-ERESTARTSYS);
  expect(any(true, 0), "just a look").toBe(0);
  expect(any(false, 2)).toBe(0);
  expect(kmem_in_use(cpu)).toBe(before);
  fence.dma_fence_signal(cpu, fences[1]);
  expect(any(true, 5), "no need to sleep").toBe(5);
  expect(dmesg(cpu)).toEqual([]);
  expect(any(false, -1)).toBe(-EINVAL);
  expect(fence.dma_fence_wait_any_timeout(cpu, array, 0, false, 1, 0)).toBe(-EINVAL);
  expect(dmesg(cpu)).toHaveLength(2);
});

const WAITED = kernel_static("test_waited", 8);
const WAIT_OPS = kernel_rodata("wait_ops", [
  kernel_symbol(mock_name),
  kernel_symbol(mock_name),
  0,
  0,
  kernel_symbol((cpu: Cpu, _fence: number, intr: number, timeout: number) => {
    cpu.mem.write(WAITED, intr);
    cpu.mem.write(WAITED + 4, timeout);
    return -EIO;
  }),
  0,
  0,
]);

it("a fence may have a wait of its own, which is asked even when it is signaled", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu, WAIT_OPS);
  expect(fence.dma_fence_wait_timeout(cpu, f, true, 7)).toBe(-EIO);
  expect([cpu.mem.read(WAITED), cpu.mem.read(WAITED + 4)]).toEqual([1, 7]);
  fence.dma_fence_signal(cpu, f);
  expect(fence.dma_fence_wait(cpu, f, false)).toBe(-EIO);
});

it("a fence released with callbacks waiting warns and signals them -EDEADLK", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu, OPS, 0xab, 0x10);
  fence.dma_fence_add_callback(cpu, f, mock_cb(cpu), SIMPLE_CALLBACK);
  rcu_read_lock(cpu);
  fence.dma_fence_put(cpu, f);
  expect(seen(cpu)).toBe(1);
  expect(fence.dma_fence_get_status(cpu, f)).toBe(-EDEADLK);
  expect(fence.dma_fence_get_rcu(cpu, f), "dying").toBe(0);
  rcu_read_unlock(cpu);
  expect(dmesg(cpu)).toHaveLength(1);
  expect(dmesg(cpu)[0]).toContain("Fence mock:mock:ab:10 released with pending signals!");
  const quiet = mock_fence(cpu);
  fence.dma_fence_put(cpu, quiet);
  expect(dmesg(cpu), "nobody waited for this one").toHaveLength(1);
});

const LAZY = kernel_static("test_lazy", 8);
const LAZY_OPS = kernel_rodata("lazy_ops", [
  kernel_symbol(mock_name),
  kernel_symbol(mock_name),
  kernel_symbol(lazy_enable_signaling),
  kernel_symbol(lazy_signaled),
  0,
  kernel_symbol(lazy_release),
  0,
]);
function lazy_enable_signaling(cpu: Cpu, _fence: number): boolean {
  cpu.mem.fetchAdd(LAZY, 1);
  return cpu.mem.read(LAZY + 4) === 0;
}
function lazy_signaled(cpu: Cpu, _fence: number): boolean {
  return cpu.mem.read(LAZY + 4) !== 0;
}
function lazy_release(cpu: Cpu, f: number): void {
  cpu.mem.fetchAdd(SEEN, 100);
  fence.dma_fence_free(cpu, f as DmaFencePtr);
}

it("a driver is asked once to enable signaling, and may say that it is done", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu, LAZY_OPS);
  fence.dma_fence_enable_signaling(cpu, f);
  fence.dma_fence_enable_signaling(cpu, f);
  expect(cpu.mem.read(LAZY)).toBe(1);
  expect(fence.dma_fence_is_signaled(cpu, f)).toBe(false);
  cpu.mem.write(LAZY + 4, 1);
  expect(fence.dma_fence_is_signaled(cpu, f), "signaled lazily").toBe(true);
  expect(fence.dma_fence_signal(cpu, f)).toBe(-EINVAL);
  const g = mock_fence(cpu, LAZY_OPS);
  expect(fence.dma_fence_add_callback(cpu, g, mock_cb(cpu), SIMPLE_CALLBACK)).toBe(-ENOENT);
  expect(fence.dma_fence_test_signaled_flag(cpu, g)).toBe(true);
  fence.dma_fence_put(cpu, g);
  expect(seen(cpu), "ops->release").toBe(100);
});

it("callbacks run in the order they came, with the lock held, and are off the list by then", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  const cbs = [mock_cb(cpu), mock_cb(cpu), mock_cb(cpu)] as const;
  for (const cb of cbs) fence.dma_fence_add_callback(cpu, f, cb, ORDERED);
  fence.dma_fence_signal(cpu, f);
  expect(order).toEqual([...cbs]);
});
const order: number[] = [];
const ORDERED = kernel_symbol((cpu: Cpu, f: number, cb: number) => {
  order.push(cb);
  expect(cpu.mem.read(LOCK)).not.toBe(0);
  expect(cpu.mem.read(cb), "node points to itself").toBe(cb);
  expect(fence.dma_fence_test_signaled_flag(cpu, f as DmaFencePtr)).toBe(true);
});

it("later is a signed 32-bit distance, and only within a context", () => {
  const cpu = boot_solo();
  const at = (seqno: number, context: number = 7): DmaFencePtr => mock_fence(cpu, OPS, context, seqno);
  const later = (a: number, b: number): boolean => fence.dma_fence_is_later(cpu, at(a), at(b));
  expect(later(2, 1)).toBe(true);
  expect(later(1, 2)).toBe(false);
  expect(later(1, 1)).toBe(false);
  expect(later(1, 0xffffffff), "across the wrap").toBe(true);
  expect(later(0x80000001, 1)).toBe(false);
  const f = at(5);
  expect(fence.dma_fence_is_later_or_same(cpu, f, f)).toBe(true);
  expect(dmesg(cpu)).toEqual([]);
  expect(fence.dma_fence_is_later(cpu, at(2, 7), at(1, 8))).toBe(false);
  expect(dmesg(cpu)).toHaveLength(1);
  const wide = kmalloc(cpu, fence.DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  fence.dma_fence_init64(cpu, wide, OPS, LOCK, 7, 2 ** 40);
  expect(fence.dma_fence_is_later(cpu, wide, at(3))).toBe(true);
});

it("contexts are given out once, from 1 on", () => {
  const cpu = boot_solo();
  expect(fence.dma_fence_context_alloc(cpu, 3)).toBe(1);
  expect(fence.dma_fence_context_alloc(cpu, 1)).toBe(4);
  expect(dmesg(cpu)).toEqual([]);
  fence.dma_fence_context_alloc(cpu, 0);
  expect(dmesg(cpu)).toHaveLength(1);
});

it("a reference through an RCU pointer is on the published fence", () => {
  const cpu = boot_solo();
  const slot = kmalloc(cpu, 4, GFP_KERNEL);
  cpu.mem.write(slot, 0);
  rcu_read_lock(cpu);
  expect(fence.dma_fence_get_rcu_safe(cpu, slot)).toBe(0);
  const f = mock_fence(cpu);
  cpu.mem.storeRelease(slot, f);
  expect(fence.dma_fence_get_rcu_safe(cpu, slot)).toBe(f);
  rcu_read_unlock(cpu);
});

it("the locked verbs work under the fence's lock", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  spin_lock(cpu, LOCK);
  expect(fence.dma_fence_get_status_locked(cpu, f)).toBe(0);
  expect(fence.dma_fence_check_and_signal_locked(cpu, f)).toBe(false);
  expect(fence.dma_fence_get_status_locked(cpu, f)).toBe(1);
  spin_unlock(cpu, LOCK);
  expect(fence.dma_fence_timestamp(cpu, f)).toBe(cpu.now() * 1e6);
});
