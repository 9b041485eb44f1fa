/** What the CPUs do in workqueue-threads.test.ts. */
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { complete, COMPLETION_SIZE, init_completion, wait_for_completion } from "../sched/completion.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { rcu_barrier, synchronize_rcu } from "../rcu/rcu.ts";
import { cond_resched } from "../sched/schedule.ts";
import {
  alloc_ordered_workqueue,
  alloc_workqueue,
  cancel_delayed_work_sync,
  cancel_work_sync,
  DELAYED_WORK_SIZE,
  destroy_workqueue,
  flush_work,
  flush_workqueue,
  INIT_DELAYED_WORK,
  INIT_WORK,
  queue_delayed_work,
  queue_work,
  system_unbound_wq,
  system_wq,
  workqueue_executed,
  WQ_CPU_INTENSIVE,
  WQ_UNBOUND,
  type WorkqueuePtr,
  WORK_STRUCT_SIZE,
} from "../sched/workqueue.ts";
import { msleep } from "../sched/delay.ts";
import { linger, rendezvous, wait_until } from "./rendezvous.ts";

/** A work and what its function counts, 128 bytes apart. */
const ITEMS = 16;
const ITEM_SIZE = 128;
const ITEM_RAN = WORK_STRUCT_SIZE;
const ITEM_RUNNING = ITEM_RAN + 4;
const ITEM_QUEUED = ITEM_RAN + 8;
const ITEM_TAKEN_BACK = ITEM_RAN + 12;
const ITEM_OVERLAPS = ITEM_RAN + 16;
const ITEM_TABLE = kernel_static("test_items", ITEMS * ITEM_SIZE);
const QUEUES = kernel_static("test_queues", 4 * 4);
const POINT = kernel_static("test_point", 4);
/** Works of one queue that run now, and the most there were. */
const RUNNING = kernel_static("test_running", 4);
const PEAK = kernel_static("test_peak", 4);
const ORDER = kernel_static("test_order", 4 * 1024);

const COUNT_RUN = kernel_symbol(count_run);
const COUNT_SELF_REQUEUE = kernel_symbol(count_self_requeue);
const WAIT_FOR_PARTNER = kernel_symbol(wait_for_partner);
const SIGNAL_PARTNER = kernel_symbol(signal_partner);
const MEASURE_PEAK = kernel_symbol(measure_peak);
const NOTE_ORDER = kernel_symbol(note_order);
const WAIT_FOR_GRACE_PERIOD = kernel_symbol(wait_for_grace_period);

function item(i: number): number {
  return ITEM_TABLE + i * ITEM_SIZE;
}

function queue_of(cpu: Cpu, i: number): WorkqueuePtr {
  return cpu.mem.read(QUEUES + (i % 4) * 4) as WorkqueuePtr;
}

function count_run(cpu: Cpu, work: number): void {
  if (cpu.mem.fetchAdd(work + ITEM_RUNNING, 1) !== 0) cpu.mem.fetchAdd(work + ITEM_OVERLAPS, 1);
  linger(cpu, 200);
  cpu.mem.fetchSub(work + ITEM_RUNNING, 1);
  cpu.mem.fetchAdd(work + ITEM_RAN, 1);
}

function count_self_requeue(cpu: Cpu, work: number): void {
  const i = (work - ITEM_TABLE) / ITEM_SIZE;
  if (cpu.random32() % 4 === 0 && queue_work(cpu, queue_of(cpu, i), work))
    cpu.mem.fetchAdd(work + ITEM_QUEUED, 1);
  count_run(cpu, work);
}

/** Four queues of all kinds; every item belongs to one of them. */
export function set_up_items(cpu: Cpu): void {
  cpu.mem.write(QUEUES, system_wq(cpu));
  cpu.mem.write(QUEUES + 4, system_unbound_wq(cpu));
  cpu.mem.write(QUEUES + 8, alloc_workqueue(cpu, "narrow", WQ_UNBOUND, 2));
  cpu.mem.write(QUEUES + 12, alloc_workqueue(cpu, "intensive", WQ_CPU_INTENSIVE, 0));
  for (let i = 0; i < ITEMS; i++) INIT_WORK(cpu, item(i), i % 3 === 0 ? COUNT_SELF_REQUEUE : COUNT_RUN);
}

export function queue_at_random(cpu: Cpu, rounds: number): void {
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (let round = 0; round < rounds; round++) {
    const i = cpu.random32() % ITEMS;
    if (queue_work(cpu, queue_of(cpu, i), item(i))) cpu.mem.fetchAdd(item(i) + ITEM_QUEUED, 1);
    if (cpu.random32() % 16 === 0) flush_work(cpu, item(i));
    linger(cpu, 100);
    cond_resched(cpu);
  }
}

/** Cancels and flushes what others queue. */
export function take_back_at_random(cpu: Cpu, rounds: number): void {
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (let round = 0; round < rounds; round++) {
    const work = item(cpu.random32() % ITEMS);
    if (cpu.random32() % 8 === 0) flush_work(cpu, work);
    else if (cancel_work_sync(cpu, work)) cpu.mem.fetchAdd(work + ITEM_TAKEN_BACK, 1);
    linger(cpu, 400);
  }
}

export interface ItemCounts {
  queued: number;
  ran: number;
  takenBack: number;
  overlaps: number;
  /** Items whose books do not balance. */
  wrong: number;
}

/** After everything was flushed: each successful queueing ran once or was taken back. */
export function balance(cpu: Cpu): ItemCounts {
  const counts = { queued: 0, ran: 0, takenBack: 0, overlaps: 0, wrong: 0 };
  for (let i = 0; i < ITEMS; i++) while (flush_work(cpu, item(i)));
  for (let q = 0; q < 4; q++) flush_workqueue(cpu, queue_of(cpu, q));
  for (let i = 0; i < ITEMS; i++) {
    const queued = cpu.mem.loadAcquire(item(i) + ITEM_QUEUED);
    const ran = cpu.mem.loadAcquire(item(i) + ITEM_RAN);
    const taken = cpu.mem.loadAcquire(item(i) + ITEM_TAKEN_BACK);
    counts.queued += queued;
    counts.ran += ran;
    counts.takenBack += taken;
    counts.overlaps += cpu.mem.loadAcquire(item(i) + ITEM_OVERLAPS);
    if (queued !== ran + taken) counts.wrong++;
  }
  destroy_workqueue(cpu, queue_of(cpu, 2));
  destroy_workqueue(cpu, queue_of(cpu, 3));
  return counts;
}

// A waiter and its signaler: { work, completion, pointer to the partner }.
const DONE = WORK_STRUCT_SIZE;
const PARTNER = DONE + COMPLETION_SIZE;
const PAIR_HALF = PARTNER + 8;

function wait_for_partner(cpu: Cpu, work: number): void {
  wait_for_completion(cpu, work + DONE);
  cpu.mem.fetchAdd(RUNNING, 1);
}
function signal_partner(cpu: Cpu, work: number): void {
  complete(cpu, cpu.mem.read(work + PARTNER) + DONE);
}

/**
 * `pairs` works that each wait for a later work of the same queue, as token release works wait for the fences
 * that map release works signal. With fewer kworkers than waiters nothing moves unless the pool grows.
 */
export function waiters_first(cpu: Cpu, pairs: number, unbound: boolean): number {
  const wq = unbound ? system_unbound_wq(cpu) : system_wq(cpu);
  const halves = stack_push(cpu, pairs * 2 * PAIR_HALF);
  for (let i = 0; i < pairs; i++) {
    const waiter = halves + i * PAIR_HALF;
    INIT_WORK(cpu, waiter, WAIT_FOR_PARTNER);
    init_completion(cpu, waiter + DONE);
    queue_work(cpu, wq, waiter);
  }
  for (let i = 0; i < pairs; i++) {
    const signaler = halves + (pairs + i) * PAIR_HALF;
    INIT_WORK(cpu, signaler, SIGNAL_PARTNER);
    cpu.mem.write(signaler + PARTNER, halves + i * PAIR_HALF);
    queue_work(cpu, wq, signaler);
  }
  // Not flush_work, which would look after the pool: it has to help itself.
  wait_until(cpu, RUNNING, pairs);
  for (let i = 0; i < 2 * pairs; i++) flush_work(cpu, halves + i * PAIR_HALF);
  stack_pop(cpu, halves);
  return workqueue_executed(cpu);
}

function measure_peak(cpu: Cpu): void {
  const now = cpu.mem.fetchAdd(RUNNING, 1) + 1;
  for (;;) {
    const peak = cpu.mem.loadAcquire(PEAK);
    if (now <= peak || cpu.mem.compareExchange(PEAK, peak, now) === peak) break;
  }
  // Long enough for the next worker to be woken, on a busy machine too: each starts the one after it.
  msleep(cpu, 30);
  cpu.mem.fetchSub(RUNNING, 1);
}

/** The most works of one queue that were ever inside their function at once. */
export function peak_of(cpu: Cpu, max_active: number, works: number, flags: number): number {
  const wq = alloc_workqueue(cpu, "peak", flags, max_active);
  const items = stack_push(cpu, works * WORK_STRUCT_SIZE);
  for (let i = 0; i < works; i++) {
    INIT_WORK(cpu, items + i * WORK_STRUCT_SIZE, MEASURE_PEAK);
    queue_work(cpu, wq, items + i * WORK_STRUCT_SIZE);
  }
  destroy_workqueue(cpu, wq);
  stack_pop(cpu, items);
  return cpu.mem.exchange(PEAK, 0);
}

function note_order(cpu: Cpu, work: number): void {
  if (cpu.mem.fetchAdd(RUNNING, 1) !== 0) cpu.mem.fetchAdd(PEAK, 1);
  const n = cpu.mem.read(ORDER);
  linger(cpu, 100);
  cpu.mem.write(ORDER + 4 + n * 4, work);
  cpu.mem.write(ORDER, n + 1);
  cpu.mem.fetchSub(RUNNING, 1);
}

/** Works of an ordered queue that ran out of turn or together. */
export function ordered_queue(cpu: Cpu, works: number): number {
  const wq = alloc_ordered_workqueue(cpu, "ordered", 0);
  const items = stack_push(cpu, works * WORK_STRUCT_SIZE);
  for (let i = 0; i < works; i++) {
    INIT_WORK(cpu, items + i * WORK_STRUCT_SIZE, NOTE_ORDER);
    queue_work(cpu, wq, items + i * WORK_STRUCT_SIZE);
    linger(cpu, 300);
  }
  destroy_workqueue(cpu, wq);
  let wrong = cpu.mem.loadAcquire(PEAK) + works - cpu.mem.read(ORDER);
  for (let i = 0; i < works; i++) {
    if (cpu.mem.read(ORDER + 4 + i * 4) !== items + i * WORK_STRUCT_SIZE) wrong++;
  }
  stack_pop(cpu, items);
  return wrong;
}

/** flush_workqueue from all CPUs at once: afterwards everything this CPU had queued has run. Failures. */
export function flush_together(cpu: Cpu, rounds: number): number {
  const work = stack_push(cpu, ITEM_SIZE);
  INIT_WORK(cpu, work, COUNT_RUN);
  rendezvous(cpu, POINT, cpu.config.cpus);
  let wrong = 0;
  for (let round = 1; round <= rounds; round++) {
    if (!queue_work(cpu, queue_of(cpu, cpu.id), work)) wrong++;
    flush_workqueue(cpu, queue_of(cpu, cpu.id));
    if (cpu.mem.loadAcquire(work + ITEM_RAN) !== round) wrong++;
  }
  stack_pop(cpu, work);
  return wrong;
}
export function one_queue(cpu: Cpu): void {
  const wq = alloc_workqueue(cpu, "shared", WQ_UNBOUND, 3);
  for (let i = 0; i < 4; i++) cpu.mem.write(QUEUES + i * 4, wq);
}
export function drop_queue(cpu: Cpu): void {
  destroy_workqueue(cpu, queue_of(cpu, 0));
}

/** Delayed works: runs and cancellations must add up, none may run early. */
export function delayed_at_random(cpu: Cpu, rounds: number): number {
  const dwork = stack_push(cpu, DELAYED_WORK_SIZE + 64);
  INIT_DELAYED_WORK(cpu, dwork, kernel_delayed);
  let queued = 0;
  let cancelled = 0;
  for (let round = 0; round < rounds; round++) {
    if (queue_delayed_work(cpu, system_wq(cpu), dwork, 1 + (cpu.random32() % 3))) queued++;
    msleep(cpu, cpu.random32() % 4);
    if (cpu.random32() % 2 === 0 && cancel_delayed_work_sync(cpu, dwork)) cancelled++;
  }
  if (cancel_delayed_work_sync(cpu, dwork)) cancelled++;
  const ran = cpu.mem.loadAcquire(dwork + DELAYED_WORK_SIZE);
  stack_pop(cpu, dwork);
  return queued - cancelled - ran;
}
function delayed_run(cpu: Cpu, dwork: number): void {
  cpu.mem.fetchAdd(dwork + DELAYED_WORK_SIZE, 1);
}
const kernel_delayed = kernel_symbol(delayed_run);

function wait_for_grace_period(cpu: Cpu): void {
  synchronize_rcu(cpu);
}

/** Works that wait for rcu_gp are still queued when the machine is told to stop. */
export function leave_works_behind(cpu: Cpu, works: number): void {
  for (let i = 0; i < works; i++) {
    INIT_WORK(cpu, item(i), WAIT_FOR_GRACE_PERIOD);
    queue_work(cpu, system_unbound_wq(cpu), item(i));
  }
}

/** A body that fails, and one that never ends. */
export function throw_error(): never {
  throw new Error("deliberate");
}
export function wait_forever(cpu: Cpu): void {
  const x = stack_push(cpu, COMPLETION_SIZE);
  init_completion(cpu, x);
  wait_for_completion(cpu, x);
}
export function idle(cpu: Cpu): void {
  rcu_barrier(cpu);
}
