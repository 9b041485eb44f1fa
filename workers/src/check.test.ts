/** The host of searches: what becomes of a job that hangs, and of the others when one has found something. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { run_check } from "./check.ts";
import type { CheckRequest } from "./check-request.ts";

const MODULE = fileURLToPath(new URL("./testing/check-programs.ts", import.meta.url));

function request(program: string, more: Partial<CheckRequest> = {}): CheckRequest {
  return {
    target: { module: MODULE, program },
    strategy: "random",
    seed: 1,
    shard: { index: 0, count: 1 },
    jobs: 1,
    exports: [],
    ...more,
  };
}

describe("a search on other threads", () => {
  test("a step that does not end is named with its thread and its last site, and its job is ended", async () => {
    const { report } = await run_check(request("hangs", { seconds: 30 }), { hangMs: 1000 });
    expect(report.verdict).toBe("fail");
    expect(report.failure?.kind).toBe("step-limit");
    expect(report.failure?.message).toMatch(
      /^spinner: a step after body \(.*check-programs\.ts:\d+\) did not end/,
    );
  });

  test("the first failure ends all shards", async () => {
    const { report } = await run_check(request("lost", { jobs: 2, seconds: 60 }));
    expect(report).toMatchObject({ verdict: "fail", jobs: 2, interrupted: false });
    expect(report.seconds).toBeLessThan(30);
  });

  test("an interrupted search reports what it has done", async () => {
    const abort = new AbortController();
    const { report } = await run_check(request("added", { seconds: 60 }), {
      signal: abort.signal,
      onProgress: ({ executions }) => {
        if (executions > 0) abort.abort();
      },
    });
    expect(report).toMatchObject({ verdict: "pass", interrupted: true, failure: null, classes: null });
    expect(report.executions).toBeGreaterThan(0);
  });

  test("shards divide the executions among them, none is run twice", async () => {
    const states: number[][] = [];
    const { report } = await run_check(request("added", { jobs: 3, executions: 100 }), {
      onState: ({ jobs }) => states.push(jobs.map((job) => job?.index ?? 0)),
    });
    expect(report.executions).toBe(100);
    expect(states.at(-1)).toEqual([34, 33, 33]);
  });
});
