/** Thread: one thread of an execution, as the scheduler sees it. */
import type { ControlledMemory } from "./controlled-memory.ts";
import { OP_NONE, type OpKind } from "./op.ts";
import type { ThreadContext, ThreadSpec } from "./program.ts";
import type { Coroutine } from "./runtime.ts";

/** Not started: waits for others to end (lastly). */
export const UNBORN = 0;
/** Has a pending op that can be executed. */
export const READY = 1;
/** Asleep in a wait. */
export const ASLEEP = 2;
/** In a spin loop, or a pause of one: runs when something it read has changed, or nobody else can. */
export const PARKED = 3;
export const ENDED = 4;

/** In place of the version at which a thread parked: it may look again, though nothing changed; for the last time. */
export const LOOKS = -1;
export const LAST_LOOK = -2;

/** Values a spinning thread has read since it last wrote; more places than this make it wait for any write. */
const SPIN_PLACES = 16;
/** Reads in a row that are remembered, a power of two; rounds of up to half as many are recognised. */
const HISTORY = 256;
/** Rounds alike after which one more is a spin loop's; of rounds of a single read, ROUNDS_OF_ONE. */
const ROUNDS = 2;
const ROUNDS_OF_ONE = 3;

export class Thread {
  readonly index: number;
  readonly spec: ThreadSpec;
  readonly mem: ControlledMemory;
  readonly context: ThreadContext;
  coroutine: Coroutine | undefined = undefined;
  state: number = UNBORN;
  /** Virtual time at which its wait ends; Infinity for none. */
  deadline: number = Number.POSITIVE_INFINITY;
  /** Steps so far: switch points passed. */
  steps: number = 0;
  /** Reads since the last write or pause: place, value, site. */
  readonly spinPlace: Int32Array = new Int32Array(SPIN_PLACES);
  readonly spinValue: Int32Array = new Int32Array(SPIN_PLACES);
  readonly spinSite: Int32Array = new Int32Array(SPIN_PLACES);
  spinCount: number = 0;
  spinOverflow: boolean = false;
  /** The same, all of them in order: three words each, the last HISTORY of `reads`. */
  private readonly history: Int32Array = new Int32Array(3 * HISTORY);
  private reads: number = 0;
  /** It has paused since its last read: the next read is the first of another round, and those before say nothing. */
  paused: boolean = false;
  /** world.version when it parked, LOOKS or LAST_LOOK. */
  parkedAt: number = 0;
  /**
   * Sites of reads before the thread's last write. One that is read again after a pause belongs to the loop that
   * pauses, and nobody has watched it: from then on it is not known what the thread waits for.
   */
  private readonly unseen: Int32Array = new Int32Array(2 * SPIN_PLACES);
  private unseenCount: number = 0;
  /** It has paused since its last write. */
  private again: boolean = false;
  blind: boolean = false;

  constructor(index: number, spec: ThreadSpec, mem: ControlledMemory, context: ThreadContext) {
    this.index = index;
    this.spec = spec;
    this.mem = mem;
    this.context = context;
  }

  /** The op it will execute when picked. */
  get pending(): OpKind {
    return this.mem.kind;
  }

  reset(): void {
    this.coroutine = undefined;
    this.state = UNBORN;
    this.deadline = Number.POSITIVE_INFINITY;
    this.steps = 0;
    this.mem.kind = OP_NONE;
    this.mem.p = 0;
    this.mem.site = 0;
    this.mem.block = 0;
    this.mem.restart();
    this.forgetReads();
    this.unseenCount = 0;
    this.again = false;
    this.blind = false;
  }

  /** It pauses. */
  notePause(): void {
    this.paused = true;
    this.again = true;
  }

  /** It writes: what it has read before does not tell of a loop that only waits. */
  noteWrite(): void {
    if (this.again) this.unseenCount = 0;
    this.again = false;
    for (let i = 0; i < this.spinCount; i++) {
      const at = 2 * (this.unseenCount++ % SPIN_PLACES);
      this.unseen[at] = this.spinPlace[i] as number;
      this.unseen[at + 1] = this.spinSite[i] as number;
    }
    this.forgetReads();
  }

  /** It reads more than is remembered: any write may be what it waits for. */
  noteBulk(): void {
    if (this.paused) this.forgetReads();
    this.spinOverflow = true;
  }

  forgetReads(): void {
    this.spinCount = 0;
    this.spinOverflow = false;
    this.reads = 0;
    this.paused = false;
  }

  /** Remembers a read that was executed. */
  noteRead(place: number, value: number, site: number): void {
    if (this.paused) this.forgetReads();
    if (this.again && !this.blind) this.blind = this.isUnseen(place, site);
    for (let i = 0; i < this.spinCount; i++) {
      if (this.spinPlace[i] === place && this.spinSite[i] === site) {
        this.spinValue[i] = value;
        return;
      }
    }
    if (this.spinCount === SPIN_PLACES) this.spinOverflow = true;
    else {
      this.spinPlace[this.spinCount] = place;
      this.spinValue[this.spinCount] = value;
      this.spinSite[this.spinCount++] = site;
    }
  }

  private isUnseen(place: number, site: number): boolean {
    const end = 2 * Math.min(this.unseenCount, SPIN_PLACES);
    for (let i = 0; i < end; i += 2) {
      if (this.unseen[i] === place && this.unseen[i + 1] === site) return true;
    }
    return false;
  }

  /** Remembers it in order, too; `value` stands for all that one op has read. After noteRead. */
  noteStep(place: number, value: number, site: number): void {
    const at = 3 * (this.reads++ & (HISTORY - 1));
    this.history[at] = place;
    this.history[at + 1] = value;
    this.history[at + 2] = site;
  }

  /** Rounds seen so far do not count: what ended its wait may end its loop. */
  forgetRounds(): void {
    this.reads = 0;
  }

  /** Has the thread gone round several times alike, with no write of its own, and is this read one round more? */
  goesRound(place: number, value: number, site: number): boolean {
    if (this.paused || !this.hasRead(place, site)) return false;
    const longest = Math.min(this.reads, HISTORY) / ROUNDS;
    for (let length = 1; length <= longest; length++) {
      const at = 3 * ((this.reads - length) & (HISTORY - 1));
      if (this.history[at] !== place || this.history[at + 2] !== site || this.history[at + 1] !== value)
        continue;
      const rounds = length === 1 ? ROUNDS_OF_ONE : ROUNDS;
      if (this.reads >= rounds * length && this.repeats(length, (rounds - 1) * length)) return true;
    }
    return false;
  }

  /** This site may have read here before, with no write of its own in between. */
  private hasRead(place: number, site: number): boolean {
    for (let i = 0; i < this.spinCount; i++) {
      if (this.spinPlace[i] === place && this.spinSite[i] === site) return true;
    }
    return this.spinOverflow;
  }

  /** Are the last `count` reads those of `length` reads before? */
  private repeats(length: number, count: number): boolean {
    for (let i = this.reads - count; i < this.reads; i++) {
      const at = 3 * (i & (HISTORY - 1));
      const before = 3 * ((i - length) & (HISTORY - 1));
      for (let word = 0; word < 3; word++) {
        if (this.history[at + word] !== this.history[before + word]) return false;
      }
    }
    return true;
  }
}
