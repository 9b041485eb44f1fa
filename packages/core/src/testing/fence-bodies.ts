/** What the CPUs do in dma/fence-threads.test.ts. */
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import {
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_context_alloc,
  dma_fence_counters,
  dma_fence_get_rcu_safe,
  dma_fence_is_signaled,
  dma_fence_lock,
  dma_fence_put,
  dma_fence_remove_callback,
  dma_fence_signal,
  dma_fence_wait,
  dma_fence_wait_timeout,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "../dma/fence.ts";
import { mock_fence } from "../dma/testing/mock-fence.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import {
  rcu_assign_pointer,
  rcu_barrier,
  rcu_dereference,
  rcu_read_lock,
  rcu_read_unlock,
} from "../rcu/rcu.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { linger, rendezvous, wait_until } from "./rendezvous.ts";

/** Published fences, one word a CPU, a line apart. */
const FENCES = kernel_static("test_fences", 8 * 128);
const POINT = kernel_static("test_point", 4);
const ROUND = kernel_static("test_round", 4);
const IN_USE = kernel_static("test_in_use", 4);

const SIMPLE_CALLBACK = kernel_symbol(simple_callback);
const SEEN = DMA_FENCE_CB_SIZE;
const SIMPLE_CB_SIZE = DMA_FENCE_CB_SIZE + 4;

function simple_callback(cpu: Cpu, _fence: number, cb: number): void {
  cpu.mem.storeRelease(cb + SEEN, 1);
}

export function set_up(cpu: Cpu): void {
  cpu.mem.write(IN_USE, kmem_in_use(cpu));
}

/** Fences made and signaled, and objects left over. */
export function settle(cpu: Cpu): { initialised: number; signalled: number; leaked: number } {
  rcu_barrier(cpu);
  return { ...dma_fence_counters(cpu), leaked: kmem_in_use(cpu) - cpu.mem.read(IN_USE) };
}

export interface RaceResult {
  readonly passes: number;
  readonly misses: number;
  /** Callbacks that were accepted and did not run. */
  readonly unseen: number;
}

/**
 * race_signal_callback: publishes a fence, signals it before or after adding a callback to the other CPU's,
 * and expects that the callback runs if it was accepted. Each pass begins together: on a busy machine one CPU
 * would else make thousands of passes against a fence the other left signaled.
 */
export function race(cpu: Cpu, before: boolean, passes: number): RaceResult {
  const own = FENCES + cpu.id * 128;
  const context = dma_fence_context_alloc(cpu, 1);
  const result = { passes, misses: 0, unseen: 0 };
  const cb = stack_push(cpu, SIMPLE_CB_SIZE) as DmaFenceCbPtr;
  for (let pass = 1; pass <= passes; pass++) {
    const fence = mock_fence(cpu, context, pass);
    rcu_assign_pointer(cpu, own, fence);
    rendezvous(cpu, POINT, 2);
    linger(cpu, 50);
    const other = other_fence(cpu);
    if (before) dma_fence_signal(cpu, fence);
    cpu.mem.storeRelease(cb + SEEN, 0);
    const added = other !== 0 && dma_fence_add_callback(cpu, other, cb, SIMPLE_CALLBACK) === 0;
    if (!added) result.misses++;
    if (!before) dma_fence_signal(cpu, fence);
    if (added && cpu.mem.loadAcquire(cb + SEEN) === 0) {
      dma_fence_wait(cpu, other, false);
      wait_for_callbacks(cpu, other);
      if (cpu.mem.loadAcquire(cb + SEEN) === 0) result.unseen++;
    }
    dma_fence_put(cpu, other);
    rcu_assign_pointer(cpu, own, 0);
    dma_fence_put(cpu, fence);
    cond_resched(cpu);
  }
  stack_pop(cpu, cb);
  return result;
}

/** The other CPU's fence, or 0 when it has finished its pass. */
function other_fence(cpu: Cpu): DmaFencePtr {
  rcu_read_lock(cpu);
  const fence = dma_fence_get_rcu_safe(cpu, FENCES + (1 - cpu.id) * 128);
  rcu_read_unlock(cpu);
  return fence;
}

/** Signaled is set before the callbacks run; the lock is held until they have. */
function wait_for_callbacks(cpu: Cpu, fence: DmaFencePtr): void {
  spin_lock_irqsave(cpu, dma_fence_lock(cpu, fence));
  spin_unlock_irqrestore(cpu, dma_fence_lock(cpu, fence));
}

/** Signals a fence a round, some time after the waiters have it; then puts it when they are through. */
export function signaler(cpu: Cpu, rounds: number, waiters: number): number {
  for (let i = 1; i <= rounds; i++) {
    const fence = mock_fence(cpu, 1, i);
    rcu_assign_pointer(cpu, FENCES, fence);
    cpu.mem.storeRelease(ROUND, i);
    linger(cpu, 400);
    dma_fence_signal(cpu, fence);
    rendezvous(cpu, POINT, waiters + 1);
    dma_fence_put(cpu, fence);
  }
  return rounds;
}
/** Waits for each; returns how often a wait ended without a signal. A lost wake-up hangs. */
export function waiter(cpu: Cpu, rounds: number, waiters: number): number {
  let early = 0;
  for (let i = 1; i <= rounds; i++) {
    wait_until(cpu, ROUND, i);
    const fence = rcu_dereference(cpu, FENCES) as DmaFencePtr;
    const left = i % 2 === 0 ? dma_fence_wait_timeout(cpu, fence, true, 60_000) : 1;
    if (i % 2 === 1) dma_fence_wait(cpu, fence, false);
    if (left <= 0 || !dma_fence_is_signaled(cpu, fence)) early++;
    rendezvous(cpu, POINT, waiters + 1);
  }
  return early;
}

/** Adds and removes a callback around the signal: it ran, or was removed, never both nor neither. */
export function remover(cpu: Cpu, rounds: number, waiters: number): number {
  let wrong = 0;
  const cb = stack_push(cpu, SIMPLE_CB_SIZE) as DmaFenceCbPtr;
  for (let i = 1; i <= rounds; i++) {
    wait_until(cpu, ROUND, i);
    const fence = rcu_dereference(cpu, FENCES) as DmaFencePtr;
    cpu.mem.storeRelease(cb + SEEN, 0);
    const added = dma_fence_add_callback(cpu, fence, cb, SIMPLE_CALLBACK) === 0;
    linger(cpu, 400);
    const removed = dma_fence_remove_callback(cpu, fence, cb);
    const ran = cpu.mem.loadAcquire(cb + SEEN) !== 0;
    if (added ? removed === ran : removed || ran) wrong++;
    rendezvous(cpu, POINT, waiters + 1);
  }
  stack_pop(cpu, cb);
  return wrong;
}
