/**
 * khungtaskd (kernel/hung_task.c): what every task of a machine that hangs waits for, and who holds it.
 *
 * A task that sleeps says what for (sched/blocker.ts); with lockdep on, the locks of every task are known, those it is
 * about to take included, and so is the holder of a spinlock. Nobody is stopped: what moves may be told wrongly.
 *
 * Interface: hung_task_report only reads shared memory, so the host or any thread with the machine's image may call it
 * while the machine is stuck.
 */
import { held_depth_of } from "../lock/lockdep-held.ts";
import { held_locks_text } from "../lock/lockdep-report.ts";
import { nr_threads } from "../mm/memory-map.ts";
import { BLOCKER_SPINLOCK, BLOCKER_MUTEX, hung_task_blocker_type } from "../sched/blocker.ts";
import type { Cpu } from "../sched/cpu.ts";
import { TASK_ABSENT, TASK_INTERRUPTIBLE, TASK_OUTSIDE, task_of_cpu, task_view } from "../sched/task.ts";
import { task_comm } from "../sched/task-name.ts";
import { blocker_owner, blocker_text, current_work_text } from "./hung-task-blocker.ts";

/** "cpu1:1" */
function task_name(cpu: Cpu, id: number): string {
  return `${task_comm(cpu, id)}:${id}`;
}

/** The lines of the report; `cpu` may be any context over the machine's memory. */
export function hung_task_report(cpu: Cpu): string[] {
  const lines: string[] = [];
  for (let id = 0; id < nr_threads(cpu.config); id++) {
    if (task_view(cpu, id).where !== TASK_ABSENT) lines.push(...task_lines(cpu, id));
  }
  lines.push(...cycle_lines(cpu));
  if (cpu.lockdep) lines.push("Showing all locks held in the system:", ...all_locks(cpu));
  return lines;
}

/** One task: where it is, what it waits for, since when, and who could help. */
function task_lines(cpu: Cpu, id: number): string[] {
  const name = task_name(cpu, id);
  const view = task_view(cpu, id);
  if (view.where === TASK_OUTSIDE) return [`task ${name} is outside the kernel`];
  const spins = hung_task_blocker_type(cpu, id) === BLOCKER_SPINLOCK;
  const work = current_work_text(cpu, task_of_cpu(cpu, id));
  const runs = work === "" ? "" : `, in work function ${work}`;
  if (!view.asleep && !spins) return [`task ${name} is running${runs}`];
  const waits = blocker_text(cpu, id);
  const state = spins ? "R" : view.state === TASK_INTERRUPTIBLE ? "S" : "D";
  if (waits === "" && work === "" && id >= cpu.config.cpus) return [`task ${name} is idle`];
  const seconds = Math.max(0, ((Math.trunc(cpu.now()) - view.sleeps_since) | 0) / 1000);
  const lines = [
    `INFO: task ${name} blocked for more than ${Math.floor(seconds)} seconds.`,
    `      state:${state}, ${waits === "" ? "says not what for" : `waits for ${waits}`}${runs}`,
  ];
  const owner = blocker_owner(cpu, id);
  if (owner >= 0) lines.push(owner_line(cpu, id, owner));
  else if (hung_task_blocker_type(cpu, id) === BLOCKER_MUTEX)
    lines.push(`INFO: task ${name} is blocked on a mutex, but the owner is not found.`);
  return lines;
}

function owner_line(cpu: Cpu, id: number, owner: number): string {
  const type = hung_task_blocker_type(cpu, id);
  const who = task_name(cpu, owner);
  if (type === BLOCKER_MUTEX)
    return `INFO: task ${task_name(cpu, id)} is blocked on a mutex likely owned by task ${who}.`;
  if (type === BLOCKER_SPINLOCK)
    return `INFO: task ${task_name(cpu, id)} is blocked on a spinlock held by task ${who}.`;
  return `INFO: task ${task_name(cpu, id)} is blocked until task ${who} goes on.`;
}

/** A ring of tasks each of which waits for the next: the deadlock itself. */
function cycle_lines(cpu: Cpu): string[] {
  const told = new Set<number>();
  const lines: string[] = [];
  for (let start = 0; start < nr_threads(cpu.config); start++) {
    const path: number[] = [];
    let at = start;
    while (at >= 0 && !path.includes(at) && !told.has(at)) {
      path.push(at);
      at = task_view(cpu, at).where === TASK_ABSENT ? -1 : blocker_owner(cpu, at);
    }
    if (at < 0 || !path.includes(at)) continue;
    const ring = [...path.slice(path.indexOf(at)), at];
    for (const id of ring) told.add(id);
    const names: string[] = [];
    for (const id of ring) names.push(task_name(cpu, id));
    lines.push(`INFO: tasks wait for each other: ${names.join(" -> ")}`);
  }
  return lines;
}

function all_locks(cpu: Cpu): string[] {
  const lines: string[] = [];
  for (let id = 0; id <= nr_threads(cpu.config); id++) {
    if (held_depth_of(cpu, id) > 0) lines.push(...held_locks_text(cpu, id));
  }
  return lines;
}
