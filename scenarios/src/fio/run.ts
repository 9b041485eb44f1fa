/**
 * The state of one running job, and its clock. Everything is allocated here, before the first I/O.
 *
 * Times are milliseconds since the job began (of the machine's clock, with fractions), in a typed array: a double that
 * is stored in an object, or handed to a function that is not inlined, would cost an allocation.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { FIO_STATE_SETUP, fio_counters_publish } from "./counters.ts";
import { Engine } from "./engine.ts";
import { Measure } from "./measure.ts";
import { DirectionMix } from "./mix.ts";
import { largest_block, OffsetSource, smallest_block } from "./offsets.ts";
import { DepthSearch, RatePacer, ThinkTime } from "./pacing.ts";
import { common_divisor, WrittenPieces } from "./pieces.ts";
import { FioRandom, STREAM_DATA } from "./random.ts";
import { DDIR_WRITE, type FioOptions, type FioOutlet, type FioRegion, type FioTask } from "./task.ts";
import { VerifyFormat } from "./verify.ts";

/** Indexes of JobRun.clock. */
export const NOW = 0;
/** cpu.now() when the job began. */
export const ORIGIN = 1;
/** When the loop has something to do besides I/O. */
export const NEXT_LOOK = 2;
/** End of the ramp time, and of the run; Infinity: none. */
export const RAMP_END = 3;
export const RUN_END = 4;
/** When the phase began, as far as it is measured. */
export const PHASE_START = 5;
/** Since when I/O is in flight, and how long it was before. */
export const BUSY_SINCE = 6;
export const BUSY = 7;
/** When the measured part began. */
export const MEASURE_START = 8;

/** What is said on stderr is bounded. */
const MESSAGES_MAX = 10;

export class JobRun {
  readonly task: FioTask;
  /** Somebody may ask for the statistics while the job runs (status.ts); and the last question it has answered. */
  readonly outlet: FioOutlet | undefined;
  answered: number = 0;
  readonly options: FioOptions;
  readonly regions: readonly FioRegion[];
  readonly engine: Engine;
  readonly measure: Measure;
  readonly source: OffsetSource;
  readonly mix: DirectionMix;
  readonly pacer: RatePacer | undefined;
  readonly think: ThinkTime | undefined;
  readonly search: DepthSearch | undefined;
  readonly format: VerifyFormat | undefined;
  readonly pieces: WrittenPieces | undefined;
  readonly data: FioRandom;
  /** Latency that ends the job, by direction, ns; or nothing does. */
  readonly max_latency: readonly number[] | undefined;
  /** Does an I/O need the time it is filled in, is submitted, completes? */
  readonly wants_start: boolean;
  readonly wants_issue: boolean;
  readonly wants_end: boolean;
  readonly clock: Float64Array = new Float64Array(9);
  // Slots.
  readonly free: Int32Array;
  nr_free: number;
  readonly start: Float64Array;
  readonly issue: Float64Array;
  readonly region: Int32Array;
  /** From the file's start. */
  readonly offset: Float64Array;
  /** The piece the I/O writes or reads back, or -1. */
  readonly piece: Int32Array;
  /** A read that is to be verified. */
  readonly check: Uint8Array;
  // Progress.
  state: number = FIO_STATE_SETUP;
  ramping: boolean = false;
  terminate: boolean = false;
  error: number = 0;
  total_err: number = 0;
  first_error: number = 0;
  readonly messages: string[] = [];
  /** Messages beyond the bound. */
  unsaid: number = 0;
  /** Bytes of this pass, bytes and I/Os since the ramp time: what size, io_size and number_ios limit. */
  pass_bytes: number = 0;
  issued_bytes: number = 0;
  issued_ios: number = 0;
  /** Every command, by direction. */
  readonly issued_all: Float64Array = new Float64Array(3);
  /** Reads of verify_backlog still to do in this round. */
  backlog: number = 0;
  /** Writes issued when the last fsync was. */
  synced_at: number = 0;
  /** The fsync in flight is that of the end, which fio does not count. */
  last_sync: boolean = false;
  phase_before: Float64Array = new Float64Array(3);
  /** Turns since the clock was read, when no I/O wants it. */
  turns: number = 0;
  readonly region_bytes: number;
  readonly block_max: number;

  constructor(task: FioTask, outlet?: FioOutlet) {
    const { options } = task;
    const depth = options.iodepth;
    this.task = task;
    this.outlet = outlet;
    this.options = options;
    this.regions = task.regions;
    this.region_bytes = task.regions.reduce((sum, region) => sum + region.bytes, 0);
    this.block_max = largest_block(options);
    const verified = options.verify !== "none";
    const read_back =
      verified && options.rw.ddirs[DDIR_WRITE] && (options.doVerify || options.verifyBacklog > 0);
    this.format = verified ? new VerifyFormat(options, task.thread) : undefined;
    this.pieces = read_back ? new WrittenPieces(task.regions, piece_unit(options)) : undefined;
    // With verification each pass ends, to be read back.
    this.source = new OffsetSource(task, options.timeBased && !verified);
    this.mix = new DirectionMix(task);
    const pacer = new RatePacer(task);
    this.pacer = pacer.active ? pacer : undefined;
    this.think = options.thinktimeUs > 0 ? new ThinkTime(options.thinktimeBlocks) : undefined;
    this.search = options.latencyTargetUs > 0 ? new DepthSearch(options) : undefined;
    this.data = new FioRandom(task.seed, STREAM_DATA);
    const limits = options.maxLatencyUs.map((us) => (us > 0 ? us * 1000 : Number.POSITIVE_INFINITY));
    this.max_latency = options.maxLatencyUs.some((us) => us > 0) ? limits : undefined;
    const judged = this.search !== undefined || this.max_latency !== undefined;
    this.measure = new Measure(options);
    this.wants_start = this.measure.slat || this.measure.lat || judged;
    this.wants_issue = this.measure.slat || this.measure.clat || this.measure.lines;
    this.wants_end = this.measure.clat || this.measure.lat || this.measure.lines || judged;
    this.engine = new Engine(task, depth, this.block_max);
    this.free = new Int32Array(depth);
    for (let slot = 0; slot < depth; slot++) this.free[slot] = depth - 1 - slot;
    this.nr_free = depth;
    this.start = new Float64Array(depth);
    this.issue = new Float64Array(depth);
    this.region = new Int32Array(depth);
    this.offset = new Float64Array(depth);
    this.piece = new Int32Array(depth).fill(-1);
    this.check = new Uint8Array(depth);
  }

  /** I/Os that are queued or in flight. */
  used(): number {
    return this.engine.nr_queued + this.engine.in_flight;
  }

  /** No I/O more before one has completed. */
  is_full(): boolean {
    // null takes nothing more before its completions are taken, as fio's.
    if (this.engine.nr_done > 0) return true;
    return this.used() >= (this.search?.depth ?? this.options.iodepth);
  }

  say(text: string): void {
    if (this.messages.length < MESSAGES_MAX) this.messages.push(text);
    else this.unsaid++;
  }

  /** The first error counts. */
  fail(errno: number): void {
    if (this.error === 0) this.error = errno;
  }
}

/** Every block of the job is whole units long, and begins at one. */
function piece_unit(options: FioOptions): number {
  if (options.bsUnaligned) return 512;
  const sizes = [smallest_block(options)];
  for (let ddir = 0; ddir < 3; ddir++) {
    if (!options.rw.ddirs[ddir]) continue;
    sizes.push((options.bs[ddir] as { readonly min: number }).min);
    for (const share of options.bssplit[ddir] ?? []) sizes.push(share.bytes);
  }
  if (!options.rw.random && options.rw.skip !== 0) sizes.push(Math.abs(options.rw.skip));
  return common_divisor(sizes);
}

/** Reads the clock; the answer is in clock[NOW] too. */
export function run_clock(cpu: Cpu, r: JobRun): number {
  const now = cpu.now() - (r.clock[ORIGIN] as number);
  r.clock[NOW] = now;
  return now;
}

/** Tells the live view. */
export function run_publish(cpu: Cpu, r: JobRun, state: number): void {
  r.state = state;
  fio_counters_publish(cpu, state, r.error, r.measure);
}

/** A part of the job begins that is measured as one: passes, read-back. */
export function run_phase(cpu: Cpu, r: JobRun, state: number): void {
  r.clock[PHASE_START] = run_clock(cpu, r);
  r.phase_before = r.measure.completions();
  run_publish(cpu, r, state);
}

export function run_phase_end(cpu: Cpu, r: JobRun): void {
  r.measure.ran(run_clock(cpu, r) - (r.clock[PHASE_START] as number), r.phase_before);
}

/** Statistics start over: after the ramp time, or when latency_target has found its depth. */
export function run_forget(cpu: Cpu, r: JobRun): void {
  const now = run_clock(cpu, r);
  r.measure.forget(now);
  r.phase_before = r.measure.completions();
  r.clock[PHASE_START] = now;
  r.clock[MEASURE_START] = now;
}
