/** What the CPUs do in virtual-clock.test.ts. */
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { synchronize_rcu } from "../rcu/rcu.ts";
import {
  complete,
  COMPLETION_SIZE,
  init_completion,
  wait_for_completion_timeout,
} from "../sched/completion.ts";
import type { Cpu } from "../sched/cpu.ts";
import { mdelay, msleep } from "../sched/delay.ts";
import {
  alloc_workqueue,
  destroy_workqueue,
  flush_workqueue,
  INIT_WORK,
  queue_work,
  WORK_STRUCT_SIZE,
  WQ_UNBOUND,
  type WorkqueuePtr,
} from "../sched/workqueue.ts";
import { rendezvous } from "./rendezvous.ts";

const POINT = kernel_static("clock_point", 4);
/** When all bodies go on, in ms. */
const START = kernel_static("clock_start", 4);
const DONE = kernel_static("clock_done", COMPLETION_SIZE);
const WORKS = kernel_static("clock_works", 32 * WORK_STRUCT_SIZE);
/** What happened when: number of entries, then { who, microseconds }. */
const LOG = kernel_static("clock_log", 1024);
const LOG_MAX = 100;
const NAP_WORK = kernel_symbol(nap_work);
const BURN_WORK = kernel_symbol(burn_work);

function note(cpu: Cpu, who: number): void {
  const entry = cpu.mem.fetchAdd(LOG, 1);
  if (entry >= LOG_MAX) return;
  cpu.mem.write(LOG + 8 + entry * 8, who);
  cpu.mem.write(LOG + 12 + entry * 8, cpu.now() * 1000);
}

/** Who and when, in the order it happened; milliseconds since the start. */
export function read_log(cpu: Cpu): string[] {
  const count = Math.min(LOG_MAX, cpu.mem.read(LOG));
  const start = cpu.mem.read(START) * 1000;
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    texts.push(`${(cpu.mem.read(LOG + 12 + i * 8) - start) / 1000} ${cpu.mem.read(LOG + 8 + i * 8)}`);
  }
  return texts;
}

export function set_up(cpu: Cpu): void {
  init_completion(cpu, DONE);
}

/** All CPUs go on at the same time. */
function begin(cpu: Cpu): void {
  rendezvous(cpu, POINT, cpu.config.cpus);
  if (cpu.id === 0) cpu.mem.storeRelease(START, cpu.now() + 10);
  rendezvous(cpu, POINT, cpu.config.cpus);
  msleep(cpu, cpu.mem.loadAcquire(START) - cpu.now());
}

/** Three CPUs sleep 3, 6, 9 ... 2, 4, 6 ... and 5, 10 ... ms. */
export function sleep_in_steps(cpu: Cpu, steps: readonly number[]): void {
  const step = steps[cpu.id] as number;
  begin(cpu);
  for (let i = 0; i < 4; i++) {
    msleep(cpu, step);
    note(cpu, step);
  }
}

/** Computes for a while of real time. */
export function compute(cpu: Cpu, rounds: number): number {
  begin(cpu);
  const before = cpu.now();
  for (let i = 0; i < rounds; i++) cpu.mem.pause();
  const after = cpu.now();
  complete(cpu, DONE);
  return after - before;
}

/** Waits for the other one with a time-out that is far shorter than it takes. */
export function wait_for_compute(cpu: Cpu): number {
  begin(cpu);
  const before = cpu.now();
  const left = wait_for_completion_timeout(cpu, DONE, 1);
  return left > 0 ? cpu.now() - before : -1;
}

/** Sleeps so long, then wakes the other. */
export function wake_after(cpu: Cpu, ms: number): number {
  begin(cpu);
  const before = cpu.now();
  msleep(cpu, ms);
  complete(cpu, DONE);
  return cpu.now() - before;
}

/** Waits for at most 100 ms. */
export function wait_at_most_100(cpu: Cpu): readonly number[] {
  begin(cpu);
  const before = cpu.now();
  const left = wait_for_completion_timeout(cpu, DONE, 100);
  return [left, cpu.now() - before];
}

function nap_work(cpu: Cpu, work: number): void {
  note(cpu, 100 + (work - WORKS) / WORK_STRUCT_SIZE);
  msleep(cpu, 10);
}

/** Works that all sleep: each needs a thread, and most threads have yet to start. */
export function grow(cpu: Cpu, works: number): number {
  begin(cpu);
  const wq = alloc_workqueue(cpu, "grow", WQ_UNBOUND, 0);
  queue_all(cpu, wq, works, NAP_WORK);
  const before = cpu.now();
  flush_workqueue(cpu, wq);
  const took = cpu.now() - before;
  destroy_workqueue(cpu, wq);
  return took;
}

function queue_all(cpu: Cpu, wq: WorkqueuePtr, works: number, fn: number): void {
  for (let i = 0; i < works; i++) {
    INIT_WORK(cpu, WORKS + i * WORK_STRUCT_SIZE, fn);
    queue_work(cpu, wq, WORKS + i * WORK_STRUCT_SIZE);
  }
}

function burn_work(cpu: Cpu, work: number): void {
  mdelay(cpu, 4);
  note(cpu, 100 + (work - WORKS) / WORK_STRUCT_SIZE);
}

/** Works that keep the CPU busy: an unbound queue runs each on a thread, a bound one all on one CPU. */
export function burn(cpu: Cpu, flags: number): void {
  begin(cpu);
  const wq = alloc_workqueue(cpu, "burn", flags, 0);
  queue_all(cpu, wq, 3, BURN_WORK);
  flush_workqueue(cpu, wq);
  destroy_workqueue(cpu, wq);
}

/** A grace period takes no time, whoever sleeps meanwhile. */
export function grace_periods(cpu: Cpu, rounds: number): number {
  begin(cpu);
  const before = cpu.now();
  for (let i = 0; i < rounds; i++) synchronize_rcu(cpu);
  return cpu.now() - before;
}

export function sleep_long(cpu: Cpu): void {
  begin(cpu);
  for (let i = 0; i < 5; i++) msleep(cpu, 1000);
}
