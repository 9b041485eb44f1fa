/**
 * work_struct (include/linux/workqueue.h) and the meaning of its data word.
 *
 * PENDING is the ownership of the item: who sets it queues the work; it is cleared just before the function
 * runs. While queued, data also holds the pool_workqueue and the flush colour; otherwise the pool that ran it
 * last and how often it was disabled. Except for the setting of PENDING, data changes under the pool's lock, or
 * while the changer owns PENDING. Anybody may set PENDING any time, so data is read with readOnce under the lock, too.
 */
import type { Ptr } from "atomics-sync";
import type { SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { debug_obj_type, debug_object_init, type DebugObjType } from "../debug/objects.ts";
import { INIT_LIST_HEAD } from "../mm/list.ts";
import type { Cpu } from "./cpu.ts";
import { POOL_ID, worker_pool } from "./wq-worker.ts";

export type WorkPtr = Ptr<"work_struct">;
export type WorkqueuePtr = Ptr<"workqueue_struct">;
/** Bits that work_busy returns. */
export const WORK_BUSY_PENDING = 1;
export const WORK_BUSY_RUNNING = 2;

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

// The data word. Bits 0-3: flags. On a queue: bits 4-6 colour, the rest the pool_workqueue (128-aligned).
// Off queue: bit 4 dropped, bits 8-15 pool id + 1 (0: never ran), bits 16-30 disable depth.
export const WORK_STRUCT_PENDING = 1;
/** Waits behind max_active; also on every barrier: neither counts as active. */
export const WORK_STRUCT_INACTIVE = 2;
/** On a queue: data holds the pool_workqueue. */
export const WORK_STRUCT_PWQ = 4;
/** The next entry is a barrier for this one and moves with it. */
export const WORK_STRUCT_LINKED = 8;
/** Off queue, PENDING, and it stays so: a draining queue has refused the item (Linux tells nobody). */
export const WORK_OFFQ_DROPPED = 16;

/** Debug objects know a work from its queueing until it runs. */
export const WORK_DEBUG: DebugObjType = debug_obj_type("work_struct", 0);

const COLOR_SHIFT = 4;
const COLOR_MASK = 7;
/** Flush colours 0 ... 6. */
export const WORK_NR_COLORS = 7;
const PWQ_MASK = -128;
export const PWQ_ALIGN = 128;
const POOL_SHIFT = 8;
const POOL_MASK = 0xff00;
const DISABLE_SHIFT = 16;
const DISABLE_MASK = 0x7fff0000;
export const WORK_OFFQ_DISABLE_MAX = 0x7fff;

/**
 * Prepares the work; `fn(cpu, work)` runs. Legal on an item whose function runs, if that function never touches
 * the item again: the core keeps its own copy of what it runs.
 */
export function INIT_WORK(cpu: Cpu, work: number, fn: SymbolId): void {
  if (cpu.lockdep) debug_object_init(cpu, work);
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

/** get_work_pwq(): the pool_workqueue the item is on, or 0. */
export function data_pwq(data: number): number {
  return data_is_queued(data) ? data & PWQ_MASK : 0;
}

/** Colour of a queued item. */
export function data_color(data: number): number {
  return (data >> COLOR_SHIFT) & COLOR_MASK;
}

/** The pool that ran an item last, or 0. */
export function offq_pool(cpu: Cpu, data: number): number {
  const id = (data & POOL_MASK) >> POOL_SHIFT;
  return id === 0 ? 0 : worker_pool(cpu, id - 1);
}

/** An off-queue item that ran last on another pool than the one with number `id`. */
export function ran_elsewhere(data: number, id: number): boolean {
  const last = (data & POOL_MASK) >> POOL_SHIFT;
  return last !== 0 && last !== id + 1;
}

export function offq_disable_depth(data: number): number {
  return data_is_queued(data) ? 0 : (data & DISABLE_MASK) >> DISABLE_SHIFT;
}

/** Data of an item that is on `pwq`. */
export function queued_data(pwq: number, color: number, flags: number): number {
  return pwq | (color << COLOR_SHIFT) | flags | WORK_STRUCT_PENDING | WORK_STRUCT_PWQ;
}

/** Data of an item that is on no queue. */
export function offq_data(cpu: Cpu, pool: number, disable: number): number {
  const id = pool === 0 ? 0 : cpu.mem.read(pool + POOL_ID) + 1;
  return (id << POOL_SHIFT) | (disable << DISABLE_SHIFT);
}

export function set_work_data(cpu: Cpu, work: number, data: number): void {
  // Pairs with the fetchOr in work_claim. Cleared before the function runs: a queuer that finds PENDING set has
  // made its stores before this one, so the function sees them; one that finds it clear gets another run.
  cpu.mem.storeRelease(work + WORK_DATA, data);
}
