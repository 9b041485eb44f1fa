/**
 * The ww_test_* cases of lib/locking-selftest.c on nesting: which ways of taking two locks of one class, or a lock and
 * a spinlock, are safe. The class is wait-die, as there.
 */
import { spin_lock, spin_lock_nest_lock, spin_unlock } from "@ringside/core/lock/spinlock";
import type { Case } from "../suite.ts";
import {
  ATOMIC_SLEEP,
  begin,
  CIRCULAR,
  dotest,
  lock,
  type Locks,
  NOT_NESTED,
  RECURSIVE,
  trylock,
  unlock,
} from "./locking-selftest-fixture.ts";

const NEST_LOCK: readonly Case[] = [
  dotest("ww_test_spin_nest_lock", (l) => {
    const [x1, y1, y2, a] = [l.spin("X1"), l.spin("Y1"), l.spin("Y2"), l.spin("A")];
    spin_lock(l.cpu, x1);
    spin_lock_nest_lock(l.cpu, y1, x1);
    spin_lock(l.cpu, a);
    spin_lock_nest_lock(l.cpu, y2, x1);
    for (const held of [a, y2, y1, x1]) spin_unlock(l.cpu, held);
  }),
  dotest(
    "ww_test_spin_nest_unlocked",
    (l) => {
      spin_lock_nest_lock(l.cpu, l.spin("A"), l.o);
      spin_unlock(l.cpu, l.spin("A"));
    },
    NOT_NESTED,
  ),
];

/** A first way of taking a lock of the class, then a second one of another lock. */
const PAIRS: readonly Case[] = [
  dotest(
    "ww_test_context_block",
    (l) => {
      begin(l);
      lock(l, l.o, l.ctx);
      lock(l, l.o2, 0);
    },
    RECURSIVE,
  ),
  dotest("ww_test_context_try", (l) => {
    begin(l);
    lock(l, l.o, l.ctx);
    trylock(l, l.o2);
    unlock(l, l.o2, l.o);
  }),
  dotest("ww_test_context_context", (l) => {
    begin(l);
    lock(l, l.o, l.ctx);
    lock(l, l.o2, l.ctx);
    unlock(l, l.o2, l.o);
  }),
  dotest(
    "ww_test_try_block",
    (l) => {
      trylock(l, l.o);
      lock(l, l.o2, 0);
      unlock(l, l.o2, l.o);
    },
    RECURSIVE,
  ),
  dotest("ww_test_try_try", (l) => {
    trylock(l, l.o);
    trylock(l, l.o2);
    unlock(l, l.o2, l.o);
  }),
  dotest(
    "ww_test_try_context",
    (l) => {
      trylock(l, l.o);
      begin(l);
      lock(l, l.o2, l.ctx);
    },
    RECURSIVE,
  ),
  dotest(
    "ww_test_block_block",
    (l) => {
      lock(l, l.o, 0);
      lock(l, l.o2, 0);
    },
    RECURSIVE,
  ),
  dotest("ww_test_block_try", (l) => {
    lock(l, l.o, 0);
    trylock(l, l.o2);
  }),
  dotest(
    "ww_test_block_context",
    (l) => {
      lock(l, l.o, 0);
      begin(l);
      lock(l, l.o2, l.ctx);
    },
    RECURSIVE,
  ),
];

/** Uses the spinlock A alone, then inside what `outer` takes, then takes that inside A. */
function around_spinlock(l: Locks, take: () => void): void {
  const a = l.spin("A");
  const use_a = (): void => {
    spin_lock(l.cpu, a);
    spin_unlock(l.cpu, a);
  };
  use_a();
  take();
  use_a();
  unlock(l, l.o);
  spin_lock(l.cpu, a);
  take();
  unlock(l, l.o);
  spin_unlock(l.cpu, a);
}

const SPINLOCK: readonly Case[] = [
  dotest("ww_test_spin_block", (l) => around_spinlock(l, () => lock(l, l.o, 0)), CIRCULAR, ATOMIC_SLEEP),
  dotest("ww_test_spin_try", (l) => around_spinlock(l, () => trylock(l, l.o))),
  dotest(
    "ww_test_spin_context",
    (l) => {
      begin(l);
      around_spinlock(l, () => lock(l, l.o, l.ctx));
    },
    CIRCULAR,
    ATOMIC_SLEEP,
  ),
];

export const WW_NEST_CASES: readonly Case[] = [...NEST_LOCK, ...PAIRS, ...SPINLOCK];
