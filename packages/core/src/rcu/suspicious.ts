/** RCU_LOCKDEP_WARN (include/linux/rcupdate.h): use of RCU that the rules forbid, whatever lockdep knows. */
import { WARN_ONCE_KEY } from "../debug/warn.ts";
import { lockdep_rcu_suspicious } from "../lock/lockdep.ts";
import type { Cpu } from "../sched/cpu.ts";

/** Warns if `condition`; returns it. Once per text, with lockdep once per text and place. */
export function RCU_LOCKDEP_WARN(cpu: Cpu, condition: boolean, text: string): boolean {
  if (!condition) return false;
  if (cpu.lockdep) lockdep_rcu_suspicious(cpu, text);
  else WARN_ONCE_KEY(cpu, text, `suspicious RCU usage: ${text}`);
  return true;
}
