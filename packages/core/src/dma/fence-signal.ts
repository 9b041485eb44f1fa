/**
 * Signaling and callbacks of struct dma_fence (drivers/dma-buf/dma-fence.c). The contract is in fence.ts.
 */
import { EINVAL, ENOENT } from "../debug/errno.ts";
import { symbol_call, type SymbolId } from "../debug/image.ts";
import { WARN_ON } from "../debug/warn.ts";
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
import { dma_fence_begin_signalling, dma_fence_end_signalling } from "./fence-lockdep.ts";
import {
  __dma_fence_count_signaled,
  __dma_fence_detach_ops,
  DMA_FENCE_CB_FUNC,
  DMA_FENCE_CB_LIST,
  DMA_FENCE_CB_NODE,
  DMA_FENCE_ERROR,
  DMA_FENCE_FLAG_ENABLE_SIGNAL,
  DMA_FENCE_FLAG_SIGNALED,
  DMA_FENCE_FLAG_TIMESTAMP,
  DMA_FENCE_FLAGS,
  DMA_FENCE_OPS_ENABLE_SIGNALING,
  DMA_FENCE_OPS_SET_DEADLINE,
  DMA_FENCE_OPS_SIGNALED,
  DMA_FENCE_TIMESTAMP,
  dma_fence_lock_irqsave,
  dma_fence_op,
  dma_fence_test_signaled_flag,
  dma_fence_unlock_irqrestore,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "./fence-struct.ts";

const MAX_ERRNO = 4095;

/** The time in ns since the machine's epoch, as timestamps have it. */
export function ktime_get(cpu: Cpu): number {
  return Math.floor(cpu.now() * 1e6);
}

/** Marks it done and runs its callbacks. 0, or -EINVAL when it was done already. */
export function dma_fence_signal(cpu: Cpu, fence: DmaFencePtr): number {
  if (WARN_ON(cpu, fence === 0)) return -EINVAL;
  const cookie = !cpu.lockdep || dma_fence_begin_signalling(cpu);
  dma_fence_lock_irqsave(cpu, fence);
  const error = dma_fence_signal_locked(cpu, fence);
  dma_fence_unlock_irqrestore(cpu, fence);
  if (!cookie) dma_fence_end_signalling(cpu, cookie);
  return error;
}

/** As dma_fence_signal, the fence's lock held. */
export function dma_fence_signal_locked(cpu: Cpu, fence: DmaFencePtr): number {
  if (WARN_ON(cpu, fence === 0)) return -EINVAL;
  return dma_fence_signal_timestamp_locked(cpu, fence, ktime_get(cpu));
}

/** As dma_fence_signal; it was done at `timestamp`. */
export function dma_fence_signal_timestamp(cpu: Cpu, fence: DmaFencePtr, timestamp: number): number {
  if (WARN_ON(cpu, fence === 0)) return -EINVAL;
  dma_fence_lock_irqsave(cpu, fence);
  const error = dma_fence_signal_timestamp_locked(cpu, fence, timestamp);
  dma_fence_unlock_irqrestore(cpu, fence);
  return error;
}

export function dma_fence_signal_timestamp_locked(cpu: Cpu, fence: DmaFencePtr, timestamp: number): number {
  // Full order: pairs with the loadAcquire in dma_fence_test_signaled_flag. Who sees it sees the work done.
  const flags = cpu.mem.fetchOr(fence + DMA_FENCE_FLAGS, DMA_FENCE_FLAG_SIGNALED);
  if ((flags & DMA_FENCE_FLAG_SIGNALED) !== 0) return -EINVAL;
  __dma_fence_count_signaled(cpu);
  __dma_fence_detach_ops(cpu, fence);
  const callbacks = stack_push(cpu, LIST_HEAD_SIZE);
  INIT_LIST_HEAD(cpu, callbacks);
  list_splice_init(cpu, fence + DMA_FENCE_CB_LIST, callbacks);
  // The list's words hold the time from here on.
  cpu.mem.write64(fence + DMA_FENCE_TIMESTAMP, timestamp);
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
  if (dma_fence_test_signaled_flag(cpu, fence)) return true;
  const signaled = dma_fence_op(cpu, fence, DMA_FENCE_OPS_SIGNALED);
  if (signaled === 0 || !symbol_call(cpu, signaled, fence)) return false;
  dma_fence_signal(cpu, fence);
  return true;
}

/** As dma_fence_is_signaled, the fence's lock held. */
export function dma_fence_is_signaled_locked(cpu: Cpu, fence: DmaFencePtr): boolean {
  if (dma_fence_test_signaled_flag(cpu, fence)) return true;
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

/** Somebody is interested: a fence nobody waits for may never be signaled. */
export function dma_fence_enable_signaling(cpu: Cpu, fence: DmaFencePtr): void {
  dma_fence_lock_irqsave(cpu, fence);
  __dma_fence_enable_signaling(cpu, fence);
  dma_fence_unlock_irqrestore(cpu, fence);
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
  if (dma_fence_test_signaled_flag(cpu, fence)) return -ENOENT;
  let error = -ENOENT;
  dma_fence_lock_irqsave(cpu, fence);
  if (__dma_fence_enable_signaling(cpu, fence)) {
    __dma_fence_queue_callback(cpu, fence, cb, func);
    error = 0;
  }
  dma_fence_unlock_irqrestore(cpu, fence);
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
  dma_fence_lock_irqsave(cpu, fence);
  const removed = __dma_fence_unqueue_callback(cpu, cb);
  dma_fence_unlock_irqrestore(cpu, fence);
  return removed;
}

/** Says that the work failed; before signaling. */
export function dma_fence_set_error(cpu: Cpu, fence: DmaFencePtr, error: number): void {
  WARN_ON(cpu, dma_fence_test_signaled_flag(cpu, fence));
  WARN_ON(cpu, error >= 0 || error < -MAX_ERRNO);
  cpu.mem.writeOnce(fence + DMA_FENCE_ERROR, error);
}

/** 0 while unsignaled, then 1, or the error. */
export function dma_fence_get_status(cpu: Cpu, fence: DmaFencePtr): number {
  dma_fence_lock_irqsave(cpu, fence);
  const status = dma_fence_get_status_locked(cpu, fence);
  dma_fence_unlock_irqrestore(cpu, fence);
  return status;
}

export function dma_fence_get_status_locked(cpu: Cpu, fence: DmaFencePtr): number {
  if (!dma_fence_is_signaled_locked(cpu, fence)) return 0;
  const error = cpu.mem.readOnce(fence + DMA_FENCE_ERROR);
  return error !== 0 ? error : 1;
}

/** The older name of dma_fence_enable_signaling. */
export function dma_fence_enable_sw_signaling(cpu: Cpu, fence: DmaFencePtr): void {
  dma_fence_enable_signaling(cpu, fence);
}

/** When it was signaled, in ns since the machine's epoch. Of a fence that is not: warns, and it is now. */
export function dma_fence_timestamp(cpu: Cpu, fence: DmaFencePtr): number {
  if (WARN_ON(cpu, !dma_fence_test_signaled_flag(cpu, fence))) return ktime_get(cpu);
  // The signaler sets the one bit right after the other, with nothing to wait for in between.
  while ((cpu.mem.loadAcquire(fence + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_TIMESTAMP) === 0) cpu.mem.pause();
  return cpu.mem.read64(fence + DMA_FENCE_TIMESTAMP);
}

/** Tells the driver by when (ns) somebody would like it; nothing when it is done, or the driver is deaf. */
export function dma_fence_set_deadline(cpu: Cpu, fence: DmaFencePtr, deadline: number): void {
  const op = dma_fence_op(cpu, fence, DMA_FENCE_OPS_SET_DEADLINE);
  if (op !== 0 && !dma_fence_is_signaled(cpu, fence)) symbol_call(cpu, op, fence, deadline);
}
