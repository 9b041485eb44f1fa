/**
 * kworker threads (kernel/workqueue.c, create_worker and the idle list): struct worker, and who is idle.
 *
 * Unlike Linux, idle workers belong to no pool: threads are dear, so one list of idle kworkers serves all pools,
 * and a pool that needs a worker takes one from it. A worker with a pool keeps it until it goes idle again. The
 * rescuer of a workqueue is a kworker too: one that went idle and was given to the queue for good.
 *
 * Invariants, under IDLE_LOCK: a taker that finds nobody sets STARVED; a worker that joins clears it and must
 * then look at every pool (kick_starved_pools). A workqueue that waits for its rescuer gets the next worker that
 * would join. When the last idle thread goes, another is asked for, up to config.kthreads - 1 kworkers: one
 * kernel thread is rcu_gp. Of these at least one never becomes a rescuer.
 *
 * Lock order: pool lock, then IDLE_LOCK, then a wait queue's.
 */
import { kernel_initcall, kernel_static } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add, list_add_tail, list_del_init, list_empty, list_next } from "../mm/list.ts";
import type { Cpu } from "./cpu.ts";
import { kthread_request } from "./kthread.ts";
import { type TaskPtr, wake_up_process } from "./task.ts";

// struct worker.
/** Links idle workers (IDLE_LOCK) or the pool's busy ones (pool lock). */
export const WORKER_ENTRY = 0;
/** The pool it serves; 0 while idle. Set by who takes it from the idle list, cleared by itself. */
export const WORKER_POOL = 8;
// Constant:
export const WORKER_TASK = 12;
// Private to the worker's thread:
export const WORKER_FLAGS = 16;
/** Set while the worker sleeps inside a work function. */
export const WORKER_SLEEPING = 20;
// Guarded by the pool lock; the worker itself may read:
export const WORKER_CURRENT_WORK = 24;
export const WORKER_CURRENT_FUNC = 28;
export const WORKER_CURRENT_PWQ = 32;
/** Data word of the current work, as it was queued. */
export const WORKER_CURRENT_DATA = 36;
/** Works this worker must run next: barriers and re-queued runs of its current work. */
export const WORKER_SCHEDULED = 40;
/** The wish it fulfils as a rescuer, or 0. Written under IDLE_LOCK. */
export const WORKER_RESCUE = 48;
/** Its workqueue goes away: set by destroy_workqueue, cleared by the worker. */
export const WORKER_STOP = 52;
export const WORKER_SIZE = 56;

/** Worker flag: not counted in nr_running (idle, unbound, CPU intensive, rescuer). */
export const WORKER_NOT_RUNNING = 1;

struct_layout("worker", WORKER_SIZE, [
  ["entry", WORKER_ENTRY, 8],
  ["pool", WORKER_POOL, 4],
  ["task", WORKER_TASK, 4],
  ["flags", WORKER_FLAGS, 4],
  ["sleeping", WORKER_SLEEPING, 4],
  ["current_work", WORKER_CURRENT_WORK, 4],
  ["current_func", WORKER_CURRENT_FUNC, 4],
  ["current_pwq", WORKER_CURRENT_PWQ, 4],
  ["current_data", WORKER_CURRENT_DATA, 4],
  ["scheduled", WORKER_SCHEDULED, 8],
  ["rescue", WORKER_RESCUE, 4],
  ["stop", WORKER_STOP, 4],
]);

// A workqueue's wish for a rescuer, part of workqueue_struct. Guarded by IDLE_LOCK:
const RESCUE_ENTRY = 0;
/** The worker it got, or 0. */
export const RESCUE_WORKER = 8;
/** Who waits for it; 0 when nobody does. */
export const RESCUE_WAITER = 12;
export const RESCUE_SIZE = 16;

/** The kworker threads; all words guarded by IDLE_LOCK. */
const KWORKERS = kernel_static("kworkers", 128);
const IDLE_LOCK = KWORKERS;
const IDLE_LIST = KWORKERS + 4;
const NR_IDLE = KWORKERS + 12;
const NR_WORKERS = KWORKERS + 16;
/** Threads asked for that have not arrived. */
const NR_REQUESTED = KWORKERS + 20;
/** Somebody looked for an idle worker in vain since the last one joined. */
const STARVED = KWORKERS + 24;
/** Wishes for a rescuer, first come first served. */
const WANTED = KWORKERS + 28;
const NR_WANTED = KWORKERS + 36;
const NR_RESCUERS = KWORKERS + 40;
/** The first kworker has arrived; before that nobody waits for one. */
const ONLINE = KWORKERS + 44;

kernel_initcall(idle_workers_init);
function idle_workers_init(cpu: Cpu): void {
  INIT_LIST_HEAD(cpu, IDLE_LIST);
  INIT_LIST_HEAD(cpu, WANTED);
}

function adjust(cpu: Cpu, word: number, change: number): void {
  cpu.mem.write(word, cpu.mem.read(word) + change);
}

/** Kworkers there may be. */
function max_kworkers(cpu: Cpu): number {
  return cpu.config.kthreads - 1;
}

/** wq_online: kworkers exist. Never true in a solo kernel. */
export function kworkers_online(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(ONLINE) !== 0;
}

/** Threads asked for that have not arrived yet. */
export function kworkers_arriving(cpu: Cpu): number {
  return cpu.mem.loadAcquire(NR_REQUESTED);
}

/** Every kworker there may be exists. */
export function kworkers_at_limit(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(NR_WORKERS) >= max_kworkers(cpu);
}

/** may_start_working(): somebody is idle. A guess, unless the caller's pool lock makes it one. */
export function has_idle_worker(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(NR_IDLE) !== 0;
}

/** The idle worker that slept least, or 0: then its next one looks at all pools. */
export function take_idle_worker(cpu: Cpu): number {
  spin_lock_irqsave(cpu, IDLE_LOCK);
  const worker = pop_idle(cpu);
  if (worker === 0) cpu.mem.write(STARVED, 1);
  const create = need_to_create_kworker(cpu);
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
  if (create) kthread_request(cpu);
  return worker;
}

function pop_idle(cpu: Cpu): number {
  if (list_empty(cpu, IDLE_LIST)) return 0;
  const worker = list_next(cpu, IDLE_LIST) - WORKER_ENTRY;
  list_del_init(cpu, worker + WORKER_ENTRY);
  adjust(cpu, NR_IDLE, -1);
  return worker;
}

/** manage_workers(): one request at a time, as there is one manager at a time. IDLE_LOCK held. */
function need_to_create_kworker(cpu: Cpu): boolean {
  if (cpu.mem.read(NR_IDLE) !== 0 || cpu.mem.read(NR_REQUESTED) !== 0) return false;
  if (cpu.mem.read(NR_WORKERS) >= max_kworkers(cpu)) return false;
  cpu.mem.write(NR_REQUESTED, 1);
  return true;
}

/** A kworker thread arrives; it has no pool yet. */
export function kworker_arrive(cpu: Cpu): void {
  spin_lock_irqsave(cpu, IDLE_LOCK);
  adjust(cpu, NR_WORKERS, 1);
  const room = max_kworkers(cpu) - cpu.mem.read(NR_WORKERS);
  // Also when nobody can come any more: the host drops requests above the limit.
  const left = Math.min(Math.max(cpu.mem.read(NR_REQUESTED) - 1, 0), room);
  cpu.mem.write(NR_REQUESTED, left);
  cpu.mem.storeRelease(ONLINE, 1);
  // Who waits for a rescuer may have to look whether there is hope left.
  for (let node = list_next(cpu, WANTED); node !== WANTED; node = list_next(cpu, node)) {
    wake_waiter(cpu, node - RESCUE_ENTRY);
  }
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
}

/**
 * Joins the idle list, or becomes the rescuer of a queue that waits for one. True: kick_starved_pools must
 * follow. Hold the lock of the pool it leaves, so that the pool's next work finds it.
 */
export function worker_enter_idle(cpu: Cpu, worker: number): boolean {
  cpu.mem.write(worker + WORKER_POOL, 0);
  spin_lock_irqsave(cpu, IDLE_LOCK);
  let starved = false;
  let create = false;
  if (!list_empty(cpu, WANTED) && room_for_rescuer(cpu)) {
    become_rescuer(cpu, worker, list_next(cpu, WANTED) - RESCUE_ENTRY);
    create = need_to_create_kworker(cpu);
  } else {
    list_add(cpu, worker + WORKER_ENTRY, IDLE_LIST);
    adjust(cpu, NR_IDLE, 1);
    starved = cpu.mem.read(STARVED) !== 0;
    if (starved) cpu.mem.write(STARVED, 0);
  }
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
  if (create) kthread_request(cpu);
  return starved;
}

/** Leaves for good if no thread works; false if it was taken meanwhile or is still needed. */
export function kworker_leave(cpu: Cpu, worker: number): boolean {
  spin_lock_irqsave(cpu, IDLE_LOCK);
  const quiet = cpu.mem.read(NR_IDLE) === cpu.mem.read(NR_WORKERS);
  if (quiet) {
    list_del_init(cpu, worker + WORKER_ENTRY);
    adjust(cpu, NR_IDLE, -1);
    adjust(cpu, NR_WORKERS, -1);
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

/** One kworker always serves the pools. */
function room_for_rescuer(cpu: Cpu): boolean {
  return cpu.mem.read(NR_RESCUERS) < max_kworkers(cpu) - 1;
}

/** Gives a worker that is not on the idle list to the wish. IDLE_LOCK held. */
function become_rescuer(cpu: Cpu, worker: number, rescue: number): void {
  list_del_init(cpu, rescue + RESCUE_ENTRY);
  adjust(cpu, NR_WANTED, -1);
  adjust(cpu, NR_RESCUERS, 1);
  cpu.mem.write(worker + WORKER_STOP, 0);
  cpu.mem.storeRelease(rescue + RESCUE_WORKER, worker);
  wake_waiter(cpu, rescue);
  // Pairs with the loadAcquire in wait_for_duty, as in kick_pool.
  cpu.mem.storeRelease(worker + WORKER_RESCUE, rescue);
}

function wake_waiter(cpu: Cpu, rescue: number): void {
  const task = cpu.mem.read(rescue + RESCUE_WAITER);
  if (task !== 0) wake_up_process(cpu, task as TaskPtr);
}

/** Prepares a wish. */
export function rescue_init(cpu: Cpu, rescue: number): void {
  INIT_LIST_HEAD(cpu, rescue + RESCUE_ENTRY);
  cpu.mem.write(rescue + RESCUE_WORKER, 0);
  cpu.mem.write(rescue + RESCUE_WAITER, 0);
}

/** Asks for a rescuer: an idle thread, else the next that is idle. False when the threads do not suffice. */
export function rescuer_request(cpu: Cpu, rescue: number): boolean {
  const online = kworkers_online(cpu);
  spin_lock_irqsave(cpu, IDLE_LOCK);
  const taken = cpu.mem.read(NR_RESCUERS) + cpu.mem.read(NR_WANTED);
  const granted = !online || taken < max_kworkers(cpu) - 1;
  let create = false;
  if (granted) {
    list_add_tail(cpu, rescue + RESCUE_ENTRY, WANTED);
    adjust(cpu, NR_WANTED, 1);
    // Wishes before ours mean that nobody is idle.
    const worker = pop_idle(cpu);
    if (worker !== 0) {
      become_rescuer(cpu, worker, rescue);
      wake_up_process(cpu, cpu.mem.read(worker + WORKER_TASK) as TaskPtr);
    }
    create = online && need_to_create_kworker(cpu);
  }
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
  if (create) kthread_request(cpu);
  return granted;
}

/** Takes the wish back. False when a worker has been given already. */
export function rescuer_withdraw(cpu: Cpu, rescue: number): boolean {
  spin_lock_irqsave(cpu, IDLE_LOCK);
  const waits = !list_empty(cpu, rescue + RESCUE_ENTRY);
  if (waits) {
    list_del_init(cpu, rescue + RESCUE_ENTRY);
    adjust(cpu, NR_WANTED, -1);
  }
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
  return waits;
}

/** The rescuer is an ordinary kworker again, about to join the idle list. */
export function rescuer_resign(cpu: Cpu, worker: number): void {
  spin_lock_irqsave(cpu, IDLE_LOCK);
  adjust(cpu, NR_RESCUERS, -1);
  cpu.mem.write(worker + WORKER_RESCUE, 0);
  spin_unlock_irqrestore(cpu, IDLE_LOCK);
}
