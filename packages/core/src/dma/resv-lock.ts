/**
 * struct dma_resv and its lock (include/linux/dma-resv.h). The contract is in resv.ts.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { WARN } from "../debug/warn.ts";
import { DEFINE_WD_CLASS, type WwAcquireCtxPtr, type WwClassPtr } from "../lock/ww-acquire.ts";
import {
  WW_MUTEX_SIZE,
  ww_mutex_ctx,
  ww_mutex_destroy,
  ww_mutex_held,
  ww_mutex_init,
  ww_mutex_is_locked,
  ww_mutex_lock,
  ww_mutex_lock_interruptible,
  ww_mutex_lock_slow,
  ww_mutex_lock_slow_interruptible,
  ww_mutex_trylock,
  ww_mutex_unlock,
  type WwCtx,
  type WwMutexPtr,
} from "../lock/ww-mutex.ts";
import { rcu_dereference, rcu_dereference_protected } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dma_resv_list_forget_reserved, dma_resv_list_free, type DmaResvListPtr } from "./resv-list.ts";

export type DmaResvPtr = Ptr<"dma_resv">;

const LOCK = 0;
/** RCU pointer to a dma_resv_list, or 0. Written under LOCK. */
export const DMA_RESV_FENCES = WW_MUTEX_SIZE;
/** Lists published so far. Guarded by LOCK. */
export const DMA_RESV_GENERATION = WW_MUTEX_SIZE + 4;
export const DMA_RESV_SIZE = WW_MUTEX_SIZE + 8;

struct_layout("dma_resv", DMA_RESV_SIZE, [
  ["lock", LOCK, WW_MUTEX_SIZE],
  ["fences", DMA_RESV_FENCES, 4],
  ["generation", DMA_RESV_GENERATION, 4],
]);

/** The class of all reservation locks: wait-die. */
export const reservation_ww_class: WwClassPtr = DEFINE_WD_CLASS("reservation_ww_class");

function lock_of(obj: number): WwMutexPtr {
  return (obj + LOCK) as WwMutexPtr;
}

export function dma_resv_init(cpu: Cpu, obj: DmaResvPtr): void {
  ww_mutex_init(cpu, lock_of(obj), reservation_ww_class);
  cpu.mem.write(obj + DMA_RESV_FENCES, 0);
  cpu.mem.write(obj + DMA_RESV_GENERATION, 0);
}

/** The object is dead: no lockers, no readers. Drops its fences. */
export function dma_resv_fini(cpu: Cpu, obj: DmaResvPtr): void {
  dma_resv_list_free(cpu, cpu.mem.read(obj + DMA_RESV_FENCES) as DmaResvListPtr);
  ww_mutex_destroy(cpu, lock_of(obj));
}

/** 0; with a context also -EALREADY or -EDEADLK (ww-mutex.ts). Sleeps. */
export function dma_resv_lock(cpu: Cpu, obj: DmaResvPtr, ctx: WwCtx): number {
  return ww_mutex_lock(cpu, lock_of(obj), ctx);
}
/** As dma_resv_lock, or -EINTR. */
export function dma_resv_lock_interruptible(cpu: Cpu, obj: DmaResvPtr, ctx: WwCtx): number {
  return ww_mutex_lock_interruptible(cpu, lock_of(obj), ctx);
}
export function dma_resv_lock_slow(cpu: Cpu, obj: DmaResvPtr, ctx: WwAcquireCtxPtr): void {
  ww_mutex_lock_slow(cpu, lock_of(obj), ctx);
}
export function dma_resv_lock_slow_interruptible(cpu: Cpu, obj: DmaResvPtr, ctx: WwAcquireCtxPtr): number {
  return ww_mutex_lock_slow_interruptible(cpu, lock_of(obj), ctx);
}
export function dma_resv_trylock(cpu: Cpu, obj: DmaResvPtr): boolean {
  return ww_mutex_trylock(cpu, lock_of(obj), 0);
}

/** Unlocks. Slots reserved and not used are gone: who relies on one finds out at once. */
export function dma_resv_unlock(cpu: Cpu, obj: DmaResvPtr): void {
  dma_resv_list_forget_reserved(cpu, cpu.mem.read(obj + DMA_RESV_FENCES) as DmaResvListPtr);
  ww_mutex_unlock(cpu, lock_of(obj));
}

/** Does the running task hold the lock? */
export function dma_resv_held(cpu: Cpu, obj: number): boolean {
  return ww_mutex_held(cpu, lock_of(obj));
}
/** Does anybody hold it? Stale at once. */
export function dma_resv_is_locked(cpu: Cpu, obj: number): boolean {
  return ww_mutex_is_locked(cpu, lock_of(obj));
}
export function dma_resv_locking_ctx(cpu: Cpu, obj: number): WwCtx {
  return ww_mutex_ctx(cpu, lock_of(obj));
}

export function dma_resv_assert_held(cpu: Cpu, obj: number): void {
  WARN(cpu, !dma_resv_held(cpu, obj), "resv not held: lockdep_assert_held(&(obj)->lock.base)");
}
/** The convention for verbs that take the lock themselves, or call what may. */
export function dma_resv_assert_not_held(cpu: Cpu, obj: number): void {
  WARN(cpu, dma_resv_held(cpu, obj), "resv held: lockdep_assert_not_held(&(obj)->lock.base)");
}

/** The current list, for the holder of the lock. */
export function dma_resv_fences_locked(cpu: Cpu, obj: number): DmaResvListPtr {
  return rcu_dereference_protected(cpu, obj + DMA_RESV_FENCES, dma_resv_held(cpu, obj)) as DmaResvListPtr;
}
/** The current list, inside a read section. */
export function dma_resv_fences_rcu(cpu: Cpu, obj: number): DmaResvListPtr {
  return rcu_dereference(cpu, obj + DMA_RESV_FENCES) as DmaResvListPtr;
}
