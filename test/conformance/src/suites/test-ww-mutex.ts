/**
 * test-ww_mutex: kernel/locking/test-ww_mutex.c. The works that it queues are bodies on CPUs here; the cycles run as
 * for NCPUS CPUs.
 *
 * Case names are the public function's with its arguments, and the class it runs for after a slash: "ww" is wound-wait
 * (ww_class), "wd" is wait-die (wd_class). Such as "test_abba(trylock=1,resolve=0)/wd"; flags are SPIN 1, TRY 2, CTX 4.
 *
 * The parts: this file has the cases of one or two locks and the cycles, test-ww-mutex-stress.ts has the timed ones.
 */
import { EALREADY, EDEADLK } from "@ringside/core/debug/errno";
import {
  DEFINE_WD_CLASS,
  DEFINE_WW_CLASS,
  WW_ACQUIRE_CTX_SIZE,
  ww_acquire_fini,
  ww_acquire_init,
  ww_acquire_init_noinject,
  type WwAcquireCtxPtr,
  type WwClassPtr,
} from "@ringside/core/lock/ww-acquire";
import {
  ww_mutex_ctx,
  ww_mutex_destroy,
  ww_mutex_init,
  ww_mutex_lock,
  ww_mutex_lock_interruptible,
  ww_mutex_lock_slow,
  ww_mutex_trylock,
  ww_mutex_unlock,
  type WwMutexPtr,
} from "@ringside/core/lock/ww-mutex";
import {
  complete,
  completion_done,
  init_completion,
  wait_for_completion,
  wait_for_completion_timeout,
} from "@ringside/core/sched/completion";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import {
  clear_thread_flag,
  current_task,
  set_tsk_thread_flag,
  TIF_SIGPENDING,
} from "@ringside/core/sched/task";
import type { Checks } from "../checks.ts";
import type { Body, Case, Suite } from "../suite.ts";
import { stress_cases } from "./test-ww-mutex-stress.ts";

const WW_CLASS = DEFINE_WW_CLASS("test_ww_mutex_ww_class");
const WD_CLASS = DEFINE_WD_CLASS("test_ww_mutex_wd_class");
const CLASSES: readonly (readonly [string, WwClassPtr])[] = [
  ["ww", WW_CLASS],
  ["wd", WD_CLASS],
];

const NCPUS = 4;
const TEST_MTX_SPIN = 1;
const TEST_MTX_TRY = 2;
const TEST_MTX_CTX = 4;
const TEST_MTX_FLAGS = 8;
/** HZ / 16. */
const TIMEOUT_MS = 62;

/** Lock `i` of a case, and a completion beside it. */
function lock_at(t: Checks, i: number): WwMutexPtr {
  return (t.scratch + i * 128) as WwMutexPtr;
}
function completion_at(t: Checks, i: number): number {
  return t.scratch + i * 128 + 64;
}

/** Body 0 makes `n` locks and completions, all wait for it. */
function set_up(cpu: Cpu, t: Checks, ww_class: WwClassPtr, n: number): void {
  for (let i = 0; i < n && t.index === 0; i++) {
    ww_mutex_init(cpu, lock_at(t, i), ww_class);
    init_completion(cpu, completion_at(t, i));
  }
  t.meet();
}

/** Nobody uses them any more. */
function tear_down(cpu: Cpu, t: Checks, n: number): void {
  t.meet();
  for (let i = 0; i < n && t.index === 0; i++) ww_mutex_destroy(cpu, lock_at(t, i));
}

function ctx_push(cpu: Cpu): WwAcquireCtxPtr {
  return stack_push(cpu, WW_ACQUIRE_CTX_SIZE) as WwAcquireCtxPtr;
}

const READY = 0;
const GO = 1;
const DONE = 2;

/** test_mutex_work: wants the lock that the other one holds. */
function test_mutex_work(cpu: Cpu, t: Checks, ww_class: WwClassPtr, flags: number): void {
  const mutex = lock_at(t, 0);
  set_up(cpu, t, ww_class, 3);
  complete(cpu, completion_at(t, READY));
  wait_for_completion(cpu, completion_at(t, GO));
  if ((flags & TEST_MTX_TRY) !== 0) while (!ww_mutex_trylock(cpu, mutex, 0)) cond_resched(cpu);
  else ww_mutex_lock(cpu, mutex, 0);
  complete(cpu, completion_at(t, DONE));
  ww_mutex_unlock(cpu, mutex);
  tear_down(cpu, t, 3);
}

/** Nobody else gets the lock while this body holds it. */
function test_mutex(cpu: Cpu, t: Checks, ww_class: WwClassPtr, flags: number): void {
  const mutex = lock_at(t, 0);
  const done = completion_at(t, DONE);
  set_up(cpu, t, ww_class, 3);
  const ctx = ctx_push(cpu);
  const with_ctx = (flags & TEST_MTX_CTX) !== 0;
  if (with_ctx) ww_acquire_init(cpu, ctx, ww_class);
  wait_for_completion(cpu, completion_at(t, READY));
  t.equal(ww_mutex_lock(cpu, mutex, with_ctx ? ctx : 0), 0, "ww_mutex_lock");
  complete(cpu, completion_at(t, GO));
  let entered = false;
  if ((flags & TEST_MTX_SPIN) !== 0) {
    const end = cpu.now() + TIMEOUT_MS;
    while (!entered && cpu.now() < end) {
      entered = completion_done(cpu, done);
      cond_resched(cpu);
    }
  } else entered = wait_for_completion_timeout(cpu, done, TIMEOUT_MS) !== 0;
  t.ok(!entered, "mutual exclusion");
  ww_mutex_unlock(cpu, mutex);
  if (with_ctx) ww_acquire_fini(cpu, ctx);
  stack_pop(cpu, ctx);
  tear_down(cpu, t, 3);
}

/** Is the answer to locking again what it must be? First with a signal pending: a lock that waits for itself ends. */
function locks_itself(cpu: Cpu, t: Checks, mutex: WwMutexPtr, ctx: WwAcquireCtxPtr): boolean {
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  const error = ww_mutex_lock_interruptible(cpu, mutex, ctx);
  clear_thread_flag(cpu, TIF_SIGPENDING);
  return t.equal(error, -EALREADY, "ww_mutex_lock_interruptible of a lock the context has");
}

function test_aa(cpu: Cpu, t: Checks, ww_class: WwClassPtr, trylock: boolean): void {
  const mutex = lock_at(t, 0);
  set_up(cpu, t, ww_class, 1);
  const ctx = ctx_push(cpu);
  ww_acquire_init(cpu, ctx, ww_class);
  if (trylock) t.ok(ww_mutex_trylock(cpu, mutex, ctx), "initial trylock");
  else t.equal(ww_mutex_lock(cpu, mutex, ctx), 0, "initial lock");
  t.ok(!ww_mutex_trylock(cpu, mutex, 0), "trylock without context");
  t.ok(!ww_mutex_trylock(cpu, mutex, ctx), "trylock with context");
  if (locks_itself(cpu, t, mutex, ctx)) t.equal(ww_mutex_lock(cpu, mutex, ctx), -EALREADY, "lock");
  ww_mutex_unlock(cpu, mutex);
  ww_acquire_fini(cpu, ctx);
  stack_pop(cpu, ctx);
  tear_down(cpu, t, 1);
}

/** Each of two has its own lock and wants the other's. */
function test_abba(cpu: Cpu, t: Checks, ww_class: WwClassPtr, trylock: boolean, resolve: boolean): void {
  const [own, other] = [lock_at(t, t.index), lock_at(t, 1 - t.index)];
  set_up(cpu, t, ww_class, 2);
  const ctx = ctx_push(cpu);
  ww_acquire_init_noinject(cpu, ctx, ww_class);
  if (trylock) t.ok(ww_mutex_trylock(cpu, own, ctx), "trylock of a free lock");
  else t.equal(ww_mutex_lock(cpu, own, ctx), 0, "lock of a free lock");
  const owned = t.equal(ww_mutex_ctx(cpu, own), ctx, "the lock's context");
  complete(cpu, completion_at(t, t.index));
  wait_for_completion(cpu, completion_at(t, 1 - t.index));
  // Without its context the cross would hang.
  let error = owned ? ww_mutex_lock(cpu, other, ctx) : -EDEADLK;
  cpu.mem.storeRelease(t.scratch + 1024 + 4 * t.index, error);
  if (resolve && owned && error === -EDEADLK) {
    ww_mutex_unlock(cpu, own);
    ww_mutex_lock_slow(cpu, other, ctx);
    error = ww_mutex_lock(cpu, own, ctx);
    // Who has the other's own lock has waited for its end.
    t.equal(error, 0, "lock after backing off");
  }
  if (error === 0) ww_mutex_unlock(cpu, other);
  ww_mutex_unlock(cpu, own);
  ww_acquire_fini(cpu, ctx);
  stack_pop(cpu, ctx);
  tear_down(cpu, t, 2);
  const errors = [0, 4].map((offset) => cpu.mem.loadAcquire(t.scratch + 1024 + offset));
  t.ok(errors.includes(-EDEADLK), `the deadlock is seen by a side (${errors.join(", ")})`);
  t.ok(
    errors.every((each) => each === 0 || each === -EDEADLK),
    `each gets 0 or -EDEADLK (${errors.join(", ")})`,
  );
}

/**
 * Each has its own lock and wants its neighbour's. The public test backs off once; in a wait-die class who has backed
 * off may meet an older neighbour on its own lock and must do so again, so here it is a loop.
 */
function test_cycle(cpu: Cpu, t: Checks, ww_class: WwClassPtr): void {
  const n = t.parties;
  const before = (t.index + n - 1) % n;
  let [held, wanted] = [lock_at(t, t.index), lock_at(t, (t.index + 1) % n)];
  set_up(cpu, t, ww_class, n);
  const ctx = ctx_push(cpu);
  ww_acquire_init_noinject(cpu, ctx, ww_class);
  t.equal(ww_mutex_lock(cpu, held, ctx), 0, "own lock");
  complete(cpu, completion_at(t, before));
  wait_for_completion(cpu, completion_at(t, t.index));
  let error = ww_mutex_lock(cpu, wanted, ctx);
  while (error === -EDEADLK) {
    ww_mutex_unlock(cpu, held);
    ww_mutex_lock_slow(cpu, wanted, ctx);
    [held, wanted] = [wanted, held];
    error = ww_mutex_lock(cpu, wanted, ctx);
  }
  t.equal(error, 0, "the cycle is resolved");
  if (error === 0) ww_mutex_unlock(cpu, wanted);
  ww_mutex_unlock(cpu, held);
  ww_acquire_fini(cpu, ctx);
  stack_pop(cpu, ctx);
  tear_down(cpu, t, n);
}

function times(n: number, body: Body): Body[] {
  return Array.from({ length: n }, () => body);
}

function class_cases([suffix, ww_class]: readonly [string, WwClassPtr]): Case[] {
  const cases: Case[] = [];
  const add = (name: string, bodies: readonly Body[]): number =>
    cases.push({ name: `${name}/${suffix}`, bodies });
  for (let flags = 0; flags < TEST_MTX_FLAGS; flags++) {
    add(`test_mutex(flags=${flags})`, [
      (cpu, t) => test_mutex(cpu, t, ww_class, flags),
      (cpu, t) => test_mutex_work(cpu, t, ww_class, flags),
    ]);
  }
  add("test_aa(lock)", [(cpu, t) => test_aa(cpu, t, ww_class, false)]);
  add("test_aa(trylock)", [(cpu, t) => test_aa(cpu, t, ww_class, true)]);
  for (let bits = 0; bits < 4; bits++) {
    const trylock = (bits & 1) !== 0;
    const resolve = (bits & 2) !== 0;
    const name = `test_abba(trylock=${bits & 1},resolve=${bits >> 1})`;
    add(
      name,
      times(2, (cpu, t) => test_abba(cpu, t, ww_class, trylock, resolve)),
    );
  }
  for (let n = 2; n <= NCPUS + 1; n++) {
    add(
      `test_cycle(nthreads=${n})`,
      times(n, (cpu, t) => test_cycle(cpu, t, ww_class)),
    );
  }
  return [...cases, ...stress_cases(suffix, ww_class)];
}

export const suite: Suite = {
  name: "test-ww_mutex",
  source: "kernel/locking/test-ww_mutex.c",
  cases: CLASSES.flatMap(class_cases),
};
