/**
 * What a torture of RCU shares (kernel/rcu/rcutorture.c): parameters, the pool of elements, the statistics.
 *
 * Invariant: an element's pipe count is 0 while it is published, 1 once it is removed, and one more for each grace
 * period after that; a reader that holds it may see 0 or 1. At RCU_TORTURE_PIPE_LEN it is free again.
 *
 * Interface: rcu_torture_init on one CPU before anything else runs; then any number of readers, fakewriters and one
 * writer until torture_must_stop; then rcu_torture_cleanup (rcutorture-stats.ts).
 */
import { kernel_static, percpu_static } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "@ringside/core/lock/spinlock";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty, list_next } from "@ringside/core/mm/list";
import { RCU_HEAD_SIZE } from "@ringside/core/rcu/rcu";
import { type Cpu, nr_cpu_ids, per_cpu_ptr, this_cpu_ptr } from "@ringside/core/sched/cpu";
import { machine_should_stop } from "@ringside/core/sched/kthread";
import { schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";

export const RCU_TORTURE_PIPE_LEN = 10;
/** Buckets of a histogram. */
export const RCU_TORTURE_BUCKETS = 11;
const ELEMENTS = 10 * RCU_TORTURE_PIPE_LEN;
export const MAX_READERS = 64;

export type Flavor = "qsbr" | "busted";

/** Ways for the writer to wait for a grace period; parameters of that name, bits of `gp`. */
export const GP_COND = 1;
export const GP_COND_EXP = 2;
export const GP_COND_FULL = 4;
export const GP_EXP = 8;
export const GP_NORMAL = 16;
export const GP_POLL = 32;
export const GP_POLL_EXP = 64;
export const GP_POLL_FULL = 128;
export const GP_SYNC = 256;
export const GP_COND_EXP_FULL = 512;
export const GP_POLL_EXP_FULL = 1024;
/** How many ways there are. */
export const GP_WAYS_COUNT = 11;
export const GP_ALL: number = (1 << GP_WAYS_COUNT) - 1;

export interface TortureParams {
  readonly flavor: Flavor;
  readonly nreaders: number;
  readonly nfakewriters: number;
  /** Which ways of waiting the writer takes. */
  readonly gp: number;
  /** Seconds; 0: until torture_stop or until the machine stops. */
  readonly seconds: number;
  /** Updates that a torture with a time makes at least. */
  readonly updates: number;
  /** Seconds of running between two halts; 0: none. */
  readonly stutter: number;
  readonly n_barrier_cbs: number;
  /** Readers also run in a timer. */
  readonly irqreader: boolean;
  /** Readers look at their element after the section: must warn. */
  readonly leakpointer: boolean;
}

export const DEFAULT_TORTURE: TortureParams = {
  flavor: "qsbr",
  nreaders: 2,
  nfakewriters: 1,
  gp: GP_ALL,
  seconds: 0,
  updates: 0,
  stutter: 0,
  n_barrier_cbs: 0,
  irqreader: true,
  leakpointer: false,
};

// Constant after rcu_torture_init.
const PARAMS = kernel_static("rcu_torture_params", 64);
export const BUSTED = PARAMS;
export const NREADERS = PARAMS + 4;
export const NFAKEWRITERS = PARAMS + 8;
export const GP_WAYS = PARAMS + 12;
export const N_BARRIER_CBS = PARAMS + 16;
export const IRQREADER = PARAMS + 20;
export const LEAKPOINTER = PARAMS + 24;
/** ms, in the machine's time; DEADLINE 0 is none. */
const STARTED = PARAMS + 28;
const DEADLINE = PARAMS + 32;
const STUTTER_MS = PARAMS + 36;
const MIN_UPDATES = PARAMS + 40;
/** Of that, the halt. */
const HALT_SHARE = 5;

/** Written once, by whoever ends the torture. */
const STOP = kernel_static("rcu_torture_stop", 4);
/** Readers make no long delays: a forward-progress test runs. */
export const FWD_NODELAY = kernel_static("rcu_fwd_cb_nodelay", 4);

/** Followed by readers; written by the writer. */
export const RCU_TORTURE_CURRENT = kernel_static("rcu_torture_current", 4);
/** Written by the writer: updates so far, and what it is doing. */
export const WRITER = kernel_static("rcu_torture_writer", 8);
export const CURRENT_VERSION = WRITER;
export const WRITER_STATE = WRITER + 4;

/** struct rcu_torture. */
export const RTORT_RCU = 0;
export const RTORT_PIPE_COUNT = RCU_HEAD_SIZE;
const RTORT_FREE = 12;
/** 1 from before it is published until it is free. */
export const RTORT_MBTEST = 20;
/** A reader's check that waits for this element's grace period, or 0. */
export const RTORT_CHKP = 24;
const RCU_TORTURE_SIZE = 32;
struct_layout("rcu_torture", RCU_TORTURE_SIZE, [
  ["rtort_rcu", RTORT_RCU, 8],
  ["rtort_pipe_count", RTORT_PIPE_COUNT, 4],
  ["rtort_free", RTORT_FREE, 8],
  ["rtort_mbtest", RTORT_MBTEST, 4],
  ["rtort_chkp", RTORT_CHKP, 4],
]);
const RCU_TORTURES = kernel_static("rcu_tortures", ELEMENTS * RCU_TORTURE_SIZE);

const FREELIST = kernel_static("rcu_torture_freelist", 128);
const FREE_LOCK = FREELIST;
// Guarded by FREE_LOCK:
const FREE_HEAD = FREELIST + 8;
/** Of the writer alone: removed elements that age by its own waiting. */
const REMOVED = kernel_static("rcu_torture_removed", 8);

/** Counters; any thread adds. */
const STATS = kernel_static("rcu_torture_stats", 128);
export const N_ALLOC = STATS;
export const N_ALLOC_FAIL = STATS + 4;
export const N_FREE = STATS + 8;
export const N_MBERROR = STATS + 12;
export const N_MBCHK_FAIL = STATS + 16;
export const N_MBCHK_TRIES = STATS + 20;
export const N_ERROR = STATS + 24;
export const N_BARRIER_ERROR = STATS + 28;
export const N_BARRIER_ATTEMPTS = STATS + 32;
export const N_BARRIER_SUCCESSES = STATS + 36;
export const N_TIMERS = STATS + 40;
export const N_READ_EXITS = STATS + 44;
export const N_FWD_TESTED = STATS + 48;
/** Elements that entered each stage of the pipe. */
export const WCOUNT = STATS + 64;

/** Per-CPU histograms, 64-bit; written by the CPU alone. */
const COUNT = percpu_static("rcu_torture_count", 256);
const BATCH = 88;

export function rcu_torture_init(cpu: Cpu, params: TortureParams): void {
  const { mem } = cpu;
  mem.memset(STATS, 0, 128);
  mem.memset(RCU_TORTURES, 0, ELEMENTS * RCU_TORTURE_SIZE);
  for (let id = 0; id < nr_cpu_ids(cpu); id++) mem.memset(per_cpu_ptr(cpu, COUNT, id), 0, 256);
  mem.write(BUSTED, params.flavor === "busted" ? 1 : 0);
  mem.write(NREADERS, params.nreaders);
  mem.write(NFAKEWRITERS, params.nfakewriters);
  mem.write(GP_WAYS, params.gp);
  mem.write(N_BARRIER_CBS, params.n_barrier_cbs);
  mem.write(IRQREADER, params.irqreader ? 1 : 0);
  mem.write(LEAKPOINTER, params.leakpointer ? 1 : 0);
  mem.write(STUTTER_MS, params.stutter * 1000);
  mem.write(MIN_UPDATES, params.updates);
  mem.write(STARTED, cpu.now());
  mem.write(DEADLINE, params.seconds === 0 ? 0 : Math.max(1, cpu.now() + params.seconds * 1000));
  mem.memset(WRITER, 0, 8);
  mem.write(FWD_NODELAY, 0);
  INIT_LIST_HEAD(cpu, REMOVED);
  INIT_LIST_HEAD(cpu, FREE_HEAD);
  for (let i = 0; i < ELEMENTS; i++)
    list_add_tail(cpu, RCU_TORTURES + i * RCU_TORTURE_SIZE + RTORT_FREE, FREE_HEAD);
  mem.storeRelease(RCU_TORTURE_CURRENT, 0);
  mem.storeRelease(STOP, 0);
}

/** Ends the torture on all CPUs. */
export function torture_stop(cpu: Cpu): void {
  cpu.mem.storeRelease(STOP, 1);
}

export function torture_must_stop(cpu: Cpu): boolean {
  if (cpu.mem.loadAcquire(STOP) !== 0 || machine_should_stop(cpu)) return true;
  const deadline = cpu.mem.read(DEADLINE);
  if (deadline === 0 || cpu.now() < deadline) return false;
  return cpu.mem.loadAcquire(CURRENT_VERSION) >= cpu.mem.read(MIN_UPDATES);
}

export function torture_sleep(cpu: Cpu, ms: number): void {
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  schedule_timeout(cpu, ms);
}

/** Busy for `us` microseconds; no safe point. */
export function udelay(cpu: Cpu, us: number): void {
  const end = cpu.now() + us / 1000;
  while (cpu.now() < end) cpu.mem.pause();
}

/** Everybody halts for a fifth of the stutter period at its end. True when this call had to wait. */
export function stutter_wait(cpu: Cpu): boolean {
  const period = cpu.mem.read(STUTTER_MS);
  if (period === 0) return false;
  const halt = Math.ceil(period / HALT_SHARE);
  const phase = (cpu.now() - cpu.mem.read(STARTED)) % (period + halt);
  if (phase < period) return false;
  const end = cpu.now() + period + halt - phase;
  while (cpu.now() < end && !torture_must_stop(cpu)) torture_sleep(cpu, Math.ceil(end - cpu.now()));
  return true;
}

/** An unused element, or 0. */
export function rcu_torture_alloc(cpu: Cpu): number {
  spin_lock_irqsave(cpu, FREE_LOCK);
  const empty = list_empty(cpu, FREE_HEAD);
  const entry = list_next(cpu, FREE_HEAD);
  if (!empty) list_del_init(cpu, entry);
  spin_unlock_irqrestore(cpu, FREE_LOCK);
  cpu.mem.fetchAdd(empty ? N_ALLOC_FAIL : N_ALLOC, 1);
  return empty ? 0 : entry - RTORT_FREE;
}

export function rcu_torture_free(cpu: Cpu, p: number): void {
  cpu.mem.fetchAdd(N_FREE, 1);
  spin_lock_irqsave(cpu, FREE_LOCK);
  list_add_tail(cpu, p + RTORT_FREE, FREE_HEAD);
  spin_unlock_irqrestore(cpu, FREE_LOCK);
}

export function torture_freelist_empty(cpu: Cpu): boolean {
  return cpu.mem.read(FREE_HEAD) === FREE_HEAD;
}

/** Elements on no list though nothing is published in them: their callbacks got lost. Only while nothing runs. */
export function torture_elements_lost(cpu: Cpu): number {
  const current = cpu.mem.read(RCU_TORTURE_CURRENT);
  let lost = 0;
  for (let i = 0; i < ELEMENTS; i++) {
    const p = RCU_TORTURES + i * RCU_TORTURE_SIZE;
    if (p !== current && list_empty(cpu, p + RTORT_FREE)) lost++;
  }
  return lost;
}

/** Element `p` enters its next stage. True when it is through the pipe. */
function rcu_torture_pipe_update_one(cpu: Cpu, p: number): boolean {
  const check = cpu.mem.loadAcquire(p + RTORT_CHKP);
  if (check !== 0) {
    cpu.mem.writeOnce(p + RTORT_CHKP, 0);
    // rtc_ready. Pairs with the loadAcquire in rcu_torture_reader_do_mbchk: what that reader counted before the
    // grace period is visible to whoever sees this.
    cpu.mem.storeRelease(check, 1);
  }
  const stage = Math.min(cpu.mem.readOnce(p + RTORT_PIPE_COUNT), RCU_TORTURE_PIPE_LEN);
  cpu.mem.fetchAdd(WCOUNT + stage * 4, 1);
  cpu.mem.storeRelease(p + RTORT_PIPE_COUNT, stage + 1);
  if (stage + 1 < RCU_TORTURE_PIPE_LEN) return false;
  cpu.mem.storeRelease(p + RTORT_MBTEST, 0);
  return true;
}

/** A grace period after the removal of one element: it frees the element, or asks for another one. */
export function rcu_torture_age(cpu: Cpu, p: number): boolean {
  if (!rcu_torture_pipe_update_one(cpu, p)) return false;
  rcu_torture_free(cpu, p);
  return true;
}

/** The writer has waited for a grace period: all it removed is older by one. */
export function rcu_torture_pipe_update(cpu: Cpu, old: number): void {
  list_add_tail(cpu, old + RTORT_FREE, REMOVED);
  for (let entry = list_next(cpu, REMOVED); entry !== REMOVED; ) {
    const next = list_next(cpu, entry);
    if (rcu_torture_pipe_update_one(cpu, entry - RTORT_FREE)) {
      list_del_init(cpu, entry);
      rcu_torture_free(cpu, entry - RTORT_FREE);
    }
    entry = next;
  }
}

/** One section has ended: it saw an element of age `pipe`, and `batch` grace periods went by meanwhile. */
export function torture_count_read(cpu: Cpu, pipe: number, batch: number): void {
  const mine = this_cpu_ptr(cpu, COUNT);
  const stage = mine + Math.min(pipe, RCU_TORTURE_PIPE_LEN) * 8;
  const flips = mine + BATCH + Math.min(batch, RCU_TORTURE_PIPE_LEN) * 8;
  cpu.mem.write64(stage, cpu.mem.read64(stage) + 1);
  cpu.mem.write64(flips, cpu.mem.read64(flips) + 1);
}

/** Sum over all CPUs of one bucket. */
export function torture_pipe(cpu: Cpu, bucket: number): number {
  return percpu_sum(cpu, bucket * 8);
}
export function torture_batch(cpu: Cpu, bucket: number): number {
  return percpu_sum(cpu, BATCH + bucket * 8);
}
function percpu_sum(cpu: Cpu, offset: number): number {
  let sum = 0;
  for (let id = 0; id < nr_cpu_ids(cpu); id++) sum += cpu.mem.read64(per_cpu_ptr(cpu, COUNT, id) + offset);
  return sum;
}
