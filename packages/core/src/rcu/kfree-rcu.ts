/**
 * kfree_rcu (include/linux/rcupdate.h): frees an object after a grace period, when nobody can be looking at
 * it under RCU any more.
 */
import { kernel_symbol } from "../debug/image.ts";
import { BUG_ON } from "../debug/warn.ts";
import { kfree } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { RCU_OFFSET_LIMIT, type RcuHeadPtr } from "./head.ts";
import { call_rcu_offset, synchronize_rcu } from "./synchronize.ts";

const KFREE_RCU = kernel_symbol(kfree_rcu_callback);

/** Frees `p` after a grace period; 0 is ignored. Its rcu_head is at `offset`, a multiple of 8 below 4096. */
export function kfree_rcu(cpu: Cpu, p: number, offset: number): void {
  BUG_ON(
    cpu,
    offset < 0 || offset >= RCU_OFFSET_LIMIT || (offset & 7) !== 0,
    "kfree_rcu: rcu_head out of reach",
  );
  if (p !== 0) call_rcu_offset(cpu, (p + offset) as RcuHeadPtr, KFREE_RCU, offset);
}

function kfree_rcu_callback(cpu: Cpu, head: number, offset: number): void {
  kfree(cpu, head - offset);
}

/** For objects without an rcu_head: waits for the grace period itself. */
export function kfree_rcu_mightsleep(cpu: Cpu, p: number): void {
  if (p === 0) return;
  synchronize_rcu(cpu);
  // Inside a read section there was no grace period (and a warning): rather a leak than a use after free.
  if (cpu.rcu_nesting === 0) kfree(cpu, p);
}
