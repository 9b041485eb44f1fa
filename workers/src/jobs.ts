/**
 * Independent jobs on a pool of threads, each from its own clean start: stress runs with other settings.
 * A job that fails does not stop the others.
 *
 * Interface: `await run_jobs(jobs, { threads, onDone })`; jobs may come from a generator, which is asked for
 * the next one only when a thread is free.
 */
import { Piscina } from "piscina";
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
  const file = import.meta.url.endsWith(".ts") ? "./stress-job.ts" : "./stress-job.js";
  const pool = new Piscina<StressOptions, StressReport>({
    filename: new URL(file, import.meta.url).href,
    minThreads: options.threads,
    maxThreads: options.threads,
    // The threads' own event loops serve the machines they host.
    atomics: "disabled",
  });
  const queue = jobs[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      const job = next.value;
      options.onDone(job, await outcome_of(pool, job));
    }
  };
  try {
    await Promise.all(Array.from({ length: options.threads }, work));
  } finally {
    await pool.destroy();
  }
}

async function outcome_of(
  pool: Piscina<StressOptions, StressReport>,
  job: StressOptions,
): Promise<StressReport | Error> {
  try {
    return await pool.run(job, { signal: AbortSignal.timeout(limit_ms(job)) });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
