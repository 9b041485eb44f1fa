import { expect, test } from "vitest";
import { createSharedMemory, Memory } from "./memory.ts";
import { Seqlock, seqlockReadBegin, seqlockReadRetry } from "./seqlock.ts";
import { COUNTER, PAYLOAD, PRIMITIVE } from "./testing/layout.ts";
import type { RoleArguments } from "./testing/roles.ts";
import { runThreads } from "./testing/threads.ts";

/** Two writers against two readers; the torn copies the readers took for whole, and the writes there were. */
async function readWhileWritten(
  reader: "seqlockReader" | "trustingReader",
  rounds: number,
): Promise<{ torn: number; writes: number }> {
  const mem = new Memory(createSharedMemory(65536));
  const [, , first, second] = await runThreads(mem.wasm, [
    { role: "seqlockWriter", threads: 4, rounds },
    { role: "seqlockWriter", threads: 4, rounds },
    { role: reader, threads: 4, rounds: 0, writers: 2 },
    { role: reader, threads: 4, rounds: 0, writers: 2 },
  ]);
  return { torn: (first as number) + (second as number), writes: mem.loadAcquire(PAYLOAD) };
}

test("no reader gets a torn copy, and no write is lost between two writers", async () => {
  expect(await readWhileWritten("seqlockReader", 2000)).toEqual({ torn: 0, writes: 4000 });
});

test("writers exclude each other", async () => {
  const mem = new Memory(createSharedMemory(65536));
  const args: RoleArguments = { role: "seqlockAdder", threads: 3, rounds: 100_000 };
  await runThreads(mem.wasm, [args, args, args]);
  expect(mem.loadAcquire(COUNTER)).toBe(300_000);
});

test("negative control: readers that never retry get torn copies", async () => {
  expect((await readWhileWritten("trustingReader", 1000)).torn).toBeGreaterThan(0);
});

test("a reader retries exactly when a writer has come between", () => {
  const mem = new Memory(createSharedMemory(65536));
  const seqlock = new Seqlock(mem, PRIMITIVE);
  const seq = seqlock.readBegin();
  expect(seqlock.readRetry(seq)).toBe(false);
  seqlock.writeBegin();
  expect(seqlock.readRetry(seq)).toBe(true);
  expect(seqlock.readRetryFence(seq)).toBe(true);
  seqlock.writeEnd();
  expect(seqlockReadRetry(mem, PRIMITIVE, seq)).toBe(true);
  expect(seqlockReadRetry(mem, PRIMITIVE, seqlockReadBegin(mem, PRIMITIVE))).toBe(false);
});

test("the sequence wraps around", () => {
  const mem = new Memory(createSharedMemory(65536));
  const seqlock = new Seqlock(mem, PRIMITIVE);
  for (const start of [0x7ffffffe, -2]) {
    mem.write(PRIMITIVE, start);
    const seq = seqlock.readBegin();
    seqlock.writeBegin();
    seqlock.writeEnd();
    expect(seqlock.readRetry(seq)).toBe(true);
    expect(seqlock.readBegin() & 1).toBe(0);
  }
});
