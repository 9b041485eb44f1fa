/**
 * dma_resv_lockdep (drivers/dma-buf/dma-resv.c): shows lockdep at boot in which order a reservation is locked and
 * fences are waited for, so that code the wrong way round is reported before it meets code the right way round.
 */
import { EDEADLK } from "../debug/errno.ts";
import { kernel_initcall } from "../debug/image.ts";
import {
  WW_ACQUIRE_CTX_SIZE,
  ww_acquire_fini,
  ww_acquire_init,
  type WwAcquireCtxPtr,
} from "../lock/ww-acquire.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { __dma_fence_might_wait } from "./fence-lockdep.ts";
import {
  dma_resv_fini,
  dma_resv_init,
  dma_resv_lock,
  dma_resv_lock_slow,
  DMA_RESV_SIZE,
  dma_resv_unlock,
  type DmaResvPtr,
  reservation_ww_class,
} from "./resv-lock.ts";

kernel_initcall(dma_resv_lockdep);
function dma_resv_lockdep(cpu: Cpu): void {
  if (!cpu.lockdep) return;
  const ctx = stack_push(cpu, WW_ACQUIRE_CTX_SIZE) as WwAcquireCtxPtr;
  const obj = stack_push(cpu, DMA_RESV_SIZE) as DmaResvPtr;
  dma_resv_init(cpu, obj);
  ww_acquire_init(cpu, ctx, reservation_ww_class);
  // Deadlocks may be injected.
  if (dma_resv_lock(cpu, obj, ctx) === -EDEADLK) dma_resv_lock_slow(cpu, obj, ctx);
  __dma_fence_might_wait(cpu);
  dma_resv_unlock(cpu, obj);
  ww_acquire_fini(cpu, ctx);
  dma_resv_fini(cpu, obj);
  stack_pop(cpu, ctx);
}
