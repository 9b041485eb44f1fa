/**
 * Rings of 32-bit words: the SPSC ring of spsc.ts with records of one word.
 *
 * Interface, producer: spscTryEnqueue or spscEnqueue publish each word; spscStage does not: end a batch with
 * spscPublish. Interface, consumer: spscTryDequeue or spscDequeue give each slot back at once; spscTake does
 * not: end a batch with spscRelease.
 */
import type { Memory } from "./memory.ts";
import {
  spscAdvance,
  spscAwaitRecord,
  spscAwaitRoom,
  spscCommit,
  spscFront,
  spscInit,
  spscPublish,
  spscRelease,
  spscReserve,
} from "./spsc.ts";

/** Producer: adds `value` without publishing it; false if the ring is full. */
export function spscStage(mem: Memory, p: number, value: number): boolean {
  const slot = spscReserve(mem, p);
  if (slot === 0) return false;
  mem.write(slot, value);
  spscCommit(mem, p);
  return true;
}

/** Producer: adds and publishes `value`; false if the ring is full. Never sleeps. */
export function spscTryEnqueue(mem: Memory, p: number, value: number): boolean {
  if (!spscStage(mem, p, value)) return false;
  spscPublish(mem, p);
  return true;
}

/** Producer: adds and publishes `value`, waiting up to `timeoutMs` for room; false after the time-out. */
export function spscEnqueue(mem: Memory, p: number, value: number, timeoutMs: number = Infinity): boolean {
  const slot = spscAwaitRoom(mem, p, timeoutMs);
  if (slot === 0) return false;
  mem.write(slot, value);
  spscCommit(mem, p);
  spscPublish(mem, p);
  return true;
}

/** Consumer: the next word (signed), its slot not yet given back; undefined if the ring is empty. */
export function spscTake(mem: Memory, p: number): number | undefined {
  const slot = spscFront(mem, p);
  if (slot === 0) return undefined;
  const value = mem.read(slot);
  spscAdvance(mem, p);
  return value;
}

/** Consumer: the next word (signed), or undefined if the ring is empty. Never sleeps. */
export function spscTryDequeue(mem: Memory, p: number): number | undefined {
  const value = spscTake(mem, p);
  if (value !== undefined) spscRelease(mem, p);
  return value;
}

/** Consumer: the next word (signed), waiting up to `timeoutMs` for it; undefined after the time-out. */
export function spscDequeue(mem: Memory, p: number, timeoutMs: number = Infinity): number | undefined {
  const slot = spscAwaitRecord(mem, p, timeoutMs);
  if (slot === 0) return undefined;
  const value = mem.read(slot);
  spscAdvance(mem, p);
  spscRelease(mem, p);
  return value;
}

/** A ring of words at a fixed address. The producer thread and the consumer thread each own one. */
export class SpscRing {
  readonly mem: Memory;
  /** Address of spscBytes(capacity) bytes, 128-aligned, made by spscInit. */
  readonly p: number;

  constructor(mem: Memory, p: number) {
    this.mem = mem;
    this.p = p;
  }

  /** Makes an empty ring of `capacity` words (a power of two); false if it is not. */
  init(capacity: number): boolean {
    return spscInit(this.mem, this.p, capacity);
  }
  /** Producer: adds `value` without publishing it; false if full. */
  stage(value: number): boolean {
    return spscStage(this.mem, this.p, value);
  }
  /** Producer: shows staged words to the consumer. */
  publish(): void {
    spscPublish(this.mem, this.p);
  }
  /** Producer: adds and publishes; false if full. */
  tryEnqueue(value: number): boolean {
    return spscTryEnqueue(this.mem, this.p, value);
  }
  /** Producer: adds and publishes, waiting up to `timeoutMs` for room; false after the time-out. */
  enqueue(value: number, timeoutMs: number = Infinity): boolean {
    return spscEnqueue(this.mem, this.p, value, timeoutMs);
  }
  /** Consumer: the next word, its slot not yet given back; undefined if empty. */
  take(): number | undefined {
    return spscTake(this.mem, this.p);
  }
  /** Consumer: gives back the slots of taken words. */
  release(): void {
    spscRelease(this.mem, this.p);
  }
  /** Consumer: the next word; undefined if empty. */
  tryDequeue(): number | undefined {
    return spscTryDequeue(this.mem, this.p);
  }
  /** Consumer: the next word, waiting up to `timeoutMs` for it; undefined after the time-out. */
  dequeue(timeoutMs: number = Infinity): number | undefined {
    return spscDequeue(this.mem, this.p, timeoutMs);
  }
}
