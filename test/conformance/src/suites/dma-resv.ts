/**
 * dma-resv: what the kernel-doc of drivers/dma-buf/dma-resv.c and include/linux/dma-resv.h promises beyond its
 * selftest, with several fences in one object: which question is about which of them, and which makes room for which.
 */
import { kernel_static } from "@ringside/core/debug/image";
import { dma_fence_put, dma_fence_signal, type DmaFencePtr } from "@ringside/core/dma/fence";
import {
  dma_resv_add_fence,
  dma_resv_fini,
  dma_resv_init,
  dma_resv_iter_begin,
  dma_resv_iter_end,
  dma_resv_iter_first_unlocked,
  dma_resv_iter_next_unlocked,
  DMA_RESV_ITER_SIZE,
  dma_resv_lock,
  dma_resv_reserve_fences,
  DMA_RESV_SIZE,
  dma_resv_test_signaled,
  dma_resv_unlock,
  DMA_RESV_USAGE_BOOKKEEP,
  DMA_RESV_USAGE_KERNEL,
  DMA_RESV_USAGE_READ,
  DMA_RESV_USAGE_WRITE,
  dma_resv_wait_timeout,
  type DmaResvIterPtr,
  type DmaResvPtr,
} from "@ringside/core/dma/resv";
import { mock_fence } from "@ringside/core/dma/testing/mock-fence";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import type { Checks } from "../checks.ts";
import type { Suite } from "../suite.ts";

const RESV = kernel_static("dma_resv_suite", DMA_RESV_SIZE) as DmaResvPtr;

/** Adds a fence; the caller has a reference, too. */
function add(cpu: Cpu, t: Checks, context: number, seqno: number, usage: number): DmaFencePtr {
  const fence = mock_fence(cpu, context, seqno);
  dma_resv_lock(cpu, RESV, 0);
  t.equal(dma_resv_reserve_fences(cpu, RESV, 1), 0, "room for a fence");
  dma_resv_add_fence(cpu, RESV, fence, usage);
  dma_resv_unlock(cpu, RESV);
  return fence;
}

/** Signals and puts what is left, and the object. */
function end(cpu: Cpu, ...fences: readonly DmaFencePtr[]): void {
  for (const fence of fences) {
    dma_fence_signal(cpu, fence);
    dma_fence_put(cpu, fence);
  }
  dma_resv_fini(cpu, RESV);
}

/** Does a walk at `usage` yield just these? */
function expect_walk(cpu: Cpu, t: Checks, usage: number, wanted: readonly DmaFencePtr[], what: string): void {
  const cursor = stack_push(cpu, DMA_RESV_ITER_SIZE) as DmaResvIterPtr;
  let found = 0;
  let good = true;
  dma_resv_iter_begin(cpu, cursor, RESV, usage);
  let fence = dma_resv_iter_first_unlocked(cpu, cursor);
  for (; fence !== 0; fence = dma_resv_iter_next_unlocked(cpu, cursor)) {
    if (!wanted.includes(fence)) good = false;
    found++;
  }
  dma_resv_iter_end(cpu, cursor);
  stack_pop(cpu, cursor);
  t.ok(good && found === wanted.length, `${what}: found ${found} of ${wanted.length} fences, or others`);
}

/** A question at one usage is about that one and the stronger ones. */
function mixed_levels(cpu: Cpu, t: Checks): void {
  dma_resv_init(cpu, RESV);
  const fences: DmaFencePtr[] = [];
  for (let usage = DMA_RESV_USAGE_BOOKKEEP; usage >= DMA_RESV_USAGE_KERNEL; usage--) {
    t.ok(dma_resv_test_signaled(cpu, RESV, usage), `usage ${usage} sees a weaker one`);
    t.equal(dma_resv_wait_timeout(cpu, RESV, usage, false, 0), 1, `a wait of 0 at usage ${usage}, idle`);
    fences.unshift(add(cpu, t, 10 + usage, 1, usage));
    t.ok(!dma_resv_test_signaled(cpu, RESV, usage), `usage ${usage} does not see its own`);
    t.equal(dma_resv_wait_timeout(cpu, RESV, usage, false, 0), 0, `a wait of 0 at usage ${usage}, busy`);
  }
  for (let usage = DMA_RESV_USAGE_KERNEL; usage <= DMA_RESV_USAGE_BOOKKEEP; usage++) {
    expect_walk(cpu, t, usage, fences.slice(0, usage + 1), `a walk at usage ${usage}`);
  }
  end(cpu, ...fences);
}

/** A later fence stands for the earlier ones of its context, if its usage is as strong. */
function same_context_replaced(cpu: Cpu, t: Checks): void {
  dma_resv_init(cpu, RESV);
  const first = add(cpu, t, 10, 1, DMA_RESV_USAGE_WRITE);
  const second = add(cpu, t, 10, 2, DMA_RESV_USAGE_WRITE);
  expect_walk(cpu, t, DMA_RESV_USAGE_BOOKKEEP, [second], "the same usage");
  const third = add(cpu, t, 10, 3, DMA_RESV_USAGE_KERNEL);
  expect_walk(cpu, t, DMA_RESV_USAGE_BOOKKEEP, [third], "a stronger usage");
  const fourth = add(cpu, t, 10, 4, DMA_RESV_USAGE_READ);
  expect_walk(cpu, t, DMA_RESV_USAGE_BOOKKEEP, [third, fourth], "a weaker usage");
  end(cpu, first, second, third, fourth);
}

/** Fences of other contexts are all waited for. */
function other_contexts_kept(cpu: Cpu, t: Checks): void {
  dma_resv_init(cpu, RESV);
  const fences: DmaFencePtr[] = [];
  for (let i = 0; i < 6; i++) fences.push(add(cpu, t, 10 + i, 1, DMA_RESV_USAGE_WRITE));
  expect_walk(cpu, t, DMA_RESV_USAGE_BOOKKEEP, fences, "six contexts");
  end(cpu, ...fences);
}

/** What is signaled makes room, whose it ever was. */
function signaled_replaced(cpu: Cpu, t: Checks): void {
  dma_resv_init(cpu, RESV);
  const first = add(cpu, t, 10, 1, DMA_RESV_USAGE_KERNEL);
  dma_fence_signal(cpu, first);
  const second = add(cpu, t, 11, 1, DMA_RESV_USAGE_BOOKKEEP);
  expect_walk(cpu, t, DMA_RESV_USAGE_BOOKKEEP, [second], "after a signaled one");
  t.ok(dma_resv_test_signaled(cpu, RESV, DMA_RESV_USAGE_READ), "only BOOKKEEP is left");
  end(cpu, first, second);
}

export const suite: Suite = {
  name: "dma-resv",
  source: "drivers/dma-buf/dma-resv.c (kernel-doc)",
  cases: [
    { name: "mixed_levels", bodies: [mixed_levels] },
    { name: "same_context_replaced", bodies: [same_context_replaced] },
    { name: "other_contexts_kept", bodies: [other_contexts_kept] },
    { name: "signaled_replaced", bodies: [signaled_replaced] },
  ],
};
