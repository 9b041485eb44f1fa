/**
 * Random numbers of a job: one stream for each purpose, as fio has, so that one choice more of one kind does not change
 * the others. Streams repeat for the same seed. (splitmix32: Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014.)
 */

/** Streams, numbered. */
export const STREAM_OFFSET = 1;
export const STREAM_MIX = 2;
export const STREAM_BS = 3;
export const STREAM_RATE = 4;
export const STREAM_DATA = 5;
export const STREAM_FILL = 6;

const GOLDEN = 0x9e3779b9;
const HALF = 2 ** 32;

function scramble32(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

export class FioRandom {
  #state: number;

  constructor(seed: number, stream: number) {
    this.#state = scramble32((seed ^ Math.imul(stream, 0x85ebca6b)) | 0);
  }

  /** 32 random bits, signed. */
  bits(): number {
    this.#state = (this.#state + GOLDEN) | 0;
    return scramble32(this.#state);
  }

  /** Uniform in 0 <= x < 1, of 32 bits. */
  fraction(): number {
    return (this.bits() >>> 0) / HALF;
  }

  /** Uniform in 0 ... n-1, n up to 2^32. */
  uniform(n: number): number {
    return Math.floor(this.fraction() * n);
  }
}
