/**
 * The stress run: I/O tasks on every CPU but one, an adversary on the last, everything checked while it
 * runs and at the end. This is what `ringside stress` prints and what tests and mutants call.
 */
import { ConfigError, Machine } from "./machine.ts";
import { LOG_BUG, LOG_VIOLATION, LOG_WARN, type LogRecord } from "@ringside/core/debug/dmesg";
import { dma_fence_counters } from "@ringside/core/dma/fence";
import { dma_counters } from "@ringside/core/dma/counters";
import { token_counters } from "@ringside/core/dma/token-oracle";
import { rcu_callbacks_run, rcu_grace_periods } from "@ringside/core/rcu/rcu";
import { workqueue_executed, workqueue_queued } from "@ringside/core/sched/workqueue";
import { nvme_controller_counters } from "@ringside/nvme-emu/controller/counters";
import { type IoCounters, stress_counters } from "@ringside/scenarios/stress-counters";
import type { Leak, WorkloadResult } from "./roles.ts";
import { type StressOptions, stress_config, stress_conflict } from "./stress-config.ts";
import { within } from "./within.ts";

export { DEFAULT_STRESS, type StressOptions } from "./stress-config.ts";

export interface StressReport {
  ok: boolean;
  readonly variant: string;
  readonly mutant?: string;
  readonly seed: number;
  readonly seconds: number;
  readonly threads: { readonly cpus: number; readonly kworkers: number; readonly nvme: number };
  readonly io: IoCounters & { readonly iops: number };
  readonly token: {
    readonly created: number;
    readonly released: number;
    readonly maps: number;
    readonly unmaps: number;
    readonly invalidations: number;
    readonly retries: number;
  };
  readonly fence: { readonly initialised: number; readonly signalled: number };
  readonly rcu: { readonly gracePeriods: number; readonly callbacks: number };
  readonly workqueue: { readonly queued: number; readonly executed: number };
  readonly nvme: {
    readonly commands: number;
    readonly smartReads: number;
    readonly smartWrites: number;
    readonly iommuFaults: number;
  };
  readonly leaks: readonly Leak[];
  readonly warnings: readonly string[];
  readonly violations: readonly string[];
  /** Set when the run was stopped from outside. */
  readonly interrupted?: boolean;
}

/** What is shown while it runs. */
export interface StressProgress {
  /** Seconds since the start. */
  readonly seconds: number;
  readonly completed: number;
  /** What the adversary did so far. */
  readonly actions: number;
  readonly invalidations: number;
  readonly maps: number;
  readonly gracePeriods: number;
}

export interface StressHooks {
  /** Called a few times a second. */
  onProgress?(progress: StressProgress): void;
  /** Aborting it ends the run early, with a report. */
  readonly signal?: AbortSignal;
}

const TICK_MS = 250;
/** The answer to one admin command takes no longer (ms). */
const ADMIN_MS = 10_000;

/** Runs it to the end. Rejects only when the machine could not be built or booted. */
export async function run_stress(options: StressOptions, hooks: StressHooks = {}): Promise<StressReport> {
  const conflict = stress_conflict(options);
  if (conflict !== undefined) throw new ConfigError(conflict);
  const machine = await Machine.boot({
    ...stress_config(options),
    ...(options.mutant === undefined ? {} : { mutant: options.mutant }),
  });
  const violations: string[] = [];
  let smart: WorkloadResult = {};
  let leaks: readonly Leak[] = [];
  const start = performance.now();
  let seconds: number | undefined;
  try {
    seconds = await drive(machine, options, hooks);
    smart = await machine.run(0, "nvme-smart", {}, ADMIN_MS);
  } catch (error) {
    seconds ??= (performance.now() - start) / 1000;
    violations.push(message(error));
    if (machine.failure === undefined) violations.push(...(await machine.hungTasks()));
    machine.giveUp(error);
  }
  try {
    leaks = await machine.shutdown();
  } catch (error) {
    violations.push(...message(error).split("\n"));
  }
  return report(machine, options, {
    seconds,
    smart,
    leaks,
    violations,
    interrupted: hooks.signal?.aborted === true,
  });
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Starts the workloads, watches them, stops them. Returns the seconds they ran. */
async function drive(machine: Machine, options: StressOptions, hooks: StressHooks): Promise<number> {
  const start = performance.now();
  const all = start_workloads(machine, options);
  let ended = false;
  const mark = (): void => {
    ended = true;
  };
  all.then(mark, mark);
  const watchdog = new Watchdog(options.hangMs);
  while (!ended && hooks.signal?.aborted !== true) {
    const now = performance.now();
    if (now - start >= options.seconds * 1000) break;
    const current = snapshot(machine, (now - start) / 1000);
    hooks.onProgress?.(current);
    watchdog.look(now, current);
    if (options.stopAtFirst && machine.log().some((record) => record.level >= LOG_WARN)) break;
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  const seconds = (performance.now() - start) / 1000;
  machine.stopWorkloads();
  await within(all, options.hangMs, "hung: the workloads did not drain their I/O");
  return seconds;
}

function start_workloads(machine: Machine, options: StressOptions): Promise<unknown> {
  const tasks = options.cpus - 1;
  const { depth, bs, rw, buffer, invalidateMs } = options;
  // The watchdog and the drain bound the run; this one only keeps a lost answer from waiting for ever.
  const limit = options.seconds * 1000 + 10 * options.hangMs;
  const runs: Promise<unknown>[] = [];
  for (let id = 0; id < tasks; id++) {
    runs.push(machine.run(id, "stress-io", { task: id, tasks, depth, bs, rw, buffer }, limit));
  }
  runs.push(machine.run(tasks, "stress-exporter", { invalidateMs }, limit));
  return Promise.all(runs);
}

/** Notices that the I/O, or the adversary, stands still. */
class Watchdog {
  readonly #limit: number;
  #completed = -1;
  #actions = -1;
  #completedAt = 0;
  #actionsAt = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  look(now: number, progress: StressProgress): void {
    if (progress.completed !== this.#completed) this.#completedAt = now;
    if (progress.actions !== this.#actions) this.#actionsAt = now;
    this.#completed = progress.completed;
    this.#actions = progress.actions;
    if (now - this.#completedAt > this.#limit)
      throw new Error(`hung: no I/O completed for ${this.#limit} ms`);
    if (now - this.#actionsAt > this.#limit)
      throw new Error(`hung: the adversary is stuck for ${this.#limit} ms`);
  }
}

function snapshot(machine: Machine, seconds: number): StressProgress {
  const io = stress_counters(machine.cpu);
  const token = token_counters(machine.cpu);
  return {
    seconds,
    completed: io.reads + io.writes,
    actions: io.actions,
    invalidations: token.invalidations,
    maps: token.maps,
    gracePeriods: rcu_grace_periods(machine.cpu),
  };
}

interface Outcome {
  readonly seconds: number;
  readonly smart: WorkloadResult;
  readonly leaks: readonly Leak[];
  readonly violations: readonly string[];
  readonly interrupted: boolean;
}

function report(machine: Machine, options: StressOptions, outcome: Outcome): StressReport {
  const { cpu } = machine;
  const io = stress_counters(cpu);
  const log = machine.log();
  const result: StressReport = {
    ok: false,
    variant: options.variant,
    ...(options.mutant === undefined ? {} : { mutant: options.mutant }),
    seed: options.seed,
    seconds: Number(outcome.seconds.toFixed(3)),
    threads: { cpus: options.cpus, kworkers: machine.kworkers, nvme: 1 },
    io: { ...io, iops: Math.round((io.reads + io.writes) / Math.max(outcome.seconds, 0.001)) },
    token: token_counters(cpu),
    fence: dma_fence_counters(cpu),
    rcu: { gracePeriods: rcu_grace_periods(cpu), callbacks: rcu_callbacks_run(cpu) },
    workqueue: { queued: workqueue_queued(cpu), executed: workqueue_executed(cpu) },
    nvme: {
      commands: nvme_controller_counters(cpu).ioCommands,
      smartReads: Number(outcome.smart["reads"] ?? 0),
      smartWrites: Number(outcome.smart["writes"] ?? 0),
      iommuFaults: dma_counters(cpu).faults,
    },
    leaks: outcome.leaks,
    warnings: texts(log, LOG_WARN, LOG_BUG),
    violations: [...outcome.violations, ...texts(log, LOG_VIOLATION, LOG_VIOLATION)],
    ...(outcome.interrupted ? { interrupted: true } : {}),
  };
  const broken = imbalances(result);
  // Counts of a machine that died half way prove nothing.
  if (outcome.violations.length === 0) (result.violations as string[]).push(...broken);
  result.ok = result.violations.length === 0 && result.warnings.length === 0 && result.leaks.length === 0;
  return result;
}

function texts(log: readonly LogRecord[], from: number, to: number): string[] {
  return log.filter((record) => record.level >= from && record.level <= to).map((record) => record.text);
}

/** The books that must balance when a machine has shut down in order. */
function imbalances(r: StressReport): string[] {
  const broken: string[] = [];
  const expect = (what: string, left: number, right: number): void => {
    if (left !== right) broken.push(`imbalance: ${what}: ${left} != ${right}`);
  };
  expect("maps and unmaps", r.token.maps, r.token.unmaps);
  expect("tokens created and released", r.token.created, r.token.released);
  expect("fences initialised and signalled", r.fence.initialised, r.fence.signalled);
  expect("work queued and executed", r.workqueue.queued, r.workqueue.executed);
  expect("client completions and controller commands", r.io.reads + r.io.writes, r.nvme.commands);
  expect("client reads and SMART reads", r.io.reads, r.nvme.smartReads);
  expect("client writes and SMART writes", r.io.writes, r.nvme.smartWrites);
  expect("mismatches", r.io.mismatches, 0);
  expect("I/O errors", r.io.errors, 0);
  return broken;
}
