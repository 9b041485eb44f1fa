/** What the CPUs do in workqueue-pools.test.ts: pools per CPU, rescuers, queues that come and go. */
import { dmesg_read } from "../debug/dmesg.ts";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { complete_all, COMPLETION_SIZE, init_completion, wait_for_completion } from "../sched/completion.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import {
  alloc_workqueue,
  cancel_work_sync,
  destroy_workqueue,
  drain_workqueue,
  flush_rcu_work,
  flush_work,
  flush_workqueue,
  INIT_RCU_WORK,
  INIT_WORK,
  queue_rcu_work,
  queue_work,
  queue_work_on,
  raw_smp_processor_id,
  RCU_WORK_SIZE,
  system_wq,
  work_busy,
  workqueue_set_max_active,
  WQ_MEM_RECLAIM,
  WQ_UNBOUND,
  type WorkqueuePtr,
  WORK_STRUCT_SIZE,
} from "../sched/workqueue.ts";
import { msleep } from "../sched/delay.ts";
import { linger, rendezvous, wait_until } from "./rendezvous.ts";

const POINT = kernel_static("pool_test_point", 4);
const RUNNING = kernel_static("pool_test_running", 4);
const PEAK = kernel_static("pool_test_peak", 4);
const RAN = kernel_static("pool_test_ran", 4);
const WRONG = kernel_static("pool_test_wrong", 4);
const QUEUE = kernel_static("pool_test_queue", 4);
const GATE = kernel_static("pool_test_gate", COMPLETION_SIZE);
const STARTED = kernel_static("pool_test_started", 4);
/** Works that all CPUs share. */
const ITEMS = 8;
const ITEM_SIZE = 128;
const ITEM_RUNNING = WORK_STRUCT_SIZE;
const ITEM_TABLE = kernel_static("pool_test_items", ITEMS * ITEM_SIZE);
/** A work and the CPU it is queued on. */
const TARGET = WORK_STRUCT_SIZE;
const AIMED_SIZE = TARGET + 8;

const ON_TARGET = kernel_symbol(on_target);
const EXCLUSIVE = kernel_symbol(exclusive);
const SPIN = kernel_symbol(spin);
const BLOCK = kernel_symbol(block);
const OPEN_GATE = kernel_symbol(open_gate);
const COUNT = kernel_symbol(count);
const CHAIN = kernel_symbol(chain);
const FREE_ROUND = kernel_symbol(free_round);

function raise_peak(cpu: Cpu): void {
  const now = cpu.mem.fetchAdd(RUNNING, 1) + 1;
  for (;;) {
    const peak = cpu.mem.loadAcquire(PEAK);
    if (now <= peak || cpu.mem.compareExchange(PEAK, peak, now) === peak) return;
  }
}

function on_target(cpu: Cpu, work: number): void {
  if (raw_smp_processor_id(cpu) !== cpu.mem.read(work + TARGET)) cpu.mem.fetchAdd(WRONG, 1);
  cpu.mem.fetchAdd(RAN, 1);
}

/** Works that did not run on the CPU they were queued on, or not at all. */
export function aim_at_cpus(cpu: Cpu, rounds: number): number {
  const wq = alloc_workqueue(cpu, "aimed", 0, 0);
  const works = stack_push(cpu, 16 * AIMED_SIZE);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 16; i++) {
      const work = works + i * AIMED_SIZE;
      INIT_WORK(cpu, work, ON_TARGET);
      const id = cpu.random32() % cpu.config.cpus;
      cpu.mem.write(work + TARGET, id);
      queue_work_on(cpu, id, wq, work);
    }
    flush_workqueue(cpu, wq);
  }
  destroy_workqueue(cpu, wq);
  stack_pop(cpu, works);
  return cpu.mem.loadAcquire(WRONG) + 16 * rounds - cpu.mem.loadAcquire(RAN);
}

/** Runs for a while without blocking. */
function spin(cpu: Cpu): void {
  raise_peak(cpu);
  const until = cpu.now() + 5;
  while (cpu.now() < until) cond_resched(cpu);
  cpu.mem.fetchSub(RUNNING, 1);
}

/** The most works that ran at once when 6 that never block were queued on `spread` CPUs in turn. */
export function peak_of_busy(cpu: Cpu, spread: number, flags: number): number {
  const wq = alloc_workqueue(cpu, "busy", flags, 0);
  const works = stack_push(cpu, 6 * WORK_STRUCT_SIZE);
  for (let i = 0; i < 6; i++) {
    INIT_WORK(cpu, works + i * WORK_STRUCT_SIZE, SPIN);
    queue_work_on(cpu, i % spread, wq, works + i * WORK_STRUCT_SIZE);
  }
  destroy_workqueue(cpu, wq);
  stack_pop(cpu, works);
  return cpu.mem.exchange(PEAK, 0);
}

function exclusive(cpu: Cpu, work: number): void {
  if (cpu.mem.fetchAdd(work + ITEM_RUNNING, 1) !== 0) cpu.mem.fetchAdd(WRONG, 1);
  linger(cpu, 400);
  if (cpu.random32() % 8 === 0) msleep(cpu, 1);
  cpu.mem.fetchSub(work + ITEM_RUNNING, 1);
  cpu.mem.fetchAdd(RAN, 1);
}
export function set_up_shared(cpu: Cpu): void {
  cpu.mem.write(QUEUE, alloc_workqueue(cpu, "shared", 0, 0));
  for (let i = 0; i < ITEMS; i++) INIT_WORK(cpu, ITEM_TABLE + i * ITEM_SIZE, EXCLUSIVE);
}

/** All CPUs queue the same items on all CPUs, and look, flush, cancel. Successful queueings less cancellations. */
export function queue_everywhere(cpu: Cpu, rounds: number): number {
  const wq = cpu.mem.read(QUEUE) as WorkqueuePtr;
  rendezvous(cpu, POINT, cpu.config.cpus);
  let queued = 0;
  for (let round = 0; round < rounds; round++) {
    const work = ITEM_TABLE + (cpu.random32() % ITEMS) * ITEM_SIZE;
    if (queue_work_on(cpu, cpu.random32() % cpu.config.cpus, wq, work)) queued++;
    const dice = cpu.random32() % 64;
    if (dice === 0) flush_work(cpu, work);
    else if (dice === 1 && cancel_work_sync(cpu, work)) queued--;
    else if (dice === 2) work_busy(cpu, work);
    else if (dice === 3) workqueue_set_max_active(cpu, wq, 1 + (cpu.random32() % 3));
    else if (dice === 4) flush_workqueue(cpu, wq);
    cond_resched(cpu);
  }
  return queued;
}
export function tear_down_shared(cpu: Cpu): { ran: number; overlaps: number } {
  destroy_workqueue(cpu, cpu.mem.read(QUEUE) as WorkqueuePtr);
  return { ran: cpu.mem.loadAcquire(RAN), overlaps: cpu.mem.loadAcquire(WRONG) };
}

function block(cpu: Cpu): void {
  cpu.mem.fetchAdd(STARTED, 1);
  wait_for_completion(cpu, GATE);
}
function open_gate(cpu: Cpu): void {
  if (cpu.mem.fetchAdd(RAN, 1) === 0) complete_all(cpu, GATE);
}

/** Blocks `blockers` kworkers until a work of a queue with `flags`, queued after them, has run. */
export function need_rescue(cpu: Cpu, blockers: number, flags: number): string[] {
  const wq = alloc_workqueue(cpu, "rescued", flags, 0);
  const works = stack_push(cpu, (blockers + 3) * WORK_STRUCT_SIZE);
  init_completion(cpu, GATE);
  for (let i = 0; i < blockers; i++) {
    INIT_WORK(cpu, works + i * WORK_STRUCT_SIZE, BLOCK);
    queue_work(cpu, system_wq(cpu), works + i * WORK_STRUCT_SIZE);
  }
  wait_until(cpu, STARTED, blockers);
  for (let i = blockers; i < blockers + 3; i++) {
    INIT_WORK(cpu, works + i * WORK_STRUCT_SIZE, OPEN_GATE);
    queue_work_on(cpu, i % cpu.config.cpus, wq, works + i * WORK_STRUCT_SIZE);
  }
  // Not a flush, which would look after the pool.
  wait_until(cpu, RAN, 3);
  destroy_workqueue(cpu, wq);
  flush_workqueue(cpu, system_wq(cpu));
  stack_pop(cpu, works);
  return dmesg_read(cpu, 0).map((record) => record.text);
}

/** Makes reclaiming queues until it is refused; how many there were, twice. */
export function rescuers_there_are(cpu: Cpu): number[] {
  return [1, 2].map(() => {
    const queues: WorkqueuePtr[] = [];
    for (;;) {
      const wq = alloc_workqueue(cpu, "reclaim", WQ_MEM_RECLAIM, 0);
      if (wq === 0) break;
      queues.push(wq);
    }
    for (const wq of queues) destroy_workqueue(cpu, wq);
    return queues.length;
  });
}

/** All threads but one block, so that no rescuer can be had; the refusal must not take for ever. */
export function refused_rescuer(cpu: Cpu, blockers: number): boolean {
  const works = stack_push(cpu, blockers * WORK_STRUCT_SIZE);
  init_completion(cpu, GATE);
  for (let i = 0; i < blockers; i++) {
    INIT_WORK(cpu, works + i * WORK_STRUCT_SIZE, BLOCK);
    queue_work(cpu, system_wq(cpu), works + i * WORK_STRUCT_SIZE);
  }
  wait_until(cpu, STARTED, blockers);
  const wq = alloc_workqueue(cpu, "refused", WQ_MEM_RECLAIM, 0);
  complete_all(cpu, GATE);
  flush_workqueue(cpu, system_wq(cpu));
  stack_pop(cpu, works);
  return wq === 0;
}

function count(cpu: Cpu): void {
  linger(cpu, 200);
  cpu.mem.fetchAdd(RAN, 1);
}

/** Queues come and go with works on them; others flush and cancel these works meanwhile. */
export function come_and_go(cpu: Cpu, rounds: number): void {
  rendezvous(cpu, POINT, cpu.config.cpus);
  const work = ITEM_TABLE;
  if (cpu.id !== 0) {
    while (cpu.mem.loadAcquire(STARTED) === 0) {
      if (cpu.random32() % 2 === 0) flush_work(cpu, work);
      else if (cpu.random32() % 8 === 0) cancel_work_sync(cpu, work);
      else work_busy(cpu, work);
      cond_resched(cpu);
    }
    return;
  }
  for (let round = 0; round < rounds; round++) {
    const wq = alloc_workqueue(cpu, "short", round % 2 === 0 ? WQ_UNBOUND : 0, 1);
    for (let i = 0; i < 4; i++) {
      queue_work_on(cpu, i % cpu.config.cpus, wq, ITEM_TABLE + i * ITEM_SIZE);
    }
    destroy_workqueue(cpu, wq);
  }
  cpu.mem.storeRelease(STARTED, 1);
}
export function set_up_counted(cpu: Cpu): void {
  for (let i = 0; i < ITEMS; i++) INIT_WORK(cpu, ITEM_TABLE + i * ITEM_SIZE, COUNT);
}

/** Fewer than the flushes after which a drain complains. */
const LINKS = 8;

/** Queues itself on another CPU until it has run often enough. */
function chain(cpu: Cpu, work: number): void {
  const ran = cpu.mem.fetchAdd(RAN, 1) + 1;
  if (ran % LINKS === 0) return;
  const wq = cpu.mem.read(QUEUE) as WorkqueuePtr;
  if (!queue_work_on(cpu, cpu.random32() % cpu.config.cpus, wq, work)) cpu.mem.fetchAdd(WRONG, 1);
}
/** drain_workqueue waits for works that queue themselves; runs there are too few. */
export function drain_chains(cpu: Cpu, rounds: number): number {
  const wq = alloc_workqueue(cpu, "chain", 0, 0);
  cpu.mem.write(QUEUE, wq);
  const work = stack_push(cpu, WORK_STRUCT_SIZE);
  INIT_WORK(cpu, work, CHAIN);
  let wrong = 0;
  for (let round = 1; round <= rounds; round++) {
    queue_work(cpu, wq, work);
    drain_workqueue(cpu, wq);
    if (cpu.mem.loadAcquire(RAN) !== round * LINKS) wrong++;
  }
  destroy_workqueue(cpu, wq);
  stack_pop(cpu, work);
  return wrong + cpu.mem.loadAcquire(WRONG);
}

function free_round(cpu: Cpu): void {
  cpu.mem.fetchAdd(RAN, 1);
}
/** rcu_works of several CPUs at once: runs less successful queueings. */
export function rcu_rounds(cpu: Cpu, rounds: number): number {
  const rwork = stack_push(cpu, RCU_WORK_SIZE);
  INIT_RCU_WORK(cpu, rwork, FREE_ROUND);
  let queued = 0;
  let taken = 0;
  for (let round = 0; round < rounds; round++) {
    if (queue_rcu_work(cpu, system_wq(cpu), rwork)) queued++;
    // Linux forbids it and would spin until the grace period has passed; so do we, and let it pass.
    if (round % 5 === 4 && cancel_work_sync(cpu, rwork)) taken++;
    if (round % 3 === 0) flush_rcu_work(cpu, rwork);
  }
  flush_rcu_work(cpu, rwork);
  stack_pop(cpu, rwork);
  return queued - taken;
}
export function ran_in_all(cpu: Cpu): number {
  return cpu.mem.loadAcquire(RAN);
}
/** All kworkers block for `ms` while a work waits. What the log says then. */
export function starve(cpu: Cpu, blockers: number, ms: number): string[] {
  const works = stack_push(cpu, (blockers + 1) * WORK_STRUCT_SIZE);
  init_completion(cpu, GATE);
  for (let i = 0; i <= blockers; i++) {
    INIT_WORK(cpu, works + i * WORK_STRUCT_SIZE, i < blockers ? BLOCK : COUNT);
    queue_work(cpu, system_wq(cpu), works + i * WORK_STRUCT_SIZE);
  }
  msleep(cpu, ms);
  complete_all(cpu, GATE);
  flush_workqueue(cpu, system_wq(cpu));
  stack_pop(cpu, works);
  return dmesg_read(cpu, 0).map((record) => record.text);
}

/** Bodies get the same arguments on every CPU. */
export function nothing(): void {}
