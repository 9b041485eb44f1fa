/**
 * Pacing: rate, thinktime, and the search of latency_target (fio io_u.c and backend.c). Arithmetic only: the caller
 * has the clock and sleeps. Times are microseconds since the job's start.
 */
import { FioRandom, STREAM_RATE } from "./random.ts";
import type { FioOptions, FioTask } from "./task.ts";

const SECOND_US = 1e6;

/** When the I/O after `bytes` bytes is due at `bps` bytes a second. */
export function linear_due_us(bytes: number, bps: number): number {
  return (bytes / bps) * SECOND_US;
}

export class RatePacer {
  /** Bytes a second; 0: no limit. */
  readonly bps: readonly number[];
  readonly active: boolean;
  readonly #bs: readonly number[];
  readonly #poisson: boolean;
  readonly #random: FioRandom;
  readonly #bytes: Float64Array = new Float64Array(3);
  readonly #due: Float64Array = new Float64Array(3);

  constructor(task: FioTask) {
    const { rate, rateIops, bs, rateProcess } = task.options;
    this.#bs = bs.map((range) => range.min);
    this.bps = this.#bs.map((min, i) => {
      const iops = (rateIops[i] as number) * min;
      const bytes = rate[i] as number;
      return bytes > 0 && iops > 0 ? Math.min(bytes, iops) : Math.max(bytes, iops);
    });
    this.active = this.bps.some((limit) => limit > 0);
    this.#poisson = rateProcess === "poisson";
    this.#random = new FioRandom(task.seed, STREAM_RATE);
  }

  /** Microseconds since the start at which the next I/O of the direction may go. */
  due_us(ddir: number): number {
    return this.#due[ddir] as number;
  }

  issued(ddir: number, bytes: number): void {
    const bps = this.bps[ddir] as number;
    if (bps === 0) return;
    this.#bytes[ddir] = (this.#bytes[ddir] as number) + bytes;
    if (this.#poisson) {
      const mean = ((this.#bs[ddir] as number) / bps) * SECOND_US;
      this.#due[ddir] = (this.#due[ddir] as number) - mean * Math.log(1 - this.#random.fraction());
    } else this.#due[ddir] = linear_due_us(this.#bytes[ddir], bps);
  }
}

/** thinktime: a pause whenever another `blocks` I/Os are done. */
export class ThinkTime {
  readonly #blocks: number;
  #next: number;

  constructor(blocks: number) {
    this.#blocks = Math.max(1, blocks);
    this.#next = this.#blocks;
  }

  /** True once for each multiple that `ios` has reached; several at once count as one. */
  is_due(ios: number): boolean {
    if (ios < this.#next) return false;
    this.#next = (Math.floor(ios / this.#blocks) + 1) * this.#blocks;
    return true;
  }
}

export const SEARCH_GOES_ON = 0;
/** The depth changed; a lower one wants what is in flight to end first. */
export const SEARCH_LOWERED = 1;
/** The depth is found: statistics start over for one more window. */
export const SEARCH_SETTLED = 2;
export const SEARCH_DONE = 3;
/** Even depth 1 misses the target. */
export const SEARCH_FAILED = 4;

/** latency_target: the highest depth at which latency_percentile of the I/Os of a window meet the target. */
export class DepthSearch {
  readonly target_ns: number;
  readonly #window_us: number;
  readonly #percentile: number;
  readonly #max: number;
  depth: number = 1;
  #low: number = 1;
  #high: number;
  #since_us: number = 0;
  #ios: number = 0;
  #missed: number = 0;
  #settled: boolean = false;
  /** Some depth was too much: from then on the search halves. */
  #failed: boolean = false;

  constructor(options: FioOptions) {
    this.target_ns = options.latencyTargetUs * 1000;
    this.#window_us = options.latencyWindowUs;
    this.#percentile = options.latencyPercentile;
    this.#max = options.iodepth;
    this.#high = options.iodepth;
  }

  /** An I/O took so long. */
  saw(latency_ns: number): void {
    this.#ios++;
    if (latency_ns > this.target_ns) this.#missed++;
  }

  /** Judges the window when it is over, or at once when the percentile is 100 and an I/O missed. */
  judge(now_us: number): number {
    const over = now_us - this.#since_us >= this.#window_us;
    if (this.#missed > 0 && this.#percentile >= 100) return this.#fail(now_us);
    if (!over || this.#ios === 0) return SEARCH_GOES_ON;
    const good = (100 * (this.#ios - this.#missed)) / this.#ios;
    return good >= this.#percentile ? this.#succeed(now_us) : this.#fail(now_us);
  }

  #start_window(now_us: number): void {
    this.#since_us = now_us;
    this.#ios = 0;
    this.#missed = 0;
  }

  #succeed(now_us: number): number {
    const before = this.depth;
    this.#low = before;
    // Without a failure yet, double; afterwards halve the distance to what failed.
    const next = this.#failed ? Math.floor((before + this.#high) / 2) : before * 2;
    this.depth = Math.min(next, this.#max);
    this.#start_window(now_us);
    if (this.depth !== before) return SEARCH_GOES_ON;
    if (this.#settled) return SEARCH_DONE;
    this.#settled = true;
    return SEARCH_SETTLED;
  }

  #fail(now_us: number): number {
    if (this.depth === 1) return SEARCH_FAILED;
    this.#settled = false;
    this.#failed = true;
    this.#high = this.depth;
    if (this.depth === this.#low) this.#low = Math.max(1, this.#low - 1);
    this.depth = Math.max(1, Math.floor((this.depth + this.#low) / 2));
    this.#start_window(now_us);
    return SEARCH_LOWERED;
  }
}
