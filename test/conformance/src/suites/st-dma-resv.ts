/**
 * st-dma-resv: drivers/dma-buf/st-dma-resv.c. One fence in a reservation object, at each usage: the question whether it
 * is idle, the walks with and without the lock, the array.
 *
 * The selftest runs its five subtests for each of the four usages, so do these 20 cases, "test/usage" as the KUnit
 * form names them (which runs sanitycheck, that takes no usage, once).
 */
import { kernel_static } from "@ringside/core/debug/image";
import {
  dma_fence_enable_signaling,
  dma_fence_put,
  dma_fence_signal,
  type DmaFencePtr,
} from "@ringside/core/dma/fence";
import {
  dma_resv_add_fence,
  dma_resv_fini,
  dma_resv_get_fences,
  dma_resv_init,
  dma_resv_iter_begin,
  dma_resv_iter_end,
  DMA_RESV_ITER_FENCES,
  dma_resv_iter_first,
  dma_resv_iter_first_unlocked,
  dma_resv_iter_is_restarted,
  dma_resv_iter_next,
  dma_resv_iter_next_unlocked,
  DMA_RESV_ITER_SIZE,
  dma_resv_iter_usage,
  dma_resv_lock,
  dma_resv_reserve_fences,
  DMA_RESV_SIZE,
  dma_resv_test_signaled,
  dma_resv_unlock,
  type DmaResvIterPtr,
  type DmaResvPtr,
} from "@ringside/core/dma/resv";
import { mock_fence } from "@ringside/core/dma/testing/mock-fence";
import { kfree } from "@ringside/core/mm/slab";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import type { Checks } from "../checks.ts";
import type { Body, Case, Suite } from "../suite.ts";

const RESV = kernel_static("st_dma_resv", DMA_RESV_SIZE) as DmaResvPtr;

/** A fence somebody is interested in. */
function alloc_fence(cpu: Cpu, t: Checks): DmaFencePtr {
  const fence = mock_fence(cpu, 0, 0);
  t.ok(fence !== 0, "memory for a fence");
  dma_fence_enable_signaling(cpu, fence);
  return fence;
}

/** RESV with one fence at `usage`, locked. */
function locked_with_fence(cpu: Cpu, t: Checks, usage: number): DmaFencePtr {
  const fence = alloc_fence(cpu, t);
  dma_resv_init(cpu, RESV);
  t.equal(dma_resv_lock(cpu, RESV, 0), 0, "Resv locking");
  t.equal(dma_resv_reserve_fences(cpu, RESV, 1), 0, "Resv slot allocation");
  dma_resv_add_fence(cpu, RESV, fence, usage);
  return fence;
}

function end(cpu: Cpu, fence: DmaFencePtr): void {
  dma_fence_signal(cpu, fence);
  dma_resv_fini(cpu, RESV);
  dma_fence_put(cpu, fence);
}

function sanitycheck(cpu: Cpu, t: Checks): void {
  const fence = alloc_fence(cpu, t);
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
  dma_resv_init(cpu, RESV);
  if (t.equal(dma_resv_lock(cpu, RESV, 0), 0, "Resv locking")) dma_resv_unlock(cpu, RESV);
  dma_resv_fini(cpu, RESV);
}

function test_signaling(cpu: Cpu, t: Checks, usage: number): void {
  const fence = locked_with_fence(cpu, t, usage);
  t.ok(!dma_resv_test_signaled(cpu, RESV, usage), "Resv unexpectedly signaled");
  dma_fence_signal(cpu, fence);
  t.ok(dma_resv_test_signaled(cpu, RESV, usage), "Resv not reporting signaled");
  dma_resv_unlock(cpu, RESV);
  end(cpu, fence);
}

function push_iter(cpu: Cpu, usage: number): DmaResvIterPtr {
  const cursor = stack_push(cpu, DMA_RESV_ITER_SIZE) as DmaResvIterPtr;
  dma_resv_iter_begin(cpu, cursor, RESV, usage);
  return cursor;
}

function test_for_each(cpu: Cpu, t: Checks, usage: number): void {
  const fence = locked_with_fence(cpu, t, usage);
  const cursor = push_iter(cpu, usage);
  let found = 0;
  for (let f = dma_resv_iter_first(cpu, cursor); f !== 0; f = dma_resv_iter_next(cpu, cursor)) {
    found++;
    t.ok(f === fence, "Unexpected fence");
    t.equal(dma_resv_iter_usage(cpu, cursor), usage, "fence usage");
  }
  t.equal(found, 1, "fences found");
  stack_pop(cpu, cursor);
  dma_resv_unlock(cpu, RESV);
  end(cpu, fence);
}

/** More would be a walk without end. */
const MAX_STEPS = 8;

function test_for_each_unlocked(cpu: Cpu, t: Checks, usage: number): void {
  const fence = locked_with_fence(cpu, t, usage);
  dma_resv_unlock(cpu, RESV);
  const cursor = push_iter(cpu, usage);
  let found = 0;
  let f = dma_resv_iter_first_unlocked(cpu, cursor);
  while (f !== 0 && found < MAX_STEPS) {
    found++;
    t.ok(dma_resv_iter_is_restarted(cpu, cursor), "No restart flag");
    t.ok(f === fence, "Unexpected fence");
    t.equal(dma_resv_iter_usage(cpu, cursor), usage, "fence usage");
    // Another list than the object's: the walk has to begin again.
    if (found === 1) cpu.mem.write(cursor + DMA_RESV_ITER_FENCES, -1);
    f = dma_resv_iter_next_unlocked(cpu, cursor);
  }
  t.equal(found, 2, "fences found, once before the restart and once after");
  dma_resv_iter_end(cpu, cursor);
  stack_pop(cpu, cursor);
  end(cpu, fence);
}

function test_get_fences(cpu: Cpu, t: Checks, usage: number): void {
  const fence = locked_with_fence(cpu, t, usage);
  dma_resv_unlock(cpu, RESV);
  const [num, fences] = [t.scratch, t.scratch + 4];
  t.equal(dma_resv_get_fences(cpu, RESV, usage, num, fences), 0, "get_fences");
  const array = cpu.mem.read(fences);
  const count = cpu.mem.read(num);
  t.equal(count, 1, "fences got");
  if (count > 0) t.ok(cpu.mem.read(array) === fence, "get_fences returned unexpected fence");
  for (let i = 0; i < count; i++) dma_fence_put(cpu, cpu.mem.read(array + i * 4) as DmaFencePtr);
  if (array !== 0) kfree(cpu, array);
  end(cpu, fence);
}

const USAGES = ["kernel", "write", "read", "bookkeep"];

/** One case a usage. */
function each_usage(name: string, test: (cpu: Cpu, t: Checks, usage: number) => void): Case[] {
  return USAGES.map((text, usage) => {
    const body: Body = (cpu, t) => test(cpu, t, usage);
    return { name: `${name}/${text}`, bodies: [body] };
  });
}

export const suite: Suite = {
  name: "st-dma-resv",
  source: "drivers/dma-buf/st-dma-resv.c",
  cases: [
    ...each_usage("sanitycheck", sanitycheck),
    ...each_usage("test_signaling", test_signaling),
    ...each_usage("test_for_each", test_for_each),
    ...each_usage("test_for_each_unlocked", test_for_each_unlocked),
    ...each_usage("test_get_fences", test_get_fences),
  ],
};
