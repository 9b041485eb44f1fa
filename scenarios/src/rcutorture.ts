/**
 * The torture of RCU (kernel/rcu/rcutorture.c) as workloads: "rcutorture-init" on CPU 0 with the parameters, then one
 * "rcutorture" on each CPU with its role, then "rcutorture-cleanup" on CPU 0.
 *
 * The conformance suite runs the same functions as bodies of its cases.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { rcu_torture_barrier_init } from "./rcutorture-barrier.ts";
import { rcu_torture_odd_jobs } from "./rcutorture-odd-jobs.ts";
import { rcu_torture_reader, rcu_torture_readers_init } from "./rcutorture-reader.ts";
import { DEFAULT_TORTURE, rcu_torture_init, type TortureParams } from "./rcutorture-state.ts";
import { rcu_torture_cleanup } from "./rcutorture-stats.ts";
import { rcu_torture_fakewriter, rcu_torture_writer } from "./rcutorture-writer.ts";
import { type Args, number_arg, type Result, text_arg } from "./workload.ts";

/** Before a torture, while nothing of an earlier one is left: rcu_torture_cleanup has returned. */
export function rcu_torture_begin(cpu: Cpu, params: TortureParams): void {
  rcu_torture_readers_init(cpu);
  rcu_torture_barrier_init(cpu);
  rcu_torture_init(cpu, params);
}

/** args: flavor, readers, fakewriters, stutter, barrierCbs. */
export function rcutorture_init(cpu: Cpu, args: Args): Result {
  rcu_torture_begin(cpu, {
    ...DEFAULT_TORTURE,
    flavor: args["flavor"] === "busted" ? "busted" : "qsbr",
    nreaders: number_arg(args, "readers"),
    nfakewriters: number_arg(args, "fakewriters"),
    stutter: number_arg(args, "stutter"),
    n_barrier_cbs: number_arg(args, "barrierCbs"),
  });
  return {};
}

/** args: role, id. Runs until the machine stops. */
export function rcutorture(cpu: Cpu, args: Args): Result {
  switch (args["role"]) {
    case "writer":
      rcu_torture_writer(cpu);
      break;
    case "fakewriter":
      rcu_torture_fakewriter(cpu);
      break;
    case "reader":
      rcu_torture_reader(cpu, number_arg(args, "id"));
      break;
    case "odd-jobs":
      rcu_torture_odd_jobs(cpu);
      break;
    default:
      throw new Error(`rcutorture: unknown role ${text_arg(args, "role")}`);
  }
  return {};
}

export function rcutorture_cleanup(cpu: Cpu, _args: Args): Result {
  return { failed: rcu_torture_cleanup(cpu) };
}
