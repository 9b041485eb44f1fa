/**
 * What lockdep is told about reference counts, as blk-mq tells it of q_usage_counter. All refs with one release
 * function are one map: release() runs inside it, whoever holds a reference for a while may say so, and whoever waits
 * for the count to reach zero takes it. So waiting under a lock that release(), or a holder, takes is reported.
 *
 * Interface: percpu_ref_might_wait at the head of every wait for zero; percpu_ref_lockdep_get and _put around what a
 * task does with a reference of its own. None of them counts anything; nothing happens without lockdep.
 */
import { lock_map_acquire, lock_map_acquire_tryread, lock_map_release } from "../lock/lockdep.ts";
import type { Cpu } from "../sched/cpu.ts";
import { percpu_ref_lockdep_map, type PercpuRefPtr } from "./percpu-ref-count.ts";

/** About to wait until `ref` is zero, maybe. */
export function percpu_ref_might_wait(cpu: Cpu, ref: PercpuRefPtr): void {
  if (!cpu.lockdep) return;
  const map = percpu_ref_lockdep_map(cpu, ref);
  // As in call_release: contexts do not matter to a wait.
  cpu.lock_state.irqs_off++;
  lock_map_acquire(cpu, map);
  lock_map_release(cpu, map);
  cpu.lock_state.irqs_off--;
}

/** This task has a reference, which nobody waited for to get. */
export function percpu_ref_lockdep_get(cpu: Cpu, ref: PercpuRefPtr): void {
  if (cpu.lockdep) lock_map_acquire_tryread(cpu, percpu_ref_lockdep_map(cpu, ref));
}

/** The same task lets it go, or hands it on. */
export function percpu_ref_lockdep_put(cpu: Cpu, ref: PercpuRefPtr): void {
  if (cpu.lockdep) lock_map_release(cpu, percpu_ref_lockdep_map(cpu, ref));
}
