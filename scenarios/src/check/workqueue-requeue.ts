/**
 * A work that queues itself again while others queue, flush and cancel it.
 *
 * The rules: each successful queueing runs once or is taken back by a cancel; an item never runs twice at the same
 * time; when cancel_work_sync returns, the function does not run, and a function that tried to queue itself meanwhile
 * did not succeed. So the owner may free what the function uses.
 */
import { kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  cancel_work,
  cancel_work_sync,
  disable_work_sync,
  flush_work,
  INIT_WORK,
  queue_work,
  system_wq,
  WORK_STRUCT_SIZE,
} from "@ringside/core/sched/workqueue";
import { claim } from "./claim.ts";
import type { KernelScenario } from "./scenario.ts";

const WORK = kernel_static("check_work", WORK_STRUCT_SIZE);
const BOOKS = kernel_static("check_work_books", 32);
/** Successful queueings; those that were taken back; runs; runs at this moment. */
const QUEUED = BOOKS;
const TAKEN_BACK = BOOKS + 4;
const RAN = BOOKS + 8;
const RUNNING = BOOKS + 12;
/** How often the function queues itself again. */
const AGAIN = BOOKS + 16;
/** What the function works on: the owner frees it. */
const DATA = BOOKS + 20;

function run(cpu: Cpu, work: number): void {
  claim(cpu.mem.fetchAdd(RUNNING, 1) === 0, "the work runs twice at the same time");
  const data = cpu.mem.readOnce(DATA);
  cpu.mem.writeOnce(data, cpu.mem.readOnce(data) + 1);
  if (cpu.mem.fetchSub(AGAIN, 1) > 0) queue(cpu, work);
  cpu.mem.fetchAdd(RAN, 1);
  cpu.mem.fetchSub(RUNNING, 1);
}
const RUN = kernel_symbol(run);

/** True when this call queued it. */
function queue(cpu: Cpu, work: number): boolean {
  const queued = queue_work(cpu, system_wq(cpu), work);
  if (queued) cpu.mem.fetchAdd(QUEUED, 1);
  return queued;
}

function setup(cpu: Cpu): void {
  INIT_WORK(cpu, WORK, RUN);
  cpu.mem.write(AGAIN, 1);
  cpu.mem.write(DATA, kmalloc(cpu, 32, GFP_KERNEL));
}

function free_data(cpu: Cpu): void {
  kfree(cpu, cpu.mem.readOnce(DATA));
}

/** Nobody else queues it: after the cancel the data may go. */
function owner(cpu: Cpu): void {
  queue(cpu, WORK);
  if (cancel_work_sync(cpu, WORK)) cpu.mem.fetchAdd(TAKEN_BACK, 1);
  free_data(cpu);
}

/** Others may queue it still: it has to be disabled. */
function strict_owner(cpu: Cpu): void {
  queue(cpu, WORK);
  if (disable_work_sync(cpu, WORK)) cpu.mem.fetchAdd(TAKEN_BACK, 1);
  free_data(cpu);
}

function queuer(cpu: Cpu): void {
  queue(cpu, WORK);
}

function flusher(cpu: Cpu): void {
  const queued = queue(cpu, WORK);
  flush_work(cpu, WORK);
  // Of what somebody else is about to queue it knows nothing.
  claim(!queued || cpu.mem.loadAcquire(RAN) > 0, "flush_work came back before the run");
}

/** Takes it back, then waits for the run that is under way: it may have queued itself in between. */
function careless_owner(cpu: Cpu): void {
  queue(cpu, WORK);
  if (cancel_work(cpu, WORK)) cpu.mem.fetchAdd(TAKEN_BACK, 1);
  flush_work(cpu, WORK);
  free_data(cpu);
}

function lastly(cpu: Cpu): void {
  while (flush_work(cpu, WORK));
  const queued = cpu.mem.loadAcquire(QUEUED);
  const ran = cpu.mem.loadAcquire(RAN);
  const taken_back = cpu.mem.loadAcquire(TAKEN_BACK);
  claim(queued === ran + taken_back, `queued ${queued} times, ran ${ran}, taken back ${taken_back}`);
}

function freeing_lastly(cpu: Cpu): void {
  lastly(cpu);
  free_data(cpu);
}

export const workqueue_requeue: KernelScenario = {
  kind: "kernel",
  name: "workqueue-requeue",
  summary: "a work queues itself again while others queue, flush and cancel it",
  setup,
  focus: ["packages/core/src/sched/wq-", "scenarios/src/check"],
  forms: {
    correct: {
      summary: "one queues and cancels, then frees what the function uses; another queues, as long as it may",
      expect: "clean",
      threads: { owner: strict_owner, queuer },
      lastly,
    },
    "correct-cancel": {
      summary: "one queues, cancels and frees; the function queues itself again",
      expect: "clean",
      threads: { owner },
      lastly,
    },
    "correct-flush": {
      summary: "two queue it on two CPUs, and wait",
      expect: "clean",
      threads: { flusher, other: flusher },
      lastly: freeing_lastly,
    },
    "cancel-then-flush": {
      summary: "cancel without disabling, then flush: the function queues itself between the two",
      expect: "use-after-free",
      threads: { owner: careless_owner },
      lastly,
    },
    "cancel-not-disable": {
      summary: "cancel_work_sync while another may still queue the item: it runs on what was freed",
      expect: "use-after-free",
      threads: { owner, queuer },
      lastly,
    },
    "cancel-does-not-wait": {
      summary: "cancel_work_sync comes back while the function runs",
      expect: "use-after-free",
      mutant: "wq-cancel-sync-does-not-wait",
      threads: { owner },
      lastly,
    },
    reentrant: {
      summary: "an item that is queued on another CPU while it runs is given to another worker",
      expect: "assertion or data-race",
      mutant: "wq-reentrant",
      threads: { flusher, other: flusher },
      lastly: freeing_lastly,
    },
    "pending-cleared-late": {
      summary: "PENDING is cleared after the function: what it queues meanwhile is lost",
      expect: "deadlock or lost-wakeup",
      mutant: "wq-pending-cleared-late",
      threads: { flusher, other: flusher },
      lastly: freeing_lastly,
    },
    "pending-ignored": {
      summary: "queue_work queues an item that is queued already: its list entry is on two lists",
      expect: "out-of-bounds or warning or data-race or livelock",
      mutant: "wq-pending-ignored",
      threads: { flusher, other: flusher },
      lastly: freeing_lastly,
    },
    "list-next-plain": {
      summary:
        "entries are unlinked by plain stores, while a worker looks from outside whether there is work",
      expect: "data-race",
      mutant: "list-next-plain",
      threads: { owner: strict_owner, queuer },
      lastly,
    },
    "work-data-plain": {
      summary: "the word of a work item is read by a plain load, before the lock of its pool is known",
      expect: "data-race",
      mutant: "work-data-plain",
      threads: { owner: strict_owner, queuer },
      lastly,
    },
  },
};
