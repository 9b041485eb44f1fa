import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { beforeAll, describe, expect, it } from "vitest";
import { Execution } from "./execution.ts";
import { explore } from "./explore.ts";
import type { Benchmark } from "./programs/benchmark.ts";
import { PUBLISHED_PROGRAMS, publishedFigure } from "./programs/published.ts";
import { runSct, type SctRow } from "./sct.ts";
import { loadBenchmarks, type SctJob, selectBenchmarks } from "./sct-worker.ts";
import type { Strategy } from "./strategy.ts";
import { makeStrategy } from "./strategy/index.ts";

let all: readonly Benchmark[] = [];
beforeAll(async () => {
  all = await loadBenchmarks();
});

function rows(
  names: readonly string[],
  strategies: readonly string[],
  seeds: number,
  limit: number,
): SctRow[] {
  return runSct({ benchmarks: selectBenchmarks(all, names), strategies, seeds, limit });
}

/** Takes more than 10,000 executions. */
const DEEP = "SafeStack";

describe("the benchmark programs", () => {
  it("show their bugs to the default strategy within 10,000 executions, whatever the seed", () => {
    const names = selectBenchmarks(all, []).map((one) => one.name);
    expect(names.length).toBeGreaterThan(40);
    const missed = rows(
      names.filter((name) => name !== DEEP),
      ["portfolio"],
      2,
      10_000,
    ).filter((row) => row.found < row.seeds);
    expect(missed).toEqual([]);
  });

  it("show nothing in their repaired forms", () => {
    const repaired = all.filter((one) => one.fixed && !/_(?:50|100)-/.test(one.name));
    expect(repaired.length).toBeGreaterThan(30);
    const found = runSct({ benchmarks: repaired, strategies: ["portfolio"], seeds: 1, limit: 300 });
    expect(found.filter((row) => row.found > 0)).toEqual([]);
  });

  it("have a name each, and a program for every published figure", () => {
    const names = all.map((one) => one.name);
    expect(new Set(names).size).toBe(names.length);
    expect(PUBLISHED_PROGRAMS.filter((name) => !names.includes(name))).toEqual([]);
    expect(publishedFigure("CS/twostage_100", "pos")).toBe("6674 (3)");
    expect(publishedFigure("CS/twostage_100", "urw")).toBeUndefined();
  });
});

/** Fails the test when it picks a thread that cannot run. */
class Watched implements Strategy {
  readonly name: string = "watched";
  readonly inner: Strategy;
  readonly stepped: (execution: Execution, thread: number) => void;
  picks: number = 0;
  constructor(inner: Strategy) {
    this.inner = inner;
    this.stepped = (execution, thread) => inner.stepped?.(execution, thread);
  }
  begin(execution: Execution, index: number): boolean {
    return this.inner.begin(execution, index);
  }
  pick(execution: Execution): number {
    const pick = this.inner.pick(execution);
    this.picks++;
    if (!execution.enabled.subarray(0, execution.enabledCount).includes(pick))
      throw new Error(`picked ${pick}, which cannot run`);
    return pick;
  }
  choose(execution: Execution, n: number): number {
    return this.inner.choose(execution, n);
  }
  end(execution: Execution, outcome: Parameters<Strategy["end"]>[1]): void {
    this.inner.end(execution, outcome);
  }
}

describe.each(["random", "pct", "pos", "urw", "surw", "portfolio"])("%s", (name) => {
  it("picks only threads that can run, among locks, conditions and spin loops", () => {
    for (const { program } of selectBenchmarks(all, [
      "boundedBuffer-fixed",
      "InterlockedWorkStealQueue-fixed",
    ])) {
      const watched = new Watched(makeStrategy(name, { seed: 3 }));
      const { truncated } = explore(new Execution(program), watched, { executions: 300 });
      expect(watched.picks).toBeGreaterThan(300 * 20);
      expect(truncated).toBe(0);
    }
  });
});

/** Part of 3,000 executions that find the bug. */
function rate(name: string, strategy: string): number {
  const [{ program }] = selectBenchmarks(all, [name]) as [Benchmark];
  let found = 0;
  explore(new Execution(program), makeStrategy(strategy, { seed: 1 }), {
    executions: 3_000,
    keepGoing: true,
    each: ({ finding }) => {
      if (finding !== undefined) found++;
    },
  });
  return found / 3_000;
}

describe("with ten times the threads", () => {
  it("SURW needs some ten times the schedules, and the random walk far more than that", () => {
    const surw = rate("reorder_50", "surw");
    expect(rate("reorder_5", "surw") / surw).toBeLessThan(20);
    expect(surw).toBeGreaterThan(5 * rate("reorder_50", "random"));
    // Or the comparison says nothing.
    expect(rate("reorder_5", "random")).toBeGreaterThan(0.01);
  });
});

describe("a benchmark run", () => {
  it("counts from 1, and tells the member of the portfolio that found the bug", () => {
    const [row] = rows(["fsbench"], ["portfolio"], 3, 10) as [SctRow];
    expect(row).toMatchObject({ found: 3, mean: 1, median: 1, worst: 1, members: { bounded: 3 } });
    expect(row).toMatchObject({ kinds: { assertion: 3 }, published: undefined });
  });

  it("has no mean where nothing was found", () => {
    expect(rows(["account-fixed"], ["pos"], 2, 5)).toMatchObject([
      { found: 0, mean: undefined, executions: 10 },
    ]);
  });

  it("refuses programs and strategies it does not know", () => {
    expect(() => selectBenchmarks(all, ["CS/nothing"])).toThrow(/unknown benchmark program CS\/nothing/);
    expect(() => rows(["account"], ["luck"], 1, 1)).toThrow(/unknown strategy luck/);
  });

  it("runs in a thread of its own", async () => {
    const job: SctJob = { programs: ["account"], strategies: ["pos", "pct3"], seeds: 2, limit: 500 };
    const worker = new Worker(new URL("./sct-worker.ts", import.meta.url), { workerData: job, execArgv: [] });
    const told: SctRow[] = [];
    worker.on("message", (row: SctRow) => told.push(row));
    await once(worker, "exit");
    expect(told.map((row) => [row.strategy, row.found])).toEqual([
      ["pos", 2],
      ["pct3", 2],
    ]);
  });
});
