/**
 * The two ends of ringbuf.js, a published SPSC ring of typed-array elements: the same records of four words,
 * pushed one at a time or as one array of several. It has no way to wait, so both sides spin.
 */
import { RingBuffer } from "ringbuf.js";

export interface RingbufData {
  readonly buffer: SharedArrayBuffer;
  /** Records a push and a pop. */
  readonly batch: number;
}

const RECORD = 4;
const CAPACITY = 4096;
const STOP = -1;
const SLICE = 4096;

/** Of both ends. */
export function ringbufStorage(): SharedArrayBuffer {
  return RingBuffer.getStorageForCapacity(CAPACITY * RECORD, Int32Array);
}

function push(ring: RingBuffer, elements: Int32Array): void {
  // It would push a part of a record.
  while (ring.availableWrite() < elements.length) Atomics.pause();
  ring.push(elements);
}

function sendSlice(ring: RingBuffer, elements: Int32Array, batch: number, from: number): void {
  for (let i = 0; i < SLICE; i += batch) {
    for (let j = 0; j < batch; j++) {
      const p = j * RECORD;
      elements[p] = 1;
      elements[p + 1] = (from + i + j) | 0;
      elements[p + 2] = (from + i + j + 1) | 0;
      elements[p + 3] = (from + i + j + 2) | 0;
    }
    push(ring, elements);
  }
}

/** How many it sent. `batch` divides SLICE. */
export function send({ buffer, batch }: RingbufData, ms: number): number {
  const ring = new RingBuffer(buffer, Int32Array);
  const elements = new Int32Array(RECORD * batch);
  const deadline = performance.now() + ms;
  let sent = 0;
  do {
    sendSlice(ring, elements, batch, sent);
    sent += SLICE;
  } while (performance.now() < deadline);
  // A whole batch, as the receiver takes whole ones.
  elements.fill(STOP);
  push(ring, elements);
  return sent;
}

function receiveAll(ring: RingBuffer, elements: Int32Array, batch: number): number {
  let received = 0;
  let wrong = 0;
  for (;;) {
    while (ring.availableRead() < elements.length) Atomics.pause();
    ring.pop(elements);
    if (elements[0] === STOP) return wrong === 0 ? received : -1;
    for (let j = 0; j < batch; j++) {
      const id = elements[j * RECORD + 1] as number;
      if (id !== (received | 0) || elements[j * RECORD + 3] !== ((id + 2) | 0)) wrong++;
      received++;
    }
  }
}

/** Messages a second. */
export function receive({ buffer, batch }: RingbufData, _ms: number): number {
  const ring = new RingBuffer(buffer, Int32Array);
  const elements = new Int32Array(RECORD * batch);
  while (ring.availableRead() < elements.length) Atomics.pause();
  const start = performance.now();
  const received = receiveAll(ring, elements, batch);
  if (received < 0) throw new Error("a record came torn or out of order");
  return received / ((performance.now() - start) / 1000);
}
