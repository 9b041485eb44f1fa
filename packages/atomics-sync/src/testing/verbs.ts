/** Every verb of Memory that touches memory, for tests that hold two kinds of Memory side by side. */
import type { Memory } from "../memory.ts";

/** Address of words that the verbs use besides `p`. */
export const OTHER = 32768;

/** Name, bytes it touches at `p`, whether it writes them, and how it is called. */
export type Verb = readonly [string, number, boolean, (mem: Memory, p: number) => unknown];

export const VERBS: readonly Verb[] = [
  ["read", 4, false, (mem, p) => mem.read(p)],
  ["write", 4, true, (mem, p) => mem.write(p, -5)],
  ["read8", 1, false, (mem, p) => mem.read8(p)],
  ["write8", 1, true, (mem, p) => mem.write8(p, 250)],
  ["read16", 2, false, (mem, p) => mem.read16(p)],
  ["write16", 2, true, (mem, p) => mem.write16(p, 65530)],
  ["read64", 8, false, (mem, p) => mem.read64(p)],
  ["write64", 8, true, (mem, p) => mem.write64(p, 2 ** 53 - 3)],
  ["readOnce", 4, false, (mem, p) => mem.readOnce(p)],
  ["writeOnce", 4, true, (mem, p) => mem.writeOnce(p, 7)],
  ["loadAcquire", 4, false, (mem, p) => mem.loadAcquire(p)],
  ["storeRelease", 4, true, (mem, p) => mem.storeRelease(p, 9)],
  ["fetchAdd", 4, true, (mem, p) => mem.fetchAdd(p, 3)],
  ["fetchSub", 4, true, (mem, p) => mem.fetchSub(p, 4)],
  ["fetchAnd", 4, true, (mem, p) => mem.fetchAnd(p, 0x1234)],
  ["fetchOr", 4, true, (mem, p) => mem.fetchOr(p, 0x4321)],
  ["exchange", 4, true, (mem, p) => mem.exchange(p, 11)],
  ["compareExchange", 4, true, (mem, p) => mem.compareExchange(p, 11, 12)],
  ["wait", 4, false, (mem, p) => mem.wait(p, mem.read(OTHER) + 1, 0)],
  ["waitAsync", 4, false, (mem, p) => mem.waitAsync(p, mem.read(OTHER) + 1, 0)],
  ["memcpy to", 40, true, (mem, p) => mem.memcpy(p, OTHER, 40)],
  ["memcpy from", 40, false, (mem, p) => mem.memcpy(OTHER, p, 40)],
  ["memset", 40, true, (mem, p) => mem.memset(p, 0x77, 40)],
  ["crc32c", 40, false, (mem, p) => mem.crc32c(p, 40, 5)],
];
