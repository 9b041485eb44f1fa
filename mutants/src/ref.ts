/** Mutants of percpu_ref (core/src/ref). */
import type { Mutant } from "./mutant.ts";

const SWITCH = "packages/core/src/ref/percpu-ref-switch.ts";

export const REF_MUTANTS: readonly Mutant[] = [
  {
    name: "kill-without-grace-period",
    edits: [
      {
        file: SWITCH,
        find: "  call_rcu_hurry(cpu, (data + RCU) as RcuHeadPtr, SWITCH_TO_ATOMIC_RCU);",
        replace: "  percpu_ref_switch_to_atomic_rcu(cpu, data + RCU);",
      },
    ],
    breaks: "The shards are summed at once, while CPUs may be inside a get or put, and the map goes early.",
    caughtBy: ["map-freed-early", "after switching to atomic"],
    stress: {},
  },
];
