import { expect, it } from "vitest";
import { EIO, ENOENT, EPERM } from "../debug/errno.ts";
import { FAULT_SLAB, fault_arm } from "../debug/fault-inject.ts";
import { kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { layout_faults, struct_layouts } from "../debug/layout.ts";
import { kernel_string } from "../debug/strings.ts";
import { spin_lock, spin_unlock } from "../lock/spinlock.ts";
import { GFP_KERNEL, kcalloc, kmalloc } from "../mm/slab.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import { type Cpu, stack_push } from "../sched/cpu.ts";
import { irq_poll } from "../sched/irq.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import * as array from "./fence-array.ts";
import * as chain from "./fence-chain.ts";
import {
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_context,
  dma_fence_enable_signaling,
  dma_fence_error,
  dma_fence_get,
  dma_fence_get_status,
  dma_fence_init,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_seqno,
  dma_fence_set_deadline,
  dma_fence_set_error,
  dma_fence_signal,
  dma_fence_signal_locked,
  dma_fence_signal_timestamp,
  DMA_FENCE_SIZE,
  dma_fence_spinlock,
  dma_fence_test_signaled_flag,
  dma_fence_timestamp,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "./fence.ts";
import * as unwrap from "./fence-unwrap.ts";
import { mock_fence } from "./testing/mock-fence.ts";

const NONE = 0 as DmaFencePtr;
const SEEN = kernel_static("test_containers_seen", 16);
const COUNT = kernel_symbol((cpu: Cpu) => cpu.mem.fetchAdd(SEEN, 1));
const NAME = kernel_string("deadline");
const name = kernel_symbol(() => NAME);
const DEADLINE_OPS = kernel_rodata("deadline_ops", [
  name,
  name,
  0,
  0,
  0,
  0,
  kernel_symbol((cpu: Cpu, _fence: number, deadline: number) => cpu.mem.write(SEEN, deadline)),
]);

/** An array that takes over the references. */
function array_of(cpu: Cpu, any: boolean, ...members: readonly DmaFencePtr[]): DmaFencePtr {
  const fences = kcalloc(cpu, members.length, 4, GFP_KERNEL);
  members.forEach((member, i) => cpu.mem.write(fences + 4 * i, member));
  return array.dma_fence_array_create(cpu, members.length, fences, 50, 1, any);
}
/** A node that takes over the references. */
function node(cpu: Cpu, prev: DmaFencePtr, fence: DmaFencePtr, seqno: number): DmaFencePtr {
  const made = chain.dma_fence_chain_alloc(cpu);
  chain.dma_fence_chain_init(cpu, made, prev, fence, seqno);
  return made;
}
function three(cpu: Cpu): [DmaFencePtr, DmaFencePtr, DmaFencePtr] {
  return [mock_fence(cpu, 1, 1), mock_fence(cpu, 2, 1), mock_fence(cpu, 3, 1)];
}
function plain(cpu: Cpu, head: DmaFencePtr): DmaFencePtr[] {
  const cursor = stack_push(cpu, unwrap.DMA_FENCE_UNWRAP_SIZE) as unwrap.DmaFenceUnwrapPtr;
  const found: DmaFencePtr[] = [];
  let f = unwrap.dma_fence_unwrap_first(cpu, head, cursor);
  for (; f !== 0; f = unwrap.dma_fence_unwrap_next(cpu, cursor)) found.push(f);
  return found;
}
function expect_nothing_left(cpu: Cpu, before: number): void {
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
  expect(dmesg(cpu)).toEqual([]);
}

it.each(struct_layouts().filter((l) => /fence_(array|chain|unwrap)|irq_work/.test(l.name)))(
  "$name has a sound layout",
  (layout) => {
    expect(layout_faults(layout)).toEqual([]);
  },
);

it.each([true, false])("an array is signaled when all are, or any (enabled: %s)", (enabled) => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const members = three(cpu);
  const all = array_of(cpu, false, ...members);
  const any = array_of(cpu, true, ...members.map((member) => dma_fence_get(cpu, member)));
  const cb = kmalloc(cpu, DMA_FENCE_CB_SIZE, GFP_KERNEL) as DmaFenceCbPtr;
  if (enabled) {
    dma_fence_add_callback(cpu, any, cb, COUNT);
    dma_fence_enable_signaling(cpu, all);
  }
  for (const [i, member] of members.entries()) {
    expect([dma_fence_is_signaled(cpu, all), dma_fence_is_signaled(cpu, any)]).toEqual([false, i > 0]);
    dma_fence_signal(cpu, member);
  }
  expect([dma_fence_is_signaled(cpu, all), dma_fence_is_signaled(cpu, any)]).toEqual([true, true]);
  expect(dma_fence_get_status(cpu, all)).toBe(1);
  expect(dma_fence_error(cpu, all), "no error is left pending").toBe(0);
  expect(cpu.mem.read(SEEN)).toBe(enabled ? 1 : 0);
  dma_fence_put(cpu, all);
  dma_fence_put(cpu, any);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu) - before, "the callback alone").toBe(DMA_FENCE_CB_SIZE);
});

it("the first error of a member is the array's", () => {
  const cpu = boot_solo();
  const members = three(cpu);
  const all = array_of(cpu, false, ...members);
  dma_fence_enable_signaling(cpu, all);
  dma_fence_signal(cpu, members[0]);
  dma_fence_set_error(cpu, members[1], -EIO);
  dma_fence_signal(cpu, members[1]);
  expect(dma_fence_get_status(cpu, all)).toBe(0);
  dma_fence_set_error(cpu, members[2], -EPERM);
  dma_fence_signal(cpu, members[2]);
  expect(dma_fence_get_status(cpu, all)).toBe(-EIO);
});

it("an array whose members are done already is, and has their error", () => {
  const cpu = boot_solo();
  const member = mock_fence(cpu, 1, 1);
  dma_fence_set_error(cpu, member, -EIO);
  dma_fence_signal(cpu, member);
  const all = array_of(cpu, false, member);
  expect(dma_fence_test_signaled_flag(cpu, all), "nobody has asked").toBe(false);
  const cb = kmalloc(cpu, DMA_FENCE_CB_SIZE, GFP_KERNEL) as DmaFenceCbPtr;
  expect(dma_fence_add_callback(cpu, all, cb, COUNT)).toBe(-ENOENT);
  expect(dma_fence_get_status(cpu, all)).toBe(-EIO);
});

it("a signal under a lock leaves the array to the next safe point", () => {
  const cpu = boot_solo();
  const member = mock_fence(cpu, 1, 1);
  const all = array_of(cpu, false, member);
  dma_fence_enable_signaling(cpu, all);
  spin_lock(cpu, dma_fence_spinlock(cpu, member));
  dma_fence_signal_locked(cpu, member);
  spin_unlock(cpu, dma_fence_spinlock(cpu, member));
  expect(dma_fence_test_signaled_flag(cpu, all)).toBe(false);
  expect(dma_fence_is_signaled(cpu, all), "who asks need not wait for that").toBe(true);
  expect(irq_poll(cpu)).toBe(true);
  expect(irq_poll(cpu)).toBe(false);
});

it("containers do not go into an array, nor a chain into a node", () => {
  const cpu = boot_solo();
  array_of(cpu, false, array_of(cpu, false, mock_fence(cpu, 1, 1)));
  expect(dmesg(cpu)).toHaveLength(1);
  node(cpu, NONE, node(cpu, NONE, mock_fence(cpu, 1, 1), 1), 2);
  expect(dmesg(cpu)).toHaveLength(2);
  array.dma_fence_array_create(cpu, 0, 0, 1, 1, false);
  expect(dmesg(cpu)).toHaveLength(3);
});

it("without memory there is no array, and the list stays the caller's", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  fault_arm(cpu, FAULT_SLAB, { after: 0, times: 1 });
  expect(array.dma_fence_array_create(cpu, 1, 8, 1, 1, false)).toBe(0);
  expect_nothing_left(cpu, before);
});

it("the members of an array are asked for one by one; any other fence is its own only member", () => {
  const cpu = boot_solo();
  const members = three(cpu);
  const all = array_of(cpu, false, ...members);
  expect(array.dma_fence_array_first(cpu, all)).toBe(members[0]);
  expect(array.dma_fence_array_next(cpu, all, 2)).toBe(members[2]);
  expect(array.dma_fence_array_next(cpu, all, 3)).toBe(0);
  expect(array.dma_fence_array_first(cpu, members[0])).toBe(members[0]);
  expect(array.dma_fence_array_next(cpu, members[0], 1)).toBe(0);
  expect(array.dma_fence_array_first(cpu, NONE)).toBe(0);
  expect(array.to_dma_fence_array(cpu, members[0])).toBe(0);
  expect(array.dma_fence_match_context(cpu, all, 1)).toBe(false);
  expect(array.dma_fence_match_context(cpu, members[1], 2)).toBe(true);
  const same = array_of(cpu, false, mock_fence(cpu, 9, 1), mock_fence(cpu, 9, 2));
  expect(array.dma_fence_match_context(cpu, same, 9)).toBe(true);
});

it("a deadline reaches every fence inside", () => {
  const cpu = boot_solo();
  const aware = kmalloc(cpu, DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  dma_fence_init(cpu, aware, DEADLINE_OPS, 0, 5, 1);
  const head = node(cpu, array_of(cpu, false, mock_fence(cpu, 1, 1), aware), mock_fence(cpu, 2, 1), 1);
  dma_fence_set_deadline(cpu, head, 4711);
  expect(cpu.mem.read(SEEN)).toBe(4711);
});

it("a chain's context goes on while its numbers grow; else it begins anew and never goes back", () => {
  const cpu = boot_solo();
  const first = node(cpu, NONE, mock_fence(cpu, 1, 1), 5);
  const second = node(cpu, first, mock_fence(cpu, 2, 1), 7);
  expect(dma_fence_context(cpu, second)).toBe(dma_fence_context(cpu, first));
  expect(chain.dma_fence_chain_prev_seqno(cpu, second)).toBe(5);
  const third = node(cpu, second, mock_fence(cpu, 3, 1), 6);
  expect(dma_fence_context(cpu, third)).not.toBe(dma_fence_context(cpu, first));
  expect(dma_fence_seqno(cpu, third)).toBe(7);
  expect(chain.dma_fence_chain_prev_seqno(cpu, third)).toBe(0);
  expect(chain.dma_fence_chain_contained(cpu, third)).not.toBe(third);
  expect(chain.to_dma_fence_chain(cpu, mock_fence(cpu, 1, 1))).toBe(0);
});

it("walking takes out what is done, and a long chain goes without deep recursion", () => {
  const cpu = boot_solo({ ram: 32 << 20 });
  const before = kmem_in_use(cpu);
  let tail = NONE;
  const fences: DmaFencePtr[] = [];
  for (let i = 0; i < 8_000; i++) {
    fences.push(dma_fence_get(cpu, mock_fence(cpu, 1, 1)));
    tail = node(cpu, tail, fences.at(-1) as DmaFencePtr, i + 1);
  }
  for (const fence of fences.slice(0, 5)) dma_fence_signal(cpu, fence);
  expect(dma_fence_is_signaled(cpu, tail)).toBe(false);
  for (const fence of fences.slice(5)) dma_fence_signal(cpu, fence);
  expect(dma_fence_is_signaled(cpu, tail)).toBe(true);
  const again = node(cpu, tail, dma_fence_get(cpu, fences[0] as DmaFencePtr), 9_000);
  for (const fence of fences) dma_fence_put(cpu, fence);
  dma_fence_put(cpu, again);
  expect_nothing_left(cpu, before);
});

it("a chain nobody waited for, unsignaled, is released node by node", () => {
  const cpu = boot_solo({ ram: 32 << 20 });
  const before = kmem_in_use(cpu);
  let tail = NONE;
  for (let i = 0; i < 8_000; i++) tail = node(cpu, tail, mock_fence(cpu, 1, 1), i + 1);
  dma_fence_put(cpu, tail);
  expect_nothing_left(cpu, before);
});

it("merging leaves out what is done; of nothing it makes a stub of the latest time", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const [a, b, c] = three(cpu);
  dma_fence_signal_timestamp(cpu, a, 500);
  expect(unwrap.dma_fence_unwrap_merge(cpu, a, b)).toBe(b);
  dma_fence_put(cpu, b);
  dma_fence_signal_timestamp(cpu, b, 900);
  dma_fence_signal_timestamp(cpu, c, 700);
  const stub = unwrap.dma_fence_unwrap_merge(cpu, a, b, c);
  expect(dma_fence_is_signaled(cpu, stub)).toBe(true);
  expect(dma_fence_timestamp(cpu, stub)).toBe(900);
  for (const fence of [a, b, c, stub]) dma_fence_put(cpu, fence);
  expect_nothing_left(cpu, before);
});

it("merging unpacks arrays, and keeps the latest of each context, in order of the contexts", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const [f1, f2] = [mock_fence(cpu, 9, 1), mock_fence(cpu, 9, 2)];
  const [g1, g3] = [mock_fence(cpu, 4, 1), mock_fence(cpu, 4, 3)];
  const both = array_of(cpu, false, dma_fence_get(cpu, f2), dma_fence_get(cpu, g1));
  const merged = unwrap.dma_fence_unwrap_merge(cpu, f1, both, g3);
  expect(plain(cpu, merged)).toEqual([g3, f2]);
  for (const fence of [f1, f2, g1, g3, both, merged]) dma_fence_put(cpu, fence);
  expect_nothing_left(cpu, before);
});

it.each([0, 1])("merging without memory gives nothing and keeps nothing (%i allocations work)", (after) => {
  const cpu = boot_solo();
  const members = three(cpu);
  const before = kmem_in_use(cpu);
  fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
  expect(unwrap.dma_fence_unwrap_merge(cpu, ...members)).toBe(0);
  expect_nothing_left(cpu, before);
});

it("a walk that ends early lets go of the chain", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const head = node(cpu, mock_fence(cpu, 1, 1), mock_fence(cpu, 2, 1), 1);
  const cursor = stack_push(cpu, unwrap.DMA_FENCE_UNWRAP_SIZE) as unwrap.DmaFenceUnwrapPtr;
  unwrap.dma_fence_unwrap_first(cpu, head, cursor);
  unwrap.dma_fence_unwrap_end(cpu, cursor);
  dma_fence_put(cpu, head);
  expect_nothing_left(cpu, before);
});
