/**
 * Freezing and quiescing a queue (block/blk-mq.c).
 *
 * A frozen queue is empty: no request is inside, and none gets in. Freezes count: the queue is thawed when the last
 * one is undone. Freezing kills q_usage_counter and waits for zero; thawing resurrects it.
 *
 * A quiesced queue sends nothing to the driver; requests still get in and wait, and those the driver has go on.
 *
 * Interface: blk_mq_freeze_queue ... blk_mq_unfreeze_queue, or blk_freeze_queue_start, then _wait or _wait_timeout,
 * around a change that no request may see; blk_mq_quiesce_queue ... blk_mq_unquiesce_queue. All may sleep.
 * blk_mq_unquiesce_queue is in issue.ts: it sends what has waited.
 */
import { WARN_ON_ONCE } from "../debug/warn.ts";
import { lock_acquire, lock_release } from "../lock/lockdep.ts";
import { mutex_lock, mutex_unlock } from "../lock/mutex.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { synchronize_rcu } from "../rcu/rcu.ts";
import { percpu_ref_is_zero, percpu_ref_kill, percpu_ref_resurrect } from "../ref/percpu-ref.ts";
import type { Cpu } from "../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT, schedule_timeout } from "../sched/schedule.ts";
import { current_task, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import { finish_wait, prepare_to_wait, wait_entry_push, wake_up_all } from "../sched/wait.ts";
import {
  blk_queue_dying,
  blk_queue_flag_clear,
  blk_queue_flag_set,
  Q_FREEZE_DEPTH,
  Q_FREEZE_LOCK,
  Q_FREEZE_OWNER,
  Q_FREEZE_OWNER_DEPTH,
  Q_FREEZE_WQ,
  Q_IO_LOCKDEP_MAP,
  Q_LOCK,
  Q_LOCKDEP_MAP,
  Q_QUIESCE_DEPTH,
  QUEUE_FLAG_DYING,
  QUEUE_FLAG_QUIESCED,
  queue_usage,
  type RequestQueuePtr,
} from "./queue.ts";

/** Keeps new requests out; those inside go on. */
export function blk_freeze_queue_start(cpu: Cpu, q: RequestQueuePtr): void {
  if (__blk_freeze_queue_start(cpu, q, current_task(cpu))) blk_freeze_acquire_lock(cpu, q);
}

/** For a freeze that another task undoes. */
export function blk_freeze_queue_start_non_owner(cpu: Cpu, q: RequestQueuePtr): void {
  __blk_freeze_queue_start(cpu, q, 0);
}

/** True when `owner` is the first to freeze. */
function __blk_freeze_queue_start(cpu: Cpu, q: RequestQueuePtr, owner: number): boolean {
  const mem = cpu.mem;
  mutex_lock(cpu, q + Q_FREEZE_LOCK);
  const depth = mem.read(q + Q_FREEZE_DEPTH) + 1;
  const first = owner !== 0 && depth === 1;
  if (first) mem.write(q + Q_FREEZE_OWNER, owner);
  if (owner !== 0 && mem.read(q + Q_FREEZE_OWNER) === owner) {
    mem.write(q + Q_FREEZE_OWNER_DEPTH, mem.read(q + Q_FREEZE_OWNER_DEPTH) + 1);
  }
  mem.writeOnce(q + Q_FREEZE_DEPTH, depth);
  if (depth === 1) percpu_ref_kill(cpu, queue_usage(q));
  mutex_unlock(cpu, q + Q_FREEZE_LOCK);
  return first;
}

/** rwsem_acquire: as if nobody could enter while the caller holds it. Tried, so that waiting is no deadlock yet. */
function blk_freeze_acquire_lock(cpu: Cpu, q: RequestQueuePtr): void {
  if (!cpu.lockdep) return;
  lock_acquire(cpu, q + Q_IO_LOCKDEP_MAP, 0, true, 0, 0);
  lock_acquire(cpu, q + Q_LOCKDEP_MAP, 0, true, 0, 0);
}

function blk_unfreeze_release_lock(cpu: Cpu, q: RequestQueuePtr): void {
  if (!cpu.lockdep) return;
  lock_release(cpu, q + Q_LOCKDEP_MAP);
  lock_release(cpu, q + Q_IO_LOCKDEP_MAP);
}

/** Waits until nobody is inside. After blk_freeze_queue_start. */
export function blk_mq_freeze_queue_wait(cpu: Cpu, q: RequestQueuePtr): void {
  blk_mq_freeze_queue_wait_timeout(cpu, q, MAX_SCHEDULE_TIMEOUT);
}

/** The same for `timeout` ms at most. The ms left, at least 1; 0 when somebody is still inside. */
export function blk_mq_freeze_queue_wait_timeout(cpu: Cpu, q: RequestQueuePtr, timeout: number): number {
  let left = timeout;
  for (;;) {
    const entry = wait_entry_push(cpu);
    prepare_to_wait(cpu, q + Q_FREEZE_WQ, entry, TASK_UNINTERRUPTIBLE);
    const zero = percpu_ref_is_zero(cpu, queue_usage(q));
    if (!zero && left !== 0) left = schedule_timeout(cpu, left);
    finish_wait(cpu, q + Q_FREEZE_WQ, entry);
    if (zero) return left === 0 ? 1 : left;
    if (left === 0 && !percpu_ref_is_zero(cpu, queue_usage(q))) return 0;
  }
}

export function blk_mq_freeze_queue(cpu: Cpu, q: RequestQueuePtr): void {
  blk_freeze_queue_start(cpu, q);
  blk_mq_freeze_queue_wait(cpu, q);
}

/** Undoes one freeze, by the task that did it. */
export function blk_mq_unfreeze_queue(cpu: Cpu, q: RequestQueuePtr): void {
  if (__blk_mq_unfreeze_queue(cpu, q)) blk_unfreeze_release_lock(cpu, q);
}

/** Undoes a blk_freeze_queue_start_non_owner. */
export function blk_mq_unfreeze_queue_non_owner(cpu: Cpu, q: RequestQueuePtr): void {
  __blk_mq_unfreeze_queue(cpu, q);
}

/** True when this task has undone all its freezes. */
function __blk_mq_unfreeze_queue(cpu: Cpu, q: RequestQueuePtr): boolean {
  const mem = cpu.mem;
  mutex_lock(cpu, q + Q_FREEZE_LOCK);
  const depth = mem.read(q + Q_FREEZE_DEPTH) - 1;
  // Linux goes on with a depth of -1, and the next freeze waits for ever.
  if (WARN_ON_ONCE(cpu, depth < 0)) {
    mutex_unlock(cpu, q + Q_FREEZE_LOCK);
    return false;
  }
  mem.writeOnce(q + Q_FREEZE_DEPTH, depth);
  if (depth === 0) {
    percpu_ref_resurrect(cpu, queue_usage(q));
    wake_up_all(cpu, q + Q_FREEZE_WQ);
  }
  const last = drop_owner(cpu, q);
  mutex_unlock(cpu, q + Q_FREEZE_LOCK);
  return last;
}

/** blk_unfreeze_check_owner. */
function drop_owner(cpu: Cpu, q: RequestQueuePtr): boolean {
  const mem = cpu.mem;
  if (mem.read(q + Q_FREEZE_OWNER) !== current_task(cpu)) return false;
  const depth = mem.read(q + Q_FREEZE_OWNER_DEPTH) - 1;
  mem.write(q + Q_FREEZE_OWNER_DEPTH, depth);
  if (depth === 0) mem.write(q + Q_FREEZE_OWNER, 0);
  return depth === 0;
}

/** mq_freeze_depth: 0 when it is not frozen. */
export function queue_freeze_depth(cpu: Cpu, q: RequestQueuePtr): number {
  return cpu.mem.readOnce(q + Q_FREEZE_DEPTH);
}

/** Nobody enters from now on, and who waits to enter gives up. Waits until nobody is inside. It stays frozen. */
export function blk_queue_drain_dying(cpu: Cpu, q: RequestQueuePtr): void {
  // To lockdep the wait is all there is: nobody will wait for a thaw. A task that has frozen it already holds that.
  const tell = !blk_queue_dying(cpu, q) && cpu.mem.readOnce(q + Q_FREEZE_OWNER) !== current_task(cpu);
  blk_queue_flag_set(cpu, q, QUEUE_FLAG_DYING);
  blk_freeze_queue_start_non_owner(cpu, q);
  wake_up_all(cpu, q + Q_FREEZE_WQ);
  if (tell) blk_freeze_acquire_lock(cpu, q);
  blk_mq_freeze_queue_wait(cpu, q);
  if (tell) blk_unfreeze_release_lock(cpu, q);
}

/** Nothing new goes to the driver when it returns. Counts. */
export function blk_mq_quiesce_queue(cpu: Cpu, q: RequestQueuePtr): void {
  blk_mq_quiesce_queue_nowait(cpu, q);
  blk_mq_wait_quiesce_done(cpu);
}

/** The same without waiting for those on their way to the driver: blk_mq_wait_quiesce_done does. Does not sleep. */
export function blk_mq_quiesce_queue_nowait(cpu: Cpu, q: RequestQueuePtr): void {
  spin_lock_irqsave(cpu, q + Q_LOCK);
  const depth = cpu.mem.read(q + Q_QUIESCE_DEPTH) + 1;
  cpu.mem.write(q + Q_QUIESCE_DEPTH, depth);
  if (depth === 1) blk_queue_flag_set(cpu, q, QUEUE_FLAG_QUIESCED);
  spin_unlock_irqrestore(cpu, q + Q_LOCK);
}

/** Waits for every issue that began before: they are RCU read sections. */
export function blk_mq_wait_quiesce_done(cpu: Cpu): void {
  synchronize_rcu(cpu);
}

/** Undoes one quiesce. True when requests may go to the driver again. */
export function queue_unquiesce(cpu: Cpu, q: RequestQueuePtr): boolean {
  spin_lock_irqsave(cpu, q + Q_LOCK);
  const depth = cpu.mem.read(q + Q_QUIESCE_DEPTH) - 1;
  if (!WARN_ON_ONCE(cpu, depth < 0)) cpu.mem.write(q + Q_QUIESCE_DEPTH, depth);
  if (depth === 0) blk_queue_flag_clear(cpu, q, QUEUE_FLAG_QUIESCED);
  spin_unlock_irqrestore(cpu, q + Q_LOCK);
  return depth === 0;
}
