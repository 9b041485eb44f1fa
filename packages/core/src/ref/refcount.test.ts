/** refcount_t: what drivers/misc/lkdtm/refcount.c leaves out. Its cases are the conformance suite "lkdtm-refcount". */
import { beforeEach, describe, expect, test } from "vitest";
import { kernel_static } from "../debug/image.ts";
import { mutex_init, mutex_is_locked, MUTEX_SIZE, mutex_unlock } from "../lock/mutex.ts";
import { spin_is_locked, spin_lock_init, spin_unlock, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { clear_warn_once } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  refcount_dec_and_lock,
  refcount_dec_and_lock_irqsave,
  refcount_dec_and_mutex_lock,
} from "./refcount-lock.ts";
import {
  REFCOUNT_MAX as MAX,
  REFCOUNT_SATURATED as SAT,
  refcount_add,
  refcount_add_not_zero_acquire,
  refcount_add_not_zero_limited_acquire,
  refcount_dec,
  refcount_dec_and_test,
  refcount_dec_if_one,
  refcount_dec_not_one,
  refcount_inc,
  refcount_inc_not_zero,
  refcount_inc_not_zero_acquire,
  refcount_read,
  refcount_set,
  refcount_set_release,
  refcount_sub_and_test,
} from "./refcount.ts";

const REF = kernel_static("test_refcount", 4);
const MUTEX = kernel_static("test_refcount_mutex", MUTEX_SIZE);
const SPIN = kernel_static("test_refcount_spin", 4);

const SATURATED = "refcount_t: saturated; leaking memory.";
const ADDITION_ON_0 = "refcount_t: addition on 0; use-after-free.";
const UNDERFLOW = "refcount_t: underflow; use-after-free.";
const DECREMENT_HIT_0 = "refcount_t: decrement hit 0; leaking memory.";

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
});

const VERBS = {
  inc: () => refcount_inc(cpu, REF),
  dec: () => refcount_dec(cpu, REF),
  inc_not_zero: () => refcount_inc_not_zero(cpu, REF),
  dec_and_test: () => refcount_dec_and_test(cpu, REF),
  "add(5)": () => refcount_add(cpu, 5, REF),
  "sub_and_test(0)": () => refcount_sub_and_test(cpu, 0, REF),
  "sub_and_test(5)": () => refcount_sub_and_test(cpu, 5, REF),
  dec_not_one: () => refcount_dec_not_one(cpu, REF),
  dec_if_one: () => refcount_dec_if_one(cpu, REF),
  inc_not_zero_acquire: () => refcount_inc_not_zero_acquire(cpu, REF),
  "add_not_zero_acquire(5)": () => refcount_add_not_zero_acquire(cpu, 5, REF),
  "add_not_zero_limited(2, 10)": () => refcount_add_not_zero_limited_acquire(cpu, 2, REF, 10),
};
type Verb = keyof typeof VERBS;

/** From the value, the verb: its answer, the value after it, and the warning it leaves. */
const CELLS: readonly [number, Verb, unknown, number, string?][] = [
  [1, "inc_not_zero", true, 2],
  [1, "dec_and_test", true, 0],
  [2, "dec_and_test", false, 1],
  [MAX, "dec_and_test", false, MAX - 1],
  [5, "sub_and_test(5)", true, 0],
  [9, "sub_and_test(5)", false, 4],
  [0, "sub_and_test(0)", false, SAT, UNDERFLOW],
  [3, "sub_and_test(0)", false, 3],
  [MAX - 1, "inc", undefined, MAX],
  [MAX, "dec", undefined, MAX - 1],
  [MAX - 4, "add(5)", undefined, SAT, SATURATED],
  [-1, "inc", undefined, SAT, SATURATED],
  [-5, "add(5)", undefined, SAT, SATURATED],
  [-1, "dec", undefined, SAT, DECREMENT_HIT_0],
  [-1, "dec_and_test", false, SAT, UNDERFLOW],
  [-1, "inc_not_zero", true, SAT, SATURATED],
  [0, "add(5)", undefined, SAT, ADDITION_ON_0],
  [0, "dec_not_one", true, 0, UNDERFLOW],
  [1, "dec_not_one", false, 1],
  [2, "dec_not_one", true, 1],
  [SAT, "dec_not_one", true, SAT],
  [SAT + 1, "dec_not_one", true, SAT],
  [-0x80000000, "dec_not_one", true, MAX],
  [0, "dec_if_one", false, 0],
  [1, "dec_if_one", true, 0],
  [2, "dec_if_one", false, 2],
  [SAT, "dec_if_one", false, SAT],
  [0, "inc_not_zero_acquire", false, 0],
  [1, "inc_not_zero_acquire", true, 2],
  [MAX - 1, "inc_not_zero_acquire", true, MAX],
  [MAX, "inc_not_zero_acquire", false, MAX],
  [SAT, "inc_not_zero_acquire", false, SAT],
  [3, "add_not_zero_acquire(5)", true, 8],
  [8, "add_not_zero_limited(2, 10)", true, 10],
  [9, "add_not_zero_limited(2, 10)", false, 9],
  [0, "add_not_zero_limited(2, 10)", false, 0],
];

test.each(CELLS)("at %i, %s: %s, then %i; warns: %s", (start, verb, answer, value, warning) => {
  refcount_set(cpu, REF, start);
  expect(VERBS[verb]()).toBe(answer);
  expect(refcount_read(cpu, REF)).toBe(value);
  expect(dmesg(cpu)).toEqual(warning === undefined ? [] : [expect.stringContaining(warning)]);
});

describe("warnings", () => {
  test("come once a kind, whoever is the first, and again after clear_warn_once", () => {
    refcount_set(cpu, REF, 0);
    refcount_dec_and_test(cpu, REF);
    refcount_set(cpu, REF, 3);
    refcount_sub_and_test(cpu, 5, REF);
    expect(dmesg(cpu)).toHaveLength(1);
    refcount_dec(cpu, REF);
    expect(dmesg(cpu), "another kind").toHaveLength(2);
    clear_warn_once(cpu);
    refcount_dec_and_test(cpu, REF);
    expect(dmesg(cpu)).toHaveLength(3);
  });

  test("dec_not_one has its own, though the text is that of an underflow", () => {
    refcount_set(cpu, REF, 0);
    refcount_dec_and_test(cpu, REF);
    refcount_set(cpu, REF, 0);
    refcount_dec_not_one(cpu, REF);
    expect(dmesg(cpu).filter((text) => text.includes(UNDERFLOW))).toHaveLength(2);
  });

  test("name who did it", () => {
    refcount_set(cpu, REF, 0);
    refcount_inc(cpu, REF);
    expect(dmesg(cpu)[0]).toContain("refcount.test.ts");
  });
});

test("a counter past its edge is seen as it is before it is stored as saturated", () => {
  refcount_set(cpu, REF, MAX);
  const { mem } = cpu;
  const store = mem.writeOnce.bind(mem);
  const seen: number[] = [];
  mem.writeOnce = (p: number, value: number): void => {
    if (p === REF) seen.push(mem.read(REF), value);
    store(p, value);
  };
  refcount_inc(cpu, REF);
  expect(seen).toEqual([-0x80000000, SAT]);
});

test("set_release sets", () => {
  refcount_set_release(cpu, REF, 7);
  expect(refcount_read(cpu, REF)).toBe(7);
});

describe("on the way to 0 with a lock", () => {
  test("the last reference takes the mutex, others do not touch it", () => {
    mutex_init(cpu, MUTEX);
    refcount_set(cpu, REF, 2);
    expect(refcount_dec_and_mutex_lock(cpu, REF, MUTEX)).toBe(false);
    expect(mutex_is_locked(cpu, MUTEX)).toBe(false);
    expect(refcount_dec_and_mutex_lock(cpu, REF, MUTEX)).toBe(true);
    expect(mutex_is_locked(cpu, MUTEX)).toBe(true);
    expect(refcount_read(cpu, REF)).toBe(0);
    mutex_unlock(cpu, MUTEX);
    expect(dmesg(cpu)).toEqual([]);
  });

  test.each([
    ["dec_and_lock", refcount_dec_and_lock, spin_unlock],
    ["dec_and_lock_irqsave", refcount_dec_and_lock_irqsave, spin_unlock_irqrestore],
  ] as const)("%s: the last reference takes the spinlock", (_name, verb, unlock) => {
    spin_lock_init(cpu, SPIN);
    refcount_set(cpu, REF, 2);
    expect(verb(cpu, REF, SPIN)).toBe(false);
    expect(spin_is_locked(cpu, SPIN)).toBe(false);
    expect(verb(cpu, REF, SPIN)).toBe(true);
    expect(spin_is_locked(cpu, SPIN)).toBe(true);
    unlock(cpu, SPIN);
    expect(cpu.preempt_count).toBe(0);
  });

  test("at 0 it warns, saturates nothing and takes no lock", () => {
    mutex_init(cpu, MUTEX);
    refcount_set(cpu, REF, 0);
    expect(refcount_dec_and_mutex_lock(cpu, REF, MUTEX)).toBe(false);
    expect(mutex_is_locked(cpu, MUTEX)).toBe(false);
    expect(dmesg(cpu)).toEqual([expect.stringContaining(UNDERFLOW)]);
  });
});
