/**
 * workqueue_struct (kernel/workqueue.c) and how a work gets onto a pool: max_active, the FIFO of works above
 * it, flush colours. Unlike Linux a workqueue has one pool, so struct pool_workqueue is part of it.
 *
 * All changing fields are guarded by the pool's lock, except the flushers' wait queue, which has its own.
 * Lock order: pool lock, then the wait queue's.
 */
import type { SymbolId } from "../debug/image.ts";
import { symbol_name } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { site_text } from "../debug/site.ts";
import { WARN_ON, WARN_ONCE } from "../debug/warn.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { list_add_tail, list_empty, list_move_tail, list_next } from "../mm/list.ts";
import type { Cpu } from "./cpu.ts";
import { WAIT_QUEUE_HEAD_SIZE, wake_up_all } from "./wait.ts";
import {
  data_color,
  offq_data,
  offq_disable_depth,
  queued_data,
  set_work_data,
  WORK_DATA,
  WORK_ENTRY,
  WORK_FUNC,
  WORK_NO_COLOR,
  WORK_NR_COLORS,
  WORK_STRUCT_INACTIVE,
  WORK_STRUCT_LINKED,
  WORK_STRUCT_PENDING,
  work_claim,
  type WorkPtr,
  type WorkqueuePtr,
} from "./wq-work.ts";
import { kick_pool, POOL_LOCK, POOL_NR_QUEUED, POOL_WORKLIST, WORKER_CURRENT_WQ } from "./wq-worker.ts";

// Constant:
export const WQ_POOL = 0;
export const WQ_MAX_ACTIVE_NR = 4;
/** Site number of the name. */
export const WQ_NAME = 8;
/** What kzalloc returned; 0 for static workqueues. */
export const WQ_ALLOCATION = 12;
// Guarded by the pool lock:
export const WQ_FLAGS = 16;
export const WQ_NR_ACTIVE = 20;
/** Works above max_active, FIFO. */
export const WQ_INACTIVE = 24;
export const WQ_NR_DRAINERS = 32;
/** Colour of works queued now. */
export const WQ_WORK_COLOR = 36;
/** Bit c: a flusher waits for colour c, which may not be used again yet. */
export const WQ_FLUSHING = 40;
/** Works per colour that have not finished, inactive ones included. */
export const WQ_NR_IN_FLIGHT = 44;
// Own lock:
export const WQ_FLUSH_WAITQ = WQ_NR_IN_FLIGHT + WORK_NR_COLORS * 4;
export const WORKQUEUE_SIZE = 128;

struct_layout("workqueue_struct", WORKQUEUE_SIZE, [
  ["pool", WQ_POOL, 4],
  ["max_active", WQ_MAX_ACTIVE_NR, 4],
  ["name", WQ_NAME, 4],
  ["allocation", WQ_ALLOCATION, 4],
  ["flags", WQ_FLAGS, 4],
  ["nr_active", WQ_NR_ACTIVE, 4],
  ["inactive_works", WQ_INACTIVE, 8],
  ["nr_drainers", WQ_NR_DRAINERS, 4],
  ["work_color", WQ_WORK_COLOR, 4],
  ["flushing", WQ_FLUSHING, 4],
  ...Array.from(
    { length: WORK_NR_COLORS },
    (_, c) => [`nr_in_flight[${c}]`, WQ_NR_IN_FLIGHT + c * 4, 4] as const,
  ),
  ["flush_waitq.lock", WQ_FLUSH_WAITQ, 4],
  ["flush_waitq.next", WQ_FLUSH_WAITQ + 4, 4],
  ["flush_waitq.prev", WQ_FLUSH_WAITQ + WAIT_QUEUE_HEAD_SIZE - 4, 4],
]);

/** Queue flags of alloc_workqueue. */
export const WQ_UNBOUND = 1 << 1;
export const WQ_FREEZABLE = 1 << 2;
export const WQ_MEM_RECLAIM = 1 << 3;
export const WQ_HIGHPRI = 1 << 4;
export const WQ_CPU_INTENSIVE = 1 << 5;
export const __WQ_DESTROYING = 1 << 15;
export const __WQ_DRAINING = 1 << 16;
export const __WQ_ORDERED = 1 << 17;

export function wq_flags(cpu: Cpu, wq: number): number {
  return cpu.mem.loadAcquire(wq + WQ_FLAGS);
}

export function wq_name(cpu: Cpu, wq: number): string {
  return site_text(cpu, cpu.mem.read(wq + WQ_NAME));
}

export function wq_pool(cpu: Cpu, wq: number): number {
  return cpu.mem.read(wq + WQ_POOL);
}

/** is_chained_work(): the running task is a worker that executes a work of `wq`. */
function is_chained_work(cpu: Cpu, wq: number): boolean {
  return cpu.worker !== 0 && cpu.mem.read(cpu.worker + WORKER_CURRENT_WQ) === wq;
}

function warn_cannot_queue(cpu: Cpu, wq: number, func: SymbolId): void {
  WARN_ONCE(cpu, true, `workqueue: cannot queue ${symbol_name(func)} on wq ${wq_name(cpu, wq)}`);
}

/** Queues a work. True iff this call made it pending; false: it is pending already and will still run. */
export function queue_work(cpu: Cpu, wq: WorkqueuePtr, work: WorkPtr | number): boolean {
  if (!work_claim_enabled(cpu, work)) return false;
  __queue_work(cpu, wq, work);
  return true;
}

/** Takes PENDING unless another has it or the work is disabled. */
export function work_claim_enabled(cpu: Cpu, work: number): boolean {
  const old = work_claim(cpu, work);
  if ((old & WORK_STRUCT_PENDING) !== 0) return false;
  if (offq_disable_depth(old) === 0) return true;
  set_work_data(cpu, work, old);
  return false;
}

/** Puts a work whose PENDING the caller has set onto the queue. */
export function __queue_work(cpu: Cpu, wq: WorkqueuePtr, work: WorkPtr | number): void {
  if ((wq_flags(cpu, wq) & (__WQ_DRAINING | __WQ_DESTROYING)) !== 0 && !is_chained_work(cpu, wq)) {
    // As in Linux the item is dropped and stays PENDING.
    warn_cannot_queue(cpu, wq, cpu.mem.read(work + WORK_FUNC));
    return;
  }
  const pool = wq_pool(cpu, wq);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  if (!WARN_ON(cpu, !list_empty(cpu, work + WORK_ENTRY))) insert_new_work(cpu, wq, pool, work);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
}

function insert_new_work(cpu: Cpu, wq: WorkqueuePtr, pool: number, work: number): void {
  const color = cpu.mem.read(wq + WQ_WORK_COLOR);
  const in_flight = wq + WQ_NR_IN_FLIGHT + color * 4;
  cpu.mem.write(in_flight, cpu.mem.read(in_flight) + 1);
  cpu.mem.write(pool + POOL_NR_QUEUED, cpu.mem.read(pool + POOL_NR_QUEUED) + 1);
  const active = cpu.mem.read(wq + WQ_NR_ACTIVE);
  if (active < cpu.mem.read(wq + WQ_MAX_ACTIVE_NR)) {
    cpu.mem.write(wq + WQ_NR_ACTIVE, active + 1);
    insert_work(cpu, work, queued_data(wq, color, 0), pool + POOL_WORKLIST);
    kick_pool(cpu, pool);
  } else insert_work(cpu, work, queued_data(wq, color, WORK_STRUCT_INACTIVE), wq + WQ_INACTIVE);
}

/** Inserts before `head`: at the tail of a list, or before an entry. Pool lock held. */
export function insert_work(cpu: Cpu, work: number, data: number, head: number): void {
  set_work_data(cpu, work, data);
  list_add_tail(cpu, work + WORK_ENTRY, head);
}

/** Moves a work and the barriers linked behind it to the tail of `head`. Pool lock held. */
export function move_linked_works(cpu: Cpu, work: number, head: number): void {
  let at = work;
  for (;;) {
    const next = list_next(cpu, at + WORK_ENTRY) - WORK_ENTRY;
    const linked = (cpu.mem.read(at + WORK_DATA) & WORK_STRUCT_LINKED) !== 0;
    list_move_tail(cpu, at + WORK_ENTRY, head);
    if (!linked) return;
    at = next;
  }
}

/** A work of `wq` left the queue for good: lets the next inactive one in, tells flushers. Pool lock held. */
export function wq_dec_nr_in_flight(cpu: Cpu, wq: number, data: number): void {
  if (data_color(data) === WORK_NO_COLOR) return;
  if ((data & WORK_STRUCT_INACTIVE) === 0) {
    cpu.mem.write(wq + WQ_NR_ACTIVE, cpu.mem.read(wq + WQ_NR_ACTIVE) - 1);
    activate_first_inactive(cpu, wq);
  }
  const in_flight = wq + WQ_NR_IN_FLIGHT + data_color(data) * 4;
  const left = cpu.mem.read(in_flight) - 1;
  cpu.mem.write(in_flight, left);
  // Under the pool lock: the flusher sees 0 only after we are done with the queue, which it may then destroy.
  if (left === 0 && cpu.mem.read(wq + WQ_FLUSHING) !== 0) wake_up_all(cpu, wq + WQ_FLUSH_WAITQ);
}

function activate_first_inactive(cpu: Cpu, wq: number): void {
  if (list_empty(cpu, wq + WQ_INACTIVE)) return;
  if (cpu.mem.read(wq + WQ_NR_ACTIVE) >= cpu.mem.read(wq + WQ_MAX_ACTIVE_NR)) return;
  const work = list_next(cpu, wq + WQ_INACTIVE) - WORK_ENTRY;
  cpu.mem.write(wq + WQ_NR_ACTIVE, cpu.mem.read(wq + WQ_NR_ACTIVE) + 1);
  set_work_data(cpu, work, cpu.mem.read(work + WORK_DATA) & ~WORK_STRUCT_INACTIVE);
  move_linked_works(cpu, work, cpu.mem.read(wq + WQ_POOL) + POOL_WORKLIST);
}

/** Takes the item off its queue's books: it runs now. Pool lock held. */
export function clear_work_pending(cpu: Cpu, work: number, pool: number): void {
  set_work_data(cpu, work, offq_data(pool, 0));
}
