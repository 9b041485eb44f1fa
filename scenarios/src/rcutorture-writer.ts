/**
 * The writer of the torture (rcu_torture_writer): puts a new element in place of the published one and ages the old
 * one by grace periods, waited for in a random way each time. Fakewriters only make grace periods.
 */
import { WARN, WARN_ONCE } from "@ringside/core/debug/warn";
import {
  get_state_synchronize_rcu,
  poll_state_synchronize_rcu,
  rcu_assign_pointer,
  rcu_dereference_check,
  rcu_expedite_gp,
  rcu_gp_is_expedited,
  rcu_read_lock,
  rcu_read_unlock,
  rcu_unexpedite_gp,
} from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  torture_can_poll,
  torture_cb_barrier,
  torture_deferred_free,
  torture_exp_sync,
  torture_has_way,
  torture_sync,
  torture_wait_gp,
} from "./rcutorture-ops.ts";
import {
  CURRENT_VERSION,
  FWD_NODELAY,
  GP_ALL,
  GP_NORMAL,
  GP_WAYS,
  GP_WAYS_COUNT,
  NFAKEWRITERS,
  rcu_torture_alloc,
  RCU_TORTURE_CURRENT,
  RCU_TORTURE_PIPE_LEN,
  rcu_torture_pipe_update,
  RTORT_MBTEST,
  RTORT_PIPE_COUNT,
  stutter_wait,
  torture_elements_lost,
  torture_must_stop,
  torture_sleep,
  udelay,
  WCOUNT,
  WRITER_STATE,
} from "./rcutorture-state.ts";

/** What the writer is doing, for reports. */
export const RTWS_NAMES: readonly string[] = [
  "RTWS_FIXED_DELAY",
  "RTWS_DELAY",
  "RTWS_REPLACE",
  "RTWS_WAIT",
  "RTWS_STUTTER",
  "RTWS_STOPPING",
];
const RTWS_FIXED_DELAY = 0;
const RTWS_DELAY = 1;
const RTWS_REPLACE = 2;
const RTWS_WAIT = 3;
const RTWS_STUTTER = 4;
const RTWS_STOPPING = 5;

/** Deepest nesting of rcu_expedite_gp. */
const EXPEDITE_DEPTH = 3;

function writer_state(cpu: Cpu, state: number): void {
  cpu.mem.writeOnce(WRITER_STATE, state);
}

/** One of the ways that the parameters allow, by chance. */
function choose_way(cpu: Cpu): number {
  const ways = cpu.mem.read(GP_WAYS);
  for (;;) {
    const way = 1 << (cpu.random32() % GP_WAYS_COUNT);
    if ((way & ways & GP_ALL) !== 0 && torture_has_way(cpu, way)) return way;
  }
}

/** Takes the published element out; returns it, or 0 for the first. */
function replace_element(cpu: Cpu, p: number): number {
  const { mem } = cpu;
  const old = rcu_dereference_check(cpu, RCU_TORTURE_CURRENT, true);
  mem.storeRelease(p + RTORT_MBTEST, 1);
  rcu_assign_pointer(cpu, RCU_TORTURE_CURRENT, p);
  // Its count changes after it is out of reach; a reader must not find it published and aged.
  mem.fence();
  if (old === 0) return 0;
  const stage = Math.min(mem.readOnce(old + RTORT_PIPE_COUNT), RCU_TORTURE_PIPE_LEN);
  mem.fetchAdd(WCOUNT + stage * 4, 1);
  mem.storeRelease(old + RTORT_PIPE_COUNT, stage + 1);
  return old;
}

/** A cookie of now; inside a read section its grace period cannot be over. */
function take_cookie(cpu: Cpu): number {
  rcu_read_lock(cpu);
  const cookie = get_state_synchronize_rcu(cpu);
  const done = poll_state_synchronize_rcu(cpu, cookie);
  rcu_read_unlock(cpu);
  WARN_ONCE(cpu, done, "rcu_torture_writer: Cookie check 1 failed");
  return cookie;
}

function age_element(cpu: Cpu, old: number): void {
  const polls = torture_can_poll(cpu);
  const cookie = polls ? take_cookie(cpu) : 0;
  const way = choose_way(cpu);
  writer_state(cpu, RTWS_WAIT);
  if (way === GP_NORMAL) {
    torture_deferred_free(cpu, old);
    return;
  }
  torture_wait_gp(cpu, way);
  rcu_torture_pipe_update(cpu, old);
  const late = polls && !poll_state_synchronize_rcu(cpu, cookie);
  WARN_ONCE(cpu, late, `rcu_torture_writer: Cookie check 2 failed, way ${way}`);
}

/** After a halt nothing runs: what ages by callbacks must come through the pipe. */
function check_drained(cpu: Cpu): void {
  for (let i = 0; i < RCU_TORTURE_PIPE_LEN; i++) torture_cb_barrier(cpu);
  const lost = torture_elements_lost(cpu);
  if (!torture_must_stop(cpu)) WARN(cpu, lost > 0, `rcu_torture_writer: ${lost} elements did not come back`);
}

/** Walks up and down the nesting levels of rcu_expedite_gp; `level` < 0 on the way down. */
function cycle_expedited(cpu: Cpu, level: number): number {
  if (level === 0) {
    if ((cpu.random32() & 0xff) !== 0) return 0;
    WARN_ONCE(cpu, rcu_gp_is_expedited(cpu), "rcu_torture_writer: expedited before rcu_expedite_gp");
  }
  if (level >= 0) rcu_expedite_gp(cpu);
  else rcu_unexpedite_gp(cpu);
  return level + 1 > EXPEDITE_DEPTH ? -level - 1 : level + 1;
}

/** The writer, until the torture stops. */
export function rcu_torture_writer(cpu: Cpu): void {
  let expediting = 0;
  while (!torture_must_stop(cpu)) {
    writer_state(cpu, RTWS_FIXED_DELAY);
    torture_sleep(cpu, 1);
    const p = rcu_torture_alloc(cpu);
    if (p === 0) continue;
    cpu.mem.writeOnce(p + RTORT_PIPE_COUNT, 0);
    writer_state(cpu, RTWS_DELAY);
    udelay(cpu, cpu.random32() & 0x3ff);
    writer_state(cpu, RTWS_REPLACE);
    const old = replace_element(cpu, p);
    if (old !== 0) age_element(cpu, old);
    cpu.mem.writeOnce(CURRENT_VERSION, cpu.mem.read(CURRENT_VERSION) + 1);
    expediting = cycle_expedited(cpu, expediting);
    writer_state(cpu, RTWS_STUTTER);
    if (stutter_wait(cpu) && cpu.mem.readOnce(FWD_NODELAY) === 0) check_drained(cpu);
  }
  while (expediting !== 0) {
    if (expediting > 0) expediting = -expediting;
    rcu_unexpedite_gp(cpu);
    expediting++;
  }
  writer_state(cpu, RTWS_STOPPING);
}

/** Makes grace periods and barriers at random times, until the torture stops. */
export function rcu_torture_fakewriter(cpu: Cpu): void {
  while (!torture_must_stop(cpu)) {
    torture_sleep(cpu, 1 + (cpu.random32() % 10));
    udelay(cpu, cpu.random32() & 0x3ff);
    if (cpu.random32() % (cpu.mem.read(NFAKEWRITERS) * 8) === 0) torture_cb_barrier(cpu);
    else if ((cpu.random32() & 0x80) !== 0) torture_sync(cpu);
    else torture_exp_sync(cpu);
    stutter_wait(cpu);
  }
}
