/**
 * Pulse: how a search on another thread shows that it lives, and is told to stop. Over shared memory, because a search
 * never comes back to its event loop, least of all when a step of the program does not end.
 *
 * Interface: the searching side adds it to the monitors of its Execution and asks `stopped`; the other side reads the
 * rest, from time to time. What it reads may be of two moments; `beats` that stand still mean a step that does not end.
 */
import type { ControlledMemory } from "./controlled-memory.ts";
import type { Monitor } from "./monitor.ts";

const BYTES = 64;

// Words.
const BEATS = 0;
const THREAD = 1;
const SITE = 2;
const STOP = 3;
const LOADED = 4;
// Doubles.
const EXECUTIONS = 3;
const STEPS = 4;
const ESTIMATE = 5;
const DONE = 6;

export class Pulse implements Monitor {
  readonly name: string = "pulse";
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array<SharedArrayBuffer>;
  private readonly numbers: Float64Array<SharedArrayBuffer>;

  /** A new one, or the other side's. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES)) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.numbers = new Float64Array(buffer);
  }

  /** A new execution has begun. */
  begin(): void {
    this.words[BEATS] = (this.beats + 1) | 0;
    this.words[THREAD] = -1;
    this.words[SITE] = 0;
  }
  executed(mem: ControlledMemory): void {
    this.words[BEATS] = (this.beats + 1) | 0;
    this.words[THREAD] = mem.thread;
    this.words[SITE] = mem.site;
  }

  /** Changes with every op, so long as there are any. Wraps. */
  get beats(): number {
    return this.words[BEATS] as number;
  }
  /** Who executed the last op; -1: nobody has in this execution. */
  get thread(): number {
    return this.words[THREAD] as number;
  }
  get site(): number {
    return this.words[SITE] as number;
  }

  /** The program is loaded, and the search has begun. */
  get loaded(): boolean {
    return Atomics.load(this.words, LOADED) === 1;
  }
  load(): void {
    Atomics.store(this.words, LOADED, 1);
  }

  /** Asks the search to end before its next execution. */
  stop(): void {
    Atomics.store(this.words, STOP, 1);
  }
  get stopped(): boolean {
    return Atomics.load(this.words, STOP) === 1;
  }

  get executions(): number {
    return this.numbers[EXECUTIONS] as number;
  }
  get steps(): number {
    return this.numbers[STEPS] as number;
  }
  /** Executions of the whole search, estimated; 0: not known. */
  get estimate(): number {
    return this.numbers[ESTIMATE] as number;
  }
  /** Part of the search that is done, 0 ... 1. */
  get done(): number {
    return this.numbers[DONE] as number;
  }
  count(executions: number, steps: number): void {
    this.numbers[EXECUTIONS] = executions;
    this.numbers[STEPS] = steps;
  }
  expect(estimate: number, done: number): void {
    this.numbers[ESTIMATE] = estimate;
    this.numbers[DONE] = done;
  }
}
