import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { findMutant, MUTANTS } from "@ringside/mutants/index";
import { mutants_table } from "@ringside/mutants/table";
import { type Edit, type Mutant, mutateSource } from "@ringside/mutants/mutant";
import { afterAll, describe, expect, it } from "vitest";
import { applyMutant } from "./mutate.ts";
import type { MutateAnswer, MutateJob } from "./testing/mutate-worker.ts";

const ROOT = join(import.meta.dirname, "../..");
const FIXTURE = "workers/src/testing/mutate-fixture.ts";
const LIMIT_FILE = "workers/src/testing/mutate-fixture-limit.ts";

const cacheFolder = mkdtempSync(join(tmpdir(), "ringside-mutate-"));
afterAll(() => rmSync(cacheFolder, { recursive: true }));

function mutant(...edits: Edit[]): Mutant {
  return { name: "fixture", edits, breaks: "Nothing that matters.", caughtBy: [], stress: {} };
}

const LARGER = mutant({ file: FIXTURE, find: "Math.min(", replace: "Math.max(" });

async function runThread(job: MutateJob, env: NodeJS.ProcessEnv = process.env): Promise<MutateAnswer> {
  const url = new URL("./testing/mutate-worker.ts", import.meta.url);
  const worker = new Worker(url, { workerData: job, env, execArgv: [] });
  const [answer] = (await once(worker, "message", { signal: AbortSignal.timeout(30_000) })) as [MutateAnswer];
  await worker.terminate();
  return answer;
}

describe("a thread with a mutant", () => {
  it("runs other code than one without", async () => {
    expect(await runThread({})).toEqual({ clamped: 10 });
    expect(await runThread({ mutant: LARGER })).toEqual({ clamped: 100 });
    expect(await runThread({}), "the next thread is sane again").toEqual({ clamped: 10 });
  });

  it("may have several files edited, and several places in one", async () => {
    const limit = { file: LIMIT_FILE, find: "number = 10", replace: "number = 20" };
    const min = { file: FIXTURE, find: "Math.min(", replace: "1 + Math.min(" };
    const value = { file: FIXTURE, find: "value, LIMIT", replace: "value / 10, LIMIT" };
    expect(await runThread({ mutant: mutant(limit, value, min) })).toEqual({ clamped: 11 });
  });

  it("is not fooled by the compile cache, nor does it poison it", async () => {
    const env = { ...process.env, NODE_COMPILE_CACHE: cacheFolder };
    for (const job of [{}, {}, { mutant: LARGER }, { mutant: LARGER }, {}]) {
      expect(await runThread(job, env)).toEqual({ clamped: job.mutant ? 100 : 10 });
    }
  });

  it.each([
    ["no longer there", "Math.hypot(", 0],
    ["ambiguous", "number", 2],
  ])("does not start when the text is %s", async (_, find, count) => {
    const answer = await runThread({ mutant: mutant({ file: FIXTURE, find, replace: "" }) });
    expect(answer).toEqual({
      error: `mutant fixture: its text occurs ${count} times in ${FIXTURE}, not once: "${find}"`,
    });
  });

  it("does not start when the module was loaded too early", async () => {
    expect(await runThread({ mutant: LARGER, late: true })).toEqual({
      error: expect.stringMatching(
        /^mutant fixture: loaded before it was applied.*mutate-fixture\.ts$/,
      ) as string,
    });
  });
});

describe("mutateSource", () => {
  const A = { file: "a.ts", find: "one", replace: "$& two" };

  it("replaces literally, and all finds refer to the source as it stands", () => {
    expect(mutateSource(mutant(A), "a.ts", "0 one 3")).toBe("0 $& two 3");
    const two = { file: "a.ts", find: "two", replace: "one" };
    expect(mutateSource(mutant(two, A), "a.ts", "one two")).toBe("$& two one");
  });

  it("leaves files it does not list alone", () => {
    expect(mutateSource(mutant(A), "b.ts", "nothing to find")).toBe("nothing to find");
  });

  it("refuses edits that overlap", () => {
    const overlapping = { file: "a.ts", find: "ne tw", replace: "" };
    expect(() => mutateSource(mutant(A, overlapping), "a.ts", "one two")).toThrow("edits overlap in a.ts");
  });
});

describe("names", () => {
  const named = ["skip-iotlb-flush", "skip-grace-period", "lost-wakeup", "double-signal"].map((name) => ({
    ...LARGER,
    name,
  }));

  it("a known one is found", () => {
    expect(findMutant("lost-wakeup", named).name).toBe("lost-wakeup");
  });

  it("an unknown one is an error that lists the nearest", () => {
    expect(() => findMutant("lost-wakup", named)).toThrow(
      /^unknown mutant "lost-wakup"; nearest: lost-wakeup, /,
    );
    expect(() => applyMutant("no-such-mutant")).toThrow('unknown mutant "no-such-mutant"');
  });
});

describe("the list of mutants", () => {
  it("every mutant still applies: its find text occurs exactly once in its file", () => {
    for (const each of MUTANTS) {
      expect(each.edits, each.name).not.toEqual([]);
      for (const { file } of each.edits) {
        expect(existsSync(join(ROOT, file)), `${each.name}: ${file}`).toBe(true);
        const source = readFileSync(join(ROOT, file), "utf8");
        expect(mutateSource(each, file, source), each.name).not.toBe(source);
      }
    }
  });

  it("mutants/README.md shows the table as it is", () => {
    expect(readFileSync(join(ROOT, "mutants/README.md"), "utf8")).toContain(mutants_table());
  });

  it("no two mutants have the same name", () => {
    expect(new Set(MUTANTS.map((each) => each.name)).size).toBe(MUTANTS.length);
  });
});
