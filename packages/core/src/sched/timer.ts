/**
 * Timers (kernel/time/timer.c): a per-CPU list ordered by expiry. A timer runs on the CPU that armed it, at a
 * safe point at or after its expiry, in softirq context: it must not sleep.
 *
 * Interface: timer_setup once, then mod_timer / timer_delete(_sync). The list of each CPU has its own lock,
 * so that any CPU may delete a timer armed elsewhere.
 */
import type { Ptr } from "atomics-sync";
import { percpu_static, symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_next } from "../mm/list.ts";
import { SOFTIRQ_OFFSET, type Cpu, nr_cpu_ids, per_cpu_ptr, this_cpu_ptr } from "./cpu.ts";

export type TimerPtr = Ptr<"timer_list">;

// Guarded by the lock of the base the timer is on:
const ENTRY = 0;
/** Absolute time in ms, 64-bit. */
const EXPIRES = 8;
/** CPU number + 1 of the base it is pending on; 0 when it is not. */
const BASE = 16;
// Constant after timer_setup:
const FUNCTION = 20;
export const TIMER_SIZE = 24;

struct_layout("timer_list", TIMER_SIZE, [
  ["entry", ENTRY, 8],
  ["expires", EXPIRES, 8],
  ["base", BASE, 4],
  ["function", FUNCTION, 4],
]);

/** struct timer_base. */
const TIMER_BASES = percpu_static("timer_bases", 128);
const HEAD = 0;
const LOCK = 8;
const RUNNING = 12;
/** Number of timers pending: lets the safe point skip the lock. */
const PENDING = 16;

function timer_base(cpu: Cpu, id: number): number {
  return per_cpu_ptr(cpu, TIMER_BASES, id);
}

/** Prepares a timer; `fn(cpu, timer)` runs at expiry. */
export function timer_setup(cpu: Cpu, timer: TimerPtr, fn: SymbolId): void {
  INIT_LIST_HEAD(cpu, timer + ENTRY);
  cpu.mem.write(timer + BASE, 0);
  cpu.mem.write(timer + FUNCTION, fn);
}

export function timer_pending(cpu: Cpu, timer: TimerPtr): boolean {
  return cpu.mem.readOnce(timer + BASE) !== 0;
}

function lock_base(cpu: Cpu, base: number): void {
  spin_lock_irqsave(cpu, base + LOCK);
  if (cpu.mem.read(base + HEAD) === 0) INIT_LIST_HEAD(cpu, base + HEAD);
}

/** Arms or re-arms for `expires` (absolute ms). Returns 1 if it was pending. */
export function mod_timer(cpu: Cpu, timer: TimerPtr, expires: number): number {
  const base = timer_base(cpu, cpu.id);
  let was = 0;
  for (;;) {
    if (timer_delete(cpu, timer) === 1) was = 1;
    lock_base(cpu, base);
    // Another CPU may arm it at the same time: one of us owns the entry, the other deletes it and tries again.
    if (cpu.mem.compareExchange(timer + BASE, 0, cpu.id + 1) === 0) break;
    spin_unlock_irqrestore(cpu, base + LOCK);
  }
  // Stored in whole milliseconds, never earlier than asked for.
  const when = Math.ceil(expires);
  let before = list_next(cpu, base + HEAD);
  while (before !== base + HEAD && cpu.mem.read64(before - ENTRY + EXPIRES) <= when) {
    before = list_next(cpu, before);
  }
  cpu.mem.write64(timer + EXPIRES, when);
  list_add_tail(cpu, timer + ENTRY, before);
  cpu.mem.writeOnce(base + PENDING, cpu.mem.read(base + PENDING) + 1);
  spin_unlock_irqrestore(cpu, base + LOCK);
  return was;
}

/** Disarms. Returns 1 if it was pending. The function may still be running on its CPU. */
export function timer_delete(cpu: Cpu, timer: TimerPtr): number {
  for (;;) {
    const id = cpu.mem.loadAcquire(timer + BASE) - 1;
    if (id < 0) return 0;
    const base = timer_base(cpu, id);
    lock_base(cpu, base);
    const pending = cpu.mem.read(timer + BASE) === id + 1;
    if (pending) detach_timer(cpu, base, timer);
    spin_unlock_irqrestore(cpu, base + LOCK);
    if (pending) return 1;
  }
}

/** Disarms and waits until the function does not run anywhere. Not from the function itself. */
export function timer_delete_sync(cpu: Cpu, timer: TimerPtr): number {
  let was = 0;
  // Again while it ran: the function may have armed the timer anew.
  do if (timer_delete(cpu, timer) === 1) was = 1;
  while (wait_while_running(cpu, timer));
  return was;
}

/** True if the function ran somewhere and this had to wait. */
function wait_while_running(cpu: Cpu, timer: TimerPtr): boolean {
  let waited = false;
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    while (cpu.mem.loadAcquire(timer_base(cpu, id) + RUNNING) === timer) {
      waited = true;
      cpu.mem.pause();
    }
  }
  return waited;
}

function detach_timer(cpu: Cpu, base: number, timer: number): void {
  list_del_init(cpu, timer + ENTRY);
  cpu.mem.writeOnce(base + PENDING, cpu.mem.read(base + PENDING) - 1);
  cpu.mem.storeRelease(timer + BASE, 0);
}

/** Runs what has expired on this CPU. */
export function timers_run(cpu: Cpu): void {
  const base = this_cpu_ptr(cpu, TIMER_BASES);
  if (cpu.mem.readOnce(base + PENDING) === 0 || cpu.in_irq || cpu.preempt_count !== 0) return;
  const now = cpu.now();
  for (;;) {
    lock_base(cpu, base);
    const timer = list_next(cpu, base + HEAD) - ENTRY;
    if (timer === base + HEAD || cpu.mem.read64(timer + EXPIRES) > now) break;
    // RUNNING goes first: timer_delete_sync finds the timer pending, or running, or done; never in between.
    cpu.mem.storeRelease(base + RUNNING, timer);
    const fn = cpu.mem.read(timer + FUNCTION);
    detach_timer(cpu, base, timer);
    spin_unlock_irqrestore(cpu, base + LOCK);
    cpu.preempt_count += SOFTIRQ_OFFSET;
    symbol_call(cpu, fn, timer);
    cpu.preempt_count -= SOFTIRQ_OFFSET;
    cpu.mem.storeRelease(base + RUNNING, 0);
  }
  spin_unlock_irqrestore(cpu, base + LOCK);
}

/** When the next timer of this CPU expires (absolute ms); Infinity when there is none. */
export function timers_next_ms(cpu: Cpu): number {
  const base = this_cpu_ptr(cpu, TIMER_BASES);
  if (cpu.mem.readOnce(base + PENDING) === 0) return Number.POSITIVE_INFINITY;
  lock_base(cpu, base);
  const first = list_next(cpu, base + HEAD);
  const when = first === base + HEAD ? Number.POSITIVE_INFINITY : cpu.mem.read64(first - ENTRY + EXPIRES);
  spin_unlock_irqrestore(cpu, base + LOCK);
  return when;
}
