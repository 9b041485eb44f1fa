/**
 * What lockdep says, in the kernel's shape. A report is one run of records in the kernel log: the first is the warning,
 * the others are information on it. Each report is made once; unlike Linux, lockdep goes on checking after it.
 */
import { LOG_WARN, printk_lines } from "../debug/dmesg.ts";
import { call_trace, site_text } from "../debug/site.ts";
import type { Cpu } from "../sched/cpu.ts";
import { task_label } from "../sched/task-name.ts";
import { class_name } from "./lockdep-class.ts";
import { edge_at } from "./lockdep-graph.ts";
import {
  HELD_ACQUIRED,
  HELD_ADDRESS,
  held_at,
  held_at_of,
  HELD_CLASS,
  held_depth,
  held_depth_of,
  HELD_FLAGS,
  HELD_READ,
  HELD_REFERENCES,
  held_site,
  held_site_of,
} from "./lockdep-held.ts";
import { EDGE_FROM, EDGE_FROM_SITE, EDGE_TO, EDGE_TO_SITE } from "./lockdep-layout.ts";
import { usage_name, usage_site, usage_text } from "./lockdep-usage.ts";

const RULE = "------------------------------------------------------";
const OTHER_INFO = "other info that might help us debug this:";
const SCENARIO = " Possible unsafe locking scenario:";
const DEADLOCK = " *** DEADLOCK ***";
const COLUMN = "                               ";
const FRAMES = 10;
/** The machinery above the caller. */
const OWN_FRAME = / core\/lock\/lockdep(?:-[\w-]+)?\.ts:/;

/** "(&lock){....}" */
function lock_name(cpu: Cpu, class_id: number): string {
  return `(${class_name(cpu, class_id)}){${class_id > 0 ? usage_text(cpu, class_id) : "...."}}`;
}

function hex(p: number): string {
  return p < 0 ? "map" : p.toString(16).padStart(8, "0");
}

/** "0001a2c0 (&lock){....}, at: function file:line" */
function describe_held(cpu: Cpu, entry: number, site: number): string {
  const name = lock_name(cpu, cpu.mem.read(entry + HELD_CLASS));
  return `${hex(cpu.mem.read(entry + HELD_ADDRESS))} ${name}, at: ${site_text(cpu, site)}`;
}

/** lockdep_print_held_locks() of any thread. */
export function held_locks_text(cpu: Cpu, id: number): string[] {
  const depth = held_depth_of(cpu, id);
  if (depth === 0) return [`no locks held by ${task_label(cpu, id)}.`];
  const lines = [`${depth} lock${depth > 1 ? "s" : ""} held by ${task_label(cpu, id)}:`];
  for (let i = 0; i < depth; i++) {
    const entry = held_at_of(cpu, id, i);
    const count = cpu.mem.read(entry + HELD_REFERENCES);
    const more = count > 0 ? ` (${count} locks)` : "";
    const waits = (cpu.mem.read(entry + HELD_FLAGS) & HELD_ACQUIRED) === 0 ? " <acquiring>" : "";
    lines.push(` #${i}: ${describe_held(cpu, entry, held_site_of(cpu, entry))}${more}${waits}`);
  }
  return lines;
}

/** Prints a report; the running task's locks and stack go to its end. */
function report(cpu: Cpu, title: string, body: readonly string[]): void {
  for (let i = 0; i < held_depth(cpu); i++) held_site(cpu, i);
  const stack: string[] = [];
  for (const frame of call_trace(cpu, FRAMES + 4)) if (!OWN_FRAME.test(frame)) stack.push(` ${frame}`);
  printk_lines(cpu, LOG_WARN, [
    title,
    RULE,
    ...body,
    ...held_locks_text(cpu, cpu.id),
    "stack backtrace:",
    ...stack.slice(0, FRAMES),
  ]);
}

/** "lock(A);" as the scenario drawings have it. */
function draw(cpu: Cpu, verb: string, class_id: number): string {
  return `${verb}(${class_name(cpu, class_id)});`;
}

function verb_of(cpu: Cpu, entry: number): string {
  return (cpu.mem.read(entry + HELD_FLAGS) & HELD_READ) === 0 ? "lock" : "rlock";
}

/** print_circular_bug(): `path` leads from the class of `next` to that of `prev`. */
export function report_circular(cpu: Cpu, prev: number, next: number, path: readonly number[]): void {
  const [held, wanted] = [held_at(cpu, prev), held_at(cpu, next)];
  const chain: string[] = [];
  for (let i = path.length - 1; i >= 0; i--) {
    const edge = edge_at(cpu, path[i] as number);
    chain.push(
      `-> #${i + 1} ${lock_name(cpu, cpu.mem.read(edge + EDGE_TO))}:`,
      `       ${site_text(cpu, cpu.mem.read(edge + EDGE_TO_SITE))}`,
      `       with ${lock_name(cpu, cpu.mem.read(edge + EDGE_FROM))} held since`,
      `       ${site_text(cpu, cpu.mem.read(edge + EDGE_FROM_SITE))}`,
    );
  }
  const source = cpu.mem.read(wanted + HELD_CLASS);
  const target = cpu.mem.read(held + HELD_CLASS);
  const parent = cpu.mem.read(edge_at(cpu, path.at(-1) as number) + EDGE_FROM);
  report(cpu, "WARNING: possible circular locking dependency detected", [
    `${task_label(cpu, cpu.id)} is trying to acquire lock:`,
    describe_held(cpu, wanted, held_site(cpu, next)),
    "but task is already holding lock:",
    describe_held(cpu, held, held_site(cpu, prev)),
    "which lock already depends on the new lock.",
    "the existing dependency chain (in reverse order) is:",
    ...chain,
    `-> #0 ${lock_name(cpu, source)}:`,
    `       ${site_text(cpu, held_site(cpu, next))}`,
    OTHER_INFO,
    ...(parent === source
      ? []
      : [
          "Chain exists of:",
          `  ${class_name(cpu, source)} --> ${class_name(cpu, parent)} --> ${class_name(cpu, target)}`,
        ]),
    SCENARIO,
    "       CPU0                    CPU1",
    "       ----                    ----",
    `  ${draw(cpu, verb_of(cpu, held), target)}`,
    `${COLUMN}${draw(cpu, "lock", parent)}`,
    `${COLUMN}${draw(cpu, "lock", target)}`,
    `  ${draw(cpu, verb_of(cpu, wanted), source)}`,
    DEADLOCK,
  ]);
}

/** print_deadlock_bug(): the class, or the very lock, is held already. */
export function report_recursive(cpu: Cpu, prev: number, next: number): void {
  const [held, wanted] = [held_at(cpu, prev), held_at(cpu, next)];
  report(cpu, "WARNING: possible recursive locking detected", [
    `${task_label(cpu, cpu.id)} is trying to acquire lock:`,
    describe_held(cpu, wanted, held_site(cpu, next)),
    "but task is already holding lock:",
    describe_held(cpu, held, held_site(cpu, prev)),
    OTHER_INFO,
    SCENARIO,
    "       CPU0",
    "       ----",
    `  ${draw(cpu, verb_of(cpu, held), cpu.mem.read(held + HELD_CLASS))}`,
    `  ${draw(cpu, verb_of(cpu, wanted), cpu.mem.read(wanted + HELD_CLASS))}`,
    DEADLOCK,
    " May be due to missing lock nesting notation",
  ]);
}

/** print_lock_nested_lock_not_held() */
export function report_nest_not_held(cpu: Cpu, next: number, nest_class: number): void {
  const wanted = held_at(cpu, next);
  report(cpu, "WARNING: Nested lock was not taken", [
    `${task_label(cpu, cpu.id)} is trying to lock:`,
    describe_held(cpu, wanted, held_site(cpu, next)),
    "but this task is not holding:",
    class_name(cpu, nest_class),
    OTHER_INFO,
  ]);
}

/** print_unlock_imbalance_bug() */
export function report_bad_unlock(cpu: Cpu, class_id: number, site: number): void {
  report(cpu, "WARNING: bad unlock balance detected!", [
    `${task_label(cpu, cpu.id)} is trying to release lock (${class_name(cpu, class_id)}) at:`,
    site_text(cpu, site),
    // Linux says so whatever else is held; what is comes below.
    "but there are no more locks to release!",
    OTHER_INFO,
  ]);
}

/** print_freed_lock_bug() */
export function report_held_freed(cpu: Cpu, i: number, from: number, to: number): void {
  const range = `${hex(from)}-${hex(to - 1)}`;
  report(cpu, "WARNING: held lock freed!", [
    `${task_label(cpu, cpu.id)} is freeing memory ${range}, with a lock still held there!`,
    describe_held(cpu, held_at(cpu, i), held_site(cpu, i)),
  ]);
}

/** lockdep_rcu_suspicious() */
export function report_rcu(cpu: Cpu, text: string, site: number): void {
  report(cpu, `WARNING: suspicious RCU usage: ${text}`, [
    `${site_text(cpu, site)} ${text}`,
    OTHER_INFO,
    `RCU read-side nesting ${cpu.rcu_nesting}, preempt_count 0x${cpu.preempt_count.toString(16)}`,
  ]);
}

/** print_usage_bug(): a lock that interrupts take, taken where one may come. Bits are numbers + 1. */
export function report_usage(cpu: Cpu, next: number, bit: number, other: number): void {
  const entry = held_at(cpu, next);
  const class_id = cpu.mem.read(entry + HELD_CLASS);
  const name = draw(cpu, "lock", class_id);
  report(cpu, "WARNING: inconsistent lock state", [
    `inconsistent {${usage_name(other - 1)}} -> {${usage_name(bit - 1)}} usage.`,
    `${task_label(cpu, cpu.id)} takes:`,
    describe_held(cpu, entry, held_site(cpu, next)),
    `{${usage_name(other - 1)}} state was registered at:`,
    `  ${site_text(cpu, usage_site(cpu, class_id, other - 1))}`,
    OTHER_INFO,
    SCENARIO,
    "       CPU0",
    "       ----",
    `  ${name}`,
    "  <Interrupt>",
    `    ${name}`,
    DEADLOCK,
  ]);
}

/** lockdep_sys_exit(): a task goes and takes locks along. */
export function report_still_held(cpu: Cpu): void {
  report(cpu, "WARNING: lock held when returning to user space!", [
    `${task_label(cpu, cpu.id)} is leaving the kernel with locks still held!`,
  ]);
}
