/** Mutants of fences, reservation objects and what holds several fences (core/src/dma). */
import type { Mutant } from "./mutant.ts";

const SIGNAL = "packages/core/src/dma/fence-signal.ts";
const WAIT = "packages/core/src/dma/fence-wait.ts";
const ARRAY = "packages/core/src/dma/fence-array.ts";
const CHAIN = "packages/core/src/dma/fence-chain.ts";
const UNWRAP = "packages/core/src/dma/fence-unwrap.ts";
const RESV_ITER = "packages/core/src/dma/resv-iter.ts";
const RESV_FENCES = "packages/core/src/dma/resv-fences.ts";
const SW_SYNC = "packages/core/src/dma/sw-sync.ts";

export const DMA_MUTANTS: readonly Mutant[] = [
  {
    name: "fence-callback-after-remove",
    edits: [
      {
        file: SIGNAL,
        find: "  list_del_init(cpu, cb + DMA_FENCE_CB_NODE);\n  return true;",
        replace: "  return true;",
      },
    ],
    breaks: "A callback that was removed runs all the same.",
    caughtBy: ["runs of a removed callback"],
    conformance: { suite: "st-dma-fence", case: "test_rm_callback" },
  },
  {
    name: "fence-late-add-accepted",
    edits: [
      {
        file: SIGNAL,
        find: "if (dma_fence_test_signaled_flag(cpu, fence)) return -ENOENT;",
        replace: "if (dma_fence_test_signaled_flag(cpu, fence)) return 0;",
      },
    ],
    breaks: "A signaled fence accepts a callback, which nobody will run.",
    caughtBy: ["a signaled fence took a callback"],
    conformance: { suite: "st-dma-fence", case: "test_late_add_callback" },
  },
  {
    name: "fence-callback-lost",
    edits: [
      {
        file: SIGNAL,
        find: "  if ((flags & DMA_FENCE_FLAG_SIGNALED) !== 0) return false;\n  const enable",
        replace: "  const enable",
      },
      {
        // Widens the window between the look without the lock and the lock.
        file: SIGNAL,
        find: "  let error = -ENOENT;\n",
        replace:
          "  let error = -ENOENT;\n  for (let i = cpu.random32() % 4000; i > 0; i--) cpu.mem.pause();\n",
      },
    ],
    breaks:
      "The look at SIGNALED under the lock is gone: a callback joins the list after the signal took it.",
    caughtBy: ["Callback not seen"],
    conformance: { suite: "st-dma-fence", case: "race_signal_callback" },
  },
  {
    name: "fence-wait-of-0",
    edits: [
      {
        file: WAIT,
        find: "let left = timeout === 0 ? 1 : timeout;\n  if (!dma_fence_test_signaled_flag",
        replace: "let left = timeout;\n  if (!dma_fence_test_signaled_flag",
      },
    ],
    breaks: "A wait of 0 for a signaled fence says that it is not signaled.",
    caughtBy: ["a wait of 0 after the signal"],
    conformance: { suite: "st-dma-fence", case: "test_wait" },
  },
  {
    name: "fence-ops-kept",
    edits: [{ file: SIGNAL, find: "  __dma_fence_detach_ops(cpu, fence);\n", replace: "" }],
    breaks: "A signaled fence keeps the operations of a driver that may be gone.",
    caughtBy: ["operations of a signaled fence"],
    conformance: { suite: "st-dma-fence", case: "test_signaling" },
  },
  {
    name: "resv-walk-without-restart",
    edits: [
      {
        file: RESV_ITER,
        find: "let restart = list_changed(cpu, cursor);",
        replace: "let restart = false;",
      },
      {
        file: RESV_ITER,
        find: "    restart = true;\n",
        replace: "    break;\n",
      },
    ],
    breaks: "An unlocked walk goes on though the list it walks is no longer the object's.",
    caughtBy: ["fences found, once before the restart and once after"],
    conformance: { suite: "st-dma-resv", case: "test_for_each_unlocked/kernel" },
  },
  {
    name: "resv-query-sees-weaker",
    edits: [
      {
        file: RESV_ITER,
        find: "if (usage <= cpu.mem.read(cursor + USAGE) && !dma_fence_is_signaled(cpu, fence)) {",
        replace: "if (!dma_fence_is_signaled(cpu, fence)) {",
      },
    ],
    breaks: "A question at one usage is answered about weaker ones, too.",
    caughtBy: ["sees a weaker one"],
    conformance: { suite: "dma-resv", case: "mixed_levels" },
  },
  {
    name: "resv-add-across-contexts",
    edits: [
      {
        file: RESV_FENCES,
        find: "if (same && dma_fence_is_later_or_same(cpu, fence, old)) return true;",
        replace: "if (old_usage >= usage) return true;",
      },
    ],
    breaks: "A fence takes the place of another context's, whose work nobody waits for any more.",
    caughtBy: ["six contexts"],
    conformance: { suite: "dma-resv", case: "other_contexts_kept" },
  },
  {
    name: "resv-add-appends",
    edits: [
      {
        file: RESV_FENCES,
        find: "if (same && dma_fence_is_later_or_same(cpu, fence, old)) return true;",
        replace: "if (same && old === fence) return true;",
      },
    ],
    breaks: "A later fence of a context does not take the place of the earlier one: the list grows for ever.",
    caughtBy: ["the same usage"],
    conformance: { suite: "dma-resv", case: "same_context_replaced" },
  },
  {
    name: "array-signals-early",
    edits: [
      {
        file: ARRAY,
        find: "signal_on_any ? 1 : num_fences",
        replace: "1",
      },
    ],
    breaks: "An array of several fences is signaled when the first of them is.",
    caughtBy: ["waiting on fence until timeout"],
    conformance: { suite: "sync", case: "merge_stress_random_merge" },
  },
  {
    name: "chain-off-by-one",
    edits: [
      {
        file: CHAIN,
        find: "if (dma_fence_chain_prev_seqno(cpu, fence) < seqno) break;",
        replace: "if (dma_fence_chain_prev_seqno(cpu, fence) <= seqno) break;",
      },
    ],
    breaks: "The search for a number stops one node too late in time.",
    caughtBy: ["find_seqno"],
    conformance: { suite: "st-dma-fence-chain", case: "find_seqno" },
  },
  {
    name: "chain-wait-own-fence-only",
    edits: [
      {
        file: CHAIN,
        find: "  if (!dma_fence_chain_enable_signaling(cpu, chain)) dma_fence_signal(cpu, chain);",
        replace: "  dma_fence_signal(cpu, chain);",
      },
    ],
    breaks: "A node is signaled when its own fence is, though fences before it are not.",
    caughtBy: ["is signaled!"],
    conformance: { suite: "st-dma-fence-chain", case: "signal_backward" },
  },
  {
    name: "unwrap-merge-keeps-older",
    edits: [
      {
        file: UNWRAP,
        find: "a !== b && dma_fence_is_later(cpu, a, b)",
        replace: "a !== b && dma_fence_is_later(cpu, b, a)",
      },
    ],
    breaks: "Of two fences of one context, merging keeps the one that is signaled first.",
    caughtBy: ["Not all fences seen!"],
    conformance: { suite: "st-dma-fence-unwrap", case: "unwrap_merge_seqno" },
  },
  {
    name: "unwrap-merge-keeps-signaled",
    edits: [
      {
        file: UNWRAP,
        find: "cpu.mem.write64(result + TIMESTAMP, timestamp);\n        continue;",
        replace: "cpu.mem.write64(result + TIMESTAMP, timestamp);",
      },
    ],
    breaks: "Merging keeps fences that are signaled already.",
    caughtBy: ["Unexpected fence!"],
    conformance: { suite: "st-dma-fence-unwrap", case: "unwrap_merge_complex" },
  },
  {
    name: "timeline-signals-ahead",
    edits: [
      {
        file: SW_SYNC,
        find: "return !__dma_fence_is_later(cpu, fence, dma_fence_seqno(cpu, fence), value);",
        replace: "return !__dma_fence_is_later(cpu, fence, dma_fence_seqno(cpu, fence), value + 1);",
      },
    ],
    breaks: "A timeline signals a fence one count before it gets there.",
    caughtBy: ["Counter got damaged!"],
    conformance: { suite: "sync", case: "stress_two_threads_shared_timeline" },
  },
];
