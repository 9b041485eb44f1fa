/**
 * The workload `fio-job` and what the thread it ran on cost the computer: CPU time, context switches, page faults.
 * A thread is one emulated CPU: its time is that of the job, of its system calls and of the interrupts it took, all of
 * it emulated; `system` is what Node's and V8's own system calls took, mostly futexes.
 */
import { readFileSync } from "node:fs";
import type { MessagePort } from "node:worker_threads";
import { fio_job } from "@ringside/scenarios/fio/job";
import type { FioOutlet, FioSnapshot } from "@ringside/scenarios/fio/task";
import type { Args, Result, Workload } from "@ringside/scenarios/workload";
import type { Cpu } from "@ringside/core/sched/cpu";

/** proc(5), /proc/[pid]/stat: fields from 1 on. */
const FIELD_MINFLT = 10;
const FIELD_MAJFLT = 12;

export interface ThreadUsage {
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

function usage_since(before: ThreadUsage): ThreadUsage {
  const now = thread_usage();
  return {
    user: now.user - before.user,
    system: now.system - before.system,
    ctx: now.ctx - before.ctx,
    majf: now.majf - before.majf,
    minf: now.minf - before.minf,
  };
}

/** What a running job answers (fio-status.ts). */
export interface FioAnswer extends FioSnapshot {
  readonly usage: ThreadUsage;
}

/** As fio_job, with the usage besides the result. args.answers: { opaque: MessagePort }, or nobody asks. */
function fio_measured(cpu: Cpu, args: Args): Result {
  const before = thread_usage();
  const answers = args["answers"] as { readonly opaque: MessagePort } | undefined;
  const tell = (snapshot: FioSnapshot): void => {
    const answer: FioAnswer = { ...snapshot, usage: usage_since(before) };
    answers?.opaque.postMessage(answer);
  };
  const outlet: FioOutlet | undefined = answers && { tell };
  return { ...fio_job(cpu, args, outlet), ...usage_since(before) };
}

export const workloads: Readonly<Record<string, Workload>> = { "fio-measured": fio_measured };
