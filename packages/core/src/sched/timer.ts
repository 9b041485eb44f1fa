/**
 * Timers (kernel/time/timer.c): a function that runs once, at or after a time, in softirq context: it must not
 * sleep. It runs on the CPU that armed the timer last, at a safe point of that CPU; a timer set up with
 * TIMER_HOUSEKEEPING on the housekeeping CPU instead (rcu_gp), which comes to safe points whatever the others do.
 *
 * Interface: timer_setup once, then mod_timer and its like from any CPU; before the memory goes
 * timer_delete_sync, or timer_shutdown_sync if somebody may still try to arm it. After timer_shutdown arming does
 * nothing, silently. Only the function itself may arm a timer that is being deleted synchronously.
 *
 * timer_delete_sync waits for the function, so it must not be called with a lock that the function takes, nor from
 * the function: Linux hangs there, and here it warns and does not wait.
 */
import { kernel_symbol, symbol_call, type SymbolId, symbol_name } from "../debug/image.ts";
import { debug_obj_fixup } from "../debug/objects.ts";
import { WARN_ON_ONCE, WARN_ONCE } from "../debug/warn.ts";
import { lock_map_acquire, lock_map_release, lockdep_named_map } from "../lock/lockdep.ts";
import { type Cpu, SOFTIRQ_OFFSET } from "./cpu.ts";
import { kick_task, task_of_cpu } from "./task.ts";
import {
  base_dequeue,
  base_enqueue,
  base_first,
  base_is_empty,
  base_lock,
  base_running,
  base_set_running,
  base_unlock,
  lock_timer_base,
  timer_base,
  TIMER_DEBUG,
  timer_cpu,
  timer_expires,
  timer_function,
  timer_migrate,
  timer_pending,
  type TimerPtr,
  timer_set_expires,
  timer_set_shutdown,
  timer_target,
} from "./timer-base.ts";

export {
  housekeeping_start,
  housekeeping_stop,
  timer_armed_before,
  timer_expires,
  TIMER_HOUSEKEEPING,
  timer_pending,
  type TimerPtr,
  timer_set_expires,
  timer_setup,
  TIMER_SIZE,
} from "./timer-base.ts";

debug_obj_fixup(TIMER_DEBUG, kernel_symbol(timer_delete_sync));

/** __mod_timer: what to do with a timer that is pending, or is not. */
const MOD_TIMER_PENDING_ONLY = 1;
const MOD_TIMER_REDUCE = 2;

/** Arms or re-arms for `expires` (absolute ms). Returns 1 if it was pending. */
export function mod_timer(cpu: Cpu, timer: TimerPtr, expires: number): number {
  return __mod_timer(cpu, timer, expires, 0, timer_target(cpu, timer));
}

/** Re-arms a pending timer; leaves any other alone. Returns 1 if it was pending. */
export function mod_timer_pending(cpu: Cpu, timer: TimerPtr, expires: number): number {
  return __mod_timer(cpu, timer, expires, MOD_TIMER_PENDING_ONLY, timer_target(cpu, timer));
}

/** Arms, or re-arms for an earlier time; never postpones. Returns 1 if it was pending. */
export function timer_reduce(cpu: Cpu, timer: TimerPtr, expires: number): number {
  return __mod_timer(cpu, timer, expires, MOD_TIMER_REDUCE, timer_target(cpu, timer));
}

/** Arms for timer_expires. It must not be pending. */
export function add_timer(cpu: Cpu, timer: TimerPtr): void {
  if (WARN_ON_ONCE(cpu, timer_pending(cpu, timer))) return;
  __mod_timer(cpu, timer, timer_expires(cpu, timer), 0, timer_target(cpu, timer));
}

/** As add_timer, on CPU `id`: one that comes to safe points. */
export function add_timer_on(cpu: Cpu, timer: TimerPtr, id: number): void {
  if (WARN_ON_ONCE(cpu, timer_pending(cpu, timer))) return;
  __mod_timer(cpu, timer, timer_expires(cpu, timer), 0, id);
}

function __mod_timer(cpu: Cpu, timer: TimerPtr, expires: number, options: number, id: number): number {
  // What a timer's function arms runs in the next jiffy at the earliest, as on the timer wheel: or a function that
  // arms its own timer for now would keep timers_run from ever returning.
  const from_softirq = cpu.preempt_count >= SOFTIRQ_OFFSET;
  let base = lock_timer_base(cpu, timer);
  const postpone = (options & MOD_TIMER_REDUCE) !== 0 && timer_expires(cpu, timer) <= expires;
  if (timer_function(cpu, timer) === 0 || (postpone && timer_pending(cpu, timer))) {
    const pending = timer_pending(cpu, timer) ? 1 : 0;
    base_unlock(cpu, base);
    return pending;
  }
  const was = base_dequeue(cpu, base, timer);
  if (was === 0 && (options & MOD_TIMER_PENDING_ONLY) !== 0) {
    base_unlock(cpu, base);
    return 0;
  }
  // While its function runs the timer stays, or two CPUs could run it at once, and timer_delete_sync would look
  // for it in the wrong place.
  if (base !== timer_base(cpu, id) && base_running(cpu, base) !== timer) {
    base = timer_migrate(cpu, timer, base, id);
  }
  timer_set_expires(cpu, timer, from_softirq ? Math.max(expires, Math.floor(cpu.now()) + 1) : expires);
  const first = base_enqueue(cpu, base, timer);
  const target = timer_cpu(cpu, timer);
  base_unlock(cpu, base);
  // It may sleep until a later time.
  if (first && target !== cpu.id) kick_task(cpu, task_of_cpu(cpu, target));
  return was;
}

/** Disarms. Returns 1 if it was pending. The function may still be running. */
export function timer_delete(cpu: Cpu, timer: TimerPtr): number {
  if (!timer_pending(cpu, timer)) return 0;
  return __timer_delete(cpu, timer, false);
}

/** Disarms for good: it cannot be armed again. The function may still be running. */
export function timer_shutdown(cpu: Cpu, timer: TimerPtr): number {
  return __timer_delete(cpu, timer, true);
}

function __timer_delete(cpu: Cpu, timer: TimerPtr, shutdown: boolean): number {
  const base = lock_timer_base(cpu, timer);
  const was = base_dequeue(cpu, base, timer);
  if (shutdown) timer_set_shutdown(cpu, timer);
  base_unlock(cpu, base);
  return was;
}

/** Disarms unless the function is running: then -1, and nothing is done. Else 1 if it was pending. */
export function try_to_del_timer_sync(cpu: Cpu, timer: TimerPtr): number {
  return __try_to_del_timer_sync(cpu, timer, false);
}

function __try_to_del_timer_sync(cpu: Cpu, timer: TimerPtr, shutdown: boolean): number {
  const base = lock_timer_base(cpu, timer);
  const running = base_running(cpu, base) === timer;
  const was = running ? -1 : base_dequeue(cpu, base, timer);
  if (shutdown && !running) timer_set_shutdown(cpu, timer);
  base_unlock(cpu, base);
  return was;
}

/** Disarms and waits until the function does not run anywhere. Returns 1 if it was pending. */
export function timer_delete_sync(cpu: Cpu, timer: TimerPtr): number {
  return __timer_delete_sync(cpu, timer, false);
}

/** As timer_delete_sync, and it cannot be armed again, not even by its function. */
export function timer_shutdown_sync(cpu: Cpu, timer: TimerPtr): number {
  return __timer_delete_sync(cpu, timer, true);
}

function __timer_delete_sync(cpu: Cpu, timer: TimerPtr, shutdown: boolean): number {
  if (base_running(cpu, timer_base(cpu, cpu.id)) === timer) {
    WARN_ONCE(
      cpu,
      true,
      `timer_delete_sync: called by the timer's own function ${function_name(cpu, timer)}`,
    );
    return __timer_delete(cpu, timer, shutdown);
  }
  if (cpu.lockdep && timer_function(cpu, timer) !== 0) {
    // Waiting for the function is as good as taking every lock it takes. With interrupts off as in Linux, or
    // this would count as a use of the map that the timer's softirq could meet.
    const map = timer_map(cpu, timer);
    cpu.lock_state.irqs_off++;
    lock_map_acquire(cpu, map);
    lock_map_release(cpu, map);
    cpu.lock_state.irqs_off--;
  }
  for (;;) {
    const was = __try_to_del_timer_sync(cpu, timer, shutdown);
    if (was >= 0) return was;
    cpu.mem.pause();
  }
}

function function_name(cpu: Cpu, timer: TimerPtr): string {
  return symbol_name(timer_function(cpu, timer));
}

/** The map of all timers with this function, named as Linux names a timer's map, after what it is. */
function timer_map(cpu: Cpu, timer: TimerPtr): number {
  return lockdep_named_map(cpu, `((timer)${function_name(cpu, timer)})`);
}

/** As symbol_call, for lockdep: the timer may be gone afterwards. */
function call_timer_fn(cpu: Cpu, timer: TimerPtr, fn: SymbolId): void {
  if (!cpu.lockdep) {
    symbol_call(cpu, fn, timer);
    return;
  }
  const map = timer_map(cpu, timer);
  lock_map_acquire(cpu, map);
  symbol_call(cpu, fn, timer);
  lock_map_release(cpu, map);
}

/** Runs what has expired on this CPU. */
export function timers_run(cpu: Cpu): void {
  const base = timer_base(cpu, cpu.id);
  if (base_is_empty(cpu, base) || cpu.in_irq || cpu.preempt_count !== 0) return;
  const now = cpu.now();
  for (;;) {
    base_lock(cpu, base);
    const timer = base_first(cpu, base);
    if (timer === 0 || timer_expires(cpu, timer) > now) break;
    base_set_running(cpu, base, timer);
    base_dequeue(cpu, base, timer);
    const fn = timer_function(cpu, timer);
    base_unlock(cpu, base);
    cpu.preempt_count += SOFTIRQ_OFFSET;
    call_timer_fn(cpu, timer, fn);
    cpu.preempt_count -= SOFTIRQ_OFFSET;
    base_set_running(cpu, base, 0);
  }
  base_unlock(cpu, base);
}

/** When the next timer of this CPU expires (absolute ms); Infinity when there is none. */
export function timers_next_ms(cpu: Cpu): number {
  const base = timer_base(cpu, cpu.id);
  if (base_is_empty(cpu, base)) return Number.POSITIVE_INFINITY;
  base_lock(cpu, base);
  const first = base_first(cpu, base);
  const when = first === 0 ? Number.POSITIVE_INFINITY : timer_expires(cpu, first);
  base_unlock(cpu, base);
  return when;
}
