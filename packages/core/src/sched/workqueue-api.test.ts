/** Laws of the workqueue that one thread can show: CPUs, limits, what may be asked and what is misuse. */
import { beforeEach, expect, test } from "vitest";
import { dmesg_read } from "../debug/dmesg.ts";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { mutex_init, mutex_lock, MUTEX_SIZE, mutex_unlock } from "../lock/mutex.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { msleep } from "./delay.ts";
import { type Cpu, stack_push } from "./cpu.ts";
import {
  alloc_ordered_workqueue,
  alloc_workqueue,
  cancel_delayed_work,
  cancel_delayed_work_sync,
  cancel_work,
  cancel_work_sync,
  current_work,
  DELAYED_WORK_SIZE,
  delayed_work_pending,
  destroy_workqueue,
  disable_delayed_work,
  disable_work,
  disable_work_sync,
  drain_workqueue,
  enable_and_queue_work,
  enable_delayed_work,
  enable_work,
  flush_delayed_work,
  flush_work,
  flush_workqueue,
  INIT_DELAYED_WORK,
  INIT_RCU_WORK,
  INIT_WORK,
  mod_delayed_work,
  mod_delayed_work_on,
  queue_delayed_work,
  queue_delayed_work_on,
  queue_rcu_work,
  queue_work,
  queue_work_on,
  raw_smp_processor_id,
  RCU_WORK_SIZE,
  schedule_delayed_work,
  schedule_work,
  schedule_work_on,
  system_dfl_wq,
  system_highpri_wq,
  system_long_wq,
  system_percpu_wq,
  system_unbound_wq,
  system_wq,
  WORK_BUSY_PENDING,
  WORK_BUSY_RUNNING,
  WORK_CPU_UNBOUND,
  WORK_STRUCT_SIZE,
  work_busy,
  work_pending,
  workqueue_congested,
  workqueue_run_one,
  workqueue_set_max_active,
  WQ_MEM_RECLAIM,
  WQ_PERCPU,
  WQ_UNBOUND,
  type WorkqueuePtr,
} from "./workqueue.ts";

let log: number[] = [];
/** Words the works use. */
const OTHER = kernel_static("api_test_other", 4);
const QUEUE = kernel_static("api_test_queue", 4);

const NOTE = kernel_symbol(note);
const NOTE_CPU = kernel_symbol(note_cpu);
const LOOK = kernel_symbol(look);
const FLUSH_SELF = kernel_symbol(flush_self);
const CANCEL_SELF = kernel_symbol(cancel_self);
const FLUSH_OWN_QUEUE = kernel_symbol(flush_own_queue);
const DESTROY_OWN_QUEUE = kernel_symbol(destroy_own_queue);
const FLUSH_OTHER = kernel_symbol(flush_other);
const FLUSH_QUEUE = kernel_symbol(flush_queue);
const SLEEP = kernel_symbol(sleep);
const MAYBE_LOCK = kernel_symbol(maybe_lock);

function note(_cpu: Cpu, work: number): void {
  log.push(work);
}
function note_cpu(cpu: Cpu): void {
  log.push(raw_smp_processor_id(cpu));
}
function look(cpu: Cpu, work: number): void {
  log.push(work_busy(cpu, work), current_work(cpu) === work ? 1 : 0);
  queue_work(cpu, system_wq(cpu), work);
  log.push(work_busy(cpu, work));
  cancel_work(cpu, work);
}
function flush_self(cpu: Cpu, work: number): void {
  log.push(flush_work(cpu, work) ? 1 : 0);
}
function cancel_self(cpu: Cpu, work: number): void {
  queue_work(cpu, system_wq(cpu), work);
  log.push(cancel_work_sync(cpu, work) ? 1 : 0);
  log.push(queue_work(cpu, system_wq(cpu), work) && cancel_work(cpu, work) ? 1 : 0);
}
function flush_own_queue(cpu: Cpu): void {
  flush_workqueue(cpu, cpu.mem.read(QUEUE) as WorkqueuePtr);
  drain_workqueue(cpu, cpu.mem.read(QUEUE) as WorkqueuePtr);
  log.push(1);
}
function destroy_own_queue(cpu: Cpu): void {
  destroy_workqueue(cpu, cpu.mem.read(QUEUE) as WorkqueuePtr);
  log.push(1);
}
function flush_other(cpu: Cpu): void {
  log.push(flush_work(cpu, cpu.mem.read(OTHER)) ? 1 : 0);
}
function flush_queue(cpu: Cpu): void {
  flush_workqueue(cpu, cpu.mem.read(QUEUE) as WorkqueuePtr);
}
function sleep(cpu: Cpu, work: number): void {
  log.push(work);
  msleep(cpu, 10);
  log.push(-work);
}

function maybe_lock(cpu: Cpu): void {
  const lock = cpu.mem.read(OTHER);
  if (lock === 0) return;
  mutex_lock(cpu, lock);
  mutex_unlock(cpu, lock);
}

function run_all(cpu: Cpu): void {
  while (workqueue_run_one(cpu));
}

function new_work(cpu: Cpu, fn: number): number {
  const work = stack_push(cpu, WORK_STRUCT_SIZE);
  INIT_WORK(cpu, work, fn);
  return work;
}

function new_delayed(cpu: Cpu, fn: number): number {
  const dwork = stack_push(cpu, DELAYED_WORK_SIZE);
  INIT_DELAYED_WORK(cpu, dwork, fn);
  return dwork;
}

/** Warnings since the last look, without the place they come from. */
function warnings(cpu: Cpu): string[] {
  return dmesg(cpu).map((text) => text.replace(/^WARNING: CPU: \d+ at \S+ \S+: /, ""));
}

/** With the explanations that follow a report. */
function whole_log(cpu: Cpu): string {
  return dmesg_read(cpu, 0)
    .map((record) => record.text)
    .join("\n");
}

let cpu: Cpu;
beforeEach(() => {
  log = [];
  cpu = boot_solo({ cpus: 3 });
});

test("a work of a bound queue runs on the CPU asked for, and without a wish on this one", () => {
  const wq = alloc_workqueue(cpu, "bound", WQ_PERCPU, 0);
  for (const id of [2, 0, 1, WORK_CPU_UNBOUND]) {
    expect(queue_work_on(cpu, id, wq, new_work(cpu, NOTE_CPU))).toBe(true);
    run_all(cpu);
  }
  expect(queue_delayed_work_on(cpu, 1, wq, new_delayed(cpu, NOTE_CPU), 5)).toBe(true);
  expect(queue_delayed_work(cpu, wq, new_delayed(cpu, NOTE_CPU), 6)).toBe(true);
  expect(mod_delayed_work_on(cpu, 2, wq, new_delayed(cpu, NOTE_CPU), 7)).toBe(false);
  msleep(cpu, 20);
  expect(log).toEqual([2, 0, 1, 0, 1, 0, 2]);
  destroy_workqueue(cpu, wq);
  expect(dmesg(cpu)).toEqual([]);
});

test("a work stays on the CPU of the pool it is queued from", () => {
  const child = new_work(cpu, NOTE_CPU);
  cpu.mem.write(OTHER, child);
  const parent = new_work(
    cpu,
    kernel_symbol(function queue_other(c: Cpu): void {
      queue_work(c, system_percpu_wq(c), c.mem.read(OTHER));
    }),
  );
  schedule_work_on(cpu, 2, parent);
  run_all(cpu);
  expect(log).toEqual([2]);
});

test("a CPU number there is none of warns", () => {
  queue_work_on(cpu, 7, system_wq(cpu), new_work(cpu, NOTE_CPU));
  run_all(cpu);
  expect(log).toEqual([0]);
  expect(dmesg(cpu)).toHaveLength(1);
});

test("the system queues: new names and old ones, and schedule_work", () => {
  expect(system_percpu_wq(cpu)).toBe(system_wq(cpu));
  expect(system_dfl_wq(cpu)).toBe(system_unbound_wq(cpu));
  const all = [system_percpu_wq(cpu), system_dfl_wq(cpu), system_long_wq(cpu), system_highpri_wq(cpu)];
  expect(new Set(all).size).toBe(4);
  const work = new_work(cpu, NOTE);
  expect(schedule_work(cpu, work)).toBe(true);
  expect(schedule_work(cpu, work)).toBe(false);
  run_all(cpu);
  const dwork = new_delayed(cpu, NOTE);
  expect(schedule_delayed_work(cpu, dwork, 3)).toBe(true);
  msleep(cpu, 10);
  expect(log).toEqual([work, dwork]);
});

test("work_busy tells pending from running, current_work what runs", () => {
  const work = new_work(cpu, LOOK);
  expect(work_busy(cpu, work)).toBe(0);
  queue_work(cpu, system_wq(cpu), work);
  expect(work_busy(cpu, work)).toBe(WORK_BUSY_PENDING);
  run_all(cpu);
  expect(log).toEqual([WORK_BUSY_RUNNING, 1, WORK_BUSY_PENDING | WORK_BUSY_RUNNING]);
  expect([work_busy(cpu, work), current_work(cpu)]).toEqual([0, 0]);
});

test("max_active counts per CPU on a bound queue, in all on an unbound one", () => {
  for (const [flags, peak] of [
    [WQ_PERCPU, 3],
    [WQ_UNBOUND, 1],
  ] as const) {
    log = [];
    const wq = alloc_workqueue(cpu, "one", flags, 1);
    for (let i = 0; i < 6; i++) queue_work_on(cpu, i % 3, wq, new_work(cpu, SLEEP));
    expect(workqueue_congested(cpu, 1, wq)).toBe(true);
    flush_workqueue(cpu, wq);
    expect(workqueue_congested(cpu, WORK_CPU_UNBOUND, wq)).toBe(false);
    let running = 0;
    let most = 0;
    for (const entry of log) most = Math.max(most, (running += Math.sign(entry)));
    expect([log.length, most]).toEqual([12, peak]);
    destroy_workqueue(cpu, wq);
  }
});

test("a higher max_active lets waiting works in at once, a lower one lets none in until it is met", () => {
  const wq = alloc_workqueue(cpu, "changing", WQ_UNBOUND, 1);
  const works = [1, 2, 3, 4].map(() => new_work(cpu, NOTE));
  for (const work of works) queue_work(cpu, wq, work);
  workqueue_set_max_active(cpu, wq, 3);
  expect(workqueue_congested(cpu, 0, wq)).toBe(true);
  workqueue_set_max_active(cpu, wq, 1);
  const late = new_work(cpu, NOTE);
  queue_work(cpu, wq, late);
  destroy_workqueue(cpu, wq);
  expect(log, "still in order").toEqual([...works, late]);
  expect(dmesg(cpu)).toEqual([]);
});

test("an ordered queue keeps its max_active: changing it warns", () => {
  const wq = alloc_ordered_workqueue(cpu, "ordered", 0);
  workqueue_set_max_active(cpu, wq, 4);
  expect(dmesg(cpu)).toHaveLength(1);
  for (let i = 0; i < 3; i++) queue_work(cpu, wq, new_work(cpu, SLEEP));
  destroy_workqueue(cpu, wq);
  expect(log.map(Math.sign)).toEqual([1, -1, 1, -1, 1, -1]);
});

/** To wait for what one is inside of is to take its lockdep map again. */
const LOCKDEP = "WARNING: possible recursive locking detected";

test("a work that flushes or cancels itself is told so and does not wait", () => {
  queue_work(cpu, system_wq(cpu), new_work(cpu, FLUSH_SELF));
  run_all(cpu);
  expect(log, "flush_work is false").toEqual([0]);
  const own = new_work(cpu, CANCEL_SELF);
  queue_work(cpu, system_wq(cpu), own);
  run_all(cpu);
  expect(log, "the queued instance was cancelled, and queueing is possible again").toEqual([0, 1, 1]);
  expect(warnings(cpu)).toEqual([
    LOCKDEP,
    "workqueue: flush_self waits for its own work, which would never end",
    LOCKDEP,
    "workqueue: cancel_self waits for its own work, which would never end",
  ]);
});

test("with the lock validator on, both kinds of waiting for oneself are recursion", () => {
  for (const fn of [FLUSH_SELF, FLUSH_OWN_QUEUE]) {
    // It reports one problem in the life of a machine.
    const checked = boot_solo({ lockdep: true });
    const wq = alloc_workqueue(checked, "own", 0, 0);
    checked.mem.write(QUEUE, wq);
    queue_work(checked, wq, new_work(checked, fn));
    run_all(checked);
    const text = whole_log(checked);
    expect(text).toContain("WARNING: possible recursive locking detected");
    expect(text).toContain(fn === FLUSH_SELF ? "(work_completion)flush_self" : "(wq_completion)own");
    expect(text).toContain("which would never end");
  }
});

test("holding a lock while waiting for a work that takes it is a cycle, even if this time it did not", () => {
  for (const [wait, name] of [
    [flush_work, "(work_completion)maybe_lock"],
    [(c: Cpu): void => flush_workqueue(c, c.mem.read(QUEUE) as WorkqueuePtr), "(wq_completion)locking"],
  ] as const) {
    const checked = boot_solo({ lockdep: true });
    const wq = alloc_workqueue(checked, "locking", 0, 0);
    const lock = stack_push(checked, MUTEX_SIZE);
    const work = new_work(checked, MAYBE_LOCK);
    checked.mem.write(QUEUE, wq);
    mutex_init(checked, lock, "api_test_lock");
    checked.mem.write(OTHER, lock);
    queue_work(checked, wq, work);
    run_all(checked);
    expect(dmesg(checked)).toEqual([]);
    checked.mem.write(OTHER, 0);
    mutex_lock(checked, lock);
    queue_work(checked, wq, work);
    wait(checked, work);
    mutex_unlock(checked, lock);
    const text = whole_log(checked);
    expect(text).toContain("WARNING: possible circular locking dependency detected");
    expect(text).toContain(name);
  }
});

test("a work that waits for its own queue is told so and does not wait; destroying it leaves it", () => {
  const wq = alloc_workqueue(cpu, "own", WQ_MEM_RECLAIM, 0);
  cpu.mem.write(QUEUE, wq);
  queue_work(cpu, wq, new_work(cpu, FLUSH_OWN_QUEUE));
  run_all(cpu);
  queue_work(cpu, wq, new_work(cpu, DESTROY_OWN_QUEUE));
  run_all(cpu);
  expect(log).toEqual([1, 1]);
  const waits = "workqueue: a work of own waits for its own queue, which would never end";
  const busy = "destroy_workqueue: own has the following busy pwq";
  expect(warnings(cpu)).toEqual([LOCKDEP, waits, waits, waits, busy]);
  destroy_workqueue(cpu, wq);
});

test("a work that flushes the one behind it, where only one may run, is told so", () => {
  const wq = alloc_ordered_workqueue(cpu, "ordered", 0);
  const behind = new_work(cpu, NOTE);
  cpu.mem.write(OTHER, behind);
  queue_work(cpu, wq, new_work(cpu, FLUSH_OTHER));
  queue_work(cpu, wq, behind);
  run_all(cpu);
  expect(log).toEqual([0, behind]);
  expect(warnings(cpu)).toEqual([
    "workqueue: flush of note by the work before it on ordered would never end",
    LOCKDEP,
  ]);
  destroy_workqueue(cpu, wq);
});

test("a queue that guarantees progress may not wait for one that does not", () => {
  const reclaim = alloc_workqueue(cpu, "reclaim", WQ_MEM_RECLAIM, 0);
  const target = new_work(cpu, NOTE);
  cpu.mem.write(OTHER, target);
  cpu.mem.write(QUEUE, system_wq(cpu));
  queue_work(cpu, reclaim, new_work(cpu, FLUSH_OTHER));
  queue_work_on(cpu, 2, system_wq(cpu), target);
  flush_workqueue(cpu, reclaim);
  queue_work(cpu, reclaim, new_work(cpu, FLUSH_QUEUE));
  flush_workqueue(cpu, reclaim);
  expect(warnings(cpu), "once, as WARN_ONCE has it").toEqual([
    "workqueue: WQ_MEM_RECLAIM reclaim:flush_other is flushing !WQ_MEM_RECLAIM events:note",
  ]);
  destroy_workqueue(cpu, reclaim);
});

test("cancelling is no flush in this sense, and a plain queue may wait for a reclaiming one", () => {
  const reclaim = alloc_workqueue(cpu, "reclaim", WQ_MEM_RECLAIM, 0);
  const target = new_work(cpu, NOTE);
  cpu.mem.write(OTHER, target);
  cpu.mem.write(QUEUE, reclaim);
  queue_work(cpu, reclaim, target);
  queue_work(cpu, system_wq(cpu), new_work(cpu, FLUSH_OTHER));
  queue_work(cpu, system_wq(cpu), new_work(cpu, FLUSH_QUEUE));
  run_all(cpu);
  expect(dmesg(cpu)).toEqual([]);
  destroy_workqueue(cpu, reclaim);
});

test("an item that a draining queue dropped is pending until it is cancelled, and can be queued again", () => {
  const wq = alloc_workqueue(cpu, "drained", 0, 0);
  const dropped = new_work(cpu, NOTE);
  cpu.mem.write(OTHER, dropped);
  cpu.mem.write(QUEUE, wq);
  const queue_late = kernel_symbol(function queue_late(c: Cpu): void {
    log.push(queue_work(c, c.mem.read(QUEUE) as WorkqueuePtr, c.mem.read(OTHER)) ? 1 : 0);
  });
  queue_work(cpu, wq, new_work(cpu, SLEEP));
  queue_work_on(cpu, 1, system_wq(cpu), new_work(cpu, queue_late));
  drain_workqueue(cpu, wq);
  expect(log).toContain(1);
  expect([work_pending(cpu, dropped), flush_work(cpu, dropped)]).toEqual([true, false]);
  expect(queue_work(cpu, system_wq(cpu), dropped)).toBe(false);
  expect(cancel_work_sync(cpu, dropped)).toBe(true);
  expect(cancel_work_sync(cpu, dropped)).toBe(false);
  expect(queue_work(cpu, wq, dropped)).toBe(true);
  destroy_workqueue(cpu, wq);
  expect(log.at(-1)).toBe(dropped);
});

test("disable and enable count, for delayed works too, and may not fall below zero", () => {
  const dwork = new_delayed(cpu, NOTE);
  queue_delayed_work(cpu, system_wq(cpu), dwork, 10);
  expect(delayed_work_pending(cpu, dwork)).toBe(true);
  expect(disable_delayed_work(cpu, dwork)).toBe(true);
  expect(delayed_work_pending(cpu, dwork)).toBe(false);
  expect(queue_delayed_work(cpu, system_wq(cpu), dwork, 10)).toBe(false);
  expect(mod_delayed_work(cpu, system_wq(cpu), dwork, 10), "it is idle, and stays so").toBe(false);
  expect(cancel_delayed_work_sync(cpu, dwork), "cancelling leaves it disabled").toBe(false);
  msleep(cpu, 20);
  expect(log).toEqual([]);
  expect(enable_delayed_work(cpu, dwork)).toBe(true);
  expect(queue_delayed_work(cpu, system_wq(cpu), dwork, 1000)).toBe(true);
  expect(cancel_delayed_work(cpu, dwork)).toBe(true);
  expect(dmesg(cpu)).toEqual([]);
  expect(enable_delayed_work(cpu, dwork)).toBe(true);
  expect(warnings(cpu)).toEqual(["workqueue: work disable count underflowed"]);
});

test("enable_and_queue_work queues when the last disable is undone", () => {
  const work = new_work(cpu, NOTE);
  disable_work(cpu, work);
  disable_work_sync(cpu, work);
  expect(enable_and_queue_work(cpu, system_wq(cpu), work)).toBe(false);
  expect(enable_and_queue_work(cpu, system_wq(cpu), work)).toBe(true);
  run_all(cpu);
  expect(log).toEqual([work]);
  disable_work(cpu, work);
  expect(flush_work(cpu, work), "idle").toBe(false);
  expect(enable_work(cpu, work)).toBe(true);
});

test("flush_delayed_work runs the item at once, on the CPU it was queued for", () => {
  const dwork = new_delayed(cpu, NOTE_CPU);
  queue_delayed_work_on(cpu, 2, system_wq(cpu), dwork, 10_000);
  expect(flush_delayed_work(cpu, dwork)).toBe(true);
  expect(log).toEqual([2]);
  expect(flush_delayed_work(cpu, dwork)).toBe(false);
});

test("an rcu_work that somebody disabled inside warns and is not queued", () => {
  const rwork = stack_push(cpu, RCU_WORK_SIZE);
  INIT_RCU_WORK(cpu, rwork, NOTE);
  disable_work(cpu, rwork);
  expect(queue_rcu_work(cpu, system_wq(cpu), rwork)).toBe(false);
  expect(dmesg(cpu)).toHaveLength(1);
});
