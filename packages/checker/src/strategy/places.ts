/**
 * Places: how often each thread went to each location of memory in earlier executions, and where each stands now.
 *
 * A location is a word; they are numbered as they are met, and past MAX_LOCATIONS no more are told apart. What a step
 * did is known from the op that was pending before it, so quiet ops that run with it are not seen. Rounds of a spin
 * loop are not counted: a thread that has once waited long would seem to have much to do there.
 */
import type { Thread } from "../thread.ts";
import { ENDED, PARKED, UNBORN } from "../thread.ts";
import { changesMemory, locationOf } from "./pending.ts";

/** Executions during which figures only rise. */
const WARM_UP = 16;
/** Afterwards one sinks by this part of the difference. */
const SINK = 32;
const MAX_LOCATIONS = 2048;
/** Steps after a park that may be one more round of a spin loop: they are no work, and are not counted as it. */
const SPIN_STEPS = 6;
const TABLE = 4 * MAX_LOCATIONS;
/** Where a thread stands: not looked at yet; nowhere. */
const UNKNOWN = -2;
const NOWHERE = -1;

export class Places {
  /** Numbers of locations are below this. */
  count: number = 0;
  /** By thread: location its pending op goes to; negative for none. */
  readonly next: Int32Array;
  /** Location of the last step; negative for none. */
  last: number = NOWHERE;
  /** The last step was part of a spin loop. */
  lastSpun: boolean = false;
  private readonly threads: readonly Thread[];
  /** By location: threads that have gone there, and whether anybody changes it. */
  private readonly sharers: Uint8Array = new Uint8Array(MAX_LOCATIONS);
  private readonly written: Uint8Array = new Uint8Array(MAX_LOCATIONS);
  /** By location and thread: ops there in an execution, known and in this one. */
  private readonly ops: Float32Array;
  private readonly seen: Int32Array;
  /** Entries of `seen` that are not 0. */
  private readonly touched: Int32Array;
  private touchedCount: number = 0;
  /** By thread: its number of steps when it last parked. */
  private readonly parkedAt: Int32Array;
  /** Word address by slot, and its number; open addressing. */
  private readonly words: Int32Array = new Int32Array(TABLE).fill(-1);
  private readonly numbers: Int32Array = new Int32Array(TABLE);

  constructor(threads: readonly Thread[]) {
    this.threads = threads;
    this.next = new Int32Array(threads.length);
    this.parkedAt = new Int32Array(threads.length);
    this.ops = new Float32Array(MAX_LOCATIONS * threads.length);
    this.seen = new Int32Array(this.ops.length);
    this.touched = new Int32Array(this.ops.length);
  }

  begin(): void {
    this.next.fill(UNKNOWN);
    this.parkedAt.fill(-SPIN_STEPS);
    this.last = NOWHERE;
  }

  /** Notes where the threads stand that have not been looked at. */
  lookAround(): void {
    for (const thread of this.threads) {
      if (this.next[thread.index] === UNKNOWN && thread.state !== UNBORN) this.look(thread);
    }
  }

  private look(thread: Thread): void {
    const word = thread.state === ENDED ? -1 : locationOf(thread.mem);
    const number = word < 0 ? NOWHERE : this.numberOf(word);
    this.next[thread.index] = number;
    if (number >= 0 && changesMemory(thread.mem)) this.written[number] = 1;
  }

  private numberOf(word: number): number {
    let slot = (Math.imul(word, 0x9e3779b1) >>> 8) % TABLE;
    while (this.words[slot] !== word) {
      if (this.words[slot] === -1) {
        if (this.count === MAX_LOCATIONS) return NOWHERE;
        this.words[slot] = word;
        this.numbers[slot] = this.count++;
        break;
      }
      slot = slot + 1 === TABLE ? 0 : slot + 1;
    }
    return this.numbers[slot] as number;
  }

  /** After a step of a thread. */
  stepped(index: number, first: boolean): void {
    const thread = this.threads[index] as Thread;
    const at = this.next[index] as number;
    this.last = at;
    this.lastSpun = thread.steps - (this.parkedAt[index] as number) <= SPIN_STEPS;
    if (thread.state === PARKED) this.parkedAt[index] = thread.steps;
    if (at >= 0 && !this.lastSpun) {
      const entry = at * this.threads.length + index;
      if (this.seen[entry] === 0) this.touched[this.touchedCount++] = entry;
      this.seen[entry] = (this.seen[entry] as number) + 1;
    }
    this.look(thread);
    if (first) this.lookAround();
  }

  /** It has parked a few steps ago, so it may be in a spin loop. */
  isSpinning(index: number): boolean {
    return (this.threads[index] as Thread).steps - (this.parkedAt[index] as number) < SPIN_STEPS;
  }

  /** Threads that go to a location somebody changes; 0 if one alone does, or nobody changes it. */
  sharersOf(location: number): number {
    const sharers = this.sharers[location] as number;
    return sharers >= 2 && this.written[location] === 1 ? sharers : 0;
  }

  /** Ops of a thread at a location in an execution, as far as known. */
  opsAt(location: number, thread: number): number {
    return this.ops[location * this.threads.length + thread] as number;
  }

  /** The execution was the one after `runs` others. */
  learn(runs: number): void {
    for (let i = 0; i < this.touchedCount; i++) {
      const entry = this.touched[i] as number;
      const known = this.ops[entry] as number;
      if (known === 0) {
        const location = Math.floor(entry / this.threads.length);
        this.sharers[location] = (this.sharers[location] as number) + 1;
      }
      this.ops[entry] = learned(known, this.seen[entry] as number, runs);
    }
    this.drop();
  }

  /** Forgets this execution. */
  drop(): void {
    for (let i = 0; i < this.touchedCount; i++) this.seen[this.touched[i] as number] = 0;
    this.touchedCount = 0;
  }
}

/** A known figure, after execution number `runs` has shown `seen`. */
export function learned(known: number, seen: number, runs: number): number {
  if (seen >= known) return seen;
  return runs < WARM_UP ? known : known - (known - seen) / SINK;
}
