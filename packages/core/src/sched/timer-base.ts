/**
 * struct timer_list and struct timer_base (kernel/time/timer.c): the timers of each CPU, a list ordered by expiry,
 * with a lock of its own. The verbs, and running them, are in timer.ts.
 *
 * A timer's flags name the CPU whose base it is on, or was on last; they change under that base's lock only, and
 * never while its function runs there: so the function never runs on two CPUs at once, and whoever holds the lock
 * of the timer's base knows all about it.
 */
import type { Ptr } from "atomics-sync";
import { kernel_static, percpu_static, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import {
  debug_obj_type,
  debug_object_activate,
  debug_object_deactivate,
  debug_object_init,
  type DebugObjType,
} from "../debug/objects.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del, list_next } from "../mm/list.ts";
import { type Cpu, per_cpu_ptr } from "./cpu.ts";

export type TimerPtr = Ptr<"timer_list">;

// Guarded by the lock of the timer's base:
/** Null pointers when it is not pending. */
const ENTRY = 0;
/** Absolute time in ms, 64-bit. */
const EXPIRES = 8;
const FLAGS = 16;
/** 0: shut down, or never set up. */
const FUNCTION = 20;
export const TIMER_SIZE = 24;

struct_layout("timer_list", TIMER_SIZE, [
  ["entry", ENTRY, 8],
  ["expires", EXPIRES, 8],
  ["flags", FLAGS, 4],
  ["function", FUNCTION, 4],
]);

/** flags; the values of Linux. The CPU whose base it is: */
const TIMER_CPUMASK = 0x0003ffff;
/** Between two bases: whoever wants the lock waits a moment. */
const TIMER_MIGRATING = 0x00040000;
/**
 * To be run by the housekeeping CPU if there is one: it never leaves the kernel, as a CPU in user code does. In
 * Linux (get_nohz_timer_target) all timers that are not pinned may go there. One that is armed before that CPU
 * has started stays, until it expires, with the CPU that armed it.
 */
export const TIMER_HOUSEKEEPING = 0x01000000;

export const TIMER_DEBUG: DebugObjType = debug_obj_type("timer_list", 0);

/** struct timer_base. */
const TIMER_BASES = percpu_static("timer_bases", 128);
const HEAD = 0;
const LOCK = 8;
/** The timer whose function runs; written by the base's CPU: under the lock to a timer, without it to 0. */
const RUNNING = 12;
/** Number of timers pending: lets the safe point skip the lock. */
const PENDING = 16;

/** CPU number + 1 of the housekeeping CPU, or 0. */
const HOUSEKEEPER = kernel_static("housekeeping_cpu", 4);

export function timer_base(cpu: Cpu, id: number): number {
  return per_cpu_ptr(cpu, TIMER_BASES, id);
}

/** Prepares a timer, on this CPU's base; `fn(cpu, timer)` runs at expiry. */
export function timer_setup(cpu: Cpu, timer: TimerPtr, fn: SymbolId, flags: number = 0): void {
  if (cpu.lockdep) debug_object_init(cpu, timer);
  cpu.mem.write(timer + ENTRY, 0);
  cpu.mem.write(timer + FLAGS, cpu.id | flags);
  cpu.mem.write(timer + FUNCTION, fn);
}

/** A racy look, unless the caller excludes everybody else. */
export function timer_pending(cpu: Cpu, timer: TimerPtr): boolean {
  return cpu.mem.readOnce(timer + ENTRY) !== 0;
}

/** When it expires or did so last, in ms. */
export function timer_expires(cpu: Cpu, timer: TimerPtr): number {
  return cpu.mem.read64(timer + EXPIRES);
}

/** Is it pending, for `expires` (ms, modulo 2^32) or before? A racy look, and a cheap one. */
export function timer_armed_before(cpu: Cpu, timer: TimerPtr, expires: number): boolean {
  return cpu.mem.readOnce(timer + ENTRY) !== 0 && ((cpu.mem.readOnce(timer + EXPIRES) - expires) | 0) <= 0;
}

/** `timer->expires = expires`, for add_timer; the timer is not pending. Whole ms, never earlier than asked for. */
export function timer_set_expires(cpu: Cpu, timer: TimerPtr, expires: number): void {
  cpu.mem.write64(timer + EXPIRES, Math.max(0, Math.ceil(expires)));
}

export function timer_function(cpu: Cpu, timer: TimerPtr): SymbolId {
  return cpu.mem.read(timer + FUNCTION);
}

/** Nobody arms it any more. Lock of its base held. */
export function timer_set_shutdown(cpu: Cpu, timer: TimerPtr): void {
  cpu.mem.write(timer + FUNCTION, 0);
}

export function base_lock(cpu: Cpu, base: number): void {
  spin_lock_irqsave(cpu, base + LOCK);
  if (cpu.mem.read(base + HEAD) === 0) INIT_LIST_HEAD(cpu, base + HEAD);
}

export function base_unlock(cpu: Cpu, base: number): void {
  spin_unlock_irqrestore(cpu, base + LOCK);
}

/** lock_timer_base: locks the base the timer is on, and returns it. */
export function lock_timer_base(cpu: Cpu, timer: TimerPtr): number {
  for (;;) {
    const flags = cpu.mem.loadAcquire(timer + FLAGS);
    if ((flags & TIMER_MIGRATING) === 0) {
      const base = timer_base(cpu, flags & TIMER_CPUMASK);
      base_lock(cpu, base);
      if (cpu.mem.read(timer + FLAGS) === flags) return base;
      base_unlock(cpu, base);
    }
    cpu.mem.pause();
  }
}

/** Moves a timer that is not pending to the base of CPU `id`: locks that one and unlocks `base`. */
export function timer_migrate(cpu: Cpu, timer: TimerPtr, base: number, id: number): number {
  const flags = cpu.mem.read(timer + FLAGS) & ~TIMER_CPUMASK;
  // Pairs with the loadAcquire in lock_timer_base. The two locks are never held together: no order between them.
  cpu.mem.storeRelease(timer + FLAGS, flags | TIMER_MIGRATING);
  base_unlock(cpu, base);
  const target = timer_base(cpu, id);
  base_lock(cpu, target);
  cpu.mem.storeRelease(timer + FLAGS, flags | id);
  return target;
}

/** The CPU whose base it is on. Lock held. */
export function timer_cpu(cpu: Cpu, timer: TimerPtr): number {
  return cpu.mem.read(timer + FLAGS) & TIMER_CPUMASK;
}

/** get_target_base: the CPU it is to be armed on by this one. */
export function timer_target(cpu: Cpu, timer: TimerPtr): number {
  if ((cpu.mem.readOnce(timer + FLAGS) & TIMER_HOUSEKEEPING) === 0) return cpu.id;
  const housekeeper = cpu.mem.loadAcquire(HOUSEKEEPER);
  return housekeeper === 0 ? cpu.id : housekeeper - 1;
}

/** Appends in order of expiry; equal ones stay in order of arming. Lock held. True if it is the first now. */
export function base_enqueue(cpu: Cpu, base: number, timer: TimerPtr): boolean {
  const when = timer_expires(cpu, timer);
  let before = list_next(cpu, base + HEAD);
  const first = before;
  while (before !== base + HEAD && cpu.mem.read64(before - ENTRY + EXPIRES) <= when) {
    before = list_next(cpu, before);
  }
  list_add_tail(cpu, timer + ENTRY, before);
  if (cpu.lockdep) debug_object_activate(cpu, timer, TIMER_DEBUG, timer_function(cpu, timer));
  cpu.mem.writeOnce(base + PENDING, cpu.mem.read(base + PENDING) + 1);
  return before === first;
}

/** detach_if_pending. Lock held. 1 if it was pending. */
export function base_dequeue(cpu: Cpu, base: number, timer: TimerPtr): number {
  if (!timer_pending(cpu, timer)) return 0;
  list_del(cpu, timer + ENTRY);
  if (cpu.lockdep) debug_object_deactivate(cpu, timer);
  cpu.mem.writeOnce(base + PENDING, cpu.mem.read(base + PENDING) - 1);
  return 1;
}

/** The first timer, or 0. Lock held. */
export function base_first(cpu: Cpu, base: number): TimerPtr {
  const entry = list_next(cpu, base + HEAD);
  return (entry === base + HEAD ? 0 : entry - ENTRY) as TimerPtr;
}

/** Is anything pending? A racy look; who arms a timer of another CPU kicks that one after. */
export function base_is_empty(cpu: Cpu, base: number): boolean {
  return cpu.mem.readOnce(base + PENDING) === 0;
}

/** The timer whose function runs on this base, or 0. Under the lock nothing starts to run. */
export function base_running(cpu: Cpu, base: number): number {
  return cpu.mem.loadAcquire(base + RUNNING);
}

/** By the base's CPU: under the lock to a timer, without it to 0. */
export function base_set_running(cpu: Cpu, base: number, timer: number): void {
  // Pairs with the loadAcquire in base_running: who sees 0 sees all that the function did.
  cpu.mem.storeRelease(base + RUNNING, timer);
}

/** This CPU runs timers of type TIMER_HOUSEKEEPING from now on: a thread that sleeps in schedule() or works. */
export function housekeeping_start(cpu: Cpu): void {
  cpu.mem.storeRelease(HOUSEKEEPER, cpu.id + 1);
}

/** No more; what is pending here stays pending. */
export function housekeeping_stop(cpu: Cpu): void {
  cpu.mem.compareExchange(HOUSEKEEPER, cpu.id + 1, 0);
}
