/**
 * The ww_test_* cases of lib/locking-selftest.c on the interface: what a ww_mutex refuses, and what it complains of.
 * The class is wait-die, as there.
 */
import { EALREADY, EDEADLK } from "@ringside/core/debug/errno";
import { lock_acquire, lock_release } from "@ringside/core/lock/lockdep";
import { mutex_lock, mutex_lock_interruptible, mutex_trylock, mutex_unlock } from "@ringside/core/lock/mutex";
import { ww_acquire_done, ww_acquire_fini, ww_acquire_init_noinject } from "@ringside/core/lock/ww-acquire";
import {
  ww_mutex_ctx,
  ww_mutex_lock_slow,
  ww_mutex_trylock,
  type WwMutexPtr,
} from "@ringside/core/lock/ww-mutex";
import type { Case } from "../suite.ts";
import {
  begin,
  debug_locks,
  dotest,
  lock,
  type Locks,
  NOT_OWNER,
  RECURSIVE,
  trylock,
  UNBALANCED,
  unlock,
  WW_LOCKDEP,
} from "./locking-selftest-fixture.ts";

/** Takes `o` so that lockdep thinks somebody else did, in the context t2. */
function held_by_other(l: Locks, o: WwMutexPtr): void {
  mutex_lock(l.cpu, o);
  l.set_lock_ctx(o, l.ctx2);
  if (l.cpu.lockdep) lock_release(l.cpu, o);
}

/** The other one lets go of it. */
function other_unlocks(l: Locks, o: WwMutexPtr): void {
  l.set_lock_ctx(o, 0);
  if (l.cpu.lockdep) lock_acquire(l.cpu, o, 0, true, 0, 0);
  mutex_unlock(l.cpu, o);
}

/** An older context has o2, and o3 if told so; this one takes o and gets -EDEADLK at o2. */
function edeadlk(l: Locks, o3_too: boolean = false): void {
  held_by_other(l, l.o2);
  if (o3_too) held_by_other(l, l.o3);
  begin(l);
  l.copy_ctx(true);
  lock(l, l.o, l.ctx);
  lock(l, l.o2, l.ctx, -EDEADLK);
}

const API_FAILURES: readonly Case[] = [
  dotest("ww_test_fail_acquire", (l) => {
    begin(l);
    lock(l, l.o, l.ctx);
    if (!l.t.ok(ww_mutex_ctx(l.cpu, l.o) !== 0, "the lock has a context")) return;
    lock(l, l.o, l.ctx, -EALREADY);
    l.t.ok(!ww_mutex_trylock(l.cpu, l.o, 0), "trylock of a held lock");
    l.copy_ctx(false);
    lock(l, l.o, l.ctx2, -EDEADLK);
    unlock(l, l.o);
    trylock(l, l.o);
    unlock(l, l.o);
  }),
  dotest("ww_test_normal", (l) => {
    const MARK = 0x5a5a5a;
    const untouched = (verb: string, use: () => void): void => {
      l.set_lock_ctx(l.o, MARK);
      use();
      l.t.equal(ww_mutex_ctx(l.cpu, l.o), MARK, `the lock's context after ${verb}`);
      l.set_lock_ctx(l.o, 0);
    };
    begin(l);
    untouched("mutex_lock", () => {
      mutex_lock(l.cpu, l.o);
      mutex_unlock(l.cpu, l.o);
    });
    untouched("mutex_lock_interruptible", () => {
      l.t.equal(mutex_lock_interruptible(l.cpu, l.o), 0, "mutex_lock_interruptible");
      mutex_unlock(l.cpu, l.o);
    });
    untouched("mutex_trylock", () => {
      l.t.ok(mutex_trylock(l.cpu, l.o), "mutex_trylock of a free lock");
      mutex_unlock(l.cpu, l.o);
    });
    untouched("mutex_trylock that fails", () => {
      mutex_lock(l.cpu, l.o);
      l.t.ok(!mutex_trylock(l.cpu, l.o), "mutex_trylock of a held lock");
      mutex_unlock(l.cpu, l.o);
    });
  }),
  dotest(
    "ww_test_unneeded_slow",
    (l) => {
      begin(l);
      ww_mutex_lock_slow(l.cpu, l.o, l.ctx);
    },
    debug_locks("!ctx->contending_lock"),
  ),
];

const CONTEXTS: readonly Case[] = [
  dotest(
    "ww_test_two_contexts",
    (l) => {
      begin(l);
      ww_acquire_init_noinject(l.cpu, l.ctx2, WW_LOCKDEP);
    },
    RECURSIVE,
  ),
  dotest(
    "ww_test_diff_class",
    (l) => {
      begin(l);
      l.set_ctx_field(l.ctx, "ww_class", 0);
      lock(l, l.o, l.ctx);
    },
    debug_locks("ww_ctx->ww_class != ww->ww_class"),
  ),
  dotest(
    "ww_test_context_done_twice",
    (l) => {
      begin(l);
      ww_acquire_done(l.cpu, l.ctx);
      ww_acquire_done(l.cpu, l.ctx);
      ww_acquire_fini(l.cpu, l.ctx);
    },
    debug_locks("ctx->done_acquire"),
  ),
  dotest(
    "ww_test_context_unlock_twice",
    (l) => {
      begin(l);
      ww_acquire_done(l.cpu, l.ctx);
      ww_acquire_fini(l.cpu, l.ctx);
      ww_acquire_fini(l.cpu, l.ctx);
    },
    UNBALANCED,
    debug_locks("ctx->acquired"),
  ),
  dotest(
    "ww_test_context_fini_early",
    (l) => {
      begin(l);
      lock(l, l.o, l.ctx);
      ww_acquire_done(l.cpu, l.ctx);
      ww_acquire_fini(l.cpu, l.ctx);
    },
    debug_locks("ctx->acquired"),
  ),
  dotest(
    "ww_test_context_lock_after_done",
    (l) => {
      begin(l);
      ww_acquire_done(l.cpu, l.ctx);
      lock(l, l.o, l.ctx);
    },
    debug_locks("ww_ctx->done_acquire"),
  ),
];

const MISMATCHES: readonly Case[] = [
  dotest(
    "ww_test_object_unlock_twice",
    (l) => {
      lock(l, l.o, 0);
      unlock(l, l.o, l.o);
    },
    UNBALANCED,
    NOT_OWNER,
  ),
  dotest(
    "ww_test_object_lock_unbalanced",
    (l) => {
      begin(l);
      lock(l, l.o, l.ctx);
      l.set_ctx_field(l.ctx, "acquired", 0);
      unlock(l, l.o);
      ww_acquire_fini(l.cpu, l.ctx);
    },
    debug_locks("!lock->ctx->acquired"),
  ),
  dotest(
    "ww_test_object_lock_stale_context",
    (l) => {
      begin(l);
      l.set_lock_ctx(l.o, l.ctx2);
      lock(l, l.o, l.ctx);
    },
    debug_locks("ww->ctx"),
  ),
];

const EDEADLK_HANDLING: readonly Case[] = [
  dotest("ww_test_edeadlk_normal", (l) => {
    edeadlk(l);
    other_unlocks(l, l.o2);
    unlock(l, l.o);
    lock(l, l.o2, l.ctx);
  }),
  dotest("ww_test_edeadlk_normal_slow", (l) => {
    edeadlk(l);
    other_unlocks(l, l.o2);
    unlock(l, l.o);
    ww_mutex_lock_slow(l.cpu, l.o2, l.ctx);
  }),
  dotest(
    "ww_test_edeadlk_no_unlock",
    (l) => {
      edeadlk(l);
      other_unlocks(l, l.o2);
      lock(l, l.o2, l.ctx);
    },
    debug_locks("ww_ctx->acquired > 0"),
  ),
  dotest(
    "ww_test_edeadlk_no_unlock_slow",
    (l) => {
      edeadlk(l);
      other_unlocks(l, l.o2);
      ww_mutex_lock_slow(l.cpu, l.o2, l.ctx);
    },
    debug_locks("ww_ctx->acquired > 0"),
  ),
  dotest(
    "ww_test_edeadlk_acquire_more",
    (l) => {
      edeadlk(l);
      lock(l, l.o3, l.ctx);
    },
    debug_locks("ww_ctx->contending_lock != ww"),
    debug_locks("ww_ctx->acquired > 0"),
  ),
  dotest(
    "ww_test_edeadlk_acquire_more_slow",
    (l) => {
      edeadlk(l);
      ww_mutex_lock_slow(l.cpu, l.o3, l.ctx);
    },
    debug_locks("ww_ctx->contending_lock != ww"),
    debug_locks("ww_ctx->acquired > 0"),
  ),
  dotest(
    "ww_test_edeadlk_acquire_more_edeadlk",
    (l) => {
      edeadlk(l, true);
      lock(l, l.o3, l.ctx, -EDEADLK);
    },
    debug_locks("ww_ctx->contending_lock"),
  ),
  dotest(
    "ww_test_edeadlk_acquire_more_edeadlk_slow",
    (l) => {
      edeadlk(l, true);
      ww_mutex_lock_slow(l.cpu, l.o3, l.ctx);
    },
    debug_locks("ww_ctx->contending_lock"),
    "ww_mutex_lock_slow",
  ),
  dotest(
    "ww_test_edeadlk_acquire_wrong",
    (l) => {
      edeadlk(l);
      unlock(l, l.o);
      lock(l, l.o3, l.ctx);
    },
    debug_locks("ww_ctx->contending_lock != ww"),
  ),
  dotest(
    "ww_test_edeadlk_acquire_wrong_slow",
    (l) => {
      edeadlk(l);
      unlock(l, l.o);
      ww_mutex_lock_slow(l.cpu, l.o3, l.ctx);
    },
    debug_locks("ww_ctx->contending_lock != ww"),
  ),
];

export const WW_API_CASES: readonly Case[] = [
  ...API_FAILURES,
  ...CONTEXTS,
  ...MISMATCHES,
  ...EDEADLK_HANDLING,
];
