/**
 * kworkers (kernel/workqueue.c, worker_thread and process_one_work).
 *
 * A work runs exactly once per successful queue_work and never twice at the same time: an item that is re-queued
 * while it runs goes to the worker that runs it. Running is keyed on (work, func), so an item that its function
 * re-initialises with another function is another work. Once the function is called the core does not touch
 * the item: the function may free it.
 *
 * Interface: kworker_thread is a thread's main loop. A solo kernel calls workqueue_run_one when it idles.
 */
import { LOG_BUG, printk } from "../debug/dmesg.ts";
import { type SymbolId, percpu_static, symbol_call, symbol_name } from "../debug/image.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty, list_next } from "../mm/list.ts";
import { type Cpu, stack_pop, stack_push, this_cpu_ptr } from "./cpu.ts";
import { kthread_exit, kthread_should_stop } from "./kthread.ts";
import { cond_resched, schedule } from "./schedule.ts";
import { current_task, set_current_state, TASK_RUNNING, TASK_UNINTERRUPTIBLE } from "./task.ts";
import {
  clear_work_pending,
  move_linked_works,
  WQ_CPU_INTENSIVE,
  wq_dec_nr_in_flight,
  wq_flags,
} from "./wq-queue.ts";
import { data_wq, WORK_DATA, WORK_ENTRY, WORK_FUNC } from "./wq-work.ts";
import {
  kick_pool,
  kick_starved_pools,
  kworker_arrive,
  kworker_leave,
  NR_POOLS,
  pool_count_running,
  pool_is_unbound,
  POOL_BUSY_LIST,
  POOL_LOCK,
  POOL_NR_EXECUTED,
  POOL_NR_RUNNING,
  POOL_WORKLIST,
  wake_idle_workers,
  worker_enter_idle,
  worker_pool,
  WORKER_CURRENT_FUNC,
  WORKER_CURRENT_WORK,
  WORKER_CURRENT_WQ,
  WORKER_ENTRY,
  WORKER_FLAGS,
  WORKER_NOT_RUNNING,
  WORKER_POOL,
  WORKER_SCHEDULED,
  WORKER_SIZE,
  WORKER_TASK,
} from "./wq-worker.ts";

/** The struct worker of each kworker thread. */
const KWORKER = percpu_static("kworker", WORKER_SIZE);

/** Main loop of a kworker; kthread_start has counted it. Returns when told to stop and no work is left anywhere. */
export function kworker_thread(cpu: Cpu): void {
  const worker = this_cpu_ptr(cpu, KWORKER);
  init_worker(cpu, worker);
  cpu.worker = worker;
  kworker_arrive(cpu);
  worker_enter_idle(cpu, worker);
  for (;;) {
    kick_starved_pools(cpu);
    const pool = wait_for_pool(cpu, worker);
    if (pool === 0) break;
    serve_pool(cpu, worker, pool);
  }
  cpu.worker = 0;
  // A thread that looked while we had arrived but were not idle yet has gone back to sleep: it may leave now.
  wake_idle_workers(cpu);
  kthread_exit(cpu);
}

function init_worker(cpu: Cpu, worker: number): void {
  INIT_LIST_HEAD(cpu, worker + WORKER_ENTRY);
  INIT_LIST_HEAD(cpu, worker + WORKER_SCHEDULED);
  cpu.mem.write(worker + WORKER_POOL, 0);
  cpu.mem.write(worker + WORKER_TASK, current_task(cpu));
  cpu.mem.write(worker + WORKER_FLAGS, WORKER_NOT_RUNNING);
}

/** Idle until a pool takes this worker; 0 when the thread may end. */
function wait_for_pool(cpu: Cpu, worker: number): number {
  for (;;) {
    // The state goes first: who takes us after the test wakes us. Pairs with the storeRelease in kick_pool.
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    const pool = cpu.mem.loadAcquire(worker + WORKER_POOL);
    const leave = pool === 0 && kthread_should_stop(cpu) && kworker_leave(cpu, worker);
    if (pool !== 0 || leave) {
      set_current_state(cpu, TASK_RUNNING);
      return pool;
    }
    schedule(cpu);
  }
}

/** Runs works of the pool while it should, then goes idle. */
function serve_pool(cpu: Cpu, worker: number, pool: number): void {
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  if (!pool_is_unbound(cpu, pool)) cpu.mem.write(worker + WORKER_FLAGS, 0);
  while (keep_working(cpu, pool)) {
    const work = list_next(cpu, pool + POOL_WORKLIST) - WORK_ENTRY;
    if (assign_work(cpu, pool, work, worker)) process_scheduled_works(cpu, pool, worker);
  }
  cpu.mem.write(worker + WORKER_FLAGS, WORKER_NOT_RUNNING);
  pool_count_running(cpu, pool, -1);
  worker_enter_idle(cpu, worker);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  // The last one to go idle lets all threads end.
  if (kthread_should_stop(cpu)) wake_idle_workers(cpu);
}

/** Work waits, and no other worker of a bound pool runs. */
function keep_working(cpu: Cpu, pool: number): boolean {
  if (list_empty(cpu, pool + POOL_WORKLIST)) return false;
  return pool_is_unbound(cpu, pool) || cpu.mem.read(pool + POOL_NR_RUNNING) <= 1;
}

/** find_worker_executing_work(): keyed on the function too, as the item may have been freed and used anew. */
export function find_executing_worker(cpu: Cpu, pool: number, work: number): number {
  const func = cpu.mem.read(work + WORK_FUNC);
  let node = list_next(cpu, pool + POOL_BUSY_LIST);
  while (node !== pool + POOL_BUSY_LIST) {
    const worker = node - WORKER_ENTRY;
    const same = cpu.mem.read(worker + WORKER_CURRENT_WORK) === work;
    if (same && cpu.mem.read(worker + WORKER_CURRENT_FUNC) === func) return worker;
    node = list_next(cpu, node);
  }
  return 0;
}

/** Gives a work and its barriers to `worker`, or to the worker that runs it now: then false. Pool lock held. */
function assign_work(cpu: Cpu, pool: number, work: number, worker: number): boolean {
  const collision = find_executing_worker(cpu, pool, work);
  move_linked_works(cpu, work, (collision !== 0 ? collision : worker) + WORKER_SCHEDULED);
  return collision === 0;
}

function process_scheduled_works(cpu: Cpu, pool: number, worker: number): void {
  while (!list_empty(cpu, worker + WORKER_SCHEDULED)) {
    process_one_work(cpu, pool, worker, list_next(cpu, worker + WORKER_SCHEDULED) - WORK_ENTRY);
    // A work that the finished one let in must not wait for what this worker still has to do.
    if (!list_empty(cpu, worker + WORKER_SCHEDULED)) kick_pool(cpu, pool);
  }
}

/** Runs one work. Pool lock held on entry and return, not while the function runs. */
function process_one_work(cpu: Cpu, pool: number, worker: number, work: number): void {
  // All that is needed afterwards is copied now: the function may free the item.
  const data = cpu.mem.read(work + WORK_DATA);
  const func = cpu.mem.read(work + WORK_FUNC);
  const wq = data_wq(data);
  const cpu_intensive = (wq_flags(cpu, wq) & WQ_CPU_INTENSIVE) !== 0;
  cpu.mem.write(worker + WORKER_CURRENT_WORK, work);
  cpu.mem.write(worker + WORKER_CURRENT_FUNC, func);
  cpu.mem.write(worker + WORKER_CURRENT_WQ, wq);
  list_add_tail(cpu, worker + WORKER_ENTRY, pool + POOL_BUSY_LIST);
  list_del_init(cpu, work + WORK_ENTRY);
  if (cpu_intensive) set_cpu_intensive(cpu, pool, worker);
  clear_work_pending(cpu, work, pool);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  call_work_function(cpu, func, work);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  if (cpu_intensive) clear_cpu_intensive(cpu, pool, worker);
  list_del_init(cpu, worker + WORKER_ENTRY);
  cpu.mem.write(worker + WORKER_CURRENT_WORK, 0);
  cpu.mem.write(worker + WORKER_CURRENT_FUNC, 0);
  cpu.mem.write(worker + WORKER_CURRENT_WQ, 0);
  cpu.mem.write(pool + POOL_NR_EXECUTED, cpu.mem.read(pool + POOL_NR_EXECUTED) + 1);
  wq_dec_nr_in_flight(cpu, wq, data);
}

function call_work_function(cpu: Cpu, func: SymbolId, work: number): void {
  symbol_call(cpu, func, work);
  if (cpu.preempt_count !== 0 || cpu.rcu_nesting !== 0) {
    const state = `preempt=0x${cpu.preempt_count.toString(16)} RCU=${cpu.rcu_nesting}`;
    printk(
      cpu,
      LOG_BUG,
      `BUG: workqueue leaked atomic, lock or RCU: kworker/${cpu.id} ${state} workfn=${symbol_name(func)}`,
    );
  }
  cond_resched(cpu);
}

/** A CPU intensive work does not keep others from running. */
function set_cpu_intensive(cpu: Cpu, pool: number, worker: number): void {
  if (pool_is_unbound(cpu, pool)) return;
  cpu.mem.write(worker + WORKER_FLAGS, WORKER_NOT_RUNNING);
  pool_count_running(cpu, pool, -1);
  kick_pool(cpu, pool);
}

function clear_cpu_intensive(cpu: Cpu, pool: number, worker: number): void {
  if (pool_is_unbound(cpu, pool)) return;
  cpu.mem.write(worker + WORKER_FLAGS, 0);
  pool_count_running(cpu, pool, 1);
}

/**
 * Solo kernels: runs one pending work on this stack, and what is scheduled behind it. False when there is none.
 * A work that runs further down this stack is left to it.
 */
export function workqueue_run_one(cpu: Cpu): boolean {
  for (let id = 0; id < NR_POOLS; id++) if (run_one(cpu, worker_pool(id))) return true;
  return false;
}

function run_one(cpu: Cpu, pool: number): boolean {
  const outer = cpu.worker;
  const worker = stack_push(cpu, WORKER_SIZE);
  let ran = false;
  init_worker(cpu, worker);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  while (!ran && !list_empty(cpu, pool + POOL_WORKLIST)) {
    const work = list_next(cpu, pool + POOL_WORKLIST) - WORK_ENTRY;
    ran = assign_work(cpu, pool, work, worker);
  }
  if (ran) {
    cpu.mem.write(worker + WORKER_POOL, pool);
    if (!pool_is_unbound(cpu, pool)) cpu.mem.write(worker + WORKER_FLAGS, 0);
    pool_count_running(cpu, pool, 1);
    cpu.worker = worker;
    process_scheduled_works(cpu, pool, worker);
    cpu.worker = outer;
    pool_count_running(cpu, pool, -1);
  }
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  stack_pop(cpu, worker);
  return ran;
}
