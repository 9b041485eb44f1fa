/**
 * work_struct (include/linux/workqueue.h) and the meaning of its data word.
 *
 * PENDING is the ownership of the item: who sets it queues the work; it is cleared just before the function
 * runs. While queued, data also holds the workqueue and the flush colour; otherwise the pool that ran it last
 * and how often it was disabled. Except for the setting of PENDING, data changes under the pool's lock, or
 * while the changer owns PENDING.
 */
import type { Ptr } from "atomics-sync";
import type { SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { INIT_LIST_HEAD } from "../mm/list.ts";
import type { Cpu } from "./cpu.ts";
import { worker_pool, worker_pool_id } from "./wq-worker.ts";

export type WorkPtr = Ptr<"work_struct">;
export type WorkqueuePtr = Ptr<"workqueue_struct">;

export const WORK_DATA = 0;
export const WORK_ENTRY = 4;
export const WORK_FUNC = 12;
export const WORK_STRUCT_SIZE = 16;

struct_layout("work_struct", WORK_STRUCT_SIZE, [
  ["data", WORK_DATA, 4],
  ["entry.next", WORK_ENTRY, 4],
  ["entry.prev", WORK_ENTRY + 4, 4],
  ["func", WORK_FUNC, 4],
]);

// The data word. Bits 0-3: flags. On a queue: bits 4-6 colour, the rest the workqueue (128-aligned).
// Off queue: bits 8-15 pool id + 1 (0: never ran), bits 16-30 disable depth.
export const WORK_STRUCT_PENDING = 1;
/** Waits behind max_active. */
export const WORK_STRUCT_INACTIVE = 2;
/** On a queue: data holds the workqueue. */
export const WORK_STRUCT_PWQ = 4;
/** The next entry is a barrier for this one and moves with it. */
export const WORK_STRUCT_LINKED = 8;

const COLOR_SHIFT = 4;
const COLOR_MASK = 7;
/** Flush colours 0 ... 6. */
export const WORK_NR_COLORS = 7;
/** Barriers have no colour: they count neither as active nor as in flight. */
export const WORK_NO_COLOR = 7;
const WQ_MASK = -128;
export const WORKQUEUE_ALIGN = 128;
const POOL_SHIFT = 8;
const POOL_MASK = 0xff00;
const DISABLE_SHIFT = 16;
const DISABLE_MASK = 0x7fff0000;

/**
 * Prepares the work; `fn(cpu, work)` runs. Legal on an item whose function runs, if that function never touches
 * the item again: the core keeps its own copy of what it runs.
 */
export function INIT_WORK(cpu: Cpu, work: number, fn: SymbolId): void {
  cpu.mem.write(work + WORK_DATA, 0);
  INIT_LIST_HEAD(cpu, work + WORK_ENTRY);
  cpu.mem.write(work + WORK_FUNC, fn);
}

/** True from queueing until just before the function runs. */
export function work_pending(cpu: Cpu, work: number): boolean {
  return (work_data(cpu, work) & WORK_STRUCT_PENDING) !== 0;
}

export function work_data(cpu: Cpu, work: number): number {
  return cpu.mem.loadAcquire(work + WORK_DATA);
}

/** test_and_set PENDING; the old word. A full barrier even when it was set: see clear_work_pending. */
export function work_claim(cpu: Cpu, work: number): number {
  return cpu.mem.fetchOr(work + WORK_DATA, WORK_STRUCT_PENDING);
}

export function data_is_queued(data: number): boolean {
  return (data & WORK_STRUCT_PWQ) !== 0;
}

/** get_work_pwq(): the workqueue the item is on, or 0. */
export function data_wq(data: number): WorkqueuePtr {
  return (data_is_queued(data) ? data & WQ_MASK : 0) as WorkqueuePtr;
}

/** Colour of a queued item. */
export function data_color(data: number): number {
  return (data >> COLOR_SHIFT) & COLOR_MASK;
}

/** The pool that ran an item last, or 0. */
export function offq_pool(data: number): number {
  const id = (data & POOL_MASK) >> POOL_SHIFT;
  return id === 0 ? 0 : worker_pool(id - 1);
}

export function offq_disable_depth(data: number): number {
  return data_is_queued(data) ? 0 : (data & DISABLE_MASK) >> DISABLE_SHIFT;
}

/** Data of an item that is on `wq`. */
export function queued_data(wq: number, color: number, flags: number): number {
  return wq | (color << COLOR_SHIFT) | flags | WORK_STRUCT_PENDING | WORK_STRUCT_PWQ;
}

/** Data of an item that is on no queue. */
export function offq_data(pool: number, disable: number): number {
  const id = pool === 0 ? 0 : worker_pool_id(pool) + 1;
  return (id << POOL_SHIFT) | (disable << DISABLE_SHIFT);
}

export function set_work_data(cpu: Cpu, work: number, data: number): void {
  // Pairs with the fetchOr in work_claim. Cleared before the function runs: a queuer that finds PENDING set has
  // made its stores before this one, so the function sees them; one that finds it clear gets another run.
  cpu.mem.storeRelease(work + WORK_DATA, data);
}
