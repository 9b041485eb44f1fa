/**
 * RCU (include/linux/rcupdate.h) in one import: readers (qs.ts), pointers, updates, polled grace periods, and the
 * grace-period thread. kfree_rcu is in kfree-rcu.ts: it needs the slab, which needs none of this.
 */
import { kernel_static } from "../debug/image.ts";
import type { Cpu } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { rcu_note_qs, rcu_read_lock, rcu_read_unlock } from "./qs.ts";

export {
  rcu_callbacks_run,
  rcu_get_gp_seq,
  rcu_gp_kthread,
  rcu_gp_once,
  rcu_grace_periods,
} from "./gp.ts";
export {
  destroy_rcu_head_on_stack,
  init_rcu_head,
  init_rcu_head_on_stack,
  RCU_HEAD_SIZE,
  rcu_head_after_call_rcu,
  rcu_head_init,
  type RcuHeadPtr,
} from "./head.ts";
export {
  rcu_access_pointer,
  rcu_assign_pointer,
  rcu_dereference,
  rcu_dereference_check,
  rcu_dereference_protected,
  rcu_dereference_raw,
  RCU_INIT_POINTER,
  rcu_replace_pointer,
} from "./pointer.ts";
export {
  cond_synchronize_rcu,
  cond_synchronize_rcu_expedited,
  cond_synchronize_rcu_expedited_full,
  cond_synchronize_rcu_full,
  get_completed_synchronize_rcu,
  get_completed_synchronize_rcu_full,
  get_state_synchronize_rcu,
  get_state_synchronize_rcu_full,
  poll_state_synchronize_rcu,
  poll_state_synchronize_rcu_full,
  RCU_GP_OLDSTATE_SIZE,
  same_state_synchronize_rcu,
  same_state_synchronize_rcu_full,
  start_poll_synchronize_rcu,
  start_poll_synchronize_rcu_expedited,
  start_poll_synchronize_rcu_expedited_full,
  start_poll_synchronize_rcu_full,
} from "./poll.ts";
export { rcu_is_watching, rcu_read_lock, rcu_read_lock_held, rcu_read_unlock } from "./qs.ts";
export { rcu_jiffies_till_stall_check, rcu_set_cpu_stall_timeout } from "./stall.ts";
export {
  call_rcu,
  call_rcu_hurry,
  rcu_barrier,
  synchronize_rcu,
  synchronize_rcu_expedited,
} from "./synchronize.ts";

/** Nesting of rcu_expedite_gp. */
const EXPEDITED = kernel_static("rcu_expedited_nesting", 4);

/** Tells RCU that this CPU holds no pointer, outside of any safe point. Nothing inside a read section. */
export function rcu_momentary_eqs(cpu: Cpu): void {
  rcu_note_qs(cpu);
}

/** A break in a long read section: nothing found before is valid after. */
export function cond_resched_rcu(cpu: Cpu): void {
  rcu_read_unlock(cpu);
  cond_resched(cpu);
  rcu_read_lock(cpu);
}

/** Asks for expedited grace periods; nests. Here all are as fast as they can be. */
export function rcu_expedite_gp(cpu: Cpu): void {
  cpu.mem.fetchAdd(EXPEDITED, 1);
}
export function rcu_unexpedite_gp(cpu: Cpu): void {
  cpu.mem.fetchSub(EXPEDITED, 1);
}
export function rcu_gp_is_expedited(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(EXPEDITED) !== 0;
}
export function rcu_gp_is_normal(_cpu: Cpu): boolean {
  return false;
}
