/**
 * Stress runs as independent jobs on a pool of threads, each from its own clean start, with other settings.
 * A job that fails does not stop the others.
 *
 * Interface: `await run_jobs(jobs, { threads, onDone })`; jobs may come from a generator, which is asked for
 * the next one only when a thread is free.
 */
import { job_file, run_pool } from "./pool.ts";
import type { StressReport } from "./stress.ts";
import type { StressOptions } from "./stress-config.ts";

export interface JobsOptions {
  readonly threads: number;
  /** Called once for each job, in the order they end: with its report, or with why there is none. */
  onDone(job: StressOptions, outcome: StressReport | Error): void;
}

/** Boot, drain and shutdown of a machine on a loaded computer (ms); each is bounded by itself, this is the net. */
const AROUND_MS = 180_000;

function limit_ms(job: StressOptions): number {
  return job.seconds * 1000 + 10 * job.hangMs + AROUND_MS;
}

/** Runs them all. */
export async function run_jobs(jobs: Iterable<StressOptions>, options: JobsOptions): Promise<void> {
  await run_pool<StressOptions, StressReport>(jobs, {
    file: job_file("stress-job", import.meta.url),
    threads: options.threads,
    signal: (job) => AbortSignal.timeout(limit_ms(job)),
    onDone: (job, outcome) => options.onDone(job, outcome),
  });
}
