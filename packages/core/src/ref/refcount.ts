/**
 * refcount_t (include/linux/refcount.h, lib/refcount.c): a counter that saturates instead of wrapping, and
 * warns on the patterns of use-after-free. Signed 32-bit.
 *
 * The fast path does the raw read-modify-write first and stores REFCOUNT_SATURATED after, as the kernel
 * does: others may see the value in between.
 */
import type { Ptr } from "atomics-sync";
import { WARN_ONCE } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";

export type RefcountPtr = Ptr<"refcount">;

export const REFCOUNT_SIZE = 4;
export const REFCOUNT_MAX = 0x7fffffff;
export const REFCOUNT_SATURATED = -0x40000000;

const ADD_NOT_ZERO_OVF = "refcount_t: saturated; leaking memory.";
const ADD_OVF = ADD_NOT_ZERO_OVF;
const ADD_UAF = "refcount_t: addition on 0; use-after-free.";
const SUB_UAF = "refcount_t: underflow; use-after-free.";
const DEC_LEAK = "refcount_t: decrement hit 0; leaking memory.";

/** refcount_warn_saturate: stores the saturated value, warns once per site. */
function refcount_warn_saturate(cpu: Cpu, r: number, text: string): void {
  cpu.mem.writeOnce(r, REFCOUNT_SATURATED);
  WARN_ONCE(cpu, true, text);
}

export function refcount_set(cpu: Cpu, r: number, n: number): void {
  cpu.mem.writeOnce(r, n);
}

export function refcount_read(cpu: Cpu, r: number): number {
  return cpu.mem.readOnce(r);
}

/** The sum as the machine sees it: wraps at 32 bits. */
function wrap(n: number): number {
  return n | 0;
}

export function refcount_add(cpu: Cpu, i: number, r: number): void {
  const old = cpu.mem.fetchAdd(r, i);
  if (old === 0) refcount_warn_saturate(cpu, r, ADD_UAF);
  else if (old < 0 || wrap(old + i) < 0) refcount_warn_saturate(cpu, r, ADD_OVF);
}

export function refcount_inc(cpu: Cpu, r: number): void {
  refcount_add(cpu, 1, r);
}

/** Adds unless 0. Returns whether it was not 0. */
export function refcount_add_not_zero(cpu: Cpu, i: number, r: number): boolean {
  let old = cpu.mem.readOnce(r);
  for (;;) {
    if (old === 0) return false;
    const seen = cpu.mem.compareExchange(r, old, wrap(old + i));
    if (seen === old) break;
    old = seen;
  }
  if (old < 0 || wrap(old + i) < 0) refcount_warn_saturate(cpu, r, ADD_NOT_ZERO_OVF);
  return true;
}

export function refcount_inc_not_zero(cpu: Cpu, r: number): boolean {
  return refcount_add_not_zero(cpu, 1, r);
}

/**
 * Subtracts; true when that made it 0. Release, and acquire on true: whoever frees sees what every other
 * holder did before it let go.
 */
export function refcount_sub_and_test(cpu: Cpu, i: number, r: number): boolean {
  const old = cpu.mem.fetchSub(r, i);
  if (old > 0 && old === i) return true;
  if (old <= 0 || wrap(old - i) < 0) refcount_warn_saturate(cpu, r, SUB_UAF);
  return false;
}

export function refcount_dec_and_test(cpu: Cpu, r: number): boolean {
  return refcount_sub_and_test(cpu, 1, r);
}

/** Decrements a count that cannot reach 0. */
export function refcount_dec(cpu: Cpu, r: number): void {
  if (cpu.mem.fetchSub(r, 1) <= 1) refcount_warn_saturate(cpu, r, DEC_LEAK);
}

/** 1 becomes 0 and true; any other value stays, false. */
export function refcount_dec_if_one(cpu: Cpu, r: number): boolean {
  return cpu.mem.compareExchange(r, 1, 0) === 1;
}

/** Decrements unless 1. False when it was 1; the value 0 warns and stays, saturated stays. */
export function refcount_dec_not_one(cpu: Cpu, r: number): boolean {
  let value = cpu.mem.readOnce(r);
  for (;;) {
    if (value === REFCOUNT_SATURATED) return true;
    if (value === 1) return false;
    if (value === 0) {
      WARN_ONCE(cpu, true, SUB_UAF);
      return true;
    }
    const seen = cpu.mem.compareExchange(r, value, value - 1);
    if (seen === value) return true;
    value = seen;
  }
}
