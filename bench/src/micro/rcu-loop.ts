/** The measured loop of our RCU readers: a module of its own, so that nothing else shapes its code. */
import { rcu_dereference, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";

/** Follows the pointer at `p` in `sections` read sections; the sum of what it read. */
export function readSections(cpu: Cpu, p: number, sections: number): number {
  let sum = 0;
  for (let i = 0; i < sections; i++) {
    rcu_read_lock(cpu);
    sum = (sum + cpu.mem.read(rcu_dereference(cpu, p))) | 0;
    rcu_read_unlock(cpu);
  }
  return sum;
}
