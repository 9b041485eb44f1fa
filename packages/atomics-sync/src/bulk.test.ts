import { expect, test } from "vitest";
import { BULK_BYTES } from "./bulk-bytes.ts";
import { instantiateBulk } from "./bulk.ts";
import { createSharedMemory, Memory } from "./memory.ts";
import { assemble } from "./testing/assemble.ts";
import { fillRandom, makeRandom } from "./testing/random.ts";
import { Wasm } from "./wasm.ts";

const SIZE = 65536;

/** CRC-32C one bit at a time, straight from the definition. */
function crc32cReference(bytes: Uint8Array, seed: number): number {
  let crc = ~seed;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

function makeMemory(): { mem: Memory; u8: Uint8Array } {
  const mem = new Memory(createSharedMemory(SIZE));
  return { mem, u8: new Uint8Array(mem.wasm.buffer) };
}

test("the embedded bytes are what bulk.wat assembles to", async () => {
  expect(Buffer.from(await assemble("bulk")).toString("base64")).toBe(BULK_BYTES);
});

test("crc32c gives the published check value", () => {
  const { mem, u8 } = makeMemory();
  u8.set(new TextEncoder().encode("123456789"), 3);
  expect(mem.crc32c(3, 9)).toBe(0xe3069283);
  // RFC 3720, B.4: 32 zero bytes and 32 bytes of ones.
  mem.memset(64, 0, 32);
  expect(mem.crc32c(64, 32)).toBe(0x8a9136aa);
  mem.memset(64, 0xff, 32);
  expect(mem.crc32c(64, 32)).toBe(0x62a8ab43);
  expect(mem.crc32c(64, 0)).toBe(0);
});

test("crc32c equals a bitwise reference at every length, alignment and seed", () => {
  const { mem, u8 } = makeMemory();
  const random = makeRandom(1);
  fillRandom(u8, random);
  for (let i = 0; i < 2000; i++) {
    const p = random() % 5000;
    const bytes = i < 200 ? i : random() % 700;
    const seed = i % 3 === 0 ? 0 : random();
    expect(mem.crc32c(p, bytes, seed)).toBe(crc32cReference(u8.subarray(p, p + bytes), seed));
  }
});

test("a crc continued from any split point equals the crc of the whole", () => {
  const { mem, u8 } = makeMemory();
  fillRandom(u8, makeRandom(2));
  const whole = mem.crc32c(5, 300);
  for (let at = 0; at <= 300; at++) {
    expect(mem.crc32c(5 + at, 300 - at, mem.crc32c(5, at))).toBe(whole);
  }
});

test("memcpy equals copyWithin, overlapping or not", () => {
  const { mem, u8 } = makeMemory();
  const random = makeRandom(3);
  fillRandom(u8, random);
  const expected = u8.slice();
  for (let i = 0; i < 500; i++) {
    const target = random() % 4096;
    const source = random() % 4096;
    const bytes = random() % 4096;
    mem.memcpy(target, source, bytes);
    expected.copyWithin(target, source, source + bytes);
  }
  expect(Buffer.compare(u8, expected)).toBe(0);
});

test("memset writes exactly its range", () => {
  const { mem, u8 } = makeMemory();
  mem.memset(0, 0x11, SIZE);
  mem.memset(101, 0x1ee, 77);
  for (let p = 0; p < 400; p++) expect(u8[p]).toBe(p >= 101 && p < 178 ? 0xee : 0x11);
});

test("64 zero bytes, which take another way, are exactly those, at every alignment", () => {
  const { mem, u8 } = makeMemory();
  for (let at = 128; at < 144; at++) {
    mem.memset(0, 0x11, 512);
    mem.memset(at, 0, 64);
    for (let p = 0; p < 512; p++) expect(u8[p]).toBe(p >= at && p < at + 64 ? 0 : 0x11);
  }
});

test("a range past the end of memory throws and writes nothing", () => {
  const { mem, u8 } = makeMemory();
  expect(() => mem.memset(SIZE - 4, 1, 5)).toThrow(/out of bounds/);
  expect(() => mem.memset(SIZE - 32, 0, 64)).toThrow(/out of bounds/);
  expect(() => mem.memcpy(SIZE - 4, 0, 5)).toThrow(/out of bounds/);
  expect(() => mem.crc32c(SIZE - 4, 5)).toThrow(/out of bounds/);
  expect(u8.subarray(SIZE - 4).every((byte) => byte === 0)).toBe(true);
});

test("the last byte of memory is reachable, and no byte of it is used for tables", () => {
  const { mem, u8 } = makeMemory();
  expect(u8.every((byte) => byte === 0)).toBe(true);
  u8[SIZE - 1] = 0x61;
  expect(mem.crc32c(SIZE - 1, 1)).toBe(crc32cReference(u8.subarray(SIZE - 1), 0));
  mem.memset(0, 0xff, SIZE);
  expect(mem.crc32c(100, 64)).toBe(crc32cReference(u8.subarray(100, 164), 0));
});

test("one memory has one instance per thread, and any shared memory size is accepted", () => {
  const wasm = createSharedMemory(SIZE);
  expect(instantiateBulk(wasm)).toBe(instantiateBulk(wasm));
  expect(instantiateBulk(wasm)).not.toBe(instantiateBulk(createSharedMemory(SIZE)));
  for (const [initial, maximum] of [
    [1, 1],
    [1, 65536],
    [1024, 65536],
    [2048, 2048],
  ] as const) {
    const odd = new Wasm.Memory({ initial, maximum, shared: true });
    const mem = new Memory(odd);
    expect(mem.crc32c(mem.size - 16, 16)).toBe(crc32cReference(new Uint8Array(16), 0));
  }
});
