/** Where each job of a fio run is, for the live view: from the shared counters while it runs, from its result after. */
// First: the root of the kernel image.
import "@ringside/scenarios/index";
import { type JobProgress, type JobState } from "@ringside/fio/output/eta";
import type { FioJob } from "@ringside/fio/job/job";
import type { Cpu } from "@ringside/core/sched/cpu";
import { fio_counters } from "@ringside/scenarios/fio/counters";

/** By FIO_STATE_. */
const STATES: readonly JobState[] = [
  "setup",
  "setup",
  "ramp",
  "running",
  "verifying",
  "fsyncing",
  "finishing",
];

/** One job's way through the run. */
export class JobTrack {
  readonly job: FioJob;
  #cpu: Cpu | undefined;
  #id = 0;
  #since = 0;
  #last: JobProgress;

  constructor(job: FioJob) {
    this.job = job;
    this.#last = {
      number: job.number,
      state: "pending",
      ioBytes: [0, 0, 0],
      ios: [0, 0, 0],
      elapsedMs: 0,
      filesOpen: 0,
    };
  }

  /** It starts on CPU `id` of the machine that `cpu` sees. */
  started(cpu: Cpu, id: number): void {
    this.#cpu = cpu;
    this.#id = id;
    this.#since = performance.now();
  }

  ended(error: number): void {
    const { ioBytes, ios, elapsedMs } = this.now();
    const { number } = this.job;
    this.#cpu = undefined;
    this.#last = { number, state: "exited", ioBytes, ios, elapsedMs, filesOpen: 0, error: error !== 0 };
  }

  now(): JobProgress {
    if (this.#cpu === undefined) return this.#last;
    const { state, bytes, ios, error } = fio_counters(this.#cpu, this.#id);
    this.#last = {
      number: this.job.number,
      state: STATES[state] ?? "running",
      ioBytes: bytes,
      ios,
      elapsedMs: performance.now() - this.#since,
      filesOpen: this.job.files.length,
      ...(error === 0 ? {} : { error: true }),
    };
    return this.#last;
  }
}
