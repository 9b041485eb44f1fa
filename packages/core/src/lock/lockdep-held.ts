/**
 * Held locks (task_struct.held_locks): per thread, in the order of acquisition, the one that is being acquired
 * included. Only the thread itself changes its entries; any thread may print them, and those of a stuck task stay.
 *
 * The site of an acquisition is worked out when somebody needs it: a captured stack waits in LockdepThread.traces.
 * Whoever is about to sleep calls held_settle, so that the entries of a stuck task are complete.
 */
import { capture_trace, trace_site } from "../debug/site.ts";
import type { Cpu } from "../sched/cpu.ts";
import { LOCK_FRAMES, LOCK_MESSENGER, lock_class } from "./lockdep-class.ts";
import {
  HELD_BYTES,
  HELD_DEPTH,
  HELD_ENTRIES,
  HELD_LOCK_SIZE,
  HELD_LOCKS,
  MAX_LOCK_DEPTH,
} from "./lockdep-layout.ts";

// struct held_lock.
/** Address of the lock, or a map. */
export const HELD_ADDRESS = 0;
export const HELD_CLASS = 4;
/** Where it was acquired; UNSETTLED while only the trace knows. */
const HELD_SITE = 8;
export const HELD_FLAGS = 12;
/** The lock that makes nesting in this class safe, or 0. */
export const HELD_NEST = 16;
/** Not 0: stands for so many locks of this class under one nest lock. */
export const HELD_REFERENCES = 20;

// HELD_FLAGS:
/** Mask: 0 write, 1 read, 2 recursive read. */
export const HELD_READ = 3;
export const HELD_TRYLOCK = 4;
/** Takes part in the order graph. */
export const HELD_CHECK = 8;
/** The lock is held; without it the task is about to take it. */
export const HELD_ACQUIRED = 16;
/** The task had the lock already: unlocking this entry does not touch it. */
export const HELD_PHANTOM = 32;
export const HELD_HARDIRQ = 64;
export const HELD_SOFTIRQ = 128;
export const HELD_CONTEXT: number = HELD_HARDIRQ | HELD_SOFTIRQ;

const UNSETTLED = -1;

/** Entries of this thread; those of the running task begin at lock_state.base. */
export function held_depth(cpu: Cpu): number {
  return cpu.mem.read(cpu.lock_state.held + HELD_DEPTH);
}

/** Address of this thread's entry `i`. */
export function held_at(cpu: Cpu, i: number): number {
  return cpu.lock_state.held + HELD_ENTRIES + i * HELD_LOCK_SIZE;
}

/** For looking at others: how many entries thread `id` has, and where the i-th is. May change while one looks. */
export function held_depth_of(cpu: Cpu, id: number): number {
  const depth = cpu.mem.loadAcquire(cpu.map.lockdep + HELD_LOCKS + id * HELD_BYTES + HELD_DEPTH);
  return Math.max(0, Math.min(depth, MAX_LOCK_DEPTH));
}
export function held_at_of(cpu: Cpu, id: number, i: number): number {
  return cpu.map.lockdep + HELD_LOCKS + id * HELD_BYTES + HELD_ENTRIES + i * HELD_LOCK_SIZE;
}

/** Adds an entry; 0 when the table is full. */
export function held_push(cpu: Cpu, lock: number, class_id: number, flags: number, nest: number): number {
  const depth = held_depth(cpu);
  if (depth === MAX_LOCK_DEPTH) return 0;
  const entry = held_at(cpu, depth);
  cpu.mem.write(entry + HELD_ADDRESS, lock);
  cpu.mem.write(entry + HELD_CLASS, class_id);
  cpu.mem.write(entry + HELD_SITE, UNSETTLED);
  cpu.mem.write(entry + HELD_FLAGS, flags);
  cpu.mem.write(entry + HELD_NEST, nest);
  cpu.mem.write(entry + HELD_REFERENCES, 0);
  cpu.lock_state.traces[depth] = capture_trace(LOCK_FRAMES);
  // Pairs with the loadAcquire in held_depth_of: who sees the depth sees the entry.
  cpu.mem.storeRelease(cpu.lock_state.held + HELD_DEPTH, depth + 1);
  return entry;
}

/** Takes out entry `i`; those above it move down. */
export function held_remove(cpu: Cpu, i: number): void {
  const last = held_depth(cpu) - 1;
  const traces = cpu.lock_state.traces;
  for (let j = i; j < last; j++) {
    cpu.mem.memcpy(held_at(cpu, j), held_at(cpu, j + 1), HELD_LOCK_SIZE);
    traces[j] = traces[j + 1] as object;
  }
  cpu.mem.storeRelease(cpu.lock_state.held + HELD_DEPTH, last);
}

/** match_held_lock(): is this entry, or one of the locks it stands for, the lock? */
function held_match(cpu: Cpu, entry: number, lock: number): boolean {
  if (cpu.mem.read(entry + HELD_ADDRESS) === lock) return true;
  if (cpu.mem.read(entry + HELD_REFERENCES) === 0) return false;
  return cpu.mem.read(entry + HELD_CLASS) === lock_class(cpu, lock, 0);
}

/** The running task's newest entry of the lock; -1 when it has none. */
export function held_find(cpu: Cpu, lock: number): number {
  for (let i = held_depth(cpu) - 1; i >= cpu.lock_state.base; i--) {
    if (held_match(cpu, held_at(cpu, i), lock)) return i;
  }
  return -1;
}

/** Does the running task have this very lock (and not merely wait for it)? */
export function held_owns(cpu: Cpu, lock: number): boolean {
  for (let i = held_depth(cpu) - 1; i >= cpu.lock_state.base; i--) {
    const entry = held_at(cpu, i);
    if (!held_match(cpu, entry, lock)) continue;
    if ((cpu.mem.read(entry + HELD_FLAGS) & HELD_ACQUIRED) !== 0) return true;
  }
  return false;
}

/** The site of entry `i` of this thread. */
export function held_site(cpu: Cpu, i: number): number {
  const entry = held_at(cpu, i);
  const known = cpu.mem.read(entry + HELD_SITE);
  if (known !== UNSETTLED) return known;
  const trace = cpu.lock_state.traces[i];
  const site = trace === undefined ? 0 : trace_site(cpu, trace, LOCK_MESSENGER);
  cpu.mem.write(entry + HELD_SITE, site);
  return site;
}

/** The site of any thread's entry, for printing; 0 while unknown. */
export function held_site_of(cpu: Cpu, entry: number): number {
  return Math.max(0, cpu.mem.read(entry + HELD_SITE));
}

/** About to sleep: works out the sites, so that others can print them. */
export function held_settle(cpu: Cpu): void {
  for (let i = held_depth(cpu) - 1; i >= 0; i--) {
    // Entries below a settled one were settled with it.
    if (cpu.mem.read(held_at(cpu, i) + HELD_SITE) !== UNSETTLED) return;
    held_site(cpu, i);
  }
}
