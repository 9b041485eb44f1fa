/**
 * Vector clocks: who has learned of what. now(t)[u] is the last stretch of thread u that happens before what t does
 * next. A stretch of a thread ends where it publishes: at a release, a fence, an atomic store.
 *
 * An *epoch* is one int: thread << 24 | clock, clock from 1; 0 is none. So threads are 0 ... 127, and a thread may
 * publish 16 million times in one execution. (FastTrack, Flanagan and Freund, PLDI 2009.)
 *
 * Fences follow the rule of C11 and of the kernel's smp_mb: what a thread had done before its last fence is published
 * by any later store of its own; what earlier loads found published is acquired by its next fence.
 *
 * Clocks of locations live elsewhere: rows of `threads` ints in an array of the caller.
 */

/** The thread of an epoch. */
export function threadOf(epoch: number): number {
  return epoch >>> 24;
}

/** The clock of an epoch. */
export function clockOf(epoch: number): number {
  return epoch & 0xffffff;
}

export class Clocks {
  threads: number = 0;
  /** What each thread does now is of this epoch. */
  epochs: Int32Array = new Int32Array(0);
  private now: Int32Array = new Int32Array(0);
  /** Clock of each thread at its last fence; 0 in its own place: no fence so far. */
  private fenced: Int32Array = new Int32Array(0);
  /** What loads without order have found published since the last fence. */
  private found: Int32Array = new Int32Array(0);
  private hasFound: Uint8Array = new Uint8Array(0);

  /** A new execution. */
  begin(threads: number): void {
    if (threads === this.threads) {
      // For a few threads a loop is faster than fill().
      for (let i = 0; i < threads * threads; i++) {
        this.now[i] = 0;
        this.fenced[i] = 0;
        this.found[i] = 0;
      }
    } else {
      this.threads = threads;
      this.epochs = new Int32Array(threads);
      this.now = new Int32Array(threads * threads);
      this.fenced = new Int32Array(threads * threads);
      this.found = new Int32Array(threads * threads);
      this.hasFound = new Uint8Array(threads);
    }
    for (let t = 0; t < threads; t++) {
      this.now[t * threads + t] = 1;
      this.epochs[t] = (t << 24) | 1;
      this.hasFound[t] = 0;
    }
  }

  /** Does what happened at `epoch` happen before what thread `t` does now? */
  isOrdered(epoch: number, t: number): boolean {
    return (this.now[t * this.threads + (epoch >>> 24)] as number) >= (epoch & 0xffffff);
  }

  /** The last stretch of `other` that `t` knows of. */
  known(t: number, other: number): number {
    return this.now[t * this.threads + other] as number;
  }

  /** Ends the stretch of `t`: what follows is not part of what it has published. */
  tick(t: number): void {
    const at = t * this.threads + t;
    this.now[at] = (this.now[at] as number) + 1;
    this.epochs[t] = (this.epochs[t] as number) + 1;
  }

  /** A load with acquire order learns what the location's clock says. */
  acquire(t: number, rows: Int32Array, row: number): void {
    join(this.now, t * this.threads, rows, row, this.threads);
  }

  /** A load without order: the next fence will learn it. */
  find(t: number, rows: Int32Array, row: number): void {
    this.hasFound[t] = 1;
    join(this.found, t * this.threads, rows, row, this.threads);
  }

  /** A store with release order: the location says what the thread knows, and nothing else. */
  release(t: number, rows: Int32Array, row: number): void {
    copy(rows, row, this.now, t * this.threads, this.threads);
    this.tick(t);
  }

  /**
   * A read-modify-write goes on with the release sequence it stands in: it has acquired what the location said, so the
   * location says what the thread knows. It is a fence as well.
   */
  releaseFence(t: number, rows: Int32Array, row: number): void {
    const { now, fenced, threads } = this;
    const at = t * threads;
    for (let i = 0; i < threads; i++) {
      const value = now[at + i] as number;
      rows[row + i] = value;
      fenced[at + i] = value;
    }
    this.tick(t);
  }

  /** Has `t` made a fence, so that its stores without order publish something? */
  hasFenced(t: number): boolean {
    return this.fenced[t * this.threads + t] !== 0;
  }

  /** A store without order publishes what was before the thread's last fence. */
  releaseFenced(t: number, rows: Int32Array, row: number): void {
    copy(rows, row, this.fenced, t * this.threads, this.threads);
  }

  /** First half of a full fence: what earlier loads found is known from here on. */
  fenceAcquire(t: number): void {
    if (this.hasFound[t] === 0) return;
    this.hasFound[t] = 0;
    join(this.now, t * this.threads, this.found, t * this.threads, this.threads);
  }

  /** Second half: later stores publish all up to here. */
  fenceRelease(t: number): void {
    copy(this.fenced, t * this.threads, this.now, t * this.threads, this.threads);
    this.tick(t);
  }

  /** All that `from` has done happens before all that `to` will do. */
  edge(from: number, to: number): void {
    join(this.now, to * this.threads, this.now, from * this.threads, this.threads);
    this.tick(from);
  }
}

function join(into: Int32Array, at: number, from: Int32Array, source: number, n: number): void {
  for (let i = 0; i < n; i++) {
    const value = from[source + i] as number;
    if (value > (into[at + i] as number)) into[at + i] = value;
  }
}

/** For a handful of ints a loop is faster than set(subarray). */
function copy(into: Int32Array, at: number, from: Int32Array, source: number, n: number): void {
  for (let i = 0; i < n; i++) into[at + i] = from[source + i] as number;
}
