/**
 * wqt_09_torture: threads queue, cancel and flush at random; what was accepted ran or was cancelled. wqt_10_perf and
 * lib/test_workqueue.c: throughput and latency of queue_work, told and not judged; nothing may be lost.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import {
  complete,
  COMPLETION_SIZE,
  init_completion,
  reinit_completion,
  wait_for_completion,
} from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import { udelay } from "@ringside/core/sched/delay";
import { cond_resched } from "@ringside/core/sched/schedule";
import {
  alloc_ordered_workqueue,
  alloc_workqueue,
  cancel_work_sync,
  destroy_workqueue,
  flush_work,
  flush_workqueue,
  INIT_WORK,
  queue_work,
  WORK_STRUCT_SIZE,
  WQ_HIGHPRI,
  WQ_UNBOUND,
  type WorkqueuePtr,
} from "@ringside/core/sched/workqueue";
import type { Checks } from "../checks.ts";
import { WQ_PERCPU } from "./workqueue-fixture.ts";

// Scratch memory: counters on words of their own lines, the queues, the items.
const ACCEPTED = 0;
const EXECUTED = 128;
const CANCELLED = 256;
const ORDERED_LIVE = 384;
const OVERLAPS = 388;
const QUEUES = 512;
const NR_QUEUES = 4;
const ORDERED_WQ = QUEUES + NR_QUEUES * 4;
const ITEMS = ORDERED_WQ + 4;

const POOL_ITEMS = 256;
const ORDERED_ITEMS = 32;
/** A work and where it counts. */
const COUNTERS = WORK_STRUCT_SIZE;
const ITEM_SIZE = WORK_STRUCT_SIZE + 8;

const EXECUTE = kernel_symbol(execute);
const EXECUTE_ORDERED = kernel_symbol(execute_ordered);

function execute(cpu: Cpu, work: number): void {
  cpu.mem.fetchAdd(cpu.mem.read(work + COUNTERS) + EXECUTED, 1);
}

function execute_ordered(cpu: Cpu, work: number): void {
  const counters = cpu.mem.read(work + COUNTERS);
  if (cpu.mem.fetchAdd(counters + ORDERED_LIVE, 1) !== 0) cpu.mem.fetchAdd(counters + OVERLAPS, 1);
  udelay(cpu, 20);
  cpu.mem.fetchSub(counters + ORDERED_LIVE, 1);
}

function set_up(cpu: Cpu, scratch: number): void {
  const wqs = [
    alloc_workqueue(cpu, "wqt09_pcpu", WQ_PERCPU, 0),
    alloc_workqueue(cpu, "wqt09_unb", WQ_UNBOUND, 0),
    alloc_workqueue(cpu, "wqt09_hi", WQ_PERCPU | WQ_HIGHPRI, 0),
    alloc_workqueue(cpu, "wqt09_m4", WQ_UNBOUND, 4),
    alloc_ordered_workqueue(cpu, "wqt09_ord", 0),
  ];
  for (let i = 0; i < wqs.length; i++) cpu.mem.write(scratch + QUEUES + i * 4, wqs[i] as number);
  const items = kzalloc(cpu, (POOL_ITEMS + ORDERED_ITEMS) * ITEM_SIZE, GFP_KERNEL);
  for (let i = 0; i < POOL_ITEMS + ORDERED_ITEMS; i++) {
    INIT_WORK(cpu, items + i * ITEM_SIZE, i < POOL_ITEMS ? EXECUTE : EXECUTE_ORDERED);
    cpu.mem.write(items + i * ITEM_SIZE + COUNTERS, scratch);
  }
  cpu.mem.write(scratch + ITEMS, items);
}

function torture(cpu: Cpu, scratch: number): void {
  const random = cpu.random32();
  const op = random % 10;
  const items = cpu.mem.read(scratch + ITEMS);
  const work = items + ((random >>> 4) % POOL_ITEMS) * ITEM_SIZE;
  const wq = cpu.mem.read(scratch + QUEUES + ((random >>> 12) % NR_QUEUES) * 4) as WorkqueuePtr;
  if (op <= 3) {
    if (queue_work(cpu, wq, work)) cpu.mem.fetchAdd(scratch + ACCEPTED, 1);
  } else if (op <= 5) {
    if (cancel_work_sync(cpu, work)) cpu.mem.fetchAdd(scratch + CANCELLED, 1);
  } else if (op === 6) flush_work(cpu, work);
  else if (op === 9) flush_workqueue(cpu, wq);
  else {
    const ordered = items + (POOL_ITEMS + ((random >>> 4) % ORDERED_ITEMS)) * ITEM_SIZE;
    queue_work(cpu, cpu.mem.read(scratch + ORDERED_WQ) as WorkqueuePtr, ordered);
  }
}

/** Each CPU. Items go from queue to queue: accepted == executed + cancelled, and the ordered queue never overlaps. */
export function wqt_09_torture(cpu: Cpu, t: Checks): void {
  const { scratch } = t;
  if (t.index === 0) set_up(cpu, scratch);
  t.meet();
  for (const end = cpu.now() + t.seconds * 1000; cpu.now() < end; ) {
    for (let i = 0; i < 100; i++) torture(cpu, scratch);
    cond_resched(cpu);
  }
  t.meet();
  if (t.index !== 0) return;
  for (let i = 0; i <= NR_QUEUES; i++) {
    const wq = cpu.mem.read(scratch + QUEUES + i * 4) as WorkqueuePtr;
    flush_workqueue(cpu, wq);
    destroy_workqueue(cpu, wq);
  }
  const accepted = cpu.mem.loadAcquire(scratch + ACCEPTED);
  const executed = cpu.mem.loadAcquire(scratch + EXECUTED);
  const cancelled = cpu.mem.loadAcquire(scratch + CANCELLED);
  t.equal(executed + cancelled, accepted, "executed + cancelled, against accepted");
  t.ok(executed > 0, "works were executed");
  t.equal(cpu.mem.loadAcquire(scratch + ORDERED_LIVE), 0, "ordered works still counted as running");
  t.equal(cpu.mem.loadAcquire(scratch + OVERLAPS), 0, "ordered works at once");
  t.note(`accepted ${accepted} = executed ${executed} + cancelled ${cancelled}`);
  kfree(cpu, cpu.mem.read(scratch + ITEMS));
}

// A body of the benchmarks: its work and completion, in scratch memory; the queue and the total are body 0's.
const BENCH_DONE = WORK_STRUCT_SIZE;
const BENCH_TOTAL = BENCH_DONE + COMPLETION_SIZE;
const BENCH_SIZE = 128;
const BENCH_WQ = 16 * BENCH_SIZE;
const TOTAL = BENCH_WQ + 128;
const BENCH_WORK = kernel_symbol(bench_work);

function bench_work(cpu: Cpu, work: number): void {
  cpu.mem.fetchAdd(cpu.mem.read(work + BENCH_TOTAL), 1);
  complete(cpu, work + BENCH_DONE);
}

function percentile(sorted: Float64Array, percent: number): string {
  const ms = sorted[Math.floor((sorted.length * percent) / 100)] ?? 0;
  return `p${percent}=${Math.round(ms * 1e6)}`;
}

/** All bodies queue `items` works each, one after the other, and wait for each. */
function bench(cpu: Cpu, t: Checks, label: string, flags: number, items: number, percents: number[]): void {
  const work = t.scratch + t.index * BENCH_SIZE;
  if (t.index === 0) {
    cpu.mem.write(t.scratch + BENCH_WQ, alloc_workqueue(cpu, "bench_wq", flags, 0));
    cpu.mem.write(t.scratch + TOTAL, 0);
  }
  init_completion(cpu, work + BENCH_DONE);
  cpu.mem.write(work + BENCH_TOTAL, t.scratch + TOTAL);
  t.meet();
  const wq = cpu.mem.read(t.scratch + BENCH_WQ) as WorkqueuePtr;
  const latencies = new Float64Array(items);
  const start = cpu.now();
  for (let i = 0; i < items; i++) {
    reinit_completion(cpu, work + BENCH_DONE);
    INIT_WORK(cpu, work, BENCH_WORK);
    const before = cpu.now();
    queue_work(cpu, wq, work);
    latencies[i] = cpu.now() - before;
    wait_for_completion(cpu, work + BENCH_DONE);
  }
  t.meet();
  const rate = Math.round((t.parties * items * 1000) / (cpu.now() - start));
  latencies.sort();
  const figures = percents.map((percent) => percentile(latencies, percent)).join(" ");
  if (t.index === 0) {
    flush_workqueue(cpu, wq);
    t.equal(cpu.mem.loadAcquire(t.scratch + TOTAL), t.parties * items, `${label}: items completed`);
    t.note(`${label}: ${rate} items/s, CPU 0 ${figures} ns`);
    destroy_workqueue(cpu, wq);
  }
  t.meet();
}

export function wqt_10_perf(cpu: Cpu, t: Checks): void {
  bench(cpu, t, "percpu", WQ_PERCPU, 1000, [50, 90, 99]);
  bench(cpu, t, "unbound", WQ_UNBOUND, 1000, [50, 90, 99]);
}

/** The module walks the affinity scopes of an unbound queue; here there is one, the system. */
export function test_workqueue(cpu: Cpu, t: Checks): void {
  bench(cpu, t, "system", WQ_UNBOUND, 2000, [50, 90, 95]);
}
