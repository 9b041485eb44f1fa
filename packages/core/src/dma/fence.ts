/**
 * dma_fence (include/linux/dma-fence.h, drivers/dma-buf/dma-fence.c): a one-shot "this is done", with
 * callbacks, an error and a place on a timeline.
 *
 * Invariants: a fence goes from unsignaled to signaled once. A callback runs exactly once, with the fence's
 * lock held, or is removed before. Whoever sees a fence signaled sees what the signaler did before it.
 * A dying fence's memory goes after a grace period, so that dma_fence_get_rcu may look at it.
 *
 * Interface: dma_fence_init gives one reference; dma_fence_signal, dma_fence_put. dma_fence_wait(_timeout)
 * sleeps; dma_fence_add_callback does not. A callback must not touch its own fence's lock, nor sleep.
 * Promise of whoever publishes a fence: it signals in bounded time, and the way there takes no lock that is
 * held across a wait for fences.
 *
 * Several fences as one: fence-array.ts, fence-chain.ts, fence-unwrap.ts. As files: sync-file.ts, sw-sync.ts.
 *
 * A signaled fence lets go of its operations, unless they have a release or wait: its driver may be gone then,
 * and its names are "detached-driver" and "signaled-timeline".
 *
 * As in Linux up to 6.x, dma_fence_signal returns 0 or -EINVAL; from 7.0 on it returns nothing there, and
 * dma_fence_check_and_signal says true for "already signaled", as here.
 */
export * from "./fence-struct.ts";
export * from "./fence-signal.ts";
export * from "./fence-ref.ts";
export * from "./fence-wait.ts";
export * from "./fence-context.ts";
export * from "./fence-lockdep.ts";
