/**
 * Signaling and callbacks of struct dma_fence (drivers/dma-buf/dma-fence.c). The contract is in fence.ts.
 */
import { EINVAL, ENOENT } from "../debug/errno.ts";
import { symbol_call, type SymbolId } from "../debug/image.ts";
import { WARN_ON } from "../debug/warn.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import {
  INIT_LIST_HEAD,
  LIST_HEAD_SIZE,
  list_add_tail,
  list_del_init,
  list_empty,
  list_next,
  list_splice_init,
} from "../mm/list.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import {
  __dma_fence_count_signaled,
  DMA_FENCE_CB_FUNC,
  DMA_FENCE_CB_LIST,
  DMA_FENCE_CB_NODE,
  DMA_FENCE_ERROR,
  DMA_FENCE_FLAG_ENABLE_SIGNAL,
  DMA_FENCE_FLAG_SIGNALED,
  DMA_FENCE_FLAG_TIMESTAMP,
  DMA_FENCE_FLAGS,
  DMA_FENCE_OPS_ENABLE_SIGNALING,
  DMA_FENCE_OPS_SIGNALED,
  DMA_FENCE_TIMESTAMP,
  dma_fence_is_signaled_flag,
  dma_fence_lock,
  dma_fence_op,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "./fence-struct.ts";

const MAX_ERRNO = 4095;

/** Marks it done and runs its callbacks. 0, or -EINVAL when it was done already. */
export function dma_fence_signal(cpu: Cpu, fence: DmaFencePtr): number {
  if (WARN_ON(cpu, fence === 0)) return -EINVAL;
  const lock = dma_fence_lock(cpu, fence);
  spin_lock_irqsave(cpu, lock);
  const error = dma_fence_signal_locked(cpu, fence);
  spin_unlock_irqrestore(cpu, lock);
  return error;
}

/** As dma_fence_signal, the fence's lock held. */
export function dma_fence_signal_locked(cpu: Cpu, fence: DmaFencePtr): number {
  // Full order: pairs with the loadAcquire in dma_fence_is_signaled_flag. Who sees it sees the work done.
  const flags = cpu.mem.fetchOr(fence + DMA_FENCE_FLAGS, DMA_FENCE_FLAG_SIGNALED);
  if ((flags & DMA_FENCE_FLAG_SIGNALED) !== 0) return -EINVAL;
  __dma_fence_count_signaled(cpu);
  const callbacks = stack_push(cpu, LIST_HEAD_SIZE);
  INIT_LIST_HEAD(cpu, callbacks);
  list_splice_init(cpu, fence + DMA_FENCE_CB_LIST, callbacks);
  // The list's words hold the time from here on.
  cpu.mem.write64(fence + DMA_FENCE_TIMESTAMP, Math.floor(cpu.now() * 1e6));
  cpu.mem.fetchOr(fence + DMA_FENCE_FLAGS, DMA_FENCE_FLAG_TIMESTAMP);
  let node = list_next(cpu, callbacks);
  while (node !== callbacks) {
    const next = list_next(cpu, node);
    // Off the list before the call: dma_fence_remove_callback says false from now on.
    INIT_LIST_HEAD(cpu, node);
    symbol_call(cpu, cpu.mem.read(node + DMA_FENCE_CB_FUNC), fence, node);
    node = next;
  }
  stack_pop(cpu, callbacks);
  return 0;
}

/** Signals; true when somebody else had done so. */
export function dma_fence_check_and_signal(cpu: Cpu, fence: DmaFencePtr): boolean {
  return dma_fence_signal(cpu, fence) !== 0;
}
export function dma_fence_check_and_signal_locked(cpu: Cpu, fence: DmaFencePtr): boolean {
  return dma_fence_signal_locked(cpu, fence) !== 0;
}

/** Is it done? Asks the driver if need be, and signals on its behalf. */
export function dma_fence_is_signaled(cpu: Cpu, fence: DmaFencePtr): boolean {
  if (dma_fence_is_signaled_flag(cpu, fence)) return true;
  const signaled = dma_fence_op(cpu, fence, DMA_FENCE_OPS_SIGNALED);
  if (signaled === 0 || !symbol_call(cpu, signaled, fence)) return false;
  dma_fence_signal(cpu, fence);
  return true;
}

/** As dma_fence_is_signaled, the fence's lock held. */
export function dma_fence_is_signaled_locked(cpu: Cpu, fence: DmaFencePtr): boolean {
  if (dma_fence_is_signaled_flag(cpu, fence)) return true;
  const signaled = dma_fence_op(cpu, fence, DMA_FENCE_OPS_SIGNALED);
  if (signaled === 0 || !symbol_call(cpu, signaled, fence)) return false;
  dma_fence_signal_locked(cpu, fence);
  return true;
}

/** Tells the driver once that somebody is interested. False: the fence is signaled. Lock held. */
function __dma_fence_enable_signaling(cpu: Cpu, fence: DmaFencePtr): boolean {
  const flags = cpu.mem.fetchOr(fence + DMA_FENCE_FLAGS, DMA_FENCE_FLAG_ENABLE_SIGNAL);
  if ((flags & DMA_FENCE_FLAG_SIGNALED) !== 0) return false;
  const enable = dma_fence_op(cpu, fence, DMA_FENCE_OPS_ENABLE_SIGNALING);
  if ((flags & DMA_FENCE_FLAG_ENABLE_SIGNAL) !== 0 || enable === 0) return true;
  if (symbol_call(cpu, enable, fence)) return true;
  dma_fence_signal_locked(cpu, fence);
  return false;
}

export function dma_fence_enable_signaling(cpu: Cpu, fence: DmaFencePtr): void {
  const lock = dma_fence_lock(cpu, fence);
  spin_lock_irqsave(cpu, lock);
  __dma_fence_enable_signaling(cpu, fence);
  spin_unlock_irqrestore(cpu, lock);
}

/**
 * Runs `func(cpu, fence, cb)` when the fence signals, with the fence's lock held. 0, or -ENOENT when it is
 * signaled: then `func` will not run. `cb` belongs to the fence until it has run or was removed.
 */
export function dma_fence_add_callback(
  cpu: Cpu,
  fence: DmaFencePtr,
  cb: DmaFenceCbPtr,
  func: SymbolId,
): number {
  if (WARN_ON(cpu, fence === 0 || func === 0)) return -EINVAL;
  INIT_LIST_HEAD(cpu, cb + DMA_FENCE_CB_NODE);
  if (dma_fence_is_signaled_flag(cpu, fence)) return -ENOENT;
  const lock = dma_fence_lock(cpu, fence);
  let error = -ENOENT;
  spin_lock_irqsave(cpu, lock);
  if (__dma_fence_enable_signaling(cpu, fence)) {
    __dma_fence_queue_callback(cpu, fence, cb, func);
    error = 0;
  }
  spin_unlock_irqrestore(cpu, lock);
  return error;
}

/** Appends a callback to an unsignaled fence. Lock held. */
export function __dma_fence_queue_callback(cpu: Cpu, fence: DmaFencePtr, cb: number, func: SymbolId): void {
  cpu.mem.write(cb + DMA_FENCE_CB_FUNC, func);
  list_add_tail(cpu, cb + DMA_FENCE_CB_NODE, fence + DMA_FENCE_CB_LIST);
}

/** Takes a callback off. False: it has run, or was never added. Lock held. */
export function __dma_fence_unqueue_callback(cpu: Cpu, cb: number): boolean {
  if (list_empty(cpu, cb + DMA_FENCE_CB_NODE)) return false;
  list_del_init(cpu, cb + DMA_FENCE_CB_NODE);
  return true;
}

/** True: the callback will not run. False: it has run to its end, or was never added. */
export function dma_fence_remove_callback(cpu: Cpu, fence: DmaFencePtr, cb: DmaFenceCbPtr): boolean {
  const lock = dma_fence_lock(cpu, fence);
  spin_lock_irqsave(cpu, lock);
  const removed = __dma_fence_unqueue_callback(cpu, cb);
  spin_unlock_irqrestore(cpu, lock);
  return removed;
}

/** Says that the work failed; before signaling. */
export function dma_fence_set_error(cpu: Cpu, fence: DmaFencePtr, error: number): void {
  WARN_ON(cpu, dma_fence_is_signaled_flag(cpu, fence));
  WARN_ON(cpu, error >= 0 || error < -MAX_ERRNO);
  cpu.mem.writeOnce(fence + DMA_FENCE_ERROR, error);
}

/** 0 while unsignaled, then 1, or the error. */
export function dma_fence_get_status(cpu: Cpu, fence: DmaFencePtr): number {
  const lock = dma_fence_lock(cpu, fence);
  spin_lock_irqsave(cpu, lock);
  const status = dma_fence_get_status_locked(cpu, fence);
  spin_unlock_irqrestore(cpu, lock);
  return status;
}

export function dma_fence_get_status_locked(cpu: Cpu, fence: DmaFencePtr): number {
  if (!dma_fence_is_signaled_locked(cpu, fence)) return 0;
  const error = cpu.mem.readOnce(fence + DMA_FENCE_ERROR);
  return error !== 0 ? error : 1;
}

/** When it was signaled, in ns since the machine's epoch; 0 before. */
export function dma_fence_timestamp(cpu: Cpu, fence: DmaFencePtr): number {
  const stamped = (cpu.mem.loadAcquire(fence + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_TIMESTAMP) !== 0;
  return stamped ? cpu.mem.read64(fence + DMA_FENCE_TIMESTAMP) : 0;
}
