/**
 * task_struct and waking (include/linux/sched.h, kernel/sched/core.c). One thread is one CPU is one task, so
 * the task lives at the start of its CPU's area and `current` is a field of Cpu.
 *
 * A sleeping thread waits on its WAKE word, a counter that every waker bumps. Lost wake-ups cannot happen:
 * the sleeper reads WAKE, then checks its reasons to run, then sleeps only while WAKE is unchanged; a waker
 * changes the reason first and bumps WAKE after. SLEEPING spares the notify when nobody sleeps.
 */
import { path_count, PATH_NOTIFIES, PATH_WAKEUPS_AVOIDED } from "../debug/path-counters.ts";
import type { Ptr } from "atomics-sync";
import { PERCPU_AREA, percpu_static } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { type Cpu, per_cpu_ptr, this_cpu_ptr } from "./cpu.ts";
import { virtual_clock_outside, virtual_clock_sleep } from "./virtual-clock.ts";

export type TaskPtr = Ptr<"task_struct">;

export const TASK_RUNNING = 0;
export const TASK_INTERRUPTIBLE = 1;
export const TASK_UNINTERRUPTIBLE = 2;
export const TASK_NORMAL = 3;

/** thread_info flags. */
export const TIF_SIGPENDING = 1;
export const TIF_NOTIFY_SIGNAL = 2;

// Written by the task and its wakers.
const STATE = 0;
// Futex word; written by wakers.
const WAKE = 128;
// Written by the task alone, read by wakers: 0, or how the thread sleeps.
const SLEEPING = 256;
/** Counter to wait on for a CPU that is outside the kernel; written by wakers. */
const IDLE = 260;
// Written by anyone (signals, task_work_add).
const TI_FLAGS = 384;
const TASK_WORKS = 388;
// Written by devices: one bit per interrupt vector of this CPU.
const IRQ_PENDING = 512;
// Written by the task alone, read when the machine hangs: what it waits for (blocker.ts), and since when it sleeps.
export const TASK_BLOCKER_TYPE = 640;
export const TASK_BLOCKER = 644;
/** Milliseconds, wrapping. */
const SLEEPS_SINCE = 648;
/** Where its thread is: one of TASK_ABSENT ... */
const WHERE = 652;
export const TASK_STRUCT_SIZE = 768;

struct_layout("task_struct", TASK_STRUCT_SIZE, [
  ["state", STATE, 4],
  ["wake", WAKE, 4],
  ["sleeping", SLEEPING, 4],
  ["idle", IDLE, 4],
  ["thread_info.flags", TI_FLAGS, 4],
  ["task_works", TASK_WORKS, 4],
  ["irq_pending", IRQ_PENDING, 4],
  ["blocker_type", TASK_BLOCKER_TYPE, 4],
  ["blocker", TASK_BLOCKER, 4],
  ["sleeps_since", SLEEPS_SINCE, 4],
  ["where", WHERE, 4],
]);

/** Values of WHERE: no thread yet; in kernel code; in its event loop. */
export const TASK_ABSENT = 0;
export const TASK_IN_KERNEL = 1;
export const TASK_OUTSIDE = 2;

/** Values of SLEEPING. */
const IN_FUTEX = 1;
const IN_EVENT_LOOP = 2;

const NOTIFIES = PATH_NOTIFIES;
const AVOIDED = PATH_WAKEUPS_AVOIDED;

const TASK = percpu_static("task_struct", TASK_STRUCT_SIZE);

/** The running task. */
export function current_task(cpu: Cpu): TaskPtr {
  return this_cpu_ptr(cpu, TASK) as TaskPtr;
}

export function task_of_cpu(cpu: Cpu, id: number): TaskPtr {
  return per_cpu_ptr(cpu, TASK, id) as TaskPtr;
}

/** Declares what the task is about to wait for. A full barrier orders it before the test of the condition. */
export function set_current_state(cpu: Cpu, state: number): void {
  // Pairs with the compareExchange in try_to_wake_up: either the waker sees the state, or the test that
  // follows sees what the waker stored before. Without it both could miss and the wake-up is lost.
  cpu.mem.storeRelease(current_task(cpu) + STATE, state);
}

export function current_state(cpu: Cpu): number {
  return cpu.mem.loadAcquire(current_task(cpu) + STATE);
}

/** Wakes `task` if its state is in `mask`. True when this call made it runnable. */
export function try_to_wake_up(cpu: Cpu, task: TaskPtr, mask: number): boolean {
  for (;;) {
    const state = cpu.mem.loadAcquire(task + STATE);
    if ((state & mask) === 0) return false;
    if (cpu.mem.compareExchange(task + STATE, state, TASK_RUNNING) === state) break;
  }
  kick_task(cpu, task);
  return true;
}

export function wake_up_process(cpu: Cpu, task: TaskPtr): boolean {
  return try_to_wake_up(cpu, task, TASK_NORMAL);
}

/** Makes the thread look at its reasons to run. The caller changed one of them before. */
export function kick_task(cpu: Cpu, task: TaskPtr): void {
  // Pairs with the WAKE read in futex_sleep: the sleeper either sees the bump and stays up, or has SLEEPING
  // set before our load. Otherwise it would sleep on a reason already there.
  cpu.mem.fetchAdd(task + WAKE, 1);
  const how = cpu.mem.loadAcquire(task + SLEEPING);
  path_count(cpu, how === 0 ? AVOIDED : NOTIFIES, 1);
  if (how === IN_FUTEX) cpu.mem.notify(task + WAKE, 1);
  else if (how === IN_EVENT_LOOP) {
    // A word of its own: a pending waitAsync on WAKE would swallow the notify meant for a later sleep.
    cpu.mem.fetchAdd(task + IDLE, 1);
    cpu.mem.notify(task + IDLE, 1);
  }
}

/** The word to wait on, in the event loop, while this CPU idles outside the kernel. */
export function idle_word(cpu: Cpu): number {
  return current_task(cpu) + IDLE;
}

/** The CPU leaves the kernel: kicks go to the idle word. Test the reasons to come back after this. */
export function idle_announce(cpu: Cpu): void {
  cpu.mem.storeRelease(current_task(cpu) + SLEEPING, IN_EVENT_LOOP);
}

/**
 * After idle_announce and the test of the reasons: nothing is to do here before `until` (absolute ms) or a kick. False
 * when one came since `sequence` was read, which nobody tells the event loop of.
 */
export function idle_until(cpu: Cpu, sequence: number, until: number): boolean {
  if (cpu.config.clock !== "virtual") return true;
  const task = current_task(cpu);
  return virtual_clock_outside(cpu, task + WAKE, task + IDLE, sequence, until);
}

/** Value of WAKE to give to futex_sleep; read it before testing the reasons to run. */
export function wake_sequence(cpu: Cpu): number {
  return cpu.mem.loadAcquire(current_task(cpu) + WAKE);
}

/** Sleeps until kicked after `sequence` was read, or `timeout` ms. Only schedule() calls it. */
export function futex_sleep(cpu: Cpu, sequence: number, timeout: number): void {
  const task = current_task(cpu);
  cpu.mem.storeRelease(task + SLEEPING, IN_FUTEX);
  if (cpu.config.clock === "virtual") virtual_clock_sleep(cpu, task + WAKE, sequence, timeout);
  else if (cpu.mem.loadAcquire(task + WAKE) === sequence) cpu.mem.wait(task + WAKE, sequence, timeout);
  cpu.mem.storeRelease(task + SLEEPING, 0);
}

/**
 * Says that this thread is about to sleep, so that wakers which look at task_is_sleeping kick it. The thread
 * then tests its reasons once more; futex_sleep follows, or futex_retract.
 */
export function futex_announce(cpu: Cpu): void {
  cpu.mem.storeRelease(current_task(cpu) + SLEEPING, IN_FUTEX);
}

export function futex_retract(cpu: Cpu): void {
  cpu.mem.storeRelease(current_task(cpu) + SLEEPING, 0);
}

/** For wakers that spare the kick: they store the reason first, with storeRelease, and look here after. */
export function task_is_sleeping(cpu: Cpu, task: TaskPtr): boolean {
  return cpu.mem.loadAcquire(task + SLEEPING) !== 0;
}

export function set_tsk_thread_flag(cpu: Cpu, task: TaskPtr, flag: number): void {
  cpu.mem.fetchOr(task + TI_FLAGS, flag);
}

export function clear_thread_flag(cpu: Cpu, flag: number): void {
  cpu.mem.fetchAnd(current_task(cpu) + TI_FLAGS, ~flag);
}

/** A signal, or task work that asked for one, waits: interruptible sleeps end. */
export function signal_pending(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(current_task(cpu) + TI_FLAGS) !== 0;
}

/** A real signal waits, as opposed to task work. */
export function task_sigpending(cpu: Cpu): boolean {
  return (cpu.mem.loadAcquire(current_task(cpu) + TI_FLAGS) & TIF_SIGPENDING) !== 0;
}

export function signal_pending_state(cpu: Cpu, state: number): boolean {
  return (state & TASK_INTERRUPTIBLE) !== 0 && signal_pending(cpu);
}

/** Address of the word with one pending bit per vector; a device sets bits in it (an MSI write). */
export function irq_pending_word(cpu: Cpu, id: number): number {
  return task_of_cpu(cpu, id) + IRQ_PENDING;
}

/** Head of the task's list of pending works (sched/task-work.ts). */
export function task_works_head(task: TaskPtr): number {
  return task + TASK_WORKS;
}

/** The thread enters or leaves kernel code. */
export function set_task_where(cpu: Cpu, where: number): void {
  cpu.mem.writeOnce(current_task(cpu) + WHERE, where);
}

/** The task goes to sleep at `now` (ms). */
export function set_sleeps_since(cpu: Cpu, now: number): void {
  cpu.mem.writeOnce(current_task(cpu) + SLEEPS_SINCE, now);
}

/** What a look from outside tells of a task. */
export interface TaskView {
  readonly state: number;
  /** Its thread sleeps in the futex of schedule(). */
  readonly asleep: boolean;
  /** TASK_ABSENT, TASK_IN_KERNEL, TASK_OUTSIDE. */
  readonly where: number;
  /** When it last went to sleep: ms, wrapped to 32 bits. */
  readonly sleeps_since: number;
}

export function task_view(cpu: Cpu, id: number): TaskView {
  const task = task_of_cpu(cpu, id);
  return {
    state: cpu.mem.loadAcquire(task + STATE),
    asleep: cpu.mem.loadAcquire(task + SLEEPING) === IN_FUTEX,
    where: cpu.mem.readOnce(task + WHERE),
    sleeps_since: cpu.mem.readOnce(task + SLEEPS_SINCE),
  };
}

/** Whose task struct this is: the number of its thread; -1 if it is none. */
export function task_cpu(cpu: Cpu, task: TaskPtr): number {
  const at = task - task_of_cpu(cpu, 0);
  return at >= 0 && at % PERCPU_AREA === 0 ? at / PERCPU_AREA : -1;
}
