/**
 * task->blocker (include/linux/hung_task.h): what a sleeping task waits for, for the report of a machine that hangs.
 *
 * Interface: hung_task_set_blocker right before the sleep, hung_task_clear_blocker after it; they nest by saving.
 */
import type { Cpu } from "./cpu.ts";

export const BLOCKER_NONE = 0;
export const BLOCKER_MUTEX = 1;
export const BLOCKER_COMPLETION = 2;
export const BLOCKER_FENCE = 3;
export const BLOCKER_WORK = 4;
export const BLOCKER_WORKQUEUE = 5;
export const BLOCKER_GRACE_PERIOD = 6;
export const BLOCKER_PERCPU_REF = 7;
export const BLOCKER_WAITQUEUE = 8;

/** Returns what was set before, to hand to hung_task_clear_blocker. */
export function hung_task_set_blocker(_cpu: Cpu, _type: number, _address: number): number {
  return 0;
}

export function hung_task_clear_blocker(_cpu: Cpu, _saved: number): void {}
