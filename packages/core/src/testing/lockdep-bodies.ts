/** What the CPUs do in lock/lockdep-threads.test.ts: orders that deadlock, some of them with the deadlock. */
import { kernel_static } from "../debug/image.ts";
import { mutex_init, mutex_lock, mutex_unlock, MUTEX_SIZE } from "../lock/mutex.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "../lock/spinlock.ts";
import { init_completion, COMPLETION_SIZE, wait_for_completion } from "../sched/completion.ts";
import type { Cpu } from "../sched/cpu.ts";
import { rendezvous, wait_until } from "./rendezvous.ts";

const A = kernel_static("lockdep_bodies_a", MUTEX_SIZE);
const B = kernel_static("lockdep_bodies_b", MUTEX_SIZE);
const S = kernel_static("lockdep_bodies_s", 4);
const NEVER = kernel_static("lockdep_bodies_never", COMPLETION_SIZE);
const POINT = kernel_static("lockdep_bodies_point", 4);
const TURN = kernel_static("lockdep_bodies_turn", 4);

export function set_up(cpu: Cpu): void {
  mutex_init(cpu, A, "&a");
  mutex_init(cpu, B, "&b");
  spin_lock_init(cpu, S, "&s");
  init_completion(cpu, NEVER);
}

/** Takes both mutexes when its turn has come: one order per CPU, never at the same time. */
export function in_turn(cpu: Cpu, same_order: boolean): void {
  wait_until(cpu, TURN, cpu.id);
  const [first, second] = cpu.id === 0 || same_order ? [A, B] : [B, A];
  mutex_lock(cpu, first);
  mutex_lock(cpu, second);
  mutex_unlock(cpu, second);
  mutex_unlock(cpu, first);
  cpu.mem.fetchAdd(TURN, 1);
}

/** The deadlock itself. */
export function abba(cpu: Cpu): void {
  const [own, other] = cpu.id === 0 ? [A, B] : [B, A];
  mutex_lock(cpu, own);
  rendezvous(cpu, POINT, 2);
  mutex_lock(cpu, other);
}

/** Holds the spinlock for ever, by a loop. */
export function hold_spinlock(cpu: Cpu): void {
  spin_lock(cpu, S);
  cpu.mem.storeRelease(TURN, 1);
  wait_until_never(cpu);
  spin_unlock(cpu, S);
}
function wait_until_never(cpu: Cpu): void {
  while (cpu.mem.loadAcquire(TURN) !== 0) cpu.mem.wait(TURN, 1, 100);
}

export function want_spinlock(cpu: Cpu): void {
  while (cpu.mem.loadAcquire(TURN) === 0) cpu.mem.pause();
  spin_lock(cpu, S);
  spin_unlock(cpu, S);
}

export function wait_for_nobody(cpu: Cpu): void {
  wait_for_completion(cpu, NEVER);
}
