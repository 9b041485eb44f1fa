/**
 * ww_class and ww_acquire_ctx (include/linux/ww_mutex.h): who may take many ww_mutexes of one class, in any
 * order, without deadlock. A context is one attempt to gather locks; its stamp is its age, lower is older.
 *
 * Interface: ww_acquire_init, lock any number with it (ww-mutex.ts), optionally ww_acquire_done, unlock all,
 * ww_acquire_fini. The context lies on its task's stack and is used by that task only; others read its stamp
 * while it holds or waits for a lock, and mark it wounded.
 */
import type { Ptr } from "atomics-sync";
import { kernel_rodata, kernel_static } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { kernel_string, type KernelString, string_text } from "../debug/strings.ts";
import { WARN } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";
import { current_task } from "../sched/task.ts";
import { lock_map_acquire, lock_map_release, lockdep_init_map } from "./lockdep.ts";

export type WwClassPtr = Ptr<"ww_class">;
export type WwAcquireCtxPtr = Ptr<"ww_acquire_ctx">;

/** struct ww_class: { stamp (a static word), is_wait_die, acquire_name, mutex_name }; constant. */
const STAMP_WORD = 0;
const CLASS_IS_WAIT_DIE = 4;
const CLASS_ACQUIRE_NAME = 8;
const CLASS_MUTEX_NAME = 12;

// struct ww_acquire_ctx
const TASK = 0;
const STAMP = 4;
/** Locks held. Written by the task; read by others under the wait lock the task is queued at. */
const ACQUIRED = 8;
/** An older context wants a lock held here (wound-wait). Written by anyone, racy on purpose. */
const WOUNDED = 12;
const IS_WAIT_DIE = 16;
// For the misuse warnings; the task's own:
const DONE_ACQUIRE = 20;
const WW_CLASS = 24;
const CONTENDING_LOCK = 28;
// For injected -EDEADLK:
const INJECT_INTERVAL = 32;
const INJECT_COUNTDOWN = 36;
/** A key for lockdep: all locks taken with the context nest under it. */
const DEP_MAP = 40;
export const WW_ACQUIRE_CTX_SIZE = 48;

struct_layout("ww_acquire_ctx", WW_ACQUIRE_CTX_SIZE, [
  ["task", TASK, 4],
  ["stamp", STAMP, 4],
  ["acquired", ACQUIRED, 4],
  ["wounded", WOUNDED, 4],
  ["is_wait_die", IS_WAIT_DIE, 4],
  ["done_acquire", DONE_ACQUIRE, 4],
  ["ww_class", WW_CLASS, 4],
  ["contending_lock", CONTENDING_LOCK, 4],
  ["deadlock_inject_interval", INJECT_INTERVAL, 4],
  ["deadlock_inject_countdown", INJECT_COUNTDOWN, 4],
  ["dep_map", DEP_MAP, 4],
]);

/** CONFIG_DEBUG_WW_MUTEX_SLOWPATH as a switch: contexts made while it is on get -EDEADLK now and then. */
const INJECT = kernel_static("ww_mutex_deadlock_injection", 4);
const INTERVAL_MAX = 0x3fffffff;

/** DEFINE_WD_CLASS: a younger context that would wait for an older one dies. Module level only. */
export function DEFINE_WD_CLASS(name: string): WwClassPtr {
  return define_class(name, 1);
}

/** DEFINE_WW_CLASS: an older context wounds the younger holder it waits for. Module level only. */
export function DEFINE_WW_CLASS(name: string): WwClassPtr {
  return define_class(name, 0);
}

function define_class(name: string, is_wait_die: number): WwClassPtr {
  const stamp = kernel_static(`${name}.stamp`, 4);
  const names = [kernel_string(`${name}_acquire`), kernel_string(`${name}_mutex`)];
  return kernel_rodata(name, [stamp, is_wait_die, ...names]) as WwClassPtr;
}

/** Starts an attempt, younger than all before it in this class. */
export function ww_acquire_init(cpu: Cpu, ctx: WwAcquireCtxPtr, ww_class: WwClassPtr): void {
  ww_acquire_init_noinject(cpu, ctx, ww_class);
  if (cpu.mem.readOnce(INJECT) === 0) return;
  cpu.mem.write(ctx + INJECT_INTERVAL, 1);
  cpu.mem.write(ctx + INJECT_COUNTDOWN, cpu.mem.read(ctx + STAMP) & 0xff);
}

/** As ww_acquire_init, never with injected -EDEADLK. */
export function ww_acquire_init_noinject(cpu: Cpu, ctx: WwAcquireCtxPtr, ww_class: WwClassPtr): void {
  cpu.mem.write(ctx + TASK, current_task(cpu));
  cpu.mem.write(ctx + STAMP, (cpu.mem.fetchAdd(cpu.mem.read(ww_class + STAMP_WORD), 1) + 1) | 0);
  cpu.mem.write(ctx + ACQUIRED, 0);
  cpu.mem.writeOnce(ctx + WOUNDED, 0);
  cpu.mem.write(ctx + IS_WAIT_DIE, cpu.mem.read(ww_class + CLASS_IS_WAIT_DIE));
  cpu.mem.write(ctx + DONE_ACQUIRE, 0);
  cpu.mem.write(ctx + WW_CLASS, ww_class);
  cpu.mem.write(ctx + CONTENDING_LOCK, 0);
  cpu.mem.write(ctx + INJECT_INTERVAL, 0);
  cpu.mem.write(ctx + INJECT_COUNTDOWN, 0);
  if (!cpu.lockdep) return;
  const name = cpu.mem.read(ww_class + CLASS_ACQUIRE_NAME) as KernelString;
  lockdep_init_map(cpu, ctx + DEP_MAP, string_text(cpu, name));
  lock_map_acquire(cpu, ctx + DEP_MAP);
}

/** Promises to lock no more with this context. */
export function ww_acquire_done(cpu: Cpu, ctx: WwAcquireCtxPtr): void {
  WARN(cpu, cpu.mem.read(ctx + DONE_ACQUIRE) !== 0, "DEBUG_LOCKS_WARN_ON(ctx->done_acquire)");
  cpu.mem.write(ctx + DONE_ACQUIRE, 1);
}

/** Ends the attempt; all its locks are unlocked. */
export function ww_acquire_fini(cpu: Cpu, ctx: WwAcquireCtxPtr): void {
  if (cpu.lockdep) lock_map_release(cpu, ctx + DEP_MAP);
  WARN(cpu, cpu.mem.read(ctx + ACQUIRED) !== 0, "DEBUG_LOCKS_WARN_ON(ctx->acquired)");
  cpu.mem.write(ctx + DONE_ACQUIRE, 1);
  // A second fini, and any use after this one, warns.
  cpu.mem.write(ctx + ACQUIRED, -1);
}

/** Turns the injection of -EDEADLK on or off for contexts initialised from now on. */
export function ww_mutex_inject_deadlocks(cpu: Cpu, on: boolean): void {
  cpu.mem.writeOnce(INJECT, on ? 1 : 0);
}

/** Is it time to inject one? The distances grow, so that an attempt succeeds in the end. */
export function __ww_ctx_inject(cpu: Cpu, ctx: WwAcquireCtxPtr): boolean {
  const interval = cpu.mem.read(ctx + INJECT_INTERVAL);
  if (interval === 0) return false;
  const countdown = cpu.mem.read(ctx + INJECT_COUNTDOWN);
  cpu.mem.write(ctx + INJECT_COUNTDOWN, countdown - 1);
  if (countdown !== 0) return false;
  const next = Math.min(INTERVAL_MAX, interval * 3 + (interval >> 1));
  cpu.mem.write(ctx + INJECT_INTERVAL, next);
  cpu.mem.write(ctx + INJECT_COUNTDOWN, next);
  return true;
}

/** Is `a` younger than `b`? Stamps wrap. */
export function __ww_ctx_less(cpu: Cpu, a: number, b: number): boolean {
  return ((cpu.mem.read(a + STAMP) - cpu.mem.read(b + STAMP)) | 0) > 0;
}

/** The key under which locks taken with the context nest. */
export function __ww_ctx_dep_map(ctx: WwAcquireCtxPtr): number {
  return ctx + DEP_MAP;
}
/** The class name of the mutexes of `ww_class`. */
export function __ww_class_mutex_name(cpu: Cpu, ww_class: WwClassPtr): string {
  return string_text(cpu, cpu.mem.read(ww_class + CLASS_MUTEX_NAME) as KernelString);
}

export function ww_ctx_acquired(cpu: Cpu, ctx: number): number {
  return cpu.mem.read(ctx + ACQUIRED);
}
export function __ww_ctx_set_acquired(cpu: Cpu, ctx: number, acquired: number): void {
  cpu.mem.write(ctx + ACQUIRED, acquired);
}
export function ww_ctx_wounded(cpu: Cpu, ctx: number): boolean {
  return cpu.mem.readOnce(ctx + WOUNDED) !== 0;
}
export function __ww_ctx_set_wounded(cpu: Cpu, ctx: number, wounded: number): void {
  cpu.mem.writeOnce(ctx + WOUNDED, wounded);
}
export function ww_ctx_is_wait_die(cpu: Cpu, ctx: number): boolean {
  return cpu.mem.read(ctx + IS_WAIT_DIE) !== 0;
}
export function ww_ctx_done_acquire(cpu: Cpu, ctx: number): boolean {
  return cpu.mem.read(ctx + DONE_ACQUIRE) !== 0;
}
export function ww_ctx_class(cpu: Cpu, ctx: number): number {
  return cpu.mem.read(ctx + WW_CLASS);
}
/** The lock that answered -EDEADLK, until it is taken. */
export function ww_ctx_contending_lock(cpu: Cpu, ctx: number): number {
  return cpu.mem.read(ctx + CONTENDING_LOCK);
}
export function __ww_ctx_set_contending_lock(cpu: Cpu, ctx: number, lock: number): void {
  cpu.mem.write(ctx + CONTENDING_LOCK, lock);
}
