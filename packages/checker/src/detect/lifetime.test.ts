/** Use after free, seen and predicted; double free; leaks: broken forms are found, correct ones are silent. */
import { KASAN_SLAB_FREE, KASAN_SLAB_REDZONE } from "atomics-sync/checked-memory";
import { describe, expect, it } from "vitest";
import type { ControlledMemory } from "../controlled-memory.ts";
import { heapAlloc, heapFree, heapInit } from "../heap.ts";
import type { Program } from "../program.ts";
import { hand, X, Y } from "../testing/hand.ts";
import { found, go, kinds, lock, runOn, sites, type Steps, unlock } from "./testing/steps.ts";

type Body = (m: ControlledMemory) => Steps;

const [A1 = 0] = sites("life.ts", "make", 1);
const [U1 = 0, U2 = 0, U3 = 0] = sites("life.ts", "use", 3);
const [F1 = 0, F2 = 0] = sites("life.ts", "drop", 2);

function program(...bodies: Body[]): Program {
  return { name: "life", setup: (memory) => heapInit(memory), threads: bodies.map((body) => hand(body)) };
}

/** Makes an object and publishes it at X. */
const make: Body = function* (m) {
  const p = heapAlloc(m.at(A1), 16);
  yield* go(m, m.$write(p, 7, A1));
  yield* go(m, m.$storeRelease(X, p, A1));
};

/** Uses it, if it is there. */
const use: Body = function* (m) {
  const p = yield* go(m, m.$loadAcquire(X, U1));
  if (p !== 0) yield* go(m, m.$read(p + 4, U2));
};

/** Takes it away and frees it. */
const drop: Body = function* (m) {
  const p = yield* go(m, m.$exchange(X, 0, F1));
  if (p !== 0) heapFree(m.at(F2), p);
};

describe("use after free", () => {
  it("is reported with the sites of alloc, free and use", () => {
    const { finding } = runOn(program(make, use, drop), [0, 0, 1, 2, 1]);
    expect(finding).toMatchObject({ kind: "use-after-free", thread: 1, site: U2 });
    expect(finding?.report?.split("\n")).toEqual([
      "BUG: KASAN: slab-use-after-free in use",
      expect.stringMatching(/^Read of size 4 at addr 0x[0-9a-f]{8} by t1 at use \(life\.ts:2\)$/),
      "Allocated by: t0 at make (life.ts:1)",
      "Freed by: t2 at drop (life.ts:2)",
      expect.stringMatching(/^4 bytes from the start of 16 bytes at 0x[0-9a-f]{8}$/),
    ]);
  });

  it("is predicted when the use came first and nothing orders it before the free", () => {
    const { finding } = runOn(program(make, use, drop), [0, 0, 1, 1, 2]);
    expect(finding).toMatchObject({ kind: "use-after-free", thread: 1, site: U2 });
    expect(finding?.report).toContain("slab-use-after-free in use (predicted)");
    expect(finding?.report).toContain("This schedule made it before the free");
    expect(finding?.report).toContain("Freed by: t2 at drop (life.ts:2)");
    expect(runOn(program(make, use, drop), [0, 0, 1, 1, 2], { lifetime: false }).finding).toBeUndefined();
  });

  it("is predicted from a marked or atomic use as well", () => {
    const marked: Body = function* (m) {
      const p = yield* go(m, m.$loadAcquire(X, U1));
      if (p !== 0) yield* go(m, m.$fetchAdd(p, 1, U3));
    };
    expect(runOn(program(make, marked, drop), [0, 0, 1, 1, 2]).finding?.kind).toBe("use-after-free");
  });

  it("of memory that is in use again is told as stale", () => {
    const again: Body = function* (m) {
      const p = yield* go(m, m.$exchange(X, 0, F1));
      if (p === 0) return;
      heapFree(m.at(F2), p);
      heapAlloc(m.at(A1), 16);
    };
    const eager = (memory: Parameters<typeof heapInit>[0]): void => heapInit(memory, { reuse: "eager" });
    const { finding } = runOn({ ...program(make, use, again), setup: eager }, [0, 0, 1, 2, 1]);
    expect(finding?.kind).toBe("use-after-free");
    expect(finding?.message).toContain("the pointer is stale");
    expect(finding?.report).toContain("Freed by: t2 at drop (life.ts:2)");
  });

  it("is not confused with running past the end", () => {
    const past: Body = function* (m) {
      const p = heapAlloc(m.at(A1), 12);
      yield* go(m, m.$write(p + 12, 1, U1));
    };
    const finding = found(program(past)).get("out-of-bounds");
    expect(finding?.report).toContain("BUG: KASAN: slab-out-of-bounds in use");
    expect(finding?.report).toContain("12 bytes from the start of 12 bytes");
    expect(kinds(program(past))).toEqual(["out-of-bounds"]);
  });
});

describe("references", () => {
  /** An object with a count at its start, shared from the start at X; each user puts its reference. */
  const counted = (put: (m: ControlledMemory, p: number) => Generator<unknown, boolean>): Program => {
    const user: Body = function* (m) {
      const p = yield* go(m, m.$read(X, U1));
      yield* go(m, m.$write(p + 4 + 4 * m.thread, 1, U2));
      if (yield* put(m, p)) heapFree(m.at(F2), p);
    };
    return {
      ...program(user, user),
      setup: (memory) => {
        heapInit(memory);
        const p = heapAlloc(memory, 32);
        memory.write(p, 2);
        memory.write(X, p);
      },
    };
  };

  it("dropped with full order let the last one free", () => {
    const full = counted(function* (m, p) {
      return (yield* go(m, m.$fetchSub(p, 1, F1))) === 1;
    });
    expect(kinds(full)).toEqual([]);
  });

  it("dropped without order free what others may still write", () => {
    const relaxed = counted(function* (m, p) {
      const count = yield* go(m, m.$readOnce(p, F1));
      yield* go(m, m.$writeOnce(p, count - 1, F1));
      return count === 1;
    });
    // One after the other: sequentially consistent and harmless to see.
    const { finding } = runOn(relaxed, [0, 0, 0, 0, 1, 1, 1, 1]);
    expect(finding).toMatchObject({ kind: "use-after-free", thread: 0 });
    expect(finding?.report).toContain("but that store is no release");
  });

  it("looked at by a lock that all users hold are safe", () => {
    const guarded: Body = function* (m) {
      yield* lock(m, Y, U1);
      const p = yield* go(m, m.$read(X, U1));
      if (p !== 0) yield* go(m, m.$write(p, 1, U2));
      yield* unlock(m, Y, U3);
    };
    const remove: Body = function* (m) {
      yield* lock(m, Y, F1);
      const p = yield* go(m, m.$read(X, F1));
      yield* go(m, m.$write(X, 0, F1));
      yield* unlock(m, Y, F1);
      if (p !== 0) heapFree(m.at(F2), p);
    };
    const setup = (memory: Parameters<typeof heapInit>[0]): void => {
      heapInit(memory);
      memory.write(X, heapAlloc(memory, 8));
    };
    expect(kinds({ ...program(guarded, remove, guarded), setup })).toEqual([]);
  });
});

describe("double free", () => {
  const twice: Body = function* (m) {
    const p = yield* go(m, m.$loadAcquire(X, F1));
    if (p !== 0) heapFree(m.at(F2), p);
  };
  it("names both frees, and is found without the detector, too", () => {
    const { finding } = runOn(program(make, twice, twice), [0, 0, 1, 2]);
    expect(finding?.kind).toBe("double-free");
    expect(finding?.report).toContain("BUG: KASAN: double-free in drop");
    expect(finding?.message).toMatch(
      /by t2 at drop \(life\.ts:2\), freed before by t1 at drop \(life\.ts:2\)$/,
    );
    expect(runOn(program(make, twice, twice), [0, 0, 1, 2], { lifetime: false }).finding?.kind).toBe(
      "double-free",
    );
  });
  it("of two objects is none", () => {
    const pair: Body = function* (m) {
      yield* go(m, m.$readOnce(X, F1));
      const [p, q] = [heapAlloc(m.at(A1), 8), heapAlloc(m.at(A1), 8)];
      heapFree(m.at(F2), p);
      heapFree(m.at(F2), q);
    };
    expect(kinds(program(pair, pair))).toEqual([]);
  });
});

describe("a free", () => {
  it("needs no order after the bare allocation, but after each use", () => {
    const hand1 = (writes: boolean): Body =>
      function* (m) {
        const p = heapAlloc(m.at(A1), 16);
        if (writes) yield* go(m, m.$write(p, 1, U1));
        yield* go(m, m.$writeOnce(X, p, A1));
      };
    const takes: Body = function* (m) {
      const p = yield* go(m, m.$readOnce(X, F1));
      if (p !== 0) heapFree(m.at(F2), p);
    };
    expect(kinds(program(hand1(false), takes))).toEqual([]);
    expect(kinds(program(hand1(true), takes))).toEqual(["use-after-free"]);
  });
});

describe("leaks", () => {
  it("are told at the end when asked for", () => {
    const leak = found(program(make, use), { leaks: true }).get("leak");
    expect(leak).toMatchObject({ thread: 0, site: A1 });
    expect(leak?.report).toMatch(
      /^unreferenced object 0x[0-9a-f]{8} \(size 16\):\n {2}allocated by t0 at make/,
    );
    expect(kinds(program(make, use))).toEqual([]);
  });
  it("are none when the last thread frees", () => {
    expect(kinds({ ...program(make), lastly: hand(drop) }, { leaks: true })).toEqual([]);
  });
});

describe("an allocator as the kernel's", () => {
  const P = 1024;
  /** kfree: opens what is in use, fills it, closes it. */
  const kfree = (m: ControlledMemory): void => {
    m.at(F1).unpoison(P, 32);
    m.at(F1).memset(P, 0x6b, 32);
    m.at(F2).poison(P, 32, KASAN_SLAB_FREE);
  };
  const reader: Body = function* (m) {
    yield* go(m, m.$readOnce(P + 8, U1));
    yield* go(m, m.$storeRelease(Y, 1, U2));
  };
  const freer = (waits: boolean): Body =>
    function* (m) {
      const done = yield* go(m, m.$loadAcquire(Y, F1));
      if (done === 1 || !waits) kfree(m);
    };

  it("fills before it frees: the race of the fill is told as the free's", () => {
    const { finding } = runOn(program(reader, freer(false)), [0, 1, 0]);
    expect(finding?.kind).toBe("use-after-free");
    expect(finding?.report).toContain("Freed by: t1 at drop (life.ts:2)");
    expect(kinds(program(reader, freer(true)))).toEqual([]);
  });

  it("may fill without freeing: then it is a race", () => {
    const fill: Body = function* (m) {
      yield* go(m, m.$loadAcquire(Y, F1));
      m.at(F1).memset(P, 0, 32);
    };
    expect(kinds(program(reader, fill))).toEqual(["data-race"]);
    expect(runOn(program(reader, fill), [0, 1]).finding?.kind).toBe("data-race");
    // Nothing comes after the fill.
    expect(runOn(program(reader, fill), [0, 0, 1]).finding).toBeUndefined();
    const only: Body = function* (m) {
      yield* go(m, m.$readOnce(P + 8, U1));
    };
    expect(runOn(program(only, fill), [0, 1]).finding?.kind).toBe("data-race");
  });

  it("may look into what is free, with checks off", () => {
    const peek: Body = function* (m) {
      yield* go(m, m.$readOnce(Y + 4, U1));
      m.checksOff();
      m.at(U2).memcpy(Y + 64, P, 8);
      m.checksOn();
    };
    expect(runOn(program(freer(false), peek), [0, 1]).finding).toBeUndefined();
  });

  it("carves objects from pages: reports tell of the object", () => {
    const carve: Body = function* (m) {
      m.at(U1).unpoison(P, 256);
      m.at(U1).poison(P, 256, KASAN_SLAB_REDZONE);
      m.at(A1).unpoison(P, 16);
      m.at(A1).unpoison(P + 64, 16);
      m.at(F2).poison(P, 16, KASAN_SLAB_FREE);
      yield* go(m, m.$read(P + 4, U3));
    };
    const setup = (memory: Parameters<typeof heapInit>[0]): void => {
      (memory as ControlledMemory).poison(P, 256, KASAN_SLAB_REDZONE);
    };
    const finding = found({ ...program(carve), setup }).get("use-after-free");
    expect(finding?.report).toContain("Allocated by: t0 at make (life.ts:1)");
    expect(finding?.report).toContain("4 bytes from the start of 16 bytes");
  });

  it("orders the next owner of memory after the last one", () => {
    const P2 = 2048;
    const setup = (memory: Parameters<typeof heapInit>[0]): void => {
      (memory as ControlledMemory).poison(P2, 32, KASAN_SLAB_REDZONE);
    };
    const first: Body = function* (m) {
      m.at(A1).unpoison(P2, 32);
      yield* go(m, m.$write(X, 1, U1));
      m.at(F1).poison(P2, 32, KASAN_SLAB_FREE);
    };
    const next = (p: number): Body =>
      function* (m) {
        yield* go(m, m.$readOnce(Y, A1));
        m.at(A1).unpoison(p, 32);
        yield* go(m, m.$read(X, U2));
      };
    expect(runOn({ ...program(first, next(P2)), setup }, [0, 1, 1]).finding).toBeUndefined();
    expect(runOn({ ...program(first, next(P2 + 32)), setup }, [0, 1, 1]).finding?.kind).toBe("data-race");
  });

  it("gives memory out again without a race between the two lives", () => {
    const cycle: Body = function* (m) {
      yield* lock(m, Y, A1);
      if (m.world.startShadow(P) >= 0x80) m.at(A1).unpoison(P, 32);
      yield* unlock(m, Y, A1);
      yield* go(m, m.$write(P, 1, U1));
      kfree(m);
    };
    const setup = (memory: Parameters<typeof heapInit>[0]): void => {
      (memory as ControlledMemory).poison(P, 32, KASAN_SLAB_REDZONE);
    };
    // One life after the other: the second gets the memory through the allocator.
    const twice: Program = { ...program(cycle, cycle), setup };
    expect(runOn(twice, [0, 0, 0, 0, 0, 0, 0, 0]).finding).toBeUndefined();
  });
});
