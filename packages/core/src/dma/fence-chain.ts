/**
 * dma_fence_chain (include/linux/dma-fence-chain.h, drivers/dma-buf/dma-fence-chain.c): a timeline made of fences. A
 * node holds a fence and the node before; it is signaled when its fence and all before it are.
 *
 * Invariants: a node owns a reference on its fence and on the one before, which is a node or the plain fence at the
 * end. Sequence numbers grow along a context; prev_seqno is that of the node linked at first, and stays when
 * nodes between are collected. Walking takes out nodes whose fence is signaled: they only ever get fewer, by a
 * compare-and-exchange, so any number may walk at once.
 *
 * A node waits with one callback, on the first unsignaled fence from its own backwards. The callback runs under that
 * fence's lock and leaves the search for the next one to an irq_work.
 *
 * Interface: dma_fence_chain_alloc, then dma_fence_chain_init takes over both references. A node's address is that
 * of its fence. `for (f = dma_fence_get(cpu, head); f !== 0; f = dma_fence_chain_walk(cpu, f))` walks; whoever
 * leaves the loop early puts f.
 */
import { EINVAL } from "../debug/errno.ts";
import { kernel_rodata, kernel_symbol } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { kernel_string } from "../debug/strings.ts";
import { WARN_ON } from "../debug/warn.ts";
import { lockdep_init_map } from "../lock/lockdep.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import { rcu_assign_pointer, rcu_read_lock, rcu_read_unlock } from "../rcu/rcu.ts";
import { refcount_read } from "../ref/refcount.ts";
import type { Cpu } from "../sched/cpu.ts";
import { init_irq_work, IRQ_WORK_SIZE, irq_work_queue } from "../sched/irq-work.ts";
import {
  __dma_fence_is_later,
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_context,
  dma_fence_context_alloc,
  dma_fence_free,
  dma_fence_get,
  dma_fence_get_rcu_safe,
  dma_fence_init64,
  dma_fence_is_signaled,
  dma_fence_ops,
  dma_fence_put,
  DMA_FENCE_REFCOUNT,
  dma_fence_seqno,
  dma_fence_set_deadline,
  dma_fence_signal,
  DMA_FENCE_SIZE,
  dma_fence_spinlock,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "./fence.ts";

/** A node is its fence: the base comes first. */
export type DmaFenceChainPtr = DmaFencePtr;

const BASE = 0;
/** RCU pointer to the fence before, or 0. Compare-and-exchange. */
const PREV = DMA_FENCE_SIZE;
// Constant after dma_fence_chain_init:
const FENCE = DMA_FENCE_SIZE + 4;
const PREV_SEQNO = DMA_FENCE_SIZE + 8;
/** A union, a dma_fence_cb until it has run, then an irq_work, by turns. Owned by whichever is queued. */
const CB = DMA_FENCE_SIZE + 16;
const WORK = DMA_FENCE_SIZE + 16;
export const DMA_FENCE_CHAIN_SIZE = DMA_FENCE_SIZE + 32;

struct_layout("dma_fence_chain", DMA_FENCE_CHAIN_SIZE, [
  ["base", BASE, DMA_FENCE_SIZE],
  ["prev", PREV, 4],
  ["fence", FENCE, 4],
  ["prev_seqno", PREV_SEQNO, 8],
  ["cb", CB, Math.max(DMA_FENCE_CB_SIZE, IRQ_WORK_SIZE)],
]);

const DRIVER_NAME = kernel_string("dma_fence_chain");
const TIMELINE_NAME = kernel_string("unbound");
const CHAIN_CB = kernel_symbol(dma_fence_chain_cb);
const CHAIN_IRQ_WORK = kernel_symbol(dma_fence_chain_irq_work);

export const dma_fence_chain_ops: number = kernel_rodata("dma_fence_chain_ops", [
  kernel_symbol(dma_fence_chain_get_driver_name),
  kernel_symbol(dma_fence_chain_get_timeline_name),
  kernel_symbol(dma_fence_chain_enable_signaling),
  kernel_symbol(dma_fence_chain_signaled),
  0,
  kernel_symbol(dma_fence_chain_release),
  kernel_symbol(dma_fence_chain_set_deadline),
]);

function dma_fence_chain_get_driver_name(): number {
  return DRIVER_NAME;
}

function dma_fence_chain_get_timeline_name(): number {
  return TIMELINE_NAME;
}

/** Memory for a node, or 0. */
export function dma_fence_chain_alloc(cpu: Cpu): DmaFenceChainPtr {
  return kmalloc(cpu, DMA_FENCE_CHAIN_SIZE, GFP_KERNEL) as DmaFenceChainPtr;
}
/** Of a node that was never initialised. */
export function dma_fence_chain_free(cpu: Cpu, chain: DmaFenceChainPtr): void {
  kfree(cpu, chain);
}

/** Makes `chain` the node of `fence` after `prev` (0: the first), with one reference. Takes over both. */
export function dma_fence_chain_init(
  cpu: Cpu,
  chain: DmaFenceChainPtr,
  prev: DmaFencePtr,
  fence: DmaFencePtr,
  seqno: number,
): void {
  const prev_chain = to_dma_fence_chain(cpu, prev);
  const prev_seqno = prev_chain === 0 ? 0 : dma_fence_seqno(cpu, prev);
  const grows = prev_chain !== 0 && __dma_fence_is_later(cpu, prev, seqno, prev_seqno);
  rcu_assign_pointer(cpu, chain + PREV, prev);
  cpu.mem.write(chain + FENCE, fence);
  cpu.mem.write64(chain + PREV_SEQNO, grows ? prev_seqno : 0);
  // A number that does not grow begins a context of its own, and never goes back.
  const context = grows ? dma_fence_context(cpu, prev) : dma_fence_context_alloc(cpu, 1);
  const number = prev_chain !== 0 && !grows ? Math.max(prev_seqno, seqno) : seqno;
  dma_fence_init64(cpu, chain, dma_fence_chain_ops, 0, context, number);
  // Its lock is held while those of the fences inside are taken: another class.
  if (cpu.lockdep) lockdep_init_map(cpu, dma_fence_spinlock(cpu, chain), "&dma_fence_chain_lock_key");
  // Chains link through prev. One inside would recurse.
  WARN_ON(cpu, dma_fence_is_chain(cpu, fence));
}

export function dma_fence_is_chain(cpu: Cpu, fence: DmaFencePtr): boolean {
  return fence !== 0 && dma_fence_ops(cpu, fence) === dma_fence_chain_ops;
}
/** The fence as a node, 0 when it is none. */
export function to_dma_fence_chain(cpu: Cpu, fence: DmaFencePtr): DmaFenceChainPtr {
  return (dma_fence_is_chain(cpu, fence) ? fence : 0) as DmaFenceChainPtr;
}
/** The fence a node holds; any other fence itself. No reference is taken. */
export function dma_fence_chain_contained(cpu: Cpu, fence: DmaFencePtr): DmaFencePtr {
  return dma_fence_is_chain(cpu, fence) ? (cpu.mem.read(fence + FENCE) as DmaFencePtr) : fence;
}
export function dma_fence_chain_prev_seqno(cpu: Cpu, chain: DmaFenceChainPtr): number {
  return cpu.mem.read64(chain + PREV_SEQNO);
}

/** The fence before, with a reference, or 0. */
function dma_fence_chain_get_prev(cpu: Cpu, chain: DmaFencePtr): DmaFencePtr {
  rcu_read_lock(cpu);
  const prev = dma_fence_get_rcu_safe(cpu, chain + PREV);
  rcu_read_unlock(cpu);
  return prev;
}

/** Goes from `fence`, whose reference it takes, to the one before, with a reference, or 0. Skips what is done. */
export function dma_fence_chain_walk(cpu: Cpu, fence: DmaFencePtr): DmaFencePtr {
  let prev = 0 as DmaFencePtr;
  if (dma_fence_is_chain(cpu, fence)) {
    prev = dma_fence_chain_get_prev(cpu, fence);
    while (prev !== 0 && dma_fence_is_signaled(cpu, dma_fence_chain_contained(cpu, prev))) {
      collect(cpu, fence, prev);
      dma_fence_put(cpu, prev);
      prev = dma_fence_chain_get_prev(cpu, fence);
    }
  }
  dma_fence_put(cpu, fence);
  return prev;
}

/** Takes `prev`, which is done, out of the chain after `chain`, unless somebody else has. */
function collect(cpu: Cpu, chain: DmaFencePtr, prev: DmaFencePtr): void {
  const is_chain = dma_fence_is_chain(cpu, prev);
  const replacement = is_chain ? dma_fence_chain_get_prev(cpu, prev) : (0 as DmaFencePtr);
  // Full order: pairs with the rcu_dereference in dma_fence_get_rcu_safe. The link's reference on prev is
  // ours to drop only if we unlinked it; the one on replacement then becomes the link's.
  const won = cpu.mem.compareExchange(chain + PREV, prev, replacement) === prev;
  dma_fence_put(cpu, won ? prev : replacement);
}

/**
 * Moves the reference in the word `pfence`, a node, back to the node that signals `seqno`: the first whose number is
 * not below it, or 0 in the word when that is done. Number 0 leaves it. 0, or -EINVAL when the chain is not that far.
 */
export function dma_fence_chain_find_seqno(cpu: Cpu, pfence: number, seqno: number): number {
  if (seqno === 0) return 0;
  const chain = cpu.mem.read(pfence) as DmaFencePtr;
  if (!dma_fence_is_chain(cpu, chain) || dma_fence_seqno(cpu, chain) < seqno) return -EINVAL;
  const context = dma_fence_context(cpu, chain);
  let fence = dma_fence_get(cpu, chain);
  while (fence !== 0) {
    if (dma_fence_context(cpu, fence) !== context) break;
    if (dma_fence_chain_prev_seqno(cpu, fence) < seqno) break;
    fence = dma_fence_chain_walk(cpu, fence);
  }
  cpu.mem.write(pfence, fence);
  dma_fence_put(cpu, chain);
  return 0;
}

/** Waits for the first unsignaled fence, from `fence` backwards. False: there is none. */
function dma_fence_chain_enable_signaling(cpu: Cpu, fence: DmaFencePtr): boolean {
  const cb = (fence + CB) as DmaFenceCbPtr;
  // For the callback, which puts it when the work is through.
  dma_fence_get(cpu, fence);
  let at = dma_fence_get(cpu, fence);
  while (at !== 0) {
    const contained = dma_fence_get(cpu, dma_fence_chain_contained(cpu, at));
    if (dma_fence_add_callback(cpu, contained, cb, CHAIN_CB) === 0) {
      dma_fence_put(cpu, at);
      return true;
    }
    dma_fence_put(cpu, contained);
    at = dma_fence_chain_walk(cpu, at);
  }
  dma_fence_put(cpu, fence);
  return false;
}

/** The fence waited for is signaled. Its lock is held, so the reference goes, the search does not. */
function dma_fence_chain_cb(cpu: Cpu, fence: DmaFencePtr, cb: number): void {
  const work = cb - CB + WORK;
  init_irq_work(cpu, work, CHAIN_IRQ_WORK);
  irq_work_queue(cpu, work);
  // Not the last one: whoever signals holds one.
  dma_fence_put(cpu, fence);
}

function dma_fence_chain_irq_work(cpu: Cpu, work: number): void {
  const chain = (work - WORK) as DmaFencePtr;
  if (!dma_fence_chain_enable_signaling(cpu, chain)) dma_fence_signal(cpu, chain);
  dma_fence_put(cpu, chain);
}

function dma_fence_chain_signaled(cpu: Cpu, fence: DmaFencePtr): boolean {
  let at = dma_fence_get(cpu, fence);
  while (at !== 0) {
    if (!dma_fence_is_signaled(cpu, dma_fence_chain_contained(cpu, at))) {
      dma_fence_put(cpu, at);
      return false;
    }
    at = dma_fence_chain_walk(cpu, at);
  }
  return true;
}

function dma_fence_chain_release(cpu: Cpu, fence: DmaFencePtr): void {
  // A long chain that only this node holds would release node after node on the stack: take them off one by one.
  let prev = cpu.mem.read(fence + PREV) as DmaFencePtr;
  while (prev !== 0 && dma_fence_is_chain(cpu, prev) && refcount_read(cpu, prev + DMA_FENCE_REFCOUNT) <= 1) {
    // Nobody else has it, nor can get it through us.
    cpu.mem.writeOnce(fence + PREV, cpu.mem.read(prev + PREV));
    cpu.mem.writeOnce(prev + PREV, 0);
    dma_fence_put(cpu, prev);
    prev = cpu.mem.read(fence + PREV) as DmaFencePtr;
  }
  dma_fence_put(cpu, prev);
  dma_fence_put(cpu, cpu.mem.read(fence + FENCE) as DmaFencePtr);
  dma_fence_free(cpu, fence);
}

function dma_fence_chain_set_deadline(cpu: Cpu, fence: DmaFencePtr, deadline: number): void {
  for (let at = dma_fence_get(cpu, fence); at !== 0; at = dma_fence_chain_walk(cpu, at)) {
    dma_fence_set_deadline(cpu, dma_fence_chain_contained(cpu, at), deadline);
  }
}
