/**
 * Worker pools (kernel/workqueue.c), the part shared with schedule(): who runs, who is idle, and when a pool
 * gets another worker. The workers' main loop is in wq-pool.ts.
 *
 * A bound pool manages concurrency: it keeps one worker running. A worker that blocks in schedule() stops
 * counting, and if work waits, another takes over. An unbound pool runs everything at once.
 *
 * Unlike Linux, idle workers belong to no pool: threads are dear, so one list of idle kworkers serves all pools,
 * and a pool that needs a worker takes one from it. A worker with a pool keeps it until it goes idle again.
 * The bound pools are one per priority, not one per CPU.
 *
 * Invariants, each under the pool's lock. Bound: work waits only if somebody runs (a worker on its way counts)
 * or no thread is idle. Unbound: each waiting work has a worker on its way, or no thread is idle. Whoever goes
 * idle looks at every pool afterwards, which restores both. When the last idle thread is taken, another is
 * asked for: a pool whose workers all block makes progress up to config.kthreads threads.
 *
 * Lock order: pool lock, then the idle lock.
 */
import { kernel_initcall, kernel_static } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add, list_del_init, list_empty, list_next } from "../mm/list.ts";
import type { Cpu } from "./cpu.ts";
import { kthread_request } from "./kthread.ts";
import { current_state, TASK_RUNNING, type TaskPtr, wake_up_process } from "./task.ts";

// struct worker_pool. Guarded by POOL_LOCK:
export const POOL_LOCK = 0;
/** Workers that run and are not blocked, plus those on their way; bound pools keep it at one. */
export const POOL_NR_RUNNING = 4;
/** Queued and active works, FIFO. */
export const POOL_WORKLIST = 8;
/** Workers inside a work function. */
export const POOL_BUSY_LIST = 16;
/** Works queued to this pool and works run since boot. */
export const POOL_NR_QUEUED = 24;
export const POOL_NR_EXECUTED = 28;
// Constant after boot:
export const POOL_FLAGS = 32;
export const POOL_SIZE = 128;

/** The pool has no concurrency management (WQ_UNBOUND). */
export const POOL_UNBOUND = 1;

struct_layout("worker_pool", POOL_SIZE, [
  ["lock", POOL_LOCK, 4],
  ["nr_running", POOL_NR_RUNNING, 4],
  ["worklist", POOL_WORKLIST, 8],
  ["busy_list", POOL_BUSY_LIST, 8],
  ["nr_queued", POOL_NR_QUEUED, 4],
  ["nr_executed", POOL_NR_EXECUTED, 4],
  ["flags", POOL_FLAGS, 4],
]);

// struct worker.
/** Links idle workers (idle lock) or the pool's busy ones (pool lock). */
export const WORKER_ENTRY = 0;
/** The pool it serves; 0 while idle. Set by who takes it from the idle list, cleared by itself. */
export const WORKER_POOL = 8;
// Constant:
export const WORKER_TASK = 12;
// Private to the worker's thread:
export const WORKER_FLAGS = 16;
/** Set while the worker sleeps inside a work function. */
export const WORKER_SLEEPING = 20;
// Guarded by the pool lock:
export const WORKER_CURRENT_WORK = 24;
export const WORKER_CURRENT_FUNC = 28;
export const WORKER_CURRENT_WQ = 32;
/** Works this worker must run next: barriers and re-queued runs of its current work. */
export const WORKER_SCHEDULED = 40;
export const WORKER_SIZE = 48;

/** Worker flag: not counted in nr_running (idle, unbound, CPU intensive). */
export const WORKER_NOT_RUNNING = 1;

struct_layout("worker", WORKER_SIZE, [
  ["entry", WORKER_ENTRY, 8],
  ["pool", WORKER_POOL, 4],
  ["task", WORKER_TASK, 4],
  ["flags", WORKER_FLAGS, 4],
  ["sleeping", WORKER_SLEEPING, 4],
  ["current_work", WORKER_CURRENT_WORK, 4],
  ["current_func", WORKER_CURRENT_FUNC, 4],
  ["current_wq", WORKER_CURRENT_WQ, 4],
  ["scheduled", WORKER_SCHEDULED, 8],
]);

export const POOL_ID_BOUND = 0;
export const POOL_ID_HIGHPRI = 1;
export const POOL_ID_UNBOUND = 2;
export const NR_POOLS = 3;

const POOLS = kernel_static("worker_pools", NR_POOLS * POOL_SIZE);

/** The kworker threads; all words guarded by IDLE_LOCK. */
const KWORKERS = kernel_static("kworkers", 128);
const IDLE_LOCK = KWORKERS;
const IDLE_LIST = KWORKERS + 4;
const NR_IDLE = KWORKERS + 12;
const NR_WORKERS = KWORKERS + 16;
/** Threads asked for that have not arrived. */
const NR_REQUESTED = KWORKERS + 20;

kernel_initcall(worker_pools_init);
function worker_pools_init(cpu: Cpu): void {
  INIT_LIST_HEAD(cpu, IDLE_LIST);
  for (let id = 0; id < NR_POOLS; id++) {
    const pool = worker_pool(id);
    INIT_LIST_HEAD(cpu, pool + POOL_WORKLIST);
    INIT_LIST_HEAD(cpu, pool + POOL_BUSY_LIST);
    cpu.mem.write(pool + POOL_FLAGS, id === POOL_ID_UNBOUND ? POOL_UNBOUND : 0);
  }
}

export function worker_pool(id: number): number {
  return POOLS + id * POOL_SIZE;
}

export function worker_pool_id(pool: number): number {
  return (pool - POOLS) / POOL_SIZE;
}

export function pool_is_unbound(cpu: Cpu, pool: number): boolean {
  return (cpu.mem.read(pool + POOL_FLAGS) & POOL_UNBOUND) !== 0;
}

/** Adds to nr_running of a bound pool; an unbound one does not count. Pool lock held. */
export function pool_count_running(cpu: Cpu, pool: number, change: number): void {
  if (pool_is_unbound(cpu, pool)) return;
  cpu.mem.write(pool + POOL_NR_RUNNING, cpu.mem.read(pool + POOL_NR_RUNNING) + change);
}

/** need_more_worker(): work waits that nobody looks after. Pool lock held. */
function need_more_worker(cpu: Cpu, pool: number): boolean {
  if (list_empty(cpu, pool + POOL_WORKLIST)) return false;
  return pool_is_unbound(cpu, pool) || cpu.mem.read(pool + POOL_NR_RUNNING) === 0;
}

/** Sends an idle thread to the pool if it needs one. Pool lock held. */
export function kick_pool(cpu: Cpu, pool: number): void {
  if (!need_more_worker(cpu, pool)) return;
  const worker = take_idle_worker(cpu);
  if (worker === 0) return;
  pool_count_running(cpu, pool, 1);
  // Pairs with the loadAcquire in wait_for_pool: it set its state before, so it sees the pool or our wake-up.
  cpu.mem.storeRelease(worker + WORKER_POOL, pool);
  wake_up_process(cpu, cpu.mem.read(worker + WORKER_TASK) as TaskPtr);
}

/** The idle worker that slept least, or 0. Taking the last one asks for another thread (manage_workers). */
function take_idle_worker(cpu: Cpu): number {
  let worker = 0;
  spin_lock_irqsave(cpu, IDLE_LOCK);
  if (!list_empty(cpu, IDLE_LIST)) {
    worker = list_next(cpu, IDLE_LIST) - WORKER_ENTRY;
    list_del_init(cpu, worker + WORKER_ENTRY);
    cpu.mem.write(NR_IDLE, cpu.mem.read(NR_IDLE) - 1);
  }
  const create = need_to_create_worker(cpu);
  if (create) cpu.mem.write(NR_REQUESTED, cpu.mem.read(NR_REQUESTED) + 1);
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
  if (create) kthread_request(cpu);
  return worker;
}

/** One request at a time, as one manager at a time; one kernel thread is rcu_gp. */
function need_to_create_worker(cpu: Cpu): boolean {
  if (cpu.mem.read(NR_IDLE) !== 0 || cpu.mem.read(NR_REQUESTED) !== 0) return false;
  return cpu.mem.read(NR_WORKERS) < cpu.config.kthreads - 1;
}

/** A kworker thread arrives; it has no pool yet. */
export function kworker_arrive(cpu: Cpu): void {
  spin_lock_irqsave(cpu, IDLE_LOCK);
  cpu.mem.write(NR_WORKERS, cpu.mem.read(NR_WORKERS) + 1);
  if (cpu.mem.read(NR_REQUESTED) !== 0) cpu.mem.write(NR_REQUESTED, cpu.mem.read(NR_REQUESTED) - 1);
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
}

/** Joins the idle list. Hold the lock of the pool it leaves, so that the pool's next work finds it. */
export function worker_enter_idle(cpu: Cpu, worker: number): void {
  cpu.mem.write(worker + WORKER_POOL, 0);
  spin_lock_irqsave(cpu, IDLE_LOCK);
  list_add(cpu, worker + WORKER_ENTRY, IDLE_LIST);
  cpu.mem.write(NR_IDLE, cpu.mem.read(NR_IDLE) + 1);
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
}

/** After joining: pools whose work found nobody idle get a worker now. */
export function kick_starved_pools(cpu: Cpu): void {
  for (let id = 0; id < NR_POOLS; id++) {
    const pool = worker_pool(id);
    // Who queued before we joined inserted the work before it looked at the idle list: we see it here.
    if (cpu.mem.loadAcquire(pool + POOL_WORKLIST) === pool + POOL_WORKLIST) continue;
    spin_lock_irqsave(cpu, pool + POOL_LOCK);
    kick_pool(cpu, pool);
    spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  }
}

/** Leaves for good if no thread works and no work waits; false if it was taken meanwhile or is still needed. */
export function kworker_leave(cpu: Cpu, worker: number): boolean {
  spin_lock_irqsave(cpu, IDLE_LOCK);
  let quiet = cpu.mem.read(NR_IDLE) === cpu.mem.read(NR_WORKERS);
  for (let id = 0; id < NR_POOLS; id++) {
    const worklist = worker_pool(id) + POOL_WORKLIST;
    if (cpu.mem.loadAcquire(worklist) !== worklist) quiet = false;
  }
  if (quiet) {
    list_del_init(cpu, worker + WORKER_ENTRY);
    cpu.mem.write(NR_IDLE, cpu.mem.read(NR_IDLE) - 1);
    cpu.mem.write(NR_WORKERS, cpu.mem.read(NR_WORKERS) - 1);
  }
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
  return quiet;
}

/** Wakes all idle threads, so that they see they may stop. */
export function wake_idle_workers(cpu: Cpu): void {
  spin_lock_irqsave(cpu, IDLE_LOCK);
  let node = list_next(cpu, IDLE_LIST);
  while (node !== IDLE_LIST) {
    wake_up_process(cpu, cpu.mem.read(node - WORKER_ENTRY + WORKER_TASK) as TaskPtr);
    node = list_next(cpu, node);
  }
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
}

/** Called by schedule() before it blocks: the worker stops counting, another takes over. */
export function wq_worker_sleeping(cpu: Cpu): void {
  const worker = cpu.worker;
  if (worker === 0 || (cpu.mem.read(worker + WORKER_FLAGS) & WORKER_NOT_RUNNING) !== 0) return;
  if (cpu.mem.read(worker + WORKER_SLEEPING) !== 0 || current_state(cpu) === TASK_RUNNING) return;
  cpu.mem.write(worker + WORKER_SLEEPING, 1);
  const pool = cpu.mem.read(worker + WORKER_POOL);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  pool_count_running(cpu, pool, -1);
  kick_pool(cpu, pool);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
}

/** Called by schedule() after it blocked. */
export function wq_worker_running(cpu: Cpu): void {
  const worker = cpu.worker;
  if (worker === 0 || cpu.mem.read(worker + WORKER_SLEEPING) === 0) return;
  const pool = cpu.mem.read(worker + WORKER_POOL);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  pool_count_running(cpu, pool, 1);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  cpu.mem.write(worker + WORKER_SLEEPING, 0);
}
