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
 * As in Linux up to 6.x, dma_fence_signal returns 0 or -EINVAL; dma_fence_check_and_signal is there too.
 */
export * from "./fence-struct.ts";
export * from "./fence-signal.ts";
export * from "./fence-ref.ts";
export * from "./fence-wait.ts";
export * from "./fence-context.ts";
