/** What the CPUs do in dma/fence-threads.test.ts. */
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import {
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_counters,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_remove_callback,
  dma_fence_signal,
  dma_fence_wait,
  dma_fence_wait_timeout,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "../dma/fence.ts";
import { mock_fence } from "../dma/testing/mock-fence.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import { rcu_assign_pointer, rcu_barrier, rcu_dereference_protected } from "../rcu/rcu.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
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
// In a round the fence stays published, and the signaler's reference stays until all have met: no read section.

/** Waits for each; returns how often a wait ended without a signal. A lost wake-up hangs. */
export function waiter(cpu: Cpu, rounds: number, waiters: number): number {
  let early = 0;
  for (let i = 1; i <= rounds; i++) {
    wait_until(cpu, ROUND, i);
    const fence = rcu_dereference_protected(cpu, FENCES, true) as DmaFencePtr;
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
    const fence = rcu_dereference_protected(cpu, FENCES, true) as DmaFencePtr;
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
