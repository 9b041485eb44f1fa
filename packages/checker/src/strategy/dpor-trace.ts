/**
 * Trace: the execution at hand as DPOR sees it: steps, the places each touched, and which steps happen before which.
 *
 * Two steps of different threads depend on each other when both touch a place and one writes it. A step happens before
 * another if a chain of program order, dependence, wake-up (notify before the wake of who it woke) and lulls says so; a
 * lull is a point where nobody could run and time, a second look of spinning threads, or the last thread made the
 * execution go on: all before it happens before all after it. A race is a pair of dependent steps that nothing orders
 * but their own dependence.
 *
 * Interface: `push` a step, then read `races`; `undo` to go back. Per step the cost is the places it touched plus, for
 * each race, the number of threads; growing arrays aside nothing is allocated.
 */

/** Pairs in an access list: place, 1 if written. */
export type Accesses = Int32Array;

export class Trace {
  readonly threads: number;
  steps: number = 0;
  /** By step: its thread, the thread's step before it (-1: none), the last lull before it, the threads it woke. */
  thread: Uint8Array = new Uint8Array(INITIAL);
  previous: Int32Array = new Int32Array(INITIAL);
  lull: Int32Array = new Int32Array(INITIAL);
  woke: Int32Array = new Int32Array(INITIAL);
  /** By step and thread: 1 + the last step of that thread that happens before this one, or is it; 0: none. */
  clock: Int32Array;
  /** By step: its first entry in the log of accesses; one more than there are steps. */
  first: Int32Array = new Int32Array(INITIAL + 1);
  /**
   * The log: place, written, value after the step, step; entry number + 1 of the access to the place before
   * this, and of the last write so far.
   */
  place: Int32Array = new Int32Array(INITIAL);
  written: Uint8Array = new Uint8Array(INITIAL);
  value: Int32Array = new Int32Array(INITIAL);
  step: Int32Array = new Int32Array(INITIAL);
  before: Int32Array = new Int32Array(INITIAL);
  lastWrite: Int32Array = new Int32Array(INITIAL);
  /** Earlier steps the last pushed step races with, latest first. */
  races: Int32Array = new Int32Array(64);
  raceCount: number = 0;
  /** Only for the test of the tests: a relation that misses that reads depend on writes. */
  readonly broken: boolean;
  /** By thread: 1 + its last step. */
  private readonly last: Int32Array;
  /** By place, words and their queues of sleepers: 1 + the last entry of the log about it. */
  private readonly head: Int32Array;
  /** The memory itself. */
  private readonly words: Int32Array;
  private found: Int32Array = new Int32Array(64);
  private foundCount: number = 0;

  constructor(threads: number, words: Int32Array, broken: boolean) {
    this.threads = threads;
    this.words = words;
    this.broken = broken;
    this.clock = new Int32Array(INITIAL * threads);
    this.last = new Int32Array(threads);
    this.head = new Int32Array(2 * words.length);
  }

  /** Does step `a` happen before step `b`, or is it? */
  ordered(a: number, b: number): boolean {
    return a < (this.clock[b * this.threads + (this.thread[a] as number)] as number);
  }

  lastOf(thread: number): number {
    return (this.last[thread] as number) - 1;
  }

  headOf(place: number): number {
    return this.head[place] as number;
  }

  /** Forgets all steps from number `steps` on. */
  undo(steps: number): void {
    while (this.steps > steps) {
      const s = --this.steps;
      this.last[this.thread[s] as number] = (this.previous[s] as number) + 1;
      for (let e = (this.first[s + 1] as number) - 1; e >= (this.first[s] as number); e--)
        this.head[this.place[e] as number] = this.before[e] as number;
    }
  }

  /**
   * `thread` made a step that touched `count` places; `lulled`: a lull stood before it; `wakes`: it came back from a
   * wait somebody ended.
   */
  push(thread: number, accesses: Accesses, count: number, wakes: boolean, lulled: boolean): void {
    const s = this.steps;
    if (s + 1 >= this.thread.length) this.growSteps();
    const previous = this.lastOf(thread);
    this.thread[s] = thread;
    this.previous[s] = previous;
    this.woke[s] = 0;
    const lull = lulled ? s : s === 0 ? 0 : (this.lull[s - 1] as number);
    this.lull[s] = lull;
    const row = s * this.threads;
    for (let t = 0; t < this.threads; t++) {
      const known = previous < 0 ? 0 : (this.clock[previous * this.threads + t] as number);
      this.clock[row + t] = known > lull ? known : lull;
    }
    if (wakes) this.joinNotifier(s, thread);
    this.conflicts(s, accesses, count);
    this.orderRaces(s);
    this.clock[row + thread] = s + 1;
    this.last[thread] = s + 1;
    this.log(s, accesses, count);
    this.steps = s + 1;
  }

  private joinNotifier(s: number, thread: number): void {
    for (let k = s - 1; k >= (this.lull[s] as number); k--) {
      if (((this.woke[k] as number) & (1 << thread)) === 0) continue;
      this.join(s, k);
      return;
    }
  }

  private join(to: number, from: number): void {
    const a = to * this.threads;
    const b = from * this.threads;
    for (let t = 0; t < this.threads; t++) {
      const known = this.clock[b + t] as number;
      if (known > (this.clock[a + t] as number)) this.clock[a + t] = known;
    }
  }

  /** Collects the steps the accesses depend on directly: the last write; for a write the reads since then, too. */
  private conflicts(s: number, accesses: Accesses, count: number): void {
    this.foundCount = 0;
    for (let i = 0; i < count; i++) {
      let e = this.head[accesses[2 * i] as number] as number;
      if (accesses[2 * i + 1] === 0) {
        if (e !== 0 && !this.broken) e = this.lastWrite[e - 1] as number;
        else e = 0;
        if (e !== 0) this.find(s, this.step[e - 1] as number);
        continue;
      }
      while (e !== 0) {
        this.find(s, this.step[e - 1] as number);
        if (this.written[e - 1] === 1) break;
        e = this.before[e - 1] as number;
      }
    }
  }

  /** Keeps the list sorted, latest first, without doubles and without what is ordered already. */
  private find(s: number, k: number): void {
    if (this.ordered(k, s)) return;
    if (this.foundCount + 1 >= this.found.length) {
      this.found = grown(this.found);
      this.races = grown(this.races);
    }
    const { found } = this;
    let i = this.foundCount;
    while (i > 0 && (found[i - 1] as number) < k) i--;
    if (i > 0 && found[i - 1] === k) return;
    found.copyWithin(i + 1, i, this.foundCount);
    found[i] = k;
    this.foundCount++;
  }

  /** From the latest on: what a later one does not order races; all happen before. */
  private orderRaces(s: number): void {
    this.raceCount = 0;
    for (let i = 0; i < this.foundCount; i++) {
      const k = this.found[i] as number;
      if (this.ordered(k, s)) continue;
      this.races[this.raceCount++] = k;
      this.join(s, k);
    }
  }

  private log(s: number, accesses: Accesses, count: number): void {
    let end = this.first[s] as number;
    while (end + count > this.place.length) this.growLog();
    for (let i = 0; i < count; i++) {
      const place = accesses[2 * i] as number;
      const write = accesses[2 * i + 1] as number;
      const head = this.head[place] as number;
      if (head !== 0 && this.step[head - 1] === s && (write === 0 || this.written[head - 1] === 1)) continue;
      this.place[end] = place;
      this.written[end] = write;
      this.value[end] = this.words[place] ?? 0;
      this.step[end] = s;
      this.before[end] = head;
      this.lastWrite[end] = write === 1 ? end + 1 : head === 0 ? 0 : (this.lastWrite[head - 1] as number);
      this.head[place] = ++end;
    }
    this.first[s + 1] = end;
  }

  /** The accesses of a step, as a list of its own. */
  accessesOf(s: number): Accesses {
    const from = this.first[s] as number;
    const to = this.first[s + 1] as number;
    const list = new Int32Array(2 * (to - from));
    for (let e = from; e < to; e++) {
      list[2 * (e - from)] = this.place[e] as number;
      list[2 * (e - from) + 1] = this.written[e] as number;
    }
    return list;
  }

  /** Does step `s` depend on a step that would touch `other`? */
  depends(s: number, other: Accesses): boolean {
    const to = this.first[s + 1] as number;
    for (let e = this.first[s] as number; e < to; e++) {
      for (let i = 0; i < other.length; i += 2) {
        if (other[i] === this.place[e] && (other[i + 1] as number) + (this.written[e] as number) > 0)
          return !this.broken || (other[i + 1] as number) + (this.written[e] as number) === 2;
      }
    }
    return false;
  }

  private growSteps(): void {
    this.thread = grownBytes(this.thread);
    this.previous = grown(this.previous);
    this.lull = grown(this.lull);
    this.woke = grown(this.woke);
    this.first = grown(this.first);
    this.clock = grown(this.clock);
  }

  private growLog(): void {
    this.place = grown(this.place);
    this.written = grownBytes(this.written);
    this.value = grown(this.value);
    this.step = grown(this.step);
    this.before = grown(this.before);
    this.lastWrite = grown(this.lastWrite);
  }
}

const INITIAL = 256;

function grown(from: Int32Array): Int32Array {
  const to = new Int32Array(2 * from.length);
  to.set(from);
  return to;
}

function grownBytes(from: Uint8Array): Uint8Array {
  const to = new Uint8Array(2 * from.length);
  to.set(from);
  return to;
}
