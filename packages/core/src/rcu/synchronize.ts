/**
 * RCU updates (kernel/rcu/tree.c, update.c): call_rcu, synchronize_rcu, rcu_barrier.
 *
 * Misuse: waiting for a grace period inside a read section would wait for itself; it warns and returns at once,
 * without the grace period. A head given to call_rcu twice is reported, and its object leaks.
 */
import { kernel_symbol, type SymbolId } from "../debug/image.ts";
import { BLOCKER_GRACE_PERIOD, hung_task_clear_blocker, hung_task_set_blocker } from "../sched/blocker.ts";
import { COMPLETION_SIZE, complete, init_completion, wait_for_completion } from "../sched/completion.ts";
import { type Cpu, nr_cpu_ids, stack_pop, stack_push } from "../sched/cpu.ts";
import { might_sleep } from "../sched/schedule.ts";
import { rcu_push_callback } from "./gp.ts";
import { RCU_HEAD_SIZE, rcu_head_queue, type RcuHeadPtr } from "./head.ts";
import { RCU_LOCKDEP_WARN } from "./suspicious.ts";

/** An on-stack waiter: rcu_head, then completion (struct rcu_synchronize). */
const SYNC_COMPLETION = RCU_HEAD_SIZE;
const SYNC_SIZE = RCU_HEAD_SIZE + COMPLETION_SIZE;

const WAKEME_AFTER_RCU = kernel_symbol(wakeme_after_rcu);

/** Runs `func(cpu, head)` after a grace period. `head` belongs to RCU until then. */
export function call_rcu(cpu: Cpu, head: RcuHeadPtr, func: SymbolId): void {
  call_rcu_offset(cpu, head, func, 0);
}

/** call_rcu that is never batched lazily; here none is. */
export function call_rcu_hurry(cpu: Cpu, head: RcuHeadPtr, func: SymbolId): void {
  call_rcu(cpu, head, func);
}

/** call_rcu for kfree_rcu: the callback also gets `offset`, a multiple of 8 below RCU_OFFSET_LIMIT. */
export function call_rcu_offset(cpu: Cpu, head: RcuHeadPtr, func: SymbolId, offset: number): void {
  if (rcu_head_queue(cpu, head, func, offset)) rcu_push_callback(cpu, cpu.id, head);
}

/** Waits until all read sections that are open now have ended. */
export function synchronize_rcu(cpu: Cpu): void {
  const text = "Illegal synchronize_rcu() in RCU read-side critical section!";
  if (!RCU_LOCKDEP_WARN(cpu, cpu.rcu_nesting !== 0, text)) wait_rcu_gp(cpu);
}

/** The same here: grace periods wait for busy CPUs only, and have no means to hurry them. */
export function synchronize_rcu_expedited(cpu: Cpu): void {
  const text = "Illegal synchronize_rcu_expedited() in RCU read-side critical section!";
  if (!RCU_LOCKDEP_WARN(cpu, cpu.rcu_nesting !== 0, text)) wait_rcu_gp(cpu);
}

function wait_rcu_gp(cpu: Cpu): void {
  might_sleep(cpu);
  const sync = stack_push(cpu, SYNC_SIZE);
  init_completion(cpu, sync + SYNC_COMPLETION);
  call_rcu_hurry(cpu, sync as RcuHeadPtr, WAKEME_AFTER_RCU);
  const blocker = hung_task_set_blocker(cpu, BLOCKER_GRACE_PERIOD, sync);
  wait_for_completion(cpu, sync + SYNC_COMPLETION);
  hung_task_clear_blocker(cpu, blocker);
  stack_pop(cpu, sync);
}

function wakeme_after_rcu(cpu: Cpu, head: number): void {
  complete(cpu, head + SYNC_COMPLETION);
}

/**
 * Waits until every callback queued before, on any CPU, has run. That takes a grace period even when there is none;
 * nobody may rely on it, in Linux it need not.
 */
export function rcu_barrier(cpu: Cpu): void {
  might_sleep(cpu);
  const nr = nr_cpu_ids(cpu);
  const barrier = stack_push(cpu, nr * SYNC_SIZE);
  for (let id = 0; id < nr; id++) {
    const sync = barrier + id * SYNC_SIZE;
    init_completion(cpu, sync + SYNC_COMPLETION);
    // The callbacks of one CPU run in order: after all that are on its list now.
    if (rcu_head_queue(cpu, sync, WAKEME_AFTER_RCU, 0)) rcu_push_callback(cpu, id, sync);
  }
  const blocker = hung_task_set_blocker(cpu, BLOCKER_GRACE_PERIOD, barrier);
  for (let id = 0; id < nr; id++) wait_for_completion(cpu, barrier + id * SYNC_SIZE + SYNC_COMPLETION);
  hung_task_clear_blocker(cpu, blocker);
  stack_pop(cpu, barrier);
}
