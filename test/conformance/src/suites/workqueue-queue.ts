/**
 * wqtest, the modules about queueing and concurrency: wqt_01_basic, 02_ordered, 03_max_active, 06_mem_reclaim,
 * 07_queue_on_cpu, 08_flags_matrix, 12_drain, 14_set_max_active, 16_blocking_progress.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { complete, completion_done } from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import {
  alloc_ordered_workqueue,
  alloc_workqueue,
  destroy_workqueue,
  drain_workqueue,
  flush_work,
  flush_workqueue,
  INIT_WORK,
  queue_work,
  queue_work_on,
  system_wq,
  work_pending,
  WORK_STRUCT_SIZE,
  workqueue_set_max_active,
  WQ_CPU_INTENSIVE,
  WQ_FREEZABLE,
  WQ_HIGHPRI,
  WQ_MEM_RECLAIM,
  WQ_UNBOUND,
  type WorkqueuePtr,
} from "@ringside/core/sched/workqueue";
import type { Checks } from "../checks.ts";
import {
  type Batch,
  batch_alloc,
  batch_free,
  batch_reset,
  COUNT,
  done_count,
  gate,
  item,
  NAP,
  NAP_MS,
  NOTE_ORDER,
  order,
  peak,
  queue_all,
  ran_on,
  run_batch,
  runs,
  wait_done,
  wait_started,
  WAIT_AT_GATE,
  WQ_PERCPU,
} from "./workqueue-fixture.ts";

function check_once(cpu: Cpu, t: Checks, batch: Batch, label: string): void {
  let wrong = 0;
  let pending = 0;
  for (let i = 0; i < batch.size; i++) {
    if (runs(cpu, item(batch, i)) !== 1) wrong++;
    if (work_pending(cpu, item(batch, i))) pending++;
  }
  t.equal(wrong, 0, `${label}: items that did not run exactly once`);
  t.equal(done_count(cpu, batch), batch.size, `${label}: runs in all`);
  t.equal(pending, 0, `${label}: items pending after the flush`);
}

/** Every item runs exactly once, on a bound queue, an unbound one and the system's. */
export function wqt_01_basic(cpu: Cpu, t: Checks): void {
  const batch = batch_alloc(cpu, 64, COUNT);
  const percpu = alloc_workqueue(cpu, "wqt01_pcpu", WQ_PERCPU, 0);
  const unbound = alloc_workqueue(cpu, "wqt01_unb", WQ_UNBOUND, 0);
  for (let i = 0; i < batch.size; i++)
    t.ok(queue_work(cpu, percpu, item(batch, i)), `percpu: queue_work takes item ${i}`);
  flush_workqueue(cpu, percpu);
  check_once(cpu, t, batch, "percpu");

  batch_reset(cpu, batch, COUNT);
  queue_all(cpu, unbound, batch);
  flush_workqueue(cpu, unbound);
  check_once(cpu, t, batch, "unbound");

  batch_reset(cpu, batch, COUNT);
  queue_all(cpu, system_wq(cpu), batch);
  for (let i = 0; i < batch.size; i++) flush_work(cpu, item(batch, i));
  check_once(cpu, t, batch, "system_wq");

  destroy_workqueue(cpu, percpu);
  destroy_workqueue(cpu, unbound);
  batch_free(cpu, batch);
}

/** One at a time, in the order of queueing. */
export function wqt_02_ordered(cpu: Cpu, t: Checks): void {
  const batch = batch_alloc(cpu, 32, NOTE_ORDER);
  const wq = alloc_ordered_workqueue(cpu, "wqt02_ord", 0);
  queue_all(cpu, wq, batch);
  flush_workqueue(cpu, wq);
  t.equal(done_count(cpu, batch), batch.size, "items run");
  let misordered = 0;
  for (let i = 0; i < batch.size; i++) if (order(cpu, batch, i) !== i) misordered++;
  t.equal(misordered, 0, "items out of FIFO order");
  t.equal(peak(cpu, batch), 1, "items of an ordered workqueue at once");
  destroy_workqueue(cpu, wq);
  batch_free(cpu, batch);
}

/** Never more than K at once, for K = 1, 2, 4. */
export function wqt_03_max_active(cpu: Cpu, t: Checks): void {
  const batch = batch_alloc(cpu, 32, NAP);
  for (const k of [1, 2, 4]) {
    const wq = alloc_workqueue(cpu, `wqt03_k${k}`, WQ_UNBOUND, k);
    const most = run_batch(cpu, wq, batch, NAP);
    t.ok(most <= k, `max_active ${k}: peak concurrency ${most}`);
    t.equal(done_count(cpu, batch), batch.size, `max_active ${k}: items run`);
    t.note(`max_active ${k}: peak ${most}`);
    destroy_workqueue(cpu, wq);
  }
  batch_free(cpu, batch);
}

/** A WQ_MEM_RECLAIM queue makes progress, also behind a slot that is held and let go. */
export function wqt_06_mem_reclaim(cpu: Cpu, t: Checks): void {
  const wq = alloc_workqueue(cpu, "wqt06", WQ_MEM_RECLAIM | WQ_PERCPU, 1);
  const basic = batch_alloc(cpu, 32, COUNT);
  queue_all(cpu, wq, basic);
  t.ok(wait_done(cpu, basic, basic.size), `basic items run: ${done_count(cpu, basic)} of ${basic.size}`);
  flush_workqueue(cpu, wq);

  const blocker = batch_alloc(cpu, 1, WAIT_AT_GATE);
  const follow = batch_alloc(cpu, 16, COUNT);
  queue_all(cpu, wq, blocker);
  wait_started(cpu, t, blocker);
  queue_all(cpu, wq, follow);
  t.equal(done_count(cpu, follow), 0, "followers before the slot is free");
  complete(cpu, gate(blocker));
  t.ok(wait_done(cpu, follow, follow.size), `followers run: ${done_count(cpu, follow)} of ${follow.size}`);
  flush_workqueue(cpu, wq);
  destroy_workqueue(cpu, wq);
  for (const batch of [basic, blocker, follow]) batch_free(cpu, batch);
}

/** queue_work_on binds an item of a bound queue to its CPU. */
export function wqt_07_queue_on_cpu(cpu: Cpu, t: Checks): void {
  const { cpus } = cpu.config;
  const batch = batch_alloc(cpu, cpus, COUNT);
  const wq = alloc_workqueue(cpu, "wqt07", WQ_PERCPU, 0);
  for (let id = 0; id < cpus; id++)
    t.ok(queue_work_on(cpu, id, wq, item(batch, id)), `queue_work_on(${id}) takes the item`);
  flush_workqueue(cpu, wq);
  for (let id = 0; id < cpus; id++) t.equal(ran_on(cpu, item(batch, id)), id, `CPU of the item for ${id}`);
  destroy_workqueue(cpu, wq);
  batch_free(cpu, batch);
}

/** Every combination of flags can be made, runs its items and goes. */
export function wqt_08_flags_matrix(cpu: Cpu, t: Checks): void {
  const options = [WQ_HIGHPRI, WQ_CPU_INTENSIVE, WQ_FREEZABLE, WQ_MEM_RECLAIM];
  const batch = batch_alloc(cpu, 8, COUNT);
  let tested = 0;
  for (const base of [WQ_PERCPU, WQ_UNBOUND]) {
    for (let mask = 0; mask < 1 << options.length; mask++) {
      const flags = options.reduce((sum, flag, i) => sum | (mask & (1 << i) ? flag : 0), base);
      // CPU_INTENSIVE means nothing on an unbound queue.
      if (base === WQ_UNBOUND && (flags & WQ_CPU_INTENSIVE) !== 0) continue;
      run_flags(cpu, t, batch, flags);
      tested++;
    }
  }
  t.note(`tested ${tested} flag combinations`);
  batch_free(cpu, batch);
}

function run_flags(cpu: Cpu, t: Checks, batch: Batch, flags: number): void {
  const wq = alloc_workqueue(cpu, `wqt08_${flags.toString(16)}`, flags, 0);
  if (!t.ok(wq !== 0, `flags ${flags.toString(16)}: the queue can be made`)) return;
  batch_reset(cpu, batch, COUNT);
  queue_all(cpu, wq, batch);
  const ran = wait_done(cpu, batch, batch.size);
  t.ok(ran, `flags ${flags.toString(16)}: ${done_count(cpu, batch)} of ${batch.size} items run`);
  flush_workqueue(cpu, wq);
  destroy_workqueue(cpu, wq);
}

// wqt_12, second part: a work that queues itself so often again, in scratch memory.
const CHAIN_LENGTH = 6;
const CHAIN_LEFT = WORK_STRUCT_SIZE;
const CHAIN_RUNS = WORK_STRUCT_SIZE + 4;
const CHAIN_WQ = WORK_STRUCT_SIZE + 8;
const CHAIN = kernel_symbol(chain);

function chain(cpu: Cpu, work: number): void {
  cpu.mem.fetchAdd(work + CHAIN_RUNS, 1);
  if (cpu.mem.fetchSub(work + CHAIN_LEFT, 1) > 1)
    queue_work(cpu, cpu.mem.read(work + CHAIN_WQ) as WorkqueuePtr, work);
}

/** A pending item is not queued twice; drain_workqueue follows a chain of works that queue themselves. */
export function wqt_12_drain(cpu: Cpu, t: Checks): void {
  const wq = alloc_workqueue(cpu, "wqt12_dq", WQ_UNBOUND, 1);
  const blocker = batch_alloc(cpu, 1, WAIT_AT_GATE);
  const twice = batch_alloc(cpu, 1, COUNT);
  queue_all(cpu, wq, blocker);
  wait_started(cpu, t, blocker);
  t.ok(queue_work(cpu, wq, item(twice, 0)), "queue_work of an idle item returns true");
  t.ok(!queue_work(cpu, wq, item(twice, 0)), "queue_work of a pending item returns false");
  t.ok(work_pending(cpu, item(twice, 0)), "the item is pending");
  complete(cpu, gate(blocker));
  flush_workqueue(cpu, wq);
  t.equal(runs(cpu, item(twice, 0)), 1, "runs of the item queued twice");
  destroy_workqueue(cpu, wq);
  batch_free(cpu, blocker);
  batch_free(cpu, twice);

  const chain_wq = alloc_workqueue(cpu, "wqt12_chain", WQ_UNBOUND, 0);
  INIT_WORK(cpu, t.scratch, CHAIN);
  cpu.mem.write(t.scratch + CHAIN_LEFT, CHAIN_LENGTH);
  cpu.mem.write(t.scratch + CHAIN_WQ, chain_wq);
  queue_work(cpu, chain_wq, t.scratch);
  drain_workqueue(cpu, chain_wq);
  t.equal(
    cpu.mem.loadAcquire(t.scratch + CHAIN_RUNS),
    CHAIN_LENGTH,
    "runs of the chain after drain_workqueue",
  );
  t.ok(!work_pending(cpu, t.scratch), "the chain is not pending after drain_workqueue");
  destroy_workqueue(cpu, chain_wq);
}

const REQUEUES = 10;

/**
 * On the virtual clock: an item that is queued again while it runs runs once more, after that and where it ran, also
 * when another CPU has idle workers. Many times: it also tells whether time waits for a worker that was just woken.
 */
export function wqt_12_requeue(cpu: Cpu, t: Checks): void {
  const batch = batch_alloc(cpu, 1, NAP);
  for (const flags of [WQ_PERCPU, WQ_UNBOUND]) {
    const wq = alloc_workqueue(cpu, "wqt12_requeue", flags, 0);
    for (let i = 0; i < REQUEUES; i++) requeue_running(cpu, t, wq, batch, flags);
    destroy_workqueue(cpu, wq);
  }
  batch_free(cpu, batch);
}

function requeue_running(cpu: Cpu, t: Checks, wq: WorkqueuePtr, batch: Batch, flags: number): void {
  const kind = flags === WQ_UNBOUND ? "unbound" : "percpu";
  const work = item(batch, 0);
  batch_reset(cpu, batch, NAP);
  const start = cpu.now();
  queue_work_on(cpu, 0, wq, work);
  msleep(cpu, NAP_MS / 2);
  t.ok(!work_pending(cpu, work), `${kind}: a running item is not pending`);
  t.ok(queue_work_on(cpu, 1, wq, work), `${kind}: queue_work of a running item returns true`);
  t.ok(!queue_work_on(cpu, 1, wq, work), `${kind}: and the next one false`);
  flush_work(cpu, work);
  t.equal(runs(cpu, work), 2, `${kind}: runs`);
  t.equal(peak(cpu, batch), 1, `${kind}: runs of one item at once`);
  t.equal(Math.round((cpu.now() - start) * 1000), 2 * NAP_MS * 1000, `${kind}: microseconds for both`);
  if (flags === WQ_PERCPU) t.equal(ran_on(cpu, work), 0, `${kind}: CPU of the second run`);
}

/** The cap of a live queue can be raised and lowered. */
export function wqt_14_set_max_active(cpu: Cpu, t: Checks): void {
  const high = 4;
  const batch = batch_alloc(cpu, 16, NAP);
  const wq = alloc_workqueue(cpu, "wqt14", WQ_UNBOUND, 1);
  t.equal(run_batch(cpu, wq, batch, NAP), 1, "peak at max_active 1");
  t.equal(done_count(cpu, batch), batch.size, "items run at max_active 1");

  workqueue_set_max_active(cpu, wq, high);
  const most = run_batch(cpu, wq, batch, NAP);
  t.ok(most > 1, `max_active raised to ${high}, but peak concurrency ${most}`);
  t.ok(most <= high, `max_active ${high}: peak concurrency ${most}`);
  t.equal(done_count(cpu, batch), batch.size, `items run at max_active ${high}`);
  t.note(`peak ${most} after workqueue_set_max_active(${high})`);

  workqueue_set_max_active(cpu, wq, 1);
  t.equal(run_batch(cpu, wq, batch, NAP), 1, "peak after max_active was lowered to 1");
  destroy_workqueue(cpu, wq);
  batch_free(cpu, batch);
}

/** A work that blocks does not hold up those behind it: the pool grows. */
export function wqt_16_blocking_progress(cpu: Cpu, t: Checks): void {
  const wq = alloc_workqueue(cpu, "wqt16", WQ_UNBOUND, 0);
  const blocker = batch_alloc(cpu, 1, WAIT_AT_GATE);
  const follow = batch_alloc(cpu, 32, COUNT);
  queue_all(cpu, wq, blocker);
  wait_started(cpu, t, blocker);
  queue_all(cpu, wq, follow);
  const ran = wait_done(cpu, follow, follow.size);
  t.ok(ran, `behind a blocked worker ${done_count(cpu, follow)} of ${follow.size} items run`);
  t.ok(!completion_done(cpu, gate(blocker)), "the blocker is still blocked");
  t.equal(done_count(cpu, blocker), 0, "runs of the blocker before its gate opens");
  complete(cpu, gate(blocker));
  flush_workqueue(cpu, wq);
  destroy_workqueue(cpu, wq);
  batch_free(cpu, blocker);
  batch_free(cpu, follow);
}
