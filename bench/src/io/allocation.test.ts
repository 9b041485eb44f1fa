// First: the root of the kernel image.
import { Machine } from "@ringside/workers/machine";
import { expect, it } from "vitest";
import { type Allocation, allocationPerIo } from "./allocation.ts";
import type { IoArgs } from "./io-run.ts";

const READS: IoArgs = { op: "read", bs: 4096, depth: 64 };
/** Of a stretch; there are three. A tenth of it in the control: an object an I/O shows soon. */
const IOS = 1_000_000;
/** Bytes an I/O: none, within what asking costs. The smallest object has 12. */
const NONE = 1;
const SMALLEST = 12;
/** Bytes a sleep: numbers that hold the time, ten at most. */
const SLEEP = 128;

async function measured(args: IoArgs & { allocate?: boolean }, ios: number): Promise<Allocation> {
  const machine = await Machine.boot({ cpus: 1, ram: 16 << 20, vram: 1 << 20, media: 16 << 20 });
  try {
    return await allocationPerIo(machine, args, ios);
  } finally {
    await machine.shutdown();
  }
}

it("over a million I/Os and more, no thread of the data path allocates anything per I/O", async () => {
  const { ios, bytesPerIo, sleepsPerIo } = await measured(READS, IOS);
  expect(ios).toBeGreaterThan(1_000_000);
  expect(Object.keys(bytesPerIo)).toEqual(expect.arrayContaining(["cpu0", "nvme", "rcu_gp", "kworker0"]));
  const limit = NONE + SLEEP * sleepsPerIo;
  for (const [thread, bytes] of Object.entries(bytesPerIo)) expect(bytes, thread).toBeLessThan(limit);
  // Or an object an I/O could hide behind sleeps.
  expect(limit).toBeLessThan(SMALLEST);
});

it("one small object an I/O is noticed, in the thread that makes it (negative control)", async () => {
  const { bytesPerIo } = await measured({ ...READS, allocate: true }, IOS / 10);
  expect(bytesPerIo["cpu0"]).toBeGreaterThan(SMALLEST);
  expect(bytesPerIo["nvme"]).toBeLessThan(SMALLEST);
});
