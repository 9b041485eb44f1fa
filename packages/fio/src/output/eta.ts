/**
 * The live line, `Jobs: 1 (f=1): [r(1)][50.0%][r=1234MiB/s][r=316k IOPS][eta 00m:05s]`, by fio's rules (eta.c):
 * who runs, how much of the time has passed, the rates since the line before, and the estimate of what is left.
 */
import { DDIR_READ, DDIR_WRITE, type FioJob, type PerDdir } from "../job/job.ts";
import { FIGURES, human } from "./fixed.ts";

export type JobState =
  | "pending"
  | "setup"
  | "ramp"
  | "running"
  | "verifying"
  | "fsyncing"
  | "finishing"
  | "exited";

/** Where a job is. Counts are since its start, ramp time included. */
export interface JobProgress {
  /** FioJob.number. */
  readonly number: number;
  readonly state: JobState;
  readonly ioBytes: PerDdir<number>;
  readonly ios: PerDdir<number>;
  /** Since the job's start. */
  readonly elapsedMs: number;
  readonly filesOpen: number;
  /** The job ended with an error. */
  readonly error?: boolean;
}

/** Before this an estimate would be a guess, and fio shows none. Seconds. */
const ETA_AFTER = 3;
/** Rates need about this long to be worth showing. Milliseconds. */
const SLACK_MS = 950;
const RATE_FIGURES = 4;

/** One live line after the other. Times are milliseconds of one clock. */
export class EtaLine {
  readonly #jobs: ReadonlyMap<number, FioJob>;
  readonly #startMs: number;
  #shownMs: number;
  #bytes: PerDdir<number> = [0, 0, 0];
  #ios: PerDdir<number> = [0, 0, 0];
  #length = 0;
  #estimated = false;

  constructor(jobs: readonly FioJob[], nowMs: number) {
    this.#jobs = new Map(jobs.map((job) => [job.number, job]));
    this.#startMs = nowMs;
    this.#shownMs = nowMs;
  }

  /** The line with its carriage return, or undefined while it is too early for the next one. */
  next(progress: readonly JobProgress[], nowMs: number): string | undefined {
    const passed = nowMs - this.#shownMs;
    if (passed <= SLACK_MS) return undefined;
    const running = progress.filter(({ state }) => ACTIVE.has(state));
    if (running.length === 0 && !progress.some(({ state }) => state === "pending")) return undefined;
    const bytes = summed(progress, "ioBytes");
    const ios = summed(progress, "ios");
    const rates = bytes.map((now, i) => Math.floor((1000 * (now - (this.#bytes[i] ?? 0))) / passed / 1024));
    const iops = ios.map((now, i) => Math.floor((1000 * (now - (this.#ios[i] ?? 0))) / passed));
    this.#shownMs = nowMs;
    this.#bytes = bytes;
    this.#ios = ios;
    return this.#text(progress, running, rates, iops, Math.ceil((nowMs - this.#startMs) / 1000));
  }

  #text(
    progress: readonly JobProgress[],
    running: readonly JobProgress[],
    rates: readonly number[],
    iops: readonly number[],
    elapsed: number,
  ): string {
    const files = running.reduce((sum, { filesOpen }) => sum + filesOpen, 0);
    let line = `Jobs: ${running.length} (f=${files})${limits(running.map((job) => this.#job(job)))}`;
    if (elapsed >= ETA_AFTER && running.length > 0) {
      const left = this.#left(progress, elapsed);
      const percent = this.#percent(elapsed, left, running);
      const map = progress.map((job) => letter(job, this.#job(job))).join("");
      line += `: [${condensed(map)}][${percent}]${ratesText(rates, iops)}[eta ${etaText(left)}]`;
    }
    // What is left of a longer line before.
    const padded = line.padEnd(this.#length);
    this.#length = line.length;
    return `${padded}\r`;
  }

  #job(progress: JobProgress): FioJob {
    const job = this.#jobs.get(progress.number);
    if (job === undefined) throw new Error(`progress of job ${progress.number}, which is none of the run's`);
    return job;
  }

  #percent(elapsed: number, left: number, running: readonly JobProgress[]): string {
    const inRamp = running.every(({ state }) => state === "ramp");
    if ((left === 0 && !this.#estimated) || inRamp) return "-.-%";
    this.#estimated = true;
    return `${((100 * elapsed) / (elapsed + left)).toFixed(1)}%`;
  }

  /** Jobs of one stage run side by side, those of the stages to come one after the other. Seconds. */
  #left(progress: readonly JobProgress[], elapsed: number): number {
    const stages = new Map<number, number>();
    let now = 0;
    for (const job of progress) {
      const seconds = secondsLeft(job, this.#job(job), elapsed);
      const { stage } = this.#job(job);
      if (job.state === "pending") stages.set(stage, Math.max(stages.get(stage) ?? 0, seconds));
      else now = Math.max(now, seconds);
    }
    return [...stages.values()].reduce((sum, seconds) => sum + seconds, now);
  }
}

const ACTIVE: ReadonlySet<JobState> = new Set(["ramp", "running", "verifying", "fsyncing", "finishing"]);

function summed(progress: readonly JobProgress[], key: "ioBytes" | "ios"): [number, number, number] {
  const sums: [number, number, number] = [0, 0, 0];
  for (const job of progress) for (const i of [0, 1, 2] as const) sums[i] += job[key][i];
  return sums;
}

/** The sums of rate, or of rate_iops, of the jobs that run. Their minima are always 0 here. */
function limits(jobs: readonly FioJob[]): string {
  const sum = (key: "rate" | "rateIops"): number =>
    jobs.reduce(
      (all, { options }) =>
        all + options[key].reduce((own, limit, i) => own + (options.rw.ddirs[i as 0 | 1 | 2] ? limit : 0), 0),
      0,
    );
  const rate = sum("rate");
  if (rate > 0) return `, 0B/s-${human(rate, FIGURES, true, "B/s")}`;
  const iops = sum("rateIops");
  return iops > 0 ? `, 0-${iops} IOPS` : "";
}

const STATE_LETTERS: Readonly<Record<Exclude<JobState, "running" | "exited">, string>> = {
  pending: "P",
  setup: "I",
  ramp: "/",
  verifying: "V",
  fsyncing: "F",
  finishing: "f",
};

/** What a job does: r w m d at random, R W M D sequential, or its state (check_str_update). */
function letter({ state, error }: JobProgress, { options }: FioJob): string {
  if (state === "exited") return error === true ? "X" : "_";
  if (state !== "running") return STATE_LETTERS[state];
  const { ddirs, random } = options.rw;
  const [reads, writes] = [ddirs[DDIR_READ], ddirs[DDIR_WRITE]];
  let mode = reads ? "R" : writes ? "W" : "D";
  if (reads && writes) mode = options.rwmixread === 100 ? "R" : options.rwmixread === 0 ? "W" : "M";
  return random ? mode.toLowerCase() : mode;
}

/** `rrw` is r(2),w(1). */
function condensed(map: string): string {
  return (map.match(/(.)\1*/g) ?? []).map((run) => `${run[0]}(${run.length})`).join(",");
}

function ratesText(rates: readonly number[], iops: readonly number[]): string {
  const moving = [0, 1, 2].filter((i) => (rates[i] ?? 0) > 0 || (iops[i] ?? 0) > 0);
  if (moving.length === 0) return "";
  const told = (value: (i: number) => string): string =>
    moving.map((i) => `${"rwt"[i]}=${value(i)}`).join(",");
  const bandwidth = told((i) => human(rates[i] ?? 0, RATE_FIGURES, true, "B/s", 1024));
  return `[${bandwidth}][${told((i) => human(iops[i] ?? 0, RATE_FIGURES, false, ""))} IOPS]`;
}

/** thread_eta: by bytes, bounded by the runtime. `elapsed` and the result are seconds. */
function secondsLeft(progress: JobProgress, { options }: FioJob, elapsed: number): number {
  const timeout = Math.floor(options.runtimeMs / 1000);
  const total = (options.ioSize > 0 ? options.ioSize : options.size) * options.loops;
  if (progress.state === "running" || progress.state === "verifying") {
    const own = Math.ceil(progress.elapsedMs / 1000);
    const done = progress.ioBytes.reduce((sum, bytes) => sum + bytes, 0);
    const verified = options.verify !== "none" && options.doVerify && options.rw.ddirs[DDIR_WRITE];
    const bytes = verified ? 2 * total : total;
    let part = bytes > 0 ? Math.min(1, done / bytes) : 0;
    if (options.timeBased) part = timeout > 0 ? Math.min(part, own / timeout) : 0;
    const left = part === 0 ? timeout : Math.floor(own / part) - own;
    return timeout > 0 ? Math.max(0, Math.min(left, timeout - own)) : left;
  }
  if (progress.state !== "pending" && progress.state !== "setup" && progress.state !== "ramp") return 0;
  const delay = options.startDelayMs / 1000;
  const byTime = timeout > 0 ? timeout + delay + options.rampTimeMs / 1000 : 0;
  const past = progress.state === "ramp" ? Math.min(byTime, elapsed) : 0;
  const rate = options.rate.reduce((sum, limit) => sum + limit, 0);
  const byRate = rate > 0 ? total / rate + delay : 0;
  const guess = byRate > 0 && byTime > 0 ? Math.min(byRate, byTime - past) : byRate || byTime - past;
  return Math.floor(guess);
}

/** `00m:05s`, with hours and days when there are any (eta_to_str). */
function etaText(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor(seconds / 3600) % 24;
  const parts = [`${two(Math.floor(seconds / 60) % 60)}m`, `${two(seconds % 60)}s`];
  if (hours > 0 || days > 0) parts.unshift(`${two(hours)}h`);
  if (days > 0) parts.unshift(`${two(days)}d`);
  return parts.join(":");
}
