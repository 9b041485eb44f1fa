import { CheckedMemory, type BadAccess } from "atomics-sync/checked-memory";
import { createSharedMemory, Memory } from "atomics-sync/memory";
import { describe, expect, it } from "vitest";
import { Execution } from "./execution.ts";
import { go, type Steps } from "./detect/testing/steps.ts";
import { heapAlloc, heapFree, heapInit, heapLeaks } from "./heap.ts";
import type { Program } from "./program.ts";
import { Replay } from "./strategy/replay.ts";
import { hand, X, Y } from "./testing/hand.ts";

function native(): Memory {
  const memory = new Memory(createSharedMemory(65536));
  heapInit(memory);
  return memory;
}

describe("a heap over native memory", () => {
  it("gives objects that are aligned and do not overlap", () => {
    const memory = native();
    const objects = [1, 8, 13, 64, 7].map((bytes) => ({ address: heapAlloc(memory, bytes), bytes }));
    for (const [i, { address, bytes }] of objects.entries()) {
      expect(address % 8).toBe(0);
      const next = objects[i + 1];
      if (next !== undefined) expect(next.address).toBeGreaterThanOrEqual(address + bytes + 16);
    }
    expect(heapLeaks(memory)).toEqual(objects);
  });

  it("never gives out the same memory twice, unless it is to be eager", () => {
    const never = native();
    const first = heapAlloc(never, 24);
    heapFree(never, first);
    expect(heapAlloc(never, 24)).not.toBe(first);
    const eager = new Memory(createSharedMemory(65536));
    heapInit(eager, { reuse: "eager" });
    const [a, b] = [heapAlloc(eager, 24), heapAlloc(eager, 100)];
    heapFree(eager, a);
    heapFree(eager, b);
    expect(heapAlloc(eager, 20)).toBe(a);
    expect(heapAlloc(eager, 20)).not.toBe(b);
    expect(heapAlloc(eager, 97)).toBe(b);
  });

  it("refuses what it did not give, a second free, and more than it has", () => {
    const memory = native();
    const p = heapAlloc(memory, 8);
    expect(() => heapFree(memory, p + 8)).toThrow(RangeError);
    expect(() => heapFree(memory, 64)).toThrow(RangeError);
    heapFree(memory, p);
    expect(() => heapFree(memory, p)).toThrow(/double free/);
    expect(() => heapAlloc(memory, 40_000)).toThrow(/full/);
    expect(() => heapAlloc(memory, 0)).toThrow(RangeError);
    expect(heapLeaks(memory)).toEqual([]);
    expect(() => heapAlloc(new Memory(createSharedMemory(65536)), 8)).toThrow(/heapInit/);
    expect(() => heapInit(memory, { bytes: 200_000 })).toThrow(RangeError);
  });

  it("poisons what is not an object, where memory is checked", () => {
    const reports: BadAccess[] = [];
    const wasm = createSharedMemory(65536);
    const memory = new CheckedMemory(wasm, CheckedMemory.createShadow(65536), (report) =>
      reports.push(report),
    );
    heapInit(memory);
    const p = heapAlloc(memory, 13);
    memory.write8(p + 12, 1);
    expect(reports).toEqual([]);
    memory.write8(p + 13, 1);
    memory.read(p - 4);
    heapFree(memory, p);
    memory.read(p);
    expect(reports.map(({ code }) => code)).toEqual([0xfc, 0xfc, 0xfb]);
  });
});

describe("a heap under the checker", () => {
  /** Two threads allocate, and note where. */
  const two: Program = {
    name: "two",
    setup: (memory) => heapInit(memory),
    threads: [X, Y].map((at) =>
      hand(function* (m): Steps {
        yield* go(m, m.$writeOnce(at + 4, 1, 0));
        const p = heapAlloc(m, 16);
        yield* go(m, m.$writeOnce(at, p, 0));
      }),
    ),
    outcome: (memory) => `${memory.read(X)} ${memory.read(Y)} ${heapLeaks(memory).length}`,
  };
  const run = (execution: Execution, schedule: number[]): string | undefined => {
    const replay = new Replay(Uint8Array.from(schedule), []);
    replay.begin();
    return execution.run(replay, 0).state;
  };

  it("gives the same addresses whatever the schedule, in every execution", () => {
    const execution = new Execution(two);
    const state = run(execution, [0, 0, 1, 1]);
    expect(state).toMatch(/^\d+ \d+ 2$/);
    expect(run(execution, [1, 1, 0, 0])).toBe(state);
    expect(run(execution, [0, 0, 1, 1])).toBe(state);
  });

  it("makes no steps of its own", () => {
    const execution = new Execution(two);
    const replay = new Replay(Uint8Array.from([0, 0, 1, 1]), []);
    replay.begin();
    expect(execution.run(replay, 0).picks).toBe(4);
  });
});
