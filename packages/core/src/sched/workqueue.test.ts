import { beforeEach, expect, test } from "vitest";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import { boot_solo, dmesg, SoloPlatform } from "../testing/solo.ts";
import { msleep } from "./delay.ts";
import { type Cpu, stack_push } from "./cpu.ts";
import {
  alloc_ordered_workqueue,
  alloc_workqueue,
  cancel_delayed_work_sync,
  cancel_work,
  cancel_work_sync,
  DELAYED_WORK_SIZE,
  destroy_workqueue,
  disable_work,
  drain_workqueue,
  enable_work,
  flush_delayed_work,
  flush_rcu_work,
  flush_work,
  flush_workqueue,
  INIT_DELAYED_WORK,
  INIT_RCU_WORK,
  INIT_WORK,
  mod_delayed_work,
  queue_delayed_work,
  queue_rcu_work,
  queue_work,
  RCU_WORK_SIZE,
  system_highpri_wq,
  system_unbound_wq,
  system_wq,
  WORK_STRUCT_SIZE,
  work_busy,
  work_pending,
  workqueue_executed,
  workqueue_queued,
  workqueue_run_one,
  WQ_CPU_INTENSIVE,
  WQ_FREEZABLE,
  WQ_HIGHPRI,
  WQ_MEM_RECLAIM,
  WQ_UNBOUND,
  type WorkqueuePtr,
} from "./workqueue.ts";

/** Works on these items record here, in the order they run. */
let log: number[] = [];
const NOTE = kernel_symbol(note);
const REQUEUE_ONCE = kernel_symbol(requeue_once);
const FREE_ITSELF = kernel_symbol(free_itself);
const REINIT = kernel_symbol(reinit);
const FLUSH_OTHER = kernel_symbol(flush_other);
const LEAK = kernel_symbol(leak);
const QUEUE_OTHER = kernel_symbol(queue_other);
const SLEEP = kernel_symbol(sleep);
/** Words the works use: other item, its queue, depth of running instances and its peak. */
const OTHER = kernel_static("test_other", 4);
const QUEUE = kernel_static("test_queue", 4);

function note(_cpu: Cpu, work: number): void {
  log.push(work);
}
function requeue_once(cpu: Cpu, work: number): void {
  log.push(work);
  if (log.length === 1) {
    expect(queue_work(cpu, system_wq(cpu), work), "PENDING was cleared before the call").toBe(true);
    expect(queue_work(cpu, system_wq(cpu), work), "now it is pending").toBe(false);
    // Idling here must not run it on top of itself.
    msleep(cpu, 5);
    expect(log).toHaveLength(1);
  }
}
function free_itself(cpu: Cpu, work: number): void {
  log.push(work);
  kfree(cpu, work);
}
function reinit(cpu: Cpu, work: number): void {
  log.push(work);
  INIT_WORK(cpu, work, NOTE);
  queue_work(cpu, system_wq(cpu), work);
}
function flush_other(cpu: Cpu, work: number): void {
  log.push(work);
  flush_work(cpu, cpu.mem.read(OTHER));
  log.push(-work);
}
function queue_other(cpu: Cpu, work: number): void {
  log.push(work);
  queue_work(cpu, cpu.mem.read(QUEUE) as WorkqueuePtr, cpu.mem.read(OTHER));
}
function leak(cpu: Cpu): void {
  cpu.preempt_count++;
}
function sleep(cpu: Cpu, work: number): void {
  log.push(work);
  msleep(cpu, 10);
  log.push(-work);
}

function run_all(cpu: Cpu): void {
  while (workqueue_run_one(cpu));
}

function new_work(cpu: Cpu, fn: number): number {
  const work = stack_push(cpu, WORK_STRUCT_SIZE);
  INIT_WORK(cpu, work, fn);
  return work;
}

let cpu: Cpu;
beforeEach(() => {
  log = [];
  cpu = boot_solo();
});

test("queue_work is true iff it made the item pending; one run per true", () => {
  const work = new_work(cpu, NOTE);
  expect(queue_work(cpu, system_wq(cpu), work)).toBe(true);
  expect(work_pending(cpu, work)).toBe(true);
  expect(queue_work(cpu, system_wq(cpu), work)).toBe(false);
  run_all(cpu);
  expect(log).toEqual([work]);
  expect(work_pending(cpu, work)).toBe(false);
  expect(work_busy(cpu, work)).toBe(0);
  expect(queue_work(cpu, system_wq(cpu), work)).toBe(true);
  run_all(cpu);
  expect(log).toEqual([work, work]);
  expect([workqueue_queued(cpu), workqueue_executed(cpu)]).toEqual([2, 2]);
});

test("an item queued from its own function runs once more, never inside itself", () => {
  const work = new_work(cpu, REQUEUE_ONCE);
  queue_work(cpu, system_wq(cpu), work);
  run_all(cpu);
  expect(log).toEqual([work, work]);
});

test("the function may free its item", () => {
  const kasan = boot_solo({ kasan: true });
  const work = kmalloc(kasan, WORK_STRUCT_SIZE, GFP_KERNEL);
  INIT_WORK(kasan, work, FREE_ITSELF);
  queue_work(kasan, system_wq(kasan), work);
  run_all(kasan);
  expect(log).toEqual([work]);
  expect(dmesg(kasan)).toEqual([]);
});

test("INIT_WORK with another function on the executing item is tolerated", () => {
  const work = new_work(cpu, REINIT);
  queue_work(cpu, system_wq(cpu), work);
  run_all(cpu);
  expect(log).toEqual([work, work]);
  expect(dmesg(cpu)).toEqual([]);
});

test("works run in the order they were queued, on every kind of queue", () => {
  for (const wq of [system_wq(cpu), system_highpri_wq(cpu), system_unbound_wq(cpu)]) {
    const works = [1, 2, 3, 4].map(() => new_work(cpu, NOTE));
    log = [];
    for (const work of works) queue_work(cpu, wq, work);
    flush_workqueue(cpu, wq);
    expect(log).toEqual(works);
  }
});

test("every combination of flags makes a queue that runs a work and can be destroyed", () => {
  const flags = [WQ_UNBOUND, WQ_HIGHPRI, WQ_CPU_INTENSIVE, WQ_MEM_RECLAIM, WQ_FREEZABLE];
  for (let bits = 0; bits < 1 << flags.length; bits++) {
    const chosen = flags.filter((_, i) => (bits & (1 << i)) !== 0).reduce((a, b) => a | b, 0);
    const wq = alloc_workqueue(cpu, "matrix", chosen, 0);
    const work = new_work(cpu, NOTE);
    log = [];
    expect(queue_work(cpu, wq, work)).toBe(true);
    destroy_workqueue(cpu, wq);
    expect(log).toEqual([work]);
  }
  expect(dmesg(cpu)).toEqual([]);
});

test("a work of the same queue runs while another sleeps, up to max_active", () => {
  for (const [max_active, peak] of [
    [1, 1],
    [2, 2],
    [4, 4],
  ] as const) {
    const wq = alloc_workqueue(cpu, "limited", 0, max_active);
    log = [];
    for (let i = 0; i < 6; i++) queue_work(cpu, wq, new_work(cpu, SLEEP));
    flush_workqueue(cpu, wq);
    let running = 0;
    let most = 0;
    for (const entry of log) {
      running += Math.sign(entry);
      most = Math.max(most, running);
    }
    expect(log).toHaveLength(12);
    expect(most, `max_active ${max_active}`).toBe(peak);
    destroy_workqueue(cpu, wq);
  }
});

test("an ordered queue runs one work at a time, first in first out", () => {
  const wq = alloc_ordered_workqueue(cpu, "ordered", 0);
  const works = [1, 2, 3].map(() => new_work(cpu, SLEEP));
  for (const work of works) queue_work(cpu, wq, work);
  flush_workqueue(cpu, wq);
  expect(log).toEqual(works.flatMap((work) => [work, -work]));
  destroy_workqueue(cpu, wq);
});

test("flush_work waits for a pending item and says so; an idle item is false at once", () => {
  const work = new_work(cpu, NOTE);
  expect(flush_work(cpu, work), "never queued").toBe(false);
  queue_work(cpu, system_wq(cpu), work);
  expect(flush_work(cpu, work)).toBe(true);
  expect(log).toEqual([work]);
  expect(flush_work(cpu, work), "finished").toBe(false);
});

test("flush_work on an item without function warns", () => {
  const work = stack_push(cpu, WORK_STRUCT_SIZE);
  expect(flush_work(cpu, work)).toBe(false);
  expect(dmesg(cpu)).toHaveLength(1);
});

test("flush_work of an inactive item waits for it, and works behind it wait their turn", () => {
  const wq = alloc_ordered_workqueue(cpu, "ordered", 0);
  const works = [1, 2, 3].map(() => new_work(cpu, NOTE));
  for (const work of works) queue_work(cpu, wq, work);
  expect(flush_work(cpu, works[1] as number)).toBe(true);
  expect(log.slice(0, 2)).toEqual(works.slice(0, 2));
  destroy_workqueue(cpu, wq);
  expect(log).toEqual(works);
});

test("a work may flush another work of its own queue", () => {
  const other = new_work(cpu, NOTE);
  const first = new_work(cpu, FLUSH_OTHER);
  cpu.mem.write(OTHER, other);
  queue_work(cpu, system_wq(cpu), first);
  queue_work(cpu, system_wq(cpu), other);
  flush_work(cpu, first);
  expect(log).toEqual([first, other, -first]);
});

test("cancel_work_sync is true iff the item was pending", () => {
  const work = new_work(cpu, NOTE);
  expect(cancel_work_sync(cpu, work), "idle").toBe(false);
  queue_work(cpu, system_wq(cpu), work);
  expect(cancel_work_sync(cpu, work), "pending").toBe(true);
  run_all(cpu);
  expect(log, "a cancelled item does not run").toEqual([]);
  expect(queue_work(cpu, system_wq(cpu), work), "it may be queued again").toBe(true);
  expect(cancel_work(cpu, work)).toBe(true);
  expect(cancel_work(cpu, work)).toBe(false);
});

test("cancelling an active item lets the next inactive one in", () => {
  const wq = alloc_ordered_workqueue(cpu, "ordered", 0);
  const works = [1, 2, 3].map(() => new_work(cpu, NOTE)) as [number, number, number];
  for (const work of works) queue_work(cpu, wq, work);
  expect(cancel_work(cpu, works[0])).toBe(true);
  expect(cancel_work(cpu, works[2]), "inactive").toBe(true);
  destroy_workqueue(cpu, wq);
  expect(log).toEqual([works[1]]);
});

test("a disabled work cannot be queued until it was enabled as often", () => {
  const work = new_work(cpu, NOTE);
  queue_work(cpu, system_wq(cpu), work);
  expect(disable_work(cpu, work)).toBe(true);
  expect(disable_work(cpu, work)).toBe(false);
  expect(queue_work(cpu, system_wq(cpu), work)).toBe(false);
  expect(enable_work(cpu, work)).toBe(false);
  expect(queue_work(cpu, system_wq(cpu), work)).toBe(false);
  expect(enable_work(cpu, work)).toBe(true);
  expect(queue_work(cpu, system_wq(cpu), work)).toBe(true);
  run_all(cpu);
  expect(log).toEqual([work]);
});

test("drain_workqueue waits for works that its works queue", () => {
  const wq = alloc_workqueue(cpu, "chain", 0, 0);
  const other = new_work(cpu, NOTE);
  const first = new_work(cpu, QUEUE_OTHER);
  cpu.mem.write(OTHER, other);
  cpu.mem.write(QUEUE, wq);
  queue_work(cpu, wq, first);
  drain_workqueue(cpu, wq);
  expect(log).toEqual([first, other]);
  destroy_workqueue(cpu, wq);
});

test("queueing to a draining queue from outside warns and drops the item, which stays pending", () => {
  const wq = alloc_workqueue(cpu, "drained", 0, 0);
  const other = new_work(cpu, NOTE);
  cpu.mem.write(OTHER, other);
  cpu.mem.write(QUEUE, wq);
  // A work of another queue runs while the drain waits for this one.
  queue_work(cpu, wq, new_work(cpu, SLEEP));
  queue_work(cpu, system_wq(cpu), new_work(cpu, QUEUE_OTHER));
  drain_workqueue(cpu, wq);
  expect(work_pending(cpu, other)).toBe(true);
  expect(log).not.toContain(other);
  expect(dmesg(cpu).join()).toContain("workqueue: cannot queue note on wq drained");
});

test("a work that returns with a spinlock held is reported", () => {
  queue_work(cpu, system_wq(cpu), new_work(cpu, LEAK));
  workqueue_run_one(cpu);
  expect(dmesg(cpu).join()).toContain("BUG: workqueue leaked atomic, lock or RCU:");
});

test("max_active out of range is clamped, with the kernel's words", () => {
  destroy_workqueue(cpu, alloc_workqueue(cpu, "big", 0, 5000));
  expect(dmesg(cpu)).toEqual([
    "workqueue: max_active 5000 requested for big is out of range, clamping between 1 and 2048",
  ]);
});

test("delayed work: not before its time, cancelled work never, mod and flush at once", () => {
  const platform = new SoloPlatform();
  cpu = boot_solo({ platform });
  const dwork = stack_push(cpu, DELAYED_WORK_SIZE);
  INIT_DELAYED_WORK(cpu, dwork, NOTE);
  expect(queue_delayed_work(cpu, system_wq(cpu), dwork, 20)).toBe(true);
  expect(queue_delayed_work(cpu, system_wq(cpu), dwork, 20)).toBe(false);
  msleep(cpu, 15);
  expect(log, "too early").toEqual([]);
  msleep(cpu, 15);
  expect(log).toEqual([dwork]);
  queue_delayed_work(cpu, system_wq(cpu), dwork, 20);
  expect(cancel_delayed_work_sync(cpu, dwork)).toBe(true);
  expect(cancel_delayed_work_sync(cpu, dwork)).toBe(false);
  msleep(cpu, 30);
  expect(log).toEqual([dwork]);
  expect(mod_delayed_work(cpu, system_wq(cpu), dwork, 1000), "was idle").toBe(false);
  expect(mod_delayed_work(cpu, system_wq(cpu), dwork, 2000), "was pending").toBe(true);
  expect(flush_delayed_work(cpu, dwork)).toBe(true);
  expect(flush_delayed_work(cpu, dwork)).toBe(false);
  expect(log).toEqual([dwork, dwork]);
});

test("rcu_work runs once, after a grace period, and can be queued again", () => {
  const rwork = stack_push(cpu, RCU_WORK_SIZE);
  INIT_RCU_WORK(cpu, rwork, NOTE);
  expect(queue_rcu_work(cpu, system_wq(cpu), rwork)).toBe(true);
  expect(queue_rcu_work(cpu, system_wq(cpu), rwork)).toBe(false);
  run_all(cpu);
  expect(log, "no grace period yet").toEqual([]);
  expect(flush_rcu_work(cpu, rwork)).toBe(true);
  expect(log).toEqual([rwork]);
  expect(flush_rcu_work(cpu, rwork)).toBe(false);
  queue_rcu_work(cpu, system_wq(cpu), rwork);
  flush_rcu_work(cpu, rwork);
  expect(log).toEqual([rwork, rwork]);
});
