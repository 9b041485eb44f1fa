import { describe, expect, test } from "vitest";
import type { Bench, Comparison, Missing, Subject } from "./bench.ts";
import { measureBenches, median, type MeasureOptions, type Result } from "./measure.ts";

const OPTIONS: MeasureOptions = { runs: 3, ms: 1, quick: true };

/** Gives these figures one after the other, and again from the start. */
function scripted(name: string, figures: readonly number[], calls: string[] = []): Subject {
  let next = 0;
  return {
    name,
    measure: (ms) => {
      calls.push(`${name} ${ms}`);
      return Promise.resolve(figures[next++ % figures.length] as number);
    },
    close: () => {
      calls.push(`${name} closed`);
      return Promise.resolve();
    },
  };
}

function failing(name: string, text: string): Subject {
  return { name, measure: () => Promise.reject(new Error(text)) };
}

function comparison(
  ours: Subject,
  peers: readonly (Subject | Missing)[],
  more: Partial<Comparison> = {},
): Comparison {
  return { name: "thing", unit: "things/s", better: "higher", ours, peers, ...more };
}

function bench(...comparisons: Comparison[]): Bench {
  return { name: "fake", what: "nothing", comparisons: () => Promise.resolve(comparisons) };
}

async function one(comparison: Comparison, options: Partial<MeasureOptions> = {}): Promise<Result> {
  const [result] = await measureBenches([bench(comparison)], { ...OPTIONS, ...options });
  return result as Result;
}

describe("the median", () => {
  test("is the middle of an odd number and between the middle two of an even one", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([9, 1, 5, 7])).toBe(6);
    expect(median([10, 9, 100])).toBe(10);
  });
  test("of nothing is no number", () => {
    expect(median([])).toBeNaN();
  });
});

describe("a comparison", () => {
  test("runs its sides in turn, a warm-up first, and closes each once", async () => {
    const calls: string[] = [];
    const sides = ["ours", "peer", "limit"].map((name) => scripted(name, [1], calls)) as [
      Subject,
      Subject,
      Subject,
    ];
    await one(comparison(sides[0], [sides[1]], { limit: sides[2] }), { ms: 7 });
    const round = ["ours 7", "peer 7", "limit 7"];
    expect(calls).toEqual([
      ...round,
      ...round,
      ...round,
      ...round,
      "ours closed",
      "peer closed",
      "limit closed",
    ]);
  });
  test("drops the warm-up and keeps median, least and most of the rest", async () => {
    const result = await one(
      comparison(scripted("ours", [1000, 10, 30, 20]), [scripted("peer", [1, 4, 6, 5])]),
    );
    expect(result).toMatchObject({ ours: 20, min: 10, max: 30, runs: 3 });
    expect(result.peers).toEqual([{ name: "peer", value: 5, min: 4, max: 6, ratio: 4 }]);
  });
  test("with a slower peer has a ratio above 1, with a faster one below 1", async () => {
    const { peers } = await one(
      comparison(scripted("ours", [10]), [scripted("slow", [2]), scripted("fast", [40])]),
    );
    expect(peers.map(({ name, ratio }) => [name, ratio])).toEqual([
      ["slow", 5],
      ["fast", 0.25],
    ]);
  });
  test("that spreads over more than a fifth of its median is called noisy", async () => {
    const steady = scripted("steady", [1, 100, 110, 101]);
    const { noisy } = await one(comparison(steady, [scripted("jumpy", [1, 100, 125, 101])]));
    expect(noisy).toEqual(["jumpy"]);
  });
  test("lists a missing peer by name with its reason, and does not judge its target", async () => {
    const gone = { name: "gone", missing: "liburing-dev is not installed" };
    const targets = [
      { of: "gone", atLeast: 2 },
      { of: "here", atLeast: 2 },
      { of: "here", atMost: 3 },
    ];
    const ours = scripted("ours", [10]);
    const result = await one(comparison(ours, [gone, scripted("here", [2])], { targets }));
    expect(result.missing).toEqual([gone]);
    expect(result.peers.map(({ name }) => name)).toEqual(["here"]);
    expect(result.targets.map(({ ratio, met }) => [ratio, met])).toEqual([
      [null, null],
      [5, true],
      [5, false],
    ]);
  });
  test("goes on without a peer that fails, and says why", async () => {
    const result = await one(
      comparison(scripted("ours", [10]), [failing("broken", "it broke"), scripted("peer", [5])]),
    );
    expect(result.missing).toEqual([{ name: "broken", missing: "it broke" }]);
    expect(result.peers).toHaveLength(1);
  });
  test("takes a figure that is no positive number for a failure", async () => {
    const result = await one(comparison(scripted("ours", [10]), [scripted("zero", [0])]));
    expect(result.missing[0]?.missing).toContain("its figure is 0, expected a number above 0");
  });
  test("whose own side fails is an error that comes after the others are measured, and closes everybody", async () => {
    const calls: string[] = [];
    const results: Result[] = [];
    const broken = comparison(failing("ours", "we broke"), [scripted("peer", [1], calls)]);
    const measured = measureBenches([bench(broken, comparison(scripted("fine", [1]), []))], {
      ...OPTIONS,
      onResult: (result) => results.push(result),
    });
    await expect(measured).rejects.toThrow("fake: thing: we broke");
    expect(results.map(({ oursName }) => oursName)).toEqual(["fine"]);
    expect(calls).toEqual(["peer closed"]);
  });
  test("runs a side that is warm by itself only as often as it counts", async () => {
    const calls: string[] = [];
    const warm = { ...scripted("peer", [5, 6, 7], calls), warm: true };
    const { peers } = await one(comparison(scripted("ours", [1]), [warm]));
    expect(peers[0]?.value).toBe(6);
    expect(calls).toEqual(["peer 1", "peer 1", "peer 1", "peer closed"]);
  });
  test("that takes seconds to set up has one run, and a point of a curve half as many as asked for", async () => {
    const curve = { xName: "n", x: 1 };
    const counts = async (more: Partial<Comparison>): Promise<[number, number]> => {
      const calls: string[] = [];
      const { runs } = await one(comparison(scripted("ours", [1], calls), [], more), { runs: 5 });
      return [runs, calls.length - 1];
    };
    expect(await counts({ once: true })).toEqual([1, 1]);
    expect(await counts({ curve })).toEqual([3, 4]);
  });
  test("reads its notes after the last run", async () => {
    const calls: string[] = [];
    const notes = (): Record<string, number> => ({ calls: calls.length });
    const result = await one(comparison(scripted("ours", [1], calls), [], { notes }));
    expect(result.notes).toEqual({ calls: 4 });
  });
});

test("an interrupted bench tells what it has, names what it has not, and closes the rest", async () => {
  const calls: string[] = [];
  const abort = new AbortController();
  const sides = (name: string): Comparison => comparison(scripted(name, [1], calls), [scripted("peer", [1])]);
  const results = await measureBenches([bench(sides("first"), sides("second"), sides("third"))], {
    ...OPTIONS,
    signal: abort.signal,
    onRun: ({ subject, done, round }) => {
      if (done === 1 && round === 1 && subject === "second") abort.abort();
    },
  });
  expect(results.map(({ oursName, runs, missing }) => [oursName, runs, missing])).toEqual([
    ["first", 3, []],
    ["second", 1, [{ name: "peer", missing: "interrupted" }]],
  ]);
  expect(calls.slice(-2)).toEqual(["second closed", "third closed"]);
});

test("an interrupted bench waits for no run, and closes what is running", async () => {
  const calls: string[] = [];
  const abort = new AbortController();
  const never: Subject = { ...scripted("ours", [1], calls), measure: () => new Promise(() => {}) };
  const results = await measureBenches([bench(comparison(never, []))], {
    ...OPTIONS,
    signal: abort.signal,
    onRun: () => queueMicrotask(() => abort.abort()),
  });
  expect(results).toEqual([]);
  expect(calls).toEqual(["ours closed"]);
});

test("progress counts the comparisons of all benches", async () => {
  const seen: string[] = [];
  const a = comparison(scripted("a", [1]), []);
  const b = comparison(scripted("b", [1]), []);
  await measureBenches([bench(a), bench(b)], {
    ...OPTIONS,
    onResult: ({ oursName }, { done, of }) => seen.push(`${oursName} ${done}/${of}`),
  });
  expect(seen).toEqual(["a 1/2", "b 2/2"]);
});
