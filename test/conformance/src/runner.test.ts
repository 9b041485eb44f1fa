// First: the root of the kernel image.
import { type ConformanceOptions, type Library, runConformance, UnknownName } from "./runner.ts";
import { beforeAll, describe, expect, it } from "vitest";
import type { CaseResult, ConformanceReport } from "./report.ts";
import { suites } from "./testing/faulty-suite.ts";

const FAULTY: Library = { suites, workloads: new URL("./testing/faulty-suite.ts", import.meta.url).href };
/** Machines boot and hang within it on a busy computer. */
const SUITE_MS = 120_000;
/** For cases that must hang; all others have the runner's own patience. */
const HANG_MS = 2500;

async function run(options: ConformanceOptions): Promise<ConformanceReport> {
  return await runConformance({ seconds: 0.1, ...options }, FAULTY);
}

/** Runs a suite once; its results by name. */
function run_once(name: string, options: ConformanceOptions = {}): (case_name: string) => CaseResult {
  let report: ConformanceReport;
  beforeAll(async () => {
    report = await run({ suites: [name], ...options });
  }, SUITE_MS);
  return (case_name) => {
    const found = report.suites[0]?.cases.find((each) => each.name === case_name);
    expect(found, case_name).toBeDefined();
    return found as CaseResult;
  };
}

// Side by side: most of the time machines boot or hang.
describe.concurrent("a case passes that", () => {
  const result = run_once("passing");
  it.each([
    ["passes", ""],
    ["meets", ""],
    ["finds its scratch memory zeroed", ""],
    ["warns as announced", ""],
    ["notes", "42 rounds"],
    ["runs for its time", "seconds 0.1"],
    ["has its own configuration", ""],
  ])("%s", (name, detail) => {
    expect(result(name)).toEqual({ name, ok: true, detail });
  });

  it("is skipped, with the reason", () => {
    const name = "is skipped";
    expect(result(name)).toEqual({ name, ok: true, skipped: true, detail: "needs real hardware" });
  });
});

describe.concurrent("a case fails, and its machine goes on, that", () => {
  const result = run_once("failing");
  it.each([
    ["fails a check", /^one and one: expected 3, got 2$/],
    ["fails a check very often", /^round 0\nround 1\n[^]*\n\.\.\. and \d+ more$/],
    ["warns unannounced", /^unexpected: WARNING: CPU: 0 at .*faulty-suite\.ts:\d+$/],
    ["does not warn", /^expected warning "the sky falls": it did not come$/],
    ["leaks", /^leak: 1 objects, 40 bytes from .*faulty-suite\.ts:\d+$/],
    ["stays in a read section", /^RCU read sections still open at the end: expected 0, got 1$/m],
    ["misses a meeting", /^body 0 waits to meet one that has returned$/],
  ])("%s", (name, detail) => {
    expect(result(name).detail).toMatch(detail);
    expect(result(name).ok).toBe(false);
  });

  it("and the case after it is not blamed", () => {
    expect(result("frees what it took")).toMatchObject({ ok: true });
  });

  it("a warning that comes after the case was judged is still the case's own", () => {
    const { ok, detail } = result("warns late");
    expect(detail).toMatch(/^after the case: unexpected: WARNING: CPU: \d+ at .*: too late$/);
    expect(ok).toBe(false);
  });
});

describe.concurrent("a case fails, and the next one gets a new machine, that", () => {
  const result = run_once("fatal", { hangMs: HANG_MS });
  it.each([
    ["throws", /^thread cpu0 died: the body is wrong \(at .*faulty-suite\.ts:\d+:\d+\)+$/],
    ["bugs", /^thread cpu1 died: kernel BUG at .*faulty-suite.*: the kernel is wrong$/],
    ["spins", /^hung: body 0 did not end within 2500 ms\n/],
    ["hangs", /^hung: body 1 did not end within 2500 ms\ncheck failed: said before it hung\n/],
    ["hangs", /^task 1 .*faulty-suite\.ts/m],
    ["breaks what comes after it", /^hung: waiting for what the case released within 2500 ms\n/],
  ])("%s: %s", (name, detail) => {
    expect(result(name).detail).toMatch(detail);
    expect(result(name).ok).toBe(false);
  });

  it("that machine is as good as the first", () => {
    expect(result("wants a machine for itself")).toMatchObject({ ok: true, detail: "" });
  });
});

describe.concurrent("a run", () => {
  it("is reported as a whole: counts, seed, and ok only when nothing failed", async () => {
    const report = await run({
      suites: ["failing", "passing"],
      cases: ["leaks", "passes", "is skipped"],
      seed: 7,
    });
    const { seconds, ...rest } = report;
    expect(seconds).toBeGreaterThan(0);
    const detail = expect.stringContaining("leak") as string;
    expect(rest).toEqual({
      ok: false,
      seed: 7,
      suites: [
        {
          name: "passing",
          source: "none",
          passed: 1,
          failed: 0,
          skipped: 1,
          cases: [
            { name: "passes", ok: true, detail: "" },
            { name: "is skipped", ok: true, skipped: true, detail: "needs real hardware" },
          ],
        },
        {
          name: "failing",
          source: "none",
          passed: 0,
          failed: 1,
          skipped: 0,
          cases: [{ name: "leaks", ok: false, detail }],
        },
      ],
    });
    expect((await run({ suites: ["passing"], cases: ["passes"] })).ok).toBe(true);
  });

  it("draws the same numbers for the same seed, whatever ran before, and others for another", async () => {
    const drawn = async (seed: number, ...cases: string[]): Promise<string | undefined> => {
      const report = await run({ suites: ["passing"], cases: [...cases, "draws"], seed });
      return report.suites[0]?.cases.at(-1)?.detail;
    };
    const first = await drawn(5);
    expect(first).toMatch(/^drew \d+$/);
    expect(await drawn(5, "meets", "notes")).toBe(first);
    expect(await drawn(6)).not.toBe(first);
  });

  it("repeats a case until it fails, and says when it did", async () => {
    const names: string[] = [];
    const report = await run({
      suites: ["failing"],
      cases: ["fails at the third seed"],
      repeat: 10,
      seed: 40,
      onProgress: ({ name, result }) => names.push(`${name}: ${result?.ok ?? "begins"}`),
    });
    expect(report.suites[0]?.cases[0]?.detail).toBe("round 3, seed 42:\nthe third seed");
    expect(names).toEqual(["fails at the third seed: begins", "fails at the third seed: false"]);
  });

  it("that is interrupted ends at once and reports what had ended", async () => {
    const abort = new AbortController();
    const report = await run({
      cases: ["passes", "hangs", "wants a machine for itself"],
      hangMs: SUITE_MS,
      signal: abort.signal,
      onProgress: ({ name }) => {
        if (name === "hangs") setTimeout(() => abort.abort(), 200);
      },
    });
    expect(report).toMatchObject({ ok: false, interrupted: true });
    expect(report.suites.map((suite) => suite.cases.map((each) => each.name))).toEqual([["passes"], []]);
  });

  it("of a suite or case that does not exist is refused with the nearest names", async () => {
    await expect(run({ suites: ["pasing"] })).rejects.toThrow(/^unknown suite "pasing"; nearest: passing, /);
    await expect(run({ cases: ["leeks"] })).rejects.toThrow(/^unknown case "leeks"; nearest: leaks, /);
    await expect(run({ suites: ["fatal"], cases: ["leaks"] })).rejects.toThrow(UnknownName);
  });
});
