import { expect, it } from "vitest";
import { EDEADLK, EINVAL, EIO, ENOENT, ERESTARTSYS } from "../debug/errno.ts";
import { kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { layout_faults, struct_layouts } from "../debug/layout.ts";
import { kernel_string } from "../debug/strings.ts";
import { spin_lock, spin_unlock } from "../lock/spinlock.ts";
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
const OPS = kernel_rodata("mock_ops", [kernel_symbol(mock_name), kernel_symbol(mock_name), 0, 0, 0, 0]);
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

// drivers/dma-buf/st-dma-fence.c sanitycheck
it("a fence that signals and is put is freed after a grace period, without a word", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const f = mock_fence(cpu);
  fence.dma_fence_enable_signaling(cpu, f);
  expect(fence.dma_fence_signal(cpu, f)).toBe(0);
  fence.dma_fence_put(cpu, f);
  expect(kmem_in_use(cpu), "not before the grace period").toBeGreaterThan(before);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
  expect(dmesg(cpu)).toEqual([]);
});

// drivers/dma-buf/st-dma-fence.c test_signaling
it("a fence is unsignaled until it is signaled, and only the first signal is new", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  expect(fence.dma_fence_is_signaled(cpu, f)).toBe(false);
  expect(fence.dma_fence_signal(cpu, f)).toBe(0);
  expect(fence.dma_fence_is_signaled(cpu, f)).toBe(true);
  expect(fence.dma_fence_signal(cpu, f)).toBe(-EINVAL);
  const g = mock_fence(cpu);
  expect(fence.dma_fence_check_and_signal(cpu, g)).toBe(false);
  expect(fence.dma_fence_check_and_signal(cpu, g)).toBe(true);
  expect(fence.dma_fence_counters(cpu)).toEqual({ initialised: 3, signalled: 3 }); // and the stub
});

// drivers/dma-buf/st-dma-fence.c test_add_callback
it("a callback added in time runs once", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  expect(fence.dma_fence_add_callback(cpu, f, mock_cb(cpu), SIMPLE_CALLBACK)).toBe(0);
  expect(seen(cpu)).toBe(0);
  fence.dma_fence_signal(cpu, f);
  fence.dma_fence_signal(cpu, f);
  expect(seen(cpu)).toBe(1);
});

// drivers/dma-buf/st-dma-fence.c test_late_add_callback
it("a callback added too late is refused and never runs", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  fence.dma_fence_signal(cpu, f);
  const cb = mock_cb(cpu);
  expect(fence.dma_fence_add_callback(cpu, f, cb, SIMPLE_CALLBACK)).toBe(-ENOENT);
  fence.dma_fence_signal(cpu, f);
  expect(seen(cpu)).toBe(0);
  expect(fence.dma_fence_remove_callback(cpu, f, cb), "it was initialised all the same").toBe(false);
});

// drivers/dma-buf/st-dma-fence.c test_rm_callback
it("a callback removed in time does not run", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  const cb = mock_cb(cpu);
  fence.dma_fence_add_callback(cpu, f, cb, SIMPLE_CALLBACK);
  expect(fence.dma_fence_remove_callback(cpu, f, cb)).toBe(true);
  fence.dma_fence_signal(cpu, f);
  expect(seen(cpu)).toBe(0);
});

// drivers/dma-buf/st-dma-fence.c test_late_rm_callback
it("a callback that ran cannot be removed", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  const cb = mock_cb(cpu);
  fence.dma_fence_add_callback(cpu, f, cb, SIMPLE_CALLBACK);
  fence.dma_fence_signal(cpu, f);
  expect(seen(cpu)).toBe(1);
  expect(fence.dma_fence_remove_callback(cpu, f, cb)).toBe(false);
});

// drivers/dma-buf/st-dma-fence.c test_status, test_error
it("status is 0, then 1 or the error", () => {
  const cpu = boot_solo();
  const good = mock_fence(cpu);
  expect(fence.dma_fence_get_status(cpu, good)).toBe(0);
  fence.dma_fence_signal(cpu, good);
  expect(fence.dma_fence_get_status(cpu, good)).toBe(1);
  const bad = mock_fence(cpu);
  fence.dma_fence_set_error(cpu, bad, -EIO);
  expect(fence.dma_fence_get_status(cpu, bad)).toBe(0);
  fence.dma_fence_signal(cpu, bad);
  expect(fence.dma_fence_get_status(cpu, bad)).toBe(-EIO);
  expect(dmesg(cpu)).toEqual([]);
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

// drivers/dma-buf/st-dma-fence.c test_wait
it("a wait without time says 0 before and 1 after the signal", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  expect(fence.dma_fence_wait_timeout(cpu, f, false, 0)).toBe(0);
  fence.dma_fence_signal(cpu, f);
  expect(fence.dma_fence_wait_timeout(cpu, f, false, 0)).toBe(1);
  expect(fence.dma_fence_wait_timeout(cpu, f, false, 25)).toBe(25);
  expect(fence.dma_fence_wait(cpu, f, true)).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
});

// drivers/dma-buf/st-dma-fence.c test_wait_timeout
it("a wait ends with 0 when time runs out, and with the time left when the fence signals", () => {
  const cpu = boot_solo();
  const f = mock_fence(cpu);
  expect(fence.dma_fence_wait_timeout(cpu, f, false, 1)).toBe(0);
  timer_setup(cpu, TIMER, SIGNAL_TIMER);
  cpu.mem.write(TIMER + TIMER_SIZE, f);
  mod_timer(cpu, TIMER, cpu.now() + 3);
  const left = fence.dma_fence_wait_timeout(cpu, f, false, 10);
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(10);
});

// drivers/dma-buf/st-dma-fence.c test_stub
it("every stub is signaled", () => {
  const cpu = boot_solo();
  const stubs = Array.from({ length: 64 }, () => fence.dma_fence_get_stub(cpu));
  for (const stub of stubs) expect(fence.dma_fence_is_signaled(cpu, stub)).toBe(true);
  for (const stub of stubs) fence.dma_fence_put(cpu, stub);
  expect(fence.dma_fence_context(cpu, fence.dma_fence_get_stub(cpu))).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
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
  expect(fence.dma_fence_is_signaled_flag(cpu, g)).toBe(true);
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
  expect(fence.dma_fence_is_signaled_flag(cpu, f as DmaFencePtr)).toBe(true);
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
