/**
 * wqtest, the modules about pool_workqueues: wqt_23_congested, 24_percpu_pwq, 25_nr_active_paths, 27_percpu_lifecycle.
 * Their parts on WQ_BH and CPU hotplug are left out: neither exists here.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import { complete } from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  alloc_workqueue,
  destroy_workqueue,
  flush_workqueue,
  INIT_WORK,
  queue_work_on,
  WORK_CPU_UNBOUND,
  WORK_STRUCT_SIZE,
  workqueue_congested,
  workqueue_set_max_active,
  WQ_FREEZABLE,
  WQ_HIGHPRI,
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
  gate,
  item,
  ran_on,
  wait_done,
  wait_started,
  WAIT_AT_GATE,
  WQ_PERCPU,
} from "./workqueue-fixture.ts";

interface Variant {
  readonly flags: number;
  readonly name: string;
}

const PERCPU: Variant = { flags: WQ_PERCPU, name: "percpu" };
const HIGHPRI: Variant = { flags: WQ_PERCPU | WQ_HIGHPRI, name: "percpu_highpri" };
const FREEZABLE: Variant = { flags: WQ_PERCPU | WQ_FREEZABLE, name: "percpu_freezable" };
const UNBOUND: Variant = { flags: WQ_UNBOUND, name: "unbound" };

function congested_cpus(cpu: Cpu, wq: WorkqueuePtr): number {
  let n = 0;
  for (let id = 0; id < cpu.config.cpus; id++) if (workqueue_congested(cpu, id, wq)) n++;
  return n;
}

// wqt_23: a work that asks from where it runs.
const ASKED = WORK_STRUCT_SIZE;
const ASKED_WQ = WORK_STRUCT_SIZE + 4;
const ASK = kernel_symbol(ask_congested);

function ask_congested(cpu: Cpu, work: number): void {
  const congested = workqueue_congested(cpu, WORK_CPU_UNBOUND, cpu.mem.read(work + ASKED_WQ) as WorkqueuePtr);
  cpu.mem.storeRelease(work + ASKED, congested ? 2 : 1);
}

/** workqueue_congested: false when idle, true behind a full slot, false again; per CPU on a bound queue. */
export function wqt_23_congested(cpu: Cpu, t: Checks): void {
  const blocker = batch_alloc(cpu, 1, WAIT_AT_GATE);
  const fill = batch_alloc(cpu, 8, COUNT);
  for (const { flags, name } of [PERCPU, UNBOUND]) {
    const wq = alloc_workqueue(cpu, `wqt23_${name}`, flags, 1);
    batch_reset(cpu, blocker, WAIT_AT_GATE);
    batch_reset(cpu, fill, COUNT);
    INIT_WORK(cpu, t.scratch, ASK);
    cpu.mem.write(t.scratch + ASKED, 0);
    cpu.mem.write(t.scratch + ASKED_WQ, wq);
    t.equal(congested_cpus(cpu, wq), 0, `${name}: congested CPUs of an idle queue`);
    queue_work_on(cpu, 0, wq, item(blocker, 0));
    wait_started(cpu, t, blocker);
    queue_work_on(cpu, 0, wq, t.scratch);
    for (let i = 0; i < fill.size; i++) queue_work_on(cpu, 0, wq, item(fill, i));
    t.ok(workqueue_congested(cpu, 0, wq), `${name}: congested behind a full slot`);
    if (flags === WQ_PERCPU) t.ok(!workqueue_congested(cpu, 1, wq), `${name}: another CPU is not congested`);
    rcu_read_lock(cpu);
    t.ok(workqueue_congested(cpu, 0, wq), `${name}: congested, asked in a read section`);
    rcu_read_unlock(cpu);
    complete(cpu, gate(blocker));
    flush_workqueue(cpu, wq);
    t.equal(done_count(cpu, fill), fill.size, `${name}: items of the backlog run`);
    t.ok(cpu.mem.loadAcquire(t.scratch + ASKED) !== 0, `${name}: a work can ask`);
    t.equal(congested_cpus(cpu, wq), 0, `${name}: congested CPUs of a drained queue`);
    destroy_workqueue(cpu, wq);
  }
  batch_free(cpu, blocker);
  batch_free(cpu, fill);
}

/** Items run on the CPU they were queued to, in each kind of pool; short-lived queues come and go. */
export function wqt_24_percpu_pwq(cpu: Cpu, t: Checks): void {
  const { cpus } = cpu.config;
  const batch = batch_alloc(cpu, cpus, COUNT);
  for (const { flags, name } of [PERCPU, HIGHPRI, UNBOUND]) {
    const wq = alloc_workqueue(cpu, `wqt24_${name}`, flags, 0);
    batch_reset(cpu, batch, COUNT);
    for (let id = 0; id < cpus; id++)
      t.ok(queue_work_on(cpu, id, wq, item(batch, id)), `${name}: queue_work_on(${id}) takes the item`);
    t.ok(wait_done(cpu, batch, cpus), `${name}: ${done_count(cpu, batch)} of ${cpus} items run`);
    flush_workqueue(cpu, wq);
    for (let id = 0; id < cpus && flags !== WQ_UNBOUND; id++)
      t.equal(ran_on(cpu, item(batch, id)), id, `${name}: CPU of the item for ${id}`);
    destroy_workqueue(cpu, wq);
  }
  const churn = 32;
  batch_reset(cpu, batch, COUNT);
  for (let i = 0; i < churn; i++) {
    const wq = alloc_workqueue(cpu, `wqt24_churn${i}`, WQ_PERCPU, 0);
    queue_work_on(cpu, i % cpus, wq, item(batch, 0));
    flush_workqueue(cpu, wq);
    destroy_workqueue(cpu, wq);
  }
  t.equal(done_count(cpu, batch), churn, "items run on short-lived queues");
  batch_free(cpu, batch);
}

/** max_active raised and lowered with a backlog behind a held slot loses nothing. */
export function wqt_25_nr_active_paths(cpu: Cpu, t: Checks): void {
  const blocker = batch_alloc(cpu, 1, WAIT_AT_GATE);
  const fill = batch_alloc(cpu, 16, COUNT);
  for (const { flags, name } of [PERCPU, UNBOUND]) {
    const wq = alloc_workqueue(cpu, `wqt25_${name}`, flags, 1);
    batch_reset(cpu, blocker, WAIT_AT_GATE);
    batch_reset(cpu, fill, COUNT);
    queue_work_on(cpu, 0, wq, item(blocker, 0));
    wait_started(cpu, t, blocker);
    for (let i = 0; i < fill.size; i++) queue_work_on(cpu, 0, wq, item(fill, i));
    workqueue_set_max_active(cpu, wq, 4);
    workqueue_set_max_active(cpu, wq, 1);
    complete(cpu, gate(blocker));
    t.ok(wait_done(cpu, fill, fill.size), `${name}: ${done_count(cpu, fill)} of ${fill.size} items run`);
    flush_workqueue(cpu, wq);
    destroy_workqueue(cpu, wq);
  }
  t.note("no CPU hotplug here: that phase is left out, as the module does");
  batch_free(cpu, blocker);
  batch_free(cpu, fill);
}

/** Queues of all kinds are made, used and destroyed, every other time with work still queued. */
export function wqt_27_percpu_lifecycle(cpu: Cpu, t: Checks): void {
  const rounds = 24;
  const batch = batch_alloc(cpu, 8, COUNT);
  for (const { flags, name } of [PERCPU, HIGHPRI, FREEZABLE, UNBOUND]) {
    batch_reset(cpu, batch, COUNT);
    let expected = 0;
    for (let round = 0; round < rounds; round++) {
      const wq = alloc_workqueue(cpu, `wqt27_${name}${round}`, flags, 0);
      for (let i = 0; i < batch.size; i++)
        if (queue_work_on(cpu, i % cpu.config.cpus, wq, item(batch, i))) expected++;
      if (round % 2 === 1) flush_workqueue(cpu, wq);
      destroy_workqueue(cpu, wq);
    }
    t.equal(expected, rounds * batch.size, `${name}: items queued`);
    t.equal(done_count(cpu, batch), expected, `${name}: items run`);
  }
  batch_free(cpu, batch);
}
