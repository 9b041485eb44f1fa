/** Mutants of RCU (core/src/rcu). */
import type { Mutant } from "./mutant.ts";

const GP = "packages/core/src/rcu/gp.ts";
const QS = "packages/core/src/rcu/qs.ts";
const SYNCHRONIZE = "packages/core/src/rcu/synchronize.ts";

/** The stalled CPU is in a section for sure when the grace period ends. */
const STALL = { suite: "rcutorture", case: "stall_cpu" };
const EARLY = ["grace periods that ended while a section from before was open"];

export const RCU_MUTANTS: readonly Mutant[] = [
  {
    name: "rcu-gp-is-none",
    edits: [
      {
        file: GP,
        find: "  wait_for_quiescent_states(cpu, rcu_gp_start(cpu));\n",
        replace: "  rcu_gp_start(cpu);\n",
      },
    ],
    breaks: "The grace period is nothing: callbacks run as soon as rcu_gp sees them.",
    caughtBy: ["Never, but"],
    conformance: { suite: "litmus", case: "RCU+sync+free" },
  },
  {
    name: "rcu-stale-quiescent-state",
    edits: [
      {
        file: QS,
        find: "return qs === 0 || qs === sequence;",
        replace: "return qs === 0 || qs >= sequence - 2;",
      },
    ],
    breaks:
      "A quiescent state from before the grace period counts: whoever was between two sections then is not waited for.",
    caughtBy: ["Never, but"],
    conformance: { suite: "litmus", case: "RCU+sync+read" },
  },
  {
    name: "rcu-safe-point-in-section",
    edits: [
      {
        file: QS,
        find: "  if (cpu.rcu_nesting !== 0 || cpu.rcu_strict) return;\n  const qs",
        replace: "  if (cpu.rcu_strict) return;\n  const qs",
      },
    ],
    breaks: "A safe point inside a read section counts as a quiescent state.",
    caughtBy: EARLY,
    conformance: STALL,
  },
  {
    name: "rcu-skips-a-cpu",
    edits: [
      {
        file: GP,
        find: "    if (id === cpu.id) continue;\n",
        replace: "    if (id === cpu.id || id === 0) continue;\n",
      },
    ],
    breaks: "The grace period does not wait for CPU 0.",
    caughtBy: EARLY,
    conformance: STALL,
  },
  {
    name: "rcu-gp-gives-up-at-stall",
    edits: [
      {
        file: GP,
        find: "      stall = rcu_check_stall(cpu, sequence, started, stall);\n",
        replace: `      const due = stall;
      stall = rcu_check_stall(cpu, sequence, started, stall);
      if (stall !== due) break;
`,
      },
    ],
    breaks: "A grace period that has complained about a CPU waits for it no longer.",
    caughtBy: EARLY,
    conformance: STALL,
  },
  {
    name: "rcu-barrier-early",
    edits: [
      {
        file: SYNCHRONIZE,
        find: "  const nr = nr_cpu_ids(cpu);\n",
        replace: "  if (cpu.id >= 0) return;\n  const nr = nr_cpu_ids(cpu);\n",
      },
    ],
    breaks: "rcu_barrier returns at once, whatever callbacks there are.",
    caughtBy: ["callbacks ran after rcu_barrier returned"],
    conformance: { suite: "rcutorture", case: "n_barrier_cbs" },
  },
  {
    name: "rcu-cookie-one-early",
    edits: [
      {
        file: "packages/core/src/rcu/poll.ts",
        find: "return rcu_gps_started(cpu) + 1;",
        replace: "return rcu_gps_started(cpu);",
      },
    ],
    breaks: "A cookie names the grace period in progress, which may have begun before it was taken.",
    caughtBy: ["Cookie check"],
    conformance: { suite: "rcutorture", case: "gp_poll" },
  },
  {
    name: "rcu-double-call-unseen",
    edits: [
      {
        file: "packages/core/src/rcu/head.ts",
        find: "  if (!is_queued(word) && cpu.mem",
        replace: "  if (cpu.mem",
      },
    ],
    breaks: "A head that RCU owns is queued again: two lists go through one link.",
    caughtBy: ["ODEBUG", "rcu_gp died", "hung"],
    conformance: { suite: "rcutorture", case: "object_debug" },
  },
];
