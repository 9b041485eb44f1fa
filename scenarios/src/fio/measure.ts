/**
 * What a job measures (fio stat.c): submission, completion and total latency of each I/O, bandwidth, the distributions
 * of depth and batches, and the logs. Nothing is allocated per I/O.
 *
 * Interface: fill `times` and call completed() for each I/O; tick(now) when now >= next_ms; forget() when the ramp
 * time is over; stat_of() at the end. Times are milliseconds since the job's start.
 */
import { Bandwidth } from "./bandwidth.ts";
import { plat_index, PLAT_BUCKETS, stat_clear, STAT_CELLS, stat_object, stat_sample } from "./latency.ts";
import { LevelMaps } from "./level-maps.ts";
import { SampleLog } from "./sample-log.ts";
import {
  DDIR_SYNC,
  type FioDdirStat,
  type FioHistogram,
  type FioLatencyStat,
  type FioOptions,
  type FioResult,
  type FioStat,
} from "./task.ts";

const NS = 1e6;
const KINDS = 3;
const SLAT = 0;
const CLAT = 1;
const LAT = 2;
const BUCKETS = PLAT_BUCKETS;
const SYNC = DDIR_SYNC;
/** Latencies: three kinds of three directions, then fsync's. */
const LATENCIES: number = 3 * KINDS + 1;
const SYNC_AT: number = LATENCIES - 1;
/** Histograms of one log. */
const HISTOGRAMS_MAX = 4096;

/** Indexes of `times`: when an I/O was filled in, was submitted, completed. */
export const AT_START = 0;
export const AT_ISSUE = 1;
export const AT_END = 2;

type Logs = Readonly<Record<"bw" | "iops" | "slat" | "clat" | "lat", SampleLog | undefined>>;

export class Measure {
  readonly slat: boolean;
  readonly clat: boolean;
  readonly lat: boolean;
  /** Of the I/O that completed(); those not wanted may be anything. */
  readonly times: Float64Array = new Float64Array(3);
  readonly maps: LevelMaps = new LevelMaps();
  readonly bandwidth: Bandwidth;
  /** When tick is wanted next. */
  next_ms: number = 0;
  /** Since the job's start, ramp time included; what the live view shows. */
  readonly all_ios: Float64Array = new Float64Array(3);
  readonly all_bytes: Float64Array = new Float64Array(3);
  readonly #inline: boolean;
  readonly #percentiles: readonly boolean[];
  readonly #cells: Float64Array = new Float64Array(LATENCIES * STAT_CELLS);
  readonly #buckets: Float64Array = new Float64Array(LATENCIES * BUCKETS);
  /** Issued, fsyncs too, and those shorter than asked for. */
  readonly #issued: Float64Array = new Float64Array(4);
  readonly #short: Float64Array = new Float64Array(3);
  readonly #runtime: Float64Array = new Float64Array(3);
  readonly #logs: Logs;
  /** bw and iops logs get a line for each I/O: then it needs the times it is submitted and completes. */
  readonly lines: boolean;
  /** Each I/O has such a line, or a block size that a histogram may want. */
  readonly #each: boolean;
  readonly #hist_every: number;
  #hist_ms: number = 0;
  readonly #hist_seen: Float64Array;
  /** Block size of the last I/O, by direction: what a histogram's line carries (fio: of the I/O that ends it). */
  readonly #last_bs: Uint32Array = new Uint32Array(3);
  readonly #hist: FioHistogram[] = [];
  /** Histograms that found the log full. */
  hist_dropped: number = 0;

  constructor(o: FioOptions) {
    const reduced = o.gtodReduce;
    // fio's null engine at depth 1 completes what it is given at once: there is no submission to measure.
    this.#inline = o.ioengine === "null" && o.iodepth === 1;
    this.slat = !reduced && !o.disableSlat && !this.#inline;
    this.clat = !reduced && !o.disableClat;
    this.lat = !reduced && !o.disableLat;
    this.#percentiles = [o.slatPercentiles, o.clatPercentiles, o.latPercentiles];
    const log = (wanted: boolean): SampleLog | undefined => (wanted ? new SampleLog(o.logAvgMs) : undefined);
    const lat = o.logs.lat !== undefined;
    this.#logs = {
      bw: log(o.logs.bw !== undefined && !reduced && !o.disableBw),
      iops: log(o.logs.iops !== undefined && !reduced),
      slat: log(lat && this.slat),
      clat: log(lat && this.clat),
      lat: log(lat && this.lat),
    };
    this.lines = o.logAvgMs === 0 && (this.#logs.bw !== undefined || this.#logs.iops !== undefined);
    this.bandwidth = new Bandwidth(!reduced && !o.disableBw, this.#logs.bw, this.#logs.iops, o.logAvgMs);
    this.#hist_every = o.logs.hist === undefined ? 0 : o.logHistMs;
    this.#each = this.lines || this.#hist_every > 0;
    this.#hist_seen = new Float64Array(this.#hist_every > 0 ? 3 * BUCKETS : 0);
    this.forget(0);
  }

  /** Forgets what was measured before `now`. */
  forget(now: number): void {
    for (let at = 0; at < this.#cells.length; at += STAT_CELLS) stat_clear(this.#cells, at);
    for (const counts of [this.#buckets, this.#issued, this.#short, this.#runtime, this.#hist_seen]) {
      counts.fill(0);
    }
    this.maps.forget();
    this.bandwidth.forget(now);
    this.#hist_ms = now;
    this.#plan();
  }

  /** What a job that ends within its ramp time has to tell: its I/Os, not how long they took. */
  forget_latencies(): void {
    for (let at = 0; at < this.#cells.length; at += STAT_CELLS) stat_clear(this.#cells, at);
    this.#buckets.fill(0);
    this.maps.forget_latencies();
    this.bandwidth.forget_samples();
  }

  #plan(): void {
    const due = this.bandwidth.due_ms();
    this.next_ms = this.#hist_every > 0 ? Math.min(due, this.#hist_ms + this.#hist_every) : due;
  }

  /** An I/O is on its way. */
  issued(ddir: number): void {
    this.#issued[ddir] = (this.#issued[ddir] as number) + 1;
  }

  /** `nr` of them were submitted at once, and so many are in flight with them. */
  submitted(nr: number, in_flight: number): void {
    this.maps.count_depth(nr, in_flight);
    if (!this.#inline) this.maps.count_submit(nr);
  }

  /** `nr` completions were taken at once. */
  reaped(nr: number): void {
    if (!this.#inline) this.maps.count_complete(nr);
  }

  /** An I/O of `bs` bytes moved `bytes`, at the three `times`. */
  completed(ddir: number, bytes: number, bs: number, offset: number): void {
    this.bandwidth.moved(ddir, bytes);
    this.all_bytes[ddir] = (this.all_bytes[ddir] as number) + bytes;
    this.all_ios[ddir] = (this.all_ios[ddir] as number) + 1;
    if (bytes < bs) this.#short[ddir] = (this.#short[ddir] as number) + 1;
    if (this.slat) this.#latency(ddir, SLAT, AT_START, AT_ISSUE);
    if (this.clat) this.maps.count_latency(this.#latency(ddir, CLAT, AT_ISSUE, AT_END));
    if (this.lat) this.#latency(ddir, LAT, AT_START, AT_END);
    const logs = this.#logs;
    if (logs.slat !== undefined || logs.clat !== undefined || logs.lat !== undefined) {
      const end = this.times[AT_END] as number;
      logs.slat?.log_sample(end, this.nanoseconds(AT_START, AT_ISSUE), ddir, bs, offset);
      logs.clat?.log_sample(end, this.nanoseconds(AT_ISSUE, AT_END), ddir, bs, offset);
      logs.lat?.log_sample(end, this.nanoseconds(AT_START, AT_END), ddir, bs, offset);
    }
    if (this.#each) this.#line(ddir, bytes, bs, offset);
  }

  /** Without log_avg_msec, bandwidth is that of each single I/O, in kB/s (fio: bytes * 10^6 / ns). */
  #line(ddir: number, bytes: number, bs: number, offset: number): void {
    this.#last_bs[ddir] = bs;
    if (!this.lines) return;
    const end = this.times[AT_END] as number;
    const ns = this.nanoseconds(AT_ISSUE, AT_END);
    const rate = ns > 0 ? Math.floor((bytes * 1e6) / ns) : 0;
    this.bandwidth.sample_each(ddir, rate);
    this.#logs.bw?.log_line(end, rate, ddir, bs, offset);
    this.#logs.iops?.log_line(end, 1, ddir, bs, offset);
  }

  /** From one of the `times` to another. Whole nanoseconds, 0 if the clocks disagree. */
  nanoseconds(from: number, to: number): number {
    const ns = Math.round(((this.times[to] as number) - (this.times[from] as number)) * NS);
    return ns > 0 ? ns : 0;
  }

  #latency(ddir: number, kind: number, from: number, to: number): number {
    const ns = this.nanoseconds(from, to);
    const index = ddir * KINDS + kind;
    stat_sample(this.#cells, index * STAT_CELLS, ns);
    if (this.#percentiles[kind] === true) {
      const at = index * BUCKETS + plat_index(ns);
      this.#buckets[at] = (this.#buckets[at] as number) + 1;
    }
    return ns;
  }

  /** An fsync ended, at the three `times`. */
  synced(): void {
    const ns = this.nanoseconds(AT_START, AT_END);
    stat_sample(this.#cells, SYNC_AT * STAT_CELLS, ns);
    const at = SYNC_AT * BUCKETS + plat_index(ns);
    this.#buckets[at] = (this.#buckets[at] as number) + 1;
  }

  tick(now: number): void {
    this.bandwidth.take_samples(now);
    const end = this.bandwidth.log_lines(now);
    if (end >= 0) {
      this.#logs.slat?.end_stretch(end);
      this.#logs.clat?.end_stretch(end);
      this.#logs.lat?.end_stretch(end);
    }
    if (this.#hist_every > 0 && now - this.#hist_ms >= this.#hist_every) this.#histogram(now);
    this.#plan();
  }

  /** The completion latencies since the histogram before. */
  #histogram(now: number): void {
    const seen = this.#hist_seen;
    for (let ddir = 0; ddir < 3; ddir++) {
      const from = (ddir * KINDS + CLAT) * BUCKETS;
      const counts = this.#buckets.slice(from, from + BUCKETS);
      let any = false;
      for (let i = 0; i < BUCKETS; i++) {
        const count = counts[i] as number;
        counts[i] = count - (seen[ddir * BUCKETS + i] as number);
        seen[ddir * BUCKETS + i] = count;
        if (counts[i] !== 0) any = true;
      }
      if (!any) continue;
      if (this.#hist.length === HISTOGRAMS_MAX) this.hist_dropped++;
      else
        this.#hist.push({ time: Math.floor(now), ddir, bs: this.#last_bs[ddir] as number, buckets: counts });
    }
    this.#hist_ms = now;
  }

  /** A phase took `ms`; `before` is what completions() said when it began. */
  ran(ms: number, before: Float64Array): void {
    for (let ddir = 0; ddir < 3; ddir++) {
      if ((this.bandwidth.ios[ddir] as number) === (before[ddir] as number)) continue;
      this.#runtime[ddir] = (this.#runtime[ddir] as number) + ms;
    }
  }

  completions(): Float64Array {
    return this.bandwidth.ios.slice();
  }

  #latency_stat(index: number): FioLatencyStat {
    const buckets = this.#buckets.slice(index * BUCKETS, (index + 1) * BUCKETS);
    return { ...stat_object(this.#cells, index * STAT_CELLS), buckets };
  }

  #ddir_stat(ddir: number): FioDdirStat {
    return {
      ioBytes: this.bandwidth.bytes[ddir] as number,
      totalIos: this.#issued[ddir] as number,
      shortIos: this.#short[ddir] as number,
      dropIos: 0,
      runtimeMs: Math.ceil(this.#runtime[ddir] as number),
      slat: this.#latency_stat(ddir * KINDS + SLAT),
      clat: this.#latency_stat(ddir * KINDS + CLAT),
      lat: this.#latency_stat(ddir * KINDS + LAT),
      bw: stat_object(this.bandwidth.cells, ddir * STAT_CELLS),
      iops: stat_object(this.bandwidth.cells, (3 + ddir) * STAT_CELLS),
    };
  }

  /** All of it; the job ran `runtime` ms. */
  stat_of(runtime: number): FioStat {
    const { maps } = this;
    return {
      error: 0,
      ddir: [this.#ddir_stat(0), this.#ddir_stat(1), this.#ddir_stat(2)],
      sync: { totalIos: this.#issued[SYNC] as number, lat: this.#latency_stat(SYNC_AT) },
      runtimeMs: Math.ceil(runtime),
      depth: maps.depth,
      submit: maps.submit,
      complete: maps.complete,
      totalSubmits: maps.submits,
      totalCompletes: maps.completes,
      latNs: maps.lat_ns,
      latUs: maps.lat_us,
      latMs: maps.lat_ms,
      totalErr: 0,
      firstError: 0,
      latencyDepth: 0,
    };
  }

  log_columns(): FioResult["logs"] {
    const { bw, iops, slat, clat, lat } = this.#logs;
    const none = new SampleLog(0);
    return {
      bw: (bw ?? none).columns(),
      iops: (iops ?? none).columns(),
      slat: (slat ?? none).columns(),
      clat: (clat ?? none).columns(),
      lat: (lat ?? none).columns(),
    };
  }

  histograms(): readonly FioHistogram[] {
    return this.#hist;
  }
}
