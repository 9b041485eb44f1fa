/**
 * percpu_ref, the counter itself: what each verb does in each mode. After the comments of
 * include/linux/percpu-refcount.h and lib/percpu-refcount.c; case names are ours: "verb: law".
 */
import { ENOMEM } from "@ringside/core/debug/errno";
import { FAULT_SLAB, fault_arm, fault_disarm } from "@ringside/core/debug/fault-inject";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import { PERCPU_COUNT_BIAS, PERCPU_COUNT_PTR, PERCPU_REF_SIZE } from "@ringside/core/ref/percpu-ref-count";
import {
  percpu_ref_exit,
  percpu_ref_get,
  percpu_ref_get_many,
  percpu_ref_init,
  percpu_ref_is_dying,
  percpu_ref_is_zero,
  percpu_ref_kill,
  PERCPU_REF_ALLOW_REINIT,
  PERCPU_REF_INIT_ATOMIC,
  PERCPU_REF_INIT_DEAD,
  percpu_ref_put,
  percpu_ref_put_many,
  percpu_ref_tryget,
  percpu_ref_tryget_live,
  percpu_ref_tryget_live_rcu,
  percpu_ref_tryget_many,
} from "@ringside/core/ref/percpu-ref";
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Checks } from "../checks.ts";
import type { Case } from "../suite.ts";
import {
  allows_reinit,
  close,
  count_of,
  flags_of,
  inside_reader,
  is_forced_atomic,
  open,
  ref_of,
  released,
} from "./percpu-ref-fixture.ts";

const ATOMIC = 1;
const DEAD = 2;

/** One CPU, one reference initialised with `flags`. */
export function single(
  name: string,
  flags: number,
  body: (cpu: Cpu, t: Checks, ref: ReturnType<typeof open>) => void,
  more: Partial<Case> = {},
): Case {
  return {
    name,
    bodies: [
      (cpu, t) => {
        body(cpu, t, open(cpu, t, flags));
        close(cpu, t);
      },
    ],
    ...more,
  };
}

interface InitRow {
  readonly flags: number;
  readonly name: string;
  readonly word: number;
  readonly count: number;
  readonly reinit: boolean;
  readonly atomic: boolean;
}

const PERCPU_START = PERCPU_COUNT_BIAS + 1;
const INIT_TABLE: readonly InitRow[] = [
  { name: "0", flags: 0, word: 0, count: PERCPU_START, reinit: false, atomic: false },
  {
    name: "ALLOW_REINIT",
    flags: PERCPU_REF_ALLOW_REINIT,
    word: 0,
    count: PERCPU_START,
    reinit: true,
    atomic: false,
  },
  {
    name: "INIT_ATOMIC",
    flags: PERCPU_REF_INIT_ATOMIC,
    word: ATOMIC,
    count: 1,
    reinit: true,
    atomic: true,
  },
  {
    name: "INIT_DEAD",
    flags: PERCPU_REF_INIT_DEAD,
    word: ATOMIC | DEAD,
    count: 0,
    reinit: true,
    atomic: false,
  },
  {
    name: "INIT_ATOMIC|INIT_DEAD",
    flags: PERCPU_REF_INIT_ATOMIC | PERCPU_REF_INIT_DEAD,
    word: ATOMIC | DEAD,
    count: 0,
    reinit: true,
    atomic: true,
  },
];

function init_case({ name, flags, word, count, reinit, atomic }: InitRow): Case {
  return single(`percpu_ref_init: ${name}`, flags, (cpu, t, ref) => {
    t.equal(flags_of(cpu, ref), word, "flags in the word");
    t.equal(count_of(cpu, ref), count, "count");
    t.equal(allows_reinit(cpu, ref), reinit, "allow_reinit");
    t.equal(is_forced_atomic(cpu, ref), atomic, "force_atomic");
    t.equal(percpu_ref_is_dying(cpu, ref), (word & DEAD) !== 0, "is_dying");
    t.equal(percpu_ref_is_zero(cpu, ref), count === 0, "is_zero");
    t.equal(released(cpu, t), 0, "releases");
  });
}

const INIT: readonly Case[] = [
  ...INIT_TABLE.map(init_case),
  {
    name: "percpu_ref_init: -ENOMEM at either allocation leaves nothing behind",
    bodies: [
      (cpu, t) => {
        for (let after = 0; after < 2; after++) {
          fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
          const error = percpu_ref_init(cpu, ref_of(t), 0, 0, GFP_KERNEL);
          fault_disarm(cpu, FAULT_SLAB);
          t.equal(error, -ENOMEM, `percpu_ref_init with ${after} allocations`);
          t.equal(cpu.mem.read(t.scratch + PERCPU_COUNT_PTR), 0, "the word");
        }
      },
    ],
  },
];

const GET_AND_PUT: readonly Case[] = [
  single("get, put: percpu mode touches the own shard and never releases", 0, (cpu, t, ref) => {
    percpu_ref_put(cpu, ref);
    percpu_ref_put_many(cpu, ref, 5);
    t.equal(count_of(cpu, ref), PERCPU_START, "the atomic counter");
    t.equal(released(cpu, t), 0, "releases");
    percpu_ref_get_many(cpu, ref, 5);
    percpu_ref_get(cpu, ref);
    percpu_ref_kill(cpu, ref);
    rcu_barrier(cpu);
    t.equal(released(cpu, t), 1, "releases after the kill");
  }),
  single("get, put: shards may wrap, only their sum counts", 0, (cpu, t, ref) => {
    percpu_ref_get_many(cpu, ref, 0x7fffffff);
    percpu_ref_get_many(cpu, ref, 0x7fffffff);
    percpu_ref_put_many(cpu, ref, 0x7fffffff);
    percpu_ref_put_many(cpu, ref, 0x7ffffffd);
    percpu_ref_kill(cpu, ref);
    rcu_barrier(cpu);
    t.equal(count_of(cpu, ref), 2, "references left");
    percpu_ref_put(cpu, ref);
    t.equal(released(cpu, t), 0, "releases while one is left");
    percpu_ref_put(cpu, ref);
    t.equal(released(cpu, t), 1, "releases");
  }),
  single(
    "get, put: atomic mode counts, and the put that reaches 0 releases",
    PERCPU_REF_INIT_ATOMIC,
    (cpu, t, ref) => {
      percpu_ref_get(cpu, ref);
      percpu_ref_get_many(cpu, ref, 3);
      t.equal(count_of(cpu, ref), 5, "count");
      percpu_ref_put_many(cpu, ref, 4);
      t.equal(released(cpu, t), 0, "releases at 1");
      percpu_ref_put(cpu, ref);
      t.equal(released(cpu, t), 1, "releases at 0");
    },
  ),
  single("get: a dead reference is counted without a check", PERCPU_REF_INIT_DEAD, (cpu, t, ref) => {
    percpu_ref_get_many(cpu, ref, 2);
    t.equal(count_of(cpu, ref), 2, "count");
    percpu_ref_put_many(cpu, ref, 2);
    t.equal(released(cpu, t), 1, "releases");
  }),
];

const TRYGET: readonly Case[] = [
  single("tryget: percpu mode always succeeds", 0, (cpu, t, ref) => {
    t.ok(percpu_ref_tryget(cpu, ref), "tryget");
    t.ok(percpu_ref_tryget_many(cpu, ref, 3), "tryget_many");
    percpu_ref_kill(cpu, ref);
    rcu_barrier(cpu);
    t.equal(count_of(cpu, ref), 4, "count");
    percpu_ref_put_many(cpu, ref, 4);
  }),
  single("tryget: atomic mode, dead or not: unless the count is 0", PERCPU_REF_INIT_ATOMIC, (cpu, t, ref) => {
    t.ok(percpu_ref_tryget(cpu, ref), "tryget at 1");
    t.ok(percpu_ref_tryget_many(cpu, ref, 2), "tryget_many at 2");
    percpu_ref_kill(cpu, ref);
    t.equal(count_of(cpu, ref), 3, "count after the kill");
    t.ok(percpu_ref_tryget(cpu, ref), "tryget of a dead one in use");
    percpu_ref_put_many(cpu, ref, 4);
    t.ok(!percpu_ref_tryget(cpu, ref), "tryget at 0");
    t.ok(!percpu_ref_tryget_many(cpu, ref, 2), "tryget_many at 0");
    t.equal(count_of(cpu, ref), 0, "count at the end");
  }),
  single("tryget_live: percpu mode succeeds, a dead one fails though in use", 0, (cpu, t, ref) => {
    t.ok(percpu_ref_tryget_live(cpu, ref), "live");
    percpu_ref_kill(cpu, ref);
    rcu_barrier(cpu);
    t.ok(!percpu_ref_tryget_live(cpu, ref), "dead");
    t.equal(count_of(cpu, ref), 1, "count");
    percpu_ref_put(cpu, ref);
  }),
  single("tryget_live: atomic mode: unless the count is 0", PERCPU_REF_INIT_ATOMIC, (cpu, t, ref) => {
    t.ok(percpu_ref_tryget_live(cpu, ref), "live, at 1");
    percpu_ref_put_many(cpu, ref, 2);
    t.ok(!percpu_ref_tryget_live(cpu, ref), "live, at 0");
    t.equal(count_of(cpu, ref), 0, "count");
  }),
  single(
    "tryget_live_rcu: warns outside an RCU read section, and works",
    0,
    (cpu, t, ref) => {
      inside_reader(cpu, () => t.ok(percpu_ref_tryget_live_rcu(cpu, ref), "in a reader"));
      t.equal(t.warned(), 0, "warnings in a reader");
      t.ok(percpu_ref_tryget_live_rcu(cpu, ref), "outside");
      percpu_ref_put_many(cpu, ref, 2);
      percpu_ref_kill(cpu, ref);
    },
    { warns: ["percpu_ref_tryget_live_rcu"] },
  ),
];

const QUESTIONS: readonly Case[] = [
  single(
    "is_zero: never in percpu mode; by the count in atomic mode",
    PERCPU_REF_ALLOW_REINIT,
    (cpu, t, ref) => {
      percpu_ref_put(cpu, ref);
      t.ok(!percpu_ref_is_zero(cpu, ref), "percpu mode, though the sum is 0");
      percpu_ref_get_many(cpu, ref, 2);
      percpu_ref_kill(cpu, ref);
      rcu_barrier(cpu);
      t.ok(!percpu_ref_is_zero(cpu, ref), "one is held");
      percpu_ref_put(cpu, ref);
      t.ok(percpu_ref_is_zero(cpu, ref), "all are put");
    },
  ),
  single("is_dying: from the kill on, switched or not", 0, (cpu, t, ref) => {
    t.ok(!percpu_ref_is_dying(cpu, ref), "before");
    inside_reader(cpu, () => {
      percpu_ref_kill(cpu, ref);
      t.ok(percpu_ref_is_dying(cpu, ref), "before the switch is done");
    });
    rcu_barrier(cpu);
    t.ok(percpu_ref_is_dying(cpu, ref), "after it");
  }),
];

const EXIT: readonly Case[] = [
  single("exit: idempotent, and harmless on a zeroed reference", 0, (cpu, t, ref) => {
    percpu_ref_kill(cpu, ref);
    rcu_barrier(cpu);
    percpu_ref_exit(cpu, ref);
    percpu_ref_exit(cpu, ref);
    t.equal(flags_of(cpu, ref), ATOMIC | DEAD, "flags");
    cpu.mem.memset(ref, 0, PERCPU_REF_SIZE);
    percpu_ref_exit(cpu, ref);
    t.equal(flags_of(cpu, ref), 0, "flags of a zeroed one");
  }),
  single("exit: of a reference that was never killed", 0, (cpu, t, ref) => {
    percpu_ref_exit(cpu, ref);
    t.ok(!percpu_ref_tryget_live(cpu, ref), "tryget_live");
    t.equal(released(cpu, t), 0, "releases");
  }),
  single("exit: tryget_live fails, is_zero remembers the final count", 0, (cpu, t, ref) => {
    percpu_ref_get_many(cpu, ref, 2);
    percpu_ref_kill(cpu, ref);
    rcu_barrier(cpu);
    percpu_ref_exit(cpu, ref);
    t.ok(!percpu_ref_tryget_live(cpu, ref), "tryget_live");
    t.ok(percpu_ref_is_dying(cpu, ref), "is_dying");
    t.ok(!percpu_ref_is_zero(cpu, ref), "is_zero: two were held");
    percpu_ref_init(cpu, ref, 0, PERCPU_REF_INIT_DEAD, GFP_KERNEL);
    percpu_ref_exit(cpu, ref);
    t.ok(percpu_ref_is_zero(cpu, ref), "is_zero: none was held");
  }),
];

export const TABLE_CASES: readonly Case[] = [...INIT, ...GET_AND_PUT, ...TRYGET, ...QUESTIONS, ...EXIT];
