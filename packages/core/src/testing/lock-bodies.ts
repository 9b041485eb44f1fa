/** What the CPUs do in lock/lock-threads.test.ts. */
import { EINTR } from "../debug/errno.ts";
import { kernel_static } from "../debug/image.ts";
import {
  mutex_init,
  mutex_lock,
  mutex_lock_interruptible,
  MUTEX_SIZE,
  mutex_unlock,
  type MutexPtr,
} from "../lock/mutex.ts";
import {
  DEFINE_WD_CLASS,
  WW_ACQUIRE_CTX_SIZE,
  ww_acquire_fini,
  ww_acquire_init,
  type WwAcquireCtxPtr,
} from "../lock/ww-acquire.ts";
import { ww_mutex_init, ww_mutex_lock, ww_mutex_unlock, type WwMutexPtr } from "../lock/ww-mutex.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import {
  clear_thread_flag,
  kick_task,
  set_tsk_thread_flag,
  task_of_cpu,
  TIF_SIGPENDING,
} from "../sched/task.ts";
import { msleep } from "../sched/delay.ts";
import { linger, rendezvous, wait_until } from "./rendezvous.ts";

const WAIT_DIE = DEFINE_WD_CLASS("threads_wd_class");
const NR_LOCKS = 2;
const LOCK_STRIDE = 128;
const MUTEX = kernel_static("test_mutex", MUTEX_SIZE) as MutexPtr;
const LOCKS = kernel_static("test_ww_locks", NR_LOCKS * LOCK_STRIDE);
const COUNT = kernel_static("test_count", 4);
const POINT = kernel_static("test_point", 4);
const DONE = kernel_static("test_done", 4);
const STOP = kernel_static("test_stop", 4);

export function set_up(cpu: Cpu): void {
  mutex_init(cpu, MUTEX);
  for (let i = 0; i < NR_LOCKS; i++) ww_mutex_init(cpu, ww_lock(i), WAIT_DIE);
}

function ww_lock(i: number): WwMutexPtr {
  return (LOCKS + i * LOCK_STRIDE) as WwMutexPtr;
}
function cpus(cpu: Cpu): number {
  return cpu.config.cpus;
}

/** Adds with plain reads and writes; the mutex keeps them apart. */
export function count_up(cpu: Cpu, rounds: number): void {
  rendezvous(cpu, POINT, cpus(cpu));
  for (let i = 0; i < rounds; i++) {
    mutex_lock(cpu, MUTEX);
    const n = cpu.mem.read(COUNT);
    linger(cpu, 30);
    cpu.mem.write(COUNT, n + 1);
    mutex_unlock(cpu, MUTEX);
  }
}
export function counted(cpu: Cpu): number {
  return cpu.mem.read(COUNT);
}

/** Takes the mutex again as soon as it has let it go. Returns how often. */
export function hog(cpu: Cpu): number {
  let taken = 0;
  while (cpu.mem.loadAcquire(STOP) === 0) {
    mutex_lock(cpu, MUTEX);
    linger(cpu, 200);
    mutex_unlock(cpu, MUTEX);
    cond_resched(cpu);
    taken++;
  }
  return taken;
}
/** Wants it `rounds` times, beside a hog. */
export function modest(cpu: Cpu, rounds: number): number {
  for (let i = 0; i < rounds; i++) {
    mutex_lock(cpu, MUTEX);
    mutex_unlock(cpu, MUTEX);
  }
  cpu.mem.storeRelease(STOP, 1);
  return rounds;
}

/** Holds the mutex until the other has given up waiting for it. */
export function hold_until_interrupted(cpu: Cpu): void {
  mutex_lock(cpu, MUTEX);
  rendezvous(cpu, POINT, 2);
  msleep(cpu, 5);
  const other = task_of_cpu(cpu, 1 - cpu.id);
  set_tsk_thread_flag(cpu, other, TIF_SIGPENDING);
  kick_task(cpu, other);
  wait_until(cpu, DONE, 1);
  mutex_unlock(cpu, MUTEX);
}
export function be_interrupted(cpu: Cpu): boolean {
  rendezvous(cpu, POINT, 2);
  const error = mutex_lock_interruptible(cpu, MUTEX);
  clear_thread_flag(cpu, TIF_SIGPENDING);
  cpu.mem.storeRelease(DONE, 1);
  const again = mutex_lock_interruptible(cpu, MUTEX);
  mutex_unlock(cpu, MUTEX);
  return error === -EINTR && again === 0;
}

function ctx_push(cpu: Cpu): WwAcquireCtxPtr {
  const ctx = stack_push(cpu, WW_ACQUIRE_CTX_SIZE) as WwAcquireCtxPtr;
  ww_acquire_init(cpu, ctx, WAIT_DIE);
  return ctx;
}
function ctx_pop(cpu: Cpu, ctx: WwAcquireCtxPtr): void {
  ww_acquire_fini(cpu, ctx);
  stack_pop(cpu, ctx);
}

/** Each of two has its own lock and wants the other's, without contexts: this never ends. */
export function cross(cpu: Cpu): void {
  ww_mutex_lock(cpu, ww_lock(cpu.id), 0);
  rendezvous(cpu, POINT, 2);
  ww_mutex_lock(cpu, ww_lock(1 - cpu.id), 0);
}

/**
 * An older context queues in front of a younger one that holds a lock: the younger must die where it sleeps,
 * or the older gets this lock, wants the other one, and both wait for ever.
 */
const [WANTED, HELD] = [0, 1] as const;

export function oldest(cpu: Cpu): number {
  const ctx = ctx_push(cpu);
  rendezvous(cpu, POINT, 3);
  wait_until(cpu, DONE, 1);
  msleep(cpu, 20);
  cpu.mem.storeRelease(DONE, 2);
  ww_mutex_lock(cpu, ww_lock(WANTED), ctx);
  const error = ww_mutex_lock(cpu, ww_lock(HELD), ctx);
  ww_mutex_unlock(cpu, ww_lock(HELD));
  ww_mutex_unlock(cpu, ww_lock(WANTED));
  ctx_pop(cpu, ctx);
  return error;
}
export function younger(cpu: Cpu): number {
  rendezvous(cpu, POINT, 3);
  const ctx = ctx_push(cpu);
  ww_mutex_lock(cpu, ww_lock(HELD), ctx);
  cpu.mem.storeRelease(DONE, 1);
  const error = ww_mutex_lock(cpu, ww_lock(WANTED), ctx);
  if (error === 0) ww_mutex_unlock(cpu, ww_lock(WANTED));
  ww_mutex_unlock(cpu, ww_lock(HELD));
  ctx_pop(cpu, ctx);
  return error;
}
/** Holds what both want, without a context, until both are queued. */
export function bystander(cpu: Cpu): number {
  ww_mutex_lock(cpu, ww_lock(WANTED), 0);
  rendezvous(cpu, POINT, 3);
  wait_until(cpu, DONE, 2);
  msleep(cpu, 20);
  ww_mutex_unlock(cpu, ww_lock(WANTED));
  return 0;
}
