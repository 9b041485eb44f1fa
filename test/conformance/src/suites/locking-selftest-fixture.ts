/**
 * The locks of lib/locking-selftest.c, in the scratch memory, and its dotest(): everything is new before a case, and
 * what the case leaves locked is forgotten after it.
 */
import { struct_layouts } from "@ringside/core/debug/layout";
import { lock_is_held, lock_release, lockdep_init_map, lockdep_reset } from "@ringside/core/lock/lockdep";
import { mutex_init } from "@ringside/core/lock/mutex";
import { spin_lock_init } from "@ringside/core/lock/spinlock";
import {
  __ww_ctx_dep_map,
  DEFINE_WD_CLASS,
  ww_acquire_init_noinject,
  type WwAcquireCtxPtr,
} from "@ringside/core/lock/ww-acquire";
import {
  ww_mutex_init,
  ww_mutex_lock,
  ww_mutex_trylock,
  ww_mutex_unlock,
  type WwCtx,
  type WwMutexPtr,
} from "@ringside/core/lock/ww-mutex";
import type { Cpu } from "@ringside/core/sched/cpu";
import { set_current_state, TASK_RUNNING } from "@ringside/core/sched/task";
import type { Checks } from "../checks.ts";
import type { Case } from "../suite.ts";

/** DEFINE_WD_CLASS(ww_lockdep) */
export const WW_LOCKDEP = DEFINE_WD_CLASS("ww_lockdep");

export const RECURSIVE = "possible recursive locking detected";
export const CIRCULAR = "possible circular locking dependency detected";
export const UNBALANCED = "bad unlock balance detected";
export const HELD_FREED = "held lock freed";
export const NOT_NESTED = "Nested lock was not taken";
export const ATOMIC_SLEEP = "sleeping function called from invalid context";

/** A DEBUG_LOCKS_WARN_ON of `condition`. */
export function debug_locks(condition: string): string {
  return `DEBUG_LOCKS_WARN_ON(${condition})`;
}

/** Of an unlock by who does not own it. */
export const NOT_OWNER: string = debug_locks("__owner_task(owner) != current");

/** Bytes from one lock to the next. */
const STRIDE = 64;

/** The file's locks: A ... D are classes of their own, X1 and X2 are two locks of one class, and so on. */
const STANDALONE = ["A", "B", "C", "D"] as const;
const SHARED = ["X1", "X2", "Y1", "Y2", "Z1", "Z2"] as const;
export type Name = (typeof STANDALONE)[number] | (typeof SHARED)[number];
const NAMES: readonly Name[] = [...STANDALONE, ...SHARED];

/** Offset of a field, as the struct's layout tells it: tests here forge states. */
function offset_of(struct: string, field: string): number {
  const layout = struct_layouts().find((each) => each.name === struct);
  const found = layout?.fields.find(([name]) => name === field);
  if (found === undefined) throw new Error(`no field ${struct}.${field}`);
  return found[1];
}

/** What a case works with. */
export class Locks {
  readonly cpu: Cpu;
  readonly t: Checks;
  readonly o: WwMutexPtr;
  readonly o2: WwMutexPtr;
  readonly o3: WwMutexPtr;
  readonly ctx: WwAcquireCtxPtr;
  readonly ctx2: WwAcquireCtxPtr;

  constructor(cpu: Cpu, t: Checks) {
    this.cpu = cpu;
    this.t = t;
    const ww = t.scratch + 2 * NAMES.length * STRIDE;
    this.o = ww as WwMutexPtr;
    this.o2 = (ww + STRIDE) as WwMutexPtr;
    this.o3 = (ww + 2 * STRIDE) as WwMutexPtr;
    this.ctx = (ww + 4 * STRIDE) as WwAcquireCtxPtr;
    this.ctx2 = (ww + 8 * STRIDE) as WwAcquireCtxPtr;
  }

  spin(name: Name): number {
    return this.t.scratch + NAMES.indexOf(name) * STRIDE;
  }

  mutex(name: Name): number {
    return this.t.scratch + (NAMES.length + NAMES.indexOf(name)) * STRIDE;
  }

  /** The lock, or the map of the context, is no longer held as far as lockdep knows. */
  forget(lock: number): void {
    while (this.cpu.lockdep && lock_is_held(this.cpu, lock)) lock_release(this.cpu, lock);
  }

  /** o.ctx = value */
  set_lock_ctx(lock: WwMutexPtr, value: number): void {
    this.cpu.mem.writeOnce(lock + offset_of("ww_mutex", "ctx"), value);
  }

  /** t.field = value */
  set_ctx_field(ctx: WwAcquireCtxPtr, field: "stamp" | "acquired" | "ww_class", value: number): void {
    this.cpu.mem.write(ctx + offset_of("ww_acquire_ctx", field), value);
  }

  /** t2 = t; t2.stamp += older ? -1 : 1 */
  copy_ctx(older: boolean): void {
    const { mem } = this.cpu;
    const stamp = mem.read(this.ctx + offset_of("ww_acquire_ctx", "stamp"));
    mem.memcpy(this.ctx2, this.ctx, 4 * STRIDE);
    this.set_ctx_field(this.ctx2, "stamp", stamp + (older ? -1 : 1));
  }

  /** reset_locks() */
  init(): void {
    const { cpu } = this;
    lockdep_reset(cpu);
    for (const name of NAMES) {
      // X1 and X2 are one class: initialised in one place there, one name here.
      const class_name = name.charAt(0);
      spin_lock_init(cpu, this.spin(name));
      mutex_init(cpu, this.mutex(name));
      if (!cpu.lockdep) continue;
      lockdep_init_map(cpu, this.spin(name), `lock_${class_name}`);
      lockdep_init_map(cpu, this.mutex(name), `mutex_${class_name}`);
    }
    for (const lock of [this.o, this.o2, this.o3]) ww_mutex_init(cpu, lock, WW_LOCKDEP);
  }

  /** Lets go of everything, and of the dependencies that the case taught on purpose. */
  drop(preempt_count: number): void {
    const { cpu } = this;
    for (const name of NAMES) {
      this.forget(this.spin(name));
      this.forget(this.mutex(name));
    }
    for (const lock of [this.o, this.o2, this.o3]) this.forget(lock);
    for (const ctx of [this.ctx, this.ctx2]) this.forget(__ww_ctx_dep_map(ctx));
    cpu.preempt_count = preempt_count;
    set_current_state(cpu, TASK_RUNNING);
    lockdep_reset(cpu);
  }
}

/** dotest(): SUCCESS is a case without `warns`. */
export function dotest(name: string, body: (l: Locks) => void, ...warns: readonly string[]): Case {
  return {
    name,
    warns,
    bodies: [
      (cpu, t) => {
        const preempt_count = cpu.preempt_count;
        const locks = new Locks(cpu, t);
        locks.init();
        body(locks);
        locks.drop(preempt_count);
      },
    ],
  };
}

/** WWAI(&t) */
export function begin(l: Locks): void {
  ww_acquire_init_noinject(l.cpu, l.ctx, WW_LOCKDEP);
}

/** WWL: wants `expected`. */
export function lock(l: Locks, o: WwMutexPtr, ctx: WwCtx, expected: number = 0): void {
  l.t.equal(ww_mutex_lock(l.cpu, o, ctx), expected, "ww_mutex_lock");
}

/** WWT: wants to get it. */
export function trylock(l: Locks, o: WwMutexPtr): void {
  l.t.ok(ww_mutex_trylock(l.cpu, o, 0), "ww_mutex_trylock");
}

export function unlock(l: Locks, ...locks: readonly WwMutexPtr[]): void {
  for (const o of locks) ww_mutex_unlock(l.cpu, o);
}
