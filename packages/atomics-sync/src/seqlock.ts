/**
 * Seqlock: small data that is read much and written seldom. Readers write nothing; they read again when a
 * writer came between.
 *
 * Invariants: the sequence is odd while a writer is inside; it grows by 2 per write. Writers exclude each other.
 * Zeroed memory is a seqlock without a writer. Readers can starve while writers come without a break.
 *
 * Interface, writer: seqlockWriteBegin; change the data with writeOnce; seqlockWriteEnd.
 * Interface, reader: do { const seq = seqlockReadBegin(...); copy the data } while (seqlockReadRetry(..., seq)).
 * The copy means nothing until the retry said false: do not follow addresses in it. Read the data with
 * loadAcquire; or with readOnce or memcpy, and then end with seqlockReadRetryFence, which is cheaper from about
 * three words on but makes all readers write one common line (the fence).
 */
import { backoff } from "./backoff.ts";
import type { Memory } from "./memory.ts";

const SEQUENCE = 0;
/** Bytes of a seqlock, 4-aligned. */
export const SEQLOCK_BYTES = 4;

/** Enters as the only writer; waits while another one is inside. */
export function seqlockWriteBegin(mem: Memory, p: number): void {
  let round = 0;
  for (;;) {
    const seq = mem.loadAcquire(p + SEQUENCE);
    // Full order: the odd sequence is visible before any of the data changes. Pairs with the order "data, then
    // sequence" of the retry: without it a reader could copy new data and still find the old even sequence.
    if ((seq & 1) === 0 && mem.compareExchange(p + SEQUENCE, seq, (seq + 1) | 0) === seq) return;
    round = backoff(mem, p + SEQUENCE, seq, round);
  }
}

/** Leaves as the writer. */
export function seqlockWriteEnd(mem: Memory, p: number): void {
  // Pairs with the loadAcquire in seqlockReadBegin (and in seqlockWriteBegin): whoever sees this sequence sees
  // all the data of this write. Only the writer changes an odd sequence, so it may be read plainly.
  mem.storeRelease(p + SEQUENCE, (mem.readOnce(p + SEQUENCE) + 1) | 0);
}

/** Waits until no writer is inside; returns the sequence to give to the retry. */
export function seqlockReadBegin(mem: Memory, p: number): number {
  let round = 0;
  for (;;) {
    // Pairs with the storeRelease in seqlockWriteEnd: the data read next is at least this new.
    const seq = mem.loadAcquire(p + SEQUENCE);
    if ((seq & 1) === 0) return seq;
    round = backoff(mem, p + SEQUENCE, seq, round);
  }
}

/** True if a writer has been inside since `seq`: read again. For data read with loadAcquire. */
export function seqlockReadRetry(mem: Memory, p: number, seq: number): boolean {
  // The data's loadAcquires order them before this load; see seqlockWriteBegin for what that forbids.
  return mem.loadAcquire(p + SEQUENCE) !== seq;
}

/** True if a writer has been inside since `seq`: read again. For data read with readOnce or memcpy. */
export function seqlockReadRetryFence(mem: Memory, p: number, seq: number): boolean {
  // Orders the unordered reads of the data before the load; see seqlockWriteBegin for what that forbids.
  mem.fence();
  return mem.loadAcquire(p + SEQUENCE) !== seq;
}

/** A seqlock at a fixed address. */
export class Seqlock {
  readonly mem: Memory;
  /** Address of SEQLOCK_BYTES zeroed bytes, 4-aligned. */
  readonly p: number;

  constructor(mem: Memory, p: number) {
    this.mem = mem;
    this.p = p;
  }

  /** Enters as the only writer. */
  writeBegin(): void {
    seqlockWriteBegin(this.mem, this.p);
  }
  /** Leaves as the writer. */
  writeEnd(): void {
    seqlockWriteEnd(this.mem, this.p);
  }
  /** Waits until no writer is inside; returns the sequence for the retry. */
  readBegin(): number {
    return seqlockReadBegin(this.mem, this.p);
  }
  /** True if the data must be read again; it was read with loadAcquire. */
  readRetry(seq: number): boolean {
    return seqlockReadRetry(this.mem, this.p, seq);
  }
  /** True if the data must be read again; it was read with readOnce or memcpy. */
  readRetryFence(seq: number): boolean {
    return seqlockReadRetryFence(this.mem, this.p, seq);
  }
}
