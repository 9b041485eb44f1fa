/**
 * --status-interval: reports while the jobs run. They tell bytes, I/Os and run times; latencies and the rest are with
 * the job until it ends, and stand in the last report.
 */
import type { FioJob } from "@ringside/fio/job/job";
import type { JobProgress } from "@ringside/fio/output/eta";
import { newThreadStat } from "@ringside/fio/stat/thread-merge";
import type { FioRun, ThreadStat } from "@ringside/fio/stat/thread-stat";

export class StatusReports {
  readonly #jobs: ReadonlyMap<number, FioJob>;
  readonly #everyMs: number | undefined;
  readonly #report: (run: FioRun) => void;
  readonly #startMs: number = performance.now();
  #next: number;

  /** Nothing is ever reported without `everyMs`. */
  constructor(jobs: readonly FioJob[], everyMs: number | undefined, report: (run: FioRun) => void) {
    this.#jobs = new Map(jobs.map((job) => [job.number, job]));
    this.#everyMs = everyMs;
    this.#report = report;
    this.#next = this.#startMs + (everyMs ?? 0);
  }

  progress(progress: readonly JobProgress[]): void {
    const now = performance.now();
    if (this.#everyMs === undefined || now < this.#next) return;
    this.#next += this.#everyMs * Math.ceil((now - this.#next + 1) / this.#everyMs);
    this.#report({
      threads: progress.map((job) => this.#thread(job)),
      disks: [],
      timestampMs: Date.now(),
      elapsed: (now - this.#startMs) / 1000,
    });
  }

  #thread({ number, ioBytes, ios, elapsedMs, error }: JobProgress): ThreadStat {
    const job = this.#jobs.get(number);
    const stat = newThreadStat(job?.name ?? "", number, job?.group ?? 0);
    stat.runtimeMs = Math.round(elapsedMs);
    stat.error = error === true ? 1 : 0;
    for (const [i, ddir] of stat.ddir.entries()) {
      ddir.ioBytes = ioBytes[i as 0 | 1 | 2];
      ddir.totalIos = ios[i as 0 | 1 | 2];
      ddir.runtimeMs = ddir.ioBytes > 0 ? stat.runtimeMs : 0;
    }
    return stat;
  }
}
