/**
 * Works under random queue, cancel, mod_delayed, disable, flush, drain and set_max_active from all CPUs, against what
 * kernel/workqueue.c promises whatever happens: each successful queueing executes exactly once or is cancelled exactly
 * once; an item never runs twice at once; no more works of a queue run at once than max_active; a disabled item is not
 * queued; an ordered queue runs one at a time.
 *
 * For long runs: `--seconds 600`. An item stays with its queue, as the promise requires.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import { cond_resched } from "@ringside/core/sched/schedule";
import {
  alloc_ordered_workqueue,
  alloc_workqueue,
  cancel_delayed_work,
  cancel_delayed_work_sync,
  cancel_work,
  cancel_work_sync,
  DELAYED_WORK_SIZE,
  destroy_workqueue,
  disable_work,
  disable_work_sync,
  drain_workqueue,
  enable_work,
  flush_delayed_work,
  flush_work,
  flush_workqueue,
  INIT_DELAYED_WORK,
  mod_delayed_work,
  queue_delayed_work,
  queue_delayed_work_on,
  queue_work,
  queue_work_on,
  raw_smp_processor_id,
  work_busy,
  workqueue_set_max_active,
  WQ_CPU_INTENSIVE,
  WQ_HIGHPRI,
  WQ_MEM_RECLAIM,
  WQ_UNBOUND,
  type WorkqueuePtr,
} from "@ringside/core/sched/workqueue";
import { linger } from "@ringside/core/testing/rendezvous";
import type { Checks } from "../checks.ts";
import type { Suite } from "../suite.ts";
import { WQ_PERCPU } from "./workqueue-fixture.ts";

const THREADS = 4;

// Scratch memory: a line a queue, then the words of all.
const WQ = 0;
/** Works of the queue that may run at once; on a bound one, on each CPU. */
const LIMIT = 4;
const OVER_LIMIT = 8;
/** Works that run now: on a bound queue one word a CPU. */
const LIVE = 16;
const QUEUE_SIZE = 128;

// Queues, as in KINDS.
const ORDERED = 7;
/** Its max_active changes all the time. */
const CHANGING = 8;
/** Queued by CPU 0 alone, which drains it. */
const DRAINED = 9;
const NR_QUEUES = 10;

const STOP = NR_QUEUES * QUEUE_SIZE;
const ITEM_TABLE = STOP + 4;
const CHURNED = STOP + 8;
const RAN_CHURNED = STOP + 12;

// An item: a delayed work and its books.
const QUEUED = DELAYED_WORK_SIZE;
const RAN = QUEUED + 4;
const CANCELLED = QUEUED + 8;
const RUNNING = QUEUED + 12;
const OVERLAPS = QUEUED + 16;
const QUEUE = QUEUED + 20;
const SCRATCH = QUEUED + 24;
/** Times an item was queued although a disable was in force. */
const DISABLED_QUEUED = QUEUED + 28;
const ITEM_SIZE = 128;
const ITEMS_PER_QUEUE = 6;
/**
 * The items of a queue from this number on are disabled, also by the sync cancels, and never modified: mod_delayed_work
 * does not queue a disabled item and does not tell.
 */
const DISABLE_FROM = 4;
const NR_ITEMS = NR_QUEUES * ITEMS_PER_QUEUE;
const RUN = kernel_symbol(run_item);
const RUN_CHURNED = kernel_symbol(run_churned);

/** A max_active that changes stays in 1 ... CHANGING_MAX. */
const CHANGING_MAX = 8;
const DFL = 1024;

interface Kind {
  readonly flags: number;
  readonly max_active: number;
}

const KINDS: readonly Kind[] = [
  { flags: WQ_PERCPU, max_active: 0 },
  { flags: WQ_PERCPU, max_active: 1 },
  { flags: WQ_PERCPU | WQ_CPU_INTENSIVE, max_active: 2 },
  { flags: WQ_PERCPU | WQ_MEM_RECLAIM, max_active: 1 },
  { flags: WQ_PERCPU | WQ_HIGHPRI, max_active: 0 },
  { flags: WQ_UNBOUND, max_active: 0 },
  { flags: WQ_UNBOUND | WQ_MEM_RECLAIM, max_active: 2 },
  { flags: WQ_UNBOUND, max_active: 1 },
  { flags: WQ_UNBOUND, max_active: CHANGING_MAX },
  { flags: WQ_UNBOUND, max_active: 3 },
];

function queue_line(scratch: number, queue: number): number {
  return scratch + queue * QUEUE_SIZE;
}

function queue_wq(cpu: Cpu, scratch: number, queue: number): WorkqueuePtr {
  return cpu.mem.read(queue_line(scratch, queue) + WQ) as WorkqueuePtr;
}

function set_up(cpu: Cpu, scratch: number): void {
  for (let q = 0; q < NR_QUEUES; q++) {
    const { flags, max_active } = KINDS[q] as Kind;
    const name = `stress${q}`;
    const wq =
      q === ORDERED ? alloc_ordered_workqueue(cpu, name, 0) : alloc_workqueue(cpu, name, flags, max_active);
    cpu.mem.write(queue_line(scratch, q) + WQ, wq);
    cpu.mem.write(queue_line(scratch, q) + LIMIT, max_active === 0 ? DFL : max_active);
  }
  const items = kzalloc(cpu, NR_ITEMS * ITEM_SIZE, GFP_KERNEL);
  for (let i = 0; i < NR_ITEMS; i++) {
    const work = items + i * ITEM_SIZE;
    INIT_DELAYED_WORK(cpu, work, RUN);
    cpu.mem.write(work + QUEUE, Math.floor(i / ITEMS_PER_QUEUE));
    cpu.mem.write(work + SCRATCH, scratch);
  }
  cpu.mem.write(scratch + ITEM_TABLE, items);
}

function live_word(cpu: Cpu, line: number, queue: number): number {
  const bound = ((KINDS[queue] as Kind).flags & WQ_UNBOUND) === 0;
  return line + LIVE + (bound ? raw_smp_processor_id(cpu) * 4 : 0);
}

function run_item(cpu: Cpu, work: number): void {
  const queue = cpu.mem.read(work + QUEUE);
  const scratch = cpu.mem.read(work + SCRATCH);
  const line = queue_line(scratch, queue);
  const live = live_word(cpu, line, queue);
  if (cpu.mem.fetchAdd(work + RUNNING, 1) !== 0) cpu.mem.fetchAdd(work + OVERLAPS, 1);
  if (cpu.mem.fetchAdd(live, 1) >= cpu.mem.read(line + LIMIT)) cpu.mem.fetchAdd(line + OVER_LIMIT, 1);
  const random = cpu.random32() % 32;
  if (random < 4 && cpu.mem.loadAcquire(scratch + STOP) === 0)
    count_queued(cpu, work, requeue(cpu, work, queue));
  if (random < 6) msleep(cpu, 1);
  else linger(cpu, 200);
  cpu.mem.fetchSub(live, 1);
  cpu.mem.fetchSub(work + RUNNING, 1);
  cpu.mem.fetchAdd(work + RAN, 1);
}

/** From inside: at once, as later would be refused while the queue drains. */
function requeue(cpu: Cpu, work: number, queue: number): boolean {
  return queue_work(cpu, queue_wq(cpu, cpu.mem.read(work + SCRATCH), queue), work);
}

function run_churned(cpu: Cpu, work: number): void {
  cpu.mem.fetchAdd(cpu.mem.read(work + SCRATCH) + RAN_CHURNED, 1);
}

function count_queued(cpu: Cpu, work: number, queued: boolean): void {
  if (queued) cpu.mem.fetchAdd(work + QUEUED, 1);
}

function count_cancelled(cpu: Cpu, work: number, cancelled: boolean): void {
  if (cancelled) cpu.mem.fetchAdd(work + CANCELLED, 1);
}

function queue_somehow(cpu: Cpu, wq: WorkqueuePtr, work: number, modify: boolean): void {
  const random = cpu.random32();
  const delay = (random >>> 8) % 4;
  const id = (random >>> 16) % cpu.config.cpus;
  const way = random % 8;
  if (way < 3) count_queued(cpu, work, queue_work(cpu, wq, work));
  else if (way === 3) count_queued(cpu, work, queue_work_on(cpu, id, wq, work));
  else if (way === 4) count_queued(cpu, work, queue_delayed_work(cpu, wq, work, delay));
  else if (way === 5) count_queued(cpu, work, queue_delayed_work_on(cpu, id, wq, work, delay));
  // A pending item is moved: still one queueing. An idle one is queued, unless it may be disabled.
  else if (modify) count_queued(cpu, work, !mod_delayed_work(cpu, wq, work, delay));
}

function cancel_somehow(cpu: Cpu, work: number, may_disable: boolean): void {
  const way = cpu.random32() % (may_disable ? 6 : 2);
  if (way === 0) count_cancelled(cpu, work, cancel_work(cpu, work));
  else if (way === 1) count_cancelled(cpu, work, cancel_delayed_work(cpu, work));
  else if (way === 2) count_cancelled(cpu, work, cancel_work_sync(cpu, work));
  else if (way === 3) count_cancelled(cpu, work, cancel_delayed_work_sync(cpu, work));
  else disable_and_enable(cpu, work, way === 4);
}

function disable_and_enable(cpu: Cpu, work: number, sync: boolean): void {
  const was = sync ? disable_work_sync(cpu, work) : disable_work(cpu, work);
  count_cancelled(cpu, work, was);
  const wq = queue_wq(cpu, cpu.mem.read(work + SCRATCH), cpu.mem.read(work + QUEUE));
  if (queue_work(cpu, wq, work)) cpu.mem.fetchAdd(work + DISABLED_QUEUED, 1);
  if (sync && cpu.mem.loadAcquire(work + RUNNING) !== 0) cpu.mem.fetchAdd(work + DISABLED_QUEUED, 1);
  enable_work(cpu, work);
}

function flush_somehow(cpu: Cpu, wq: WorkqueuePtr, work: number): void {
  const way = cpu.random32() % 8;
  if (way < 4) flush_work(cpu, work);
  else if (way < 7) flush_delayed_work(cpu, work);
  else flush_workqueue(cpu, wq);
}

/** A queue of one's own that is destroyed with works on it. */
function churn(cpu: Cpu, scratch: number): void {
  const works = 3;
  const { flags, max_active } = KINDS[cpu.random32() % NR_QUEUES] as Kind;
  const wq = alloc_workqueue(cpu, "churn", flags, max_active);
  const items = kzalloc(cpu, works * ITEM_SIZE, GFP_KERNEL);
  for (let i = 0; i < works; i++) {
    const work = items + i * ITEM_SIZE;
    INIT_DELAYED_WORK(cpu, work, RUN_CHURNED);
    cpu.mem.write(work + SCRATCH, scratch);
    if (queue_work(cpu, wq, work)) cpu.mem.fetchAdd(scratch + CHURNED, 1);
  }
  destroy_workqueue(cpu, wq);
  kfree(cpu, items);
}

function one_step(cpu: Cpu, t: Checks): void {
  const { scratch } = t;
  const random = cpu.random32();
  const index = (random >>> 8) % NR_ITEMS;
  const queue = Math.floor(index / ITEMS_PER_QUEUE);
  const work = cpu.mem.read(scratch + ITEM_TABLE) + index * ITEM_SIZE;
  const wq = queue_wq(cpu, scratch, queue);
  const may_disable = index % ITEMS_PER_QUEUE >= DISABLE_FROM;
  const op = random % 64;
  // While DRAINED drains only its own works may queue on it: CPU 0 does both, and no delay outlives its turn.
  if (queue === DRAINED) {
    if (t.index === 0 && op === 0) drain_workqueue(cpu, wq);
    else if (t.index === 0) count_queued(cpu, work, queue_work(cpu, wq, work));
    else if (op < 8) count_cancelled(cpu, work, cancel_work(cpu, work));
    return;
  }
  if (op < 40) queue_somehow(cpu, wq, work, !may_disable);
  else if (op < 52) cancel_somehow(cpu, work, may_disable);
  else if (op < 60) flush_somehow(cpu, wq, work);
  else if (op < 62) work_busy(cpu, work);
  else if (op === 62 && t.index === 1)
    workqueue_set_max_active(cpu, queue_wq(cpu, scratch, CHANGING), 1 + (cpu.random32() % CHANGING_MAX));
  else if (op === 63 && random >>> 28 === 0) churn(cpu, scratch);
}

/** Each CPU. */
function stress(cpu: Cpu, t: Checks): void {
  if (t.index === 0) set_up(cpu, t.scratch);
  t.meet();
  for (const end = cpu.now() + t.seconds * 1000; cpu.now() < end; ) {
    for (let i = 0; i < 50; i++) {
      one_step(cpu, t);
      linger(cpu, 50);
    }
    cond_resched(cpu);
  }
  t.meet();
  cpu.mem.storeRelease(t.scratch + STOP, 1);
  t.meet();
  if (t.index === 0) judge(cpu, t);
  t.meet();
}

function judge(cpu: Cpu, t: Checks): void {
  const { scratch } = t;
  const items = cpu.mem.read(scratch + ITEM_TABLE);
  for (let i = 0; i < NR_ITEMS; i++)
    count_cancelled(cpu, items + i * ITEM_SIZE, cancel_delayed_work_sync(cpu, items + i * ITEM_SIZE));
  for (let q = 0; q < NR_QUEUES; q++) destroy_workqueue(cpu, queue_wq(cpu, scratch, q));
  let queued = 0;
  let cancelled = 0;
  for (let i = 0; i < NR_ITEMS; i++) {
    const work = items + i * ITEM_SIZE;
    const name = `item ${i % ITEMS_PER_QUEUE} of queue ${Math.floor(i / ITEMS_PER_QUEUE)}`;
    const ran = cpu.mem.loadAcquire(work + RAN);
    queued += cpu.mem.loadAcquire(work + QUEUED);
    cancelled += cpu.mem.loadAcquire(work + CANCELLED);
    t.equal(
      ran + cpu.mem.loadAcquire(work + CANCELLED),
      cpu.mem.loadAcquire(work + QUEUED),
      `${name}: executed + cancelled, against queued`,
    );
    t.equal(cpu.mem.loadAcquire(work + OVERLAPS), 0, `${name}: times it ran twice at once`);
    t.equal(
      cpu.mem.loadAcquire(work + DISABLED_QUEUED),
      0,
      `${name}: times it was queued or ran while disabled`,
    );
  }
  for (let q = 0; q < NR_QUEUES; q++)
    t.equal(
      cpu.mem.loadAcquire(queue_line(scratch, q) + OVER_LIMIT),
      0,
      `queue ${q}: works above max_active`,
    );
  t.equal(
    cpu.mem.loadAcquire(scratch + RAN_CHURNED),
    cpu.mem.loadAcquire(scratch + CHURNED),
    "works of destroyed queues",
  );
  t.note(`${queued} queued, ${cancelled} cancelled, the rest executed`);
  kfree(cpu, items);
}

export const suite: Suite = {
  name: "workqueue-stress",
  source: "kernel/workqueue.c",
  cases: [
    {
      name: "random",
      bodies: Array.from({ length: THREADS }, () => stress),
      seconds: 5,
      config: { kthreads: 32 },
    },
  ],
};
