import { expect, it } from "vitest";
import { EINTR, EINVAL, ENOENT, ENOMEM, ERESTARTSYS } from "../debug/errno.ts";
import { FAULT_RESERVE_FENCES, FAULT_SLAB, fault_arm, fault_disarm } from "../debug/fault-inject.ts";
import { kernel_static } from "../debug/image.ts";
import { layout_faults, struct_layouts } from "../debug/layout.ts";
import { KernelBug } from "../debug/warn.ts";
import { GFP_KERNEL, kmalloc } from "../mm/slab.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import { type Cpu, stack_push } from "../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT } from "../sched/schedule.ts";
import { current_task, set_tsk_thread_flag, TIF_SIGPENDING } from "../sched/task.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { dma_fence_array_create, dma_fence_array_next, dma_fence_is_array } from "./fence-array.ts";
import { dma_fence_put, dma_fence_signal, type DmaFencePtr } from "./fence.ts";
import * as resv from "./resv.ts";
import type { DmaResvIterPtr, DmaResvPtr } from "./resv.ts";
import { sync_file_get_fence } from "./sync-file.ts";
import { sw_sync_fence_create, sw_sync_get_deadline, sw_sync_timeline_create } from "./sync-user.ts";
import { mock_fence } from "./testing/mock-fence.ts";

const RESV = kernel_static("test_resv", resv.DMA_RESV_SIZE) as DmaResvPtr;
const OTHER = kernel_static("test_other_resv", resv.DMA_RESV_SIZE) as DmaResvPtr;
const OUT = kernel_static("test_out", 8);
const USAGES = [
  resv.DMA_RESV_USAGE_KERNEL,
  resv.DMA_RESV_USAGE_WRITE,
  resv.DMA_RESV_USAGE_READ,
  resv.DMA_RESV_USAGE_BOOKKEEP,
];
let contexts = 100;

function boot(): Cpu {
  const cpu = boot_solo();
  resv.dma_resv_init(cpu, RESV);
  resv.dma_resv_init(cpu, OTHER);
  return cpu;
}
/** A fence in RESV, on a timeline of its own unless told otherwise. The test keeps a reference. */
function added(cpu: Cpu, usage: number, context: number = contexts++, seqno: number = 1): DmaFencePtr {
  const fence = mock_fence(cpu, context, seqno);
  resv.dma_resv_lock(cpu, RESV, 0);
  expect(resv.dma_resv_reserve_fences(cpu, RESV, 1)).toBe(0);
  resv.dma_resv_add_fence(cpu, RESV, fence, usage);
  resv.dma_resv_unlock(cpu, RESV);
  return fence;
}
function iter(cpu: Cpu, usage: number): DmaResvIterPtr {
  const cursor = stack_push(cpu, resv.DMA_RESV_ITER_SIZE) as DmaResvIterPtr;
  resv.dma_resv_iter_begin(cpu, cursor, RESV, usage);
  return cursor;
}
function unlocked(cpu: Cpu, usage: number): DmaFencePtr[] {
  const found: DmaFencePtr[] = [];
  const cursor = iter(cpu, usage);
  let fence = resv.dma_resv_iter_first_unlocked(cpu, cursor);
  for (; fence !== 0; fence = resv.dma_resv_iter_next_unlocked(cpu, cursor)) found.push(fence);
  resv.dma_resv_iter_end(cpu, cursor);
  return found;
}
function locked(cpu: Cpu, usage: number): DmaFencePtr[] {
  const found: DmaFencePtr[] = [];
  resv.dma_resv_lock(cpu, RESV, 0);
  const cursor = iter(cpu, usage);
  let fence = resv.dma_resv_iter_first(cpu, cursor);
  for (; fence !== 0; fence = resv.dma_resv_iter_next(cpu, cursor)) found.push(fence);
  resv.dma_resv_iter_end(cpu, cursor);
  resv.dma_resv_unlock(cpu, RESV);
  return found;
}

it.each(struct_layouts().filter((l) => /resv|ww_|mutex/.test(l.name)))(
  "$name has a sound layout",
  (layout) => {
    expect(layout_faults(layout)).toEqual([]);
  },
);

it("a held object cannot be taken by trying", () => {
  const cpu = boot();
  expect(resv.dma_resv_lock(cpu, RESV, 0)).toBe(0);
  expect(resv.dma_resv_held(cpu, RESV)).toBe(true);
  expect(resv.dma_resv_trylock(cpu, RESV)).toBe(false);
  resv.dma_resv_unlock(cpu, RESV);
  expect(resv.dma_resv_trylock(cpu, RESV)).toBe(true);
  resv.dma_resv_unlock(cpu, RESV);
  expect(dmesg(cpu)).toEqual([]);
});

it("a question at one usage is about it and the stronger ones", () => {
  const cpu = boot();
  const fences = USAGES.map((usage) => added(cpu, usage));
  for (const usage of USAGES) {
    expect(unlocked(cpu, usage)).toEqual(fences.slice(0, usage + 1));
    expect(locked(cpu, usage)).toEqual(fences.slice(0, usage + 1));
  }
  const kernel = fences[0] as DmaFencePtr;
  dma_fence_signal(cpu, kernel);
  expect(resv.dma_resv_test_signaled(cpu, RESV, resv.DMA_RESV_USAGE_KERNEL)).toBe(true);
  expect(resv.dma_resv_test_signaled(cpu, RESV, resv.DMA_RESV_USAGE_WRITE)).toBe(false);
  expect(unlocked(cpu, resv.DMA_RESV_USAGE_BOOKKEEP), "signaled ones are skipped").toEqual(fences.slice(1));
  expect(locked(cpu, resv.DMA_RESV_USAGE_BOOKKEEP), "under the lock they are not").toEqual(fences);
});

it("without time, a wait says 1 for idle and 0 for busy", () => {
  const cpu = boot();
  const wait = (timeout: number): number =>
    resv.dma_resv_wait_timeout(cpu, RESV, resv.DMA_RESV_USAGE_BOOKKEEP, true, timeout);
  expect(wait(0)).toBe(1);
  expect(wait(50)).toBe(50);
  const fence = added(cpu, resv.DMA_RESV_USAGE_KERNEL);
  expect(wait(0)).toBe(0);
  expect(wait(3)).toBe(0);
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  expect(wait(3)).toBe(-ERESTARTSYS);
  dma_fence_signal(cpu, fence);
  expect(wait(3)).toBe(3);
  expect(dmesg(cpu)).toEqual([]);
});

it("a later fence of the same context takes the place of the earlier one", () => {
  const cpu = boot();
  const first = added(cpu, resv.DMA_RESV_USAGE_WRITE, 5, 1);
  const second = added(cpu, resv.DMA_RESV_USAGE_WRITE, 5, 2);
  expect(locked(cpu, 3)).toEqual([second]);
  const stronger = added(cpu, resv.DMA_RESV_USAGE_KERNEL, 5, 3);
  expect(locked(cpu, 3), "a stronger usage replaces too").toEqual([stronger]);
  const weaker = added(cpu, resv.DMA_RESV_USAGE_READ, 5, 4);
  expect(locked(cpu, 3), "a weaker one does not").toEqual([stronger, weaker]);
  const earlier = added(cpu, resv.DMA_RESV_USAGE_KERNEL, 5, 2);
  expect(locked(cpu, 3), "nor an earlier one").toEqual([stronger, weaker, earlier]);
  const other = added(cpu, resv.DMA_RESV_USAGE_KERNEL, 6, 9);
  expect(locked(cpu, 3), "nor one of another context").toEqual([stronger, weaker, earlier, other]);
  dma_fence_put(cpu, first);
  rcu_barrier(cpu);
  expect(dmesg(cpu)).toEqual([]);
});

it("a signaled fence gives its place to any other", () => {
  const cpu = boot();
  resv.dma_resv_lock(cpu, RESV, 0);
  resv.dma_resv_reserve_fences(cpu, RESV, 2);
  const first = mock_fence(cpu, 5, 1);
  resv.dma_resv_add_fence(cpu, RESV, first, resv.DMA_RESV_USAGE_READ);
  dma_fence_signal(cpu, first);
  const second = mock_fence(cpu, 6, 1);
  resv.dma_resv_add_fence(cpu, RESV, second, resv.DMA_RESV_USAGE_KERNEL);
  resv.dma_resv_unlock(cpu, RESV);
  expect(locked(cpu, 3)).toEqual([second]);
});

it("replace_fences puts one fence in place of a context's", () => {
  const cpu = boot();
  added(cpu, resv.DMA_RESV_USAGE_READ, 5, 4);
  const kept = added(cpu, resv.DMA_RESV_USAGE_READ, 6, 1);
  added(cpu, resv.DMA_RESV_USAGE_KERNEL, 5, 2);
  const fence = mock_fence(cpu, 9, 1);
  resv.dma_resv_lock(cpu, RESV, 0);
  resv.dma_resv_replace_fences(cpu, RESV, 5, fence, resv.DMA_RESV_USAGE_BOOKKEEP);
  resv.dma_resv_unlock(cpu, RESV);
  expect(locked(cpu, 3)).toEqual([fence, kept, fence]);
});

it("room does not survive the unlock", () => {
  const cpu = boot();
  resv.dma_resv_lock(cpu, RESV, 0);
  resv.dma_resv_reserve_fences(cpu, RESV, 2);
  resv.dma_resv_unlock(cpu, RESV);
  resv.dma_resv_lock(cpu, RESV, 0);
  const add = (): void => resv.dma_resv_add_fence(cpu, RESV, mock_fence(cpu, 1, 1), 0);
  expect(add).toThrow(KernelBug);
  expect(dmesg(cpu)[0]).toContain("fobj->num_fences >= fobj->max_fences");
});

it("adding without any room is a BUG", () => {
  const cpu = boot();
  resv.dma_resv_lock(cpu, RESV, 0);
  expect(() => resv.dma_resv_add_fence(cpu, RESV, mock_fence(cpu, 1, 1), 0)).toThrow(KernelBug);
});

it.each([FAULT_RESERVE_FENCES, FAULT_SLAB])("a failed reservation changes nothing (fault %i)", (fault) => {
  const cpu = boot();
  const fence = added(cpu, resv.DMA_RESV_USAGE_KERNEL);
  resv.dma_resv_lock(cpu, RESV, 0);
  fault_arm(cpu, fault, { after: 0, times: 1 });
  expect(resv.dma_resv_reserve_fences(cpu, RESV, 8)).toBe(-ENOMEM);
  fault_disarm(cpu, fault);
  resv.dma_resv_unlock(cpu, RESV);
  expect(locked(cpu, 3)).toEqual([fence]);
  expect(dmesg(cpu)).toEqual([]);
});

it("growing drops what is signaled, with its reference", () => {
  const cpu = boot();
  const before = kmem_in_use(cpu);
  const fences = Array.from({ length: 6 }, (_, i) => added(cpu, i % 4));
  for (const fence of fences) dma_fence_put(cpu, fence);
  for (const fence of fences.slice(0, 5)) dma_fence_signal(cpu, fence);
  resv.dma_resv_lock(cpu, RESV, 0);
  resv.dma_resv_reserve_fences(cpu, RESV, 100);
  resv.dma_resv_unlock(cpu, RESV);
  expect(locked(cpu, 3)).toEqual(fences.slice(5));
  dma_fence_signal(cpu, fences[5] as DmaFencePtr);
  resv.dma_resv_fini(cpu, RESV);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
  expect(dmesg(cpu)).toEqual([]);
});

it("copy_fences takes over what is unsignaled, with usage and reference", () => {
  const cpu = boot();
  const before = kmem_in_use(cpu);
  const done = added(cpu, resv.DMA_RESV_USAGE_KERNEL);
  dma_fence_signal(cpu, done);
  const read = added(cpu, resv.DMA_RESV_USAGE_READ);
  const book = added(cpu, resv.DMA_RESV_USAGE_BOOKKEEP);
  resv.dma_resv_lock(cpu, OTHER, 0);
  expect(resv.dma_resv_copy_fences(cpu, OTHER, RESV)).toBe(0);
  resv.dma_resv_unlock(cpu, OTHER);
  resv.dma_resv_fini(cpu, RESV);
  for (const fence of [done, read, book]) dma_fence_put(cpu, fence);
  rcu_barrier(cpu);
  expect(resv.dma_resv_has_unsignaled(cpu, OTHER, resv.DMA_RESV_USAGE_WRITE, 0)).toBe(false);
  expect(resv.dma_resv_test_signaled(cpu, OTHER, resv.DMA_RESV_USAGE_WRITE)).toBe(true);
  expect(resv.dma_resv_test_signaled(cpu, OTHER, resv.DMA_RESV_USAGE_READ)).toBe(false);
  dma_fence_signal(cpu, read);
  dma_fence_signal(cpu, book);
  resv.dma_resv_fini(cpu, OTHER);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
  expect(dmesg(cpu)).toEqual([]);
});

it("get_fences gives nothing for an idle object, and -ENOMEM with nothing kept", () => {
  const cpu = boot();
  cpu.mem.write(OUT, 9);
  expect(resv.dma_resv_get_fences(cpu, RESV, 3, OUT, OUT + 4)).toBe(0);
  expect([cpu.mem.read(OUT), cpu.mem.read(OUT + 4)]).toEqual([0, 0]);
  added(cpu, 0);
  fault_arm(cpu, FAULT_SLAB, { after: 0, times: 1 });
  expect(resv.dma_resv_get_fences(cpu, RESV, 3, OUT, OUT + 4)).toBe(-ENOMEM);
  expect([cpu.mem.read(OUT), cpu.mem.read(OUT + 4)]).toEqual([0, 0]);
});

it("a walk does not take a reused list address for the list it knew", () => {
  const cpu = boot();
  const [first, second] = [added(cpu, 0), added(cpu, 0)];
  const cursor = iter(cpu, 3);
  expect(resv.dma_resv_iter_first_unlocked(cpu, cursor)).toBe(first);
  // While the reader waits for it: it signals, the list is replaced, freed, and its memory becomes the list
  // again, with the other fence at the index the reader has passed.
  const known = cpu.mem.read(cursor + resv.DMA_RESV_ITER_FENCES);
  dma_fence_signal(cpu, first);
  for (let i = 0; i < 50 && (i === 0 || cpu.mem.read(RESV + resv.DMA_RESV_FENCES) !== known); i++) {
    resv.dma_resv_lock(cpu, RESV, 0);
    // Room for exactly one more: a list of 2, as the one the reader knew.
    resv.dma_resv_reserve_fences(cpu, RESV, 1);
    resv.dma_resv_unlock(cpu, RESV);
    rcu_barrier(cpu);
  }
  expect(cpu.mem.read(RESV + resv.DMA_RESV_FENCES), "the address came back").toBe(known);
  expect(resv.dma_resv_iter_next_unlocked(cpu, cursor)).toBe(second);
  expect(resv.dma_resv_iter_is_restarted(cpu, cursor)).toBe(true);
  resv.dma_resv_iter_end(cpu, cursor);
});

it("the verbs that need the lock say when it is not held", () => {
  const cpu = boot();
  resv.dma_resv_reserve_fences(cpu, RESV, 1);
  expect(dmesg(cpu)[0]).toMatch(/at dma_resv_reserve_fences .*: resv not held/);
  resv.dma_resv_lock(cpu, RESV, 0);
  const quiet = dmesg(cpu).length;
  resv.dma_resv_assert_held(cpu, RESV);
  expect(resv.dma_resv_reserve_fences(cpu, RESV, 0)).toBe(-EINVAL);
  expect(dmesg(cpu)).toHaveLength(quiet + 1);
  resv.dma_resv_assert_not_held(cpu, RESV);
  expect(dmesg(cpu)).toHaveLength(quiet + 2);
});

it("a signal breaks an interruptible lock that has to wait", () => {
  const cpu = boot();
  resv.dma_resv_lock(cpu, RESV, 0);
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  expect(resv.dma_resv_lock_interruptible(cpu, RESV, 0)).toBe(-EINTR);
  resv.dma_resv_unlock(cpu, RESV);
  expect(resv.dma_resv_lock_interruptible(cpu, RESV, 0), "a free one is taken all the same").toBe(0);
});

it("a singleton is nothing, the fence, or an array of the latest of each context", () => {
  const cpu = boot();
  const before = kmem_in_use(cpu);
  const single = (usage: number): DmaFencePtr => {
    expect(resv.dma_resv_get_singleton(cpu, RESV, usage, OUT)).toBe(0);
    return cpu.mem.read(OUT) as DmaFencePtr;
  };
  expect(single(3)).toBe(0);
  const kernel = added(cpu, resv.DMA_RESV_USAGE_KERNEL);
  expect(single(3)).toBe(kernel);
  const read = added(cpu, resv.DMA_RESV_USAGE_READ, 70, 1);
  const later = added(cpu, resv.DMA_RESV_USAGE_BOOKKEEP, 70, 2);
  expect(single(resv.DMA_RESV_USAGE_WRITE), "stronger ones only").toBe(kernel);
  const both = single(3);
  expect(dma_fence_is_array(cpu, both)).toBe(true);
  expect(dma_fence_array_next(cpu, both, 0)).toBe(later);
  expect(dma_fence_array_next(cpu, both, 1)).toBe(kernel);
  expect(dma_fence_array_next(cpu, both, 2)).toBe(0);
  for (const fence of [kernel, kernel, kernel, read, later, both]) dma_fence_put(cpu, fence);
  resv.dma_resv_fini(cpu, RESV);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
  expect(dmesg(cpu)).toEqual([]);
});

it.each([0, 1])("a singleton without memory is -ENOMEM, with nothing kept (%i allocations work)", (after) => {
  const cpu = boot();
  for (const usage of USAGES) added(cpu, usage);
  const before = kmem_in_use(cpu);
  fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
  expect(resv.dma_resv_get_singleton(cpu, RESV, 3, OUT)).toBe(-ENOMEM);
  expect(kmem_in_use(cpu)).toBe(before);
});

it("a container is added with a warning", () => {
  const cpu = boot();
  const fences = kmalloc(cpu, 4, GFP_KERNEL);
  cpu.mem.write(fences, mock_fence(cpu, 1, 1));
  const array = dma_fence_array_create(cpu, 1, fences, 2, 1, false);
  resv.dma_resv_lock(cpu, RESV, 0);
  resv.dma_resv_reserve_fences(cpu, RESV, 1);
  resv.dma_resv_add_fence(cpu, RESV, array, 0);
  resv.dma_resv_unlock(cpu, RESV);
  expect(dmesg(cpu)).toHaveLength(1);
  expect(dmesg(cpu)[0]).toContain("at dma_resv_add_fence ");
  expect(locked(cpu, 3)).toEqual([array]);
});

it("the description has a line a fence that implicit synchronisation knows of", () => {
  const cpu = boot();
  added(cpu, resv.DMA_RESV_USAGE_KERNEL, 8, 3);
  const done = added(cpu, resv.DMA_RESV_USAGE_READ, 9, 1);
  added(cpu, resv.DMA_RESV_USAGE_BOOKKEEP);
  dma_fence_signal(cpu, done);
  resv.dma_resv_lock(cpu, RESV, 0);
  expect(resv.dma_resv_describe(cpu, RESV)).toEqual([
    "\tkernel fence:8:3 mock mock unsignalled",
    "\tread fence:9:1   signalled",
  ]);
});

it("a deadline goes to the fences up to the usage", () => {
  const cpu = boot();
  const timeline = sw_sync_timeline_create(cpu);
  const fds = [1, 2].map((value) => sw_sync_fence_create(cpu, timeline, "f", value));
  resv.dma_resv_lock(cpu, RESV, 0);
  resv.dma_resv_reserve_fences(cpu, RESV, 2);
  for (const [i, fd] of fds.entries()) {
    resv.dma_resv_add_fence(cpu, RESV, sync_file_get_fence(cpu, fd), i === 0 ? 3 : 1);
  }
  resv.dma_resv_unlock(cpu, RESV);
  resv.dma_resv_set_deadline(cpu, RESV, resv.DMA_RESV_USAGE_READ, 99);
  expect(fds.map((fd) => sw_sync_get_deadline(cpu, timeline, fd))).toEqual([-ENOENT, 99]);
});

it("without the lock a verb warns, and does what it can", () => {
  const cpu = boot();
  const other = mock_fence(cpu, 2, 1);
  const verbs: [string, () => unknown, unknown][] = [
    ["dma_resv_reserve_fences", () => resv.dma_resv_reserve_fences(cpu, RESV, 2), 0],
    ["dma_resv_add_fence", () => resv.dma_resv_add_fence(cpu, RESV, mock_fence(cpu, 1, 1), 0), undefined],
    ["dma_resv_replace_fences", () => resv.dma_resv_replace_fences(cpu, RESV, 1, other, 0), undefined],
    ["dma_resv_iter_first", () => resv.dma_resv_iter_first(cpu, iter(cpu, 3)), other],
    ["dma_resv_copy_fences", () => resv.dma_resv_copy_fences(cpu, OTHER, RESV), 0],
  ];
  for (const [name, verb, answer] of verbs) {
    const before = dmesg(cpu).length;
    expect(verb(), name).toBe(answer);
    expect(dmesg(cpu).slice(before).join("\n")).toContain(`at ${name} `);
  }
  const before = dmesg(cpu).length;
  expect(resv.dma_resv_test_signaled(cpu, RESV, 3), "these need no lock").toBe(false);
  expect(resv.dma_resv_wait_timeout(cpu, RESV, 3, false, 0)).toBe(0);
  expect(dmesg(cpu)).toHaveLength(before);
});

it("a signaled fence does not count in any question, wherever it stands", () => {
  const cpu = boot();
  const fences = USAGES.map((usage) => added(cpu, usage));
  // Mixed: the odd ones are done.
  for (const [i, fence] of fences.entries()) if (i % 2 === 1) dma_fence_signal(cpu, fence);
  for (const usage of USAGES) {
    const left = fences.filter((_, i) => i % 2 === 0 && i <= usage);
    expect(unlocked(cpu, usage)).toEqual(left);
    expect(resv.dma_resv_get_fences(cpu, RESV, usage, OUT, OUT + 4)).toBe(0);
    expect(cpu.mem.read(OUT)).toBe(left.length);
    expect(resv.dma_resv_wait_timeout(cpu, RESV, usage, false, 0)).toBe(0);
  }
  dma_fence_signal(cpu, fences[0] as DmaFencePtr);
  expect(resv.dma_resv_wait_timeout(cpu, RESV, resv.DMA_RESV_USAGE_WRITE, false, 0)).toBe(1);
  expect(resv.dma_resv_wait_timeout(cpu, RESV, resv.DMA_RESV_USAGE_READ, false, 0)).toBe(0);
  expect(resv.dma_resv_wait_timeout(cpu, RESV, resv.DMA_RESV_USAGE_WRITE, false, MAX_SCHEDULE_TIMEOUT)).toBe(
    MAX_SCHEDULE_TIMEOUT,
  );
});
