/**
 * lockdep (kernel/locking/lockdep.c): the runtime locking correctness validator. It tells of a deadlock the first time
 * one becomes possible, though none happens: from the order in which each task takes classes of locks.
 *
 * Found: cycles in the order (also across fences, works, references, which are maps), the same class twice, nesting
 * under a lock that is not held, unlocking what is not held, freeing a held lock, waiting in an RCU reader, leaving the
 * kernel with a lock, a lock used in interrupts and elsewhere with interrupts on.
 * Not found, unlike Linux: irq-safe -> irq-unsafe dependencies, wait types.
 *
 * It never blocks on a kernel lock, and its tables are bounded: when one is full it says so and stops checking; held
 * locks stay tracked. A task that takes a lock it has already goes on without it (a phantom entry), so a test that
 * breaks the rules ends.
 *
 * Interface: callers test `cpu.lockdep` first, so that a machine without it pays one branch. lock_acquire before the
 * lock is taken, lock_acquired after; lock_release before it is let go, and its answer says whether to touch the lock.
 */
import { type SymbolId, symbol_name } from "../debug/image.ts";
import { capture_trace, site_id, trace_site } from "../debug/site.ts";
import { type Cpu, SOFTIRQ_OFFSET } from "../sched/cpu.ts";
import { check_acquire } from "./lockdep-check.ts";
import {
  debug_locks,
  debug_locks_off,
  forget_lock_classes,
  LOCK_FRAMES,
  LOCK_MESSENGER,
  lock_class,
  named_map,
  set_lock_class,
} from "./lockdep-class.ts";
import { first_report, graph_reset } from "./lockdep-graph.ts";
import {
  HELD_ACQUIRED,
  HELD_ADDRESS,
  held_at,
  HELD_CHECK,
  HELD_CLASS,
  held_depth,
  held_find,
  HELD_FLAGS,
  HELD_HARDIRQ,
  held_owns,
  HELD_PHANTOM,
  held_push,
  HELD_READ,
  HELD_REFERENCES,
  held_remove,
  held_settle,
  held_site,
  HELD_SOFTIRQ,
  HELD_TRYLOCK,
} from "./lockdep-held.ts";
import { report_bad_unlock, report_held_freed, report_rcu, report_still_held } from "./lockdep-report.ts";

/** Kinds for first_report. */
const UNLOCK = 3;
const FREED = 4;
const RCU = 5;
const STILL_HELD = 6;

/** Names the lock at `lock`; locks with one name are one class. "": one class per place that calls. */
export function lockdep_init_map(cpu: Cpu, lock: number, name: string): void {
  check_not_held(cpu, lock, 4);
  set_lock_class(cpu, lock, name);
}

/** The map of everything called `name`: a key for lock_map_acquire. */
export function lockdep_named_map(cpu: Cpu, name: string): number {
  return named_map(cpu, name);
}

/**
 * About to take `lock`. `read`: 0 write, 1 read, 2 recursive read. `nest_lock`: the lock that makes same-class nesting
 * safe, or 0. True when the running task has this very lock: whoever would wait must not (lock_phantom).
 */
export function lock_acquire(
  cpu: Cpu,
  lock: number,
  subclass: number,
  trylock: boolean,
  read: number,
  nest_lock: number,
): boolean {
  const flags = read | HELD_CHECK | (trylock ? HELD_TRYLOCK | HELD_ACQUIRED : 0);
  return __lock_acquire(cpu, lock, subclass, flags, nest_lock);
}

/** The lock was taken; until then the task waits for it. */
export function lock_acquired(cpu: Cpu, lock: number): void {
  const i = held_find(cpu, lock);
  if (i < 0) return;
  const flags = held_at(cpu, i) + HELD_FLAGS;
  cpu.mem.write(flags, cpu.mem.read(flags) | HELD_ACQUIRED);
}

/** The task goes on without the lock it has already: its newest entry is a shadow of the older one. */
export function lock_phantom(cpu: Cpu, lock: number): void {
  const i = held_find(cpu, lock);
  if (i < 0) return;
  const flags = held_at(cpu, i) + HELD_FLAGS;
  cpu.mem.write(flags, cpu.mem.read(flags) | HELD_ACQUIRED | HELD_PHANTOM);
}

/** Answers of lock_release. */
export const LOCK_NOT_HELD = 0;
export const LOCK_LET_GO = 1;
export const LOCK_WAS_PHANTOM = 2;

/** About to let go: only after LOCK_LET_GO touch the lock. Not held: that was reported. */
export function lock_release(cpu: Cpu, lock: number): number {
  const i = held_find(cpu, lock);
  if (i < 0) return release_unknown(cpu, lock);
  const entry = held_at(cpu, i);
  const references = cpu.mem.read(entry + HELD_REFERENCES);
  if (references > 1) {
    cpu.mem.write(entry + HELD_REFERENCES, references - 1);
    return LOCK_LET_GO;
  }
  const phantom = (cpu.mem.read(entry + HELD_FLAGS) & HELD_PHANTOM) !== 0;
  held_remove(cpu, i);
  return phantom ? LOCK_WAS_PHANTOM : LOCK_LET_GO;
}

function release_unknown(cpu: Cpu, lock: number): number {
  const state = cpu.lock_state;
  if (state.lost > 0) {
    state.lost--;
    return LOCK_LET_GO;
  }
  const class_id = lock_class(cpu, lock, 0);
  const site = site_here(cpu);
  if (first_report(cpu, UNLOCK, class_id, site)) report_bad_unlock(cpu, class_id, site);
  return LOCK_NOT_HELD;
}

/** For things that are waited for but are no locks: a map is a key in static memory, or from lockdep_named_map. */
export function lock_map_acquire(cpu: Cpu, map: number): void {
  __lock_acquire(cpu, map, 0, HELD_CHECK | HELD_ACQUIRED, 0);
}

export function lock_map_acquire_read(cpu: Cpu, map: number): void {
  __lock_acquire(cpu, map, 0, 2 | HELD_CHECK | HELD_ACQUIRED, 0);
}

export function lock_map_release(cpu: Cpu, map: number): void {
  lock_release(cpu, map);
}

/** A section that holds the map by luck: others may wait for its end, it never waits for its begin. */
export function lock_map_acquire_tryread(cpu: Cpu, map: number): void {
  __lock_acquire(cpu, map, 0, 1 | HELD_TRYLOCK | HELD_CHECK | HELD_ACQUIRED, 0);
}

/** Held, without a part in the order: RCU read sections. */
export function rcu_lock_acquire(cpu: Cpu, map: number): void {
  __lock_acquire(cpu, map, 0, 2 | HELD_ACQUIRED, 0);
}

/** The map of all works with this function: "(work_completion)fn". */
export function lockdep_work_map(cpu: Cpu, func: SymbolId): number {
  return named_map(cpu, `(work_completion)${symbol_name(func)}`);
}

/** Without lockdep: true, nobody knows better. */
export function lock_is_held(cpu: Cpu, lock: number): boolean {
  return !cpu.lockdep || held_find(cpu, lock) >= 0;
}

/** As lock_is_held, for reading (`read` not 0) or writing. */
export function lock_is_held_type(cpu: Cpu, lock: number, read: number): boolean {
  if (!cpu.lockdep) return true;
  const i = held_find(cpu, lock);
  if (i < 0) return false;
  return ((cpu.mem.read(held_at(cpu, i) + HELD_FLAGS) & HELD_READ) !== 0) === (read !== 0);
}

/** Locks and maps the running task holds or is about to take; 0 without lockdep. */
export function lockdep_depth(cpu: Cpu): number {
  return cpu.lockdep ? held_depth(cpu) - cpu.lock_state.base : 0;
}

function context_flags(cpu: Cpu): number {
  if (cpu.in_irq) return HELD_HARDIRQ;
  return cpu.preempt_count >= SOFTIRQ_OFFSET ? HELD_SOFTIRQ : 0;
}

function __lock_acquire(cpu: Cpu, lock: number, subclass: number, how: number, nest_lock: number): boolean {
  const class_id = lock_class(cpu, lock, subclass);
  if (nest_lock !== 0 && merge_with_last(cpu, class_id)) return false;
  const flags = how | context_flags(cpu);
  const own = (flags & (HELD_TRYLOCK | HELD_READ)) === 0 && held_owns(cpu, lock);
  if (held_push(cpu, lock, class_id, flags, nest_lock) === 0) {
    cpu.lock_state.lost++;
    debug_locks_off(cpu, "MAX_LOCK_DEPTH");
    return own;
  }
  if ((flags & HELD_CHECK) !== 0 && debug_locks(cpu)) check_acquire(cpu, held_depth(cpu) - 1, own);
  return own;
}

/** Locks of one class under a nest lock are one entry with a count. */
function merge_with_last(cpu: Cpu, class_id: number): boolean {
  const depth = held_depth(cpu);
  if (depth === cpu.lock_state.base) return false;
  const last = held_at(cpu, depth - 1);
  if (class_id === 0 || cpu.mem.read(last + HELD_CLASS) !== class_id) return false;
  const references = cpu.mem.read(last + HELD_REFERENCES);
  cpu.mem.write(last + HELD_REFERENCES, references === 0 ? 2 : references + 1);
  return true;
}

function site_here(cpu: Cpu): number {
  return trace_site(cpu, capture_trace(LOCK_FRAMES), LOCK_MESSENGER);
}

/** This memory is being freed: it has no locks any more, and none of the running task's may be there. */
export function debug_check_no_locks_freed(cpu: Cpu, p: number, bytes: number): void {
  check_not_held(cpu, p, bytes);
  forget_lock_classes(cpu, p, bytes);
}

function check_not_held(cpu: Cpu, p: number, bytes: number): void {
  for (let i = cpu.lock_state.base; i < held_depth(cpu); i++) {
    const entry = held_at(cpu, i);
    const address = cpu.mem.read(entry + HELD_ADDRESS);
    if (address < p || address >= p + bytes) continue;
    const class_id = cpu.mem.read(entry + HELD_CLASS);
    if (first_report(cpu, FREED, class_id, held_site(cpu, i))) report_held_freed(cpu, i, p, p + bytes);
  }
}

/** RCU_LOCKDEP_WARN: once per text and place. */
export function lockdep_rcu_suspicious(cpu: Cpu, text: string): void {
  const site = site_here(cpu);
  if (first_report(cpu, RCU, site_id(cpu, text), site)) report_rcu(cpu, text, site);
}

/** The thread leaves kernel code; what it still holds is told, and forgotten. */
export function lockdep_sys_exit(cpu: Cpu): void {
  const depth = held_depth(cpu);
  if (depth === 0) return;
  const class_id = cpu.mem.read(held_at(cpu, depth - 1) + HELD_CLASS);
  if (first_report(cpu, STILL_HELD, class_id, held_site(cpu, depth - 1))) {
    report_still_held(cpu);
  }
  while (held_depth(cpu) > 0) held_remove(cpu, held_depth(cpu) - 1);
}

/** Another task begins on this thread's stack (a solo kernel runs a work inside a wait). Returns what to give back. */
export function lockdep_switch_task(cpu: Cpu): number {
  if (!cpu.lockdep) return 0;
  const base = cpu.lock_state.base;
  cpu.lock_state.base = held_depth(cpu);
  return base;
}

/** That task has ended. */
export function lockdep_switch_back(cpu: Cpu, base: number): void {
  cpu.lock_state.base = base;
}

/** About to sleep: what this task holds can be printed by others from here on. */
export function lockdep_sleep(cpu: Cpu): void {
  held_settle(cpu);
}

/** Forgets all dependencies and reports, not what is held: for tests that break the rules on purpose, between two. */
export function lockdep_reset(cpu: Cpu): void {
  if (cpu.lockdep) graph_reset(cpu);
}
