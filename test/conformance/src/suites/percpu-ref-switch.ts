/**
 * percpu_ref, the modes: kill, switches and second lives, on one CPU or with a reader that holds the grace period
 * off. After the comments of lib/percpu-refcount.c; case names are ours: "verb: law".
 */
import { PERCPU_COUNT_BIAS } from "@ringside/core/ref/percpu-ref-count";
import {
  percpu_ref_get,
  percpu_ref_get_many,
  percpu_ref_kill,
  percpu_ref_kill_and_confirm,
  PERCPU_REF_ALLOW_REINIT,
  PERCPU_REF_INIT_ATOMIC,
  PERCPU_REF_INIT_DEAD,
  percpu_ref_put,
  percpu_ref_put_many,
  percpu_ref_reinit,
  percpu_ref_resurrect,
  percpu_ref_switch_to_atomic,
  percpu_ref_switch_to_atomic_sync,
  percpu_ref_switch_to_percpu,
  percpu_ref_tryget_live,
  type PercpuRefPtr,
} from "@ringside/core/ref/percpu-ref";
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import { wait_until } from "@ringside/core/testing/rendezvous";
import type { Case } from "../suite.ts";
import {
  close,
  CONFIRM,
  confirmed,
  confirmed_after_release,
  count_of,
  COUNTER,
  dawdle,
  FLAG,
  flags_of,
  hold,
  inside_reader,
  is_forced_atomic,
  let_go,
  early_releases,
  open,
  ref_of,
  released,
} from "./percpu-ref-fixture.ts";
import { single } from "./percpu-ref-table.ts";

const ATOMIC = 1;
const DEAD = 2;
/** Of a reader that holds a grace period off, in ms. */
const READER_MS = 20;

/** The switch drops its own reference after it has woken who waits for it. */
function switch_to_atomic_settled(cpu: Cpu, ref: PercpuRefPtr): void {
  percpu_ref_switch_to_atomic_sync(cpu, ref);
  rcu_barrier(cpu);
}

const KILL: readonly Case[] = [
  single("kill: percpu mode: release comes a grace period later, not before", 0, (cpu, t, ref) => {
    inside_reader(cpu, () => {
      percpu_ref_kill(cpu, ref);
      t.equal(released(cpu, t), 0, "releases inside kill");
      dawdle(cpu, READER_MS);
      t.equal(released(cpu, t), 0, "releases while a reader of before the kill runs");
    });
    rcu_barrier(cpu);
    t.equal(released(cpu, t), 1, "releases");
  }),
  single("kill: a put between kill and switch meets the bias, not 0", 0, (cpu, t, ref) => {
    // Got in percpu mode, put in atomic mode: without the bias the counter has 1 for two references.
    percpu_ref_get_many(cpu, ref, 2);
    hold(cpu, t);
    inside_reader(cpu, () => {
      percpu_ref_kill(cpu, ref);
      percpu_ref_put(cpu, ref);
      t.equal(released(cpu, t), 0, "releases before the shards are summed");
      dawdle(cpu, READER_MS);
    });
    rcu_barrier(cpu);
    t.equal(released(cpu, t), 0, "releases while one is held");
    let_go(cpu, t);
    percpu_ref_put(cpu, ref);
    t.equal(released(cpu, t), 1, "releases");
    t.equal(early_releases(cpu, t), 0, "early releases");
  }),
  single("kill: drops the initial reference once", 0, (cpu, t, ref) => {
    percpu_ref_get(cpu, ref);
    percpu_ref_kill(cpu, ref);
    rcu_barrier(cpu);
    t.equal(count_of(cpu, ref), 1, "references left");
    t.equal(released(cpu, t), 0, "releases while one is held");
    percpu_ref_put(cpu, ref);
    t.equal(released(cpu, t), 1, "releases");
  }),
  single(
    "kill: atomic mode: confirm, then release, may run inside",
    PERCPU_REF_INIT_ATOMIC,
    (cpu, t, ref) => {
      percpu_ref_kill_and_confirm(cpu, ref, CONFIRM);
      t.equal(confirmed(cpu, t), 1, "confirmations");
      t.equal(released(cpu, t), 1, "releases");
      t.ok(!confirmed_after_release(cpu, t), "confirm comes first");
    },
  ),
  single(
    "kill_and_confirm: confirm comes before release, and no live reference after it",
    0,
    (cpu, t, ref) => {
      inside_reader(cpu, () => {
        percpu_ref_kill_and_confirm(cpu, ref, CONFIRM);
        dawdle(cpu, READER_MS);
        t.equal(confirmed(cpu, t), 0, "confirmations while a reader of before the kill runs");
      });
      rcu_barrier(cpu);
      t.equal(confirmed(cpu, t), 1, "confirmations");
      t.equal(released(cpu, t), 1, "releases");
      t.ok(!confirmed_after_release(cpu, t), "confirm comes first");
      t.ok(!percpu_ref_tryget_live(cpu, ref), "tryget_live");
    },
  ),
  single(
    "kill: twice warns, goes on, and drops a reference too many",
    0,
    (cpu, t, ref) => {
      percpu_ref_get_many(cpu, ref, 2);
      percpu_ref_kill(cpu, ref);
      percpu_ref_kill(cpu, ref);
      rcu_barrier(cpu);
      t.equal(count_of(cpu, ref), 1, "references left of two");
      percpu_ref_put(cpu, ref);
      t.equal(released(cpu, t), 1, "releases");
    },
    { warns: ["percpu_ref_kill_and_confirm called more than once on percpu_ref_case_release!"] },
  ),
  single(
    "kill: puts too many are found when the shards are summed, and said three times",
    0,
    (cpu, t, ref) => {
      percpu_ref_put_many(cpu, ref, 3);
      percpu_ref_kill(cpu, ref);
      rcu_barrier(cpu);
      t.equal(released(cpu, t), 0, "releases below 0");
      t.equal(count_of(cpu, ref), -3, "count");
      for (let round = 1; round <= 4; round++) {
        close(cpu, t);
        open(cpu, t, 0);
        percpu_ref_put_many(cpu, ref, 2);
        percpu_ref_kill(cpu, ref);
        rcu_barrier(cpu);
      }
      // The warning comes once, the error three times.
      t.equal(t.warned(), 4, "lines logged");
    },
    {
      alone: true,
      warns: [
        "percpu ref (percpu_ref_case_release) <= 0 (-2) after switching to atomic",
        "percpu_ref_switch_to_atomic_rcu(): percpu_ref underflow",
      ],
    },
  ),
];

const SWITCH: readonly Case[] = [
  single(
    "switch_to_atomic: _sync waits for the switch, which keeps the references",
    PERCPU_REF_ALLOW_REINIT,
    (cpu, t, ref) => {
      percpu_ref_get_many(cpu, ref, 3);
      switch_to_atomic_settled(cpu, ref);
      t.equal(flags_of(cpu, ref), ATOMIC, "flags");
      t.equal(count_of(cpu, ref), 4, "count");
      percpu_ref_put_many(cpu, ref, 3);
      percpu_ref_kill(cpu, ref);
      t.equal(released(cpu, t), 1, "releases");
    },
  ),
  single(
    "switch_to_atomic: confirms after a grace period, at once when atomic already",
    PERCPU_REF_ALLOW_REINIT,
    (cpu, t, ref) => {
      inside_reader(cpu, () => {
        percpu_ref_switch_to_atomic(cpu, ref, CONFIRM);
        dawdle(cpu, READER_MS);
        t.equal(confirmed(cpu, t), 0, "confirmations while a reader runs");
      });
      rcu_barrier(cpu);
      t.equal(confirmed(cpu, t), 1, "confirmations");
      inside_reader(cpu, () => percpu_ref_switch_to_atomic(cpu, ref, CONFIRM));
      t.equal(confirmed(cpu, t), 2, "confirmations of an atomic reference");
      percpu_ref_kill(cpu, ref);
    },
  ),
  single("switch_to_atomic: without ALLOW_REINIT the reference ends dead", 0, (cpu, t, ref) => {
    switch_to_atomic_settled(cpu, ref);
    t.equal(flags_of(cpu, ref), ATOMIC | DEAD, "flags");
    t.equal(released(cpu, t), 0, "releases");
    percpu_ref_put(cpu, ref);
    t.equal(released(cpu, t), 1, "releases after the last put");
  }),
  single(
    "switch_to_atomic: sticky across kill and reinit, until switch_to_percpu",
    PERCPU_REF_ALLOW_REINIT,
    (cpu, t, ref) => {
      switch_to_atomic_settled(cpu, ref);
      percpu_ref_kill(cpu, ref);
      percpu_ref_reinit(cpu, ref);
      t.equal(flags_of(cpu, ref), ATOMIC, "flags after reinit");
      percpu_ref_switch_to_percpu(cpu, ref);
      t.equal(flags_of(cpu, ref), 0, "flags after switch_to_percpu");
      t.equal(count_of(cpu, ref), PERCPU_COUNT_BIAS + 1, "count, biased again");
      percpu_ref_kill(cpu, ref);
    },
  ),
  single("switch_to_percpu: nothing to do in percpu mode", 0, (cpu, t, ref) => {
    percpu_ref_switch_to_percpu(cpu, ref);
    t.equal(flags_of(cpu, ref), 0, "flags");
    t.equal(count_of(cpu, ref), PERCPU_COUNT_BIAS + 1, "count");
    percpu_ref_kill(cpu, ref);
  }),
  single(
    "switch_to_percpu: a dying reference switches when it is reinitialised",
    PERCPU_REF_INIT_ATOMIC,
    (cpu, t, ref) => {
      percpu_ref_kill(cpu, ref);
      percpu_ref_switch_to_percpu(cpu, ref);
      t.equal(flags_of(cpu, ref), ATOMIC | DEAD, "flags while it is dead");
      t.ok(!is_forced_atomic(cpu, ref), "no longer forced atomic");
      percpu_ref_reinit(cpu, ref);
      t.equal(flags_of(cpu, ref), 0, "flags after reinit");
      percpu_ref_kill(cpu, ref);
    },
  ),
  single("switch_to_percpu: the shards begin at 0", PERCPU_REF_ALLOW_REINIT, (cpu, t, ref) => {
    percpu_ref_get_many(cpu, ref, 7);
    percpu_ref_switch_to_atomic_sync(cpu, ref);
    percpu_ref_switch_to_percpu(cpu, ref);
    switch_to_atomic_settled(cpu, ref);
    t.equal(count_of(cpu, ref), 8, "count after two switches");
    percpu_ref_put_many(cpu, ref, 7);
    percpu_ref_kill(cpu, ref);
  }),
];

const RESURRECT: readonly Case[] = [
  single(
    "reinit: after 0 it is live with one reference, and is released again",
    PERCPU_REF_ALLOW_REINIT,
    (cpu, t, ref) => {
      for (let life = 1; life <= 5; life++) {
        t.ok(percpu_ref_tryget_live(cpu, ref), "tryget_live");
        percpu_ref_put(cpu, ref);
        percpu_ref_kill(cpu, ref);
        rcu_barrier(cpu);
        t.equal(released(cpu, t), life, "releases");
        percpu_ref_reinit(cpu, ref);
        t.equal(flags_of(cpu, ref), 0, "flags");
      }
      percpu_ref_kill(cpu, ref);
    },
  ),
  single("reinit: a reference that began dead", PERCPU_REF_INIT_DEAD, (cpu, t, ref) => {
    percpu_ref_reinit(cpu, ref);
    t.equal(flags_of(cpu, ref), 0, "flags");
    t.ok(percpu_ref_tryget_live(cpu, ref), "tryget_live");
    percpu_ref_put(cpu, ref);
    percpu_ref_kill(cpu, ref);
  }),
  single("resurrect: takes back the kill of a reference in use", PERCPU_REF_ALLOW_REINIT, (cpu, t, ref) => {
    percpu_ref_get(cpu, ref);
    percpu_ref_kill(cpu, ref);
    percpu_ref_resurrect(cpu, ref);
    t.equal(flags_of(cpu, ref), 0, "flags");
    percpu_ref_put(cpu, ref);
    t.equal(released(cpu, t), 0, "releases");
    percpu_ref_kill(cpu, ref);
    rcu_barrier(cpu);
    t.equal(released(cpu, t), 1, "releases after the second kill");
  }),
  {
    name: "resurrect: waits for the switch of the kill",
    bodies: [
      (cpu, t) => {
        const ref = open(cpu, t, PERCPU_REF_ALLOW_REINIT);
        percpu_ref_get(cpu, ref);
        t.meet();
        wait_until(cpu, t.scratch + COUNTER, 1);
        percpu_ref_kill_and_confirm(cpu, ref, CONFIRM);
        percpu_ref_resurrect(cpu, ref);
        t.equal(cpu.mem.loadAcquire(t.scratch + FLAG), 1, "the reader has ended");
        t.equal(confirmed(cpu, t), 1, "confirmations");
        percpu_ref_put(cpu, ref);
        percpu_ref_kill(cpu, ref);
        close(cpu, t);
      },
      (cpu, t) => {
        t.meet();
        inside_reader(cpu, () => {
          cpu.mem.storeRelease(t.scratch + COUNTER, 1);
          // ATOMIC stays until the switch; resurrect clears DEAD before it waits.
          while ((flags_of(cpu, ref_of(t)) & ATOMIC) === 0) cpu.mem.pause();
          dawdle(cpu, READER_MS);
          cpu.mem.storeRelease(t.scratch + FLAG, 1);
        });
      },
    ],
  },
  single(
    "resurrect: of a live reference warns",
    PERCPU_REF_INIT_ATOMIC,
    (cpu, t, ref) => {
      percpu_ref_resurrect(cpu, ref);
      t.equal(t.warned(), 1, "warnings");
      t.equal(count_of(cpu, ref), 2, "count: it went on");
      percpu_ref_put_many(cpu, ref, 2);
    },
    { warns: ["percpu_ref_resurrect"] },
  ),
  single(
    "resurrect: of a live reference in percpu mode warns twice",
    PERCPU_REF_ALLOW_REINIT,
    (cpu, t, ref) => {
      percpu_ref_resurrect(cpu, ref);
      t.equal(t.warned(), 2, "warnings");
      percpu_ref_put(cpu, ref);
      percpu_ref_kill(cpu, ref);
    },
    { warns: ["percpu_ref_resurrect"] },
  ),
  single(
    "reinit: of a reference in use warns",
    PERCPU_REF_INIT_ATOMIC,
    (cpu, t, ref) => {
      percpu_ref_get(cpu, ref);
      percpu_ref_kill(cpu, ref);
      percpu_ref_reinit(cpu, ref);
      t.equal(t.warned(), 1, "warnings");
      t.equal(count_of(cpu, ref), 2, "count: it went on");
      percpu_ref_put_many(cpu, ref, 2);
    },
    { warns: ["percpu_ref_reinit"] },
  ),
];

export const SWITCH_CASES: readonly Case[] = [...KILL, ...SWITCH, ...RESURRECT];
