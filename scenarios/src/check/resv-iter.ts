/**
 * A reservation object is read without its lock while a writer adds fences and replaces its list.
 *
 * One fence, the anchor, is there and unsignaled all the while. So every walk must meet it, and nobody may be told that
 * the object is idle. In front of it stand two fences that the writer signals: each new list leaves signaled ones out,
 * so the anchor moves to another place.
 */
import { kernel_rodata, kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { kernel_string } from "@ringside/core/debug/strings";
import {
  dma_fence_init,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_signal,
  DMA_FENCE_SIZE,
  type DmaFencePtr,
} from "@ringside/core/dma/fence";
import { dma_resv_entry_fence, dma_resv_list_entry, dma_resv_list_num } from "@ringside/core/dma/resv-list";
import {
  dma_resv_add_fence,
  dma_resv_fences_rcu,
  dma_resv_fini,
  dma_resv_init,
  DMA_RESV_ITER_SIZE,
  dma_resv_iter_begin,
  dma_resv_iter_end,
  dma_resv_iter_first_unlocked,
  dma_resv_iter_is_restarted,
  dma_resv_iter_next_unlocked,
  dma_resv_lock,
  dma_resv_reserve_fences,
  DMA_RESV_SIZE,
  dma_resv_test_signaled,
  dma_resv_unlock,
  DMA_RESV_USAGE_BOOKKEEP,
  DMA_RESV_USAGE_READ,
  type DmaResvIterPtr,
  type DmaResvPtr,
} from "@ringside/core/dma/resv";
import { GFP_KERNEL, kmalloc } from "@ringside/core/mm/slab";
import { rcu_barrier, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { claim } from "./claim.ts";
import type { KernelScenario } from "./scenario.ts";

const RESV = kernel_static("check_resv", DMA_RESV_SIZE) as DmaResvPtr;
/** Fences of setup, with a reference each: two that the writer signals, then the anchor. */
const FENCES = kernel_static("check_resv_fences", 3 * 4);
const ANCHOR = 2;
/** Room that makes the next reservation build a new list. */
const MANY = 3;

const NAME = kernel_string("check");
function fence_name(): number {
  return NAME;
}
const NAME_FN = kernel_symbol(fence_name);
const OPS = kernel_rodata("check_resv_fence_ops", [NAME_FN, NAME_FN, 0, 0, 0, 0, 0]);

function new_fence(cpu: Cpu, context: number, seqno: number): DmaFencePtr {
  const fence = kmalloc(cpu, DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  dma_fence_init(cpu, fence, OPS, 0, context, seqno);
  return fence;
}

function fence_at(cpu: Cpu, i: number): DmaFencePtr {
  return cpu.mem.read(FENCES + i * 4) as DmaFencePtr;
}

function setup(cpu: Cpu): void {
  dma_resv_init(cpu, RESV);
  dma_resv_lock(cpu, RESV, 0);
  dma_resv_reserve_fences(cpu, RESV, ANCHOR + 1);
  for (let i = 0; i <= ANCHOR; i++) {
    const fence = new_fence(cpu, i + 1, 1);
    cpu.mem.write(FENCES + i * 4, fence);
    dma_resv_add_fence(cpu, RESV, fence, DMA_RESV_USAGE_READ);
  }
  dma_resv_unlock(cpu, RESV);
}

/** Adds fences, into a new list. */
function add_to_new_list(cpu: Cpu, first: DmaFencePtr, second: DmaFencePtr): void {
  dma_resv_lock(cpu, RESV, 0);
  dma_resv_reserve_fences(cpu, RESV, MANY);
  dma_resv_add_fence(cpu, RESV, first, DMA_RESV_USAGE_READ);
  if (second !== 0) dma_resv_add_fence(cpu, RESV, second, DMA_RESV_USAGE_READ);
  dma_resv_unlock(cpu, RESV);
}

function retire(cpu: Cpu, fence: DmaFencePtr): void {
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
}

/** The list changes once, without one of the fences before the anchor. */
function writer(cpu: Cpu): void {
  const fence = new_fence(cpu, 10, 1);
  retire(cpu, fence_at(cpu, 0));
  add_to_new_list(cpu, fence, 0 as DmaFencePtr);
  retire(cpu, fence);
}

/** Twice, and in between the first list is freed: it is the first that the allocator hands out again. */
function busy_writer(cpu: Cpu): void {
  const first = new_fence(cpu, 10, 1);
  const second = new_fence(cpu, 11, 1);
  const third = new_fence(cpu, 12, 1);
  retire(cpu, fence_at(cpu, 0));
  add_to_new_list(cpu, first, 0 as DmaFencePtr);
  rcu_barrier(cpu);
  retire(cpu, fence_at(cpu, 1));
  retire(cpu, first);
  add_to_new_list(cpu, second, third);
  retire(cpu, second);
  retire(cpu, third);
}

/** A fence takes the place of another: of the same context, or a signaled one. */
function replacer(cpu: Cpu): void {
  const later = new_fence(cpu, 1, 2);
  dma_resv_lock(cpu, RESV, 0);
  dma_resv_reserve_fences(cpu, RESV, 1);
  dma_resv_add_fence(cpu, RESV, later, DMA_RESV_USAGE_READ);
  dma_resv_unlock(cpu, RESV);
  retire(cpu, fence_at(cpu, 0));
  retire(cpu, later);
}

function walker(cpu: Cpu): void {
  const cursor = stack_push(cpu, DMA_RESV_ITER_SIZE) as DmaResvIterPtr;
  let met = false;
  dma_resv_iter_begin(cpu, cursor, RESV, DMA_RESV_USAGE_BOOKKEEP);
  let fence = dma_resv_iter_first_unlocked(cpu, cursor);
  while (fence !== 0) {
    // What was gathered before a restart is void.
    if (dma_resv_iter_is_restarted(cpu, cursor)) met = false;
    if (fence === fence_at(cpu, ANCHOR)) met = true;
    fence = dma_resv_iter_next_unlocked(cpu, cursor);
  }
  dma_resv_iter_end(cpu, cursor);
  stack_pop(cpu, cursor);
  claim(met, "a walk did not meet a fence that was there all the while");
}

/** The entry of the list that is current now, or 0 past its end. Read section. */
function entry_now(cpu: Cpu, index: number): DmaFencePtr {
  const list = dma_resv_fences_rcu(cpu, RESV);
  if (index >= dma_resv_list_num(cpu, list)) return 0 as DmaFencePtr;
  return dma_resv_entry_fence(dma_resv_list_entry(cpu, list, index));
}

/** A walk that does not notice when the list is replaced. */
function index_walker(cpu: Cpu): void {
  let met = false;
  let fence = 0 as DmaFencePtr;
  let index = 0;
  do {
    rcu_read_lock(cpu);
    fence = entry_now(cpu, index++);
    if (fence === fence_at(cpu, ANCHOR)) met = true;
    rcu_read_unlock(cpu);
  } while (fence !== 0);
  claim(met, "a walk did not meet a fence that was there all the while");
}

/** Looks at the first fence when nothing keeps it any more. */
function careless_reader(cpu: Cpu): void {
  rcu_read_lock(cpu);
  const fence = entry_now(cpu, 0);
  rcu_read_unlock(cpu);
  dma_fence_is_signaled(cpu, fence);
}

function asker(cpu: Cpu): void {
  const idle = dma_resv_test_signaled(cpu, RESV, DMA_RESV_USAGE_BOOKKEEP);
  claim(!idle, "the object was said to be idle");
}

function finish(cpu: Cpu, from: number): void {
  for (let i = from; i <= ANCHOR; i++) retire(cpu, fence_at(cpu, i));
  dma_resv_fini(cpu, RESV);
}

function lastly(cpu: Cpu): void {
  finish(cpu, 1);
}

function busy_lastly(cpu: Cpu): void {
  finish(cpu, ANCHOR);
}

export const resv_iter: KernelScenario = {
  kind: "kernel",
  name: "resv-iter",
  summary: "a writer changes the fences of a reservation object while others walk it without the lock",
  setup,
  kworkers: 0,
  focus: [
    "packages/core/src/dma/resv",
    "packages/core/src/dma/fence-ref",
    "packages/core/src/dma/fence-signal",
    "packages/core/src/dma/fence-struct#dma_fence_test_signaled_flag",
    "packages/core/src/rcu/pointer",
    "packages/core/src/rcu/qs#strict_enter",
    "scenarios/src/check",
  ],
  forms: {
    correct: {
      summary: "a walk and a question while the list changes",
      expect: "clean",
      threads: { writer, walker, asker },
      lastly,
    },
    "correct-busy": {
      summary: "a walk while the list changes twice, and the second new one takes the memory of the first",
      expect: "clean",
      config: { kasan: false },
      threads: { writer: busy_writer, walker },
      lastly: busy_lastly,
    },
    "correct-replace": {
      summary: "a walk while a fence takes another one's place",
      expect: "clean",
      threads: { replacer, walker },
      lastly,
    },
    "by-index": {
      summary: "a walk goes on by index though the list is another one by now, and passes over the anchor",
      expect: "assertion",
      threads: { writer, walker: index_walker },
      lastly,
    },
    "no-grace-period": {
      summary: "the old list is freed at once, while somebody walks it",
      expect: "use-after-free",
      mutant: "resv-list-freed-at-once",
      threads: { writer, walker },
      lastly,
    },
    "dead-fence": {
      summary: "a walk takes a reference on a fence whose last one is gone",
      expect: "use-after-free or refcount",
      mutant: "resv-walk-revives-fence",
      threads: { replacer, walker },
      lastly,
    },
    "no-reference": {
      summary: "a reader looks at a fence after its read section, without a reference",
      expect: "use-after-free",
      threads: { replacer, reader: careless_reader },
      lastly,
    },
    "same-address": {
      summary: "a new list at the old one's address passes for the old one",
      expect: "assertion or out-of-bounds",
      mutant: "resv-generation-ignored",
      config: { kasan: false },
      threads: { writer: busy_writer, walker },
      lastly: busy_lastly,
    },
  },
};
