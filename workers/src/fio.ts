/**
 * A fio run: the stages of a job file one after another on emulated machines, each job on a CPU of its own. This is
 * what `ringside fio` prints and what tests call.
 *
 * Interface: `await run_fio(jobs, hooks)`. Throws ConfigError before anything boots when the jobs cannot run, and an
 * Error when a machine died. A job with an error of its own says so in its ThreadStat; the others go on. Aborting the
 * signal ends all jobs; what they measured so far comes back.
 */
import { ConfigError, Machine } from "./machine.ts";
import { setTimeout as delay } from "node:timers/promises";
import { LOG_BUG, LOG_VIOLATION, LOG_WARN } from "@ringside/core/debug/dmesg";
import type { FioJob } from "@ringside/fio/job/job";
import type { JobProgress } from "@ringside/fio/output/eta";
import type { FioRun, ThreadStat } from "@ringside/fio/stat/thread-stat";
import { nvme_controller_counters } from "@ringside/nvme-emu/controller/counters";
import type { FioResult } from "@ringside/scenarios/fio/task";
import { type FioMachine, type FioPlan, type FioStage, fio_task, plan_fio } from "./fio-plan.ts";
import { JobTrack } from "./fio-progress.ts";
import { disk_util, type DiskCommands, dropped_lines, empty_result, thread_stat } from "./fio-stat.ts";
import { every, JobQuestions } from "./fio-status.ts";
import type { FioAnswer } from "./fio-workload.ts";
import type { WorkloadArgs, WorkloadResult } from "./roles.ts";
import { within } from "./within.ts";

export { ConfigError };

export interface FioHooks {
  /** Called four times a second, with all jobs of the run in order. */
  onProgress?(jobs: readonly JobProgress[]): void;
  /** A stage begins. */
  onStage?(jobs: readonly FioJob[]): void;
  /** What fio says on stderr: failed checks, I/O errors; warnings of the emulated kernel (then without a job). */
  onMessage?(text: string, job?: FioJob): void;
  /** All that has been measured so far, every so often (ms, 1 at least) until the run ends. */
  readonly status?: { readonly everyMs: number; readonly onReport: (run: FioRun) => void };
  readonly signal?: AbortSignal;
}

const EXTENSION = import.meta.url.endsWith(".ts") ? "ts" : "js";
const WORKLOADS = new URL(`./fio-workload.${EXTENSION}`, import.meta.url).href;
const WORKLOAD = "fio-measured";
const PROGRESS_MS = 250;
/** A job has no time limit of its own here; this is the longest time-out there is. */
const NO_LIMIT_MS = 2 ** 31 - 1;
/** From being told to stop to having stopped. */
const DRAIN_MS = 60_000;
const ADMIN_MS = 10_000;
/** A job that does not answer by then is reported as it answered last. */
const ANSWER_MS = 1000;

/** Runs all jobs. */
export async function run_fio(jobs: readonly FioJob[], hooks: FioHooks = {}): Promise<FioRun> {
  const plan = plan_fio(jobs);
  const run = new Run(jobs, plan, hooks);
  const timer = setInterval(() => run.tell(), PROGRESS_MS);
  try {
    for (const machine of plan.machines) {
      if (hooks.signal?.aborted !== true) await run.machine(machine);
    }
  } finally {
    run.end();
    clearInterval(timer);
  }
  return run.report();
}

class Run {
  readonly #jobs: readonly FioJob[];
  readonly #plan: FioPlan;
  readonly #hooks: FioHooks;
  readonly #start = performance.now();
  readonly #tracks: ReadonlyMap<FioJob, JobTrack>;
  readonly #stats = new Map<FioJob, ThreadStat>();
  /** Names and promises of the jobs under way, for wait_for. */
  readonly #ends = new Map<FioJob, Promise<void>>();
  /** To the jobs under way, if there are reports before their end. */
  readonly #questions = new Map<FioJob, JobQuestions>();
  /** Of the machine that runs now: what its disk has done. */
  #disk: (() => DiskCommands) | undefined;
  #smart: DiskCommands = { reads: 0, writes: 0 };
  #issued: DiskCommands = { reads: 0, writes: 0 };
  /** Milliseconds with I/O in flight, and of the stages in all. */
  #busy = 0;
  #staged = 0;
  /** The same of the stage under way. */
  #stageBusy = 0;
  #stageStart: number | undefined;
  #stopReports: (() => void) | undefined;
  #ended = false;

  constructor(jobs: readonly FioJob[], plan: FioPlan, hooks: FioHooks) {
    this.#jobs = jobs;
    this.#plan = plan;
    this.#hooks = hooks;
    this.#tracks = new Map(jobs.map((job) => [job, new JobTrack(job)]));
  }

  get #aborted(): boolean {
    return this.#hooks.signal?.aborted === true;
  }

  /** From the first machine's start on: jobs may have delays of their own. */
  #startReports(): void {
    const { status } = this.#hooks;
    if (status === undefined || this.#stopReports !== undefined) return;
    this.#stopReports = every(status.everyMs, async () => {
      try {
        const report = await this.#status();
        if (!this.#ended) status.onReport(report);
      } catch (error) {
        this.#hooks.onMessage?.(
          `no status report: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    });
  }

  /** No reports any more. */
  end(): void {
    this.#ended = true;
    this.#stopReports?.();
  }

  tell(): void {
    this.#hooks.onProgress?.(this.#jobs.map((job) => this.#track(job).now()));
  }

  #track(job: FioJob): JobTrack {
    return this.#tracks.get(job) as JobTrack;
  }

  async machine(plan: FioMachine): Promise<void> {
    const machine = await Machine.boot({ ...plan.config, workloads: WORKLOADS });
    const stop = (): void => machine.stopWorkloads();
    this.#hooks.signal?.addEventListener("abort", stop);
    try {
      const before = await read_smart(machine);
      this.#disk = disk_since(machine);
      this.#startReports();
      await this.#stages(machine, plan);
      const after = await read_smart(machine);
      this.#smart = {
        reads: this.#smart.reads + after.reads - before.reads,
        writes: this.#smart.writes + after.writes - before.writes,
      };
      this.#disk = undefined;
    } catch (error) {
      machine.giveUp(error);
      await machine.shutdown();
      throw error;
    } finally {
      this.#hooks.signal?.removeEventListener("abort", stop);
    }
    const leaks = await machine.shutdown();
    for (const { site, objects } of leaks) this.#hooks.onMessage?.(`leak: ${objects} objects of ${site}`);
    for (const { level, text } of machine.log()) {
      if (level >= LOG_WARN && level <= Math.max(LOG_BUG, LOG_VIOLATION)) this.#hooks.onMessage?.(text);
    }
  }

  async #stages(machine: Machine, plan: FioMachine): Promise<void> {
    const { invalidateMs, stages, config } = plan;
    const args = { invalidateMs };
    const exporter: Promise<unknown> =
      invalidateMs > 0
        ? machine.run(config.cpus - 1, "stress-exporter", args, NO_LIMIT_MS)
        : Promise.resolve();
    // A dead machine rejects the jobs' calls too.
    exporter.catch(() => {});
    for (const stage of stages) {
      if (this.#aborted) break;
      this.#hooks.onStage?.(stage.jobs);
      await this.#stage(machine, stage);
    }
    machine.stopWorkloads();
    await within(exporter, DRAIN_MS, "hung: the exporter did not stop");
  }

  async #stage(machine: Machine, stage: FioStage): Promise<void> {
    this.#stageStart = performance.now();
    const note = (result: FioResult): void => {
      this.#stageBusy = Math.max(this.#stageBusy, result.busyMs);
    };
    stage.jobs.forEach((job, id) => {
      this.#ends.set(job, this.#job(machine, job, id).then(note));
    });
    const all = Promise.all(stage.jobs.map(async (job) => await this.#ends.get(job)));
    const drained =
      this.#hooks.signal === undefined ? all : Promise.race([all, drain_limit(this.#hooks.signal)]);
    await drained;
    this.#busy += this.#stageBusy;
    this.#staged += performance.now() - this.#stageStart;
    this.#stageBusy = 0;
    this.#stageStart = undefined;
  }

  /** One job from its delay to its statistics. Rejects only when the machine died. */
  async #job(machine: Machine, job: FioJob, id: number): Promise<FioResult> {
    await sleep(job.options.startDelayMs, this.#hooks.signal);
    await this.#wait_for(job);
    const track = this.#track(job);
    let usage: WorkloadResult = {};
    let result = empty_result(job);
    if (!this.#aborted) {
      track.started(machine.cpu, id);
      const task = fio_task(job, this.#plan.layout);
      usage = await this.#measured(machine, job, id, { task: { opaque: task } });
      result = (usage["result"] as { readonly opaque: unknown }).opaque as FioResult;
    }
    track.ended(result.stat.error);
    this.#stats.set(job, thread_stat(job, result, usage));
    const [reads, writes] = job.options.ioengine === "null" ? [0, 0] : result.issued;
    this.#issued = { reads: this.#issued.reads + reads, writes: this.#issued.writes + writes };
    for (const text of [...result.messages, ...dropped_lines(result)]) this.#hooks.onMessage?.(text, job);
    return result;
  }

  async #measured(machine: Machine, job: FioJob, id: number, args: WorkloadArgs): Promise<WorkloadResult> {
    const questions = this.#hooks.status && new JobQuestions(machine.cpu, id);
    if (questions === undefined) return await machine.run(id, WORKLOAD, args, NO_LIMIT_MS);
    this.#questions.set(job, questions);
    try {
      return await machine.run(id, WORKLOAD, questions.handOver(args), NO_LIMIT_MS);
    } finally {
      this.#questions.delete(job);
      questions.close();
    }
  }

  /** wait_for: all clones of that name. Those of earlier stages have ended. */
  async #wait_for(job: FioJob): Promise<void> {
    if (job.waitFor === undefined) return;
    const others = this.#jobs.filter((other) => other.name === job.waitFor && other !== job);
    // Nobody gets here before all jobs of the stage are under way: each has slept first.
    await Promise.all(others.map(async (other) => await this.#ends.get(other)));
  }

  /** What there is before the end: of each job its statistics, or what it answers. */
  async #status(): Promise<FioRun> {
    const asked = new Map(this.#questions);
    const answers = Promise.all(Array.from(asked.values(), async (questions) => questions.ask()));
    await Promise.race([answers, delay(ANSWER_MS, undefined, { ref: false })]);
    const last = (job: FioJob): FioAnswer | undefined => asked.get(job)?.last;
    const now = this.#disk?.() ?? { reads: 0, writes: 0 };
    const commands = { reads: this.#smart.reads + now.reads, writes: this.#smart.writes + now.writes };
    const busy = Math.max(this.#stageBusy, ...this.#jobs.map((job) => last(job)?.busyMs ?? 0));
    const staged = this.#stageStart === undefined ? 0 : performance.now() - this.#stageStart;
    return this.#run(last, commands, this.#busy + busy, this.#staged + staged);
  }

  #run(
    last: (job: FioJob) => FioAnswer | undefined,
    commands: DiskCommands,
    busy: number,
    staged: number,
  ): FioRun {
    const elapsed = performance.now() - this.#start;
    const threads = this.#jobs.map((job) => {
      const { usage = {}, ...answer } = last(job) ?? {};
      return this.#stats.get(job) ?? thread_stat(job, { ...empty_result(job), ...answer }, { ...usage });
    });
    const used = this.#jobs.some((job) => job.options.ioengine !== "null");
    return {
      threads,
      disks: used ? [disk_util(commands, threads, busy, staged)] : [],
      timestampMs: Date.now(),
      elapsed: Math.max(1, Math.ceil(elapsed / 1000)),
    };
  }

  report(): FioRun {
    return {
      ...this.#run(() => undefined, this.#smart, this.#busy, this.#staged),
      smart: {
        ...this.#smart,
        issuedReads: this.#issued.reads,
        issuedWrites: this.#issued.writes,
      },
    };
  }
}

/** The controller's own count from now on; the host reads it in shared memory. */
function disk_since(machine: Machine): () => DiskCommands {
  const { reads, writes } = nvme_controller_counters(machine.cpu);
  return () => {
    const now = nvme_controller_counters(machine.cpu);
    return { reads: now.reads - reads, writes: now.writes - writes };
  };
}

/** What the controller's SMART log counts. */
async function read_smart(machine: Machine): Promise<DiskCommands> {
  const { reads, writes } = await machine.run(0, "nvme-smart", {}, ADMIN_MS);
  return { reads: Number(reads), writes: Number(writes) };
}

/** Sleeps `ms`, or until the signal is aborted. */
async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  // It rejects when it is aborted, and then only.
  if (ms > 0) await delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}

/** Rejects when jobs that were told to stop have not stopped in time. */
async function drain_limit(signal: AbortSignal): Promise<never> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await new Promise<void>((resolve) => {
    setTimeout(resolve, DRAIN_MS).unref();
  });
  throw new Error(`hung: the jobs did not drain their I/O within ${DRAIN_MS} ms`);
}
