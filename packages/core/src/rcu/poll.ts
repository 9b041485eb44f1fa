/**
 * Polled grace periods (include/linux/rcutree.h): a cookie names a grace period that starts after it was taken; ask
 * later whether that one has ended.
 *
 * Interface: get_state_synchronize_rcu takes a cookie and starts nothing; start_poll_synchronize_rcu also asks for
 * the grace period. The _full forms keep the cookie in memory (struct rcu_gp_oldstate); there is one kind of grace
 * period, so the _expedited forms are the same.
 */
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";
import { rcu_get_gp_seq, rcu_request_gp } from "./gp.ts";
import { rcu_gps_between, rcu_gps_started } from "./qs.ts";
import { synchronize_rcu } from "./synchronize.ts";

/** A cookie whose grace period is over since boot: no number of one, those have 31 bits. */
const RCU_GET_STATE_COMPLETED = 0x7fffffff;

/** struct rcu_gp_oldstate. */
export const RCU_GP_OLDSTATE_SIZE = 8;
const RGOS_NORM = 0;
const RGOS_EXP = 4;
struct_layout("rcu_gp_oldstate", RCU_GP_OLDSTATE_SIZE, [
  ["rgos_norm", RGOS_NORM, 4],
  ["rgos_exp", RGOS_EXP, 4],
]);

/** Names the first grace period that starts after this call. */
export function get_state_synchronize_rcu(cpu: Cpu): number {
  // Everything the caller did so far, unpublishing in particular, is before the grace period it names.
  cpu.mem.fence();
  return rcu_gps_started(cpu) + 1;
}

/** As get_state_synchronize_rcu, and makes that grace period happen. */
export function start_poll_synchronize_rcu(cpu: Cpu): number {
  const cookie = get_state_synchronize_rcu(cpu);
  rcu_request_gp(cpu, cookie);
  return cookie;
}

/** True when a full grace period has passed since the cookie was taken; all its readers are then done. */
export function poll_state_synchronize_rcu(cpu: Cpu, cookie: number): boolean {
  const over = cookie === RCU_GET_STATE_COMPLETED || rcu_gps_between(cookie, rcu_get_gp_seq(cpu)) >= 0;
  if (!over) return false;
  // What the caller does now is after the grace period.
  cpu.mem.fence();
  return true;
}

/** A cookie for which poll_state_synchronize_rcu is true. */
export function get_completed_synchronize_rcu(_cpu: Cpu): number {
  return RCU_GET_STATE_COMPLETED;
}

export function same_state_synchronize_rcu(_cpu: Cpu, a: number, b: number): boolean {
  return a === b;
}

/** Waits for a grace period unless one has passed since the cookie was taken. */
export function cond_synchronize_rcu(cpu: Cpu, cookie: number): void {
  if (!poll_state_synchronize_rcu(cpu, cookie)) synchronize_rcu(cpu);
}

export function cond_synchronize_rcu_expedited(cpu: Cpu, cookie: number): void {
  cond_synchronize_rcu(cpu, cookie);
}
export function start_poll_synchronize_rcu_expedited(cpu: Cpu): number {
  return start_poll_synchronize_rcu(cpu);
}

function store(cpu: Cpu, rgosp: number, cookie: number): void {
  cpu.mem.write(rgosp + RGOS_NORM, cookie);
  cpu.mem.write(rgosp + RGOS_EXP, cookie);
}

export function get_state_synchronize_rcu_full(cpu: Cpu, rgosp: number): void {
  store(cpu, rgosp, get_state_synchronize_rcu(cpu));
}
export function start_poll_synchronize_rcu_full(cpu: Cpu, rgosp: number): void {
  store(cpu, rgosp, start_poll_synchronize_rcu(cpu));
}
export function start_poll_synchronize_rcu_expedited_full(cpu: Cpu, rgosp: number): void {
  start_poll_synchronize_rcu_full(cpu, rgosp);
}
export function get_completed_synchronize_rcu_full(cpu: Cpu, rgosp: number): void {
  store(cpu, rgosp, RCU_GET_STATE_COMPLETED);
}
export function poll_state_synchronize_rcu_full(cpu: Cpu, rgosp: number): boolean {
  return poll_state_synchronize_rcu(cpu, cpu.mem.read(rgosp + RGOS_NORM));
}
export function cond_synchronize_rcu_full(cpu: Cpu, rgosp: number): void {
  cond_synchronize_rcu(cpu, cpu.mem.read(rgosp + RGOS_NORM));
}
export function cond_synchronize_rcu_expedited_full(cpu: Cpu, rgosp: number): void {
  cond_synchronize_rcu_full(cpu, rgosp);
}
export function same_state_synchronize_rcu_full(cpu: Cpu, a: number, b: number): boolean {
  return (
    cpu.mem.read(a + RGOS_NORM) === cpu.mem.read(b + RGOS_NORM) &&
    cpu.mem.read(a + RGOS_EXP) === cpu.mem.read(b + RGOS_EXP)
  );
}
