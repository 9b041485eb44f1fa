/**
 * The blocks a job has written and not read back yet (fio iolog.c: io_pieces), in the order of the writes. A block
 * that is written over is forgotten: what lies there now is the later write's.
 *
 * A piece is known by its first unit (the granularity of the job's blocks), so the book's size is that of the job's
 * part of the disk. Nothing else may touch a piece that is being written or read: ask is_busy before a write.
 */
import type { FioRegion } from "./task.ts";

const NONE = -1;

const FREE = 0;
const WRITING = 1;
const WRITTEN = 2;
const READING = 3;

export class WrittenPieces {
  readonly unit: number;
  /** First unit of each region. */
  readonly #base: readonly number[];
  readonly #regions: readonly FioRegion[];
  // By the piece's first unit.
  readonly #state: Uint8Array;
  readonly #bytes: Uint32Array;
  readonly #seed: Uint32Array;
  readonly #number: Uint16Array;
  readonly #next: Int32Array;
  readonly #before: Int32Array;
  /** By unit: the piece that covers it. */
  readonly #owner: Int32Array;
  #first: number = NONE;
  #last: number = NONE;
  /** Pieces nobody reads back yet. */
  waiting: number = 0;

  constructor(regions: readonly FioRegion[], unit: number) {
    this.unit = unit;
    this.#regions = regions;
    const base: number[] = [];
    let units = 0;
    for (const region of regions) {
      base.push(units);
      units += Math.ceil(region.bytes / unit);
    }
    this.#base = base;
    this.#state = new Uint8Array(units);
    this.#bytes = new Uint32Array(units);
    this.#seed = new Uint32Array(units);
    this.#number = new Uint16Array(units);
    this.#next = new Int32Array(units).fill(NONE);
    this.#before = new Int32Array(units).fill(NONE);
    this.#owner = new Int32Array(units).fill(NONE);
  }

  #unit_of(region: number, offset: number): number {
    const start = (this.#regions[region] as FioRegion).offset;
    return (this.#base[region] as number) + Math.floor((offset - start) / this.unit);
  }

  #units(bytes: number): number {
    return Math.ceil(bytes / this.unit);
  }

  /** Is anything under way in these bytes of a region (`offset` from the file's start)? */
  is_busy(region: number, offset: number, bytes: number): boolean {
    const first = this.#unit_of(region, offset);
    const end = first + this.#units(bytes);
    for (let i = first; i < end; i++) {
      const owner = this.#owner[i] as number;
      if (owner === NONE) continue;
      const state = this.#state[owner];
      if (state === WRITING || state === READING) return true;
    }
    return false;
  }

  /** A write begins. Returns the piece. */
  begin_write(region: number, offset: number, bytes: number, seed: number, number: number): number {
    const piece = this.#unit_of(region, offset);
    const end = piece + this.#units(bytes);
    for (let i = piece; i < end; i++) {
      const owner = this.#owner[i] as number;
      if (owner !== NONE) this.forget_piece(owner);
    }
    for (let i = piece; i < end; i++) this.#owner[i] = piece;
    this.#state[piece] = WRITING;
    this.#bytes[piece] = bytes;
    this.#seed[piece] = seed;
    this.#number[piece] = number;
    this.#before[piece] = this.#last;
    this.#next[piece] = NONE;
    if (this.#last === NONE) this.#first = piece;
    else this.#next[this.#last] = piece;
    this.#last = piece;
    this.waiting++;
    return piece;
  }

  end_write(piece: number): void {
    this.#state[piece] = WRITTEN;
  }

  /** Takes the oldest piece to read it back, or -1: none is left, or the oldest is not written yet. */
  begin_read(): number {
    let piece = this.#first;
    while (piece !== NONE && this.#state[piece] === READING) piece = this.#next[piece] as number;
    if (piece === NONE || this.#state[piece] !== WRITTEN) return NONE;
    this.#state[piece] = READING;
    this.waiting--;
    return piece;
  }

  /** It was read back, or failed: it leaves the book. */
  forget_piece(piece: number): void {
    const before = this.#before[piece] as number;
    const next = this.#next[piece] as number;
    if (before === NONE) this.#first = next;
    else this.#next[before] = next;
    if (next === NONE) this.#last = before;
    else this.#before[next] = before;
    const end = piece + this.#units(this.#bytes[piece] as number);
    for (let i = piece; i < end; i++) if (this.#owner[i] === piece) this.#owner[i] = NONE;
    if (this.#state[piece] !== READING) this.waiting--;
    this.#state[piece] = FREE;
  }

  region_of(piece: number): number {
    let region = this.#base.length - 1;
    while ((this.#base[region] as number) > piece) region--;
    return region;
  }

  /** From the file's start. */
  offset_of(piece: number): number {
    const region = this.region_of(piece);
    const start = (this.#regions[region] as FioRegion).offset;
    return start + (piece - (this.#base[region] as number)) * this.unit;
  }

  bytes_of(piece: number): number {
    return this.#bytes[piece] as number;
  }

  seed_of(piece: number): number {
    return this.#seed[piece] as number;
  }

  number_of(piece: number): number {
    return this.#number[piece] as number;
  }
}

/** The largest number that divides all of them. */
export function common_divisor(numbers: readonly number[]): number {
  let divisor = 0;
  for (const number of numbers) {
    let a = divisor;
    let b = number;
    while (b !== 0) {
      const rest = a % b;
      a = b;
      b = rest;
    }
    divisor = a;
  }
  return divisor;
}
