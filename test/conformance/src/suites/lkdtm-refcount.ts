/**
 * lkdtm-refcount: the REFCOUNT_* and ATOMIC_* crash types of drivers/misc/lkdtm/refcount.c. Each takes a counter to
 * one edge, does there what it must not, and wants it saturated with the right warning; where the public test takes
 * "pinned at 0" for an answer too, this kernel always saturates.
 *
 * The timing types go up and down 2^31 times there, TIMING_STEPS here. refcount_race_window is ours: what the head of
 * include/linux/refcount.h argues about several threads that overflow one counter at once.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  REFCOUNT_MAX,
  REFCOUNT_SATURATED,
  refcount_add,
  refcount_add_not_zero,
  refcount_dec,
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  refcount_read,
  refcount_set,
  refcount_sub_and_test,
} from "@ringside/core/ref/refcount";
import { cond_resched } from "@ringside/core/sched/schedule";
import type { Checks } from "../checks.ts";
import type { Body, Case, Suite } from "../suite.ts";

const SATURATED = "refcount_t: saturated; leaking memory.";
const ADDITION_ON_0 = "refcount_t: addition on 0; use-after-free.";
const UNDERFLOW = "refcount_t: underflow; use-after-free.";
const DECREMENT_HIT_0 = "refcount_t: decrement hit 0; leaking memory.";

const TIMING_STEPS = 200_000;
const RACE_THREADS = 4;
const RACE_STEPS = 20_000;

/** Is nothing logged yet? What comes before the bad step is legal. */
function silent(t: Checks): void {
  t.ok(!t.logged("refcount_t:"), "no warning before the bad step");
}

function saturated(cpu: Cpu, t: Checks): void {
  t.equal(refcount_read(cpu, t.scratch), REFCOUNT_SATURATED, "the counter");
}

/** A crash type: a counter that starts at `start`, the body, one warning. */
function crash(
  name: string,
  start: number,
  warning: string,
  body: (cpu: Cpu, r: number, t: Checks) => void,
): Case {
  const run: Body = (cpu, t) => {
    refcount_set(cpu, t.scratch, start);
    body(cpu, t.scratch, t);
    saturated(cpu, t);
  };
  return { name, bodies: [run], warns: [warning] };
}

const OVERFLOWS: readonly Case[] = [
  crash("REFCOUNT_INC_OVERFLOW", REFCOUNT_MAX - 1, SATURATED, (cpu, r, t) => {
    refcount_dec(cpu, r);
    refcount_inc(cpu, r);
    refcount_inc(cpu, r);
    t.equal(refcount_read(cpu, r), REFCOUNT_MAX, "the counter at its maximum");
    silent(t);
    refcount_inc(cpu, r);
  }),
  crash("REFCOUNT_ADD_OVERFLOW", REFCOUNT_MAX - 1, SATURATED, (cpu, r, t) => {
    for (let i = 0; i < 4; i++) refcount_dec(cpu, r);
    refcount_add(cpu, 4, r);
    silent(t);
    refcount_add(cpu, 4, r);
  }),
  crash("REFCOUNT_INC_NOT_ZERO_OVERFLOW", REFCOUNT_MAX, SATURATED, (cpu, r, t) => {
    t.ok(refcount_inc_not_zero(cpu, r), "not 0");
  }),
  crash("REFCOUNT_ADD_NOT_ZERO_OVERFLOW", REFCOUNT_MAX, SATURATED, (cpu, r, t) => {
    t.ok(refcount_add_not_zero(cpu, 6, r), "not 0");
  }),
];

const UNDERFLOWS: readonly Case[] = [
  crash("REFCOUNT_DEC_ZERO", 2, DECREMENT_HIT_0, (cpu, r, t) => {
    refcount_dec(cpu, r);
    t.equal(refcount_read(cpu, r), 1, "the counter after a good step");
    silent(t);
    refcount_dec(cpu, r);
  }),
  crash("REFCOUNT_DEC_NEGATIVE", 0, DECREMENT_HIT_0, (cpu, r) => refcount_dec(cpu, r)),
  crash("REFCOUNT_DEC_AND_TEST_NEGATIVE", 0, UNDERFLOW, (cpu, r, t) => {
    t.ok(!refcount_dec_and_test(cpu, r), "does not report 0");
  }),
  crash("REFCOUNT_SUB_AND_TEST_NEGATIVE", 3, UNDERFLOW, (cpu, r, t) => {
    t.ok(!refcount_sub_and_test(cpu, 5, r), "does not report 0");
  }),
  crash("REFCOUNT_INC_ZERO", 0, ADDITION_ON_0, (cpu, r, t) => {
    t.ok(!refcount_inc_not_zero(cpu, r), "0 is detected");
    t.equal(refcount_read(cpu, r), 0, "the counter after inc_not_zero");
    silent(t);
    refcount_inc(cpu, r);
  }),
  crash("REFCOUNT_ADD_ZERO", 0, ADDITION_ON_0, (cpu, r, t) => {
    t.ok(!refcount_add_not_zero(cpu, 3, r), "0 is detected");
    t.equal(refcount_read(cpu, r), 0, "the counter after add_not_zero");
    silent(t);
    refcount_add(cpu, 3, r);
  }),
];

const SATURATIONS: readonly Case[] = [
  crash("REFCOUNT_INC_SATURATED", REFCOUNT_SATURATED, SATURATED, (cpu, r) => refcount_inc(cpu, r)),
  crash("REFCOUNT_DEC_SATURATED", REFCOUNT_SATURATED, DECREMENT_HIT_0, (cpu, r) => refcount_dec(cpu, r)),
  crash("REFCOUNT_ADD_SATURATED", REFCOUNT_SATURATED, SATURATED, (cpu, r) => refcount_add(cpu, 8, r)),
  crash("REFCOUNT_INC_NOT_ZERO_SATURATED", REFCOUNT_SATURATED, SATURATED, (cpu, r, t) => {
    t.ok(refcount_inc_not_zero(cpu, r), "not 0");
  }),
  crash("REFCOUNT_ADD_NOT_ZERO_SATURATED", REFCOUNT_SATURATED, SATURATED, (cpu, r, t) => {
    t.ok(refcount_add_not_zero(cpu, 7, r), "not 0");
  }),
  crash("REFCOUNT_DEC_AND_TEST_SATURATED", REFCOUNT_SATURATED, UNDERFLOW, (cpu, r, t) => {
    t.ok(!refcount_dec_and_test(cpu, r), "does not report 0");
  }),
  crash("REFCOUNT_SUB_AND_TEST_SATURATED", REFCOUNT_SATURATED, UNDERFLOW, (cpu, r, t) => {
    t.ok(!refcount_sub_and_test(cpu, 8, r), "does not report 0");
  }),
];

/** Up from 1, then down: the step that ends at 0 is the last one and no earlier one. */
function up_and_down(cpu: Cpu, t: Checks, up: () => void, down: () => boolean): void {
  refcount_set(cpu, t.scratch, 1);
  for (let i = 0; i < TIMING_STEPS - 1; i++) up();
  t.equal(refcount_read(cpu, t.scratch), TIMING_STEPS, "the counter at the top");
  let steps = 1;
  while (steps < 2 * TIMING_STEPS && !down()) steps++;
  t.equal(steps, TIMING_STEPS, "steps down to 0");
  t.equal(refcount_read(cpu, t.scratch), 0, "the counter at the end");
}

const TIMINGS: readonly Case[] = [
  {
    name: "ATOMIC_TIMING",
    bodies: [
      (cpu, t) =>
        up_and_down(
          cpu,
          t,
          () => cpu.mem.fetchAdd(t.scratch, 1),
          () => cpu.mem.fetchSub(t.scratch, 1) === 1,
        ),
    ],
  },
  {
    name: "REFCOUNT_TIMING",
    bodies: [
      (cpu, t) =>
        up_and_down(
          cpu,
          t,
          () => refcount_inc(cpu, t.scratch),
          () => refcount_dec_and_test(cpu, t.scratch),
        ),
    ],
  },
];

/**
 * All threads push one counter over its edge, up and down at random. Each operation adds first and stores the
 * saturated value after, so others see values in between; those stay as near to it as operations are in flight.
 */
function race(cpu: Cpu, t: Checks): void {
  const r = t.scratch;
  if (t.index === 0) refcount_set(cpu, r, REFCOUNT_MAX - 100);
  t.meet();
  // The window of the first overflow lies at the other end of the negative range.
  for (let i = 0; i < 200; i++) refcount_inc(cpu, r);
  t.meet();
  let strayed = 0;
  let freed = 0;
  for (let i = 0; i < RACE_STEPS; i++) {
    if (cpu.random32() % 2 === 0) refcount_inc(cpu, r);
    else if (refcount_dec_and_test(cpu, r)) freed++;
    const seen = cpu.mem.loadAcquire(r);
    if (Math.abs(seen - REFCOUNT_SATURATED) > RACE_THREADS) strayed++;
    if (i % 1000 === 0) cond_resched(cpu);
  }
  t.equal(freed, 0, "references reported as the last");
  t.equal(strayed, 0, "values seen further from saturation than there are threads");
  t.meet();
  saturated(cpu, t);
}

const RACE: Case = {
  name: "refcount_race_window",
  bodies: Array.from({ length: RACE_THREADS }, () => race),
  warns: [SATURATED, UNDERFLOW],
};

export const suite: Suite = {
  name: "lkdtm-refcount",
  source: "drivers/misc/lkdtm/refcount.c",
  cases: [...OVERFLOWS, ...UNDERFLOWS, ...SATURATIONS, ...TIMINGS, RACE],
};
