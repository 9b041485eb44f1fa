/**
 * stress() of kernel/locking/test-ww_mutex.c: threads take many locks of one class in random orders, for t.seconds.
 *
 *   INORDER  in one order for ever; after -EDEADLK all are unlocked and it starts over with the contended one held;
 *   REORDER  the contended lock moves to the front, so that in the end the order has no conflict left;
 *   ALL      both, 2046 locks, and a third kind that takes one lock at a time without a context.
 *
 * There each thread sleeps while it has its locks. Here it also writes a word beside each of them, which tells at the
 * end whether two ever owned one.
 */
import { EDEADLK } from "@ringside/core/debug/errno";
import {
  WW_ACQUIRE_CTX_SIZE,
  ww_acquire_fini,
  ww_acquire_init,
  type WwAcquireCtxPtr,
  type WwClassPtr,
} from "@ringside/core/lock/ww-acquire";
import {
  WW_MUTEX_SIZE,
  ww_mutex_destroy,
  ww_mutex_init,
  ww_mutex_lock,
  ww_mutex_lock_slow,
  ww_mutex_unlock,
  type WwMutexPtr,
} from "@ringside/core/lock/ww-mutex";
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { msleep } from "@ringside/core/sched/delay";
import { linger } from "@ringside/core/testing/rendezvous";
import type { Checks } from "../checks.ts";
import type { Body, Case } from "../suite.ts";

/** The word beside a lock: how often it was owned. */
const GUARDED = WW_MUTEX_SIZE;
const STRIDE = WW_MUTEX_SIZE + 8;
/** In the scratch memory: the array of locks, and how often any was owned. */
const LOCKS = 0;
const OWNED = 128;
/** kernel/locking/test-ww_mutex.c has 16 locks in the first two, 2046 in the last. */
const FEW = 16;
const MANY = 2046;
const SECONDS = 2;
const STRESS_CPUS = 2;

interface Stress {
  readonly ww_class: WwClassPtr;
  readonly nlocks: number;
}
type StressBody = (cpu: Cpu, t: Checks, nlocks: number, ww_class: WwClassPtr, deadline: number) => void;

function lock_at(cpu: Cpu, t: Checks, i: number): WwMutexPtr {
  return (cpu.mem.loadAcquire(t.scratch + LOCKS) + i * STRIDE) as WwMutexPtr;
}

/** Owned locks: the plain reads and writes of two owners would lose an increment. */
function dummy_load(cpu: Cpu, t: Checks, locks: readonly number[]): void {
  for (const i of locks) {
    const p = lock_at(cpu, t, i) + GUARDED;
    cpu.mem.write(p, cpu.mem.read(p) + 1);
  }
  cpu.mem.fetchAdd(t.scratch + OWNED, locks.length);
  if (cpu.random32() % 4 === 0) msleep(cpu, 1);
  else linger(cpu, 300);
}

function random_order(cpu: Cpu, n: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = cpu.random32() % (i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/** Locks order[0 ... n) but `held`. Their number if all are locked, or the index that failed with the rest unlocked. */
function lock_in_order(
  cpu: Cpu,
  t: Checks,
  order: readonly number[],
  held: number,
  ctx: WwAcquireCtxPtr,
): number {
  for (let i = 0; i < order.length; i++) {
    if (i === held) continue;
    const error = ww_mutex_lock(cpu, lock_at(cpu, t, order[i] as number), ctx);
    if (error === 0) continue;
    t.equal(error, -EDEADLK, "ww_mutex_lock");
    if (held > i) ww_mutex_unlock(cpu, lock_at(cpu, t, order[held] as number));
    for (let j = i - 1; j >= 0; j--) ww_mutex_unlock(cpu, lock_at(cpu, t, order[j] as number));
    return i;
  }
  return order.length;
}

function stress_inorder_work(
  cpu: Cpu,
  t: Checks,
  nlocks: number,
  ww_class: WwClassPtr,
  deadline: number,
): void {
  const order = random_order(cpu, nlocks);
  let [gathered, died] = [0, 0];
  const ctx = stack_push(cpu, WW_ACQUIRE_CTX_SIZE) as WwAcquireCtxPtr;
  while (cpu.now() < deadline) {
    ww_acquire_init(cpu, ctx, ww_class);
    let contended = lock_in_order(cpu, t, order, -1, ctx);
    while (contended < nlocks && cpu.now() < deadline) {
      died++;
      ww_mutex_lock_slow(cpu, lock_at(cpu, t, order[contended] as number), ctx);
      contended = lock_in_order(cpu, t, order, contended, ctx);
    }
    if (contended === nlocks) {
      dummy_load(cpu, t, order);
      gathered++;
      for (const i of order) ww_mutex_unlock(cpu, lock_at(cpu, t, i));
    }
    ww_acquire_fini(cpu, ctx);
    cond_resched(cpu);
  }
  stack_pop(cpu, ctx);
  t.note(`inorder: ${gathered} times all, ${died} times -EDEADLK`);
}

/** Locks all, moving each contended one to the front of `order`. Returns how often it backed off. */
function lock_reordering(cpu: Cpu, t: Checks, order: number[], ctx: WwAcquireCtxPtr): number {
  let died = 0;
  for (let i = 0; i < order.length; i++) {
    const contended = order[i] as number;
    const error = ww_mutex_lock(cpu, lock_at(cpu, t, contended), ctx);
    if (error === 0) continue;
    t.equal(error, -EDEADLK, "ww_mutex_lock");
    died++;
    for (let j = i - 1; j >= 0; j--) ww_mutex_unlock(cpu, lock_at(cpu, t, order[j] as number));
    ww_mutex_lock_slow(cpu, lock_at(cpu, t, contended), ctx);
    order.splice(i, 1);
    order.unshift(contended);
    // It is held: go on behind it.
    i = 0;
  }
  return died;
}

function stress_reorder_work(
  cpu: Cpu,
  t: Checks,
  nlocks: number,
  ww_class: WwClassPtr,
  deadline: number,
): void {
  const order = random_order(cpu, nlocks);
  let [gathered, died] = [0, 0];
  const ctx = stack_push(cpu, WW_ACQUIRE_CTX_SIZE) as WwAcquireCtxPtr;
  while (cpu.now() < deadline) {
    ww_acquire_init(cpu, ctx, ww_class);
    died += lock_reordering(cpu, t, order, ctx);
    dummy_load(cpu, t, order);
    gathered++;
    for (const i of order) ww_mutex_unlock(cpu, lock_at(cpu, t, i));
    ww_acquire_fini(cpu, ctx);
    cond_resched(cpu);
  }
  stack_pop(cpu, ctx);
  t.note(`reorder: ${gathered} times all, ${died} times -EDEADLK`);
}

/** Without a context: an ordinary locker among the others. */
function stress_one_work(cpu: Cpu, t: Checks, nlocks: number, _class: WwClassPtr, deadline: number): void {
  const i = cpu.random32() % nlocks;
  let gathered = 0;
  while (cpu.now() < deadline) {
    t.equal(ww_mutex_lock(cpu, lock_at(cpu, t, i), 0), 0, "ww_mutex_lock without context");
    dummy_load(cpu, t, [i]);
    gathered++;
    ww_mutex_unlock(cpu, lock_at(cpu, t, i));
    cond_resched(cpu);
  }
  t.note(`one: ${gathered} times`);
}

function make_locks(cpu: Cpu, t: Checks, { ww_class, nlocks }: Stress): void {
  const locks = kmalloc(cpu, nlocks * STRIDE, GFP_KERNEL);
  t.ok(locks !== 0, "memory for the locks");
  cpu.mem.storeRelease(t.scratch + LOCKS, locks);
  for (let i = 0; i < nlocks; i++) {
    ww_mutex_init(cpu, lock_at(cpu, t, i), ww_class);
    cpu.mem.write(lock_at(cpu, t, i) + GUARDED, 0);
  }
}

function check_locks(cpu: Cpu, t: Checks, { nlocks }: Stress): void {
  let sum = 0;
  for (let i = 0; i < nlocks; i++) {
    sum += cpu.mem.read(lock_at(cpu, t, i) + GUARDED);
    ww_mutex_destroy(cpu, lock_at(cpu, t, i));
  }
  t.equal(sum | 0, cpu.mem.loadAcquire(t.scratch + OWNED), "increments under the locks");
  kfree(cpu, cpu.mem.loadAcquire(t.scratch + LOCKS));
}

function stress_body(work: StressBody, stress: Stress): Body {
  return (cpu, t) => {
    if (t.index === 0) make_locks(cpu, t, stress);
    t.meet();
    work(cpu, t, stress.nlocks, stress.ww_class, cpu.now() + 1000 * t.seconds);
    t.meet();
    if (t.index === 0) check_locks(cpu, t, stress);
  };
}

/** The three calls that run_tests() makes, with the threads it starts on two CPUs: 2 for each, 3 for ALL. */
export function stress_cases(suffix: string, ww_class: WwClassPtr): Case[] {
  const few = { ww_class, nlocks: FEW };
  const many = { ww_class, nlocks: MANY };
  const works = [stress_inorder_work, stress_reorder_work, stress_one_work];
  const bodies = (n: number, choose: (i: number) => Body): Body[] =>
    Array.from({ length: n }, (_, i) => choose(i));
  const all = (i: number): Body => stress_body(works[i % works.length] as StressBody, many);
  return [
    ["stress(INORDER)", bodies(2 * STRESS_CPUS, () => stress_body(stress_inorder_work, few))] as const,
    ["stress(REORDER)", bodies(2 * STRESS_CPUS, () => stress_body(stress_reorder_work, few))] as const,
    ["stress(ALL)", bodies(3 * STRESS_CPUS, all)] as const,
  ].map(([name, list]) => ({ name: `${name}/${suffix}`, bodies: list, seconds: SECONDS }));
}
