/**
 * refcount_t (include/linux/refcount.h, lib/refcount.c): a counter that saturates instead of wrapping, and
 * warns on the patterns of use-after-free. Signed 32-bit.
 *
 *    0 ... REFCOUNT_MAX          good
 *    negative                    bad; every operation that meets it stores REFCOUNT_SATURATED, far from 0 and MAX
 *
 * The fast path does the raw read-modify-write first and stores REFCOUNT_SATURATED after, as the kernel does:
 * others may see the value in between. With fewer than 2^30 references in that window it stays negative, so nobody
 * frees what a saturated counter guards.
 *
 * Order: increments have none. Decrements release, and the one that returns true acquires: whoever frees sees what
 * the other holders did before they let go. The verbs of Memory are stronger than that.
 *
 * Interface: refcount_set, then inc by who holds a reference, inc_not_zero by who found the object otherwise, and
 * dec_and_test; true means: free it. The forms that take a lock on the way to 0 are in refcount-lock.ts.
 */
import type { Ptr } from "atomics-sync";
import { WARN_ONCE_KEY } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";

export type RefcountPtr = Ptr<"refcount">;

export const REFCOUNT_SIZE = 4;
export const REFCOUNT_MAX = 0x7fffffff;
export const REFCOUNT_SATURATED = -0x40000000;

/** enum refcount_saturation_type. */
type SaturationType =
  | "REFCOUNT_ADD_NOT_ZERO_OVF"
  | "REFCOUNT_ADD_OVF"
  | "REFCOUNT_ADD_UAF"
  | "REFCOUNT_SUB_UAF"
  | "REFCOUNT_DEC_LEAK";

const UNDERFLOW = "refcount_t: underflow; use-after-free.";

function saturation_text(type: SaturationType): string {
  switch (type) {
    case "REFCOUNT_ADD_NOT_ZERO_OVF":
    case "REFCOUNT_ADD_OVF":
      return "refcount_t: saturated; leaking memory.";
    case "REFCOUNT_ADD_UAF":
      return "refcount_t: addition on 0; use-after-free.";
    case "REFCOUNT_SUB_UAF":
      return UNDERFLOW;
    case "REFCOUNT_DEC_LEAK":
      return "refcount_t: decrement hit 0; leaking memory.";
    default:
      return "refcount_t: unknown saturation event!?.";
  }
}

/** Stores the saturated value. Warns once per type, whoever is the first to cause it: these are its WARN_ONCEs. */
export function refcount_warn_saturate(cpu: Cpu, r: number, type: SaturationType): void {
  cpu.mem.writeOnce(r, REFCOUNT_SATURATED);
  WARN_ONCE_KEY(cpu, type, saturation_text(type));
}

export function refcount_set(cpu: Cpu, r: number, n: number): void {
  cpu.mem.writeOnce(r, n);
}

/** For memory that may be reused as another object of its type: the object is complete before the count is. */
export function refcount_set_release(cpu: Cpu, r: number, n: number): void {
  // Pairs with the compareExchange in refcount_add_not_zero_acquire: who gets a reference sees the new object,
  // not what was there before.
  cpu.mem.storeRelease(r, n);
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
  if (old === 0) refcount_warn_saturate(cpu, r, "REFCOUNT_ADD_UAF");
  else if (old < 0 || wrap(old + i) < 0) refcount_warn_saturate(cpu, r, "REFCOUNT_ADD_OVF");
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
  if (old < 0 || wrap(old + i) < 0) refcount_warn_saturate(cpu, r, "REFCOUNT_ADD_NOT_ZERO_OVF");
  return true;
}

export function refcount_inc_not_zero(cpu: Cpu, r: number): boolean {
  return refcount_add_not_zero(cpu, 1, r);
}

/**
 * As refcount_add_not_zero, but never past `limit`: false, unchanged and silent, when it is 0 or the sum would be
 * above. A saturated counter is above every limit. Acquire when it succeeds.
 */
export function refcount_add_not_zero_limited_acquire(
  cpu: Cpu,
  i: number,
  r: number,
  limit: number,
): boolean {
  let old = cpu.mem.loadAcquire(r);
  for (;;) {
    if (old === 0 || i > wrap(limit - old)) return false;
    const seen = cpu.mem.compareExchange(r, old, wrap(old + i));
    if (seen === old) break;
    old = seen;
  }
  if (old < 0 || wrap(old + i) < 0) refcount_warn_saturate(cpu, r, "REFCOUNT_ADD_NOT_ZERO_OVF");
  return true;
}

/** Acquire: who looks at the object's identity after it sees that of the object it has a reference to. */
export function refcount_add_not_zero_acquire(cpu: Cpu, i: number, r: number): boolean {
  return refcount_add_not_zero_limited_acquire(cpu, i, r, REFCOUNT_MAX);
}

export function refcount_inc_not_zero_acquire(cpu: Cpu, r: number): boolean {
  return refcount_add_not_zero_acquire(cpu, 1, r);
}

/** Subtracts; true when that made it 0. */
export function refcount_sub_and_test(cpu: Cpu, i: number, r: number): boolean {
  const old = cpu.mem.fetchSub(r, i);
  if (old > 0 && old === i) return true;
  if (old <= 0 || wrap(old - i) < 0) refcount_warn_saturate(cpu, r, "REFCOUNT_SUB_UAF");
  return false;
}

export function refcount_dec_and_test(cpu: Cpu, r: number): boolean {
  return refcount_sub_and_test(cpu, 1, r);
}

/** Decrements a count that cannot reach 0. */
export function refcount_dec(cpu: Cpu, r: number): void {
  const old = cpu.mem.fetchSub(r, 1);
  if (old <= 1) refcount_warn_saturate(cpu, r, "REFCOUNT_DEC_LEAK");
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
      WARN_ONCE_KEY(cpu, "refcount_dec_not_one", UNDERFLOW);
      return true;
    }
    const seen = cpu.mem.compareExchange(r, value, wrap(value - 1));
    if (seen === value) return true;
    value = seen;
  }
}
