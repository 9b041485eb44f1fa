/**
 * What the percpu_ref cases share: one reference in the scratch memory, whose callbacks count, and a look at its
 * words.
 *
 * Interface: `open(cpu, t, flags)` on the body that owns it, at the end `close(cpu, t)`; other bodies use ref_of(t).
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import {
  __PERCPU_REF_ATOMIC_DEAD,
  ALLOW_REINIT,
  COUNT,
  data_of,
  FORCE_ATOMIC,
  PERCPU_COUNT_PTR,
} from "@ringside/core/ref/percpu-ref-count";
import { percpu_ref_exit, percpu_ref_init, type PercpuRefPtr } from "@ringside/core/ref/percpu-ref";
import { rcu_barrier, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Checks } from "../checks.ts";

// In the scratch memory; the reference comes first, on a line of its own.
const RELEASED = 128;
const CONFIRMED = 132;
/** Released when it was confirmed last: one bit that tells the order. */
const CONFIRMED_AFTER_RELEASE = 136;
/** References held, as their holders count them; releases while it was not 0. */
const HOLDERS = 256;
const EARLY = 384;
/** Free for the cases. */
export const FLAG = 512;
export const COUNTER = 640;

const RELEASE = kernel_symbol(percpu_ref_case_release);
export const CONFIRM: number = kernel_symbol(percpu_ref_case_confirm);

function percpu_ref_case_release(cpu: Cpu, ref: number): void {
  if (cpu.mem.loadAcquire(ref + HOLDERS) !== 0) cpu.mem.fetchAdd(ref + EARLY, 1);
  cpu.mem.fetchAdd(ref + RELEASED, 1);
}

function percpu_ref_case_confirm(cpu: Cpu, ref: number): void {
  if (cpu.mem.loadAcquire(ref + RELEASED) !== 0) cpu.mem.storeRelease(ref + CONFIRMED_AFTER_RELEASE, 1);
  cpu.mem.fetchAdd(ref + CONFIRMED, 1);
}

export function ref_of(t: Checks): PercpuRefPtr {
  return t.scratch as PercpuRefPtr;
}

export function open(cpu: Cpu, t: Checks, flags: number): PercpuRefPtr {
  t.equal(percpu_ref_init(cpu, ref_of(t), RELEASE, flags, GFP_KERNEL), 0, "percpu_ref_init");
  return ref_of(t);
}

/** Lets every callback in flight run, then frees it. */
export function close(cpu: Cpu, t: Checks): void {
  rcu_barrier(cpu);
  percpu_ref_exit(cpu, ref_of(t));
}

/** How often release ran. */
export function released(cpu: Cpu, t: Checks): number {
  return cpu.mem.loadAcquire(t.scratch + RELEASED);
}

export function confirmed(cpu: Cpu, t: Checks): number {
  return cpu.mem.loadAcquire(t.scratch + CONFIRMED);
}

export function confirmed_after_release(cpu: Cpu, t: Checks): boolean {
  return cpu.mem.loadAcquire(t.scratch + CONFIRMED_AFTER_RELEASE) !== 0;
}

/** Another life begins: the callbacks may run again. */
export function forget_callbacks(cpu: Cpu, t: Checks): void {
  cpu.mem.storeRelease(t.scratch + RELEASED, 0);
  cpu.mem.storeRelease(t.scratch + CONFIRMED, 0);
}

export function hold(cpu: Cpu, t: Checks): void {
  cpu.mem.fetchAdd(t.scratch + HOLDERS, 1);
}

/** Before the put: from here on a release is not early on our account. */
export function let_go(cpu: Cpu, t: Checks): void {
  cpu.mem.fetchSub(t.scratch + HOLDERS, 1);
}

/** Releases that came while a reference was held. */
export function early_releases(cpu: Cpu, t: Checks): number {
  return cpu.mem.loadAcquire(t.scratch + EARLY);
}

/** ATOMIC = 1 and DEAD = 2. */
export function flags_of(cpu: Cpu, ref: PercpuRefPtr): number {
  return cpu.mem.readOnce(ref + PERCPU_COUNT_PTR) & __PERCPU_REF_ATOMIC_DEAD;
}

/** The atomic counter, without the shards. */
export function count_of(cpu: Cpu, ref: PercpuRefPtr): number {
  return cpu.mem.readOnce(data_of(cpu, ref) + COUNT);
}

export function allows_reinit(cpu: Cpu, ref: PercpuRefPtr): boolean {
  return cpu.mem.readOnce(data_of(cpu, ref) + ALLOW_REINIT) !== 0;
}

export function is_forced_atomic(cpu: Cpu, ref: PercpuRefPtr): boolean {
  return cpu.mem.readOnce(data_of(cpu, ref) + FORCE_ATOMIC) !== 0;
}

/** Runs `inside` where no grace period that starts in it can end. */
export function inside_reader(cpu: Cpu, inside: () => void): void {
  rcu_read_lock(cpu);
  inside();
  rcu_read_unlock(cpu);
}

/** Long enough, in a reader, for a grace period that does not wait for it. */
export function dawdle(cpu: Cpu, ms: number): void {
  const end = cpu.now() + ms;
  while (cpu.now() < end) cpu.mem.pause();
}
