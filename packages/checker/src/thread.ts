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
  spinRounds: number = 0;
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
    this.spinRounds = 0;
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

  /** This site has read this value here before, with no write of its own in between. */
  hasRead(place: number, value: number, site: number): boolean {
    if (this.paused) return false;
    for (let i = 0; i < this.spinCount; i++) {
      if (this.spinPlace[i] === place && this.spinSite[i] === site) return this.spinValue[i] === value;
    }
    return false;
  }
}
