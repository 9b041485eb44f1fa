/**
 * ww_mutex: what the public tests leave out. The others are the conformance suites "test-ww_mutex" and
 * "locking-selftest".
 */
import { expect, it } from "vitest";
import { EDEADLK } from "../debug/errno.ts";
import { kernel_static } from "../debug/image.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  DEFINE_WD_CLASS,
  WW_ACQUIRE_CTX_SIZE,
  ww_acquire_fini,
  ww_acquire_init,
  ww_mutex_inject_deadlocks,
  type WwAcquireCtxPtr,
} from "./ww-acquire.ts";
import * as ww from "./ww-mutex.ts";
import type { WwMutexPtr } from "./ww-mutex.ts";

const WAIT_DIE = DEFINE_WD_CLASS("test_wd_class");
const O = kernel_static("test_ww_mutex", ww.WW_MUTEX_SIZE) as WwMutexPtr;
const T = kernel_static("test_ww_ctx", WW_ACQUIRE_CTX_SIZE) as WwAcquireCtxPtr;

function boot(): Cpu {
  const cpu = boot_solo();
  ww.ww_mutex_init(cpu, O, WAIT_DIE);
  return cpu;
}

it("lockers without a context are ordinary lockers", () => {
  const cpu = boot();
  expect(ww.ww_mutex_lock(cpu, O, 0)).toBe(0);
  expect(ww.ww_mutex_held(cpu, O)).toBe(true);
  expect(ww.ww_mutex_ctx(cpu, O)).toBe(0);
  ww.ww_mutex_unlock(cpu, O);
  expect(ww.ww_mutex_is_locked(cpu, O)).toBe(false);
  ww.ww_mutex_destroy(cpu, O);
  expect(dmesg(cpu)).toEqual([]);
});

it("injected deadlocks come, and leave off in the end", () => {
  const cpu = boot();
  ww_mutex_inject_deadlocks(cpu, true);
  ww_acquire_init(cpu, T, WAIT_DIE);
  let died = 0;
  for (let i = 0; i < 200; i++) {
    if (ww.ww_mutex_lock(cpu, O, T) === -EDEADLK) {
      died++;
      ww.ww_mutex_lock_slow(cpu, O, T);
    }
    ww.ww_mutex_unlock(cpu, O);
  }
  expect(died).toBeGreaterThan(1);
  expect(died).toBeLessThan(10);
  ww_acquire_fini(cpu, T);
});
