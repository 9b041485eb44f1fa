/**
 * The two ends of our SPSC ring: records of four words, published and released in batches, or each for itself.
 * A module of its own, so that nothing else shapes its code.
 *
 * Each run ends with a record whose first word is STOP; the receiver's figure is the messages a second between
 * the first and the last. It checks that the records come whole and in order.
 */
import {
  type Memory,
  spscAdvance,
  spscAwaitRecord,
  spscAwaitRoom,
  spscCommit,
  spscFront,
  spscPublish,
  spscRelease,
  threadMemory,
  type WasmMemory,
} from "atomics-sync";

export interface RingData {
  readonly wasm: WasmMemory;
  readonly ring: number;
  /** Records a publish and a release; 1 for each for itself. */
  readonly batch: number;
}

const STOP = -1;
/** Messages between two looks at the clock. */
const SLICE = 4096;
/** A peer that does not come by then is dead (ms). */
const PATIENCE_MS = 30_000;

function room(mem: Memory, ring: number): number {
  const slot = spscAwaitRoom(mem, ring, PATIENCE_MS);
  if (slot === 0) throw new Error("nobody receives");
  return slot;
}

function fill(mem: Memory, slot: number, first: number, second: number): void {
  mem.write(slot, first);
  mem.write(slot + 4, second);
  mem.write(slot + 8, second + 1);
  mem.write(slot + 12, second + 2);
}

function sendSlice(mem: Memory, ring: number, batch: number, from: number): void {
  let staged = 0;
  for (let i = 0; i < SLICE; i++) {
    fill(mem, room(mem, ring), 1, (from + i) | 0);
    spscCommit(mem, ring);
    if (++staged === batch) {
      spscPublish(mem, ring);
      staged = 0;
    }
  }
  if (staged > 0) spscPublish(mem, ring);
}

/** How many it sent: what counts is the receiver's figure. */
export function send({ wasm, ring, batch }: RingData, ms: number): number {
  const mem = threadMemory(wasm);
  const deadline = performance.now() + ms;
  let sent = 0;
  do {
    sendSlice(mem, ring, batch, sent);
    sent += SLICE;
  } while (performance.now() < deadline);
  fill(mem, room(mem, ring), STOP, sent | 0);
  spscCommit(mem, ring);
  spscPublish(mem, ring);
  return sent;
}

/** Takes records until STOP: how many, or -1 when one was wrong. */
function receiveAll(mem: Memory, ring: number, batch: number): number {
  let received = 0;
  let wrong = 0;
  for (;;) {
    let slot = spscAwaitRecord(mem, ring, PATIENCE_MS);
    if (slot === 0) throw new Error("nobody sends");
    let taken = 0;
    while (slot !== 0) {
      const id = mem.read(slot + 4);
      if (id !== (received | 0) || mem.read(slot + 8) !== id + 1 || mem.read(slot + 12) !== id + 2) wrong++;
      const last = mem.read(slot) === STOP;
      spscAdvance(mem, ring);
      if (last) {
        spscRelease(mem, ring);
        return wrong === 0 ? received : -1;
      }
      received++;
      slot = ++taken < batch ? spscFront(mem, ring) : 0;
    }
    spscRelease(mem, ring);
  }
}

/** Messages a second. */
export function receive({ wasm, ring, batch }: RingData, _ms: number): number {
  const mem = threadMemory(wasm);
  if (spscAwaitRecord(mem, ring, PATIENCE_MS) === 0) throw new Error("nobody sends");
  const start = performance.now();
  const received = receiveAll(mem, ring, batch);
  if (received < 0) throw new Error("a record came torn or out of order");
  return received / ((performance.now() - start) / 1000);
}
