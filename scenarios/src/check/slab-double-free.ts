/**
 * Two CPUs free the same object, the last one of its slab, so that the first of them gives the slab's pages back while
 * the second is still looking the object up.
 *
 * The rule: one frees it, and the other is reported, as a double free whatever it saw; no byte is lost or freed twice.
 */
import { dmesg_read, LOG_INFO } from "@ringside/core/debug/dmesg";
import { kernel_static } from "@ringside/core/debug/image";
import { BUG_ON } from "@ringside/core/debug/warn";
import { nr_free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL, kfree, kmalloc, kmem_object } from "@ringside/core/mm/slab";
import { kmem_verify } from "@ringside/core/mm/slab-report";
import type { Cpu } from "@ringside/core/sched/cpu";
import { claim } from "./claim.ts";
import type { KernelForm, KernelScenario } from "./scenario.ts";

/** Address of the object; constant after setup. */
const OBJECT = kernel_static("check_double_free_object", 4);
/** Free pages before its slab was made. */
const PAGES = kernel_static("check_double_free_pages", 4);

/** Few of them fill a slab, and each but the first lies in a tail page. */
const SIZE = 4096;
const OBJECTS_OF_SLAB_MAX = 8;

/** A slab whose only live object is its second one; another that is empty: that one is kept. */
function setup(cpu: Cpu): void {
  const pages = nr_free_pages(cpu);
  const others: number[] = [];
  while (nr_free_pages(cpu) === pages && others.length <= OBJECTS_OF_SLAB_MAX)
    others.push(kmalloc(cpu, SIZE, GFP_KERNEL));
  BUG_ON(cpu, nr_free_pages(cpu) === pages, "no slab was made");
  cpu.mem.write(PAGES, pages);
  cpu.mem.write(OBJECT, kmalloc(cpu, SIZE, GFP_KERNEL));
  for (const other of others) kfree(cpu, other);
}

function free(cpu: Cpu): void {
  kfree(cpu, cpu.mem.read(OBJECT));
}

function lastly(cpu: Cpu): void {
  const reports = dmesg_read(cpu, 0).filter((record) => record.level > LOG_INFO);
  claim(reports.length === 1, `two frees of one object came to ${reports.length} reports`);
  const state = kmem_object(cpu, cpu.mem.read(OBJECT))?.state;
  claim(state !== "live", "the object is live after two frees");
  claim(kmem_verify(cpu) === 0, "a free object was written to");
}

/** As lastly; the slab went. */
function lastly_discarded(cpu: Cpu): void {
  lastly(cpu);
  const missing = cpu.mem.read(PAGES) - nr_free_pages(cpu);
  // That of its records stays until the next slab of the cache goes.
  claim(missing <= 1, `${missing} pages did not come back`);
}

const correct: KernelForm = {
  summary: "the first free gives the slab back",
  expect: "clean",
  threads: { free, free_again: free },
  config: { kasan: false },
  tolerates: ["KASAN: double-free"],
  lastly: lastly_discarded,
};

export const slab_double_free: KernelScenario = {
  kind: "kernel",
  name: "slab-double-free",
  summary: "two CPUs kfree one object, the last of its slab: one frees it, the other is reported",
  setup,
  kworkers: 0,
  // Not the reports' own looks at the pages.
  focus: [
    "packages/core/src/mm/slab.ts",
    "packages/core/src/mm/slab-cache",
    "packages/core/src/mm/page#virt_to_head_page",
    "packages/core/src/mm/page#page_flags",
    "packages/core/src/mm/page#page_private",
    "packages/core/src/mm/page#destroy_compound_run",
    "packages/core/src/mm/page-alloc",
    "scenarios/src/check",
  ],
  forms: {
    correct,
    "correct-quarantine": {
      ...correct,
      summary: "the object waits in the quarantine, and its slab stays",
      config: { kasan: true },
      lastly,
    },
    "head-first": {
      ...correct,
      summary:
        "the head of the slab's pages is taken apart before the tails: the object has pages, and no slab",
      expect: "double-free",
      message: "invalid-free",
      mutant: "slab-head-destroyed-first",
    },
    "records-first": {
      ...correct,
      summary: "the records go with the slab: the second free finds poison where the record was",
      expect: "data-race",
      mutant: "slab-records-freed-at-once",
    },
    unowned: {
      ...correct,
      summary: "who sees the object live frees it: both do",
      expect: "data-race",
      mutant: "slab-free-unowned",
    },
  },
};
