import { expect, it } from "vitest";
import { EALREADY, EDEADLK } from "../debug/errno.ts";
import { kernel_static } from "../debug/image.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { mutex_trylock, mutex_unlock } from "./mutex.ts";
import {
  DEFINE_WD_CLASS,
  DEFINE_WW_CLASS,
  WW_ACQUIRE_CTX_SIZE,
  ww_acquire_done,
  ww_acquire_fini,
  ww_acquire_init,
  ww_ctx_acquired,
  ww_mutex_inject_deadlocks,
  type WwAcquireCtxPtr,
  type WwClassPtr,
} from "./ww-acquire.ts";
import * as ww from "./ww-mutex.ts";
import type { WwMutexPtr } from "./ww-mutex.ts";

const WAIT_DIE = DEFINE_WD_CLASS("test_wd_class");
const WOUND_WAIT = DEFINE_WW_CLASS("test_ww_class");
const CLASSES: [string, WwClassPtr][] = [
  ["wait-die", WAIT_DIE],
  ["wound-wait", WOUND_WAIT],
];
const LOCKS = kernel_static("test_ww_mutexes", 3 * ww.WW_MUTEX_SIZE);
const CTXS = kernel_static("test_ww_ctxs", 3 * WW_ACQUIRE_CTX_SIZE);
const O = LOCKS as WwMutexPtr;
const O2 = (LOCKS + ww.WW_MUTEX_SIZE) as WwMutexPtr;
const O3 = (LOCKS + 2 * ww.WW_MUTEX_SIZE) as WwMutexPtr;
const T = CTXS as WwAcquireCtxPtr;
const T2 = (CTXS + WW_ACQUIRE_CTX_SIZE) as WwAcquireCtxPtr;

function boot(ww_class: WwClassPtr = WAIT_DIE): Cpu {
  const cpu = boot_solo();
  for (const lock of [O, O2, O3]) ww.ww_mutex_init(cpu, lock, ww_class);
  return cpu;
}
function warned(cpu: Cpu): string {
  return dmesg(cpu).join("\n");
}

/** O is held under T; O2 (and O3) look as if an older context had them. Ends with the -EDEADLK of O2. */
function edeadlk(cpu: Cpu): void {
  ww_acquire_init(cpu, T2, WAIT_DIE);
  expect(ww.ww_mutex_trylock(cpu, O2, T2)).toBe(true);
  expect(ww.ww_mutex_trylock(cpu, O3, T2)).toBe(true);
  ww_acquire_init(cpu, T, WAIT_DIE);
  expect(ww.ww_mutex_lock(cpu, O, T)).toBe(0);
  expect(ww.ww_mutex_lock(cpu, O2, T)).toBe(-EDEADLK);
}

// kernel/locking/test-ww_mutex.c test_aa
it.each(CLASSES)("%s: what a context has, it cannot take again", (_name, ww_class) => {
  const cpu = boot(ww_class);
  ww_acquire_init(cpu, T, ww_class);
  expect(ww.ww_mutex_lock(cpu, O, T)).toBe(0);
  expect(ww.ww_mutex_trylock(cpu, O, 0)).toBe(false);
  expect(ww.ww_mutex_trylock(cpu, O, T)).toBe(false);
  expect(ww.ww_mutex_lock(cpu, O, T)).toBe(-EALREADY);
  expect(ww.ww_mutex_lock_interruptible(cpu, O, T)).toBe(-EALREADY);
  expect(ww_ctx_acquired(cpu, T)).toBe(1);
  ww.ww_mutex_unlock(cpu, O);
  expect(ww.ww_mutex_trylock(cpu, O, T)).toBe(true);
  expect(ww.ww_mutex_lock(cpu, O, T)).toBe(-EALREADY);
  ww.ww_mutex_unlock(cpu, O);
  ww_acquire_fini(cpu, T);
  expect(dmesg(cpu)).toEqual([]);
});

// lib/locking-selftest.c ww_test_fail_acquire
it("wait-die: a younger context that holds a lock dies at an older one's", () => {
  const cpu = boot();
  edeadlk(cpu);
  ww.ww_mutex_unlock(cpu, O);
  expect(ww_ctx_acquired(cpu, T)).toBe(0);
  ww.ww_mutex_unlock(cpu, O2);
  ww.ww_mutex_lock_slow(cpu, O2, T);
  expect(ww.ww_mutex_ctx(cpu, O2)).toBe(T);
  expect(ww.ww_mutex_lock(cpu, O, T)).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
});

// lib/locking-selftest.c ww_test_normal
it("the plain mutex verbs leave the context alone", () => {
  const cpu = boot();
  cpu.mem.write(O + 16, 0x5a5a);
  expect(mutex_trylock(cpu, O)).toBe(true);
  mutex_unlock(cpu, O);
  expect(ww.ww_mutex_ctx(cpu, O)).toBe(0x5a5a);
  expect(dmesg(cpu)).toEqual([]);
});

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

// lib/locking-selftest.c, the cases that must complain
const misuse: [string, string, (cpu: Cpu) => void][] = [
  [
    "ww_test_unneeded_slow",
    "!ctx->contending_lock",
    (cpu) => {
      ww_acquire_init(cpu, T, WAIT_DIE);
      ww.ww_mutex_lock_slow(cpu, O, T);
    },
  ],
  [
    "ww_test_diff_class",
    "ww_ctx->ww_class != ww->ww_class",
    (cpu) => {
      ww_acquire_init(cpu, T, WOUND_WAIT);
      ww.ww_mutex_lock(cpu, O, T);
    },
  ],
  [
    "ww_test_context_done_twice",
    "ctx->done_acquire",
    (cpu) => {
      ww_acquire_init(cpu, T, WAIT_DIE);
      ww_acquire_done(cpu, T);
      ww_acquire_done(cpu, T);
      ww_acquire_fini(cpu, T);
    },
  ],
  [
    "ww_test_context_unlock_twice",
    "ctx->acquired",
    (cpu) => {
      ww_acquire_init(cpu, T, WAIT_DIE);
      ww_acquire_fini(cpu, T);
      ww_acquire_fini(cpu, T);
    },
  ],
  [
    "ww_test_context_fini_early",
    "ctx->acquired",
    (cpu) => {
      ww_acquire_init(cpu, T, WAIT_DIE);
      ww.ww_mutex_lock(cpu, O, T);
      ww_acquire_done(cpu, T);
      ww_acquire_fini(cpu, T);
    },
  ],
  [
    "ww_test_context_lock_after_done",
    "ww_ctx->done_acquire",
    (cpu) => {
      ww_acquire_init(cpu, T, WAIT_DIE);
      ww_acquire_done(cpu, T);
      ww.ww_mutex_lock(cpu, O, T);
    },
  ],
  [
    "ww_test_object_unlock_twice",
    "__owner_task(owner) != current",
    (cpu) => {
      ww.ww_mutex_lock(cpu, O, 0);
      ww.ww_mutex_unlock(cpu, O);
      ww.ww_mutex_unlock(cpu, O);
    },
  ],
  [
    "ww_test_object_lock_unbalanced",
    "!lock->ctx->acquired",
    (cpu) => {
      ww_acquire_init(cpu, T, WAIT_DIE);
      ww.ww_mutex_lock(cpu, O, T);
      cpu.mem.write(T + 8, 0);
      ww.ww_mutex_unlock(cpu, O);
    },
  ],
  [
    "ww_test_object_lock_stale_context",
    "ww->ctx",
    (cpu) => {
      ww_acquire_init(cpu, T, WAIT_DIE);
      cpu.mem.write(O + 16, T2);
      ww.ww_mutex_lock(cpu, O, T);
    },
  ],
  [
    "ww_test_edeadlk_no_unlock",
    "ww_ctx->acquired > 0",
    (cpu) => {
      edeadlk(cpu);
      ww.ww_mutex_unlock(cpu, O2);
      expect(ww.ww_mutex_lock(cpu, O2, T)).toBe(0);
    },
  ],
  [
    "ww_test_edeadlk_no_unlock_slow",
    "ww_ctx->acquired > 0",
    (cpu) => {
      edeadlk(cpu);
      ww.ww_mutex_unlock(cpu, O2);
      ww.ww_mutex_lock_slow(cpu, O2, T);
    },
  ],
  [
    "ww_test_edeadlk_acquire_more",
    "ww_ctx->contending_lock != ww",
    (cpu) => {
      edeadlk(cpu);
      ww.ww_mutex_unlock(cpu, O3);
      expect(ww.ww_mutex_lock(cpu, O3, T)).toBe(0);
    },
  ],
  [
    "ww_test_edeadlk_acquire_more_slow",
    "ww_ctx->contending_lock != ww",
    (cpu) => {
      edeadlk(cpu);
      ww.ww_mutex_unlock(cpu, O3);
      ww.ww_mutex_lock_slow(cpu, O3, T);
    },
  ],
  [
    "ww_test_edeadlk_acquire_more_edeadlk",
    "ww_ctx->contending_lock",
    (cpu) => {
      edeadlk(cpu);
      expect(ww.ww_mutex_lock(cpu, O3, T)).toBe(-EDEADLK);
    },
  ],
  [
    "ww_test_edeadlk_acquire_more_edeadlk_slow",
    "ww_mutex_lock_slow failed",
    (cpu) => {
      edeadlk(cpu);
      ww.ww_mutex_lock_slow(cpu, O3, T);
    },
  ],
  [
    "ww_test_edeadlk_acquire_wrong",
    "ww_ctx->contending_lock != ww",
    (cpu) => {
      edeadlk(cpu);
      ww.ww_mutex_unlock(cpu, O);
      ww.ww_mutex_unlock(cpu, O3);
      expect(ww.ww_mutex_lock(cpu, O3, T)).toBe(0);
    },
  ],
  [
    "ww_test_edeadlk_acquire_wrong_slow",
    "ww_ctx->contending_lock != ww",
    (cpu) => {
      edeadlk(cpu);
      ww.ww_mutex_unlock(cpu, O);
      ww.ww_mutex_unlock(cpu, O3);
      ww.ww_mutex_lock_slow(cpu, O3, T);
    },
  ],
];

it.each(misuse)("%s: misuse warns %s", (_name, text, use) => {
  const cpu = boot();
  use(cpu);
  expect(warned(cpu)).toContain(text);
});
