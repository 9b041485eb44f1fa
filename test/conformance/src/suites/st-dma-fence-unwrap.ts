/**
 * st-dma-fence-unwrap: drivers/dma-buf/st-dma-fence-unwrap.c. The plain fences inside arrays and chains, and merging:
 * no fence twice, of each context the latest, signaled ones left out, in order of the context.
 */
import {
  dma_fence_context_alloc,
  dma_fence_enable_signaling,
  dma_fence_get,
  dma_fence_get_stub,
  dma_fence_put,
  type DmaFencePtr,
} from "@ringside/core/dma/fence";
import { dma_fence_array_create } from "@ringside/core/dma/fence-array";
import { dma_fence_chain_alloc, dma_fence_chain_init } from "@ringside/core/dma/fence-chain";
import {
  DMA_FENCE_UNWRAP_SIZE,
  dma_fence_unwrap_first,
  dma_fence_unwrap_merge,
  dma_fence_unwrap_next,
  type DmaFenceUnwrapPtr,
} from "@ringside/core/dma/fence-unwrap";
import { mock_fence as __mock_fence } from "@ringside/core/dma/testing/mock-fence";
import { GFP_KERNEL, kcalloc } from "@ringside/core/mm/slab";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import type { Checks } from "../checks.ts";
import type { Suite } from "../suite.ts";

const NONE = 0 as DmaFencePtr;

/** A fence somebody is interested in. */
function mock_fence(
  cpu: Cpu,
  context: number = dma_fence_context_alloc(cpu, 1),
  seqno: number = 1,
): DmaFencePtr {
  const fence = __mock_fence(cpu, context, seqno);
  dma_fence_enable_signaling(cpu, fence);
  return fence;
}

/** An array that takes over the references. */
function mock_array(cpu: Cpu, ...members: readonly DmaFencePtr[]): DmaFencePtr {
  const fences = kcalloc(cpu, members.length, 4, GFP_KERNEL);
  for (let i = 0; i < members.length; i++) cpu.mem.write(fences + i * 4, members[i] as number);
  return dma_fence_array_create(cpu, members.length, fences, dma_fence_context_alloc(cpu, 1), 1, false);
}

/** A node that takes over the references. */
function mock_chain(cpu: Cpu, prev: DmaFencePtr, fence: DmaFencePtr): DmaFencePtr {
  const chain = dma_fence_chain_alloc(cpu);
  dma_fence_chain_init(cpu, chain, prev, fence, 1);
  return chain;
}

/** Walks `head`, which must hold just these plain fences, in this order if that matters, and puts it. */
function expect_fences(
  cpu: Cpu,
  t: Checks,
  head: DmaFencePtr,
  wanted: readonly DmaFencePtr[],
  order: boolean,
): void {
  const cursor = stack_push(cpu, DMA_FENCE_UNWRAP_SIZE) as DmaFenceUnwrapPtr;
  const seen: DmaFencePtr[] = [];
  t.ok(head !== 0, "memory for the container");
  let fence = dma_fence_unwrap_first(cpu, head, cursor);
  for (; fence !== 0; fence = dma_fence_unwrap_next(cpu, cursor)) {
    if (!wanted.includes(fence)) t.ok(false, "Unexpected fence!");
    else if (seen.includes(fence)) t.ok(false, "a fence was seen twice");
    else if (order && fence !== wanted[seen.length]) t.ok(false, "Unexpected order!");
    seen.push(fence);
  }
  for (const each of wanted) t.ok(seen.includes(each), "Not all fences seen!");
  stack_pop(cpu, cursor);
  dma_fence_put(cpu, head);
}

function sanitycheck(cpu: Cpu, t: Checks): void {
  const chain = mock_chain(cpu, NONE, mock_array(cpu, mock_fence(cpu)));
  t.ok(chain !== 0, "memory for a chain of an array");
  dma_fence_put(cpu, chain);
}

function unwrap_array(cpu: Cpu, t: Checks): void {
  const [f1, f2] = [mock_fence(cpu), mock_fence(cpu)];
  expect_fences(cpu, t, mock_array(cpu, f1, f2), [f1, f2], false);
}

function unwrap_chain(cpu: Cpu, t: Checks): void {
  const [f1, f2] = [mock_fence(cpu), mock_fence(cpu)];
  expect_fences(cpu, t, mock_chain(cpu, f1, f2), [f1, f2], false);
}

function unwrap_chain_array(cpu: Cpu, t: Checks): void {
  const [f1, f2] = [mock_fence(cpu), mock_fence(cpu)];
  expect_fences(cpu, t, mock_chain(cpu, NONE, mock_array(cpu, f1, f2)), [f1, f2], false);
}

function unwrap_merge(cpu: Cpu, t: Checks): void {
  const [f1, f2] = [mock_fence(cpu), mock_fence(cpu)];
  expect_fences(cpu, t, dma_fence_unwrap_merge(cpu, f1, f2), [f1, f2], false);
  dma_fence_put(cpu, f1);
  dma_fence_put(cpu, f2);
}

function unwrap_merge_duplicate(cpu: Cpu, t: Checks): void {
  const f1 = mock_fence(cpu);
  expect_fences(cpu, t, dma_fence_unwrap_merge(cpu, f1, f1), [f1], false);
  dma_fence_put(cpu, f1);
}

function unwrap_merge_seqno(cpu: Cpu, t: Checks): void {
  const [first, second] = [dma_fence_context_alloc(cpu, 1), dma_fence_context_alloc(cpu, 1)];
  const f1 = mock_fence(cpu, second, 1);
  const f2 = mock_fence(cpu, second, 2);
  const f3 = mock_fence(cpu, first, 1);
  expect_fences(cpu, t, dma_fence_unwrap_merge(cpu, f1, f2, f3), [f3, f2], true);
  for (const fence of [f1, f2, f3]) dma_fence_put(cpu, fence);
}

function unwrap_merge_order(cpu: Cpu, t: Checks): void {
  const [f1, f2] = [mock_fence(cpu), mock_fence(cpu)];
  const array = mock_array(cpu, f1, f2);
  // The same fences the other way round.
  const c1 = mock_chain(cpu, NONE, dma_fence_get(cpu, f1));
  const c2 = mock_chain(cpu, c1, dma_fence_get(cpu, f2));
  expect_fences(cpu, t, dma_fence_unwrap_merge(cpu, array, c2), [f1, f2], true);
  dma_fence_put(cpu, array);
  dma_fence_put(cpu, c2);
}

function unwrap_merge_complex(cpu: Cpu, t: Checks): void {
  const [f1, f2] = [mock_fence(cpu), mock_fence(cpu)];
  const f3 = dma_fence_unwrap_merge(cpu, f1, f2);
  const f4 = mock_array(cpu, dma_fence_get(cpu, f2), dma_fence_get(cpu, f1));
  const stub = dma_fence_get_stub(cpu);
  // The stub is signaled and left out, the arrays become one.
  expect_fences(cpu, t, dma_fence_unwrap_merge(cpu, f3, f4, stub), [f1, f2], false);
  for (const fence of [stub, f4, f3, f2, f1]) dma_fence_put(cpu, fence);
}

function unwrap_merge_complex_seqno(cpu: Cpu, t: Checks): void {
  const [first, second] = [dma_fence_context_alloc(cpu, 1), dma_fence_context_alloc(cpu, 1)];
  const f1 = mock_fence(cpu, first, 2);
  const f2 = mock_fence(cpu, second, 1);
  const f3 = mock_fence(cpu, first, 1);
  const f4 = mock_fence(cpu, second, 2);
  const f5 = mock_array(cpu, dma_fence_get(cpu, f1), dma_fence_get(cpu, f2));
  const f6 = mock_array(cpu, dma_fence_get(cpu, f3), dma_fence_get(cpu, f4));
  expect_fences(cpu, t, dma_fence_unwrap_merge(cpu, f5, f6), [f1, f4], true);
  for (const fence of [f6, f5, f4, f3, f2, f1]) dma_fence_put(cpu, fence);
}

export const suite: Suite = {
  name: "st-dma-fence-unwrap",
  source: "drivers/dma-buf/st-dma-fence-unwrap.c",
  cases: [
    { name: "sanitycheck", bodies: [sanitycheck] },
    { name: "unwrap_array", bodies: [unwrap_array] },
    { name: "unwrap_chain", bodies: [unwrap_chain] },
    { name: "unwrap_chain_array", bodies: [unwrap_chain_array] },
    { name: "unwrap_merge", bodies: [unwrap_merge] },
    { name: "unwrap_merge_duplicate", bodies: [unwrap_merge_duplicate] },
    { name: "unwrap_merge_seqno", bodies: [unwrap_merge_seqno] },
    { name: "unwrap_merge_order", bodies: [unwrap_merge_order] },
    { name: "unwrap_merge_complex", bodies: [unwrap_merge_complex] },
    { name: "unwrap_merge_complex_seqno", bodies: [unwrap_merge_complex_seqno] },
  ],
};
