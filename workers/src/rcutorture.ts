/**
 * The torture of RCU on a machine of its own: a writer, fakewriters, odd jobs (barriers, visiting readers, forward
 * progress) and readers, a CPU each. This is what `ringside rcutorture` prints.
 *
 * It ends at the first failure: what is wrong then is in the figures.
 */
// First: the root of the kernel image.
import { Machine } from "./machine.ts";
import { LOG_WARN } from "@ringside/core/debug/dmesg";
import { rcu_grace_periods } from "@ringside/core/rcu/rcu";
import { DEFAULT_CONFIG } from "@ringside/core/mm/memory-map";
import type { Flavor } from "@ringside/scenarios/rcutorture-state";
import { rcu_torture_stats, torture_failed, type TortureStats } from "@ringside/scenarios/rcutorture-stats";
import type { Leak } from "./roles.ts";
import { within } from "./within.ts";

export interface RcutortureOptions {
  readonly seconds: number;
  readonly readers: number;
  readonly flavor: Flavor;
  readonly seed: number;
  readonly mutant?: string;
  /** A writer that makes no update for so long hangs, ms. */
  readonly hangMs: number;
}

export const DEFAULT_RCUTORTURE: RcutortureOptions = {
  seconds: 10,
  readers: 4,
  flavor: "qsbr",
  seed: 1,
  hangMs: 60_000,
};

export const FAKEWRITERS = 2;
/** Seconds of running between two halts. */
export const STUTTER_S = 1;
export const BARRIER_CBS = 2;
/** CPUs that do not read: the writer, the odd jobs, the fakewriters. */
const WRITER_CPU = 0;
const ODD_JOBS_CPU = 1;
const FIRST_FAKEWRITER = 2;
const FIRST_READER = FIRST_FAKEWRITER + FAKEWRITERS;
/** config.cpus is at most 64. */
export const READERS_MAX = 64 - FIRST_READER;

const TICK_MS = 100;
const PROGRESS_MS = 1000;
const CALL_MS = 60_000;
const MIB = 1 << 20;
/** RAM of a machine without readers; each CPU more has queues of its own. */
const BASE_MIB = 16;

export interface RcutortureProgress {
  /** Seconds since the start. */
  readonly seconds: number;
  readonly gracePeriods: number;
  readonly stats: TortureStats;
}

export interface RcutortureReport {
  readonly ok: boolean;
  readonly flavor: Flavor;
  readonly seconds: number;
  readonly seed: number;
  readonly readers: number;
  /** Sections by age of the element; more than 0 from the third on is a grace period that was too short. */
  readonly pipe: readonly number[];
  readonly batch: readonly number[];
  readonly freeBlocks: readonly number[];
  readonly mbErrors: number;
  readonly mbChecks: TortureStats["mbChecks"];
  readonly gracePeriods: number;
  readonly updates: number;
  readonly barrier: TortureStats["barrier"];
  readonly readExits: number;
  readonly forwardProgress: number;
  readonly timers: number;
  readonly warnings: readonly string[];
  /** Deaths and hangs. */
  readonly violations: readonly string[];
  readonly leaks: readonly Leak[];
  readonly interrupted?: boolean;
}

export interface RcutortureHooks {
  /** Called every second. */
  onProgress?(progress: RcutortureProgress): void;
  /** Aborting it ends the run early, with a report. */
  readonly signal?: AbortSignal;
}

interface Outcome {
  readonly report: RcutortureReport;
  readonly stats: TortureStats;
}

/** Runs it to the end. Rejects only when the machine could not be built or booted. */
export async function run_rcutorture(
  options: RcutortureOptions,
  hooks: RcutortureHooks = {},
): Promise<Outcome> {
  const machine = await Machine.boot({
    cpus: FIRST_READER + options.readers,
    kthreads: DEFAULT_CONFIG.kthreads,
    ram: (BASE_MIB + options.readers) * MIB,
    vram: MIB,
    media: 4 * MIB,
    seed: options.seed,
    ...(options.mutant === undefined ? {} : { mutant: options.mutant }),
  });
  const violations: string[] = [];
  let leaks: readonly Leak[] = [];
  const start = performance.now();
  let seconds: number | undefined;
  try {
    seconds = await drive(machine, options, hooks);
    await machine.run(WRITER_CPU, "rcutorture-cleanup", {}, options.hangMs);
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
  const interrupted = hooks.signal?.aborted === true;
  return report(machine, options, { seconds, leaks, violations, interrupted });
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Starts everybody, watches, stops. Returns the seconds they ran. */
async function drive(machine: Machine, options: RcutortureOptions, hooks: RcutortureHooks): Promise<number> {
  const { flavor, readers } = options;
  const init = {
    flavor,
    readers,
    fakewriters: FAKEWRITERS,
    stutter: STUTTER_S,
    barrierCbs: barrier_cbs(readers),
  };
  await machine.run(WRITER_CPU, "rcutorture-init", init, CALL_MS);
  const start = performance.now();
  const all = start_everybody(machine, options);
  let ended = false;
  const mark = (): void => {
    ended = true;
  };
  all.then(mark, mark);
  let told = start;
  const watchdog = new Watchdog(options.hangMs);
  while (!ended && hooks.signal?.aborted !== true) {
    const now = performance.now();
    if (now - start >= options.seconds * 1000) break;
    const stats = rcu_torture_stats(machine.cpu);
    if (now - told >= PROGRESS_MS) {
      told += PROGRESS_MS;
      const gracePeriods = rcu_grace_periods(machine.cpu);
      hooks.onProgress?.({ seconds: (now - start) / 1000, gracePeriods, stats });
    }
    if (torture_failed(stats) || machine.log().some((record) => record.level >= LOG_WARN)) break;
    watchdog.look(now, stats.version);
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  const seconds = (performance.now() - start) / 1000;
  machine.stopWorkloads();
  await within(all, options.hangMs, "hung: the torture did not stop");
  return seconds;
}

/** Readers that also post callbacks for the barrier test. */
function barrier_cbs(readers: number): number {
  return Math.min(BARRIER_CBS, readers);
}

function start_everybody(machine: Machine, options: RcutortureOptions): Promise<unknown> {
  // The watchdog bounds the run; this one only keeps a lost answer from waiting for ever.
  const limit = options.seconds * 1000 + 10 * options.hangMs;
  const start = (cpu: number, role: string, id: number): Promise<unknown> =>
    machine.run(cpu, "rcutorture", { role, id }, limit);
  const runs = [start(WRITER_CPU, "writer", 0), start(ODD_JOBS_CPU, "odd-jobs", 0)];
  for (let id = 0; id < FAKEWRITERS; id++) runs.push(start(FIRST_FAKEWRITER + id, "fakewriter", id));
  for (let id = 0; id < options.readers; id++) runs.push(start(FIRST_READER + id, "reader", id));
  return Promise.all(runs);
}

/** Notices that the writer stands still: the kernel's "??? Writer stall state". */
class Watchdog {
  readonly #limit: number;
  #version = -1;
  #at = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  look(now: number, version: number): void {
    if (version !== this.#version) this.#at = now;
    this.#version = version;
    if (now - this.#at > this.#limit) throw new Error(`hung: no update for ${this.#limit} ms`);
  }
}

interface Ending {
  readonly seconds: number;
  readonly leaks: readonly Leak[];
  readonly violations: readonly string[];
  readonly interrupted: boolean;
}

function report(machine: Machine, options: RcutortureOptions, ending: Ending): Outcome {
  const stats = rcu_torture_stats(machine.cpu);
  const log = machine.log().filter((record) => record.level >= LOG_WARN);
  const { pipe, batch, freeBlocks, mbErrors, mbChecks, barrier, readExits, forwardProgress, timers } = stats;
  const { leaks, violations, interrupted } = ending;
  return {
    stats,
    report: {
      ok: !torture_failed(stats) && log.length === 0 && leaks.length === 0 && violations.length === 0,
      flavor: options.flavor,
      seconds: Number(ending.seconds.toFixed(3)),
      seed: options.seed,
      readers: options.readers,
      pipe,
      batch,
      freeBlocks,
      mbErrors,
      mbChecks,
      gracePeriods: rcu_grace_periods(machine.cpu),
      updates: stats.version,
      barrier,
      readExits,
      forwardProgress,
      timers,
      warnings: log.map((record) => record.text),
      violations,
      leaks,
      ...(interrupted ? { interrupted } : {}),
    },
  };
}
