/**
 * The flavours under torture (struct rcu_torture_ops): `qsbr` is RCU, `busted` has a grace period that is none. It
 * shows that the torture sees what it claims to see.
 */
import { kernel_symbol, symbol_call, type SymbolId } from "@ringside/core/debug/image";
import {
  call_rcu,
  cond_synchronize_rcu,
  cond_synchronize_rcu_expedited,
  cond_synchronize_rcu_expedited_full,
  cond_synchronize_rcu_full,
  get_state_synchronize_rcu,
  get_state_synchronize_rcu_full,
  poll_state_synchronize_rcu,
  poll_state_synchronize_rcu_full,
  RCU_GP_OLDSTATE_SIZE,
  rcu_barrier,
  rcu_get_gp_seq,
  type RcuHeadPtr,
  start_poll_synchronize_rcu,
  start_poll_synchronize_rcu_expedited,
  start_poll_synchronize_rcu_expedited_full,
  start_poll_synchronize_rcu_full,
  synchronize_rcu,
  synchronize_rcu_expedited,
} from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import {
  BUSTED,
  GP_COND,
  GP_COND_EXP,
  GP_COND_EXP_FULL,
  GP_COND_FULL,
  GP_EXP,
  GP_POLL,
  GP_POLL_EXP,
  GP_POLL_EXP_FULL,
  GP_POLL_FULL,
  GP_SYNC,
  rcu_torture_age,
  RTORT_RCU,
  torture_must_stop,
  torture_sleep,
  udelay,
} from "./rcutorture-state.ts";

const RCU_TORTURE_CB = kernel_symbol(rcu_torture_cb);
/** Longest sleep between two looks at a cookie, ms. */
const POLL_SLEEP_MS = 4;

function busted(cpu: Cpu): boolean {
  return cpu.mem.read(BUSTED) !== 0;
}

/** Has the flavour cookies and rcu_barrier? */
export function torture_can_poll(cpu: Cpu): boolean {
  return !busted(cpu);
}

export function torture_gp_seq(cpu: Cpu): number {
  return busted(cpu) ? 0 : rcu_get_gp_seq(cpu);
}

export function torture_call(cpu: Cpu, head: number, func: SymbolId): void {
  if (busted(cpu)) symbol_call(cpu, func, head);
  else call_rcu(cpu, head as RcuHeadPtr, func);
}

export function torture_sync(cpu: Cpu): void {
  if (!busted(cpu)) synchronize_rcu(cpu);
}

export function torture_exp_sync(cpu: Cpu): void {
  if (!busted(cpu)) synchronize_rcu_expedited(cpu);
}

export function torture_cb_barrier(cpu: Cpu): void {
  if (!busted(cpu)) rcu_barrier(cpu);
}

/** The element ages by callbacks, each asking for the next. */
export function torture_deferred_free(cpu: Cpu, p: number): void {
  torture_call(cpu, p + RTORT_RCU, RCU_TORTURE_CB);
}

function rcu_torture_cb(cpu: Cpu, head: number): void {
  // The end: dropped, the next start picks up the pieces.
  if (torture_must_stop(cpu)) return;
  const p = head - RTORT_RCU;
  if (!rcu_torture_age(cpu, p)) torture_deferred_free(cpu, p);
}

const COND_FULL = GP_COND_FULL | GP_COND_EXP_FULL;
const FULL = COND_FULL | GP_POLL_FULL | GP_POLL_EXP_FULL;
const COOKIES = FULL | GP_COND | GP_COND_EXP | GP_POLL | GP_POLL_EXP;

/** Does the flavour know this way? \`busted\` has no cookies. */
export function torture_has_way(cpu: Cpu, way: number): boolean {
  return !busted(cpu) || (way & COOKIES) === 0;
}

/** Waits for a grace period in the way GP_...; not GP_NORMAL. */
export function torture_wait_gp(cpu: Cpu, way: number): void {
  if (way === GP_SYNC) torture_sync(cpu);
  else if (way === GP_EXP) torture_exp_sync(cpu);
  else if ((way & FULL) !== 0) wait_full(cpu, way);
  else wait_cookie(cpu, way);
}

function dawdle(cpu: Cpu): void {
  const ms = cpu.random32() % POLL_SLEEP_MS;
  if (ms !== 0) torture_sleep(cpu, ms);
  udelay(cpu, cpu.random32() % 1000);
}

function wait_cookie(cpu: Cpu, way: number): void {
  if (way === GP_COND || way === GP_COND_EXP) {
    const cookie = get_state_synchronize_rcu(cpu);
    dawdle(cpu);
    if (way === GP_COND) cond_synchronize_rcu(cpu, cookie);
    else cond_synchronize_rcu_expedited(cpu, cookie);
    return;
  }
  const cookie =
    way === GP_POLL ? start_poll_synchronize_rcu(cpu) : start_poll_synchronize_rcu_expedited(cpu);
  while (!poll_state_synchronize_rcu(cpu, cookie)) dawdle(cpu);
}

function wait_full(cpu: Cpu, way: number): void {
  const rgosp = stack_push(cpu, RCU_GP_OLDSTATE_SIZE);
  if ((way & COND_FULL) !== 0) {
    get_state_synchronize_rcu_full(cpu, rgosp);
    dawdle(cpu);
    if (way === GP_COND_FULL) cond_synchronize_rcu_full(cpu, rgosp);
    else cond_synchronize_rcu_expedited_full(cpu, rgosp);
  } else {
    if (way === GP_POLL_FULL) start_poll_synchronize_rcu_full(cpu, rgosp);
    else start_poll_synchronize_rcu_expedited_full(cpu, rgosp);
    while (!poll_state_synchronize_rcu_full(cpu, rgosp)) dawdle(cpu);
  }
  stack_pop(cpu, rgosp);
}
