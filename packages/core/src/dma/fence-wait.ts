/**
 * Waiting for fences (drivers/dma-buf/dma-fence.c). Time-outs are in jiffies; the verbs sleep, so they need
 * task context, also with a time-out of 0. The contract is in fence.ts.
 */
import { EINVAL, ENOMEM, ERESTARTSYS } from "../debug/errno.ts";
import { kernel_symbol, symbol_call } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ON } from "../debug/warn.ts";
import { list_add } from "../mm/list.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import { BLOCKER_FENCE, hung_task_clear_blocker, hung_task_set_blocker } from "../sched/blocker.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT, might_sleep, schedule_timeout } from "../sched/schedule.ts";
import {
  current_task,
  set_current_state,
  signal_pending,
  TASK_INTERRUPTIBLE,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  type TaskPtr,
  wake_up_process,
} from "../sched/task.ts";
import { __dma_fence_might_wait } from "./fence-lockdep.ts";
import {
  __dma_fence_unqueue_callback,
  dma_fence_add_callback,
  dma_fence_enable_signaling,
  dma_fence_is_signaled,
  dma_fence_remove_callback,
} from "./fence-signal.ts";
import {
  DMA_FENCE_CB_FUNC,
  DMA_FENCE_CB_LIST,
  DMA_FENCE_CB_NODE,
  DMA_FENCE_CB_SIZE,
  DMA_FENCE_OPS_WAIT,
  dma_fence_lock_irqsave,
  dma_fence_op,
  dma_fence_test_signaled_flag,
  dma_fence_unlock_irqrestore,
  type DmaFenceCbPtr,
  type DmaFencePtr,
  __dma_fence_at,
} from "./fence-struct.ts";

/** struct default_wait_cb, on the waiter's stack: BASE guarded by the fence's lock, TASK constant. */
const BASE = 0;
const TASK = DMA_FENCE_CB_SIZE;
const WAIT_CB_SIZE = 16;

struct_layout("default_wait_cb", WAIT_CB_SIZE, [
  ["base", BASE, DMA_FENCE_CB_SIZE],
  ["task", TASK, 4],
]);

const DEFAULT_WAIT_CB = kernel_symbol(dma_fence_default_wait_cb);

function dma_fence_default_wait_cb(cpu: Cpu, _fence: number, cb: number): void {
  wake_up_process(cpu, cpu.mem.read(cb + TASK) as TaskPtr);
}

/** Waits without limit. 0, or -ERESTARTSYS when `intr` and a signal came first. */
export function dma_fence_wait(cpu: Cpu, fence: DmaFencePtr, intr: boolean): number {
  const left = dma_fence_wait_timeout(cpu, fence, intr, MAX_SCHEDULE_TIMEOUT);
  return left < 0 ? left : 0;
}

/**
 * Waits for at most `timeout`. Positive: signaled, the time left, at least 1. 0: not signaled in time.
 * -ERESTARTSYS: a signal came first, if `intr`. A time-out of 0 just looks: 1 or 0.
 */
export function dma_fence_wait_timeout(cpu: Cpu, fence: DmaFencePtr, intr: boolean, timeout: number): number {
  if (WARN_ON(cpu, timeout < 0)) return -EINVAL;
  might_sleep(cpu);
  if (cpu.lockdep) __dma_fence_might_wait(cpu);
  dma_fence_enable_signaling(cpu, fence);
  const wait = dma_fence_op(cpu, fence, DMA_FENCE_OPS_WAIT);
  if (wait !== 0) return symbol_call(cpu, wait, fence, intr ? 1 : 0, timeout);
  return dma_fence_default_wait(cpu, fence, intr, timeout);
}

/** The wait of fences without one of their own. It looks at the flag alone, so signaling must be enabled. */
export function dma_fence_default_wait(cpu: Cpu, fence: DmaFencePtr, intr: boolean, timeout: number): number {
  dma_fence_lock_irqsave(cpu, fence);
  let left = timeout === 0 ? 1 : timeout;
  if (!dma_fence_test_signaled_flag(cpu, fence)) {
    if (intr && signal_pending(cpu)) left = -ERESTARTSYS;
    else if (timeout === 0) left = 0;
    else left = wait_locked(cpu, fence, intr, timeout);
  }
  dma_fence_unlock_irqrestore(cpu, fence);
  return left;
}

/** Sleeps with a callback queued. The fence's lock is held, and dropped while asleep. */
function wait_locked(cpu: Cpu, fence: DmaFencePtr, intr: boolean, timeout: number): number {
  const cb = stack_push(cpu, WAIT_CB_SIZE) as DmaFenceCbPtr;
  cpu.mem.write(cb + TASK, current_task(cpu));
  cpu.mem.write(cb + DMA_FENCE_CB_FUNC, DEFAULT_WAIT_CB);
  // In front: who sleeps is woken before other callbacks take their time.
  list_add(cpu, cb + DMA_FENCE_CB_NODE, fence + DMA_FENCE_CB_LIST);
  const blocker = hung_task_set_blocker(cpu, BLOCKER_FENCE, fence);
  let left = timeout;
  while (!dma_fence_test_signaled_flag(cpu, fence) && left > 0) {
    // Under the lock that the signaler holds when it wakes us: it signals before the test, or finds the state.
    set_current_state(cpu, intr ? TASK_INTERRUPTIBLE : TASK_UNINTERRUPTIBLE);
    dma_fence_unlock_irqrestore(cpu, fence);
    left = schedule_timeout(cpu, left);
    dma_fence_lock_irqsave(cpu, fence);
    if (left > 0 && intr && signal_pending(cpu)) left = -ERESTARTSYS;
  }
  hung_task_clear_blocker(cpu, blocker);
  set_current_state(cpu, TASK_RUNNING);
  __dma_fence_unqueue_callback(cpu, cb);
  stack_pop(cpu, cb);
  return left;
}

/**
 * Waits until any of the `count` fences whose addresses are at `fences` is signaled; its index goes to the
 * word `idx`, unless that is 0. Returns as dma_fence_wait_timeout; -EINVAL, -ENOMEM.
 */
export function dma_fence_wait_any_timeout(
  cpu: Cpu,
  fences: number,
  count: number,
  intr: boolean,
  timeout: number,
  idx: number,
): number {
  if (WARN_ON(cpu, fences === 0 || count === 0 || timeout < 0)) return -EINVAL;
  if (timeout === 0) return find_signaled(cpu, fences, count, idx) ? 1 : 0;
  might_sleep(cpu);
  const cbs = kzalloc(cpu, count * WAIT_CB_SIZE, GFP_KERNEL);
  if (cbs === 0) return -ENOMEM;
  let left = timeout;
  let queued = 0;
  while (
    queued < count &&
    add_wait_callback(cpu, __dma_fence_at(cpu, fences, queued), cbs + queued * WAIT_CB_SIZE)
  ) {
    queued++;
  }
  // One refused the callback: it is signaled.
  if (queued < count) store_index(cpu, idx, queued);
  else left = wait_any(cpu, fences, count, intr, timeout, idx);
  while (queued-- > 0) {
    const cb = (cbs + queued * WAIT_CB_SIZE) as DmaFenceCbPtr;
    dma_fence_remove_callback(cpu, __dma_fence_at(cpu, fences, queued), cb);
  }
  kfree(cpu, cbs);
  return left;
}

function wait_any(
  cpu: Cpu,
  fences: number,
  count: number,
  intr: boolean,
  timeout: number,
  idx: number,
): number {
  let left = timeout;
  const blocker = hung_task_set_blocker(cpu, BLOCKER_FENCE, __dma_fence_at(cpu, fences, 0));
  while (left > 0) {
    // Before the look at the flags: a fence that signals after it wakes us.
    set_current_state(cpu, intr ? TASK_INTERRUPTIBLE : TASK_UNINTERRUPTIBLE);
    if (find_signaled_flag(cpu, fences, count, idx)) break;
    left = schedule_timeout(cpu, left);
    if (left > 0 && intr && signal_pending(cpu)) left = -ERESTARTSYS;
  }
  hung_task_clear_blocker(cpu, blocker);
  set_current_state(cpu, TASK_RUNNING);
  return left;
}

function add_wait_callback(cpu: Cpu, fence: DmaFencePtr, cb: number): boolean {
  cpu.mem.write(cb + TASK, current_task(cpu));
  return dma_fence_add_callback(cpu, fence, cb as DmaFenceCbPtr, DEFAULT_WAIT_CB) === 0;
}

function store_index(cpu: Cpu, idx: number, index: number): void {
  if (idx !== 0) cpu.mem.write(idx, index);
}

function find_signaled(cpu: Cpu, fences: number, count: number, idx: number): boolean {
  for (let i = 0; i < count; i++) {
    if (!dma_fence_is_signaled(cpu, __dma_fence_at(cpu, fences, i))) continue;
    store_index(cpu, idx, i);
    return true;
  }
  return false;
}

function find_signaled_flag(cpu: Cpu, fences: number, count: number, idx: number): boolean {
  for (let i = 0; i < count; i++) {
    if (!dma_fence_test_signaled_flag(cpu, __dma_fence_at(cpu, fences, i))) continue;
    store_index(cpu, idx, i);
    return true;
  }
  return false;
}
