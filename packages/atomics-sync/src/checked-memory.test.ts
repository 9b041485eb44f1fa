import { expect, test } from "vitest";
import {
  type BadAccess,
  CheckedMemory,
  KASAN_NULL_PAGE,
  KASAN_OUTSIDE,
  KASAN_SLAB_FREE,
  KASAN_SLAB_REDZONE,
} from "./checked-memory.ts";
import { createSharedMemory, Memory } from "./memory.ts";
import { makeRandom } from "./testing/random.ts";
import { VERBS } from "./testing/verbs.ts";

const SIZE = 65536;
const P = 4096;

function makeChecked(): { mem: CheckedMemory; reports: BadAccess[] } {
  const reports: BadAccess[] = [];
  const shadow = CheckedMemory.createShadow(SIZE);
  const mem = new CheckedMemory(createSharedMemory(SIZE), shadow, (report) => reports.push(report));
  return { mem, reports };
}

for (const [name, bytes, write, verb] of VERBS) {
  test(`${name}: good memory is silent, bad memory is reported and then accessed all the same`, async () => {
    const { mem, reports } = makeChecked();
    const plain = new Memory(createSharedMemory(SIZE));
    expect(await verb(mem, P)).toEqual(await verb(plain, P));
    expect(reports).toEqual([]);
    mem.poison(P, 64, KASAN_SLAB_FREE);
    expect(await verb(mem, P)).toEqual(await verb(plain, P));
    expect(reports).toEqual([{ p: P, bytes, write, code: KASAN_SLAB_FREE, firstBad: P }]);
    expect(Buffer.compare(new Uint8Array(mem.wasm.buffer), new Uint8Array(plain.wasm.buffer))).toBe(0);
  });
}

test("every verb of Memory that touches memory is overridden", () => {
  const unchecked = new Set(["constructor", "fence", "notify", "pause", "now"]);
  const verbs = Object.getOwnPropertyNames(Memory.prototype).filter((name) => !unchecked.has(name));
  for (const name of verbs) expect(Object.hasOwn(CheckedMemory.prototype, name), name).toBe(true);
  expect(VERBS.length).toBe(verbs.length + 1);
});

test("fence and notify are never reported", () => {
  const { mem, reports } = makeChecked();
  mem.poison(0, 4096, KASAN_NULL_PAGE);
  mem.fence();
  mem.notify(8, 1);
  expect(reports).toEqual([]);
  mem.read(8);
  expect(reports).toEqual([{ p: 8, bytes: 4, write: false, code: KASAN_NULL_PAGE, firstBad: 8 }]);
});

test("an object of 13 bytes: the 14th is bad, and the report names the redzone behind it", () => {
  const { mem, reports } = makeChecked();
  mem.poison(P, 64, KASAN_SLAB_REDZONE);
  mem.unpoison(P, 13);
  mem.read64(P);
  mem.read(P + 8);
  mem.read8(P + 12);
  mem.memset(P, 0, 13);
  expect(reports).toEqual([]);
  mem.write8(P + 13, 1);
  mem.read(P + 12);
  mem.read16(P + 12);
  mem.memset(P, 0, 14);
  expect(reports.map((report) => [report.p - P, report.firstBad - P, report.code])).toEqual([
    [13, 13, KASAN_SLAB_REDZONE],
    [12, 13, KASAN_SLAB_REDZONE],
    [12, 13, KASAN_SLAB_REDZONE],
    [0, 13, KASAN_SLAB_REDZONE],
  ]);
});

test("poison from the middle of a granule leaves the bytes before it", () => {
  const { mem, reports } = makeChecked();
  mem.poison(P + 4, 12, KASAN_SLAB_REDZONE);
  mem.read(P);
  mem.read(P + 16);
  expect(reports).toEqual([]);
  mem.read(P + 4);
  mem.read(P + 12);
  expect(reports.map((report) => report.firstBad - P)).toEqual([4, 12]);
  // It never makes bad bytes good.
  mem.poison(P, 8, KASAN_SLAB_FREE);
  mem.poison(P + 4, 4, KASAN_SLAB_REDZONE);
  mem.read(P);
  expect(reports.at(-1)?.code).toBe(KASAN_SLAB_FREE);
});

test("ranges agree with a byte-by-byte reference", () => {
  const { mem, reports } = makeChecked();
  const good = new Uint8Array(SIZE).fill(1);
  const random = makeRandom(9);
  for (let i = 0; i < 3000; i++) {
    const p = P + (random() % 64) * 8;
    const bytes = random() % 90;
    if (i % 3 === 0) {
      mem.poison(p, bytes, KASAN_SLAB_FREE);
      good.fill(0, p, (p + bytes + 7) & ~7);
    } else if (i % 3 === 1) {
      mem.unpoison(p, bytes);
      good.fill(1, p, p + bytes);
      good.fill(0, p + bytes, (p + bytes + 7) & ~7);
    }
    const from = P + (random() % 600);
    const length = random() % 200;
    const firstBad = good.subarray(from, from + length).indexOf(0);
    reports.length = 0;
    mem.crc32c(from, length);
    expect(reports.map((report) => report.firstBad)).toEqual(firstBad < 0 ? [] : [from + firstBad]);
  }
});

test("an access outside the memory is reported; what it does then is the native verb's business", () => {
  const { mem, reports } = makeChecked();
  expect(mem.read(SIZE)).toBe(undefined);
  expect(() => mem.fetchAdd(SIZE + 4, 1)).toThrow(/out of bounds/);
  expect(() => mem.memset(SIZE - 8, 0, 9)).toThrow(/out of bounds/);
  mem.read(-4);
  expect(reports.map((report) => report.code)).toEqual([
    KASAN_OUTSIDE,
    KASAN_OUTSIDE,
    KASAN_OUTSIDE,
    KASAN_OUTSIDE,
  ]);
});

test("a handler may read bad memory without being called again", () => {
  let calls = 0;
  const mem = new CheckedMemory(createSharedMemory(SIZE), CheckedMemory.createShadow(SIZE), (report) => {
    calls++;
    mem.read(report.p);
  });
  mem.poison(P, 8, KASAN_SLAB_FREE);
  mem.read(P);
  mem.read(P);
  expect(calls).toBe(2);
});

test("checksOff silences until the matching checksOn", () => {
  const { mem, reports } = makeChecked();
  mem.poison(P, 8, KASAN_SLAB_FREE);
  mem.checksOff();
  mem.checksOff();
  mem.read(P);
  mem.checksOn();
  mem.read(P);
  expect(reports.length).toBe(0);
  mem.checksOn();
  mem.read(P);
  expect(reports.length).toBe(1);
});

test("two instances over one shadow see the same poison; a shadow too small is refused", () => {
  const wasm = createSharedMemory(SIZE);
  const shadow = CheckedMemory.createShadow(SIZE);
  const reports: BadAccess[] = [];
  const one = new CheckedMemory(wasm, shadow, () => {});
  const other = new CheckedMemory(wasm, shadow, (report) => reports.push(report));
  one.poison(P, 8, KASAN_SLAB_FREE);
  other.read(P);
  expect(reports.length).toBe(1);
  expect(() => new CheckedMemory(wasm, CheckedMemory.createShadow(SIZE - 64), () => {})).toThrow(RangeError);
  expect(CheckedMemory.createShadow(2 ** 31).byteLength).toBe(2 ** 28);
});
