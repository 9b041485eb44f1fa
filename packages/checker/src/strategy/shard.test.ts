/** Shards and checkpoints: parts of a search that together are the whole one, each execution once. */
import { describe, expect, it } from "vitest";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import type { Program } from "../program.ts";
import type { Strategy } from "../strategy.ts";
import { lostUpdate } from "../testing/hand.ts";
import { Bounded } from "./bounded.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { Dfs } from "./dfs.ts";
import { Dpor } from "./dpor.ts";
import { RandomWalk } from "./random.ts";
import { EveryNth, parseShard, type Shard } from "./shard.ts";
import { type Ends, endsOf, scheduleOf } from "./testing/ends.ts";
import { endOf, generate, KINDS } from "./testing/generate.ts";

/** Executions of a search that is interrupted. */
const MOST = 230;
const OPTIONS = { executions: 50_000, maxSteps: 400 };

function programs(count: number): { program: Program; text: string }[] {
  const limits = { kinds: KINDS.filter((kind) => !["lock", "either"].includes(kind)), threads: 3, ops: 3 };
  const some = Array.from({ length: count }, (_, seed) => generate(seed, limits));
  return [{ program: lostUpdate(3), text: "lost update" }, ...some];
}

function shards(count: number, make: (shard: Shard) => Strategy, program: Program): Ends[] {
  return Array.from({ length: count }, (_, index) => endsOf(program, make({ index, count }), endOf, OPTIONS));
}

/** Each schedule of the whole once in all parts, and no other. */
function expectSame(parts: readonly Ends[], whole: Ends, text: string): void {
  const all = parts.flatMap((part) => part.schedules);
  const known = new Set(whole.schedules);
  expect(new Set(all).size, text).toBe(all.length);
  expect(
    all.filter((schedule) => !known.has(schedule)),
    text,
  ).toHaveLength(0);
  expect(all.length, text).toBe(whole.schedules.length);
}

describe.each([2, 3, 8])("%i shards", (count) => {
  it("of DFS make each schedule in exactly one of them", () => {
    for (const { program, text } of programs(40)) {
      const whole = endsOf(program, new Dfs(), endOf, { ...OPTIONS, executions: 2_000 });
      if (!whole.found.complete) continue;
      const parts = shards(count, (shard) => new Dfs(shard), program);
      expectSame(parts, whole, text);
    }
  });

  it("of a bound make each of its schedules in exactly one of them", () => {
    for (const { program, text } of programs(20)) {
      const whole = endsOf(program, new Bounded({ from: 1, to: 1 }), endOf, {
        ...OPTIONS,
        executions: 2_000,
      });
      if (!whole.found.complete) continue;
      const parts = shards(count, (shard) => new Bounded({ from: 1, to: 1, shard }), program);
      expectSame(parts, whole, text);
    }
  });

  it("of DPOR reach all ends, and no schedule is in two of them", () => {
    for (const { program, text } of programs(60)) {
      const whole = endsOf(program, new Dfs(), endOf, { ...OPTIONS, executions: 2_000 });
      if (!whole.found.complete || whole.found.truncated > 0) continue;
      const parts = shards(count, (shard) => new Dpor({ shard }), program);
      expect([...new Set(parts.flatMap((part) => part.ends))].sort(), text).toEqual(whole.ends);
      const schedules = parts.flatMap((part) => part.schedules);
      expect(new Set(schedules).size, text).toBe(schedules.length);
      expect(parts.every((part) => part.found.complete)).toBe(true);
    }
  });

  it("of a random walk make each of its executions in exactly one of them", () => {
    const run = (strategy: Strategy, executions: number): string[] =>
      endsOf(lostUpdate(3), strategy, endOf, { executions }).schedules as string[];
    const whole = run(new RandomWalk(5), 24 * count);
    const parts = Array.from({ length: count }, (_, index) =>
      run(new EveryNth(new RandomWalk(5), { index, count }), 24),
    );
    expect(parts[0]?.flatMap((_, i) => parts.map((part) => part[i]))).toEqual(whole);
  });
});

it("one shard alone does not cover the search", () => {
  expect(endsOf(lostUpdate(3), new Dfs({ index: 0, count: 2 }), endOf).schedules.length).toBeLessThan(90);
});

describe("the name of a shard", () => {
  it("counts from one", () => {
    expect(parseShard("2/8")).toEqual({ index: 1, count: 8 });
  });
  it.each(["0/8", "9/8", "1", "a/b", "1/0", "-1/2", ""])("%j is refused", (text) => {
    expect(() => parseShard(text)).toThrow(RangeError);
  });
});

describe.each<[string, () => Strategy]>([
  ["dfs", () => new Dfs()],
  ["bounded", () => new Bounded()],
  ["dpor", () => new Dpor()],
  ["dpor in shards", () => new Dpor({ shard: { index: 1, count: 3 } })],
  ["random", () => new RandomWalk(9)],
])("checkpoints of %s", (_name, make) => {
  /** Schedules, in legs of so many executions, each by a strategy and an execution of its own. */
  function legs(program: Program, leg: number): string[] {
    const schedules: string[] = [];
    let checkpoint: Checkpoint | undefined;
    for (let i = 0; i * leg < MOST; i++) {
      const execution = new Execution(program, { maxSteps: 400 });
      const strategy = make();
      const { complete } = explore(execution, strategy, {
        executions: leg,
        keepGoing: true,
        each: () => {
          if (strategy.counted !== false) schedules.push(scheduleOf(execution));
        },
        checkpoint: (saved) => {
          checkpoint = JSON.parse(JSON.stringify(saved)) as Checkpoint;
        },
        ...(checkpoint === undefined ? {} : { resume: checkpoint }),
      });
      if (complete) break;
    }
    return schedules;
  }

  it("interrupted and resumed it makes the executions of one go", () => {
    let made = 0;
    for (const { program, text } of programs(8)) {
      const whole = legs(program, MOST);
      expect(legs(program, 23).slice(0, MOST), text).toEqual(whole.slice(0, MOST));
      made += whole.length;
    }
    expect(made).toBeGreaterThan(15);
  });
});

describe("a checkpoint of something else is refused", () => {
  const execution = new Execution(lostUpdate(2));
  const saved: Checkpoint[] = [];
  explore(execution, new Dfs(), { executions: 2, checkpoint: (one) => saved.push(one) });
  const [good] = saved as [Checkpoint];
  it.each<[string, Partial<Checkpoint>]>([
    ["version", { version: 99 }],
    ["program", { program: "other" }],
    ["strategy", { strategy: "dpor" }],
  ])("another %s", (what, change) => {
    expect(() => explore(execution, new Dfs(), { resume: { ...good, ...change } })).toThrow(what);
  });
});
