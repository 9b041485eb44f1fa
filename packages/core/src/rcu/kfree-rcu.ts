/**
 * kfree_rcu (include/linux/rcupdate.h): frees an object after a grace period, when nobody can be looking at
 * it under RCU any more.
 *
 * A callback is told the address of the rcu_head only, so each place an rcu_head may have inside its object
 * has a function of its own, as the kernel encodes the offset in the function pointer.
 */
import { kernel_symbol } from "../debug/image.ts";
import { BUG_ON } from "../debug/warn.ts";
import { kfree } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { call_rcu, type RcuHeadPtr } from "./rcu.ts";

const KFREE_RCU_0 = kernel_symbol(kfree_rcu_0);
const KFREE_RCU_8 = kernel_symbol(kfree_rcu_8);

/** Frees `p` after a grace period. Its rcu_head is at `offset`: 0 or 8. */
export function kfree_rcu(cpu: Cpu, p: number, offset: number): void {
  BUG_ON(cpu, offset !== 0 && offset !== 8, "kfree_rcu: no callback for this offset of rcu_head");
  call_rcu(cpu, (p + offset) as RcuHeadPtr, offset === 0 ? KFREE_RCU_0 : KFREE_RCU_8);
}

function kfree_rcu_0(cpu: Cpu, head: number): void {
  kfree(cpu, head);
}
function kfree_rcu_8(cpu: Cpu, head: number): void {
  kfree(cpu, head - 8);
}
