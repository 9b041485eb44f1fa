/**
 * What lockdep checks when a task is about to take a lock: __lock_acquire()'s second half. The entry is in the table of
 * held locks already; nothing here stops the acquisition.
 */
import type { Cpu } from "../sched/cpu.ts";
import { lock_class } from "./lockdep-class.ts";
import { check_prev_add, first_report } from "./lockdep-graph.ts";
import {
  HELD_ADDRESS,
  held_at,
  HELD_CHECK,
  HELD_CLASS,
  HELD_CONTEXT,
  held_find,
  HELD_FLAGS,
  HELD_NEST,
  HELD_READ,
  held_site,
  HELD_TRYLOCK,
} from "./lockdep-held.ts";
import { report_circular, report_nest_not_held, report_recursive, report_usage } from "./lockdep-report.ts";
import { mark_usage, usage_of } from "./lockdep-usage.ts";

/** Kinds for first_report. */
const RECURSIVE = 1;
const NEST = 2;

/** Checks the newest entry, `next`. `own`: the running task has this very lock. */
export function check_acquire(cpu: Cpu, next: number, own: boolean): void {
  const entry = held_at(cpu, next);
  const class_id = cpu.mem.read(entry + HELD_CLASS);
  const nest_lock = cpu.mem.read(entry + HELD_NEST);
  if (class_id !== 0) check_usage(cpu, class_id, cpu.mem.read(entry + HELD_FLAGS), next);
  if (nest_lock !== 0) check_nest(cpu, nest_lock, next);
  validate_chain(cpu, next, own);
}

function check_usage(cpu: Cpu, class_id: number, flags: number, next: number): void {
  const conflict = mark_usage(cpu, class_id, usage_of(cpu, flags), next);
  if (conflict !== 0) report_usage(cpu, next, conflict >> 8, conflict & 0xff);
}

function check_nest(cpu: Cpu, nest_lock: number, next: number): void {
  if (held_find(cpu, nest_lock) >= 0) return;
  const class_id = cpu.mem.read(held_at(cpu, next) + HELD_CLASS);
  const nest_class = lock_class(cpu, nest_lock, 0);
  if (first_report(cpu, NEST, class_id, nest_class)) report_nest_not_held(cpu, next, nest_class);
}

/** Entry `next` is new: is it one too many of its class, and what does it depend on now? */
function validate_chain(cpu: Cpu, next: number, own: boolean): void {
  const entry = held_at(cpu, next);
  const flags = cpu.mem.read(entry + HELD_FLAGS);
  // Who only tries waits for nobody; what is taken while it is held depends on it all the same.
  if ((flags & HELD_TRYLOCK) !== 0) return;
  const same = find_same_class(cpu, next, own);
  if (same === NONE) {
    check_prevs_add(cpu, next);
    return;
  }
  if (same === NESTED) return;
  const class_id = cpu.mem.read(entry + HELD_CLASS);
  if (first_report(cpu, RECURSIVE, class_id, held_site(cpu, next))) report_recursive(cpu, same, next);
}

/** No entry of this class; one, but it is safe. */
const NONE = -1;
const NESTED = -2;

/** check_deadlock(): the entry below with the class of `next` (or its very lock), NONE or NESTED. */
function find_same_class(cpu: Cpu, next: number, own: boolean): number {
  const entry = held_at(cpu, next);
  const class_id = cpu.mem.read(entry + HELD_CLASS);
  const nest_lock = cpu.mem.read(entry + HELD_NEST);
  const recursive = (cpu.mem.read(entry + HELD_FLAGS) & HELD_READ) === 2;
  let nest = false;
  for (let i = cpu.lock_state.base; i < next; i++) {
    const prev = held_at(cpu, i);
    const address = cpu.mem.read(prev + HELD_ADDRESS);
    if (nest_lock !== 0 && address === nest_lock) nest = true;
    if (own && address === cpu.mem.read(entry + HELD_ADDRESS)) return i;
    if (class_id === 0 || cpu.mem.read(prev + HELD_CLASS) !== class_id) continue;
    // Two readers get along; what lies between them still has to be in order.
    if (recursive && (cpu.mem.read(prev + HELD_FLAGS) & HELD_READ) !== 0) continue;
    return nest ? NESTED : i;
  }
  return NONE;
}

/** Dependencies on the entries below, down to the first that was waited for: that one has its own. */
function check_prevs_add(cpu: Cpu, next: number): void {
  const context = cpu.mem.read(held_at(cpu, next) + HELD_FLAGS) & HELD_CONTEXT;
  for (let prev = next - 1; prev >= cpu.lock_state.base; prev--) {
    const flags = cpu.mem.read(held_at(cpu, prev) + HELD_FLAGS);
    // An interrupt does not depend on what it interrupted.
    if ((flags & HELD_CONTEXT) !== context) return;
    if ((flags & HELD_CHECK) === 0) continue;
    const path = check_prev_add(cpu, prev, next);
    if (path.length > 0) report_circular(cpu, prev, next, path);
    if ((flags & HELD_TRYLOCK) === 0) return;
  }
}
