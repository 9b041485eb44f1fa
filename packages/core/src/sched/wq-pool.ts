/**
 * Running works (kernel/workqueue.c, process_one_work).
 *
 * A work runs exactly once per successful queue_work and never twice at the same time: an item that is re-queued
 * while it runs goes to the worker that runs it. Running is keyed on (work, func), so an item that its function
 * re-initialises with another function is another work. Once the function is called the core does not touch
 * the item: the function may free it.
 *
 * Interface: the workers' loops (wq-kworker.ts, wq-rescuer.ts) assign works, then process them. A solo kernel calls
 * workqueue_run_one when it idles.
 */
import { LOG_BUG, printk } from "../debug/dmesg.ts";
import { type SymbolId, symbol_call, symbol_name } from "../debug/image.ts";
import { debug_object_deactivate } from "../debug/objects.ts";
import { lock_map_acquire, lock_map_release, lockdep_depth, lockdep_work_map } from "../lock/lockdep.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty, list_next } from "../mm/list.ts";
import { type Cpu, stack_pop, stack_push } from "./cpu.ts";
import { cond_resched } from "./schedule.ts";
import { current_task } from "./task.ts";
import {
  WORKER_CURRENT_DATA,
  WORKER_CURRENT_FUNC,
  WORKER_CURRENT_PWQ,
  WORKER_CURRENT_WORK,
  WORKER_ENTRY,
  WORKER_FLAGS,
  WORKER_NOT_RUNNING,
  WORKER_POOL,
  WORKER_RESCUE,
  WORKER_SCHEDULED,
  WORKER_SIZE,
  WORKER_TASK,
} from "./wq-idle.ts";
import { move_linked_works, PWQ_CPU_INTENSIVE, pwq_dec_nr_in_flight, PWQ_WQ } from "./wq-pwq.ts";
import { WQ_LOCKDEP_MAP } from "./wq-queue.ts";
import { data_pwq, offq_data, set_work_data, WORK_DATA, WORK_ENTRY, WORK_FUNC } from "./wq-work.ts";
import {
  kick_pool,
  nr_worker_pools,
  POOL_BUSY_LIST,
  pool_count_running,
  pool_is_unbound,
  POOL_LOCK,
  POOL_NR_EXECUTED,
  POOL_WORKLIST,
  worker_pool,
} from "./wq-worker.ts";

/** A worker without a pool, for this thread. */
export function init_worker(cpu: Cpu, worker: number): void {
  INIT_LIST_HEAD(cpu, worker + WORKER_ENTRY);
  INIT_LIST_HEAD(cpu, worker + WORKER_SCHEDULED);
  cpu.mem.write(worker + WORKER_POOL, 0);
  cpu.mem.write(worker + WORKER_RESCUE, 0);
  cpu.mem.write(worker + WORKER_TASK, current_task(cpu));
  cpu.mem.write(worker + WORKER_FLAGS, WORKER_NOT_RUNNING);
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

/** Gives a work and its barriers to `worker`, or to the worker that runs it now. Returns what followed. Lock held. */
export function assign_work(cpu: Cpu, pool: number, work: number, worker: number): number {
  const collision = find_executing_worker(cpu, pool, work);
  return move_linked_works(cpu, work, (collision !== 0 ? collision : worker) + WORKER_SCHEDULED);
}

/** Runs what the worker has been given. Pool lock held on entry and return. */
export function process_scheduled_works(cpu: Cpu, pool: number, worker: number): void {
  while (!list_empty(cpu, worker + WORKER_SCHEDULED)) {
    process_one_work(cpu, pool, worker, list_next(cpu, worker + WORKER_SCHEDULED) - WORK_ENTRY);
  }
}

/** Runs one work. Pool lock held on entry and return, not while the function runs. */
function process_one_work(cpu: Cpu, pool: number, worker: number, work: number): void {
  // All that is needed afterwards is copied now: the function may free the item.
  const data = cpu.mem.readOnce(work + WORK_DATA);
  const func = cpu.mem.read(work + WORK_FUNC);
  const pwq = data_pwq(data);
  const counts = (cpu.mem.read(worker + WORKER_FLAGS) & WORKER_NOT_RUNNING) === 0;
  const cpu_intensive = counts && cpu.mem.read(pwq + PWQ_CPU_INTENSIVE) !== 0;
  cpu.mem.write(worker + WORKER_CURRENT_WORK, work);
  cpu.mem.write(worker + WORKER_CURRENT_FUNC, func);
  cpu.mem.write(worker + WORKER_CURRENT_PWQ, pwq);
  cpu.mem.write(worker + WORKER_CURRENT_DATA, data);
  list_add_tail(cpu, worker + WORKER_ENTRY, pool + POOL_BUSY_LIST);
  list_del_init(cpu, work + WORK_ENTRY);
  if (cpu_intensive) set_cpu_intensive(cpu, pool, worker);
  // Who does not count as running does not look after what still waits.
  if (!counts || cpu_intensive) kick_pool(cpu, pool);
  if (cpu.lockdep) debug_object_deactivate(cpu, work);
  set_work_data(cpu, work, offq_data(cpu, pool, 0));
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  call_work_function(cpu, pwq, func, work);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  if (cpu_intensive) clear_cpu_intensive(cpu, pool, worker);
  list_del_init(cpu, worker + WORKER_ENTRY);
  cpu.mem.write(worker + WORKER_CURRENT_WORK, 0);
  cpu.mem.write(worker + WORKER_CURRENT_FUNC, 0);
  cpu.mem.write(worker + WORKER_CURRENT_PWQ, 0);
  cpu.mem.write(pool + POOL_NR_EXECUTED, cpu.mem.read(pool + POOL_NR_EXECUTED) + 1);
  pwq_dec_nr_in_flight(cpu, pwq, data);
}

function call_work_function(cpu: Cpu, pwq: number, func: SymbolId, work: number): void {
  const rcu = cpu.rcu_nesting;
  const locks = lockdep_depth(cpu);
  const map = cpu.lockdep ? lockdep_work_map(cpu, func) : 0;
  const wq_map = cpu.mem.read(pwq + PWQ_WQ) + WQ_LOCKDEP_MAP;
  if (cpu.lockdep) {
    lock_map_acquire(cpu, wq_map);
    lock_map_acquire(cpu, map);
  }
  symbol_call(cpu, func, work);
  if (cpu.lockdep) {
    lock_map_release(cpu, map);
    lock_map_release(cpu, wq_map);
  }
  if (cpu.preempt_count !== 0 || cpu.rcu_nesting !== rcu || lockdep_depth(cpu) !== locks) {
    const preempt = `preempt=0x${cpu.preempt_count.toString(16).padStart(8, "0")}`;
    const state = `${preempt} lock=${locks}->${lockdep_depth(cpu)} RCU=${rcu}->${cpu.rcu_nesting}`;
    const text = `kworker/${cpu.id} ${state} workfn=${symbol_name(func)}`;
    printk(cpu, LOG_BUG, `BUG: workqueue leaked atomic, lock or RCU: ${text}`);
  }
  cond_resched(cpu);
}

/** A CPU intensive work does not keep others from running. */
function set_cpu_intensive(cpu: Cpu, pool: number, worker: number): void {
  cpu.mem.write(worker + WORKER_FLAGS, WORKER_NOT_RUNNING);
  pool_count_running(cpu, pool, -1);
}

function clear_cpu_intensive(cpu: Cpu, pool: number, worker: number): void {
  cpu.mem.write(worker + WORKER_FLAGS, 0);
  pool_count_running(cpu, pool, 1);
}

/**
 * Solo kernels: runs one pending work on this stack, and what is scheduled behind it. False when there is none.
 * A work that runs further down this stack is left to it.
 */
export function workqueue_run_one(cpu: Cpu): boolean {
  for (let id = 0; id < nr_worker_pools(cpu); id++) if (run_one(cpu, worker_pool(cpu, id))) return true;
  return false;
}

function run_one(cpu: Cpu, pool: number): boolean {
  const outer = cpu.worker;
  const counts = !pool_is_unbound(cpu, pool);
  const worker = stack_push(cpu, WORKER_SIZE);
  init_worker(cpu, worker);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  while (list_empty(cpu, worker + WORKER_SCHEDULED) && !list_empty(cpu, pool + POOL_WORKLIST)) {
    assign_work(cpu, pool, list_next(cpu, pool + POOL_WORKLIST) - WORK_ENTRY, worker);
  }
  const ran = !list_empty(cpu, worker + WORKER_SCHEDULED);
  if (ran) {
    cpu.mem.write(worker + WORKER_POOL, pool);
    if (counts) {
      cpu.mem.write(worker + WORKER_FLAGS, 0);
      pool_count_running(cpu, pool, 1);
    }
    cpu.worker = worker;
    process_scheduled_works(cpu, pool, worker);
    cpu.worker = outer;
    if (counts) pool_count_running(cpu, pool, -1);
  }
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  stack_pop(cpu, worker);
  return ran;
}
