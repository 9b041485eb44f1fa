/**
 * Quiescent states: the reader side of QSBR RCU (Documentation/RCU, liburcu's qsbr flavour).
 *
 * A read section costs a nesting count. Each CPU publishes in its QS word either 0, "offline: I hold no
 * RCU pointer until I come back", or the grace-period number it has seen while outside any read section.
 * The grace-period thread (rcu/gp.ts) bumps GP_SEQ and waits until every word is 0 or that number.
 *
 * Invariant: a CPU that is online and has QS != GP_SEQ may be inside a section that began before.
 *
 * config.rcu "strict" (CONFIG_RCU_STRICT_GRACE_PERIOD): a CPU is online in its outermost read section only, so a
 * grace period waits for nobody who is not in one, and a pointer used without rcu_read_lock is soon a stale one.
 */
import { kernel_static, percpu_static } from "../debug/image.ts";
import { WARN_ONCE } from "../debug/warn.ts";
import { lock_release, rcu_lock_acquire } from "../lock/lockdep.ts";
import { type Cpu, per_cpu_ptr, this_cpu_ptr } from "../sched/cpu.ts";
import { task_of_cpu, wake_up_process } from "../sched/task.ts";

/** Per-CPU: written by its CPU alone, read by rcu_gp. */
const QS = percpu_static("rcu_qs", 4);

/** Words on lines of their own. GP_SEQ is written by rcu_gp; read through current_gp, 0 stays "offline". */
const GP_SEQ = kernel_static("rcu_gp_seq", 4);
/** CPU number + 1 of the grace-period thread while it waits for quiescent states. */
const GP_WAITER = kernel_static("rcu_gp_waiter", 4);

/** Number of the grace period in progress or last done: odd. */
function current_gp(cpu: Cpu): number {
  return cpu.mem.loadAcquire(GP_SEQ) | 1;
}

/** Key for lockdep. */
const RCU_LOCK_MAP = kernel_static("rcu_read_lock", 4);

export function rcu_read_lock(cpu: Cpu): void {
  cpu.rcu_nesting++;
  if (cpu.rcu_watched) read_lock_watched(cpu);
}

function read_lock_watched(cpu: Cpu): void {
  strict_enter(cpu);
  if (cpu.lockdep) rcu_lock_acquire(cpu, RCU_LOCK_MAP);
}

export function rcu_read_unlock(cpu: Cpu): void {
  if (cpu.rcu_nesting <= 0) return bad_unlock_balance(cpu);
  cpu.rcu_nesting--;
  if (cpu.rcu_watched) read_unlock_watched(cpu);
}

function read_unlock_watched(cpu: Cpu): void {
  if (cpu.lockdep) lock_release(cpu, RCU_LOCK_MAP);
  strict_leave(cpu);
}

/** Strict: the section that has just begun is seen by grace periods from here on. */
function strict_enter(cpu: Cpu): void {
  if (!cpu.rcu_strict || cpu.rcu_nesting !== 1) return;
  // Full order, as in rcu_online: who does not see it has started before we read any pointer.
  cpu.mem.storeRelease(this_cpu_ptr(cpu, QS), current_gp(cpu));
}

/** Strict: no section is open any more. */
function strict_leave(cpu: Cpu): void {
  if (!cpu.rcu_strict || cpu.rcu_nesting !== 0) return;
  cpu.mem.storeRelease(this_cpu_ptr(cpu, QS), 0);
  rcu_report(cpu);
}

/** An unlock without its lock; the count stays, or the next section would be none. */
function bad_unlock_balance(cpu: Cpu): void {
  if (cpu.lockdep) lock_release(cpu, RCU_LOCK_MAP);
  else WARN_ONCE(cpu, true, "bad unlock balance detected! (rcu_read_lock): no more locks to release!");
}

export function rcu_read_lock_held(cpu: Cpu): boolean {
  return cpu.rcu_nesting !== 0;
}

/** Does RCU wait for this CPU's sections? False while it is offline. */
export function rcu_is_watching(cpu: Cpu): boolean {
  return cpu.mem.read(this_cpu_ptr(cpu, QS)) !== 0;
}

/** Tells the grace-period thread, if it waits, that a QS word changed. */
function rcu_report(cpu: Cpu): void {
  // Pairs with rcu_set_gp_waiter in wait_for_quiescent_states: it stores GP_WAITER, reads the words; we
  // stored ours, then read GP_WAITER. One of the two sees the other, or the grace period would sleep on.
  const waiter = cpu.mem.loadAcquire(GP_WAITER);
  // Not to itself: rcu_gp does not wait for its own word, and would never get to sleep.
  if (waiter !== 0 && waiter !== cpu.id + 1) wake_up_process(cpu, task_of_cpu(cpu, waiter - 1));
}

/** A quiescent state: called at safe points outside read sections. Cheap when no grace period is new. */
export function rcu_note_qs(cpu: Cpu): void {
  if (cpu.rcu_nesting !== 0 || cpu.rcu_strict) return;
  const qs = this_cpu_ptr(cpu, QS);
  const sequence = current_gp(cpu);
  if (cpu.mem.read(qs) === sequence) return;
  // Pairs with the loadAcquire in rcu_cpu_passed: all our earlier read sections are before the grace
  // period's end, so what call_rcu frees cannot be in our hands.
  cpu.mem.storeRelease(qs, sequence);
  rcu_report(cpu);
}

/** Comes online: pointers may be picked up from here on. */
export function rcu_online(cpu: Cpu): void {
  if (cpu.rcu_strict) return;
  const qs = this_cpu_ptr(cpu, QS);
  // Full order against the grace period: publish the number we saw; if a new one started in between we
  // simply owe it a quiescent state, since QS != GP_SEQ.
  cpu.mem.storeRelease(qs, current_gp(cpu));
}

/** Goes offline: an extended quiescent state, as in idle or user mode. Illegal inside a read section. */
export function rcu_offline(cpu: Cpu): void {
  WARN_ONCE(cpu, cpu.rcu_nesting !== 0, "Illegal context switch in RCU read-side critical section!");
  if (cpu.rcu_strict) return;
  cpu.mem.storeRelease(this_cpu_ptr(cpu, QS), 0);
  rcu_report(cpu);
}

/** Interrupts run where RCU watches; the idle loop takes them while online. */
export function rcu_irq_enter(cpu: Cpu): void {
  cpu.rcu_nesting++;
  strict_enter(cpu);
}
export function rcu_irq_exit(cpu: Cpu): void {
  cpu.rcu_nesting--;
  strict_leave(cpu);
}

export function rcu_gp_start(cpu: Cpu): number {
  // Wraps as the words that are compared with it do, or the grace period after the wrap would not end.
  const sequence = (current_gp(cpu) + 2) | 0;
  cpu.mem.storeRelease(GP_SEQ, sequence);
  return sequence;
}

/** Grace periods started since boot; wraps at 31 bits, compare with rcu_gps_between. */
export function rcu_gps_started(cpu: Cpu): number {
  return (current_gp(cpu) - 1) >> 1;
}

/** Grace periods from number `a` to number `b`; negative when `b` is the earlier one. */
export function rcu_gps_between(a: number, b: number): number {
  return ((b - a) << 1) >> 1;
}

/** True when CPU `id` cannot hold a pointer from before grace period `sequence`. */
export function rcu_cpu_passed(cpu: Cpu, id: number, sequence: number): boolean {
  const qs = cpu.mem.loadAcquire(per_cpu_ptr(cpu, QS, id));
  return qs === 0 || qs === sequence;
}

/** Registers (id + 1) or clears (0) the thread that waits for quiescent states. */
export function rcu_set_gp_waiter(cpu: Cpu, waiter: number): void {
  cpu.mem.storeRelease(GP_WAITER, waiter);
}
