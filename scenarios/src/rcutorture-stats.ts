/**
 * The figures of a torture (rcu_torture_stats_print): gathered from shared memory while it runs, judged, and told in
 * the kernel's lines.
 *
 * Any non-zero bucket of the Reader Pipe from the third on is a grace period that was too short.
 */
import { WARN_ONCE } from "@ringside/core/debug/warn";
import type { Cpu } from "@ringside/core/sched/cpu";
import { torture_cb_barrier } from "./rcutorture-ops.ts";
import {
  CURRENT_VERSION,
  type Flavor,
  N_ALLOC,
  N_ALLOC_FAIL,
  N_BARRIER_ATTEMPTS,
  N_BARRIER_ERROR,
  N_BARRIER_SUCCESSES,
  N_ERROR,
  N_FREE,
  N_FWD_TESTED,
  N_MBCHK_FAIL,
  N_MBCHK_TRIES,
  N_MBERROR,
  N_READ_EXITS,
  N_TIMERS,
  RCU_TORTURE_BUCKETS,
  RCU_TORTURE_CURRENT,
  RCU_TORTURE_PIPE_LEN,
  torture_batch,
  torture_freelist_empty,
  torture_pipe,
  torture_stop,
  WCOUNT,
} from "./rcutorture-state.ts";

export interface TortureStats {
  /** Sections by the age of the element they saw. */
  readonly pipe: readonly number[];
  /** Sections by the grace periods that went by meanwhile. */
  readonly batch: readonly number[];
  /** Elements that entered each stage. */
  readonly freeBlocks: readonly number[];
  /** Address of the published element. */
  readonly current: number;
  readonly version: number;
  readonly freelistEmpty: boolean;
  readonly allocated: number;
  readonly allocFailed: number;
  readonly freed: number;
  readonly mbErrors: number;
  readonly mbChecks: { readonly failed: number; readonly tries: number };
  readonly barrier: { readonly successes: number; readonly attempts: number; readonly errors: number };
  readonly timers: number;
  readonly readExits: number;
  readonly forwardProgress: number;
}

export function rcu_torture_stats(cpu: Cpu): TortureStats {
  const { mem } = cpu;
  const pipe: number[] = [];
  const batch: number[] = [];
  const freeBlocks: number[] = [];
  for (let i = 0; i < RCU_TORTURE_BUCKETS; i++) {
    pipe.push(torture_pipe(cpu, i));
    batch.push(torture_batch(cpu, i));
    freeBlocks.push(mem.loadAcquire(WCOUNT + i * 4));
  }
  return {
    pipe,
    batch,
    freeBlocks,
    current: mem.loadAcquire(RCU_TORTURE_CURRENT),
    version: mem.readOnce(CURRENT_VERSION),
    freelistEmpty: torture_freelist_empty(cpu),
    allocated: mem.loadAcquire(N_ALLOC),
    allocFailed: mem.loadAcquire(N_ALLOC_FAIL),
    freed: mem.loadAcquire(N_FREE),
    mbErrors: mem.loadAcquire(N_MBERROR),
    mbChecks: { failed: mem.loadAcquire(N_MBCHK_FAIL), tries: mem.loadAcquire(N_MBCHK_TRIES) },
    barrier: {
      successes: mem.loadAcquire(N_BARRIER_SUCCESSES),
      attempts: mem.loadAcquire(N_BARRIER_ATTEMPTS),
      errors: mem.loadAcquire(N_BARRIER_ERROR),
    },
    timers: mem.loadAcquire(N_TIMERS),
    readExits: mem.loadAcquire(N_READ_EXITS),
    forwardProgress: mem.loadAcquire(N_FWD_TESTED),
  };
}

/** Did a reader hold an element after its grace period? */
export function gp_too_short(stats: TortureStats): boolean {
  // The last bucket too: the kernel's loop leaves it out, and busted fills it.
  for (let i = 2; i <= RCU_TORTURE_PIPE_LEN; i++) if (stats.pipe[i] !== 0) return true;
  return false;
}

/** Is anything wrong with the figures? */
export function torture_failed(stats: TortureStats): boolean {
  return (
    gp_too_short(stats) || stats.mbErrors !== 0 || stats.mbChecks.failed !== 0 || stats.barrier.errors !== 0
  );
}

/** Warns of whatever is wrong; true when something is. */
export function rcu_torture_judge(cpu: Cpu, stats: TortureStats): boolean {
  if (!torture_failed(stats)) return false;
  cpu.mem.fetchAdd(N_ERROR, 1);
  WARN_ONCE(
    cpu,
    stats.mbErrors !== 0,
    `rcu_torture_stats_print: ${stats.mbErrors} elements read before or after life`,
  );
  WARN_ONCE(
    cpu,
    stats.mbChecks.failed !== 0,
    "rcu_torture_stats_print: a grace period does not order memory",
  );
  WARN_ONCE(cpu, stats.barrier.errors !== 0, "rcu_torture_stats_print: rcu_barrier returned early");
  WARN_ONCE(cpu, gp_too_short(stats), "rcu_torture_stats_print: too-short grace period");
  return true;
}

/** On one CPU after all others are through: waits for all callbacks, judges. True when something is wrong. */
export function rcu_torture_cleanup(cpu: Cpu): boolean {
  torture_stop(cpu);
  torture_cb_barrier(cpu);
  return rcu_torture_judge(cpu, rcu_torture_stats(cpu));
}

/** torture_type; qsbr is how this kernel does "rcu". */
function torture_type(flavor: Flavor): string {
  return flavor === "busted" ? "busted" : "rcu";
}

/** The four lines of rcu_torture_stats_print. */
export function torture_stats_lines(flavor: Flavor, s: TortureStats): string[] {
  const tag = `${torture_type(flavor)}-torture:`;
  const buckets = (counts: readonly number[]): string => counts.map((n) => ` ${n}`).join("");
  const general = [
    `rtc: ${s.current.toString(16).padStart(8, "0")} ${s.current === 0 ? "VER" : "ver"}: ${s.version}`,
    `tfle: ${s.freelistEmpty ? 1 : 0} rta: ${s.allocated} rtaf: ${s.allocFailed} rtf: ${s.freed}`,
    `rtmbe: ${s.mbErrors} rtmbkf: ${s.mbChecks.failed}/${s.mbChecks.tries} rtbe: ${s.barrier.errors}`,
    `nt: ${s.timers} barrier: ${s.barrier.successes}/${s.barrier.attempts}:${s.barrier.errors}`,
    `read-exits: ${s.readExits}`,
  ];
  return [
    `${tag} ${general.join(" ")}`,
    `${tag} ${torture_failed(s) ? "!!! " : ""}Reader Pipe: ${buckets(s.pipe)}`,
    `${tag} Reader Batch: ${buckets(s.batch)}`,
    `${tag} Free-Block Circulation: ${buckets(s.freeBlocks)}`,
  ];
}

/** The last line: "--- End of test: SUCCESS: nreaders=4 ...". */
export function torture_end_line(flavor: Flavor, ok: boolean, parameters: string): string {
  return `${torture_type(flavor)}-torture:--- End of test: ${ok ? "SUCCESS" : "FAILURE"}: ${parameters}`;
}
