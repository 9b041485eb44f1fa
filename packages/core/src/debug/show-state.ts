/**
 * show_state (kernel/sched/core.c, SysRq-t): every sleeping task tells where it sleeps. For machines that
 * hang: the host asks, each task that is in schedule() answers with its call chain in the kernel log.
 *
 * A thread that does not answer is running, or blocked outside schedule() on a spinlock.
 */
import type { Cpu } from "../sched/cpu.ts";
import { kick_task, task_of_cpu } from "../sched/task.ts";
import { LOG_INFO, printk } from "./dmesg.ts";
import { kernel_static } from "./image.ts";
import { call_trace } from "./site.ts";

/** Number of the last request. */
const REQUEST = kernel_static("show_state", 4);
/** Frames of a call chain; the scheduler's own come first. */
const FRAMES = 14;
const SCHEDULER = /^(show_state|schedule|sleep_once)/;

export const SHOW_STATE_PREFIX = "task ";

/** Asks every task for its call chain. */
export function show_state(cpu: Cpu): void {
  cpu.mem.fetchAdd(REQUEST, 1);
  for (let id = 0; id < cpu.config.cpus + cpu.config.kthreads; id++) kick_task(cpu, task_of_cpu(cpu, id));
}

/** Answers a request this task has not seen. Returns its number, to pass in the next time. */
export function show_state_poll(cpu: Cpu, seen: number, state: number): number {
  const request = cpu.mem.loadAcquire(REQUEST);
  if (request === seen) return seen;
  const chain = call_trace(cpu, FRAMES).filter((frame) => !SCHEDULER.test(frame));
  printk(cpu, LOG_INFO, `${SHOW_STATE_PREFIX}${cpu.id} state ${state}: ${chain.join(" < ")}`);
  return request;
}
