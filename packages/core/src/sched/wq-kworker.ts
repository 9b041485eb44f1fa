/**
 * The kworker thread (kernel/workqueue.c, worker_thread): waits until a pool or a workqueue without rescuer takes
 * it, serves that, waits again.
 *
 * Interface: kworker_thread is a thread's main loop. It ends when the machine stops and no work is left.
 */
import { percpu_static } from "../debug/image.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { list_empty, list_next } from "../mm/list.ts";
import { type Cpu, this_cpu_ptr } from "./cpu.ts";
import { kthread_exit, kthread_should_stop } from "./kthread.ts";
import { schedule } from "./schedule.ts";
import { set_current_state, TASK_RUNNING, TASK_UNINTERRUPTIBLE } from "./task.ts";
import {
  kworker_arrive,
  kworker_leave,
  wake_idle_workers,
  worker_enter_idle,
  WORKER_FLAGS,
  WORKER_NOT_RUNNING,
  WORKER_POOL,
  WORKER_RESCUE,
  WORKER_SIZE,
} from "./wq-idle.ts";
import { assign_work, init_worker, process_scheduled_works } from "./wq-pool.ts";
import { rescuer_thread } from "./wq-rescuer.ts";
import { WORK_ENTRY } from "./wq-work.ts";
import {
  kick_starved_pools,
  pool_count_running,
  pool_is_unbound,
  POOL_LOCK,
  POOL_NR_RUNNING,
  POOL_WORKLIST,
  pools_are_empty,
} from "./wq-worker.ts";

/** The struct worker of each kworker thread. */
const KWORKER = percpu_static("kworker", WORKER_SIZE);

/** Main loop of a kworker; kthread_start has counted it. Returns when told to stop and no work is left anywhere. */
export function kworker_thread(cpu: Cpu): void {
  const worker = this_cpu_ptr(cpu, KWORKER);
  init_worker(cpu, worker);
  cpu.worker = worker;
  kworker_arrive(cpu);
  let starved = worker_enter_idle(cpu, worker);
  for (;;) {
    if (starved) kick_starved_pools(cpu);
    if (!wait_for_duty(cpu, worker)) break;
    const pool = cpu.mem.read(worker + WORKER_POOL);
    if (pool !== 0) starved = serve_pool(cpu, worker, pool);
    else {
      rescuer_thread(cpu, worker);
      starved = worker_enter_idle(cpu, worker);
    }
    // The last one to go idle lets all threads end.
    if (kthread_should_stop(cpu)) wake_idle_workers(cpu);
  }
  cpu.worker = 0;
  // A thread that looked while we had arrived but were not idle yet has gone back to sleep: it may leave now.
  wake_idle_workers(cpu);
  kthread_exit(cpu);
}

/** Idle until somebody takes this worker; false when the thread may end. */
function wait_for_duty(cpu: Cpu, worker: number): boolean {
  for (;;) {
    // The state goes first: who takes us after the test wakes us. Pairs with the storeRelease in kick_pool.
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    const taken =
      cpu.mem.loadAcquire(worker + WORKER_POOL) !== 0 || cpu.mem.loadAcquire(worker + WORKER_RESCUE) !== 0;
    const leave = !taken && kthread_should_stop(cpu) && pools_are_empty(cpu) && kworker_leave(cpu, worker);
    if (taken || leave) {
      set_current_state(cpu, TASK_RUNNING);
      return taken;
    }
    schedule(cpu);
  }
}

/** Runs works of the pool while it should, then goes idle. True: kick_starved_pools must follow. */
function serve_pool(cpu: Cpu, worker: number, pool: number): boolean {
  const counts = !pool_is_unbound(cpu, pool);
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  // From here on a worker of an unbound pool does not count; it kicks the next one with each work it runs.
  if (counts) cpu.mem.write(worker + WORKER_FLAGS, 0);
  else pool_count_running(cpu, pool, -1);
  while (keep_working(cpu, pool, counts)) {
    assign_work(cpu, pool, list_next(cpu, pool + POOL_WORKLIST) - WORK_ENTRY, worker);
    process_scheduled_works(cpu, pool, worker);
  }
  cpu.mem.write(worker + WORKER_FLAGS, WORKER_NOT_RUNNING);
  if (counts) pool_count_running(cpu, pool, -1);
  const starved = worker_enter_idle(cpu, worker);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
  return starved;
}

/** Work waits, and no other worker of a bound pool runs. */
function keep_working(cpu: Cpu, pool: number, counts: boolean): boolean {
  if (list_empty(cpu, pool + POOL_WORKLIST)) return false;
  return !counts || cpu.mem.read(pool + POOL_NR_RUNNING) <= 1;
}
