/**
 * dma_resv (include/linux/dma-resv.h, drivers/dma-buf/dma-resv.c): who uses a buffer, as fences; and the lock
 * that decides who may add more.
 *
 * A fence is there with a usage: KERNEL (moving the buffer; everybody waits for it), WRITE, READ, BOOKKEEP
 * (nobody waits implicitly). A question at one usage is about that one and the stronger ones before it.
 *
 * Invariants: fences change under the lock only; readers look under RCU. A fence is added into room that was
 * reserved under the same hold of the lock, so adding cannot fail. One context is one timeline: a later fence
 * stands for the earlier ones of its context.
 *
 * Interface: dma_resv_lock, dma_resv_reserve_fences, dma_resv_add_fence, dma_resv_unlock; wait and test with
 * or without the lock. After an -EDEADLK of dma_resv_lock with a context see ww-mutex.ts.
 */
export * from "./resv-usage.ts";
export * from "./resv-lock.ts";
import "./resv-lockdep.ts";
export * from "./resv-fences.ts";
export * from "./resv-iter.ts";
export * from "./resv-query.ts";
