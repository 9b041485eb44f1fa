/**
 * The line between a gated thread and the engine: one small shared block a thread, and whose turn it is.
 *
 * Invariant: exactly one side runs. TURN says which; a side writes its fields, gives the turn away and waits to get it
 * back. The other fields belong to whoever has the turn.
 *
 * The engine gives the turn with: START, GO or ABORT in ORDER; ANSWER; NOW. The thread gives it back with a REPORT.
 */

export const LINE_BYTES = 128;

// Words.
const TURN = 0;
const ORDER = 1;
const REPORT = 2;
const KIND = 3;
const SITE = 4;
// Doubles: values of ops may be unsigned words, 64-bit values and time-outs of Infinity.
const P = 4;
const A = 5;
const B = 6;
const RESULT = 7;
const ANSWER = 8;
const NOW = 9;

const ENGINE = 0;
const THREAD = 1;

/** Orders. */
export const START = 1;
export const GO = 2;
export const ABORT = 3;

/** Reports. */
export const LOADING = 0;
/** Loaded, or its last execution is over; waits for START. */
export const IDLE = 1;
/** The next op is KIND, P, A, B; RESULT is that of the op executed just now. */
export const STEP = 2;
/** A quiet op was executed. */
export const QUIET = 3;
/** Asks for a data choice of P values. */
export const CHOOSE = 4;
/** The op that runs touches what the shadow forbids: P, A bytes, B 1 for a write, KIND code, ANSWER first bad byte. */
export const BAD = 5;
/** The program says fail; the text is on the port. */
export const FAIL = 6;
/** The thread's function threw; the error is on the port. */
export const CRASH = 7;
/** The thread's function came back. */
export const END = 8;
/** The program could not be loaded; the error is on the port. */
export const UNLOADED = 9;

export class Line {
  readonly buffer: SharedArrayBuffer;
  // private: the line is the harness's own, not the memory of the program under test.
  private readonly words: Int32Array<SharedArrayBuffer>;
  private readonly numbers: Float64Array<SharedArrayBuffer>;
  private readonly looks: number;

  /** `looks`: how often it looks at TURN before it sleeps. */
  constructor(buffer: SharedArrayBuffer, looks: number) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.numbers = new Float64Array(buffer);
    this.looks = looks;
  }

  get order(): number {
    return this.words[ORDER] as number;
  }
  get report(): number {
    return this.words[REPORT] as number;
  }
  get kind(): number {
    return this.words[KIND] as number;
  }
  get site(): number {
    return this.words[SITE] as number;
  }
  get p(): number {
    return this.numbers[P] as number;
  }
  get a(): number {
    return this.numbers[A] as number;
  }
  get b(): number {
    return this.numbers[B] as number;
  }
  get result(): number {
    return this.numbers[RESULT] as number;
  }
  set result(value: number) {
    this.numbers[RESULT] = value;
  }
  get answer(): number {
    return this.numbers[ANSWER] as number;
  }
  set answer(value: number) {
    this.numbers[ANSWER] = value;
  }
  get now(): number {
    return this.numbers[NOW] as number;
  }
  set now(value: number) {
    this.numbers[NOW] = value;
  }

  /** Thread: writes an op to report. */
  put(kind: number, p: number, a: number, b: number, site: number): void {
    this.words[KIND] = kind;
    this.words[SITE] = site;
    this.numbers[P] = p;
    this.numbers[A] = a;
    this.numbers[B] = b;
  }

  /** Thread: reports, and waits for its turn, for ever. Returns the order. */
  tell(report: number): number {
    this.words[REPORT] = report;
    this.give(ENGINE);
    this.await(THREAD, Number.POSITIVE_INFINITY);
    return this.order;
  }

  /** Engine: gives the turn away. */
  open(order: number): void {
    this.words[ORDER] = order;
    this.give(THREAD);
  }

  /** Engine: waits for the turn. False: it did not come in `ms`. */
  back(ms: number): boolean {
    return this.await(ENGINE, ms);
  }

  private give(side: number): void {
    Atomics.store(this.words, TURN, side);
    Atomics.notify(this.words, TURN, 1);
  }

  private await(side: number, ms: number): boolean {
    const { words } = this;
    for (let i = 0; i < this.looks; i++) {
      if (Atomics.load(words, TURN) === side) return true;
      Atomics.pause();
    }
    // No wake-up is lost: give stores before it notifies, and wait looks before it sleeps.
    while (Atomics.load(words, TURN) !== side) {
      if (Atomics.wait(words, TURN, 1 - side, ms) === "timed-out") return false;
    }
    return true;
  }
}

/** A line whose first turn is the thread's: it loads the program. */
export function newLine(looks: number): Line {
  const line = new Line(new SharedArrayBuffer(LINE_BYTES), looks);
  line.open(START);
  return line;
}
