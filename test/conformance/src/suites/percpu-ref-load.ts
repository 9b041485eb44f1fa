/**
 * percpu_ref under load: all CPUs get and put one reference while the first one kills it, switches its mode or brings
 * it back. Whatever happens, release runs exactly once a life and never while a reference is held. Case names are
 * ours; the laws are the ones the comments of lib/percpu-refcount.c argue for.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import {
  percpu_ref_exit,
  percpu_ref_get,
  percpu_ref_get_many,
  percpu_ref_init,
  percpu_ref_kill,
  percpu_ref_kill_and_confirm,
  PERCPU_REF_ALLOW_REINIT,
  percpu_ref_put,
  percpu_ref_put_many,
  percpu_ref_reinit,
  percpu_ref_resurrect,
  PERCPU_REF_SIZE,
  percpu_ref_switch_to_atomic,
  percpu_ref_switch_to_percpu,
  percpu_ref_tryget_live,
  type PercpuRefPtr,
} from "@ringside/core/ref/percpu-ref";
import {
  get_state_synchronize_rcu,
  poll_state_synchronize_rcu,
  rcu_read_lock,
  rcu_read_unlock,
} from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { msleep } from "@ringside/core/sched/delay";
import { linger } from "@ringside/core/testing/rendezvous";
import type { Checks } from "../checks.ts";
import type { Body, Case } from "../suite.ts";
import {
  close,
  CONFIRM,
  confirmed,
  COUNTER,
  early_releases,
  FLAG,
  forget_callbacks,
  hold,
  let_go,
  open,
  ref_of,
  released,
} from "./percpu-ref-fixture.ts";

const CPUS = 3;
const ROUNDS = 30;
/** Sleeps that a release is waited for, in ms; it is a grace period away. */
const PATIENCE_MS = 4000;
/** In the scratch memory: a life went wrong, nobody begins another. */
const STOP = 768;

/** Waits for the release of this life. */
function await_release(cpu: Cpu, t: Checks): void {
  for (let waited = 0; released(cpu, t) === 0 && waited < PATIENCE_MS; waited++) msleep(cpu, 1);
}

/** Releases of this life and early ones, judged once its last reference is put. */
function judge(cpu: Cpu, t: Checks): void {
  await_release(cpu, t);
  const once = t.equal(released(cpu, t), 1, "releases");
  const late = t.equal(early_releases(cpu, t), 0, "releases while a reference was held");
  if (!once || !late) cpu.mem.storeRelease(t.scratch + STOP, 1);
}

/** Asked between two meetings, so that all bodies agree. */
function goes_on(cpu: Cpu, t: Checks, round: number): boolean {
  return round < ROUNDS && cpu.mem.loadAcquire(t.scratch + STOP) === 0;
}

/** The first body owns the reference, the others use it. */
function load(name: string, owner: Body, user: Body): Case {
  return { name, bodies: [owner, ...Array.from({ length: CPUS - 1 }, () => user)] };
}

/** Holds a reference for a moment, across a safe point now and then. False: it is dead. */
function use_once(cpu: Cpu, t: Checks): boolean {
  const was_confirmed = confirmed(cpu, t);
  if (!percpu_ref_tryget_live(cpu, ref_of(t))) return false;
  hold(cpu, t);
  if (was_confirmed !== 0) t.ok(false, "a live reference after the confirmation");
  linger(cpu, 60);
  if (cpu.random32() % 8 === 0) cond_resched(cpu);
  let_go(cpu, t);
  percpu_ref_put(cpu, ref_of(t));
  return true;
}

function use_until_dead(cpu: Cpu, t: Checks): void {
  for (let round = 0; goes_on(cpu, t, round); round++) {
    t.meet();
    while (use_once(cpu, t)) cond_resched(cpu);
    t.meet();
  }
}

function kill_in_use(cpu: Cpu, t: Checks): void {
  for (let round = 0; goes_on(cpu, t, round); round++) {
    begin_life(cpu, t, 0);
    for (let used = cpu.random32() % 100; used > 0; used--) use_once(cpu, t);
    percpu_ref_kill_and_confirm(cpu, ref_of(t), CONFIRM);
    end_life(cpu, t);
  }
}

function begin_life(cpu: Cpu, t: Checks, flags: number): void {
  forget_callbacks(cpu, t);
  open(cpu, t, flags);
  t.meet();
}

function end_life(cpu: Cpu, t: Checks): void {
  judge(cpu, t);
  t.meet();
  close(cpu, t);
}

/** References got on one CPU are put on another, through a mailbox that only counts them. */
function hand_over_get(cpu: Cpu, t: Checks): void {
  while (percpu_ref_tryget_live(cpu, ref_of(t))) {
    hold(cpu, t);
    cpu.mem.fetchAdd(t.scratch + COUNTER, 1);
    linger(cpu, 30);
    cond_resched(cpu);
  }
  cpu.mem.storeRelease(t.scratch + FLAG, 1);
}

function hand_over_put(cpu: Cpu, t: Checks): void {
  for (;;) {
    // Looked at before the mailbox: what is posted before the flag is seen by this look.
    const last = cpu.mem.loadAcquire(t.scratch + FLAG) !== 0;
    const left = cpu.mem.loadAcquire(t.scratch + COUNTER);
    if (left === 0 && last) return;
    if (left > 0) {
      cpu.mem.fetchSub(t.scratch + COUNTER, 1);
      let_go(cpu, t);
      percpu_ref_put(cpu, ref_of(t));
    }
    cond_resched(cpu);
  }
}

function hand_over(cpu: Cpu, t: Checks): void {
  for (let round = 0; goes_on(cpu, t, round); round++) {
    t.meet();
    if (t.index === 1) hand_over_get(cpu, t);
    else hand_over_put(cpu, t);
    t.meet();
  }
}

function kill_during_hand_over(cpu: Cpu, t: Checks): void {
  for (let round = 0; goes_on(cpu, t, round); round++) {
    cpu.mem.storeRelease(t.scratch + FLAG, 0);
    begin_life(cpu, t, 0);
    msleep(cpu, cpu.random32() % 3);
    percpu_ref_kill_and_confirm(cpu, ref_of(t), CONFIRM);
    end_life(cpu, t);
  }
}

const MANY = 1_000_000;

/**
 * The references are on the last body's shard, the body before it puts them while the shards are summed. A counter
 * that had some shards and not that one would meet 0 in one of the puts.
 */
function put_during_the_sum(cpu: Cpu, t: Checks): void {
  for (let round = 0; goes_on(cpu, t, round); round++) {
    t.meet();
    if (t.index === CPUS - 1) {
      percpu_ref_get_many(cpu, ref_of(t), MANY);
      hold(cpu, t);
    }
    const cookie = get_state_synchronize_rcu(cpu);
    t.meet();
    let left = MANY;
    if (t.index !== CPUS - 1) {
      // Earlier puts would hide a counter that passes 0: the sum begins when the kill's grace period is over.
      while (confirmed(cpu, t) === 0 && !poll_state_synchronize_rcu(cpu, cookie)) cond_resched(cpu);
      while (confirmed(cpu, t) === 0 && left > 2) {
        percpu_ref_put(cpu, ref_of(t));
        left--;
        if (left % 64 === 0) cond_resched(cpu);
      }
      let_go(cpu, t);
      percpu_ref_put_many(cpu, ref_of(t), left);
    }
    t.meet();
  }
}

function kill_while_others_put(cpu: Cpu, t: Checks): void {
  for (let round = 0; goes_on(cpu, t, round); round++) {
    begin_life(cpu, t, 0);
    t.meet();
    percpu_ref_kill_and_confirm(cpu, ref_of(t), CONFIRM);
    end_life(cpu, t);
  }
}

/** Until the owner says that it was the last. */
function use_through_switches(cpu: Cpu, t: Checks): void {
  t.meet();
  while (cpu.mem.loadAcquire(t.scratch + FLAG) === 0) {
    use_once(cpu, t);
    cond_resched(cpu);
  }
  t.meet();
}

function end_of_switches(cpu: Cpu, t: Checks): void {
  cpu.mem.storeRelease(t.scratch + FLAG, 1);
  percpu_ref_kill(cpu, ref_of(t));
  end_life(cpu, t);
}

function switch_in_use(cpu: Cpu, t: Checks): void {
  begin_life(cpu, t, PERCPU_REF_ALLOW_REINIT);
  for (let i = 0; i < 2 * ROUNDS; i++) {
    const kind = cpu.random32() % 3;
    if (kind === 0) percpu_ref_switch_to_atomic(cpu, ref_of(t), 0);
    else if (kind === 1) percpu_ref_switch_to_percpu(cpu, ref_of(t));
    else {
      percpu_ref_kill(cpu, ref_of(t));
      judge(cpu, t);
      forget_callbacks(cpu, t);
      percpu_ref_reinit(cpu, ref_of(t));
    }
    linger(cpu, 200);
  }
  end_of_switches(cpu, t);
}

function resurrect_in_use(cpu: Cpu, t: Checks): void {
  begin_life(cpu, t, PERCPU_REF_ALLOW_REINIT);
  percpu_ref_get(cpu, ref_of(t));
  hold(cpu, t);
  for (let i = 0; i < ROUNDS; i++) {
    percpu_ref_kill(cpu, ref_of(t));
    linger(cpu, 500);
    percpu_ref_resurrect(cpu, ref_of(t));
    linger(cpu, 500);
  }
  t.equal(released(cpu, t), 0, "releases while the owner holds a reference");
  let_go(cpu, t);
  percpu_ref_put(cpu, ref_of(t));
  end_of_switches(cpu, t);
}

/** An object that embeds its reference; the release frees it. The first word of the scratch memory points to it. */
const FREE_OBJECT = kernel_symbol(percpu_ref_case_free_object);
function percpu_ref_case_free_object(cpu: Cpu, ref: number): void {
  percpu_ref_exit(cpu, ref as PercpuRefPtr);
  kfree(cpu, ref);
}

function new_object(cpu: Cpu): PercpuRefPtr {
  const ref = kmalloc(cpu, PERCPU_REF_SIZE, GFP_KERNEL) as PercpuRefPtr;
  percpu_ref_init(cpu, ref, FREE_OBJECT, 0, GFP_KERNEL);
  return ref;
}

function replace_objects(cpu: Cpu, t: Checks): void {
  cpu.mem.storeRelease(t.scratch, new_object(cpu));
  t.meet();
  for (let i = 1; i <= 2 * ROUNDS; i++) {
    const old = cpu.mem.loadAcquire(t.scratch) as PercpuRefPtr;
    cpu.mem.storeRelease(t.scratch, i === 2 * ROUNDS ? 0 : new_object(cpu));
    percpu_ref_kill(cpu, old);
    msleep(cpu, 1);
  }
  cpu.mem.storeRelease(t.scratch + FLAG, 1);
  t.meet();
}

function look_up_objects(cpu: Cpu, t: Checks): void {
  t.meet();
  let found = 0;
  while (cpu.mem.loadAcquire(t.scratch + FLAG) === 0) {
    rcu_read_lock(cpu);
    const ref = cpu.mem.loadAcquire(t.scratch) as PercpuRefPtr;
    linger(cpu, 100);
    const got = ref !== 0 && percpu_ref_tryget_live(cpu, ref);
    rcu_read_unlock(cpu);
    if (got) percpu_ref_put(cpu, ref);
    found += got ? 1 : 0;
    cond_resched(cpu);
  }
  t.note(`${found} lookups`);
  t.meet();
}

export const LOAD_CASES: readonly Case[] = [
  load(
    "load: kill in use: one release, none early, none live after the confirmation",
    kill_in_use,
    use_until_dead,
  ),
  load("load: got on one CPU, put on another, killed meanwhile", kill_during_hand_over, hand_over),
  load("load: puts while the shards are summed never meet 0", kill_while_others_put, put_during_the_sum),
  load("load: switches, kills and reinits lose no reference", switch_in_use, use_through_switches),
  load("load: kill and resurrect in use lose no reference", resurrect_in_use, use_through_switches),
];

/** For a machine with checked memory. */
export const LOOKUP_CASE: Case = load(
  "load: what is found under RCU may be freed in release: kill implies a grace period",
  replace_objects,
  look_up_objects,
);
