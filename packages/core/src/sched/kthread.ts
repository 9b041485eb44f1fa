/**
 * Kernel threads (kernel/kthread.c), the part the emulation needs: a request to the host for another thread,
 * and the order to stop. The host spawns threads; it is kthreadd.
 */
import { kernel_static } from "../debug/image.ts";
import { device_cpu_id } from "../mm/memory-map.ts";
import type { Cpu } from "./cpu.ts";
import { kick_task, task_of_cpu, wake_up_process } from "./task.ts";

export { kthread_request, kthread_served, kthread_wanted_word } from "./kthread-request.ts";

/** Written by the host: all kernel threads return from their loops. */
const SHOULD_STOP = kernel_static("kthread_should_stop", 4);
/** Per machine: every task stops its workload. Written by the host or by a dying thread. */
const MACHINE_STOP = kernel_static("machine_stop", 4);

/** Kworkers between kthread_start and kthread_exit; rcu_gp outlives them, their works may wait for it. */
const ALIVE = kernel_static("kthread_alive", 4);

export function kthread_should_stop(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(SHOULD_STOP) !== 0;
}

/** Counts a kworker that will enter its main loop, if it runs yet or not. Whoever sends it there calls this first. */
export function kthread_start(cpu: Cpu): void {
  cpu.mem.fetchAdd(ALIVE, 1);
}
/** The kworker, when it leaves the loop. */
export function kthread_exit(cpu: Cpu): void {
  // Pairs with kthread_alive in rcu_gp: it set its state before it looked, so it sees 0 or is woken.
  if (cpu.mem.fetchSub(ALIVE, 1) === 1) wake_kthreads(cpu);
}

export function kthread_alive(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(ALIVE) !== 0;
}

/**
 * Tells all kernel threads to return, and wakes them. Kworkers finish the queued works first, rcu_gp the callbacks
 * and after the last kworker. Works that callbacks queue are the caller's: rcu_barrier and flush before.
 */
export function kthread_stop_all(cpu: Cpu): void {
  cpu.mem.storeRelease(SHOULD_STOP, 1);
  wake_kthreads(cpu);
  // The controller sleeps without a task state.
  kick_task(cpu, task_of_cpu(cpu, device_cpu_id(cpu.config)));
}

function wake_kthreads(cpu: Cpu): void {
  const first = cpu.config.cpus;
  for (let id = first; id < first + cpu.config.kthreads; id++) wake_up_process(cpu, task_of_cpu(cpu, id));
}

/** Tells all workloads to end soon. */
export function machine_stop(cpu: Cpu): void {
  cpu.mem.storeRelease(MACHINE_STOP, 1);
  for (let id = 0; id < cpu.config.cpus; id++) wake_up_process(cpu, task_of_cpu(cpu, id));
}

export function machine_should_stop(cpu: Cpu): boolean {
  return cpu.mem.readOnce(MACHINE_STOP) !== 0;
}
