/**
 * What the CPUs do in percpu-ref-threads.test.ts: rounds in which all CPUs get and put one reference while CPU 0
 * kills it. The release callback must run once, and never while a reference is held.
 *
 * Two deliberately wrong counters run under the same load, to show that it catches them.
 */
import { kernel_static, kernel_symbol, symbol_call } from "../debug/image.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import { synchronize_rcu } from "../rcu/rcu.ts";
import {
  percpu_ref_exit,
  percpu_ref_get,
  percpu_ref_init,
  percpu_ref_is_zero,
  percpu_ref_kill,
  percpu_ref_kill_and_confirm,
  PERCPU_REF_ALLOW_REINIT,
  PERCPU_REF_INIT_ATOMIC,
  percpu_ref_put,
  percpu_ref_reinit,
  PERCPU_REF_SIZE,
  percpu_ref_switch_to_atomic,
  percpu_ref_switch_to_percpu,
  percpu_ref_tryget_live,
  type PercpuRefPtr,
} from "../ref/percpu-ref.ts";
import { complete, COMPLETION_SIZE, init_completion, wait_for_completion } from "../sched/completion.ts";
import { type Cpu, nr_cpu_ids } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { linger, rendezvous } from "./rendezvous.ts";

const REF = kernel_static("test_ref", PERCPU_REF_SIZE) as PercpuRefPtr;
const POINT = kernel_static("test_point", 4);
const RELEASED = kernel_static("test_released", 4);
const CONFIRMED = kernel_static("test_confirmed", 4);
const HOLDERS = kernel_static("test_holders", 4);
const DONE = kernel_static("test_done", COMPLETION_SIZE);
/** Violations: release while held, a live get after confirm, more than one release. */
const HELD = kernel_static("test_held", 4);
const LATE = kernel_static("test_late", 4);
const TWICE = kernel_static("test_twice", 4);

const RELEASE = kernel_symbol(release);
const CONFIRM = kernel_symbol(confirm);

function release(cpu: Cpu): void {
  if (cpu.mem.loadAcquire(HOLDERS) !== 0) cpu.mem.fetchAdd(HELD, 1);
  if (cpu.mem.fetchAdd(RELEASED, 1) !== 0) cpu.mem.fetchAdd(TWICE, 1);
  complete(cpu, DONE);
}

function confirm(cpu: Cpu): void {
  cpu.mem.storeRelease(CONFIRMED, 1);
}

/** What the load drives: percpu_ref, or one of the wrong counters. */
interface Counter {
  init(cpu: Cpu): void;
  tryget(cpu: Cpu): boolean;
  put(cpu: Cpu): void;
  kill(cpu: Cpu): void;
  exit(cpu: Cpu): void;
}

const REAL: Counter = {
  init: (cpu) => percpu_ref_init(cpu, REF, RELEASE, 0, GFP_KERNEL),
  tryget: (cpu) => percpu_ref_tryget_live(cpu, REF),
  put: (cpu) => percpu_ref_put(cpu, REF),
  kill: (cpu) => percpu_ref_kill_and_confirm(cpu, REF, CONFIRM),
  exit: (cpu) => percpu_ref_exit(cpu, REF),
};

const SHARDS = kernel_static("test_shards", 64 * 128);
const SUM = kernel_static("test_sum", 4);
const DEAD = kernel_static("test_dead", 4);

/** A small copy of the idea, with and without its two essentials. */
function copied_counter(bias: number, grace_period: boolean): Counter {
  return {
    init: (cpu) => {
      for (let id = 0; id < nr_cpu_ids(cpu); id++) cpu.mem.storeRelease(SHARDS + id * 128, 0);
      cpu.mem.storeRelease(SUM, bias + 1);
      cpu.mem.storeRelease(DEAD, 0);
    },
    tryget: (cpu) => cpu.mem.loadAcquire(DEAD) === 0 && add_to_shard(cpu, 1),
    put: (cpu) => {
      if (cpu.mem.loadAcquire(DEAD) === 0) add_to_shard(cpu, -1);
      else if (cpu.mem.fetchSub(SUM, 1) === 1) symbol_call(cpu, RELEASE);
    },
    kill: (cpu) => {
      cpu.mem.storeRelease(DEAD, 1);
      if (grace_period) synchronize_rcu(cpu);
      if (bias === 0) add_shard_by_shard(cpu);
      else add_all_shards(cpu, bias);
      if (cpu.mem.fetchSub(SUM, 1) === 1) symbol_call(cpu, RELEASE);
    },
    exit: () => {},
  };
}

/** Between the look at DEAD and the add is the window that the grace period waits for. */
function add_to_shard(cpu: Cpu, n: number): boolean {
  linger(cpu, 100);
  cpu.mem.fetchAdd(SHARDS + cpu.id * 128, n);
  return true;
}

function add_all_shards(cpu: Cpu, bias: number): void {
  let sum = 0;
  for (let id = 0; id < nr_cpu_ids(cpu); id++) sum += cpu.mem.loadAcquire(SHARDS + id * 128);
  cpu.mem.fetchAdd(SUM, sum - bias);
}

/** Wrong: puts that are counted already can meet 0 before the gets of another shard are. */
function add_shard_by_shard(cpu: Cpu): void {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    cpu.mem.fetchAdd(SUM, cpu.mem.loadAcquire(SHARDS + id * 128));
    linger(cpu, 200);
  }
}

const COUNTERS: Readonly<Record<string, Counter>> = {
  percpu_ref: REAL,
  "faithful copy": copied_counter(1 << 30, true),
  "no grace period": copied_counter(1 << 30, false),
  "no bias": copied_counter(0, true),
};

/** Counters that may lose the last reference: nobody waits for their release. */
function is_wrong(name: string): boolean {
  return name.startsWith("no ");
}

export interface RefCounts {
  rounds: number;
  gets: number;
  /** Release while a reference was held; a second release; a live reference after confirm. */
  held: number;
  twice: number;
  late: number;
}

/** One reference held, across a safe point now and then; half of the puts happen in pairs. */
function use_once(cpu: Cpu, counter: Counter): boolean {
  const confirmed = cpu.mem.loadAcquire(CONFIRMED) !== 0;
  if (!counter.tryget(cpu)) return false;
  if (confirmed) cpu.mem.fetchAdd(LATE, 1);
  cpu.mem.fetchAdd(HOLDERS, 1);
  linger(cpu, 60);
  if (cpu.random32() % 8 === 0) cond_resched(cpu);
  if (cpu.mem.loadAcquire(RELEASED) !== 0) cpu.mem.fetchAdd(HELD, 1);
  cpu.mem.fetchSub(HOLDERS, 1);
  counter.put(cpu);
  return true;
}

function round_start(cpu: Cpu, counter: Counter): void {
  if (cpu.id === 0) {
    cpu.mem.storeRelease(RELEASED, 0);
    cpu.mem.storeRelease(CONFIRMED, 0);
    cpu.mem.storeRelease(HOLDERS, 0);
    init_completion(cpu, DONE);
    counter.init(cpu);
  }
  rendezvous(cpu, POINT, cpu.config.cpus);
}

/** All CPUs: use until the reference is dead; CPU 0 kills it after a while. Stops early on a violation. */
export function use_and_kill(cpu: Cpu, name: string, rounds: number): RefCounts {
  const counter = COUNTERS[name] as Counter;
  const counts = { rounds: 0, gets: 0, held: 0, twice: 0, late: 0 };
  while (counts.rounds < rounds) {
    round_start(cpu, counter);
    // Decided between two meetings: nobody changes it, so all decide alike.
    if (violations(cpu, counts) !== 0 && is_wrong(name)) break;
    rendezvous(cpu, POINT, cpu.config.cpus);
    const uses = cpu.id === 0 ? cpu.random32() % 200 : Infinity;
    let used = 0;
    while (used < uses && use_once(cpu, counter)) {
      used++;
      cond_resched(cpu);
    }
    if (cpu.id === 0) {
      counter.kill(cpu);
      if (!is_wrong(name)) wait_for_completion(cpu, DONE);
    }
    counts.rounds++;
    counts.gets += used;
    rendezvous(cpu, POINT, cpu.config.cpus);
    if (cpu.id === 0) counter.exit(cpu);
  }
  violations(cpu, counts);
  return counts;
}

function violations(cpu: Cpu, counts: RefCounts): number {
  counts.held = cpu.mem.loadAcquire(HELD);
  counts.twice = cpu.mem.loadAcquire(TWICE);
  counts.late = cpu.mem.loadAcquire(LATE);
  return counts.held + counts.twice + counts.late;
}

/** References handed from CPU to CPU: a get here, the put there; in the end nothing is left. */
const MAILBOX = kernel_static("test_mailbox", 4);
export function hand_over(cpu: Cpu, rounds: number): number {
  if (cpu.id === 0) {
    init_completion(cpu, DONE);
    percpu_ref_init(cpu, REF, RELEASE, PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
  }
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (let i = 0; i < rounds; i++) {
    if (cpu.id % 2 === 0) {
      percpu_ref_get(cpu, REF);
      cpu.mem.fetchAdd(HOLDERS, 1);
      cpu.mem.fetchAdd(MAILBOX, 1);
    } else {
      while (!take_one(cpu)) cond_resched(cpu);
      cpu.mem.fetchSub(HOLDERS, 1);
      percpu_ref_put(cpu, REF);
    }
    cond_resched(cpu);
  }
  rendezvous(cpu, POINT, cpu.config.cpus);
  if (cpu.id !== 0) return 0;
  percpu_ref_kill(cpu, REF);
  wait_for_completion(cpu, DONE);
  const zero = percpu_ref_is_zero(cpu, REF) ? 0 : 1;
  percpu_ref_exit(cpu, REF);
  return zero + cpu.mem.loadAcquire(HELD) + cpu.mem.loadAcquire(TWICE);
}

function take_one(cpu: Cpu): boolean {
  const left = cpu.mem.loadAcquire(MAILBOX);
  return left > 0 && cpu.mem.compareExchange(MAILBOX, left, left - 1) === left;
}

/** Mode switches, kills and reinits by CPU 0 while the others get and put without pause. Violations. */
export function switch_modes(cpu: Cpu, rounds: number): number {
  if (cpu.id === 0) {
    init_completion(cpu, DONE);
    percpu_ref_init(cpu, REF, RELEASE, PERCPU_REF_ALLOW_REINIT | PERCPU_REF_INIT_ATOMIC, GFP_KERNEL);
    percpu_ref_switch_to_percpu(cpu, REF);
  }
  rendezvous(cpu, POINT, cpu.config.cpus);
  if (cpu.id !== 0) {
    while (cpu.mem.loadAcquire(CONFIRMED) !== 2) {
      use_switching(cpu);
      cond_resched(cpu);
    }
    rendezvous(cpu, POINT, cpu.config.cpus);
    return 0;
  }
  for (let i = 0; i < rounds; i++) {
    const kind = cpu.random32() % 3;
    if (kind === 0) percpu_ref_switch_to_atomic(cpu, REF, 0);
    else if (kind === 1) percpu_ref_switch_to_percpu(cpu, REF);
    else {
      percpu_ref_kill(cpu, REF);
      wait_for_completion(cpu, DONE);
      cpu.mem.storeRelease(RELEASED, 0);
      percpu_ref_reinit(cpu, REF);
    }
    linger(cpu, 200);
  }
  cpu.mem.storeRelease(CONFIRMED, 2);
  rendezvous(cpu, POINT, cpu.config.cpus);
  percpu_ref_kill(cpu, REF);
  wait_for_completion(cpu, DONE);
  percpu_ref_exit(cpu, REF);
  return cpu.mem.loadAcquire(HELD) + cpu.mem.loadAcquire(TWICE);
}

function use_switching(cpu: Cpu): void {
  if (!percpu_ref_tryget_live(cpu, REF)) return;
  cpu.mem.fetchAdd(HOLDERS, 1);
  linger(cpu, 60);
  cpu.mem.fetchSub(HOLDERS, 1);
  percpu_ref_put(cpu, REF);
}

/** The object that embeds the ref is freed in release; lookups run under RCU only, as io_dmabuf_get_map does. */
const PUBLISHED = kernel_static("test_published", 4);
const FREE_OBJECT = kernel_symbol(free_object);
function free_object(cpu: Cpu, ref: number): void {
  percpu_ref_exit(cpu, ref as PercpuRefPtr);
  kfree(cpu, ref);
  complete(cpu, DONE);
}
export function lookup_and_replace(cpu: Cpu, rounds: number): number {
  if (cpu.id === 0) {
    init_completion(cpu, DONE);
    cpu.mem.storeRelease(PUBLISHED, new_object(cpu));
  }
  rendezvous(cpu, POINT, cpu.config.cpus);
  if (cpu.id !== 0) {
    let found = 0;
    while (cpu.mem.loadAcquire(CONFIRMED) === 0) {
      if (lookup(cpu)) found++;
      cond_resched(cpu);
    }
    return found;
  }
  for (let i = 0; i < rounds; i++) {
    const old = cpu.mem.loadAcquire(PUBLISHED) as PercpuRefPtr;
    cpu.mem.storeRelease(PUBLISHED, i === rounds - 1 ? 0 : new_object(cpu));
    percpu_ref_kill(cpu, old);
    wait_for_completion(cpu, DONE);
  }
  cpu.mem.storeRelease(CONFIRMED, 1);
  return 0;
}
function new_object(cpu: Cpu): PercpuRefPtr {
  const ref = kmalloc(cpu, PERCPU_REF_SIZE, GFP_KERNEL) as PercpuRefPtr;
  percpu_ref_init(cpu, ref, FREE_OBJECT, 0, GFP_KERNEL);
  return ref;
}
function lookup(cpu: Cpu): boolean {
  cpu.rcu_nesting++;
  const ref = cpu.mem.loadAcquire(PUBLISHED) as PercpuRefPtr;
  linger(cpu, 100);
  const got = ref !== 0 && percpu_ref_tryget_live(cpu, ref);
  cpu.rcu_nesting--;
  if (got) percpu_ref_put(cpu, ref);
  return got;
}
