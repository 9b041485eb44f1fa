/**
 * struct dma_fence (include/linux/dma-fence.h): layout, initialisation, and what can be read without a verb.
 * The contract is in fence.ts.
 */
import type { Ptr } from "atomics-sync";
import { percpu_static, symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { type KernelString, string_text } from "../debug/strings.ts";
import { BUG_ON } from "../debug/warn.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD } from "../mm/list.ts";
import { refcount_set } from "../ref/refcount.ts";
import { irq_work_tick } from "../sched/irq-work.ts";
import { type Cpu, nr_cpu_ids, per_cpu_ptr, this_cpu_ptr } from "../sched/cpu.ts";

export type DmaFencePtr = Ptr<"dma_fence">;
export type DmaFenceCbPtr = Ptr<"dma_fence_cb">;

/** struct dma_fence_ops: words of a kernel_rodata table; the names are required. */
/** (cpu, fence): a kernel_string. */
export const DMA_FENCE_OPS_GET_DRIVER_NAME = 0;
export const DMA_FENCE_OPS_GET_TIMELINE_NAME = 4;
/** (cpu, fence): false when already done. Called once, with the lock held. */
export const DMA_FENCE_OPS_ENABLE_SIGNALING = 8;
/** (cpu, fence): done? May be called with or without the lock. */
export const DMA_FENCE_OPS_SIGNALED = 12;
/** (cpu, fence, intr, timeout): as dma_fence_wait_timeout. */
export const DMA_FENCE_OPS_WAIT = 16;
/** (cpu, fence): the last reference is gone; frees it, with dma_fence_free in the end. */
export const DMA_FENCE_OPS_RELEASE = 20;
/** (cpu, fence, deadline in ns): the waiter would like it by then. */
export const DMA_FENCE_OPS_SET_DEADLINE = 24;
export const DMA_FENCE_OPS_WORDS = 7;

/** A union, constant after dma_fence_init: the address of a spinlock, or with INLINE_LOCK the spinlock. */
const LOCK = 0;
/** 0 once signaled, if a signaled fence needs none. Written under the lock, read without. */
const OPS = 4;
/** A union: callbacks, guarded by the lock, until signaled; then the timestamp; then the rcu_head. */
export const DMA_FENCE_CB_LIST = 8;
export const DMA_FENCE_TIMESTAMP = 8;
export const DMA_FENCE_RCU = 8;
// Constant after dma_fence_init:
const CONTEXT = 16;
const SEQNO = 24;
/** Bits; atomic. Changed under the lock. */
export const DMA_FENCE_FLAGS = 32;
export const DMA_FENCE_REFCOUNT = 36;
/** Written before SIGNALED, constant after. */
export const DMA_FENCE_ERROR = 40;
export const DMA_FENCE_SIZE = 48;

/** struct dma_fence_cb: NODE guarded by the fence's lock, FUNC constant while queued. */
export const DMA_FENCE_CB_NODE = 0;
export const DMA_FENCE_CB_FUNC = 8;
export const DMA_FENCE_CB_SIZE = 12;

struct_layout("dma_fence", DMA_FENCE_SIZE, [
  ["lock", LOCK, 4],
  ["ops", OPS, 4],
  ["cb_list", DMA_FENCE_CB_LIST, 8],
  ["context", CONTEXT, 8],
  ["seqno", SEQNO, 8],
  ["flags", DMA_FENCE_FLAGS, 4],
  ["refcount", DMA_FENCE_REFCOUNT, 4],
  ["error", DMA_FENCE_ERROR, 4],
]);
struct_layout("dma_fence_cb", DMA_FENCE_CB_SIZE, [
  ["node", DMA_FENCE_CB_NODE, 8],
  ["func", DMA_FENCE_CB_FUNC, 4],
]);

/** Masks of the flag bits, in the kernel's order. */
export const DMA_FENCE_FLAG_INITIALIZED = 1;
export const DMA_FENCE_FLAG_INLINE_LOCK = 2;
export const DMA_FENCE_FLAG_SEQNO64 = 4;
export const DMA_FENCE_FLAG_SIGNALED = 8;
export const DMA_FENCE_FLAG_TIMESTAMP = 16;
export const DMA_FENCE_FLAG_ENABLE_SIGNAL = 32;
/** The first bit a driver may use. */
export const DMA_FENCE_FLAG_USER_BITS = 64;

/** Per-CPU, each word written by its CPU alone. */
const COUNTERS = percpu_static("dma_fence_counters", 8);
const INITIALISED = 0;
const NR_SIGNALED = 4;

/** Prepares a fence with one reference. `lock` is a spinlock that outlives it; 0: the fence brings its own. */
export function dma_fence_init(
  cpu: Cpu,
  fence: DmaFencePtr,
  ops: number,
  lock: number,
  context: number,
  seqno: number,
): void {
  __dma_fence_init(cpu, fence, ops, lock, context, seqno, DMA_FENCE_FLAG_INITIALIZED);
}

function __dma_fence_init(
  cpu: Cpu,
  fence: DmaFencePtr,
  ops: number,
  lock: number,
  context: number,
  seqno: number,
  flags: number,
): void {
  BUG_ON(cpu, ops === 0, "dma_fence_init: !ops");
  const names =
    cpu.mem.read(ops + DMA_FENCE_OPS_GET_DRIVER_NAME) !== 0 &&
    cpu.mem.read(ops + DMA_FENCE_OPS_GET_TIMELINE_NAME) !== 0;
  BUG_ON(cpu, !names, "dma_fence_init: !ops->get_driver_name || !ops->get_timeline_name");
  refcount_set(cpu, fence + DMA_FENCE_REFCOUNT, 1);
  cpu.mem.writeOnce(fence + OPS, ops);
  INIT_LIST_HEAD(cpu, fence + DMA_FENCE_CB_LIST);
  cpu.mem.write64(fence + CONTEXT, context);
  cpu.mem.write64(fence + SEQNO, seqno);
  if (lock !== 0) cpu.mem.write(fence + LOCK, lock);
  else spin_lock_init(cpu, fence + LOCK, "&fence->inline_lock");
  cpu.mem.writeOnce(fence + DMA_FENCE_FLAGS, lock !== 0 ? flags : flags | DMA_FENCE_FLAG_INLINE_LOCK);
  cpu.mem.writeOnce(fence + DMA_FENCE_ERROR, 0);
  count(cpu, INITIALISED);
}

/** As dma_fence_init; the sequence numbers are compared as 64 bits and never wrap. */
export function dma_fence_init64(
  cpu: Cpu,
  fence: DmaFencePtr,
  ops: number,
  lock: number,
  context: number,
  seqno: number,
): void {
  const flags = DMA_FENCE_FLAG_INITIALIZED | DMA_FENCE_FLAG_SEQNO64;
  __dma_fence_init(cpu, fence, ops, lock, context, seqno, flags);
}

/** Has dma_fence_init seen it? For structs that hold a fence not always used. */
export function dma_fence_was_initialized(cpu: Cpu, fence: DmaFencePtr): boolean {
  return fence !== 0 && (cpu.mem.readOnce(fence + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_INITIALIZED) !== 0;
}

/** One more fence signaled here. */
export function __dma_fence_count_signaled(cpu: Cpu): void {
  count(cpu, NR_SIGNALED);
}

function count(cpu: Cpu, counter: number): void {
  const word = this_cpu_ptr(cpu, COUNTERS) + counter;
  cpu.mem.writeOnce(word, cpu.mem.read(word) + 1);
}

export interface DmaFenceCounters {
  readonly initialised: number;
  readonly signalled: number;
}

/** Sums over all CPUs; exact when nobody runs. */
export function dma_fence_counters(cpu: Cpu): DmaFenceCounters {
  let initialised = 0;
  let signalled = 0;
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    initialised += cpu.mem.readOnce(per_cpu_ptr(cpu, COUNTERS, id) + INITIALISED);
    signalled += cpu.mem.readOnce(per_cpu_ptr(cpu, COUNTERS, id) + NR_SIGNALED);
  }
  return { initialised, signalled };
}

/** Just the bit: signaled, and everybody may know. */
export function dma_fence_test_signaled_flag(cpu: Cpu, fence: DmaFencePtr): boolean {
  // Pairs with the fetchOr in dma_fence_signal_timestamp_locked; without it a reader could act on "done" and
  // still read what the work had not yet written.
  return (cpu.mem.loadAcquire(fence + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_SIGNALED) !== 0;
}

/** The driver's name; of a signaled fence the driver may be gone. */
export function dma_fence_driver_name(cpu: Cpu, fence: DmaFencePtr): string {
  const name = dma_fence_op(cpu, fence, DMA_FENCE_OPS_GET_DRIVER_NAME);
  if (name === 0) return "detached-driver";
  return string_text(cpu, symbol_call(cpu, name, fence) as KernelString);
}
export function dma_fence_timeline_name(cpu: Cpu, fence: DmaFencePtr): string {
  const name = dma_fence_op(cpu, fence, DMA_FENCE_OPS_GET_TIMELINE_NAME);
  if (name === 0) return "signaled-timeline";
  return string_text(cpu, symbol_call(cpu, name, fence) as KernelString);
}

/** The spinlock of the fence: its own, or the one given at dma_fence_init. */
export function dma_fence_spinlock(cpu: Cpu, fence: DmaFencePtr): number {
  // Constant since dma_fence_init, like all that this flag chooses between.
  const own = (cpu.mem.readOnce(fence + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_INLINE_LOCK) !== 0;
  return own ? fence + LOCK : cpu.mem.read(fence + LOCK);
}
export function dma_fence_lock_irqsave(cpu: Cpu, fence: DmaFencePtr): void {
  spin_lock_irqsave(cpu, dma_fence_spinlock(cpu, fence));
}
/** The interrupts that waited for it come here: works of arrays and chains that callbacks have queued. */
export function dma_fence_unlock_irqrestore(cpu: Cpu, fence: DmaFencePtr): void {
  spin_unlock_irqrestore(cpu, dma_fence_spinlock(cpu, fence));
  irq_work_tick(cpu);
}

/** The table of operations, or 0 when the fence needs none any more. */
export function dma_fence_ops(cpu: Cpu, fence: DmaFencePtr): number {
  return cpu.mem.readOnce(fence + OPS);
}
/** Signaled: whoever made the fence may go. A release or wait of its own is needed to the end. Lock held. */
export function __dma_fence_detach_ops(cpu: Cpu, fence: DmaFencePtr): void {
  const ops = dma_fence_ops(cpu, fence);
  if (cpu.mem.read(ops + DMA_FENCE_OPS_RELEASE) === 0 && cpu.mem.read(ops + DMA_FENCE_OPS_WAIT) === 0) {
    cpu.mem.writeOnce(fence + OPS, 0);
  }
}
/** One of the operations, 0 if there is none. Tables stay for ever here: no read section is needed. */
export function dma_fence_op(cpu: Cpu, fence: DmaFencePtr, op: number): SymbolId {
  const ops = dma_fence_ops(cpu, fence);
  return ops === 0 ? 0 : cpu.mem.read(ops + op);
}
export function dma_fence_context(cpu: Cpu, fence: DmaFencePtr): number {
  return cpu.mem.read64(fence + CONTEXT);
}
export function dma_fence_seqno(cpu: Cpu, fence: DmaFencePtr): number {
  return cpu.mem.read64(fence + SEQNO);
}
export function dma_fence_error(cpu: Cpu, fence: DmaFencePtr): number {
  return cpu.mem.readOnce(fence + DMA_FENCE_ERROR);
}
/** Are its sequence numbers 64 bits wide? */
export function dma_fence_seqno64(cpu: Cpu, fence: DmaFencePtr): boolean {
  return (cpu.mem.readOnce(fence + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_SEQNO64) !== 0;
}

/** Element `index` of an array of fences at `fences`. */
export function __dma_fence_at(cpu: Cpu, fences: number, index: number): DmaFencePtr {
  return cpu.mem.read(fences + index * 4) as DmaFencePtr;
}
