/**
 * What the cases of suite "workqueue" share: works that count, sleep, note their order or wait at a gate, and the
 * memory they count in.
 *
 * Interface: `const batch = batch_alloc(cpu, n, FN)`, queue its items, then batch_free. Items are idle by then.
 */
import { kernel_symbol, type SymbolId } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import {
  complete,
  COMPLETION_SIZE,
  init_completion,
  wait_for_completion,
  wait_for_completion_timeout,
} from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep, udelay } from "@ringside/core/sched/delay";
import {
  DELAYED_WORK_SIZE,
  flush_workqueue,
  INIT_WORK,
  queue_work,
  raw_smp_processor_id,
  type WorkqueuePtr,
} from "@ringside/core/sched/workqueue";
import type { Checks } from "../checks.ts";

/** What bound queues are: the kernel names it since 6.17; 0 means the same. */
export const WQ_PERCPU = 0;

// An item: a work, delayed work or rcu work, then how often it ran, where last, its batch.
const RUNS = DELAYED_WORK_SIZE;
const RAN_ON = RUNS + 4;
const BATCH = RUNS + 8;
const ITEM_SIZE = 64;

// A batch: counters, gates, an array of what ran in which order, the items.
const DONE = 0;
const LIVE = 4;
const PEAK = 8;
const STARTED = 16;
const GATE = STARTED + COMPLETION_SIZE;
const FINISHED = GATE + COMPLETION_SIZE;
const ORDER_MAX = 64;
const ORDER = FINISHED + COMPLETION_SIZE;
const ITEMS = ORDER + ORDER_MAX * 4;

/** Longest wait for something that must happen, ms: only to end a test that has failed. */
export const LONG_MS = 20_000;
/** How long works of NAP sleep. */
export const NAP_MS = 20;

export const COUNT = kernel_symbol(count);
export const NAP = kernel_symbol(nap_and_count);
export const NOTE_ORDER = kernel_symbol(note_order);
export const WAIT_AT_GATE = kernel_symbol(wait_at_gate);

export interface Batch {
  readonly base: number;
  readonly size: number;
}

/** Allocates `size` items with function `fn`. */
export function batch_alloc(cpu: Cpu, size: number, fn: SymbolId): Batch {
  const batch = { base: kzalloc(cpu, ITEMS + size * ITEM_SIZE, GFP_KERNEL), size };
  batch_reset(cpu, batch, fn);
  return batch;
}

/** All counters to zero, all works new. */
export function batch_reset(cpu: Cpu, batch: Batch, fn: SymbolId): void {
  const { base, size } = batch;
  cpu.mem.memset(base, 0, ITEMS);
  init_completion(cpu, base + STARTED);
  init_completion(cpu, base + GATE);
  init_completion(cpu, base + FINISHED);
  for (let i = 0; i < size; i++) {
    INIT_WORK(cpu, item(batch, i), fn);
    cpu.mem.write(item(batch, i) + RUNS, 0);
    cpu.mem.write(item(batch, i) + RAN_ON, -1);
    cpu.mem.write(item(batch, i) + BATCH, base);
  }
}

export function batch_free(cpu: Cpu, batch: Batch): void {
  kfree(cpu, batch.base);
}

export function item(batch: Batch, i: number): number {
  return batch.base + ITEMS + i * ITEM_SIZE;
}

export function runs(cpu: Cpu, work: number): number {
  return cpu.mem.loadAcquire(work + RUNS);
}

/** CPU the item ran on last; -1 if it never ran. */
export function ran_on(cpu: Cpu, work: number): number {
  return cpu.mem.loadAcquire(work + RAN_ON);
}

export function done_count(cpu: Cpu, batch: Batch): number {
  return cpu.mem.loadAcquire(batch.base + DONE);
}

/** Most works of the batch that ever ran at once. */
export function peak(cpu: Cpu, batch: Batch): number {
  return cpu.mem.loadAcquire(batch.base + PEAK);
}

/** Number of the work that ran as the i-th. */
export function order(cpu: Cpu, batch: Batch, i: number): number {
  const work = cpu.mem.loadAcquire(batch.base + ORDER + i * 4);
  return (work - item(batch, 0)) / ITEM_SIZE;
}

export function started(batch: Batch): number {
  return batch.base + STARTED;
}

export function gate(batch: Batch): number {
  return batch.base + GATE;
}

export function finished(batch: Batch): number {
  return batch.base + FINISHED;
}

/** Polls until `count` works of the batch are done. */
export function wait_done(cpu: Cpu, batch: Batch, expected: number): boolean {
  for (let ms = 0; ms < LONG_MS; ms++) {
    if (done_count(cpu, batch) >= expected) return true;
    msleep(cpu, 1);
  }
  return false;
}

/** Waits until a work at the gate has begun. */
export function wait_started(cpu: Cpu, t: Checks, batch: Batch): void {
  t.ok(wait_for_completion_timeout(cpu, started(batch), LONG_MS) > 0, "the work at the gate starts");
}

export function queue_all(cpu: Cpu, wq: WorkqueuePtr, batch: Batch): void {
  for (let i = 0; i < batch.size; i++) queue_work(cpu, wq, item(batch, i));
}

/** Runs the whole batch through the queue; its peak. */
export function run_batch(cpu: Cpu, wq: WorkqueuePtr, batch: Batch, fn: SymbolId): number {
  batch_reset(cpu, batch, fn);
  queue_all(cpu, wq, batch);
  flush_workqueue(cpu, wq);
  return peak(cpu, batch);
}

function enter(cpu: Cpu, batch: number): void {
  const live = cpu.mem.fetchAdd(batch + LIVE, 1) + 1;
  for (;;) {
    const most = cpu.mem.loadAcquire(batch + PEAK);
    if (most >= live || cpu.mem.compareExchange(batch + PEAK, most, live) === most) return;
  }
}

function leave(cpu: Cpu, work: number, batch: number): void {
  cpu.mem.fetchSub(batch + LIVE, 1);
  cpu.mem.storeRelease(work + RAN_ON, raw_smp_processor_id(cpu));
  cpu.mem.fetchAdd(work + RUNS, 1);
  cpu.mem.fetchAdd(batch + DONE, 1);
}

function count(cpu: Cpu, work: number): void {
  const batch = cpu.mem.read(work + BATCH);
  enter(cpu, batch);
  leave(cpu, work, batch);
}

function nap_and_count(cpu: Cpu, work: number): void {
  const batch = cpu.mem.read(work + BATCH);
  enter(cpu, batch);
  msleep(cpu, NAP_MS);
  leave(cpu, work, batch);
}

function note_order(cpu: Cpu, work: number): void {
  const batch = cpu.mem.read(work + BATCH);
  enter(cpu, batch);
  const place = cpu.mem.loadAcquire(batch + DONE);
  if (place < ORDER_MAX) cpu.mem.storeRelease(batch + ORDER + place * 4, work);
  // Widens the window for a second one.
  udelay(cpu, 50);
  leave(cpu, work, batch);
}

/** Holds its place until the gate opens. */
function wait_at_gate(cpu: Cpu, work: number): void {
  const batch = cpu.mem.read(work + BATCH);
  enter(cpu, batch);
  complete(cpu, batch + STARTED);
  wait_for_completion(cpu, batch + GATE);
  leave(cpu, work, batch);
  complete(cpu, batch + FINISHED);
}
