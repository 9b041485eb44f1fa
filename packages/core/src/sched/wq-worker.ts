/**
 * Worker pools (kernel/workqueue.c), the part shared with schedule(): two pools for each CPU, normal and high
 * priority, two unbound ones, and when a pool gets another worker. The threads are in wq-idle.ts, their main
 * loop in wq-kworker.ts.
 *
 * A bound pool manages concurrency: it keeps one worker running. A worker that blocks in schedule() stops
 * counting, and if work waits, another takes over. An unbound pool runs everything at once; its nr_running
 * counts only workers on their way.
 *
 * Invariant, under the pool's lock: while work waits in the worklist, nr_running is not 0, or no thread is idle
 * and STARVED is set (wq-idle.ts). Whoever nr_running counts looks at the worklist before it stops counting: a
 * bound worker that goes idle or blocks, an unbound one on arrival, which kicks the next before it runs its
 * work. So a pool whose workers all block makes progress up to config.kthreads threads, and beyond that through
 * the rescuers of queues that have one (wq-rescuer.ts): a kick that finds nobody arms the mayday timer.
 *
 * Unlike Linux, workers of a bound pool are threads of their own: they are of that CPU in name
 * (raw_smp_processor_id), and run beside the CPU's task.
 *
 * Lock order: pool lock, then IDLE_LOCK or a timer base's.
 */
import { kernel_initcall, kernel_static, percpu_static } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { INIT_LIST_HEAD, list_empty } from "../mm/list.ts";
import { type Cpu, per_cpu_ptr, SOFTIRQ_OFFSET } from "./cpu.ts";
import { current_state, TASK_RUNNING, type TaskPtr, wake_up_process } from "./task.ts";
import { mod_timer, timer_pending, TIMER_SIZE, type TimerPtr } from "./timer.ts";
import {
  has_idle_worker,
  kworkers_online,
  take_idle_worker,
  WORKER_CURRENT_WORK,
  WORKER_FLAGS,
  WORKER_NOT_RUNNING,
  WORKER_POOL,
  WORKER_SLEEPING,
  WORKER_TASK,
} from "./wq-idle.ts";

/** "Any CPU" where the number of one is asked for. */
export const WORK_CPU_UNBOUND = 64;

// struct worker_pool. Guarded by POOL_LOCK:
export const POOL_LOCK = 0;
/** Bound: workers that run and are not blocked. Both: workers on their way. Kept at one where possible. */
export const POOL_NR_RUNNING = 4;
/** Queued and active works, FIFO. */
export const POOL_WORKLIST = 8;
/** Workers inside a work function. */
export const POOL_BUSY_LIST = 16;
/** Works queued to this pool and works run since boot. */
export const POOL_NR_QUEUED = 24;
export const POOL_NR_EXECUTED = 28;
/** What the mayday timer saw last: first work, works run, and since when (ms). */
export const POOL_SEEN_FIRST = 32;
export const POOL_SEEN_EXECUTED = 36;
export const POOL_WATCHDOG_TS = 40;
export const POOL_MAYDAY_TIMER = 48;
// Constant after boot:
/** WORK_CPU_UNBOUND for an unbound pool: it has no concurrency management. */
export const POOL_CPU = POOL_MAYDAY_TIMER + TIMER_SIZE;
export const POOL_ID = POOL_CPU + 4;
export const POOL_SIZE = 128;

struct_layout("worker_pool", POOL_SIZE, [
  ["lock", POOL_LOCK, 4],
  ["nr_running", POOL_NR_RUNNING, 4],
  ["worklist", POOL_WORKLIST, 8],
  ["busy_list", POOL_BUSY_LIST, 8],
  ["nr_queued", POOL_NR_QUEUED, 4],
  ["nr_executed", POOL_NR_EXECUTED, 4],
  ["seen_first", POOL_SEEN_FIRST, 4],
  ["seen_executed", POOL_SEEN_EXECUTED, 4],
  ["watchdog_ts", POOL_WATCHDOG_TS, 8],
  ["mayday_timer", POOL_MAYDAY_TIMER, TIMER_SIZE],
  ["cpu", POOL_CPU, 4],
  ["id", POOL_ID, 4],
]);

/** Pools per CPU, and unbound ones: normal, high priority. */
const NR_STD_WORKER_POOLS = 2;

const CPU_POOLS = percpu_static("cpu_worker_pools", NR_STD_WORKER_POOLS * POOL_SIZE);
const UNBOUND_POOLS = kernel_static("unbound_worker_pools", NR_STD_WORKER_POOLS * POOL_SIZE);

/** Call for help after (ms), and then every. */
export const MAYDAY_INITIAL_TIMEOUT = 10;
export const MAYDAY_INTERVAL = 100;

kernel_initcall(worker_pools_init);
function worker_pools_init(cpu: Cpu): void {
  for (let id = 0; id < nr_worker_pools(cpu); id++) {
    const pool = worker_pool(cpu, id);
    const bound = id < cpu.config.cpus * NR_STD_WORKER_POOLS;
    spin_lock_init(cpu, pool + POOL_LOCK, "&pool->lock");
    INIT_LIST_HEAD(cpu, pool + POOL_WORKLIST);
    INIT_LIST_HEAD(cpu, pool + POOL_BUSY_LIST);
    cpu.mem.write(pool + POOL_CPU, bound ? Math.floor(id / NR_STD_WORKER_POOLS) : WORK_CPU_UNBOUND);
    cpu.mem.write(pool + POOL_ID, id);
  }
}

export function nr_worker_pools(cpu: Cpu): number {
  return (cpu.config.cpus + 1) * NR_STD_WORKER_POOLS;
}

/** Pools are numbered CPU by CPU, the unbound ones last. */
export function worker_pool(cpu: Cpu, id: number): number {
  const unbound = id - cpu.config.cpus * NR_STD_WORKER_POOLS;
  if (unbound >= 0) return UNBOUND_POOLS + unbound * POOL_SIZE;
  return per_cpu_ptr(cpu, CPU_POOLS, id >> 1) + (id & 1) * POOL_SIZE;
}

/** The pool of CPU `id`, or an unbound one. */
export function std_worker_pool(cpu: Cpu, id: number, highpri: boolean): number {
  const of = id === WORK_CPU_UNBOUND ? cpu.config.cpus : id;
  return worker_pool(cpu, of * NR_STD_WORKER_POOLS + (highpri ? 1 : 0));
}

export function pool_is_unbound(cpu: Cpu, pool: number): boolean {
  return cpu.mem.read(pool + POOL_CPU) === WORK_CPU_UNBOUND;
}

/** Adds to nr_running. Pool lock held. */
export function pool_count_running(cpu: Cpu, pool: number, change: number): void {
  cpu.mem.write(pool + POOL_NR_RUNNING, cpu.mem.read(pool + POOL_NR_RUNNING) + change);
}

/** need_more_worker(): work waits that nobody looks after. Pool lock held. */
function need_more_worker(cpu: Cpu, pool: number): boolean {
  return !list_empty(cpu, pool + POOL_WORKLIST) && cpu.mem.read(pool + POOL_NR_RUNNING) === 0;
}

/** need_to_create_worker(): and nobody is idle who could. Pool lock held. */
export function need_to_create_worker(cpu: Cpu, pool: number): boolean {
  return need_more_worker(cpu, pool) && !has_idle_worker(cpu);
}

/** Sends an idle thread to the pool if it needs one. Pool lock held. */
export function kick_pool(cpu: Cpu, pool: number): void {
  if (!need_more_worker(cpu, pool)) return;
  const worker = take_idle_worker(cpu);
  if (worker === 0) {
    arm_mayday(cpu, pool);
    return;
  }
  pool_count_running(cpu, pool, 1);
  // Pairs with the loadAcquire in wait_for_duty: it set its state before, so it sees the pool or our wake-up.
  cpu.mem.storeRelease(worker + WORKER_POOL, pool);
  wake_up_process(cpu, cpu.mem.read(worker + WORKER_TASK) as TaskPtr);
}

/** Nobody came. Before the first kworker there is nobody to call either. */
function arm_mayday(cpu: Cpu, pool: number): void {
  const timer = (pool + POOL_MAYDAY_TIMER) as TimerPtr;
  if (!kworkers_online(cpu) || timer_pending(cpu, timer)) return;
  cpu.mem.write64(pool + POOL_WATCHDOG_TS, Math.floor(cpu.now()));
  mod_timer(cpu, timer, cpu.now() + MAYDAY_INITIAL_TIMEOUT);
}

/** After joining the idle list: pools whose work found nobody get a worker now. */
export function kick_starved_pools(cpu: Cpu): void {
  for (let id = 0; id < nr_worker_pools(cpu); id++) {
    const pool = worker_pool(cpu, id);
    // Who queued before we joined inserted the work before it looked at the idle list: we see it here.
    if (!pool_has_work(cpu, pool)) continue;
    spin_lock_irqsave(cpu, pool + POOL_LOCK);
    kick_pool(cpu, pool);
    spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  }
}

function pool_has_work(cpu: Cpu, pool: number): boolean {
  return cpu.mem.loadAcquire(pool + POOL_WORKLIST) !== pool + POOL_WORKLIST;
}

/** No pool has work that waits for a worker; a look without locks. */
export function pools_are_empty(cpu: Cpu): boolean {
  for (let id = 0; id < nr_worker_pools(cpu); id++)
    if (pool_has_work(cpu, worker_pool(cpu, id))) return false;
  return true;
}

/** current_wq_worker(): the worker this task runs as, or 0; 0 in interrupts and timers too. */
export function current_wq_worker(cpu: Cpu): number {
  return cpu.in_irq || cpu.preempt_count >= SOFTIRQ_OFFSET ? 0 : cpu.worker;
}

/** The work whose function this task is in, or 0. */
export function current_work(cpu: Cpu): number {
  const worker = current_wq_worker(cpu);
  return worker === 0 ? 0 : cpu.mem.read(worker + WORKER_CURRENT_WORK);
}

/** The CPU this task is of: for the worker of a bound pool the pool's. Threads that are no CPU get a fixed one. */
export function raw_smp_processor_id(cpu: Cpu): number {
  if (cpu.worker !== 0) {
    const pool = cpu.mem.read(cpu.worker + WORKER_POOL);
    if (pool !== 0 && !pool_is_unbound(cpu, pool)) return cpu.mem.read(pool + POOL_CPU);
  }
  return cpu.id < cpu.config.cpus ? cpu.id : cpu.id % cpu.config.cpus;
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
