/**
 * Bytes and I/Os by direction, and what moved in each half second (fio stat.c: __add_samples): the samples of bw and
 * iops, and with log_avg_msec the lines of their logs.
 */
import { stat_clear, STAT_CELLS, stat_sample } from "./latency.ts";
import type { SampleLog } from "./sample-log.ts";

/** bwavgtime. Milliseconds. */
const SAMPLE_MS = 500;

export class Bandwidth {
  /** Completed, by direction. */
  readonly bytes: Float64Array = new Float64Array(3);
  readonly ios: Float64Array = new Float64Array(3);
  /** Statistics: bw of the three directions, then iops. */
  readonly cells: Float64Array = new Float64Array(6 * STAT_CELLS);
  readonly #samples: boolean;
  /** Each I/O is a sample, and a line of a log: then time takes none. */
  readonly #each_bw: boolean;
  readonly #each_iops: boolean;
  readonly #bw_log: SampleLog | undefined;
  readonly #iops_log: SampleLog | undefined;
  readonly #log_avg: number;
  #sample_ms: number = 0;
  #log_ms: number = 0;
  // Bytes and I/Os the last sample, or the last line, had seen.
  readonly #sampled: Float64Array = new Float64Array(6);
  readonly #logged: Float64Array = new Float64Array(6);

  constructor(samples: boolean, bw: SampleLog | undefined, iops: SampleLog | undefined, log_avg: number) {
    this.#samples = samples;
    this.#each_bw = bw !== undefined && log_avg === 0;
    this.#each_iops = iops !== undefined && log_avg === 0;
    this.#bw_log = bw;
    this.#iops_log = iops;
    this.#log_avg = log_avg;
  }

  forget(now: number): void {
    for (const counts of [this.bytes, this.ios, this.#sampled, this.#logged]) counts.fill(0);
    this.forget_samples();
    this.#sample_ms = now;
    this.#log_ms = now;
  }

  forget_samples(): void {
    for (let i = 0; i < 6; i++) stat_clear(this.cells, i * STAT_CELLS);
  }

  /** When the next sample is due. */
  due_ms(): number {
    const sample = this.#samples ? this.#sample_ms + SAMPLE_MS : Number.POSITIVE_INFINITY;
    return this.#log_avg > 0 ? Math.min(sample, this.#log_ms + this.#log_avg) : sample;
  }

  moved(ddir: number, bytes: number): void {
    this.bytes[ddir] = (this.bytes[ddir] as number) + bytes;
    this.ios[ddir] = (this.ios[ddir] as number) + 1;
  }

  take_samples(now: number): void {
    const spent = now - this.#sample_ms;
    if (!this.#samples || spent < SAMPLE_MS) return;
    this.#sample_ms = now;
    for (let ddir = 0; ddir < 3; ddir++) {
      const ios = this.#since(this.#sampled, this.ios, 3, ddir);
      const bytes = this.#since(this.#sampled, this.bytes, 0, ddir);
      if (ios === 0) continue;
      if (!this.#each_bw) stat_sample(this.cells, ddir * STAT_CELLS, kib_per_second(bytes, spent));
      if (!this.#each_iops) stat_sample(this.cells, (3 + ddir) * STAT_CELLS, per_second(ios, spent));
    }
  }

  /** One I/O, of `rate` kB/s by itself. */
  sample_each(ddir: number, rate: number): void {
    if (!this.#samples) return;
    if (this.#each_bw) stat_sample(this.cells, ddir * STAT_CELLS, rate);
    if (this.#each_iops) stat_sample(this.cells, (3 + ddir) * STAT_CELLS, 1);
  }

  /** The time the lines of this stretch carry, a multiple of log_avg_msec as fio's do; -1 when it is not over. */
  log_lines(now: number): number {
    const spent = now - this.#log_ms;
    if (this.#log_avg === 0 || spent < this.#log_avg) return -1;
    const end = Math.floor(now / this.#log_avg) * this.#log_avg;
    this.#log_ms = end;
    for (let ddir = 0; ddir < 3; ddir++) {
      const ios = this.#since(this.#logged, this.ios, 3, ddir);
      const bytes = this.#since(this.#logged, this.bytes, 0, ddir);
      if (ios === 0) continue;
      this.#bw_log?.log_line(end, kib_per_second(bytes, spent), ddir, 0, 0);
      this.#iops_log?.log_line(end, per_second(ios, spent), ddir, 0, 0);
    }
    return end;
  }

  #since(seen: Float64Array, counts: Float64Array, base: number, ddir: number): number {
    const before = seen[base + ddir] as number;
    seen[base + ddir] = counts[ddir] as number;
    return (counts[ddir] as number) - before;
  }
}

function per_second(count: number, ms: number): number {
  return Math.floor((count * 1000) / ms);
}

function kib_per_second(bytes: number, ms: number): number {
  return Math.floor((bytes * 1000) / ms / 1024);
}
