/**
 * Rescuers (kernel/workqueue.c): a workqueue with WQ_MEM_RECLAIM has a thread of its own, so that its works run
 * even when no other worker is free and none can come.
 *
 * A pool whose work finds nobody calls for help after 10 ms, and every 100 ms while that lasts: each pwq with work
 * there goes onto its queue's mayday list. The rescuer takes one pwq after the other and runs, as a worker of that
 * pool, the works of its own queue that wait there, no others.
 *
 * Unlike Linux, what keeps threads from coming is not memory but the limit config.kthreads. A pool that waits for
 * it is the emulation's own gap: the log tells so, once. A pool that makes no progress for 30 s is reported
 * as Linux's watchdog does; here it looks only while the pool has no worker.
 */
import { LOG_BUG, LOG_INFO, LOG_WARN, printk } from "../debug/dmesg.ts";
import { kernel_initcall, kernel_static, kernel_symbol } from "../debug/image.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty, list_next } from "../mm/list.ts";
import type { Cpu } from "./cpu.ts";
import { kthread_should_stop } from "./kthread.ts";
import { schedule, schedule_timeout } from "./schedule.ts";
import { current_task, set_current_state, TASK_RUNNING, TASK_UNINTERRUPTIBLE } from "./task.ts";
import type { TaskPtr } from "./task.ts";
import { wake_up_process } from "./task.ts";
import { mod_timer, TIMER_HOUSEKEEPING, timer_setup, type TimerPtr } from "./timer.ts";
import { finish_wait, prepare_to_wait, wait_entry_push, wake_up_all } from "./wait.ts";
import {
  kworkers_at_limit,
  kworkers_online,
  RESCUE_WAITER,
  RESCUE_WORKER,
  rescuer_request,
  rescuer_resign,
  rescuer_withdraw,
  WORKER_POOL,
  WORKER_RESCUE,
  WORKER_SCHEDULED,
  WORKER_STOP,
  WORKER_TASK,
} from "./wq-idle.ts";
import { assign_work, process_scheduled_works } from "./wq-pool.ts";
import { PWQ_MAYDAY_NODE, PWQ_NR_ACTIVE, PWQ_POOL, PWQ_WQ } from "./wq-pwq.ts";
import {
  WQ_FLUSH_WAITQ,
  wq_flags,
  WQ_LOCK,
  WQ_MAYDAYS,
  WQ_MEM_RECLAIM,
  wq_name,
  WQ_RESCUE,
  wq_rescuer,
} from "./wq-queue.ts";
import { data_pwq, WORK_DATA, WORK_ENTRY } from "./wq-work.ts";
import {
  kick_pool,
  MAYDAY_INTERVAL,
  need_to_create_worker,
  nr_worker_pools,
  POOL_CPU,
  pool_is_unbound,
  POOL_ID,
  POOL_LOCK,
  POOL_MAYDAY_TIMER,
  POOL_NR_EXECUTED,
  POOL_SEEN_EXECUTED,
  POOL_SEEN_FIRST,
  POOL_WATCHDOG_TS,
  POOL_WORKLIST,
  worker_pool,
} from "./wq-worker.ts";

/** How long alloc_workqueue waits for a thread to go idle when no more can come (ms). */
const RESCUER_WAIT = 1000;
/** wq_watchdog_thresh (ms). */
const WATCHDOG_THRESH = 30_000;

/** Guards all mayday lists. Inside pool locks. */
const WQ_MAYDAY_LOCK = kernel_static("wq_mayday_lock", 4);
/** The gap has been told. */
const TOLD = kernel_static("wq_create_failure_told", 4);

const POOL_MAYDAY_TIMEOUT = kernel_symbol(pool_mayday_timeout);

kernel_initcall(mayday_init);
function mayday_init(cpu: Cpu): void {
  for (let id = 0; id < nr_worker_pools(cpu); id++) {
    const timer = (worker_pool(cpu, id) + POOL_MAYDAY_TIMER) as TimerPtr;
    timer_setup(cpu, timer, POOL_MAYDAY_TIMEOUT, TIMER_HOUSEKEEPING);
  }
}

/** Timer: calls for help while the pool has work and nobody to do it. */
function pool_mayday_timeout(cpu: Cpu, timer: number): void {
  const pool = timer - POOL_MAYDAY_TIMER;
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  if (need_to_create_worker(cpu, pool)) {
    let work = list_next(cpu, pool + POOL_WORKLIST) - WORK_ENTRY;
    while (work !== pool + POOL_WORKLIST - WORK_ENTRY) {
      send_mayday(cpu, data_pwq(cpu.mem.readOnce(work + WORK_DATA)));
      work = list_next(cpu, work + WORK_ENTRY) - WORK_ENTRY;
    }
    if (kworkers_at_limit(cpu)) tell_gap(cpu);
    watch_progress(cpu, pool);
    mod_timer(cpu, timer as TimerPtr, cpu.now() + MAYDAY_INTERVAL);
  }
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
}

/** Pool lock held. */
function send_mayday(cpu: Cpu, pwq: number): void {
  const wq = cpu.mem.read(pwq + PWQ_WQ);
  spin_lock_irqsave(cpu, WQ_MAYDAY_LOCK);
  const rescuer = wq_rescuer(cpu, wq);
  if (rescuer !== 0 && list_empty(cpu, pwq + PWQ_MAYDAY_NODE)) {
    list_add_tail(cpu, pwq + PWQ_MAYDAY_NODE, wq + WQ_MAYDAYS);
    wake_up_process(cpu, cpu.mem.read(rescuer + WORKER_TASK) as TaskPtr);
  }
  spin_unlock_irqrestore(cpu, WQ_MAYDAY_LOCK);
}

function tell_gap(cpu: Cpu): void {
  if (cpu.mem.exchange(TOLD, 1) !== 0) return;
  const limit = `config.kthreads ${cpu.config.kthreads}`;
  printk(cpu, LOG_INFO, `workqueue: Failed to create a worker thread: -EAGAIN (${limit} is reached)`);
}

/** wq_watchdog_timer_fn(). Pool lock held; the worklist is not empty. */
function watch_progress(cpu: Cpu, pool: number): void {
  const first = list_next(cpu, pool + POOL_WORKLIST);
  const executed = cpu.mem.read(pool + POOL_NR_EXECUTED);
  const now = Math.floor(cpu.now());
  const moved =
    cpu.mem.read(pool + POOL_SEEN_FIRST) !== first || cpu.mem.read(pool + POOL_SEEN_EXECUTED) !== executed;
  cpu.mem.write(pool + POOL_SEEN_FIRST, first);
  cpu.mem.write(pool + POOL_SEEN_EXECUTED, executed);
  const stuck = now - cpu.mem.read64(pool + POOL_WATCHDOG_TS);
  if (moved) cpu.mem.write64(pool + POOL_WATCHDOG_TS, now);
  else if (stuck >= WATCHDOG_THRESH && stuck - MAYDAY_INTERVAL < WATCHDOG_THRESH)
    report_lockup(cpu, pool, stuck);
}

function report_lockup(cpu: Cpu, pool: number, stuck: number): void {
  const cpus = pool_is_unbound(cpu, pool) ? `0-${cpu.config.cpus - 1}` : `${cpu.mem.read(pool + POOL_CPU)}`;
  const nice = cpu.mem.read(pool + POOL_ID) % 2 === 1 ? -20 : 0;
  const text = `cpus=${cpus} flags=0x0 nice=${nice} stuck for ${Math.floor(stuck / 1000)}s!`;
  printk(cpu, LOG_BUG, `BUG: workqueue lockup - pool ${text}`);
}

/** Main loop of a rescuer, until its queue is destroyed or the machine stops; then it is a worker like any other. */
export function rescuer_thread(cpu: Cpu, worker: number): void {
  const wq = cpu.mem.read(worker + WORKER_RESCUE) - WQ_RESCUE;
  for (;;) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    const stop = cpu.mem.loadAcquire(worker + WORKER_STOP) !== 0 || kthread_should_stop(cpu);
    // After the look at STOP: who stops us sends no mayday later.
    rescue_all(cpu, worker, wq);
    if (stop) break;
    schedule(cpu);
  }
  set_current_state(cpu, TASK_RUNNING);
  resign(cpu, worker, wq);
}

function resign(cpu: Cpu, worker: number, wq: number): void {
  spin_lock_irqsave(cpu, wq + WQ_LOCK);
  spin_lock_irqsave(cpu, WQ_MAYDAY_LOCK);
  cpu.mem.storeRelease(wq + WQ_RESCUE + RESCUE_WORKER, 0);
  spin_unlock_irqrestore(cpu, WQ_MAYDAY_LOCK);
  rescuer_resign(cpu, worker);
  wake_up_all(cpu, wq + WQ_FLUSH_WAITQ);
  // destroy_workqueue takes this lock before it frees: we are through with the queue here.
  spin_unlock_irqrestore(cpu, wq + WQ_LOCK);
}

function rescue_all(cpu: Cpu, worker: number, wq: number): void {
  for (;;) {
    spin_lock_irqsave(cpu, WQ_MAYDAY_LOCK);
    const node = list_next(cpu, wq + WQ_MAYDAYS);
    const called = node !== wq + WQ_MAYDAYS;
    if (called) list_del_init(cpu, node);
    spin_unlock_irqrestore(cpu, WQ_MAYDAY_LOCK);
    if (!called) return;
    // schedule() then looks once more.
    set_current_state(cpu, TASK_RUNNING);
    rescue_pwq(cpu, worker, wq, node - PWQ_MAYDAY_NODE);
  }
}

/** Runs the works of one pwq that wait on its pool. */
function rescue_pwq(cpu: Cpu, worker: number, wq: number, pwq: number): void {
  const pool = cpu.mem.read(pwq + PWQ_POOL);
  cpu.mem.write(worker + WORKER_POOL, pool);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  const end = pool + POOL_WORKLIST - WORK_ENTRY;
  let work = list_next(cpu, pool + POOL_WORKLIST) - WORK_ENTRY;
  while (work !== end) {
    const ours = data_pwq(cpu.mem.readOnce(work + WORK_DATA)) === pwq;
    work = ours ? assign_work(cpu, pool, work, worker) : list_next(cpu, work + WORK_ENTRY) - WORK_ENTRY;
  }
  if (!list_empty(cpu, worker + WORKER_SCHEDULED)) {
    process_scheduled_works(cpu, pool, worker);
    // What these let in or queued must not wait for the next call: it may be what others wait for.
    if (cpu.mem.read(pwq + PWQ_NR_ACTIVE) !== 0 && need_to_create_worker(cpu, pool)) call_again(cpu, wq, pwq);
  }
  kick_pool(cpu, pool);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  cpu.mem.write(worker + WORKER_POOL, 0);
}

function call_again(cpu: Cpu, wq: number, pwq: number): void {
  spin_lock_irqsave(cpu, WQ_MAYDAY_LOCK);
  if (list_empty(cpu, pwq + PWQ_MAYDAY_NODE)) list_add_tail(cpu, pwq + PWQ_MAYDAY_NODE, wq + WQ_MAYDAYS);
  spin_unlock_irqrestore(cpu, WQ_MAYDAY_LOCK);
}

/**
 * Gives the queue its rescuer if it wants one. False when config.kthreads leaves no thread. A queue made before the
 * first kworker exists gets one when they come; in a solo kernel that is never, nor is it needed.
 */
export function init_rescuer(cpu: Cpu, wq: number): boolean {
  INIT_LIST_HEAD(cpu, wq + WQ_MAYDAYS);
  if ((wq_flags(cpu, wq) & WQ_MEM_RECLAIM) === 0) return true;
  cpu.mem.write(wq + WQ_RESCUE + RESCUE_WAITER, kworkers_online(cpu) ? current_task(cpu) : 0);
  if (rescuer_request(cpu, wq + WQ_RESCUE) && (!kworkers_online(cpu) || wait_for_rescuer(cpu, wq)))
    return true;
  const text = `workqueue: Failed to create a rescuer kthread for wq "${wq_name(cpu, wq)}": -EAGAIN`;
  printk(cpu, LOG_WARN, text);
  return false;
}

/** Until a worker has been given; gives up when no thread can come and none goes idle. */
function wait_for_rescuer(cpu: Cpu, wq: number): boolean {
  let left = RESCUER_WAIT;
  for (;;) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    if (wq_rescuer(cpu, wq) !== 0) break;
    if (!kworkers_at_limit(cpu)) schedule(cpu);
    else if (left > 0) left = schedule_timeout(cpu, left);
    else if (rescuer_withdraw(cpu, wq + WQ_RESCUE)) break;
  }
  set_current_state(cpu, TASK_RUNNING);
  return wq_rescuer(cpu, wq) !== 0;
}

/** Takes the rescuer back. The queue is drained, and nobody queues any more. */
export function stop_rescuer(cpu: Cpu, wq: number): void {
  if ((wq_flags(cpu, wq) & WQ_MEM_RECLAIM) === 0) return;
  if (rescuer_withdraw(cpu, wq + WQ_RESCUE)) return;
  const rescuer = wq_rescuer(cpu, wq);
  if (rescuer === 0) return;
  cpu.mem.storeRelease(rescuer + WORKER_STOP, 1);
  wake_up_process(cpu, cpu.mem.read(rescuer + WORKER_TASK) as TaskPtr);
  const entry = wait_entry_push(cpu);
  for (;;) {
    prepare_to_wait(cpu, wq + WQ_FLUSH_WAITQ, entry, TASK_UNINTERRUPTIBLE);
    if (wq_rescuer(cpu, wq) === 0) break;
    schedule(cpu);
  }
  finish_wait(cpu, wq + WQ_FLUSH_WAITQ, entry);
  spin_lock_irqsave(cpu, wq + WQ_LOCK);
  spin_unlock_irqrestore(cpu, wq + WQ_LOCK);
}
