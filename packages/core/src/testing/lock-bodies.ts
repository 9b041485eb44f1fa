/** What the CPUs do in lock/lock-threads.test.ts. After kernel/locking/test-ww_mutex.c. */
import { EDEADLK, EINTR } from "../debug/errno.ts";
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
  DEFINE_WW_CLASS,
  WW_ACQUIRE_CTX_SIZE,
  ww_acquire_done,
  ww_acquire_fini,
  ww_acquire_init,
  type WwAcquireCtxPtr,
  type WwClassPtr,
} from "../lock/ww-acquire.ts";
import {
  WW_MUTEX_SIZE,
  ww_mutex_init,
  ww_mutex_lock,
  ww_mutex_lock_slow,
  ww_mutex_trylock,
  ww_mutex_unlock,
  type WwMutexPtr,
} from "../lock/ww-mutex.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import {
  clear_thread_flag,
  kick_task,
  set_tsk_thread_flag,
  task_of_cpu,
  TIF_SIGPENDING,
} from "../sched/task.ts";
import { linger, nap, rendezvous, wait_until } from "./rendezvous.ts";

const WAIT_DIE = DEFINE_WD_CLASS("threads_wd_class");
const WOUND_WAIT = DEFINE_WW_CLASS("threads_ww_class");
const NR_LOCKS = 64;
const LOCK_STRIDE = 128;
const MUTEX = kernel_static("test_mutex", MUTEX_SIZE) as MutexPtr;
const LOCKS = kernel_static("test_ww_locks", NR_LOCKS * LOCK_STRIDE);
const COUNT = kernel_static("test_count", 4);
const POINT = kernel_static("test_point", 4);
const DONE = kernel_static("test_done", 4);
const STOP = kernel_static("test_stop", 4);

export function set_up(cpu: Cpu, ww_class: string): void {
  mutex_init(cpu, MUTEX);
  for (let i = 0; i < NR_LOCKS; i++) ww_mutex_init(cpu, ww_lock(i), class_of(ww_class));
}

function class_of(name: string): WwClassPtr {
  return name === "wait-die" ? WAIT_DIE : WOUND_WAIT;
}
function ww_lock(i: number): WwMutexPtr {
  return (LOCKS + i * LOCK_STRIDE) as WwMutexPtr;
}
/** Owned by whoever holds the lock. */
function guarded(i: number): number {
  return LOCKS + i * LOCK_STRIDE + WW_MUTEX_SIZE;
}
function cpus(cpu: Cpu): number {
  return cpu.config.cpus;
}

/** Adds with plain reads and writes; the mutex keeps them apart. */
export function count_up(cpu: Cpu, _class: string, rounds: number): void {
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
export function modest(cpu: Cpu, _class: string, rounds: number): number {
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
  nap(cpu, 5);
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

function ctx_push(cpu: Cpu, ww_class: string): WwAcquireCtxPtr {
  const ctx = stack_push(cpu, WW_ACQUIRE_CTX_SIZE) as WwAcquireCtxPtr;
  ww_acquire_init(cpu, ctx, class_of(ww_class));
  return ctx;
}
function ctx_pop(cpu: Cpu, ctx: WwAcquireCtxPtr): void {
  ww_acquire_fini(cpu, ctx);
  stack_pop(cpu, ctx);
}

/** test_abba: each of two has one lock and wants the other's. Returns the error it met on the way. */
export function abba(cpu: Cpu, ww_class: string, trylock: boolean, resolve: boolean): number {
  const [own, other] = [ww_lock(cpu.id), ww_lock(1 - cpu.id)];
  const ctx = ctx_push(cpu, ww_class);
  if (trylock) ww_mutex_trylock(cpu, own, ctx);
  else ww_mutex_lock(cpu, own, ctx);
  rendezvous(cpu, POINT, 2);
  let error = ww_mutex_lock(cpu, other, ctx);
  if (resolve && error === -EDEADLK) {
    ww_mutex_unlock(cpu, own);
    ww_mutex_lock_slow(cpu, other, ctx);
    error = ww_mutex_lock(cpu, own, ctx);
  }
  if (error === 0) ww_mutex_unlock(cpu, other);
  ww_mutex_unlock(cpu, own);
  ctx_pop(cpu, ctx);
  return error;
}

/**
 * test_cycle: each has its own lock and wants its neighbour's, `rounds` times. Returns how often it died: more
 * than once a round when it meets an older one again after backing off, so backing off is a loop.
 */
export function cycle(cpu: Cpu, ww_class: string, rounds: number, plain: boolean): number {
  const n = cpus(cpu);
  const [own, next] = [ww_lock(cpu.id), ww_lock((cpu.id + 1) % n)];
  let died = 0;
  for (let i = 0; i < rounds; i++) {
    const ctx = ctx_push(cpu, ww_class);
    let [held, wanted] = [own, next];
    ww_mutex_lock(cpu, held, plain ? 0 : ctx);
    rendezvous(cpu, POINT, n);
    for (;;) {
      const error = ww_mutex_lock(cpu, wanted, plain ? 0 : ctx);
      if (error === 0) break;
      if (error !== -EDEADLK) throw new Error(`cycle: ${error}`);
      died++;
      ww_mutex_unlock(cpu, held);
      ww_mutex_lock_slow(cpu, wanted, ctx);
      [held, wanted] = [wanted, held];
    }
    ww_acquire_done(cpu, ctx);
    ww_mutex_unlock(cpu, next);
    ww_mutex_unlock(cpu, own);
    ctx_pop(cpu, ctx);
    rendezvous(cpu, POINT, n);
  }
  return died;
}

/** stress_inorder_work: takes `want` random locks of `nr`, backing off as told. Returns how often it did. */
export function stress(cpu: Cpu, ww_class: string, rounds: number, nr: number, want: number): number {
  let died = 0;
  for (let i = 0; i < rounds; i++) {
    const order = random_order(cpu, nr).slice(0, want);
    const ctx = ctx_push(cpu, ww_class);
    let contended = -1;
    for (;;) {
      contended = lock_all(cpu, order, contended, ctx);
      if (contended < 0) break;
      died++;
      ww_mutex_lock_slow(cpu, ww_lock(order[contended] as number), ctx);
    }
    ww_acquire_done(cpu, ctx);
    for (const lock of order) cpu.mem.write(guarded(lock), cpu.mem.read(guarded(lock)) + 1);
    for (const lock of order) ww_mutex_unlock(cpu, ww_lock(lock));
    ctx_pop(cpu, ctx);
    cond_resched(cpu);
  }
  return died;
}

/** Locks all but `held`. -1, or the index that answered -EDEADLK, with nothing held. */
function lock_all(cpu: Cpu, order: readonly number[], held: number, ctx: WwAcquireCtxPtr): number {
  for (let i = 0; i < order.length; i++) {
    if (i === held) continue;
    const error = ww_mutex_lock(cpu, ww_lock(order[i] as number), ctx);
    if (error === 0) continue;
    if (error !== -EDEADLK) throw new Error(`stress: ${error}`);
    for (let j = 0; j < i; j++) ww_mutex_unlock(cpu, ww_lock(order[j] as number));
    if (held > i) ww_mutex_unlock(cpu, ww_lock(order[held] as number));
    return i;
  }
  return -1;
}

function random_order(cpu: Cpu, nr: number): number[] {
  const order = Array.from({ length: nr }, (_, i) => i);
  for (let i = nr - 1; i > 0; i--) {
    const j = cpu.random32() % (i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/** stress_one_work: takes one lock at a time, without a context. */
export function stress_one(cpu: Cpu, _class: string, rounds: number, nr: number): number {
  for (let i = 0; i < rounds; i++) {
    const lock = cpu.random32() % nr;
    ww_mutex_lock(cpu, ww_lock(lock), 0);
    cpu.mem.write(guarded(lock), cpu.mem.read(guarded(lock)) + 1);
    ww_mutex_unlock(cpu, ww_lock(lock));
    cond_resched(cpu);
  }
  return 0;
}

/** How often the guarded words were changed. */
export function stress_sum(cpu: Cpu): number {
  let sum = 0;
  for (let i = 0; i < NR_LOCKS; i++) sum += cpu.mem.read(guarded(i));
  return sum;
}

/**
 * An older context queues in front of a younger one that holds a lock: the younger must die where it sleeps,
 * or the older gets this lock, wants the other one, and both wait for ever.
 */
const [WANTED, HELD] = [0, 1] as const;

export function oldest(cpu: Cpu, ww_class: string): number {
  const ctx = ctx_push(cpu, ww_class);
  rendezvous(cpu, POINT, 3);
  wait_until(cpu, DONE, 1);
  nap(cpu, 20);
  cpu.mem.storeRelease(DONE, 2);
  ww_mutex_lock(cpu, ww_lock(WANTED), ctx);
  const error = ww_mutex_lock(cpu, ww_lock(HELD), ctx);
  ww_mutex_unlock(cpu, ww_lock(HELD));
  ww_mutex_unlock(cpu, ww_lock(WANTED));
  ctx_pop(cpu, ctx);
  return error;
}
export function younger(cpu: Cpu, ww_class: string): number {
  rendezvous(cpu, POINT, 3);
  const ctx = ctx_push(cpu, ww_class);
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
  nap(cpu, 20);
  ww_mutex_unlock(cpu, ww_lock(WANTED));
  return 0;
}
