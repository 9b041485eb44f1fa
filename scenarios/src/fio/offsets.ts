/**
 * Where the next I/O goes and how long it is (fio io_u.c: get_next_block, get_next_buflen).
 *
 * Random jobs touch no block twice before all had their turn, unless norandommap or a distribution other than random
 * says otherwise; a chosen block that had its turn gives way to the next free one. A job that goes by time starts
 * over when its files are used up; any other job's pass ends there.
 *
 * Interface: start_pass; choose(ddir) says false when nothing is left, else the answer is in region, offset, bytes.
 */
import { BlockSampler } from "./distribution.ts";
import { FioRandom, STREAM_BS, STREAM_OFFSET } from "./random.ts";
import { RandomMap } from "./random-map.ts";
import { DDIR_TRIM, DDIR_WRITE, type FioOptions, type FioRegion, type FioTask } from "./task.ts";

/** The unit of a device: nothing is shorter. */
const SECTOR = 512;

class FileCursor {
  readonly bytes: number;
  /** Unit of random offsets: the smallest block any direction uses. */
  readonly unit: number;
  readonly blocks: number;
  readonly map: RandomMap | undefined;
  readonly samplers: readonly BlockSampler[];
  /** Per direction: where the last I/O ended and began, from the region's start. */
  readonly end: Float64Array = new Float64Array(3);
  readonly begin: Float64Array = new Float64Array(3);
  /** Length of the last trim: the write after it does the same blocks. */
  trimmed: number = 0;

  constructor(region: FioRegion, unit: number, options: FioOptions, random: FioRandom) {
    this.bytes = region.bytes;
    this.unit = unit;
    this.blocks = Math.floor(region.bytes / unit);
    const blocks = Math.max(1, this.blocks);
    const mapped = options.rw.random && !options.norandommap;
    const plain = options.distribution.every((d, i) => d.kind === "random" || !options.rw.ddirs[i]);
    this.map = mapped && plain && this.blocks > 0 ? new RandomMap(this.blocks) : undefined;
    this.samplers = options.rw.random
      ? options.distribution.map((d) => new BlockSampler(d, blocks, unit, random))
      : [];
  }

  restart(): void {
    this.map?.forget_all();
    this.end.fill(0);
    this.begin.fill(0);
  }
}

export class OffsetSource {
  /** The answer: index of the region, bytes from the file's start, length. */
  region: number = 0;
  offset: number = 0;
  bytes: number = 0;
  readonly #options: FioOptions;
  readonly #regions: readonly FioRegion[];
  readonly #files: readonly FileCursor[];
  readonly #bs: FioRandom;
  /** Starts over instead of ending. */
  readonly #endless: boolean;
  readonly #grain: number;
  #turn: number = 0;
  /** I/Os until the next random offset (rw=randread:N). */
  #until_random: number = 0;

  constructor(task: FioTask, endless: boolean) {
    const { options, regions } = task;
    const random = new FioRandom(task.seed, STREAM_OFFSET);
    const unit = smallest_block(options);
    this.#options = options;
    this.#regions = regions;
    this.#files = regions.map((region) => new FileCursor(region, unit, options, random));
    this.#bs = new FioRandom(task.seed, STREAM_BS);
    this.#endless = endless;
    this.#grain = options.ioengine === "null" ? 1 : SECTOR;
  }

  start_pass(): void {
    for (const file of this.#files) file.restart();
    this.#until_random = 0;
  }

  /** Files take turns; one that is used up passes its turn on. */
  choose(ddir: number): boolean {
    for (let tries = 0; tries < this.#files.length; tries++) {
      const index = this.#turn;
      this.#turn = index + 1 === this.#files.length ? 0 : index + 1;
      const file = this.#files[index] as FileCursor;
      if (!this.#choose_in(file, ddir)) continue;
      this.region = index;
      file.begin[ddir] = this.offset;
      file.end[ddir] = this.offset + this.bytes;
      if (ddir === DDIR_TRIM) file.trimmed = this.bytes;
      this.offset += (this.#regions[index] as FioRegion).offset;
      return true;
    }
    return false;
  }

  #choose_in(file: FileCursor, ddir: number): boolean {
    const rw = this.#options.rw;
    if (rw.trimwrite && ddir === DDIR_WRITE) {
      this.offset = file.begin[DDIR_TRIM] as number;
      this.bytes = file.trimmed;
      return true;
    }
    if (!rw.random) return this.#sequential(file, ddir, rw.skip);
    if (this.#until_random > 1) {
      this.#until_random--;
      if (rw.sequencer === "sequential") return this.#sequential(file, ddir, 0) || this.#random(file, ddir);
      this.offset = file.begin[ddir] as number;
      return this.#fit(file, ddir);
    }
    this.#until_random = rw.count;
    return this.#random(file, ddir);
  }

  #sequential(file: FileCursor, ddir: number, skip: number): boolean {
    let at = file.end[ddir] as number;
    if (at !== 0 && skip !== 0) {
      at += skip;
      // I/O with holes wraps.
      if (at >= file.bytes) at = 0;
    }
    this.offset = at;
    if (this.#fit(file, ddir)) return true;
    if (!this.#endless) return false;
    this.offset = 0;
    return this.#fit(file, ddir);
  }

  #random(file: FileCursor, ddir: number): boolean {
    if (file.blocks === 0) return false;
    let block = (file.samplers[ddir] as BlockSampler).sample();
    const map = file.map;
    if (map === undefined) {
      this.offset = block * file.unit;
      return this.#fit(file, ddir) || this.#fit_last(file, ddir);
    }
    if (map.is_marked(block)) {
      if (map.left === 0 && this.#endless) map.forget_all();
      block = map.next_free(block);
      if (block < 0) return false;
    }
    this.offset = block * file.unit;
    const bytes = this.#length(ddir);
    const wanted = Math.ceil(bytes / file.unit);
    let blocks = 0;
    while (blocks < wanted && block + blocks < map.blocks && !map.is_marked(block + blocks)) {
      map.mark(block + blocks);
      blocks++;
    }
    this.bytes = Math.min(bytes, blocks * file.unit);
    return true;
  }

  /** A block too close to the end for its length moves to the front until it fits. */
  #fit_last(file: FileCursor, ddir: number): boolean {
    const { min } = this.#options.bs[ddir] as { readonly min: number };
    if (min > file.bytes) return false;
    this.offset = Math.floor((file.bytes - min) / file.unit) * file.unit;
    this.bytes = min;
    return true;
  }

  /** A length for the I/O at `offset` that ends inside the region. */
  #fit(file: FileCursor, ddir: number): boolean {
    const left = file.bytes - this.offset;
    let bytes = this.#length(ddir);
    if (bytes > left) bytes = (this.#options.bs[ddir] as { readonly min: number }).min;
    this.bytes = bytes;
    return bytes <= left;
  }

  #length(ddir: number): number {
    const { min, max } = this.#options.bs[ddir] as { readonly min: number; readonly max: number };
    const split = this.#options.bssplit[ddir] as FioOptions["bssplit"][0];
    if (split.length > 0) return pick_share(split, this.#bs.fraction());
    if (min === max) return min;
    const bytes = min + this.#bs.fraction() * max;
    const step = this.#options.bsUnaligned ? this.#grain : min;
    // Cut last: the range ends with max, a multiple of min or not.
    return Math.min(max, Math.max(min, Math.floor(bytes / step) * step));
  }
}

function pick_share(
  split: readonly { readonly bytes: number; readonly percent: number }[],
  at: number,
): number {
  let upto = 0;
  for (const { bytes, percent } of split) {
    upto += percent / 100;
    if (at < upto) return bytes;
  }
  return (split[split.length - 1] as { readonly bytes: number }).bytes;
}

/** The smallest block of the directions in use. Bytes. */
export function smallest_block(options: FioOptions): number {
  let min = Number.POSITIVE_INFINITY;
  for (let ddir = 0; ddir < 3; ddir++) {
    if (!options.rw.ddirs[ddir]) continue;
    min = Math.min(min, (options.bs[ddir] as { readonly min: number }).min);
    for (const share of options.bssplit[ddir] ?? []) min = Math.min(min, share.bytes);
  }
  return min;
}

/** The largest block of the directions in use. Bytes. */
export function largest_block(options: FioOptions): number {
  let max = 0;
  for (let ddir = 0; ddir < 3; ddir++) {
    if (!options.rw.ddirs[ddir]) continue;
    max = Math.max(max, (options.bs[ddir] as { readonly max: number }).max);
    for (const share of options.bssplit[ddir] ?? []) max = Math.max(max, share.bytes);
  }
  return max;
}
