/**
 * pool_workqueue (kernel/workqueue.c): a workqueue on one pool. max_active and the FIFO of works above it, flush
 * colours, and how works move between the lists. Queued works point to it, so it is 128-aligned.
 *
 * A work counts in nr_in_flight of its colour from queueing to its end, and in nr_active unless it is INACTIVE.
 * Barriers have the colour of the work they follow and are always INACTIVE: so nobody frees the pwq before the
 * last barrier has run, and they need no room under max_active.
 */
import { struct_layout } from "../debug/layout.ts";
import { debug_object_activate } from "../debug/objects.ts";
import { INIT_LIST_HEAD, list_add_tail, list_empty, list_move_tail, list_next } from "../mm/list.ts";
import type { Cpu } from "./cpu.ts";
import { wake_up_all } from "./wait.ts";
import { WQ_CPU_INTENSIVE, wq_flags, WQ_FLUSH_WAITQ, WQ_FLUSHING } from "./wq-queue.ts";
import {
  data_color,
  PWQ_ALIGN,
  queued_data,
  set_work_data,
  WORK_DATA,
  WORK_DEBUG,
  WORK_ENTRY,
  WORK_FUNC,
  WORK_NR_COLORS,
  WORK_STRUCT_INACTIVE,
  WORK_STRUCT_LINKED,
} from "./wq-work.ts";
import { kick_pool, POOL_NR_QUEUED, POOL_WORKLIST } from "./wq-worker.ts";

// Constant:
export const PWQ_POOL = 0;
export const PWQ_WQ = 4;
// Guarded by the pool lock:
/** Colour of works queued now. */
export const PWQ_WORK_COLOR = 8;
export const PWQ_NR_ACTIVE = 12;
export const PWQ_MAX_ACTIVE = 16;
/** Works above max_active, FIFO. */
export const PWQ_INACTIVE = 20;
/** Works per colour that have not finished, inactive ones and barriers included. */
export const PWQ_NR_IN_FLIGHT = 28;
// Constant, close to what is used with it:
/** Not 0: works of the queue are CPU intensive. */
export const PWQ_CPU_INTENSIVE = PWQ_NR_IN_FLIGHT + WORK_NR_COLORS * 4;
// Guarded by wq_mayday_lock:
export const PWQ_MAYDAY_NODE = PWQ_CPU_INTENSIVE + 4;
export const PWQ_SIZE: number = PWQ_ALIGN;

struct_layout("pool_workqueue", PWQ_SIZE, [
  ["pool", PWQ_POOL, 4],
  ["wq", PWQ_WQ, 4],
  ["work_color", PWQ_WORK_COLOR, 4],
  ["nr_active", PWQ_NR_ACTIVE, 4],
  ["max_active", PWQ_MAX_ACTIVE, 4],
  ["inactive_works.next", PWQ_INACTIVE, 4],
  ["inactive_works.prev", PWQ_INACTIVE + 4, 4],
  ...Array.from(
    { length: WORK_NR_COLORS },
    (_, c) => [`nr_in_flight[${c}]`, PWQ_NR_IN_FLIGHT + c * 4, 4] as const,
  ),
  ["cpu_intensive", PWQ_CPU_INTENSIVE, 4],
  ["mayday_node.next", PWQ_MAYDAY_NODE, 4],
  ["mayday_node.prev", PWQ_MAYDAY_NODE + 4, 4],
]);

/** Links zeroed memory to its queue and pool. */
export function init_pwq(cpu: Cpu, pwq: number, wq: number, pool: number, max_active: number): void {
  cpu.mem.write(pwq + PWQ_POOL, pool);
  cpu.mem.write(pwq + PWQ_WQ, wq);
  cpu.mem.write(pwq + PWQ_MAX_ACTIVE, max_active);
  cpu.mem.write(pwq + PWQ_CPU_INTENSIVE, wq_flags(cpu, wq) & WQ_CPU_INTENSIVE);
  INIT_LIST_HEAD(cpu, pwq + PWQ_INACTIVE);
  INIT_LIST_HEAD(cpu, pwq + PWQ_MAYDAY_NODE);
}

function count(cpu: Cpu, word: number, change: number): number {
  const value = cpu.mem.read(word) + change;
  cpu.mem.write(word, value);
  return value;
}

/** Puts a new work on the pool, or behind the others that max_active keeps waiting. Pool lock held. */
export function pwq_queue(cpu: Cpu, pwq: number, pool: number, work: number): void {
  const color = cpu.mem.read(pwq + PWQ_WORK_COLOR);
  count(cpu, pool + POOL_NR_QUEUED, 1);
  // Not past works that wait already: max_active may have grown meanwhile.
  if (list_empty(cpu, pwq + PWQ_INACTIVE) && pwq_tryinc_nr_active(cpu, pwq)) {
    insert_work(cpu, pwq, work, pool + POOL_WORKLIST, color, 0);
    kick_pool(cpu, pool);
  } else insert_work(cpu, pwq, work, pwq + PWQ_INACTIVE, color, WORK_STRUCT_INACTIVE);
}

function pwq_tryinc_nr_active(cpu: Cpu, pwq: number): boolean {
  const active = cpu.mem.read(pwq + PWQ_NR_ACTIVE);
  if (active >= cpu.mem.read(pwq + PWQ_MAX_ACTIVE)) return false;
  cpu.mem.write(pwq + PWQ_NR_ACTIVE, active + 1);
  return true;
}

/** Inserts before `head`, the tail of a list or an entry, and counts it in flight. Pool lock held. */
export function insert_work(
  cpu: Cpu,
  pwq: number,
  work: number,
  head: number,
  color: number,
  flags: number,
): void {
  count(cpu, pwq + PWQ_NR_IN_FLIGHT + color * 4, 1);
  if (cpu.lockdep) debug_object_activate(cpu, work, WORK_DEBUG, cpu.mem.read(work + WORK_FUNC));
  set_work_data(cpu, work, queued_data(pwq, color, flags));
  list_add_tail(cpu, work + WORK_ENTRY, head);
}

/** Moves a work and the barriers linked behind it to the tail of `head`; returns what followed. Pool lock held. */
export function move_linked_works(cpu: Cpu, work: number, head: number): number {
  let at = work;
  for (;;) {
    const next = list_next(cpu, at + WORK_ENTRY) - WORK_ENTRY;
    const linked = (cpu.mem.readOnce(at + WORK_DATA) & WORK_STRUCT_LINKED) !== 0;
    list_move_tail(cpu, at + WORK_ENTRY, head);
    if (!linked) return next;
    at = next;
  }
}

/** Lets the first inactive work in if there is room. Pool lock held; kick_pool may have to follow. */
export function pwq_activate_first_inactive(cpu: Cpu, pwq: number): boolean {
  if (list_empty(cpu, pwq + PWQ_INACTIVE) || !pwq_tryinc_nr_active(cpu, pwq)) return false;
  const work = list_next(cpu, pwq + PWQ_INACTIVE) - WORK_ENTRY;
  set_work_data(cpu, work, cpu.mem.readOnce(work + WORK_DATA) & ~WORK_STRUCT_INACTIVE);
  move_linked_works(cpu, work, cpu.mem.read(pwq + PWQ_POOL) + POOL_WORKLIST);
  return true;
}

/**
 * A work with this data left for good: lets the next one in, tells flushers. Pool lock held. The last step: once
 * the lock is dropped the pwq may go, and with it the queue.
 */
export function pwq_dec_nr_in_flight(cpu: Cpu, pwq: number, data: number): void {
  if ((data & WORK_STRUCT_INACTIVE) === 0) {
    count(cpu, pwq + PWQ_NR_ACTIVE, -1);
    pwq_activate_first_inactive(cpu, pwq);
  }
  if (count(cpu, pwq + PWQ_NR_IN_FLIGHT + data_color(data) * 4, -1) !== 0) return;
  const wq = cpu.mem.read(pwq + PWQ_WQ);
  // Pairs with start_flush_color: it sets the bit before it looks at this pwq under the lock we hold.
  if (cpu.mem.loadAcquire(wq + WQ_FLUSHING) !== 0) wake_up_all(cpu, wq + WQ_FLUSH_WAITQ);
}

/** No work of colour `color` or an older one is in flight; later works have another. Pool lock held. */
export function pwq_colors_done(cpu: Cpu, pwq: number, color: number): boolean {
  const newest = cpu.mem.read(pwq + PWQ_WORK_COLOR);
  for (let c = color; c !== newest; c = (c + WORK_NR_COLORS - 1) % WORK_NR_COLORS) {
    if (cpu.mem.read(pwq + PWQ_NR_IN_FLIGHT + c * 4) !== 0) return false;
  }
  return true;
}

/** pwq_busy(): works are queued or running. Pool lock held. */
export function pwq_busy(cpu: Cpu, pwq: number): boolean {
  if (cpu.mem.read(pwq + PWQ_NR_ACTIVE) !== 0 || !list_empty(cpu, pwq + PWQ_INACTIVE)) return true;
  for (let c = 0; c < WORK_NR_COLORS; c++) {
    if (cpu.mem.read(pwq + PWQ_NR_IN_FLIGHT + c * 4) !== 0) return true;
  }
  return false;
}
