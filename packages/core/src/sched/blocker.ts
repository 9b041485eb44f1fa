/**
 * task->blocker (include/linux/hung_task.h): what a sleeping task waits for, for the report of a machine that hangs
 * (debug/hung-task.ts). The words lie in the task struct; their task writes them, anyone reads them.
 *
 * Interface: hung_task_set_blocker right before the sleep, hung_task_clear_blocker after it; they nest by saving. A
 * completion or wait queue is how a wait is done: it does not replace what an outer caller says the wait is for.
 */
import type { Cpu } from "./cpu.ts";
import { current_task, TASK_BLOCKER, TASK_BLOCKER_TYPE, task_of_cpu } from "./task.ts";

export const BLOCKER_NONE = 0;
export const BLOCKER_MUTEX = 1;
export const BLOCKER_COMPLETION = 2;
export const BLOCKER_FENCE = 3;
export const BLOCKER_WORK = 4;
export const BLOCKER_WORKQUEUE = 5;
export const BLOCKER_GRACE_PERIOD = 6;
export const BLOCKER_PERCPU_REF = 7;
export const BLOCKER_WAITQUEUE = 8;
export const BLOCKER_SPINLOCK = 9;

/** Type and address in one number: addresses have 31 bits. */
const TYPE_UNIT = 0x80000000;

/** Returns what was set before, to hand to hung_task_clear_blocker. */
export function hung_task_set_blocker(cpu: Cpu, type: number, address: number): number {
  const task = current_task(cpu);
  const outer = cpu.mem.read(task + TASK_BLOCKER_TYPE);
  const saved = outer * TYPE_UNIT + cpu.mem.read(task + TASK_BLOCKER);
  const means = type === BLOCKER_COMPLETION || type === BLOCKER_WAITQUEUE;
  if (outer !== BLOCKER_NONE && means) return saved;
  cpu.mem.writeOnce(task + TASK_BLOCKER, address);
  cpu.mem.writeOnce(task + TASK_BLOCKER_TYPE, type);
  return saved;
}

export function hung_task_clear_blocker(cpu: Cpu, saved: number): void {
  const task = current_task(cpu);
  cpu.mem.writeOnce(task + TASK_BLOCKER_TYPE, Math.floor(saved / TYPE_UNIT));
  cpu.mem.writeOnce(task + TASK_BLOCKER, saved % TYPE_UNIT);
}

/** A wait queue is waited on piecemeal: prepare_to_wait may come again and again before finish_wait. */
export function hung_task_set_waitqueue(cpu: Cpu, wq: number): void {
  hung_task_set_blocker(cpu, BLOCKER_WAITQUEUE, wq);
}
export function hung_task_clear_waitqueue(cpu: Cpu): void {
  const type = current_task(cpu) + TASK_BLOCKER_TYPE;
  if (cpu.mem.read(type) === BLOCKER_WAITQUEUE) cpu.mem.writeOnce(type, BLOCKER_NONE);
}

/** What thread `id` waits for, as far as it said. */
export function hung_task_blocker_type(cpu: Cpu, id: number): number {
  return cpu.mem.readOnce(task_of_cpu(cpu, id) + TASK_BLOCKER_TYPE);
}
export function hung_task_blocker(cpu: Cpu, id: number): number {
  return cpu.mem.readOnce(task_of_cpu(cpu, id) + TASK_BLOCKER);
}
