/**
 * A pool of threads for independent jobs. A job that fails does not stop the others.
 *
 * Interface: `await run_pool(jobs, { file, threads, signal, onDone })`; jobs may come from a generator, which is asked
 * for the next one only when a thread is free. `file` is a module whose default export runs a job.
 */
import { Piscina } from "piscina";

export interface PoolOptions<Job, Result> {
  readonly file: URL;
  readonly threads: number;
  /** Gives a job up: its thread is terminated, and another takes its place. */
  readonly signal: (job: Job) => AbortSignal;
  /** Called once for each job, in the order they end: with its result, or with why there is none. */
  readonly onDone: (job: Job, outcome: Result | Error) => void;
  /** What a job says on its thread's parentPort while it runs. */
  readonly onMessage?: (message: unknown) => void;
}

/** The module that runs jobs, as source or as built: a sibling of `parent`. */
export function job_file(name: string, parent: string): URL {
  return new URL(parent.endsWith(".ts") ? `./${name}.ts` : `./${name}.js`, parent);
}

/** Runs them all. */
export async function run_pool<Job, Result>(
  jobs: Iterable<Job>,
  options: PoolOptions<Job, Result>,
): Promise<void> {
  const pool = new Piscina<Job, Result>({
    filename: options.file.href,
    minThreads: options.threads,
    maxThreads: options.threads,
    // The threads' own event loops serve the machines they host.
    atomics: "disabled",
  });
  if (options.onMessage !== undefined) pool.on("message", options.onMessage);
  const queue = jobs[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      const job = next.value;
      options.onDone(job, await outcome_of(pool, job, options.signal(job)));
    }
  };
  try {
    await Promise.all(Array.from({ length: options.threads }, work));
  } finally {
    await pool.destroy();
  }
}

async function outcome_of<Job, Result>(
  pool: Piscina<Job, Result>,
  job: Job,
  signal: AbortSignal,
): Promise<Result | Error> {
  try {
    return await pool.run(job, { signal });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
