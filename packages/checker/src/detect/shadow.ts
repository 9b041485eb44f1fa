/**
 * Shadow: for each 4-byte cell of memory, the accesses that a later one can be in a race with. As in FastTrack the last
 * access of each class is one epoch, and a set with one epoch a thread only where several are unordered.
 *
 * Four classes, since marked accesses race with plain ones only: plain write, marked write, plain read, marked read.
 * A cell that was once accessed by the byte is four cells from then on. Nothing is cleared between executions: a slot
 * with an old stamp is empty.
 *
 * Interface: `access` for each access of `thread` (after the clocks have learned what the op acquires); `conflict` is
 * told of each earlier access that is unordered and of a conflicting class.
 */
import type { World } from "../world.ts";
import { MUTED } from "./access-info.ts";
import type { Clocks } from "./clock.ts";

/** Classes of access; also the order of the pairs (epoch, info) in a slot. */
export const PLAIN_WRITE = 0;
export const MARKED_WRITE = 1;
export const PLAIN_READ = 2;
export const MARKED_READ = 3;

/** Slots: ints from the start of one. Pairs at 2 * class. */
const STAMP = 8;
const LAST_EPOCH = 9;
const LAST_INFO = 10;
const BEFORE = 11;
const VALUE = 12;
const PLACE = 13;
/** 1: the clock of the location says something. */
const LIVE = 14;
/** Where the slot's clock and sets are in `more`; given once. */
const MORE = 15;
const SLOT = 16;

/** In place of an epoch: there are several. */
const SEVERAL = -1;

export interface ConflictSink {
  /** The access at hand and an earlier one (epoch, info) of class `cls`, which nothing orders before it. */
  conflict(place: number, slot: number, cls: number, epoch: number, info: number): void;
}

export class Shadow {
  /** The access at hand. */
  thread: number = 0;
  info: number = 0;
  /** Clocks and sets of slots that need them. */
  more: Int32Array = new Int32Array(1024);
  private readonly clocks: Clocks;
  private readonly sink: ConflictSink;
  private world: World | undefined = undefined;
  private words: Int32Array = new Int32Array(0);
  private moreUsed: number = 1;
  /** By cell: its slot; negative: minus the first of its four slots; 0: none. */
  private index: Int32Array = new Int32Array(0);
  private slots: Int32Array = new Int32Array(256 * SLOT);
  private slotsUsed: number = SLOT;
  private stamp: number = 0;
  private threads: number = 0;

  constructor(clocks: Clocks, sink: ConflictSink) {
    this.clocks = clocks;
    this.sink = sink;
  }

  /** A new execution. */
  begin(threads: number): void {
    this.stamp = (this.stamp + 1) | 0;
    if (threads !== this.threads) this.forget(threads);
  }

  /** The memory the accesses are of. */
  attach(world: World): void {
    this.world = world;
    this.words = new Int32Array(world.wasm.buffer);
    this.forget(this.threads);
    this.index = new Int32Array(this.words.length);
  }

  private forget(threads: number): void {
    this.threads = threads;
    this.index.fill(0);
    this.slotsUsed = SLOT;
    this.moreUsed = 1;
    this.slots.fill(0);
  }

  /** An access of `bytes` bytes at `p`. */
  access(cls: number, p: number, bytes: number): void {
    const cell = p >>> 2;
    if (bytes === 4 && (p & 3) === 0) {
      const slot = this.index[cell] as number;
      if (slot > 0) this.touch(cls, slot, cell);
      else this.word(cls, cell);
    } else this.range(cls, p, bytes);
  }

  /** A marked access of the word whose slot is known, and fresh. */
  accessAt(cls: number, slot: number, p: number): void {
    if ((this.index[p >>> 2] as number) > 0) this.touch(cls, slot, p >>> 2);
    else this.word(cls, p >>> 2);
  }

  /** The slot of the word at `p`, where its clock is kept. */
  freshSlot(p: number): number {
    const slot = this.slotOf(p);
    if (this.slots[slot + STAMP] !== this.stamp) this.refresh(slot, p >>> 2);
    return slot;
  }

  private range(cls: number, p: number, bytes: number): void {
    const end = p + bytes;
    for (let at = p; at < end; ) {
      const whole = (at & 3) === 0 && end - at >= 4;
      if (whole) {
        this.word(cls, at >>> 2);
        at += 4;
      } else this.touch(cls, this.byteSlot(at), at++ >>> 2);
    }
  }

  private word(cls: number, cell: number): void {
    const slot = this.slotOf(cell << 2);
    if ((this.index[cell] as number) > 0) this.touch(cls, slot, cell);
    else for (let i = 0; i < 4; i++) this.touch(cls, slot + i * SLOT, cell);
  }

  /** The slot of the cell of `p`, or the first of its four. */
  private slotOf(p: number): number {
    const known = this.index[p >>> 2] as number;
    if (known !== 0) return Math.abs(known);
    const slot = this.newSlots(1);
    this.slots[slot + PLACE] = p & ~3;
    this.index[p >>> 2] = slot;
    return slot;
  }

  private byteSlot(p: number): number {
    const known = this.index[p >>> 2] as number;
    return (known < 0 ? -known : this.split(p)) + (p & 3) * SLOT;
  }

  /** Makes four slots of the cell's one, with all it knows. */
  private split(p: number): number {
    const old = this.slotOf(p);
    const first = this.newSlots(4);
    const { slots } = this;
    const more = slots[old + MORE] as number;
    for (let i = 0; i < 4; i++) {
      const slot = first + i * SLOT;
      slots.copyWithin(slot, old, old + SLOT);
      slots[slot + PLACE] = (p & ~3) + i;
      if (more === 0 || i === 0) continue;
      slots[slot + MORE] = 0;
      const copy = this.moreOf(slot);
      this.more.copyWithin(copy, more, more + 7 * this.threads);
    }
    this.index[p >>> 2] = -first;
    return first;
  }

  private newSlots(count: number): number {
    const first = this.slotsUsed;
    this.slotsUsed += count * SLOT;
    if (this.slotsUsed > this.slots.length) this.slots = grown(this.slots, this.slotsUsed);
    return first;
  }

  /** The clock of the slot's location: `threads` ints of `more`; after them three sets. */
  moreOf(slot: number): number {
    const known = this.slots[slot + MORE] as number;
    if (known !== 0) return known;
    const at = this.moreUsed;
    this.moreUsed += 7 * this.threads;
    if (this.moreUsed > this.more.length) this.more = grown(this.more, this.moreUsed);
    this.slots[slot + MORE] = at;
    return at;
  }

  /** One byte of a cell that is accessed by the byte. */
  isByte(slot: number): boolean {
    return (this.index[(this.slots[slot + PLACE] as number) >>> 2] as number) < 0;
  }
  hasClock(slot: number): boolean {
    return this.slots[slot + LIVE] === 1;
  }
  setClock(slot: number, live: boolean): void {
    this.slots[slot + LIVE] = live ? 1 : 0;
  }
  /** The last marked write; epoch 0: none. */
  lastEpoch(slot: number): number {
    return this.slots[slot + LAST_EPOCH] as number;
  }
  lastInfo(slot: number): number {
    return this.slots[slot + LAST_INFO] as number;
  }
  /** The word of the cell before and after the last write to it. */
  before(slot: number): number {
    return this.slots[slot + BEFORE] as number;
  }
  value(slot: number): number {
    return this.slots[slot + VALUE] as number;
  }

  /** Makes the slot one of this execution. */
  private refresh(slot: number, cell: number): void {
    const { slots } = this;
    for (let i = 0; i < STAMP; i++) slots[slot + i] = 0;
    slots[slot + STAMP] = this.stamp;
    slots[slot + LIVE] = 0;
    slots[slot + LAST_EPOCH] = 0;
    const start = (this.world as World).startWord(cell << 2);
    slots[slot + BEFORE] = start;
    slots[slot + VALUE] = start;
  }

  private touch(cls: number, slot: number, cell: number): void {
    const { slots } = this;
    if (slots[slot + STAMP] !== this.stamp) this.refresh(slot, cell);
    const epoch = this.clocks.epochs[this.thread] as number;
    switch (cls) {
      case PLAIN_READ:
        if (slots[slot + 4] === epoch && ((slots[slot + 5] as number) & MUTED) === 0) return;
        this.check(slot, PLAIN_WRITE);
        this.check(slot, MARKED_WRITE);
        this.put(slot, PLAIN_READ, epoch);
        return;
      case MARKED_READ:
        this.check(slot, PLAIN_WRITE);
        if (slots[slot + 6] !== epoch) this.put(slot, MARKED_READ, epoch);
        return;
      case MARKED_WRITE:
        this.written(slot, cell);
        this.check(slot, PLAIN_WRITE);
        this.check(slot, PLAIN_READ);
        this.put(slot, MARKED_WRITE, epoch);
        slots[slot + LAST_EPOCH] = epoch;
        slots[slot + LAST_INFO] = this.info;
        return;
      default:
        this.plainWrite(slot, cell, epoch);
    }
  }

  /** Whoever races with an access before this write races with this write: only it needs to be kept. */
  private plainWrite(slot: number, cell: number, epoch: number): void {
    const { slots } = this;
    this.written(slot, cell);
    if (slots[slot] === epoch && slots[slot + 2] === 0 && slots[slot + 4] === 0 && slots[slot + 6] === 0) {
      slots[slot + 1] = this.info;
      return;
    }
    for (let cls = PLAIN_WRITE; cls <= MARKED_READ; cls++) {
      this.check(slot, cls);
      slots[slot + 2 * cls] = 0;
    }
    slots[slot] = epoch;
    slots[slot + 1] = this.info;
    slots[slot + LIVE] = 0;
    slots[slot + LAST_EPOCH] = 0;
  }

  private written(slot: number, cell: number): void {
    this.slots[slot + BEFORE] = this.slots[slot + VALUE] as number;
    this.slots[slot + VALUE] = this.words[cell] as number;
  }

  /** Tells of the accesses of class `cls` that are not ordered before this one. */
  private check(slot: number, cls: number): void {
    const epoch = this.slots[slot + 2 * cls] as number;
    if (epoch === 0) return;
    if (epoch !== SEVERAL) this.compare(slot, cls, epoch, this.slots[slot + 2 * cls + 1] as number);
    else {
      const set = this.setOf(slot, cls);
      for (let i = 0; i < 2 * this.threads; i += 2) {
        const one = this.more[set + i] as number;
        if (one !== 0) this.compare(slot, cls, one, this.more[set + i + 1] as number);
      }
    }
  }

  private compare(slot: number, cls: number, epoch: number, info: number): void {
    if (this.clocks.isOrdered(epoch, this.thread)) return;
    this.sink.conflict(this.slots[slot + PLACE] as number, slot, cls, epoch, info);
  }

  private setOf(slot: number, cls: number): number {
    return (this.slots[slot + MORE] as number) + this.threads * (2 * cls - 1);
  }

  /** Enters the access into its class: in place of one it follows, beside those it does not. */
  private put(slot: number, cls: number, epoch: number): void {
    const at = slot + 2 * cls;
    const old = this.slots[at] as number;
    if (old === SEVERAL) this.putInSet(this.setOf(slot, cls), epoch, this.info);
    else if (old === 0 || this.clocks.isOrdered(old, this.thread)) {
      this.slots[at] = epoch;
      this.slots[at + 1] = this.info;
    } else {
      this.moreOf(slot);
      const set = this.setOf(slot, cls);
      this.more.fill(0, set, set + 2 * this.threads);
      this.putInSet(set, old, this.slots[at + 1] as number);
      this.putInSet(set, epoch, this.info);
      this.slots[at] = SEVERAL;
    }
  }

  private putInSet(set: number, epoch: number, info: number): void {
    const at = set + 2 * (epoch >>> 24);
    this.more[at] = epoch;
    this.more[at + 1] = info;
  }

  /** New memory: what happened here before is forgotten but for the allocation, which counts as a write. */
  renew(p: number, bytes: number): void {
    const epoch = this.clocks.epochs[this.thread] as number;
    for (let cell = p >>> 2; cell << 2 < p + bytes; cell++) {
      const first = this.slotOf(cell << 2);
      const parts = (this.index[cell] as number) < 0 ? 4 : 1;
      for (let slot = first; slot < first + parts * SLOT; slot += SLOT) {
        if (this.slots[slot + STAMP] !== this.stamp) this.refresh(slot, cell);
        for (let i = 0; i < STAMP; i++) this.slots[slot + i] = 0;
        this.slots[slot] = epoch;
        this.slots[slot + 1] = this.info;
        this.slots[slot + LIVE] = 0;
        this.slots[slot + LAST_EPOCH] = 0;
      }
    }
  }

  /** A free: a write to all cells that were accessed in this execution; the others nobody can race on. */
  retire(p: number, bytes: number): void {
    for (let cell = p >>> 2; cell << 2 < p + bytes; cell++) {
      const known = this.index[cell] as number;
      if (known === 0) continue;
      const first = Math.abs(known);
      const parts = known < 0 ? 4 : 1;
      for (let slot = first; slot < first + parts * SLOT; slot += SLOT) {
        if (this.slots[slot + STAMP] === this.stamp) this.touch(PLAIN_WRITE, slot, cell);
      }
    }
  }
}

function grown(array: Int32Array, atLeast: number): Int32Array {
  const larger = new Int32Array(Math.max(2 * array.length, 2 * atLeast));
  larger.set(array);
  return larger;
}
