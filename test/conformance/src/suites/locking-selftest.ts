/**
 * locking-selftest: lib/locking-selftest.c, by the names of its functions: the 36 ww_test_* cases, and the lock-order
 * cases for the kinds of lock there are here, spin and mutex (there are no rwlocks, rwsems and rt-mutexes).
 *
 * The public test asks only whether debug_locks was turned off; here a case that must complain announces the text. A
 * case with spinlocks held over a mutex also has the complaint of might_sleep, which is silent there while booting.
 *
 * The parts: this file has the lock orders, locking-selftest-ww.ts and
 * locking-selftest-nest.ts the ww cases.
 */
import { mutex_init, mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import { spin_lock, spin_lock_init, spin_unlock } from "@ringside/core/lock/spinlock";
import type { Case, Suite } from "../suite.ts";
import {
  CIRCULAR,
  dotest,
  HELD_FREED,
  type Locks,
  type Name,
  NOT_OWNER,
  RECURSIVE,
  UNBALANCED,
} from "./locking-selftest-fixture.ts";
import { WW_NEST_CASES } from "./locking-selftest-nest.ts";
import { WW_API_CASES } from "./locking-selftest-ww.ts";

/** A kind of lock: LOCK, UNLOCK and INIT of the file. */
interface Kind {
  readonly suffix: string;
  /** What an unlock too many is told. */
  readonly double_unlock: readonly string[];
  lock(l: Locks, name: Name): void;
  unlock(l: Locks, name: Name): void;
  init(l: Locks, name: Name): void;
}

const KINDS: readonly Kind[] = [
  {
    suffix: "spin",
    double_unlock: [UNBALANCED],
    lock: (l, name) => spin_lock(l.cpu, l.spin(name)),
    unlock: (l, name) => spin_unlock(l.cpu, l.spin(name)),
    init: (l, name) => spin_lock_init(l.cpu, l.spin(name)),
  },
  {
    suffix: "mutex",
    double_unlock: [UNBALANCED, NOT_OWNER],
    lock: (l, name) => mutex_lock(l.cpu, l.mutex(name)),
    unlock: (l, name) => mutex_unlock(l.cpu, l.mutex(name)),
    init: (l, name) => mutex_init(l.cpu, l.mutex(name)),
  },
];

/** Names of the circular cases, each the pairs that are locked and unlocked in this order. */
const ORDERS: Readonly<Record<string, readonly (readonly [Name, Name])[]>> = {
  ABBA: [
    ["A", "B"],
    ["B", "A"],
  ],
  ABBCCA: [
    ["A", "B"],
    ["B", "C"],
    ["C", "A"],
  ],
  ABCABC: [
    ["A", "B"],
    ["C", "A"],
    ["B", "C"],
  ],
  ABBCCDDA: [
    ["A", "B"],
    ["B", "C"],
    ["C", "D"],
    ["D", "A"],
  ],
  ABCDBDDA: [
    ["A", "B"],
    ["C", "D"],
    ["B", "D"],
    ["D", "A"],
  ],
  ABCDBCDA: [
    ["A", "B"],
    ["C", "D"],
    ["B", "C"],
    ["D", "A"],
  ],
};

/** LOCK_UNLOCK_2; only the last pair may complain. */
function lock_pairs(l: Locks, kind: Kind, pairs: readonly (readonly [Name, Name])[]): void {
  for (const [i, [first, second]] of pairs.entries()) {
    if (i === pairs.length - 1) l.t.equal(l.t.warned(), 0, "warnings before the last pair");
    kind.lock(l, first);
    kind.lock(l, second);
    kind.unlock(l, second);
    kind.unlock(l, first);
  }
}

function kind_cases(kind: Kind): Case[] {
  const name = (base: string): string => `${base}_${kind.suffix}`;
  return [
    dotest(
      name("AA"),
      (l) => {
        kind.lock(l, "X1");
        kind.lock(l, "X2");
        kind.unlock(l, "X2");
        kind.unlock(l, "X1");
      },
      RECURSIVE,
    ),
    ...Object.entries(ORDERS).map(([base, pairs]) =>
      dotest(name(base), (l) => lock_pairs(l, kind, pairs), CIRCULAR),
    ),
    dotest(
      name("double_unlock"),
      (l) => {
        kind.lock(l, "A");
        kind.unlock(l, "A");
        kind.unlock(l, "A");
      },
      ...kind.double_unlock,
    ),
    dotest(
      name("init_held"),
      (l) => {
        kind.lock(l, "A");
        kind.init(l, "A");
      },
      HELD_FREED,
    ),
  ];
}

export const suite: Suite = {
  name: "locking-selftest",
  source: "lib/locking-selftest.c",
  cases: [...KINDS.flatMap(kind_cases), ...WW_API_CASES, ...WW_NEST_CASES],
};
