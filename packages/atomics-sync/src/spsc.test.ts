import { expect, test } from "vitest";
import { createSharedMemory, Memory } from "./memory.ts";
import { spscAwaitRecord, spscAwaitRoom, spscBytes, spscFront, spscInit, spscReserve } from "./spsc.ts";
import { SpscRing } from "./spsc-words.ts";
import { PRIMITIVE } from "./testing/layout.ts";
import { RECORD_WORDS } from "./testing/spsc-roles.ts";
import { runThreads } from "./testing/threads.ts";

function makeMemory(): Memory {
  return new Memory(createSharedMemory(65536));
}

for (const capacity of [1, 2, 4]) {
  test(`a ring of ${capacity} delivers every word once, in order`, async () => {
    const mem = makeMemory();
    spscInit(mem, PRIMITIVE, capacity);
    const rounds = capacity === 1 ? 50_000 : 200_000;
    const found = await runThreads(mem.wasm, [
      { role: "spscProducer", threads: 2, rounds },
      { role: "spscConsumer", threads: 2, rounds },
    ]);
    expect(found).toEqual([0, 0]);
  });
}

test("the same when either side sleeps now and then", async () => {
  const mem = makeMemory();
  spscInit(mem, PRIMITIVE, 16);
  const found = await runThreads(mem.wasm, [
    { role: "spscProducer", threads: 2, rounds: 100_000, sleepInside: true },
    { role: "spscConsumer", threads: 2, rounds: 100_000, sleepInside: true },
  ]);
  expect(found).toEqual([0, 0]);
});

test("records of several words arrive whole", async () => {
  const mem = makeMemory();
  spscInit(mem, PRIMITIVE, 8, RECORD_WORDS * 4);
  const found = await runThreads(mem.wasm, [
    { role: "recordSender", threads: 2, rounds: 50_000 },
    { role: "recordReceiver", threads: 2, rounds: 50_000 },
  ]);
  expect(found).toEqual([0, 0]);
});

test("negative control: a consumer that releases before it reads gets overwritten words", async () => {
  const mem = makeMemory();
  spscInit(mem, PRIMITIVE, 2);
  const [, wrong] = await runThreads(mem.wasm, [
    { role: "spscProducer", threads: 2, rounds: 500 },
    { role: "spscEarlyReleaser", threads: 2, rounds: 500 },
  ]);
  expect(wrong).toBeGreaterThan(0);
});

test("a ring holds exactly its capacity, and staged words are unseen until published", () => {
  const ring = new SpscRing(makeMemory(), PRIMITIVE);
  expect(ring.init(4)).toBe(true);
  for (let i = 0; i < 4; i++) expect(ring.stage(i - 2)).toBe(true);
  expect(ring.stage(9)).toBe(false);
  expect(ring.take()).toBe(undefined);
  ring.publish();
  expect([ring.take(), ring.take()]).toEqual([-2, -1]);
  // Taken, not given back: still full for the producer.
  expect(ring.tryEnqueue(9)).toBe(false);
  ring.release();
  expect(ring.tryEnqueue(9)).toBe(true);
  expect([ring.tryDequeue(), ring.dequeue(), ring.tryDequeue(), ring.tryDequeue()]).toEqual([
    0,
    1,
    9,
    undefined,
  ]);
});

test("a side that waits first shows the other what it has done", () => {
  const mem = makeMemory();
  const ring = new SpscRing(mem, PRIMITIVE);
  ring.init(2);
  ring.stage(1);
  ring.stage(2);
  expect(spscAwaitRoom(mem, PRIMITIVE, 1)).toBe(0);
  expect([ring.take(), ring.take()]).toEqual([1, 2]);
  expect(spscAwaitRecord(mem, PRIMITIVE, 1)).toBe(0);
  expect(ring.stage(3)).toBe(true);
});

test("the counters wrap around", () => {
  const mem = makeMemory();
  const ring = new SpscRing(mem, PRIMITIVE);
  ring.init(2);
  // All six counters just below the signed limit, as after 2^31 - 2 words.
  for (const offset of [128, 256, 640, 644, 768, 772]) mem.write(PRIMITIVE + offset, 0x7ffffffe);
  for (let i = 0; i < 10; i++) {
    expect(ring.tryEnqueue(i)).toBe(true);
    expect(ring.tryEnqueue(-i)).toBe(true);
    expect(ring.tryEnqueue(77)).toBe(false);
    expect([ring.tryDequeue(), ring.tryDequeue(), ring.tryDequeue()]).toEqual([i, -i || 0, undefined]);
  }
});

test("waiting for room or for a word times out, and no sooner", () => {
  const mem = makeMemory();
  const ring = new SpscRing(mem, PRIMITIVE);
  ring.init(1);
  let start = mem.now();
  expect(ring.dequeue(20)).toBe(undefined);
  expect(mem.now() - start).toBeGreaterThanOrEqual(19);
  ring.enqueue(5);
  start = mem.now();
  expect(ring.enqueue(6, 20)).toBe(false);
  expect(mem.now() - start).toBeGreaterThanOrEqual(19);
  expect(ring.dequeue(0)).toBe(5);
});

test("capacity must be a power of two and a record a number of words", () => {
  const mem = makeMemory();
  for (const capacity of [0, -1, 3, 6, 2 ** 31]) expect(spscInit(mem, PRIMITIVE, capacity)).toBe(false);
  for (const recordBytes of [0, 2, 5, -4]) expect(spscInit(mem, PRIMITIVE, 4, recordBytes)).toBe(false);
});

test("a ring stays within spscBytes", () => {
  const mem = makeMemory();
  spscInit(mem, PRIMITIVE, 4, 8);
  let last = 0;
  for (let i = 0; i < 4; i++) {
    last = Math.max(last, spscReserve(mem, PRIMITIVE));
    mem.write(PRIMITIVE + 640, i + 1);
  }
  expect(last + 8).toBe(PRIMITIVE + spscBytes(4, 8));
  expect(spscReserve(mem, PRIMITIVE)).toBe(0);
  expect(spscFront(mem, PRIMITIVE)).toBe(0);
});
