/**
 * Waits until what was released has been freed, so that what is still allocated is a leak. Releases go through RCU
 * callbacks and work items in turns: each round waits for both.
 */
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  flush_workqueue,
  system_dfl_wq,
  system_highpri_wq,
  system_long_wq,
  system_percpu_wq,
} from "@ringside/core/sched/workqueue";

/** Rounds of grace period and flush after which a released token is gone: map, fence, token, with room. */
const SETTLE_ROUNDS = 4;

export function settle(cpu: Cpu): void {
  for (let i = 0; i < SETTLE_ROUNDS; i++) {
    rcu_barrier(cpu);
    flush_workqueue(cpu, system_percpu_wq(cpu));
    flush_workqueue(cpu, system_highpri_wq(cpu));
    flush_workqueue(cpu, system_long_wq(cpu));
    flush_workqueue(cpu, system_dfl_wq(cpu));
  }
}
