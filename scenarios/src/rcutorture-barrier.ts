/**
 * The torture of rcu_barrier (rcu_torture_barrier): callbacks from several CPUs, then a barrier, then a count.
 *
 * Interface: rcu_torture_barrier on one CPU; on each of n_barrier_cbs others barrier_cbs_step again and again, or
 * rcu_torture_barrier_cbs, which does only that.
 */
import { kernel_static, kernel_symbol, percpu_static } from "@ringside/core/debug/image";
import { LOG_INFO, printk } from "@ringside/core/debug/dmesg";
import { WARN } from "@ringside/core/debug/warn";
import { RCU_HEAD_SIZE, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import { type Cpu, nr_cpu_ids, per_cpu_ptr, this_cpu_ptr } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { torture_call, torture_can_poll, torture_cb_barrier } from "./rcutorture-ops.ts";
import {
  N_BARRIER_ATTEMPTS,
  N_BARRIER_CBS,
  N_BARRIER_ERROR,
  N_BARRIER_SUCCESSES,
  torture_must_stop,
  torture_sleep,
  udelay,
} from "./rcutorture-state.ts";

const BARRIER_CBF = kernel_symbol(rcu_torture_barrier_cbf);

const BARRIER = kernel_static("rcu_torture_barrier", 384);
/** Number of the round; written by the driver. */
const PHASE = BARRIER;
/** CPUs that have yet to register in this round. */
const CBS_COUNT = BARRIER + 128;
const CBS_INVOKED = BARRIER + 256;

/** Per CPU: the round it has registered in, and its rcu_head. */
const MINE = percpu_static("rcu_torture_barrier_cbs", 16);
const LAST_PHASE = 0;
const HEAD = 8;

/** A registrar stays in its section for up to so long after all have registered, microseconds. */
const LINGER_US = 5000;
/** Between rounds, ms. */
const PAUSE_MS = 10;

/** With rcu_torture_init; no callback of an earlier torture is queued any more. */
export function rcu_torture_barrier_init(cpu: Cpu): void {
  cpu.mem.memset(BARRIER, 0, 384);
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    cpu.mem.memset(per_cpu_ptr(cpu, MINE, id), 0, HEAD + RCU_HEAD_SIZE);
  }
}

function rcu_torture_barrier_cbf(cpu: Cpu): void {
  cpu.mem.fetchAdd(CBS_INVOKED, 1);
}

/** Registers a callback when a new round has begun. `myid`: which of the n_barrier_cbs; others do nothing. */
export function barrier_cbs_step(cpu: Cpu, myid: number): boolean {
  if (myid < 0 || myid >= cpu.mem.read(N_BARRIER_CBS)) return false;
  const phase = cpu.mem.loadAcquire(PHASE);
  const mine = this_cpu_ptr(cpu, MINE);
  if (cpu.mem.read(mine + LAST_PHASE) === phase) return false;
  cpu.mem.write(mine + LAST_PHASE, phase);
  torture_call(cpu, mine + HEAD, BARRIER_CBF);
  // Pairs with the loadAcquire in register_all: the driver's barrier is after our call_rcu.
  cpu.mem.fetchSub(CBS_COUNT, 1);
  return true;
}

/**
 * Registers callbacks, until the torture stops: inside a read section that mostly lasts until the barrier waits, so
 * that one which does not wait is seen.
 */
export function rcu_torture_barrier_cbs(cpu: Cpu, myid: number): void {
  while (!torture_must_stop(cpu)) {
    rcu_read_lock(cpu);
    const registered = barrier_cbs_step(cpu, myid);
    if (registered) linger_in_section(cpu);
    rcu_read_unlock(cpu);
    if (!registered && (cpu.random32() & 7) === 0) torture_sleep(cpu, 1);
    cond_resched(cpu);
  }
  torture_cb_barrier(cpu);
}

function linger_in_section(cpu: Cpu): void {
  while (cpu.mem.loadAcquire(CBS_COUNT) !== 0 && !torture_must_stop(cpu)) cpu.mem.pause();
  udelay(cpu, cpu.random32() % LINGER_US);
}

/** Begins a round and waits until all have registered. False when the torture stops meanwhile. */
function register_all(cpu: Cpu, n: number): boolean {
  cpu.mem.storeRelease(CBS_INVOKED, 0);
  cpu.mem.storeRelease(CBS_COUNT, n);
  cpu.mem.storeRelease(PHASE, cpu.mem.read(PHASE) + 1);
  for (let round = 0; cpu.mem.loadAcquire(CBS_COUNT) !== 0; round++) {
    if (torture_must_stop(cpu)) return false;
    if (round > 1000) torture_sleep(cpu, 1);
    else cpu.mem.pause();
    cond_resched(cpu);
  }
  return true;
}

/** One barrier; judged. */
export function rcu_torture_barrier_once(cpu: Cpu): boolean {
  const n = cpu.mem.read(N_BARRIER_CBS);
  if (!torture_can_poll(cpu) || !register_all(cpu, n)) return false;
  cpu.mem.fetchAdd(N_BARRIER_ATTEMPTS, 1);
  torture_cb_barrier(cpu);
  const invoked = cpu.mem.loadAcquire(CBS_INVOKED);
  if (invoked === n) {
    cpu.mem.fetchAdd(N_BARRIER_SUCCESSES, 1);
    return true;
  }
  cpu.mem.fetchAdd(N_BARRIER_ERROR, 1);
  printk(cpu, LOG_INFO, `barrier_cbs_invoked = ${invoked}, n_barrier_cbs = ${n}`);
  WARN(cpu, true, "rcu_torture_barrier: callbacks ran after rcu_barrier returned");
  // The heads are used again in the next round.
  while (cpu.mem.loadAcquire(CBS_INVOKED) < n && !torture_must_stop(cpu)) torture_sleep(cpu, 1);
  return false;
}

/** Drives rounds, until the torture stops. */
export function rcu_torture_barrier(cpu: Cpu): void {
  while (!torture_must_stop(cpu)) {
    rcu_torture_barrier_once(cpu);
    torture_sleep(cpu, 1 + (cpu.random32() % PAUSE_MS));
  }
}
