/**
 * Cpu: the context every kernel function takes first. One per thread: its memory, its number, its per-CPU
 * area, and the state only this thread ever touches.
 *
 * Interface: the thread's entry point makes one; kernel code passes it on and never keeps it elsewhere.
 */
import type { Memory } from "atomics-sync";
import { PERCPU_AREA, PERCPU_STACK } from "../debug/image.ts";
import { LockdepThread } from "../lock/lockdep-thread.ts";
import { type KernelConfig, memory_map, type MemoryMap, nr_threads } from "../mm/memory-map.ts";
import { SpinBudget } from "./spin-budget.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const AREA = PERCPU_AREA;

/** What the kernel needs from the world around it. */
export interface Platform {
  /** Milliseconds on a clock equal in all threads. */
  now(): number;
  /** Runs other threads' work when this thread would sleep; solo kernels only. False: nothing to do. */
  idle?(cpu: Cpu): boolean;
  /** A choice of whoever searches executions: 0 ... n-1; 0 is the ordinary case. */
  choose?(n: number): number;
  /** Is told of every warning, bug and violation before it enters the log. */
  logged?(level: number, text: string): void;
  /** Keeps the names of sites instead of the table in shared memory. */
  readonly sites?: SiteNames;
}

/** Names of sites by number: 1 ... SITE_RECORDS-1, 0 for none. */
export interface SiteNames {
  site_number(text: string): number;
  site_name(id: number): string;
}

/** preempt_count: spinlocks held and softirq context; both forbid sleeping. */
export const SOFTIRQ_OFFSET = 0x100;

export class Cpu {
  readonly mem: Memory;
  /** smp_processor_id(): 0 ... nr_cpu_ids-1; kernel threads count too. */
  readonly id: number;
  readonly config: KernelConfig;
  readonly map: MemoryMap;
  readonly platform: Platform;
  /** Address of this CPU's per-CPU area; `current` is its start. */
  readonly percpu: number;
  /** percpu_ref shards are plain words of their owner. */
  readonly ownerShards: boolean;
  /** The lock validator watches. */
  readonly lockdep: boolean;
  /** RCU watches this CPU in read sections only. */
  readonly rcu_strict: boolean;
  /** Read sections have more to do than to count: for the validator, or for strict grace periods. */
  readonly rcu_watched: boolean;
  /** What the validator keeps for this thread alone. */
  readonly lock_state: LockdepThread;
  /** Nesting of RCU read sections. */
  rcu_nesting: number = 0;
  /** Spinlocks held, plus SOFTIRQ_OFFSET in softirq context. */
  preempt_count: number = 0;
  /** Inside an interrupt handler. */
  in_irq: boolean = false;
  /** The worker struct this thread runs as, or 0 (PF_WQ_WORKER). */
  worker: number = 0;
  /** The open block plug of this task, or 0 (current->plug). */
  plug: number = 0;
  /** Top of the kernel stack. */
  sp: number;
  /** State of random32: xorshift, never 0. */
  random_state: number;
  /** For work and wake-ups. */
  readonly idle_spin: SpinBudget = new SpinBudget();
  /** For the device's answer to a flush of its IOTLB. */
  readonly flush_spin: SpinBudget = new SpinBudget();
  /** The last show_state request this task has answered. */
  shown: number = 0;
  /** Ids of the sites this thread has named already. */
  readonly site_ids: Map<string, number> = new Map<string, number>();

  constructor(mem: Memory, id: number, config: KernelConfig, platform: Platform) {
    this.mem = mem;
    this.id = id;
    this.config = config;
    this.map = memory_map(config);
    this.platform = platform;
    this.percpu = this.map.percpu + id * AREA;
    this.lockdep = config.lockdep;
    this.rcu_strict = config.rcu === "strict";
    this.rcu_watched = config.lockdep || this.rcu_strict;
    this.lock_state = new LockdepThread(this.map.lockdep, id, nr_threads(config) + 1, this.map.pages_end);
    this.ownerShards = config.percpu === "owner";
    this.sp = this.percpu + PERCPU_STACK;
    this.random_state = (Math.imul(config.seed, 0x9e3779b1) ^ Math.imul(id + 1, 0x85ebca6b)) | 1;
  }

  /** Milliseconds since the machine's epoch; jiffies are whole ones. */
  now(): number {
    return this.platform.now();
  }

  /** Uniform in 0 ... 2^32-1; repeats for the same seed and CPU. */
  random32(): number {
    let x = this.random_state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.random_state = x;
    return x >>> 0;
  }
}

/** Number of possible CPUs: every thread of the machine that runs kernel code. */
export function nr_cpu_ids(cpu: Cpu): number {
  return nr_threads(cpu.config);
}

export function this_cpu_ptr(cpu: Cpu, offset: number): number {
  return cpu.percpu + offset;
}

export function per_cpu_ptr(cpu: Cpu, offset: number, id: number): number {
  return cpu.map.percpu + id * AREA + offset;
}

/** Reserves zeroed bytes on the kernel stack. Release in reverse order with stack_pop. */
export function stack_push(cpu: Cpu, bytes: number): number {
  const p = cpu.sp;
  cpu.sp = p + ((bytes + 7) & ~7);
  if (cpu.sp > cpu.percpu + AREA) throw new Error("BUG: kernel stack overflow");
  cpu.mem.memset(p, 0, cpu.sp - p);
  return p;
}

export function stack_pop(cpu: Cpu, p: number): void {
  cpu.sp = p;
}
