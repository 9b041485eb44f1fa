/**
 * Mutants for the checker: kernel bugs that need one particular interleaving of a few steps. Each is found in a small
 * scenario (scenarios/src/check); on real threads most of them would take days.
 */
import type { Edit, Mutant } from "./mutant.ts";

function edit(module: string, find: string, replace: string): Edit {
  return { file: `packages/core/src/${module}.ts`, find, replace };
}

function uring(module: string, find: string, replace: string): Edit {
  return { file: `packages/uring-emu/src/${module}.ts`, find, replace };
}

const FENCE_MUTANTS: readonly Mutant[] = [
  {
    name: "fence-look-outside-lock",
    edits: [
      edit(
        "dma/fence-signal",
        "  if ((flags & DMA_FENCE_FLAG_SIGNALED) !== 0) return false;\n  const enable",
        "  const enable",
      ),
    ],
    breaks: "add_callback looks at SIGNALED before it takes the lock, and not under it.",
    caughtBy: ["out-of-bounds", "use-after-free", "assertion"],
    check: { scenario: "fence-callback", form: "look-outside-lock" },
  },
  {
    name: "fence-unlocked-remove",
    edits: [
      edit(
        "dma/fence-signal",
        "  dma_fence_lock_irqsave(cpu, fence);\n  const removed = __dma_fence_unqueue_callback(cpu, cb);\n" +
          "  dma_fence_unlock_irqrestore(cpu, fence);\n",
        "  const removed = __dma_fence_unqueue_callback(cpu, cb);\n",
      ),
    ],
    breaks: "remove_callback does not take the lock: it says that a callback has run which still runs.",
    caughtBy: ["data-race", "assertion"],
    check: { scenario: "fence-callback", form: "unlocked-remove" },
  },
  {
    name: "fence-state-after-unlock",
    edits: [
      edit(
        "dma/fence-wait",
        "    set_current_state(cpu, intr ? TASK_INTERRUPTIBLE : TASK_UNINTERRUPTIBLE);\n" +
          "    dma_fence_unlock_irqrestore(cpu, fence);\n",
        "    dma_fence_unlock_irqrestore(cpu, fence);\n" +
          "    set_current_state(cpu, intr ? TASK_INTERRUPTIBLE : TASK_UNINTERRUPTIBLE);\n",
      ),
    ],
    breaks: "A waiter says that it sleeps after it dropped the lock: the signal in between wakes nobody.",
    caughtBy: ["deadlock", "lost-wakeup"],
    check: { scenario: "fence-callback", form: "state-after-unlock" },
  },
  {
    name: "fence-unlocked-signal",
    edits: [
      edit(
        "dma/fence-signal",
        "  dma_fence_lock_irqsave(cpu, fence);\n  const error = dma_fence_signal_locked(cpu, fence);\n" +
          "  dma_fence_unlock_irqrestore(cpu, fence);\n  if (!cookie)",
        "  const error = dma_fence_signal_locked(cpu, fence);\n  if (!cookie)",
      ),
    ],
    breaks: "signal does not take the lock: a callback that is being added is lost.",
    caughtBy: ["data-race", "out-of-bounds", "assertion"],
    check: { scenario: "fence-callback", form: "unlocked-signal" },
  },
];

const RESV_MUTANTS: readonly Mutant[] = [
  {
    name: "resv-list-freed-at-once",
    edits: [
      edit("dma/resv-list", 'import { kfree_rcu } from "../rcu/kfree-rcu.ts";\n', ""),
      edit(
        "dma/resv-list",
        'import { GFP_KERNEL, kmalloc } from "../mm/slab.ts";',
        'import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";',
      ),
      edit("dma/resv-list", "  kfree_rcu(cpu, list, RCU);", "  kfree(cpu, list);"),
    ],
    breaks: "A list that was replaced is freed at once, while somebody walks it without the lock.",
    caughtBy: ["use-after-free"],
    check: { scenario: "resv-iter", form: "no-grace-period" },
  },
  {
    name: "resv-walk-revives-fence",
    edits: [
      edit("dma/resv-iter", "import { dma_fence_get_rcu, ", "import { dma_fence_get, "),
      edit("dma/resv-iter", "const fence = dma_fence_get_rcu(", "const fence = dma_fence_get("),
    ],
    breaks: "A walk takes a reference on a fence whose last one is gone: somebody frees what it holds.",
    caughtBy: ["use-after-free", "refcount"],
    check: { scenario: "resv-iter", form: "dead-fence" },
  },
  {
    name: "resv-generation-ignored",
    edits: [
      edit(
        "dma/resv-iter",
        "  return list !== 0 && dma_resv_list_generation(cpu, list) !== cpu.mem.read(cursor + GENERATION);",
        "  return false;",
      ),
    ],
    breaks: "A new list at the address of an old one passes for the old one: the walk goes on by index.",
    caughtBy: ["assertion", "out-of-bounds"],
    check: { scenario: "resv-iter", form: "same-address" },
  },
];

const BLOCK_MUTANTS: readonly Mutant[] = [
  {
    name: "block-claim-in-two-steps",
    edits: [
      edit(
        "block/rq-state",
        "  return cpu.mem.compareExchange(rq + STATE, IN_FLIGHT, COMPLETE) === IN_FLIGHT;",
        "  if (cpu.mem.loadAcquire(rq + STATE) !== IN_FLIGHT) return false;\n" +
          "  cpu.mem.storeRelease(rq + STATE, COMPLETE);\n  return true;",
      ),
    ],
    breaks: "Claiming a request is a look and a store: completion and time-out both get it.",
    caughtBy: ["assertion"],
    check: { scenario: "nvme-timeout", form: "two-step-claim" },
  },
  {
    name: "block-walk-without-grace-period",
    edits: [
      edit("block/tag-iter", 'import { synchronize_rcu } from "../rcu/rcu.ts";\n', ""),
      edit("block/tag-iter", "  synchronize_rcu(cpu);\n", ""),
    ],
    breaks: "A walk over the tags begins while a completion is still claiming with plain stores.",
    caughtBy: ["assertion"],
    check: { scenario: "nvme-timeout", form: "no-grace-period" },
  },
];

const URING_MUTANTS: readonly Mutant[] = [
  {
    name: "uring-node-not-held",
    edits: [
      uring("rsrc/import", "    io_get_rsrc_node(cpu, node as RsrcNodePtr);\n", ""),
      uring("rsrc/import", "  io_get_rsrc_node,\n", ""),
    ],
    breaks: "A request uses a buffer node without a reference and drops the table's.",
    caughtBy: ["use-after-free"],
    check: { scenario: "uring-buffer-update", form: "node-not-held" },
  },
  {
    name: "uring-node-held-late",
    edits: [
      uring("rsrc/import", "    io_get_rsrc_node(cpu, node as RsrcNodePtr);\n", ""),
      uring(
        "rsrc/import",
        "  if ((issue_flags & UNLOCKED) !== 0) mutex_unlock(cpu, ctx + CTX_URING_LOCK);\n  return node as RsrcNodePtr;",
        "  if ((issue_flags & UNLOCKED) !== 0) mutex_unlock(cpu, ctx + CTX_URING_LOCK);\n" +
          "  if (node !== 0) io_get_rsrc_node(cpu, node as RsrcNodePtr);\n  return node as RsrcNodePtr;",
      ),
    ],
    breaks: "A worker takes its reference to the node after it let go of uring_lock: the node may be gone.",
    caughtBy: ["use-after-free", "data-race"],
    check: { scenario: "uring-buffer-update", form: "node-held-late" },
  },
  {
    name: "uring-lookup-unlocked",
    edits: [
      uring(
        "rsrc/import",
        "  if ((issue_flags & UNLOCKED) !== 0) mutex_lock(cpu, ctx + CTX_URING_LOCK);\n",
        "",
      ),
      uring(
        "rsrc/import",
        "  if ((issue_flags & UNLOCKED) !== 0) mutex_unlock(cpu, ctx + CTX_URING_LOCK);\n",
        "",
      ),
      uring("rsrc/import", 'import { mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";\n', ""),
      uring(
        "rsrc/import",
        "import { CTX_BUF_NODES, CTX_BUF_NR, CTX_URING_LOCK, ",
        "import { CTX_BUF_NODES, CTX_BUF_NR, ",
      ),
    ],
    breaks: "A worker looks the buffer up without uring_lock.",
    caughtBy: ["data-race", "use-after-free"],
    check: { scenario: "uring-buffer-update", form: "lookup-unlocked" },
  },
  {
    name: "uring-cleans-unlocked",
    edits: [
      uring(
        "ring/task-work",
        "  io_submit_flush_completions(cpu, ctx);\n  mutex_unlock(cpu, ctx + LOCK);\n",
        "  mutex_unlock(cpu, ctx + LOCK);\n  io_submit_flush_completions(cpu, ctx);\n",
      ),
    ],
    breaks: "Completed requests drop their nodes after uring_lock: two puts of one node count as one.",
    caughtBy: ["data-race", "use-after-free"],
    check: { scenario: "uring-buffer-update", form: "cleans-unlocked" },
  },
];

/** Both were in the first version of the kernel; the checker found them. */
const WORK_MUTANTS: readonly Mutant[] = [
  {
    name: "list-next-plain",
    edits: [edit("mm/list", "cpu.mem.writeOnce(prev + NEXT, next);", "cpu.mem.write(prev + NEXT, next);")],
    breaks:
      "An entry is unlinked with a plain store, while another thread asks without the lock whether the list is empty.",
    caughtBy: ["data-race"],
    check: { scenario: "workqueue-requeue", form: "list-next-plain" },
  },
  {
    name: "work-data-plain",
    edits: [
      edit(
        "sched/wq-work",
        "return cpu.mem.loadAcquire(work + WORK_DATA);",
        "return cpu.mem.read(work + WORK_DATA);",
      ),
    ],
    breaks: "The word of a work item is read with a plain load, without the lock of the pool that it names.",
    caughtBy: ["data-race"],
    check: { scenario: "workqueue-requeue", form: "work-data-plain" },
  },
];

const SLAB_MUTANTS: readonly Mutant[] = [
  {
    name: "slab-head-destroyed-first",
    edits: [
      edit(
        "mm/page",
        "  for (let i = 1; i < nr; i++) cpu.mem.writeOnce(head + i * PAGE_STRUCT_SIZE + FLAGS, free);\n",
        "  cpu.mem.storeRelease(head + FLAGS, free);\n",
      ),
      edit(
        "mm/page",
        "  cpu.mem.storeRelease(head + FLAGS, free);\n",
        "  for (let i = 1; i < nr; i++) cpu.mem.writeOnce(head + i * PAGE_STRUCT_SIZE + FLAGS, free);\n",
      ),
    ],
    breaks:
      "The head of a freed slab's pages is taken apart before its tails: a second kfree calls a tail live pages.",
    caughtBy: ["double-free"],
    check: { scenario: "slab-double-free", form: "head-first" },
  },
  {
    name: "slab-records-freed-at-once",
    edits: [
      edit(
        "mm/slab-cache",
        "  const last = cpu.mem.read(cache + CACHE_DISCARDED);\n  cpu.mem.write(cache + CACHE_DISCARDED, slab);\n" +
          "  if (last !== 0) put_page_run(cpu, virt_to_head_page(cpu, last), 0);\n",
        "  put_page_run(cpu, virt_to_head_page(cpu, slab), 0);\n",
      ),
      edit("mm/slab-cache", "  CACHE_DISCARDED,\n", ""),
    ],
    breaks:
      "The records of a slab are freed with it: a second kfree of its last object reads and swaps freed memory.",
    caughtBy: ["data-race"],
    check: { scenario: "slab-double-free", form: "records-first" },
  },
  {
    name: "slab-free-unowned",
    edits: [
      edit(
        "mm/slab",
        "cpu.mem.compareExchange(record + OBJECT_STATE, OBJECT_LIVE, freed) === OBJECT_LIVE;\n",
        "cpu.mem.loadAcquire(record + OBJECT_STATE) === OBJECT_LIVE;\n" +
          "  if (owned) cpu.mem.storeRelease(record + OBJECT_STATE, freed);\n",
      ),
    ],
    breaks: "Freeing an object is a look and a store: two kfrees of one object both free it.",
    caughtBy: ["data-race"],
    check: { scenario: "slab-double-free", form: "unowned" },
  },
];

export const CHECKER_MUTANTS: readonly Mutant[] = [
  ...FENCE_MUTANTS,
  ...RESV_MUTANTS,
  ...BLOCK_MUTANTS,
  ...URING_MUTANTS,
  ...WORK_MUTANTS,
  ...SLAB_MUTANTS,
];
