/** Loops of what people write without per-CPU counts: one counter, changed by Atomics from every thread. */
import { nsPerTurn } from "./clock.ts";

const TURNS = 10_000;
/** Words: the counter on a line of its own, the pointer that readers follow, and what it points to. */
const COUNTER = 32;
const POINTER = 64;
const OBJECT = 96;
const PAYLOAD = 7;

/** Memory for both loops. */
export function sharedCount(): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(1024);
  const words = new Int32Array(buffer);
  words[POINTER] = OBJECT;
  words[OBJECT] = PAYLOAD;
  return buffer;
}

/** One reference taken and dropped: ns. */
export function getAndPut(buffer: SharedArrayBuffer, ms: number): number {
  const words = new Int32Array(buffer);
  return nsPerTurn(ms, TURNS, () => getAndPutSlice(words));
}

function getAndPutSlice(words: Int32Array): void {
  for (let i = 0; i < TURNS; i++) {
    Atomics.add(words, COUNTER, 1);
    Atomics.sub(words, COUNTER, 1);
  }
}

/** One read section of a reader-writer lock that counts its readers, with nobody writing: ns. */
export function readSection(buffer: SharedArrayBuffer, ms: number): number {
  const words = new Int32Array(buffer);
  return nsPerTurn(ms, TURNS, () => {
    if (readSlice(words) !== TURNS * PAYLOAD) throw new Error("a reader read something else");
  });
}

function readSlice(words: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < TURNS; i++) {
    Atomics.add(words, COUNTER, 1);
    sum = (sum + (words[Atomics.load(words, POINTER)] as number)) | 0;
    Atomics.sub(words, COUNTER, 1);
  }
  return sum;
}
