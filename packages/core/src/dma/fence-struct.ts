/**
 * struct dma_fence (include/linux/dma-fence.h): layout, initialisation, and what can be read without a verb.
 * The contract is in fence.ts.
 */
import type { Ptr } from "atomics-sync";
import { percpu_static, symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { type KernelString, string_text } from "../debug/strings.ts";
import { BUG_ON } from "../debug/warn.ts";
import { INIT_LIST_HEAD } from "../mm/list.ts";
import { refcount_set } from "../ref/refcount.ts";
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
export const DMA_FENCE_OPS_WORDS = 6;

// Constant after dma_fence_init:
const LOCK = 0;
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
export const DMA_FENCE_FLAG_SEQNO64 = 1;
export const DMA_FENCE_FLAG_SIGNALED = 2;
export const DMA_FENCE_FLAG_TIMESTAMP = 4;
export const DMA_FENCE_FLAG_ENABLE_SIGNAL = 8;

/** Per-CPU, each word written by its CPU alone. */
const COUNTERS = percpu_static("dma_fence_counters", 8);
const INITIALISED = 0;
const NR_SIGNALED = 4;

/** Prepares a fence with one reference. `lock` is a spinlock that outlives it, maybe its own. */
export function dma_fence_init(
  cpu: Cpu,
  fence: DmaFencePtr,
  ops: number,
  lock: number,
  context: number,
  seqno: number,
): void {
  BUG_ON(cpu, lock === 0 || ops === 0, "dma_fence_init: !lock || !ops");
  const names =
    cpu.mem.read(ops + DMA_FENCE_OPS_GET_DRIVER_NAME) !== 0 &&
    cpu.mem.read(ops + DMA_FENCE_OPS_GET_TIMELINE_NAME) !== 0;
  BUG_ON(cpu, !names, "dma_fence_init: !ops->get_driver_name || !ops->get_timeline_name");
  refcount_set(cpu, fence + DMA_FENCE_REFCOUNT, 1);
  cpu.mem.write(fence + OPS, ops);
  INIT_LIST_HEAD(cpu, fence + DMA_FENCE_CB_LIST);
  cpu.mem.write(fence + LOCK, lock);
  cpu.mem.write64(fence + CONTEXT, context);
  cpu.mem.write64(fence + SEQNO, seqno);
  cpu.mem.writeOnce(fence + DMA_FENCE_FLAGS, 0);
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
  dma_fence_init(cpu, fence, ops, lock, context, seqno);
  cpu.mem.fetchOr(fence + DMA_FENCE_FLAGS, DMA_FENCE_FLAG_SEQNO64);
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
export function dma_fence_is_signaled_flag(cpu: Cpu, fence: DmaFencePtr): boolean {
  // Pairs with the fetchOr in dma_fence_signal_locked; without it a reader could act on "done" and still
  // read what the work had not yet written.
  return (cpu.mem.loadAcquire(fence + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_SIGNALED) !== 0;
}

export function dma_fence_driver_name(cpu: Cpu, fence: DmaFencePtr): string {
  const name = symbol_call(cpu, dma_fence_op(cpu, fence, DMA_FENCE_OPS_GET_DRIVER_NAME), fence);
  return string_text(cpu, name as KernelString);
}
export function dma_fence_timeline_name(cpu: Cpu, fence: DmaFencePtr): string {
  const name = symbol_call(cpu, dma_fence_op(cpu, fence, DMA_FENCE_OPS_GET_TIMELINE_NAME), fence);
  return string_text(cpu, name as KernelString);
}

export function dma_fence_lock(cpu: Cpu, fence: DmaFencePtr): number {
  return cpu.mem.read(fence + LOCK);
}
export function dma_fence_op(cpu: Cpu, fence: DmaFencePtr, op: number): SymbolId {
  return cpu.mem.read(cpu.mem.read(fence + OPS) + op);
}
export function dma_fence_context(cpu: Cpu, fence: DmaFencePtr): number {
  return cpu.mem.read64(fence + CONTEXT);
}
export function dma_fence_seqno(cpu: Cpu, fence: DmaFencePtr): number {
  return cpu.mem.read64(fence + SEQNO);
}
/** Are its sequence numbers 64 bits wide? */
export function dma_fence_seqno64(cpu: Cpu, fence: DmaFencePtr): boolean {
  return (cpu.mem.readOnce(fence + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_SEQNO64) !== 0;
}
