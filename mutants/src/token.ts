/** Mutants of the token (core/src/dma/token.ts). */
import type { Edit, Mutant } from "./mutant.ts";

const TOKEN = "packages/core/src/dma/token.ts";

/** Makes synchronize_rcu available: some mutants widen their window by a grace period. */
const WITH_SYNCHRONIZE: Edit = {
  file: TOKEN,
  find: `  rcu_read_unlock,
} from "../rcu/rcu.ts";`,
  replace: `  rcu_read_unlock,
  synchronize_rcu,
} from "../rcu/rcu.ts";`,
};

export const TOKEN_MUTANTS: readonly Mutant[] = [
  {
    name: "map-ref-atomic",
    edits: [
      {
        file: TOKEN,
        find: "MAP_REFS_RELEASE, 0, GFP_KERNEL)",
        replace: "MAP_REFS_RELEASE, 1, GFP_KERNEL)",
      },
    ],
    breaks:
      "The map's reference starts in atomic mode, so no grace period separates the last lookup from kfree.",
    caughtBy: ["map-freed-early"],
    stress: {},
  },
  {
    name: "signal-after-unmap",
    edits: [
      {
        file: TOKEN,
        find: `  dma_fence_signal(cpu, fence);
  dma_fence_end_signalling(cpu, signalling);

  dma_resv_lock(cpu, resv, 0);`,
        replace: "  dma_resv_lock(cpu, resv, 0);",
      },
      {
        file: TOKEN,
        find: `  dma_resv_unlock(cpu, resv);

  dma_fence_put(cpu, fence);`,
        replace: `  dma_fence_signal(cpu, fence);
  dma_fence_end_signalling(cpu, signalling);
  dma_resv_unlock(cpu, resv);

  dma_fence_put(cpu, fence);`,
      },
    ],
    breaks: "The fence is signaled under the reservation that its waiter holds: both wait for ever.",
    caughtBy: ["possible circular locking dependency", "hung"],
    stress: { lockdep: true },
  },
  {
    name: "recheck-removed",
    edits: [{ file: TOKEN, find: "if (recheck_pending(cpu, ret)) {", replace: "if (ret > 1 && ret < 0) {" }],
    breaks: "create_map no longer looks for fences that appeared before it got the reservation.",
    caughtBy: ["map-over-fence", "map-during-move"],
    stress: { cpus: 3 },
  },
  {
    name: "kill-before-unpublish",
    edits: [
      WITH_SYNCHRONIZE,
      {
        file: TOKEN,
        find: `  if (map === 0) return;
  rcu_assign_pointer(cpu, token + MAP, 0);`,
        replace: `  if (map === 0) return;
  percpu_ref_kill(cpu, (map + REFS) as PercpuRefPtr);
  synchronize_rcu(cpu);
  rcu_assign_pointer(cpu, token + MAP, 0);`,
      },
      {
        file: TOKEN,
        find: `  // Destruction waits until all requests that use the map are gone; it signals the fence then.
  percpu_ref_kill(cpu, (map + REFS) as PercpuRefPtr);`,
        replace: "",
      },
    ],
    breaks: "The map is killed while lookups still find it: its grace period protects none that come later.",
    caughtBy: ["map-freed-early"],
    stress: {},
  },
  {
    name: "create-without-get",
    edits: [
      {
        file: TOKEN,
        find: `  percpu_ref_get(cpu, (map + REFS) as PercpuRefPtr);
  rcu_assign_pointer`,
        replace: "  rcu_assign_pointer",
      },
    ],
    breaks: "The creator of a map uses it without a reference and drops somebody else's.",
    caughtBy: [
      "percpu_ref_switch_to_atomic_rcu",
      "after switching to atomic",
      "io-after-fence",
      "percpu ref",
    ],
    stress: {},
  },
  {
    name: "token-ref-after-signal",
    edits: [
      WITH_SYNCHRONIZE,
      {
        file: TOKEN,
        find: `  // Keeps the token while we unmap: whoever waits for the fence may drop the last other reference.
  refcount_inc(cpu, token + TOKEN_REFS);
`,
        replace: "",
      },
      {
        file: TOKEN,
        find: "  dma_fence_signal(cpu, fence);\n",
        replace:
          "  dma_fence_signal(cpu, fence);\n  synchronize_rcu(cpu);\n  refcount_inc(cpu, token + TOKEN_REFS);\n",
      },
    ],
    breaks: "The worker pins the token only after the signal that lets its owner free it.",
    caughtBy: ["token-before-maps"],
    stress: {},
  },
  {
    name: "fence-not-added",
    edits: [
      {
        file: TOKEN,
        find: "  dma_resv_add_fence(cpu, resv, fence, DMA_RESV_USAGE_KERNEL);\n",
        replace: "",
      },
    ],
    breaks: "An invalidated map leaves no fence behind: the exporter moves the pages under the device.",
    caughtBy: ["map-over-fence", "data-mismatch", "token-before-maps", "iommu-fault"],
    stress: {},
  },
  {
    name: "unmap-unlocked",
    edits: [
      {
        file: TOKEN,
        find: `  dma_resv_lock(cpu, resv, 0);
  oracle.check_unmapped_once`,
        replace: "  oracle.check_unmapped_once",
      },
      {
        file: TOKEN,
        find: `  dma_resv_unlock(cpu, resv);

  dma_fence_put(cpu, fence);`,
        replace: "  dma_fence_put(cpu, fence);",
      },
    ],
    breaks: "A map is unmapped without the reservation.",
    caughtBy: ["WARNING"],
    stress: {},
  },
  {
    name: "create-without-recheck-of-map",
    edits: [
      {
        file: TOKEN,
        find: `    const published = io_dmabuf_get_map(cpu, token);
    if (published !== 0) {`,
        replace: `    const published = 0 as IoDmabufMapPtr;
    if (published !== 0) {`,
      },
    ],
    breaks: "create_map does not look again under the reservation whether somebody else has made the map.",
    caughtBy: ["two-maps"],
    stress: { depth: 64 },
  },
];
