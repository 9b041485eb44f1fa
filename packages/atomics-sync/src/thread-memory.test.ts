import { expect, test } from "vitest";
import { createSharedMemory, Memory } from "./memory.ts";
import { fillRandom, makeRandom } from "./testing/random.ts";
import { type Verb, VERBS } from "./testing/verbs.ts";
import { threadMemory } from "./thread-memory.ts";

const SIZE = 65536;

/** Besides VERBS: what touches memory in a way of its own. */
const MORE: readonly Verb[] = [
  ["compareExchange that succeeds", 4, true, (mem, p) => mem.compareExchange(p, mem.read(p), 12)],
  ["memset of a zeroed line", 64, true, (mem, p) => mem.memset(p, 0, 64)],
  ["memset of a line across words", 64, true, (mem, p) => mem.memset(p + 1, 0, 64)],
  ["fence", 0, false, (mem) => mem.fence()],
  ["notify", 0, false, (mem, p) => mem.notify(p, 1)],
];

test.for([...VERBS, ...MORE])("%s: does and returns what Memory's does", async ([, , , verb]) => {
  const [ours, theirs] = [threadMemory(createSharedMemory(SIZE)), new Memory(createSharedMemory(SIZE))];
  const bytes = [ours, theirs].map((mem) => new Uint8Array(mem.wasm.buffer)) as [Uint8Array, Uint8Array];
  for (const each of bytes) fillRandom(each, makeRandom(11));
  for (const p of [0, 4096, SIZE - 128]) {
    expect(await verb(ours, p)).toEqual(await verb(theirs, p));
    expect(Buffer.compare(...bytes)).toBe(0);
  }
});

test("past the end a read is undefined, an atomic or bulk verb throws, and memset of a line does not wrap", () => {
  const mem = threadMemory(createSharedMemory(SIZE));
  expect(mem.read(SIZE)).toBe(undefined);
  expect(() => mem.loadAcquire(SIZE)).toThrow(/out of bounds/);
  expect(() => mem.memset(SIZE - 32, 0, 64)).toThrow(/out of bounds/);
});

test("every verb of Memory is overridden, but for those that are slow anyway", () => {
  const inherited = new Set(["wait", "waitAsync", "notify", "pause", "now", "fence", "memset", "crc32c"]);
  const own = Object.getPrototypeOf(threadMemory(createSharedMemory(SIZE))) as object;
  for (const name of Object.getOwnPropertyNames(Memory.prototype)) {
    expect(Object.hasOwn(own, name), name).toBe(!inherited.has(name));
  }
});

test("one memory has one on a thread, so that the code that uses it meets one class", () => {
  const wasm = createSharedMemory(SIZE);
  expect(threadMemory(wasm)).toBe(threadMemory(wasm));
});

test("two of one thread keep to their own buffers", () => {
  const [one, other] = [threadMemory(createSharedMemory(SIZE)), threadMemory(createSharedMemory(SIZE))];
  one.write(64, 1);
  other.fetchAdd(64, 2);
  expect([one.read(64), other.read(64)]).toEqual([1, 2]);
});
