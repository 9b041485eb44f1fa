/**
 * SPSC ring: a bounded queue from one producer thread to one consumer thread, of fixed-size records.
 *
 * Invariants: HEAD <= TAIL <= HEAD + capacity, as free-running 32-bit counters. A record is written by the
 * producer alone until TAIL passes it, and read by the consumer alone until HEAD passes it.
 * Each side works on private counters and publishes when told to, so a batch costs one atomic; each side keeps
 * a copy of the other's counter and looks at the real one only when the copy says full or empty. Words written
 * by different threads lie 128 bytes apart; and so do a side's own words from those it publishes, or each commit
 * would have to fetch back the line that the peer has looked at.
 *
 * Interface: spscInit once, before other threads see it. Producer: spscReserve gives the next free record's
 * address; write it; spscCommit; after a batch spscPublish. Do not touch a record after its publish.
 * Consumer: spscFront gives the next record's address; read it; spscAdvance; after a batch spscRelease. Do not
 * touch a record after its release. A side that waits publishes or releases first what it has done.
 * The rings of words in spsc-words.ts wrap this.
 */
import type { Memory } from "./memory.ts";

// Written by spscInit only.
const MASK = 0;
const RECORD_BYTES = 4;
// Published: by the producer, by the consumer.
const TAIL = 128;
const HEAD = 256;
// 1 while that side sleeps or is about to. Read by the peer at each publish, seldom written: a line each.
const PRODUCER_ASLEEP = 384;
const CONSUMER_ASLEEP = 512;
// The producer's own.
const NEXT_TAIL = 640;
const SEEN_HEAD = 644;
// The consumer's own.
const NEXT_HEAD = 768;
const SEEN_TAIL = 772;
const RECORDS = 896;

/** Looks before sleeping, about 5 us: less than the sleep and wake it may save. */
const LOOKS = 8;
/**
 * Pauses before each look, about 0.6 us. A look takes the counter's line from the peer, who has to fetch it back for
 * his next publish: looking all the time makes both sides hand over record by record, a sixth as fast.
 */
const PAUSES = 32;

/** Bytes of a ring of `capacity` records of `recordBytes`. Align it to 128 to keep the lines apart. */
export function spscBytes(capacity: number, recordBytes: number = 4): number {
  return RECORDS + capacity * recordBytes;
}

/**
 * Makes an empty ring at `p`. `capacity` is a power of two, 1 ... 2^30; `recordBytes` a multiple of 4 from 4 on.
 * False, and no ring, if they are not. Only while no thread uses it.
 */
export function spscInit(mem: Memory, p: number, capacity: number, recordBytes: number = 4): boolean {
  if (capacity < 1 || capacity > 0x40000000 || (capacity & (capacity - 1)) !== 0) return false;
  if (recordBytes < 4 || recordBytes % 4 !== 0) return false;
  mem.memset(p, 0, RECORDS);
  mem.write(p + RECORD_BYTES, recordBytes);
  mem.write(p + MASK, capacity - 1);
  return true;
}

/** Producer: the address of the next free record, or 0 if the ring is full. */
export function spscReserve(mem: Memory, p: number): number {
  const tail = mem.read(p + NEXT_TAIL);
  const mask = mem.read(p + MASK);
  if (((tail - mem.read(p + SEEN_HEAD)) | 0) > mask) {
    // Pairs with the exchange in spscRelease: without it this record could be overwritten while the consumer
    // still reads it.
    const head = mem.loadAcquire(p + HEAD);
    mem.write(p + SEEN_HEAD, head);
    if (((tail - head) | 0) > mask) return 0;
  }
  return p + RECORDS + (tail & mask) * mem.read(p + RECORD_BYTES);
}

/** Producer: the reserved record is written. The consumer sees it after the next publish. */
export function spscCommit(mem: Memory, p: number): void {
  mem.write(p + NEXT_TAIL, (mem.read(p + NEXT_TAIL) + 1) | 0);
}

/** Producer: shows all committed records to the consumer and wakes it if it sleeps. */
export function spscPublish(mem: Memory, p: number): void {
  // Full order, for two pairs. With the loadAcquire in spscFront: the consumer must not see the counter before
  // the records. With the exchange in spscAwaitRecord: TAIL changes before the flag is read, see there.
  mem.exchange(p + TAIL, mem.read(p + NEXT_TAIL));
  if (mem.loadAcquire(p + CONSUMER_ASLEEP) !== 0) wakePeer(mem, p + CONSUMER_ASLEEP);
}

/** Consumer: the address of the next record, or 0 if the ring is empty. */
export function spscFront(mem: Memory, p: number): number {
  const head = mem.read(p + NEXT_HEAD);
  if (head === mem.read(p + SEEN_TAIL)) {
    // Pairs with the exchange in spscPublish: without it the record could be read before it is written.
    const tail = mem.loadAcquire(p + TAIL);
    mem.write(p + SEEN_TAIL, tail);
    if (head === tail) return 0;
  }
  return p + RECORDS + (head & mem.read(p + MASK)) * mem.read(p + RECORD_BYTES);
}

/** Consumer: the front record is done with. The producer may have it after the next release. */
export function spscAdvance(mem: Memory, p: number): void {
  mem.write(p + NEXT_HEAD, (mem.read(p + NEXT_HEAD) + 1) | 0);
}

/** Consumer: gives all advanced records back to the producer and wakes it if it sleeps. */
export function spscRelease(mem: Memory, p: number): void {
  // Full order, for two pairs. With the loadAcquire in spscReserve: reads of the records come before. With the
  // exchange in spscAwaitRoom: HEAD changes before the flag is read, see there.
  mem.exchange(p + HEAD, mem.read(p + NEXT_HEAD));
  if (mem.loadAcquire(p + PRODUCER_ASLEEP) !== 0) wakePeer(mem, p + PRODUCER_ASLEEP);
}

/**
 * Producer: waits up to `timeoutMs` (0 ... Infinity) for a free record; its address, or 0 after the time-out.
 * Publishes first: a consumer that waits for the committed records would never make room.
 */
export function spscAwaitRoom(mem: Memory, p: number, timeoutMs: number): number {
  let slot = spscReserve(mem, p);
  if (slot !== 0 || timeoutMs <= 0) return slot;
  if (mem.read(p + NEXT_TAIL) !== mem.readOnce(p + TAIL)) spscPublish(mem, p);
  for (let look = 0; look < LOOKS && slot === 0; look++) {
    for (let i = 0; i < PAUSES; i++) mem.pause();
    slot = spscReserve(mem, p);
  }
  const deadline = slot === 0 ? mem.now() + timeoutMs : 0;
  let left = timeoutMs;
  while (slot === 0 && left > 0) {
    // No wake-up is lost. Flag, then HEAD here; HEAD, then flag in spscRelease; both in full order: either the
    // room is seen here, or the flag is seen there and taken back to 0, which ends or forbids the wait.
    mem.exchange(p + PRODUCER_ASLEEP, 1);
    slot = spscReserve(mem, p);
    if (slot === 0) {
      mem.wait(p + PRODUCER_ASLEEP, 1, left);
      left = deadline - mem.now();
    }
    mem.storeRelease(p + PRODUCER_ASLEEP, 0);
    if (slot === 0) slot = spscReserve(mem, p);
  }
  return slot;
}

/**
 * Consumer: waits up to `timeoutMs` (0 ... Infinity) for a record; its address, or 0 after the time-out.
 * Releases first: a producer that waits for the advanced records would never publish.
 */
export function spscAwaitRecord(mem: Memory, p: number, timeoutMs: number): number {
  let slot = spscFront(mem, p);
  if (slot !== 0 || timeoutMs <= 0) return slot;
  if (mem.read(p + NEXT_HEAD) !== mem.readOnce(p + HEAD)) spscRelease(mem, p);
  for (let look = 0; look < LOOKS && slot === 0; look++) {
    for (let i = 0; i < PAUSES; i++) mem.pause();
    slot = spscFront(mem, p);
  }
  const deadline = slot === 0 ? mem.now() + timeoutMs : 0;
  let left = timeoutMs;
  while (slot === 0 && left > 0) {
    // No wake-up is lost: as in spscAwaitRoom, with TAIL and spscPublish.
    mem.exchange(p + CONSUMER_ASLEEP, 1);
    slot = spscFront(mem, p);
    if (slot === 0) {
      mem.wait(p + CONSUMER_ASLEEP, 1, left);
      left = deadline - mem.now();
    }
    mem.storeRelease(p + CONSUMER_ASLEEP, 0);
    if (slot === 0) slot = spscFront(mem, p);
  }
  return slot;
}

/** Wakes the peer whose flag was seen at `flag`; one notify for each time it goes to sleep. */
function wakePeer(mem: Memory, flag: number): void {
  // The peer sleeps only while its flag is 1. Taking the flag to 0 before the notify covers a peer between
  // flag and wait: it finds 0 and does not sleep. Taking it late, from its next sleep, wakes it once for nothing.
  if (mem.exchange(flag, 0) === 1) mem.notify(flag, 1);
}
