/**
 * The logs of write_bw_log and its like (fio stat.c): a line for each I/O, or with log_avg_msec one for each stretch
 * of time and direction. Columns grow by doubling up to a limit; what comes after is counted as dropped.
 */
import type { FioLog } from "./task.ts";

const FIRST = 4096;
/** Lines of one log: 15 MB. */
const LIMIT: number = 1 << 19;

export class SampleLog {
  /** Milliseconds a line stands for; 0: a line for each I/O. */
  readonly avg_ms: number;
  #n: number = 0;
  #dropped: number = 0;
  #time: Float64Array = new Float64Array(FIRST);
  #value: Float64Array = new Float64Array(FIRST);
  #ddir: Uint8Array = new Uint8Array(FIRST);
  #bs: Uint32Array = new Uint32Array(FIRST);
  #offset: Float64Array = new Float64Array(FIRST);
  readonly #sum: Float64Array = new Float64Array(3);
  readonly #samples: Float64Array = new Float64Array(3);

  constructor(avg_ms: number) {
    this.avg_ms = avg_ms;
  }

  /** `time` in ms since the job's start. */
  log_sample(time: number, value: number, ddir: number, bs: number, offset: number): void {
    if (this.avg_ms === 0) return this.log_line(time, value, ddir, bs, offset);
    this.#sum[ddir] = (this.#sum[ddir] as number) + value;
    this.#samples[ddir] = (this.#samples[ddir] as number) + 1;
  }

  /** The stretch ends: a line for each direction that had samples, with their mean. */
  end_stretch(time: number): void {
    for (let ddir = 0; ddir < 3; ddir++) {
      const samples = this.#samples[ddir] as number;
      if (samples === 0) continue;
      this.log_line(time, Math.floor((this.#sum[ddir] as number) / samples), ddir, 0, 0);
    }
    this.#sum.fill(0);
    this.#samples.fill(0);
  }

  log_line(time: number, value: number, ddir: number, bs: number, offset: number): void {
    if (this.#n === this.#time.length && !this.#grow()) {
      this.#dropped++;
      return;
    }
    const n = this.#n++;
    this.#time[n] = Math.floor(time);
    this.#value[n] = value;
    this.#ddir[n] = ddir;
    this.#bs[n] = bs;
    this.#offset[n] = offset;
  }

  #grow(): boolean {
    const capacity = this.#time.length * 2;
    if (capacity > LIMIT) return false;
    this.#time = copied(new Float64Array(capacity), this.#time);
    this.#value = copied(new Float64Array(capacity), this.#value);
    this.#ddir = copied(new Uint8Array(capacity), this.#ddir);
    this.#bs = copied(new Uint32Array(capacity), this.#bs);
    this.#offset = copied(new Float64Array(capacity), this.#offset);
    return true;
  }

  columns(): FioLog {
    const n = this.#n;
    return {
      n,
      time: this.#time.slice(0, n),
      value: this.#value.slice(0, n),
      ddir: this.#ddir.slice(0, n),
      bs: this.#bs.slice(0, n),
      offset: this.#offset.slice(0, n),
      dropped: this.#dropped,
    };
  }
}

function copied<T extends Float64Array | Uint32Array | Uint8Array>(to: T, from: T): T {
  to.set(from);
  return to;
}
