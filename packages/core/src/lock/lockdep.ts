/**
 * lockdep (kernel/locking/lockdep.c): the runtime locking correctness validator. Stub: the interface only.
 *
 * Interface: callers test `cpu.lockdep` first, so that a machine without it pays one branch.
 */
import type { Cpu } from "../sched/cpu.ts";

/** Names the lock at `lock`; locks with one name are one class. */
export function lockdep_init_map(_cpu: Cpu, _lock: number, _name: string): void {}

/** About to take `lock`. `read`: 0 write, 1 read, 2 recursive read. `nest_lock`: the lock that makes same-class nesting safe, or 0. */
export function lock_acquire(
  _cpu: Cpu,
  _lock: number,
  _subclass: number,
  _trylock: boolean,
  _read: number,
  _nest_lock: number,
): void {}

export function lock_release(_cpu: Cpu, _lock: number): void {}

/** For things that are waited for but are no locks: a map is a key in static memory, or from lockdep_work_map. */
export function lock_map_acquire(cpu: Cpu, map: number): void {
  lock_acquire(cpu, map, 0, false, 0, 0);
}

export function lock_map_acquire_read(cpu: Cpu, map: number): void {
  lock_acquire(cpu, map, 0, false, 2, 0);
}

export function lock_map_release(cpu: Cpu, map: number): void {
  lock_release(cpu, map);
}

export function lock_is_held(_cpu: Cpu, _lock: number): boolean {
  return true;
}

/** The map of all works with this function: "(work_completion)fn". */
export function lockdep_work_map(_cpu: Cpu, _func: number): number {
  return 0;
}
