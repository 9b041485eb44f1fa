/**
 * The workload `fio-job` and what the thread it ran on cost the computer: CPU time, context switches, page faults.
 * A thread is one emulated CPU: its time is that of the job, of its system calls and of the interrupts it took, all of
 * it emulated; `system` is what Node's and V8's own system calls took, mostly futexes.
 */
import { readFileSync } from "node:fs";
import { fio_job } from "@ringside/scenarios/fio/job";
import type { Args, Result, Workload } from "@ringside/scenarios/workload";
import type { Cpu } from "@ringside/core/sched/cpu";

/** proc(5), /proc/[pid]/stat: fields from 1 on. */
const FIELD_MINFLT = 10;
const FIELD_MAJFLT = 12;

interface ThreadUsage {
  /** Milliseconds. */
  readonly user: number;
  readonly system: number;
  readonly ctx: number;
  readonly majf: number;
  readonly minf: number;
}

function read_proc(name: string): string {
  try {
    return readFileSync(`/proc/thread-self/${name}`, "utf8");
  } catch {
    // Not Linux: the counts stay 0.
    return "";
  }
}

function thread_usage(): ThreadUsage {
  const { user, system } = process.threadCpuUsage();
  const status = read_proc("status");
  const switches = (kind: string): number =>
    Number(new RegExp(`^${kind}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? 0);
  // The command's name may hold spaces; it ends with the last bracket.
  const fields = read_proc("stat").split(") ").at(-1)?.split(" ") ?? [];
  const field = (number: number): number => Number(fields[number - 3] ?? 0);
  return {
    user: user / 1000,
    system: system / 1000,
    ctx: switches("voluntary_ctxt_switches") + switches("nonvoluntary_ctxt_switches"),
    majf: field(FIELD_MAJFLT),
    minf: field(FIELD_MINFLT),
  };
}

/** As fio_job, with the usage besides the result. */
function fio_measured(cpu: Cpu, args: Args): Result {
  const before = thread_usage();
  const result = fio_job(cpu, args);
  const after = thread_usage();
  return {
    ...result,
    user: after.user - before.user,
    system: after.system - before.system,
    ctx: after.ctx - before.ctx,
    majf: after.majf - before.majf,
    minf: after.minf - before.minf,
  };
}

export const workloads: Readonly<Record<string, Workload>> = { "fio-measured": fio_measured };
