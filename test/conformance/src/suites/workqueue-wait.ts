/**
 * wqtest, the modules about waiting, taking back and delays: wqt_04_delayed, 05_cancel, 11_flush, 13_rcu_work,
 * 15_cancel_delayed, 22_timeout. Those that measure time run on the virtual clock and are exact.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import {
  complete,
  COMPLETION_SIZE,
  completion_done,
  init_completion,
  reinit_completion,
  wait_for_completion_timeout,
} from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import {
  alloc_workqueue,
  cancel_delayed_work,
  cancel_delayed_work_sync,
  cancel_work_sync,
  DELAYED_WORK_SIZE,
  delayed_work_pending,
  destroy_workqueue,
  flush_delayed_work,
  flush_rcu_work,
  flush_work,
  flush_workqueue,
  INIT_DELAYED_WORK,
  INIT_RCU_WORK,
  INIT_WORK,
  mod_delayed_work,
  queue_delayed_work,
  queue_delayed_work_on,
  queue_rcu_work,
  queue_work,
  raw_smp_processor_id,
  work_busy,
  WORK_BUSY_PENDING,
  WORK_BUSY_RUNNING,
  WQ_MEM_RECLAIM,
  WQ_UNBOUND,
  type WorkqueuePtr,
} from "@ringside/core/sched/workqueue";
import type { Checks } from "../checks.ts";
import {
  batch_alloc,
  batch_free,
  batch_reset,
  COUNT,
  done_count,
  finished,
  gate,
  item,
  LONG_MS,
  queue_all,
  runs,
  wait_started,
  WAIT_AT_GATE,
  WQ_PERCPU,
} from "./workqueue-fixture.ts";

// A delayed work in scratch memory, and what its function notes.
const RUNS = DELAYED_WORK_SIZE;
const RAN_ON = DELAYED_WORK_SIZE + 4;
/** Milliseconds since boot, 64-bit. */
const RAN_AT = DELAYED_WORK_SIZE + 8;
const RAN = DELAYED_WORK_SIZE + 16;
/** wqt_22: the state of the command. */
const STATE = RAN + COMPLETION_SIZE;

const DELAYED = kernel_symbol(delayed);
const SLEEP_300 = kernel_symbol(sleep_300);
const DEADLINE = kernel_symbol(deadline);

function delayed(cpu: Cpu, dwork: number): void {
  cpu.mem.write64(dwork + RAN_AT, cpu.now());
  cpu.mem.storeRelease(dwork + RAN_ON, raw_smp_processor_id(cpu));
  cpu.mem.fetchAdd(dwork + RUNS, 1);
  complete(cpu, dwork + RAN);
}

/** Sleeps to the next whole millisecond: timers fire at those. Returns it. */
function whole_ms(cpu: Cpu): number {
  msleep(cpu, Math.ceil(cpu.now()) - cpu.now());
  return cpu.now();
}

function start_delayed(cpu: Cpu, dwork: number): number {
  cpu.mem.write(dwork + RUNS, 0);
  reinit_completion(cpu, dwork + RAN);
  return whole_ms(cpu);
}

/** Fires after its delay and not before; mod, cancel and flush. */
export function wqt_04_delayed(cpu: Cpu, t: Checks): void {
  const dwork = t.scratch;
  const wq = alloc_workqueue(cpu, "wqt04", WQ_PERCPU, 0);
  INIT_DELAYED_WORK(cpu, dwork, DELAYED);
  init_completion(cpu, dwork + RAN);

  let queued = start_delayed(cpu, dwork);
  t.ok(queue_delayed_work(cpu, wq, dwork, 200), "an idle item is queued");
  msleep(cpu, 50);
  t.ok(!completion_done(cpu, dwork + RAN), "nothing runs 50 ms into a delay of 200");
  t.equal(wait_for_completion_timeout(cpu, dwork + RAN, 2000), 1850, "ms left of the wait");
  t.equal(cpu.mem.read64(dwork + RAN_AT) - queued, 200, "ms from queueing to running");

  queued = start_delayed(cpu, dwork);
  queue_delayed_work(cpu, wq, dwork, 1000);
  t.ok(mod_delayed_work(cpu, wq, dwork, 100), "mod_delayed_work of a pending item returns true");
  t.ok(wait_for_completion_timeout(cpu, dwork + RAN, 600) > 0, "the modified work runs");
  t.equal(cpu.mem.read64(dwork + RAN_AT) - queued, 100, "ms after mod_delayed_work");

  start_delayed(cpu, dwork);
  queue_delayed_work(cpu, wq, dwork, 300);
  t.ok(cancel_delayed_work_sync(cpu, dwork), "cancel_delayed_work_sync of a pending item returns true");
  msleep(cpu, 400);
  t.equal(cpu.mem.loadAcquire(dwork + RUNS), 0, "runs of the cancelled work");

  queued = start_delayed(cpu, dwork);
  queue_delayed_work(cpu, wq, dwork, 10_000);
  flush_delayed_work(cpu, dwork);
  t.equal(cpu.mem.loadAcquire(dwork + RUNS), 1, "runs after flush_delayed_work");
  t.equal(cpu.now() - queued, 0, "ms flush_delayed_work took");
  cancel_delayed_work_sync(cpu, dwork);
  destroy_workqueue(cpu, wq);
}

/** cancel_work_sync: true for a pending item, false for one that runs or is idle; then it may be queued again. */
export function wqt_05_cancel(cpu: Cpu, t: Checks): void {
  const wq = alloc_workqueue(cpu, "wqt05", WQ_UNBOUND, 1);
  const blocker = batch_alloc(cpu, 1, WAIT_AT_GATE);
  const batch = batch_alloc(cpu, 1, WAIT_AT_GATE);
  const work = item(batch, 0);
  queue_all(cpu, wq, blocker);
  wait_started(cpu, t, blocker);
  queue_work(cpu, wq, work);
  t.ok((work_busy(cpu, work) & WORK_BUSY_PENDING) !== 0, "work_busy of a queued item says pending");
  t.ok(cancel_work_sync(cpu, work), "cancel of a pending item returns true");
  t.equal(runs(cpu, work), 0, "runs of the cancelled item");
  complete(cpu, gate(blocker));
  flush_workqueue(cpu, wq);

  batch_reset(cpu, batch, WAIT_AT_GATE);
  queue_work(cpu, wq, work);
  wait_started(cpu, t, batch);
  t.ok((work_busy(cpu, work) & WORK_BUSY_RUNNING) !== 0, "work_busy of a running item says running");
  complete(cpu, gate(batch));
  t.ok(!cancel_work_sync(cpu, work), "cancel of a running item returns false");
  t.equal(runs(cpu, work), 1, "runs of the item that was running");
  t.ok(completion_done(cpu, finished(batch)), "cancel_work_sync waits for the running item");

  t.ok(!cancel_work_sync(cpu, work), "cancel of an idle item returns false");
  t.equal(runs(cpu, work), 1, "runs after the cancel of an idle item");

  batch_reset(cpu, batch, WAIT_AT_GATE);
  complete(cpu, gate(batch));
  t.ok(queue_work(cpu, wq, work), "an item may be queued again after cancel");
  flush_work(cpu, work);
  t.equal(runs(cpu, work), 1, "runs of the item queued again");
  t.equal(work_busy(cpu, work), 0, "work_busy of an idle item");
  cancel_work_sync(cpu, work);
  cancel_work_sync(cpu, item(blocker, 0));
  destroy_workqueue(cpu, wq);
  batch_free(cpu, blocker);
  batch_free(cpu, batch);
}

const SLEEP_MS = 300;

function sleep_300(cpu: Cpu, work: number): void {
  msleep(cpu, SLEEP_MS);
  cpu.mem.fetchAdd(work + RUNS, 1);
}

/** flush_work waits for a busy item and returns true; for an idle one it returns false at once. */
export function wqt_11_flush(cpu: Cpu, t: Checks): void {
  const wq = alloc_workqueue(cpu, "wqt11", WQ_UNBOUND, 0);
  const busy = t.scratch;
  const idle = batch_alloc(cpu, 1, COUNT);
  INIT_WORK(cpu, busy, SLEEP_300);
  t.ok(!flush_work(cpu, item(idle, 0)), "flush_work of an item that was never queued returns false");
  t.equal(done_count(cpu, idle), 0, "runs of the idle item");

  const before = whole_ms(cpu);
  queue_work(cpu, wq, busy);
  t.ok(flush_work(cpu, busy), "flush_work of a queued item returns true");
  t.equal(cpu.mem.loadAcquire(busy + RUNS), 1, "runs when flush_work returns");
  t.equal(cpu.now() - before, SLEEP_MS, "ms flush_work waited");
  t.ok(!flush_work(cpu, busy), "flush_work of a finished item returns false");
  t.equal(cpu.now() - before, SLEEP_MS, "ms in all");
  destroy_workqueue(cpu, wq);
  batch_free(cpu, idle);
}

/** An rcu_work runs once a queueing, after a grace period; flush_rcu_work waits for both. */
export function wqt_13_rcu_work(cpu: Cpu, t: Checks): void {
  const rwork = t.scratch;
  const wq = alloc_workqueue(cpu, "wqt13", WQ_UNBOUND, 0);
  INIT_RCU_WORK(cpu, rwork, DELAYED);
  init_completion(cpu, rwork + RAN);
  t.ok(queue_rcu_work(cpu, wq, rwork), "queue_rcu_work of an idle item returns true");
  t.ok(flush_rcu_work(cpu, rwork), "flush_rcu_work of a queued item returns true");
  t.equal(cpu.mem.loadAcquire(rwork + RUNS), 1, "runs after the flush");
  t.ok(wait_for_completion_timeout(cpu, rwork + RAN, LONG_MS) > 0, "it completes");

  t.ok(queue_rcu_work(cpu, wq, rwork), "it may be queued again");
  t.ok(wait_for_completion_timeout(cpu, rwork + RAN, LONG_MS) > 0, "it completes again");
  t.equal(cpu.mem.loadAcquire(rwork + RUNS), 2, "runs after the second queueing");
  flush_rcu_work(cpu, rwork);
  destroy_workqueue(cpu, wq);
}

/** cancel_delayed_work takes a waiting item back; queue_delayed_work_on binds it to a CPU. */
export function wqt_15_cancel_delayed(cpu: Cpu, t: Checks): void {
  const dwork = t.scratch;
  const wq = alloc_workqueue(cpu, "wqt15", WQ_PERCPU, 0);
  INIT_DELAYED_WORK(cpu, dwork, DELAYED);
  init_completion(cpu, dwork + RAN);
  queue_delayed_work(cpu, wq, dwork, 10_000);
  t.ok(delayed_work_pending(cpu, dwork), "delayed work is pending after queueing");
  t.ok(cancel_delayed_work(cpu, dwork), "cancel_delayed_work of a waiting item returns true");
  t.ok(!delayed_work_pending(cpu, dwork), "delayed work is not pending after cancel");
  msleep(cpu, 50);
  t.equal(cpu.mem.loadAcquire(dwork + RUNS), 0, "runs of the cancelled work");
  t.ok(!cancel_delayed_work(cpu, dwork), "cancel_delayed_work of an idle item returns false");

  // The module takes the first CPU; here every one has its turn, at once and after a delay.
  for (let id = 0; id < cpu.config.cpus; id++) {
    for (const delay of [0, 5]) {
      cpu.mem.write(dwork + RUNS, 0);
      cpu.mem.write(dwork + RAN_ON, -1);
      reinit_completion(cpu, dwork + RAN);
      queue_delayed_work_on(cpu, id, wq, dwork, delay);
      if (delay === 0) flush_delayed_work(cpu, dwork);
      else wait_for_completion_timeout(cpu, dwork + RAN, LONG_MS);
      // As long as it runs it would stay where it is.
      flush_work(cpu, dwork);
      t.equal(cpu.mem.loadAcquire(dwork + RUNS), 1, `runs on CPU ${id} after ${delay} ms`);
      t.equal(cpu.mem.loadAcquire(dwork + RAN_ON), id, `CPU after ${delay} ms`);
    }
  }
  cancel_delayed_work_sync(cpu, dwork);
  destroy_workqueue(cpu, wq);
}

const IN_FLIGHT = 0;
const COMPLETED = 1;
const TIMED_OUT = 2;

function deadline(cpu: Cpu, dwork: number): void {
  if (cpu.mem.compareExchange(dwork + STATE, IN_FLIGHT, TIMED_OUT) === IN_FLIGHT)
    cpu.mem.fetchAdd(dwork + RUNS, 1);
}

function command_issue(cpu: Cpu, wq: WorkqueuePtr, dwork: number, ms: number): void {
  cpu.mem.storeRelease(dwork + STATE, IN_FLIGHT);
  cpu.mem.write(dwork + RUNS, 0);
  queue_delayed_work(cpu, wq, dwork, ms);
}

/** False when the deadline was first. */
function command_complete(cpu: Cpu, dwork: number): boolean {
  if (cpu.mem.compareExchange(dwork + STATE, IN_FLIGHT, COMPLETED) !== IN_FLIGHT) return false;
  cancel_delayed_work_sync(cpu, dwork);
  return true;
}

/** A delayed work as the deadline of a command: cancelled by a quick one, fires for one that stalls. */
export function wqt_22_timeout(cpu: Cpu, t: Checks): void {
  const dwork = t.scratch;
  const wq = alloc_workqueue(cpu, "wqt22", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
  INIT_DELAYED_WORK(cpu, dwork, DEADLINE);
  whole_ms(cpu);
  command_issue(cpu, wq, dwork, 10_000);
  msleep(cpu, 20);
  t.ok(command_complete(cpu, dwork), "a command of 20 ms completes before a deadline of 10 s");
  msleep(cpu, 50);
  t.equal(cpu.mem.loadAcquire(dwork + RUNS), 0, "deadlines fired for a completed command");
  t.ok(!delayed_work_pending(cpu, dwork), "the deadline is not armed after completion");

  command_issue(cpu, wq, dwork, 100);
  msleep(cpu, 99);
  t.equal(cpu.mem.loadAcquire(dwork + STATE), IN_FLIGHT, "state 1 ms before the deadline");
  msleep(cpu, 301);
  t.equal(cpu.mem.loadAcquire(dwork + STATE), TIMED_OUT, "state of the stalled command");
  t.equal(cpu.mem.loadAcquire(dwork + RUNS), 1, "deadlines fired for the stalled command");
  t.ok(!command_complete(cpu, dwork), "no completion after the deadline");
  cancel_delayed_work_sync(cpu, dwork);
  destroy_workqueue(cpu, wq);
}
