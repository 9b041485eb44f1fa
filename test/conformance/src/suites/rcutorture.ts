/**
 * kernel/rcu/rcutorture.c, a case for each of its parameters. What runs is in scenarios/rcutorture*: here are the
 * casts, and what each case expects of the figures.
 *
 * The law under all of them: a reader sees no element that is older than one grace period.
 */
import { LOG_INFO, printk } from "@ringside/core/debug/dmesg";
import {
  rcu_read_lock,
  rcu_read_unlock,
  rcu_set_cpu_stall_timeout,
  synchronize_rcu,
} from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { msleep } from "@ringside/core/sched/delay";
import { wait_until } from "@ringside/core/testing/rendezvous";
import { rcu_torture_begin } from "@ringside/scenarios/rcutorture";
import { rcu_torture_barrier_cbs, rcu_torture_barrier_once } from "@ringside/scenarios/rcutorture-barrier";
import { rcu_torture_fwd_prog_cr, rcu_torture_fwd_prog_nr } from "@ringside/scenarios/rcutorture-fwd";
import { rcu_test_debug_objects, rcu_torture_read_exit } from "@ringside/scenarios/rcutorture-odd-jobs";
import { rcu_torture_reader } from "@ringside/scenarios/rcutorture-reader";
import {
  DEFAULT_TORTURE,
  GP_COND,
  GP_COND_EXP,
  GP_COND_EXP_FULL,
  GP_COND_FULL,
  GP_EXP,
  GP_NORMAL,
  GP_POLL,
  GP_POLL_EXP,
  GP_POLL_EXP_FULL,
  GP_POLL_FULL,
  GP_SYNC,
  torture_stop,
  type TortureParams,
} from "@ringside/scenarios/rcutorture-state";
import {
  gp_too_short,
  rcu_torture_cleanup,
  rcu_torture_stats,
  torture_stats_lines,
  type TortureStats,
} from "@ringside/scenarios/rcutorture-stats";
import { rcu_torture_fakewriter, rcu_torture_writer } from "@ringside/scenarios/rcutorture-writer";
import type { Checks } from "../checks.ts";
import type { Body, Case, Suite } from "../suite.ts";

/** What one CPU does between begin and cleanup. */
type Part = (cpu: Cpu, t: Checks) => void;
type Judge = (t: Checks, stats: TortureStats) => void;

const writer: Part = (cpu) => rcu_torture_writer(cpu);
const fakewriter: Part = (cpu) => rcu_torture_fakewriter(cpu);
function reader(myid: number): Part {
  return (cpu) => rcu_torture_reader(cpu, myid);
}

/** Updates that a timed torture makes at least, however slow the machine is. */
const UPDATES = 5;
/** A watcher gives up after so long, ms: then what it waits for does not happen. */
const PATIENCE_MS = 25_000;

/** Bodies for a cast: body 0 also begins and judges. */
function cast(params: Partial<TortureParams>, parts: readonly Part[], judge: Judge): Body[] {
  return parts.map((part) => (cpu, t) => {
    if (t.index === 0) rcu_torture_begin(cpu, { ...DEFAULT_TORTURE, ...params, seconds: t.seconds });
    t.meet();
    part(cpu, t);
    t.meet();
    if (t.index !== 0) return;
    rcu_torture_cleanup(cpu);
    const stats = rcu_torture_stats(cpu);
    judge(t, stats);
    const [general, pipe] = torture_stats_lines(params.flavor ?? "qsbr", stats);
    t.note((stats.pipe[0] === 0 ? general : pipe) as string);
  });
}

/** Nothing wrong, and something done. Too-short grace periods warn (rcu_torture_cleanup). */
const sound: Judge = (t, stats) => {
  t.ok(!gp_too_short(stats), "a reader saw an element after its grace period");
  t.equal(stats.mbErrors, 0, "rtmbe");
  t.equal(stats.mbChecks.failed, 0, "rtmbkf");
  t.ok((stats.pipe[0] ?? 0) > 0, "readers saw elements");
  t.ok(stats.version >= UPDATES, "the writer made updates");
};

function torture(name: string, seconds: number, params: Partial<TortureParams>, more: Part[] = []): Case {
  const parts = [writer, reader(0), reader(1), ...more];
  return { name, seconds, bodies: cast({ updates: UPDATES, ...params }, parts, sound) };
}

/** One way of waiting for grace periods, alone. */
function one_way(name: string, gp: number): Case {
  return torture(name, 0.8, { gp });
}

/** Ends the torture as soon as `seen`. */
function watcher(seen: (cpu: Cpu, t: Checks) => boolean): Part {
  return (cpu, t) => {
    const end = cpu.now() + PATIENCE_MS;
    while (!seen(cpu, t) && cpu.now() < end) msleep(cpu, 5);
    torture_stop(cpu);
  };
}

/** The negative control: grace periods that do not wait must be noticed. */
const busted: Case = {
  name: "busted",
  bodies: cast(
    { flavor: "busted" },
    [writer, reader(0), reader(1), watcher((cpu) => gp_too_short(rcu_torture_stats(cpu)))],
    (t, stats) => t.ok(gp_too_short(stats), "the torture notices that grace periods are too short"),
  ),
  warns: ["rcu_torture_stats_print"],
};

const LEAKED = "leaked pointer to an element after its grace period";
const leakpointer: Case = {
  name: "leakpointer",
  bodies: cast(
    { leakpointer: true },
    [writer, reader(0), reader(1), watcher((_, t) => t.logged(LEAKED))],
    (t, stats) => t.ok(!gp_too_short(stats), "inside sections all is well"),
  ),
  warns: [LEAKED],
};

const BARRIERS = 30;
const n_barrier_cbs: Case = {
  name: "n_barrier_cbs",
  bodies: cast(
    { n_barrier_cbs: 3 },
    [
      (cpu) => {
        for (let i = 0; i < BARRIERS; i++) rcu_torture_barrier_once(cpu);
        torture_stop(cpu);
      },
      (cpu) => rcu_torture_barrier_cbs(cpu, 0),
      (cpu) => rcu_torture_barrier_cbs(cpu, 1),
      (cpu) => rcu_torture_barrier_cbs(cpu, 2),
    ],
    (t, stats) => {
      t.equal(stats.barrier.errors, 0, "rtbe");
      t.equal(stats.barrier.successes, BARRIERS, "barriers after which all callbacks had run");
    },
  ),
};

const READ_EXIT_EPISODES = 2;
const read_exit: Case = {
  name: "read_exit",
  bodies: cast(
    {},
    [
      (cpu) => {
        for (let i = 0; i < READ_EXIT_EPISODES; i++) rcu_torture_read_exit(cpu);
        torture_stop(cpu);
      },
      writer,
      reader(0),
    ],
    (t, stats) => {
      t.ok(!gp_too_short(stats), "a visiting reader saw an element after its grace period");
      t.equal(stats.readExits, READ_EXIT_EPISODES * 16, "visits");
    },
  ),
};

const fwd_progress: Case = {
  name: "fwd_progress",
  bodies: cast(
    {},
    [
      (cpu) => {
        rcu_torture_fwd_prog_nr(cpu, 200);
        rcu_torture_fwd_prog_cr(cpu);
        torture_stop(cpu);
      },
      writer,
      reader(0),
    ],
    (t, stats) => t.equal(stats.forwardProgress, 2, "tests in which grace periods went on"),
  ),
};

/** Words in t.scratch. */
const INSIDE = 0;
const DONE = 128;
const STALL_TIMEOUT_MS = 100;
const STALL = "rcu: INFO: rcu_qsbr detected stalls on CPUs/tasks:";

/** rcu_torture_stall: sits in a section; RCU must complain, and must not end the grace period. */
const stalls: Body = (cpu, t) => {
  const end = cpu.now() + t.seconds * 1000;
  rcu_set_cpu_stall_timeout(cpu, STALL_TIMEOUT_MS);
  t.meet();
  rcu_read_lock(cpu);
  printk(cpu, LOG_INFO, `rcu_torture_stall start on CPU ${cpu.id}.`);
  cpu.mem.storeRelease(t.scratch + INSIDE, 1);
  let early = 0;
  while (early === 0 && (cpu.now() < end || (!t.logged(STALL) && cpu.now() < end + PATIENCE_MS))) {
    for (let i = 0; i < 1000; i++) cond_resched(cpu);
    early = cpu.mem.loadAcquire(t.scratch + DONE);
  }
  rcu_read_unlock(cpu);
  t.equal(early, 0, "grace periods that ended while a section from before was open");
  t.ok(t.logged(` ${cpu.id}-....`), "the warning names the CPU that stalls");
  while (cpu.mem.loadAcquire(t.scratch + DONE) === 0) cond_resched(cpu);
  rcu_set_cpu_stall_timeout(cpu, 0);
};

const waits_for_stalled: Body = (cpu, t) => {
  t.meet();
  wait_until(cpu, t.scratch + INSIDE, 1);
  synchronize_rcu(cpu);
  cpu.mem.storeRelease(t.scratch + DONE, 1);
};

const ERR_CB = "duplicated callback was invoked";
const object_debug: Body = (cpu, t) => {
  rcu_test_debug_objects(cpu);
  t.ok(t.logged("object type: rcu_head"), "debug objects name the type");
  t.ok(t.logged("Double-freed CB"), "call_rcu tells of the double free");
  t.ok(!t.logged(ERR_CB), "the callback of the second call does not run");
};

export const suite: Suite = {
  name: "rcutorture",
  source: "kernel/rcu/rcutorture.c",
  cases: [
    torture("rcu", 3, { nfakewriters: 1 }, [fakewriter]),
    busted,
    one_way("gp_cond", GP_COND),
    one_way("gp_cond_exp", GP_COND_EXP),
    one_way("gp_cond_full", GP_COND_FULL),
    one_way("gp_cond_exp_full", GP_COND_EXP_FULL),
    one_way("gp_exp", GP_EXP),
    one_way("gp_normal", GP_NORMAL),
    one_way("gp_poll", GP_POLL),
    one_way("gp_poll_exp", GP_POLL_EXP),
    one_way("gp_poll_full", GP_POLL_FULL),
    one_way("gp_poll_exp_full", GP_POLL_EXP_FULL),
    one_way("gp_sync", GP_SYNC),
    n_barrier_cbs,
    read_exit,
    fwd_progress,
    { name: "stall_cpu", bodies: [stalls, waits_for_stalled], seconds: 0.5, warns: [STALL] },
    leakpointer,
    {
      name: "object_debug",
      bodies: [object_debug],
      warns: ["ODEBUG: activate active (active state 1) object:"],
    },
    torture("stutter", 1.5, { stutter: 0.3 }, [fakewriter]),
    { name: "shuffle", bodies: [], skip: "a thread is a processor here: tasks do not migrate" },
    {
      name: "onoff",
      bodies: [],
      skip: "a machine has all its CPUs until it is shut down: none goes offline",
    },
  ],
};
