/**
 * Names of tasks (comm and pid) for reports. A thread is one CPU is one task, so the number tells the role: CPUs first,
 * then rcu_gp and the kworkers, then the device.
 */
import { device_cpu_id } from "../mm/memory-map.ts";
import type { Cpu } from "./cpu.ts";

/** task->comm of thread `id`. */
export function task_comm(cpu: Cpu, id: number): string {
  if (id < cpu.config.cpus) return `cpu${id}`;
  if (id === cpu.config.cpus) return "rcu_gp";
  return id >= device_cpu_id(cpu.config) ? `device${id - device_cpu_id(cpu.config)}` : `kworker${id}`;
}

/** "comm/pid", as lockdep prints tasks. */
export function task_label(cpu: Cpu, id: number): string {
  return `${task_comm(cpu, id)}/${id}`;
}
