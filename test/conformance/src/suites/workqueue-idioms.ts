/**
 * wqtest, the modules modeled on users of workqueues: wqt_17_probe_on_node,
 * 18_vmstat_shepherd, 19_rcu_free, 20_highpri, 21_irq_bh. NUMA nodes do not exist here: each CPU is one.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "@ringside/core/lock/spinlock";
import { rcu_assign_pointer, rcu_dereference, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import { refcount_dec_and_test, refcount_inc_not_zero, refcount_set } from "@ringside/core/ref/refcount";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import { cond_resched, in_atomic } from "@ringside/core/sched/schedule";
import {
  alloc_workqueue,
  cancel_delayed_work_sync,
  cancel_work_sync,
  DELAYED_WORK_SIZE,
  delayed_work_pending,
  destroy_workqueue,
  flush_work,
  flush_workqueue,
  INIT_DELAYED_WORK,
  INIT_RCU_WORK,
  INIT_WORK,
  queue_delayed_work_on,
  queue_rcu_work,
  queue_work,
  queue_work_on,
  raw_smp_processor_id,
  RCU_WORK_SIZE,
  system_wq,
  work_busy,
  WORK_STRUCT_SIZE,
  WQ_HIGHPRI,
  type WorkqueuePtr,
} from "@ringside/core/sched/workqueue";
import type { Checks } from "../checks.ts";
import { batch_alloc, batch_free, done_count, item, LONG_MS, NAP, WQ_PERCPU } from "./workqueue-fixture.ts";

// wqt_17: a probe on the stack.
const PROBE_RAN_ON = WORK_STRUCT_SIZE;
const PROBE_RESULT = WORK_STRUCT_SIZE + 4;
const PROBE_SIZE = WORK_STRUCT_SIZE + 8;
const PROBE_MAGIC = 0x513a0000;
const PROBE = kernel_symbol(probe);

function probe(cpu: Cpu, work: number): void {
  const id = raw_smp_processor_id(cpu);
  cpu.mem.write(work + PROBE_RAN_ON, id);
  cpu.mem.write(work + PROBE_RESULT, PROBE_MAGIC | id);
}

/** A work on the stack runs on the CPU that is asked for, and its result comes back (pci_call_probe). */
export function wqt_17_probe_on_node(cpu: Cpu, t: Checks): void {
  const wq = alloc_workqueue(cpu, "wqt17", WQ_PERCPU, 0);
  for (let id = 0; id < cpu.config.cpus; id++) {
    const p = stack_push(cpu, PROBE_SIZE);
    INIT_WORK(cpu, p, PROBE);
    cpu.mem.write(p + PROBE_RAN_ON, -1);
    queue_work_on(cpu, id, wq, p);
    flush_work(cpu, p);
    t.equal(cpu.mem.read(p + PROBE_RAN_ON), id, `CPU of the probe for ${id}`);
    t.equal(cpu.mem.read(p + PROBE_RESULT), PROBE_MAGIC | id, `result of the probe on ${id}`);
    stack_pop(cpu, p);
  }
  destroy_workqueue(cpu, wq);
}

// wqt_18: per CPU a delayed work and units left to drain.
const PC_PENDING = DELAYED_WORK_SIZE;
const PC_WQ = DELAYED_WORK_SIZE + 4;
const PC_SIZE = 64;
const PER_CPU_UNITS = 5;
const UPDATE = kernel_symbol(vmstat_update);

function vmstat_update(cpu: Cpu, dwork: number): void {
  if (cpu.mem.loadAcquire(dwork + PC_PENDING) <= 0) return;
  if (cpu.mem.fetchSub(dwork + PC_PENDING, 1) <= 1) return;
  const wq = cpu.mem.read(dwork + PC_WQ) as WorkqueuePtr;
  queue_delayed_work_on(cpu, raw_smp_processor_id(cpu), wq, dwork, 0);
}

function vmstat_shepherd(cpu: Cpu, wq: WorkqueuePtr, all: number): void {
  for (let id = 0; id < cpu.config.cpus; id++) {
    const pc = all + id * PC_SIZE;
    const wanted = cpu.mem.loadAcquire(pc + PC_PENDING) > 0;
    if (wanted && !delayed_work_pending(cpu, pc) && work_busy(cpu, pc) === 0)
      queue_delayed_work_on(cpu, id, wq, pc, 0);
  }
}

function units_left(cpu: Cpu, all: number): number {
  let left = 0;
  for (let id = 0; id < cpu.config.cpus; id++) left += cpu.mem.loadAcquire(all + id * PC_SIZE + PC_PENDING);
  return left;
}

function dirty_all_cpus(cpu: Cpu, all: number): void {
  for (let id = 0; id < cpu.config.cpus; id++)
    cpu.mem.storeRelease(all + id * PC_SIZE + PC_PENDING, PER_CPU_UNITS);
}

/** Works that queue themselves while there is more to do, and a shepherd that finds idle CPUs (mm/vmstat.c). */
export function wqt_18_vmstat_shepherd(cpu: Cpu, t: Checks): void {
  const { cpus } = cpu.config;
  const wq = alloc_workqueue(cpu, "wqt18", WQ_PERCPU, 0);
  const all = kzalloc(cpu, cpus * PC_SIZE, GFP_KERNEL);
  for (let id = 0; id < cpus; id++) {
    INIT_DELAYED_WORK(cpu, all + id * PC_SIZE, UPDATE);
    cpu.mem.write(all + id * PC_SIZE + PC_WQ, wq);
  }
  dirty_all_cpus(cpu, all);
  for (let id = 0; id < cpus; id++) queue_delayed_work_on(cpu, id, wq, all + id * PC_SIZE, 0);
  for (let ms = 0; units_left(cpu, all) > 0 && ms < LONG_MS; ms++) msleep(cpu, 1);
  t.equal(units_left(cpu, all), 0, "units left after one kick a CPU");
  flush_workqueue(cpu, wq);
  for (let id = 0; id < cpus; id++)
    t.ok(
      !delayed_work_pending(cpu, all + id * PC_SIZE),
      `the work of CPU ${id} is not armed when all is drained`,
    );

  dirty_all_cpus(cpu, all);
  for (let ms = 0; units_left(cpu, all) > 0 && ms < LONG_MS; ms++) {
    vmstat_shepherd(cpu, wq, all);
    msleep(cpu, 1);
  }
  t.equal(units_left(cpu, all), 0, "units left after the shepherd went round");
  for (let id = 0; id < cpus; id++) cancel_delayed_work_sync(cpu, all + id * PC_SIZE);
  destroy_workqueue(cpu, wq);
  kfree(cpu, all);
}

// wqt_19: an object that is looked up under RCU, and what scratch memory holds for both bodies.
const RES_REF = RCU_WORK_SIZE;
const RES_ID = RCU_WORK_SIZE + 4;
const RES_SCRATCH = RCU_WORK_SIZE + 8;
const RES_SIZE = RCU_WORK_SIZE + 12;
const ID = 0x1957;
const PUBLISHED = 0;
const RES_WQ = 4;
const FREED = 8;
const USED = 12;
const ATOMIC_FREES = 16;
const RES_FREE = kernel_symbol(res_free);

function res_free(cpu: Cpu, res: number): void {
  const scratch = cpu.mem.read(res + RES_SCRATCH);
  if (in_atomic(cpu)) cpu.mem.fetchAdd(scratch + ATOMIC_FREES, 1);
  kfree(cpu, res);
  cpu.mem.fetchAdd(scratch + FREED, 1);
}

function res_put(cpu: Cpu, res: number): void {
  if (!refcount_dec_and_test(cpu, res + RES_REF)) return;
  const wq = cpu.mem.read(cpu.mem.read(res + RES_SCRATCH) + RES_WQ) as WorkqueuePtr;
  INIT_RCU_WORK(cpu, res, RES_FREE);
  queue_rcu_work(cpu, wq, res);
}

function res_lookup(cpu: Cpu, scratch: number): number {
  rcu_read_lock(cpu);
  const res = rcu_dereference(cpu, scratch + PUBLISHED);
  const found = res !== 0 && refcount_inc_not_zero(cpu, res + RES_REF) ? res : 0;
  rcu_read_unlock(cpu);
  return found;
}

/** The reader: looks the object up and uses it until it is gone. */
export function wqt_19_reader(cpu: Cpu, t: Checks): void {
  t.meet();
  while (cpu.mem.loadAcquire(t.scratch + FREED) === 0) {
    const res = res_lookup(cpu, t.scratch);
    if (res !== 0) {
      t.equal(cpu.mem.readOnce(res + RES_ID), ID, "the object's id");
      cpu.mem.fetchAdd(t.scratch + USED, 1);
      res_put(cpu, res);
    }
    cond_resched(cpu);
  }
  t.meet();
}

/** An object that readers look up under RCU is freed by an rcu_work, once and when no reader sees it (fs/aio.c). */
export function wqt_19_rcu_free(cpu: Cpu, t: Checks): void {
  const wq = alloc_workqueue(cpu, "wqt19", WQ_PERCPU, 0);
  const res = kzalloc(cpu, RES_SIZE, GFP_KERNEL);
  cpu.mem.write(res + RES_ID, ID);
  cpu.mem.write(res + RES_SCRATCH, t.scratch);
  cpu.mem.write(t.scratch + RES_WQ, wq);
  refcount_set(cpu, res + RES_REF, 1);
  rcu_assign_pointer(cpu, t.scratch + PUBLISHED, res);
  t.meet();
  for (let ms = 0; cpu.mem.loadAcquire(t.scratch + USED) === 0 && ms < LONG_MS; ms++) msleep(cpu, 1);
  t.ok(cpu.mem.loadAcquire(t.scratch + USED) > 0, "the reader uses the object");
  rcu_assign_pointer(cpu, t.scratch + PUBLISHED, 0);
  res_put(cpu, res);
  t.meet();
  t.equal(cpu.mem.loadAcquire(t.scratch + FREED), 1, "times the object was freed");
  t.equal(cpu.mem.loadAcquire(t.scratch + ATOMIC_FREES), 0, "frees in atomic context");
  t.note(`the reader used the object ${cpu.mem.loadAcquire(t.scratch + USED)} times`);
  destroy_workqueue(cpu, wq);
}

// wqt_20: a highpri work and how many normal ones were done when it ran.
const HI_SAW = WORK_STRUCT_SIZE;
const HI_BATCH_DONE = WORK_STRUCT_SIZE + 4;
const HI = kernel_symbol(look_at_backlog);

function look_at_backlog(cpu: Cpu, work: number): void {
  cpu.mem.storeRelease(work + HI_SAW, cpu.mem.loadAcquire(cpu.mem.read(work + HI_BATCH_DONE)));
}

/** A highpri work does not wait behind the normal backlog of the same CPU. */
export function wqt_20_highpri(cpu: Cpu, t: Checks): void {
  const normal_wq = alloc_workqueue(cpu, "wqt20_norm", WQ_PERCPU, 0);
  const hi_wq = alloc_workqueue(cpu, "wqt20_hi", WQ_PERCPU | WQ_HIGHPRI, 0);
  const batch = batch_alloc(cpu, 16, NAP);
  const hi = t.scratch;
  INIT_WORK(cpu, hi, HI);
  cpu.mem.write(hi + HI_SAW, -1);
  cpu.mem.write(hi + HI_BATCH_DONE, batch.base);
  for (let i = 0; i < batch.size; i++) queue_work_on(cpu, 0, normal_wq, item(batch, i));
  queue_work_on(cpu, 0, hi_wq, hi);
  flush_work(cpu, hi);
  const saw = cpu.mem.loadAcquire(hi + HI_SAW);
  t.ok(saw >= 0 && saw < batch.size, `the highpri work ran after ${saw} of ${batch.size} normal ones`);
  t.note(`highpri after ${saw} of ${batch.size} normal works`);
  flush_workqueue(cpu, normal_wq);
  t.equal(done_count(cpu, batch), batch.size, "normal works run");
  destroy_workqueue(cpu, normal_wq);
  destroy_workqueue(cpu, hi_wq);
  batch_free(cpu, batch);
}

// wqt_21: the bottom half, its lock and counters.
const BH_LOCK = WORK_STRUCT_SIZE;
const BH_PENDING = BH_LOCK + 4;
const BH_CONSUMED = BH_LOCK + 8;
const BH_RUNS = BH_LOCK + 12;
const BH_ATOMIC = BH_LOCK + 16;
const EVENTS = 2000;
const BOTTOM_HALF = kernel_symbol(bottom_half);

function bottom_half(cpu: Cpu, work: number): void {
  if (in_atomic(cpu)) cpu.mem.fetchAdd(work + BH_ATOMIC, 1);
  cpu.mem.fetchAdd(work + BH_RUNS, 1);
  spin_lock_irqsave(cpu, work + BH_LOCK);
  const events = cpu.mem.read(work + BH_PENDING);
  cpu.mem.write(work + BH_PENDING, 0);
  spin_unlock_irqrestore(cpu, work + BH_LOCK);
  cpu.mem.fetchAdd(work + BH_CONSUMED, events);
}

function top_half(cpu: Cpu, work: number): void {
  spin_lock_irqsave(cpu, work + BH_LOCK);
  cpu.mem.write(work + BH_PENDING, cpu.mem.read(work + BH_PENDING) + 1);
  spin_unlock_irqrestore(cpu, work + BH_LOCK);
  queue_work(cpu, system_wq(cpu), work);
}

/** Events that a top half buffers are all consumed by the work it kicks; kicks coalesce (tty_buffer). */
export function wqt_21_irq_bh(cpu: Cpu, t: Checks): void {
  const work = t.scratch;
  INIT_WORK(cpu, work, BOTTOM_HALF);
  spin_lock_init(cpu, work + BH_LOCK);
  for (let i = 0; i < EVENTS; i++) top_half(cpu, work);
  flush_work(cpu, work);
  const ran = cpu.mem.loadAcquire(work + BH_RUNS);
  t.equal(cpu.mem.loadAcquire(work + BH_CONSUMED), EVENTS, "events consumed");
  t.equal(cpu.mem.loadAcquire(work + BH_ATOMIC), 0, "runs in atomic context");
  t.ok(ran >= 1 && ran <= EVENTS, `runs of the bottom half: ${ran}`);
  t.note(`${EVENTS} events in ${ran} runs`);
  cancel_work_sync(cpu, work);
}
