/**
 * Pointers that RCU guards (include/linux/rcupdate.h): publish, follow, replace. `p` is the address of the
 * word that holds the pointer.
 *
 * Invariant: a pointer followed inside a read section stays valid until its end; the checked forms warn where
 * neither a section nor the updater's lock says so.
 */
import type { Cpu } from "../sched/cpu.ts";
import { RCU_LOCKDEP_WARN } from "./suspicious.ts";

/** The pointer, and through it what was stored before rcu_assign_pointer. With lockdep, only in a read section. */
export function rcu_dereference(cpu: Cpu, p: number): number {
  if (cpu.lockdep && cpu.rcu_nesting === 0) suspicious(cpu, "rcu_dereference_check");
  return cpu.mem.loadAcquire(p);
}

/** For code that is in a read section or, when `condition` holds, needs none. */
export function rcu_dereference_check(cpu: Cpu, p: number, condition: boolean): number {
  if (!condition && cpu.rcu_nesting === 0) suspicious(cpu, "rcu_dereference_check");
  return cpu.mem.loadAcquire(p);
}

/** For updaters that hold the lock which guards the pointer. */
export function rcu_dereference_protected(cpu: Cpu, p: number, held: boolean): number {
  if (!held) suspicious(cpu, "rcu_dereference_protected");
  return cpu.mem.read(p);
}

/** rcu_dereference without any check. */
export function rcu_dereference_raw(cpu: Cpu, p: number): number {
  return cpu.mem.loadAcquire(p);
}

function suspicious(cpu: Cpu, verb: string): void {
  RCU_LOCKDEP_WARN(cpu, true, `suspicious ${verb}() usage!`);
}

/** Publishes; pairs with rcu_dereference, readers see the object initialised. */
export function rcu_assign_pointer(cpu: Cpu, p: number, value: number): void {
  cpu.mem.storeRelease(p, value);
}

/** For pointers no reader can follow yet, and for NULL: nothing to publish. */
export function RCU_INIT_POINTER(cpu: Cpu, p: number, value: number): void {
  cpu.mem.writeOnce(p, value);
}

/** Puts `value` in place and returns what was there, for an updater that holds the lock. */
export function rcu_replace_pointer(cpu: Cpu, p: number, value: number, held: boolean): number {
  const old = rcu_dereference_protected(cpu, p, held);
  rcu_assign_pointer(cpu, p, value);
  return old;
}

/** The value only, never to be followed: for tests against NULL. */
export function rcu_access_pointer(cpu: Cpu, p: number): number {
  return cpu.mem.readOnce(p);
}
