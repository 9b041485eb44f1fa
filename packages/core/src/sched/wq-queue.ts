/**
 * workqueue_struct (kernel/workqueue.c): a bound workqueue has one pool_workqueue (wq-pwq.ts) per CPU, an unbound
 * one has one in all, as on a Linux machine with a single last-level cache.
 *
 * Lock order: WQ_LOCK (wq->mutex), then a pool lock, then the wait queue's or wq_mayday_lock.
 */
import { struct_layout } from "../debug/layout.ts";
import { site_text } from "../debug/site.ts";
import { lock_map_acquire, lock_map_release, lockdep_init_map } from "../lock/lockdep.ts";
import { RCU_HEAD_SIZE } from "../rcu/rcu.ts";
import type { Cpu } from "./cpu.ts";
import { WAIT_QUEUE_HEAD_SIZE } from "./wait.ts";
import { RESCUE_SIZE, RESCUE_WORKER, WORKER_CURRENT_PWQ } from "./wq-idle.ts";
import { PWQ_ALIGN } from "./wq-work.ts";
import { current_wq_worker } from "./wq-worker.ts";

// Constant:
/** The pwq of CPU 0, or the one of an unbound queue. */
const WQ_PWQS = 0;
/** Bytes from the pwq of one CPU to the next one's; 0 for an unbound queue. */
const WQ_PWQ_STRIDE = 4;
/** Site number of the name. */
const WQ_NAME = 8;
// Guarded by WQ_LOCK:
export const WQ_LOCK = 12;
/** Flags change under it; readers take what they find. */
export const WQ_FLAGS = 16;
export const WQ_SAVED_MAX_ACTIVE = 20;
export const WQ_NR_DRAINERS = 24;
/** Colour of works queued now; each pwq has a copy. */
export const WQ_WORK_COLOR = 28;
/** Bit c: a flusher waits for colour c, which may not be used again yet. */
export const WQ_FLUSHING = 32;
// Own lock:
export const WQ_FLUSH_WAITQ = 36;
// Guarded by wq_mayday_lock:
/** pwqs that ask to be rescued. */
export const WQ_MAYDAYS = WQ_FLUSH_WAITQ + WAIT_QUEUE_HEAD_SIZE;
/** The rescuer and the wish for it (wq-idle.ts). */
export const WQ_RESCUE = WQ_MAYDAYS + 8;
/** Owned by RCU once destroyed. */
export const WQ_RCU = WQ_RESCUE + RESCUE_SIZE;
/** The key of "(wq_completion)name" for lockdep: an address. */
export const WQ_LOCKDEP_MAP = WQ_RCU + RCU_HEAD_SIZE;
export const WORKQUEUE_SIZE = 128;

struct_layout("workqueue_struct", WORKQUEUE_SIZE, [
  ["pwqs", WQ_PWQS, 4],
  ["pwq_stride", WQ_PWQ_STRIDE, 4],
  ["name", WQ_NAME, 4],
  ["mutex", WQ_LOCK, 4],
  ["flags", WQ_FLAGS, 4],
  ["saved_max_active", WQ_SAVED_MAX_ACTIVE, 4],
  ["nr_drainers", WQ_NR_DRAINERS, 4],
  ["work_color", WQ_WORK_COLOR, 4],
  ["flushing", WQ_FLUSHING, 4],
  ["flush_waitq.lock", WQ_FLUSH_WAITQ, 4],
  ["flush_waitq.next", WQ_FLUSH_WAITQ + 4, 4],
  ["flush_waitq.prev", WQ_FLUSH_WAITQ + WAIT_QUEUE_HEAD_SIZE - 4, 4],
  ["maydays.next", WQ_MAYDAYS, 4],
  ["maydays.prev", WQ_MAYDAYS + 4, 4],
  ["rescue.entry.next", WQ_RESCUE, 4],
  ["rescue.entry.prev", WQ_RESCUE + 4, 4],
  ["rescue.worker", WQ_RESCUE + RESCUE_WORKER, 4],
  ["rescue.waiter", WQ_RESCUE + RESCUE_SIZE - 4, 4],
  ["rcu.next", WQ_RCU, 4],
  ["rcu.func", WQ_RCU + 4, 4],
  ["lockdep_map", WQ_LOCKDEP_MAP, 4],
]);

/** Queue flags of alloc_workqueue. */
export const WQ_UNBOUND = 1 << 1;
export const WQ_FREEZABLE = 1 << 2;
export const WQ_MEM_RECLAIM = 1 << 3;
export const WQ_HIGHPRI = 1 << 4;
export const WQ_CPU_INTENSIVE = 1 << 5;
export const WQ_SYSFS = 1 << 6;
export const WQ_POWER_EFFICIENT = 1 << 7;
/** Bound, said out loud; the default without WQ_UNBOUND. */
export const WQ_PERCPU = 1 << 8;
export const __WQ_DESTROYING = 1 << 15;
export const __WQ_DRAINING = 1 << 16;
export const __WQ_ORDERED = 1 << 17;

/** Fills the constant part. `pwqs`: see WQ_PWQS. */
export function wq_set_pwqs(cpu: Cpu, wq: number, pwqs: number, stride: number, name_site: number): void {
  cpu.mem.write(wq + WQ_PWQS, pwqs);
  cpu.mem.write(wq + WQ_PWQ_STRIDE, stride);
  cpu.mem.write(wq + WQ_NAME, name_site);
  if (cpu.lockdep) lockdep_init_map(cpu, wq + WQ_LOCKDEP_MAP, `(wq_completion)${wq_name(cpu, wq)}`);
}

/** The pwq for CPU `id`; any CPU gives the same one if the queue is unbound. */
export function wq_pwq(cpu: Cpu, wq: number, id: number): number {
  return cpu.mem.read(wq + WQ_PWQS) + id * cpu.mem.read(wq + WQ_PWQ_STRIDE);
}

/** for_each_pwq: ids 0 ... nr_pwqs - 1 of wq_pwq are all there are. */
export function nr_pwqs(cpu: Cpu, wq: number): number {
  return cpu.mem.read(wq + WQ_PWQ_STRIDE) === 0 ? 1 : cpu.config.cpus;
}

/** Bytes of the pwqs of a queue with these flags; they are PWQ_ALIGN bytes each. */
export function pwqs_size(cpu: Cpu, flags: number): number {
  return (flags & WQ_UNBOUND) !== 0 ? PWQ_ALIGN : cpu.config.cpus * PWQ_ALIGN;
}

export function wq_flags(cpu: Cpu, wq: number): number {
  return cpu.mem.loadAcquire(wq + WQ_FLAGS);
}

export function wq_name(cpu: Cpu, wq: number): string {
  return site_text(cpu, cpu.mem.read(wq + WQ_NAME));
}

/** The worker that is the queue's rescuer, or 0. */
export function wq_rescuer(cpu: Cpu, wq: number): number {
  return cpu.mem.loadAcquire(wq + WQ_RESCUE + RESCUE_WORKER);
}

/** The pwq whose work this task executes, or 0. */
export function current_pwq(cpu: Cpu): number {
  const worker = current_wq_worker(cpu);
  return worker === 0 ? 0 : cpu.mem.read(worker + WORKER_CURRENT_PWQ);
}

/** Waiting for the queue is as good as taking its lock. */
export function touch_wq_lockdep_map(cpu: Cpu, wq: number): void {
  lock_map_acquire(cpu, wq + WQ_LOCKDEP_MAP);
  lock_map_release(cpu, wq + WQ_LOCKDEP_MAP);
}
