import { expect, test } from "vitest";
import { ATOMIC_BYTES } from "./atomic-bytes.ts";
import { instantiateAtomic } from "./atomic.ts";
import { createSharedMemory, Memory } from "./memory.ts";
import { assemble } from "./testing/assemble.ts";
import { makeRandom } from "./testing/random.ts";

const SIZE = 65536;
const WORD = 128;

test("the embedded bytes are what atomic.wat assembles to", async () => {
  expect(Buffer.from(await assemble("atomic")).toString("base64")).toBe(ATOMIC_BYTES);
});

test("each read-modify-write returns and leaves what JavaScript's Atomics would", () => {
  const mem = new Memory(createSharedMemory(SIZE));
  const reference = new Int32Array(new SharedArrayBuffer(4));
  const random = makeRandom(7);
  const verbs = [
    [(v: number) => mem.fetchAdd(WORD, v), (v: number) => Atomics.add(reference, 0, v)],
    [(v: number) => mem.fetchSub(WORD, v), (v: number) => Atomics.sub(reference, 0, v)],
    [(v: number) => mem.fetchAnd(WORD, v), (v: number) => Atomics.and(reference, 0, v)],
    [(v: number) => mem.fetchOr(WORD, v), (v: number) => Atomics.or(reference, 0, v)],
    [(v: number) => mem.exchange(WORD, v), (v: number) => Atomics.exchange(reference, 0, v)],
  ] as const;
  for (let i = 0; i < 500; i++) {
    const value = random() | 0;
    const [ours, theirs] = verbs[random() % verbs.length] as (typeof verbs)[number];
    expect(ours(value)).toBe(theirs(value));
    const expected = i % 2 === 0 ? Atomics.load(reference, 0) : value;
    const next = random() | 0;
    const was = Atomics.compareExchange(reference, 0, expected, next);
    expect(mem.compareExchange(WORD, expected, next)).toBe(was);
    expect(mem.loadAcquire(WORD)).toBe(Atomics.load(reference, 0));
  }
  mem.storeRelease(WORD, 2 ** 31);
  expect(mem.read(WORD)).toBe(-(2 ** 31));
  expect([mem.read(WORD - 4), mem.read(WORD + 4)]).toEqual([0, 0]);
});

test("an address that is no multiple of 4, or outside, throws and changes nothing", () => {
  const mem = new Memory(createSharedMemory(SIZE));
  expect(() => mem.fetchAdd(WORD + 2, 1)).toThrow(/unaligned/);
  expect(() => mem.storeRelease(SIZE, 1)).toThrow(/out of bounds/);
  expect(() => mem.loadAcquire(-4)).toThrow(/out of bounds/);
  expect(new Uint8Array(mem.wasm.buffer).every((byte) => byte === 0)).toBe(true);
});

test("one memory has one instance per thread", () => {
  const wasm = createSharedMemory(SIZE);
  expect(instantiateAtomic(wasm)).toBe(instantiateAtomic(wasm));
  expect(instantiateAtomic(wasm)).not.toBe(instantiateAtomic(createSharedMemory(SIZE)));
});
