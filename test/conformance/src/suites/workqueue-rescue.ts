/**
 * wqt_06_mem_reclaim, the part a module cannot stage: the pools have no worker left and cannot grow. What its head
 * promises then holds all the same: works of a WQ_MEM_RECLAIM queue run, by its rescuer (kernel/workqueue.c).
 */
import { complete_all } from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  alloc_workqueue,
  destroy_workqueue,
  flush_workqueue,
  system_dfl_wq,
  WQ_MEM_RECLAIM,
} from "@ringside/core/sched/workqueue";
import type { Checks } from "../checks.ts";
import {
  batch_alloc,
  batch_free,
  COUNT,
  done_count,
  gate,
  queue_all,
  wait_done,
  wait_started,
  WAIT_AT_GATE,
  WQ_PERCPU,
} from "./workqueue-fixture.ts";

/** rcu_gp, the rescuer, and three kworkers: all of them will wait at the gate. */
export const RESCUE_KTHREADS = 5;
const BLOCKERS = 3;

export function wqt_06_rescued(cpu: Cpu, t: Checks): void {
  const wq = alloc_workqueue(cpu, "wqt06_rescued", WQ_MEM_RECLAIM | WQ_PERCPU, 1);
  t.ok(wq !== 0, "there is a thread for the rescuer");
  const blockers = batch_alloc(cpu, BLOCKERS, WAIT_AT_GATE);
  const follow = batch_alloc(cpu, 16, COUNT);
  queue_all(cpu, system_dfl_wq(cpu), blockers);
  for (let i = 0; i < BLOCKERS; i++) wait_started(cpu, t, blockers);
  queue_all(cpu, wq, follow);
  t.ok(wait_done(cpu, follow, follow.size), `the rescuer runs ${done_count(cpu, follow)} of ${follow.size}`);
  t.equal(done_count(cpu, blockers), 0, "works that left the gate");
  complete_all(cpu, gate(blockers));
  flush_workqueue(cpu, system_dfl_wq(cpu));
  destroy_workqueue(cpu, wq);
  batch_free(cpu, blockers);
  batch_free(cpu, follow);
}
