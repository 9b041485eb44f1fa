/**
 * dma_fence annotations for lockdep (drivers/dma-buf/dma-fence.c): a signalling section is a reader of one global
 * map that never waited to get in, a wait is its writer. So a lock that is taken in a signalling section, and held
 * across a wait, is reported as a cycle: the signaler would wait for the waiter.
 *
 * Interface: `const cookie = dma_fence_begin_signalling(cpu)` where the path to a signal begins, and
 * dma_fence_end_signalling(cpu, cookie) where it ends; __dma_fence_might_wait at the head of every wait.
 */
import { kernel_static } from "../debug/image.ts";
import {
  lock_is_held_type,
  lock_map_acquire,
  lock_map_acquire_tryread,
  lock_map_release,
} from "../lock/lockdep.ts";
import type { Cpu } from "../sched/cpu.ts";
import { in_atomic } from "../sched/schedule.ts";

const DMA_FENCE_MAP = kernel_static("dma_fence_map", 4);

/** Enters a section that leads to a signal; sections nest. The cookie goes to dma_fence_end_signalling. */
export function dma_fence_begin_signalling(cpu: Cpu): boolean {
  if (!cpu.lockdep || lock_is_held_type(cpu, DMA_FENCE_MAP, 1)) return true;
  // What may not sleep cannot wait for a fence either: might_sleep looks after that.
  if (in_atomic(cpu)) return true;
  lock_map_acquire_tryread(cpu, DMA_FENCE_MAP);
  return false;
}

export function dma_fence_end_signalling(cpu: Cpu, cookie: boolean): void {
  if (!cookie) lock_map_release(cpu, DMA_FENCE_MAP);
}

/** About to wait for a fence, maybe. Legal in a signalling section: schedulers wait for other timelines there. */
export function __dma_fence_might_wait(cpu: Cpu): void {
  if (!cpu.lockdep) return;
  const signalling = lock_is_held_type(cpu, DMA_FENCE_MAP, 1);
  if (signalling) lock_map_release(cpu, DMA_FENCE_MAP);
  lock_map_acquire(cpu, DMA_FENCE_MAP);
  lock_map_release(cpu, DMA_FENCE_MAP);
  if (signalling) lock_map_acquire_tryread(cpu, DMA_FENCE_MAP);
}
