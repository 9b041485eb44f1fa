/** refcount_t: the cases of drivers/misc/lkdtm/refcount.c as a table, and the race it accepts. */
import { beforeEach, expect, test } from "vitest";
import { kernel_static } from "../debug/image.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  REFCOUNT_MAX as MAX,
  REFCOUNT_SATURATED as SAT,
  refcount_add,
  refcount_add_not_zero,
  refcount_dec,
  refcount_dec_and_test,
  refcount_dec_if_one,
  refcount_dec_not_one,
  refcount_inc,
  refcount_inc_not_zero,
  refcount_read,
  refcount_set,
  refcount_sub_and_test,
} from "./refcount.ts";

const REF = kernel_static("test_refcount", 4);

const SATURATED = "refcount_t: saturated; leaking memory.";
const ADDITION_ON_0 = "refcount_t: addition on 0; use-after-free.";
const UNDERFLOW = "refcount_t: underflow; use-after-free.";
const DECREMENT_HIT_0 = "refcount_t: decrement hit 0; leaking memory.";

const inc = (cpu: Cpu): void => refcount_inc(cpu, REF);
const dec = (cpu: Cpu): void => refcount_dec(cpu, REF);
const add =
  (i: number) =>
  (cpu: Cpu): void =>
    refcount_add(cpu, i, REF);
const inc_not_zero = (cpu: Cpu): boolean => refcount_inc_not_zero(cpu, REF);
const add_not_zero =
  (i: number) =>
  (cpu: Cpu): boolean =>
    refcount_add_not_zero(cpu, i, REF);
const dec_and_test = (cpu: Cpu): boolean => refcount_dec_and_test(cpu, REF);
const sub_and_test =
  (i: number) =>
  (cpu: Cpu): boolean =>
    refcount_sub_and_test(cpu, i, REF);
const dec_not_one = (cpu: Cpu): boolean => refcount_dec_not_one(cpu, REF);
const dec_if_one = (cpu: Cpu): boolean => refcount_dec_if_one(cpu, REF);

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
});

/** From `start`, silent steps, then the step under test: its result, the value and the warning it leaves. */
test.each([
  ["INC_OVERFLOW", MAX - 1, [dec, inc, inc], inc, undefined, SAT, SATURATED],
  ["ADD_OVERFLOW", MAX - 1, [dec, dec, dec, dec, add(4)], add(4), undefined, SAT, SATURATED],
  ["INC_NOT_ZERO_OVERFLOW", MAX, [], inc_not_zero, true, SAT, SATURATED],
  ["ADD_NOT_ZERO_OVERFLOW", MAX, [], add_not_zero(6), true, SAT, SATURATED],
  ["DEC_ZERO", 2, [dec], dec, undefined, SAT, DECREMENT_HIT_0],
  ["DEC_NEGATIVE", 0, [], dec, undefined, SAT, DECREMENT_HIT_0],
  ["DEC_AND_TEST_NEGATIVE", 0, [], dec_and_test, false, SAT, UNDERFLOW],
  ["SUB_AND_TEST_NEGATIVE", 3, [], sub_and_test(5), false, SAT, UNDERFLOW],
  ["INC_ZERO", 0, [inc_not_zero], inc, undefined, SAT, ADDITION_ON_0],
  ["ADD_ZERO", 0, [add_not_zero(3)], add(3), undefined, SAT, ADDITION_ON_0],
  ["INC_SATURATED", SAT, [], inc, undefined, SAT, SATURATED],
  ["DEC_SATURATED", SAT, [], dec, undefined, SAT, DECREMENT_HIT_0],
  ["ADD_SATURATED", SAT, [], add(8), undefined, SAT, SATURATED],
  ["INC_NOT_ZERO_SATURATED", SAT, [], inc_not_zero, true, SAT, SATURATED],
  ["ADD_NOT_ZERO_SATURATED", SAT, [], add_not_zero(7), true, SAT, SATURATED],
  ["DEC_AND_TEST_SATURATED", SAT, [], dec_and_test, false, SAT, UNDERFLOW],
  ["SUB_AND_TEST_SATURATED", SAT, [], sub_and_test(8), false, SAT, UNDERFLOW],
  ["sub_and_test(0) on 0", 0, [], sub_and_test(0), false, SAT, UNDERFLOW],
  ["dec_not_one on 0", 0, [], dec_not_one, true, 0, UNDERFLOW],
] as const)("%s", (_, start, silent, step, result, value, warning) => {
  refcount_set(cpu, REF, start);
  for (const quiet of silent) quiet(cpu);
  expect(dmesg(cpu)).toEqual([]);
  expect(step(cpu)).toBe(result);
  expect(refcount_read(cpu, REF)).toBe(value);
  expect(dmesg(cpu)).toEqual([expect.stringContaining(warning)]);
});

test.each([
  ["inc_not_zero on 0", 0, inc_not_zero, false, 0],
  ["inc_not_zero on 1", 1, inc_not_zero, true, 2],
  ["dec_and_test on 1", 1, dec_and_test, true, 0],
  ["dec_and_test on 2", 2, dec_and_test, false, 1],
  ["sub_and_test of all", 5, sub_and_test(5), true, 0],
  ["inc to the maximum", MAX - 1, inc, undefined, MAX],
  ["dec_not_one on 1", 1, dec_not_one, false, 1],
  ["dec_not_one on 2", 2, dec_not_one, true, 1],
  ["dec_not_one on saturated", SAT, dec_not_one, true, SAT],
  ["dec_not_one beside saturated", SAT + 1, dec_not_one, true, SAT],
  ["dec_if_one on 1", 1, dec_if_one, true, 0],
  ["dec_if_one on 2", 2, dec_if_one, false, 2],
  ["dec_if_one on 0", 0, dec_if_one, false, 0],
] as const)("silent: %s", (_, start, step, result, value) => {
  refcount_set(cpu, REF, start);
  expect(step(cpu)).toBe(result);
  expect(refcount_read(cpu, REF)).toBe(value);
  expect(dmesg(cpu)).toEqual([]);
});

test("up and down ends exactly at 0", () => {
  refcount_set(cpu, REF, 1);
  for (let i = 0; i < 100_000; i++) refcount_inc(cpu, REF);
  for (let i = 0; i < 100_000; i++) expect(refcount_dec_and_test(cpu, REF)).toBe(false);
  expect(refcount_dec_and_test(cpu, REF)).toBe(true);
  expect(dmesg(cpu)).toEqual([]);
});

test("a saturated counter stays far from 0 however often it is dropped", () => {
  refcount_set(cpu, REF, SAT);
  for (let i = 0; i < 1000; i++) expect(refcount_dec_and_test(cpu, REF)).toBe(false);
  expect(refcount_read(cpu, REF)).toBe(SAT);
});
