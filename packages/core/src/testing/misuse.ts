/**
 * For tests of wrong use: a solo kernel, the objects that are misused, and what has to be true whatever was done.
 *
 * Interface: `const cpu = boot_misuse(lockdep)`, then `misuse_faults(cpu, misuse)`: what is wrong with what came of it,
 * nothing if all is well.
 */
import { kernel_static, kernel_symbol, type SymbolId } from "../debug/image.ts";
import { mutex_init, MUTEX_SIZE } from "../lock/mutex.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "../lock/spinlock.ts";
import { rcu_read_lock, rcu_read_unlock, synchronize_rcu } from "../rcu/rcu.ts";
import { COMPLETION_SIZE, init_completion } from "../sched/completion.ts";
import type { Cpu } from "../sched/cpu.ts";
import {
  flush_work,
  INIT_WORK,
  queue_work,
  system_wq,
  type WorkPtr,
  type WorkqueuePtr,
  WORK_STRUCT_SIZE,
} from "../sched/workqueue.ts";
import { boot_solo, dmesg } from "./solo.ts";

export interface Misuse {
  readonly name: string;
  use(cpu: Cpu): unknown;
  /** What `use` answers. */
  readonly answer?: unknown;
  /** The complaint without lockdep; absent: none is possible. */
  readonly plain?: string;
  /** The complaint with lockdep, when it is another one. */
  readonly lockdep?: string;
  /** Without lockdep it would not end, as in Linux. */
  readonly hangs?: true;
}

export const NOT_OWNER = "DEBUG_LOCKS_WARN_ON(__owner_task(owner) != current)";
export const ATOMIC_SLEEP = "BUG: sleeping function called from invalid context";
export const READER_SLEEP = "Illegal context switch in RCU read-side critical section!";

export const MUTEX: number = kernel_static("misuse_mutex", MUTEX_SIZE);
export const SPIN: number = kernel_static("misuse_spin", 4);
export const WORK: WorkPtr = kernel_static("misuse_work", WORK_STRUCT_SIZE) as WorkPtr;
/** Nobody completes it. */
export const DONE: number = kernel_static("misuse_completion", COMPLETION_SIZE);

export const NOTHING: SymbolId = kernel_symbol(misuse_nothing);
function misuse_nothing(): void {}

export function boot_misuse(lockdep: boolean): Cpu {
  const cpu = boot_solo({ cpus: 2, lockdep });
  mutex_init(cpu, MUTEX, "misuse_mutex");
  spin_lock_init(cpu, SPIN, "misuse_spin");
  init_completion(cpu, DONE);
  return cpu;
}

/** Queues WORK with `fn` and waits for it. */
export function run_work(cpu: Cpu, wq: WorkqueuePtr, fn: SymbolId): boolean {
  INIT_WORK(cpu, WORK, fn);
  queue_work(cpu, wq, WORK);
  return flush_work(cpu, WORK);
}

export function with_spinlock<T>(cpu: Cpu, use: () => T): T {
  spin_lock(cpu, SPIN);
  const answer = use(); // indirect: the misuse under test
  spin_unlock(cpu, SPIN);
  return answer;
}

export function in_reader<T>(cpu: Cpu, use: () => T): T {
  rcu_read_lock(cpu);
  const answer = use(); // indirect: the misuse under test
  rcu_read_unlock(cpu);
  return answer;
}

/** Does it, and says what is not as it must be. */
export function misuse_faults(cpu: Cpu, misuse: Misuse): string[] {
  const faults: string[] = [];
  const expected = cpu.lockdep ? (misuse.lockdep ?? misuse.plain) : misuse.plain;
  const answer = misuse.use(cpu);
  const log = dmesg(cpu);
  if (answer !== misuse.answer) faults.push(`answers ${String(answer)}`);
  if (expected !== undefined && !log.some((text) => text.includes(expected))) {
    faults.push(`says ${JSON.stringify(log)}`);
  }
  if (expected === undefined && log.length > 0) faults.push(`says ${JSON.stringify(log)}`);
  if (cpu.preempt_count !== 0 || cpu.rcu_nesting !== 0 || cpu.in_irq) faults.push("changes the context");
  // The kernel still works.
  if (!run_work(cpu, system_wq(cpu), NOTHING)) faults.push("breaks the workqueue");
  synchronize_rcu(cpu);
  return faults;
}
