import { run_jobs } from "@ringside/workers/jobs";
import { DEFAULT_STRESS, type StressOptions, type StressReport } from "@ringside/workers/stress";
import { expect, it } from "vitest";
import { left_behind, resources } from "../machine/resources.ts";
import { complaints } from "./verified-run.ts";

const SHORT: StressOptions = { ...DEFAULT_STRESS, seconds: 0.5, depth: 4 };

it("jobs run on their own threads; one that fails is told of and does not stop the others", async () => {
  const before = await resources();
  const impossible: StressOptions = { ...SHORT, seed: 2, completion: "poll", buffer: "dmabuf" };
  const jobs = [{ ...SHORT, seed: 1 }, impossible, { ...SHORT, seed: 3 }];
  const outcomes = new Map<number, StressReport | Error>();
  await run_jobs(jobs, { threads: 2, onDone: (job, outcome) => outcomes.set(job.seed, outcome) });
  expect(outcomes.get(2)).toMatchObject({ message: expect.stringContaining("completion poll") as string });
  for (const seed of [1, 3]) {
    const report = outcomes.get(seed) as StressReport;
    expect(complaints(report)).toBe("");
    expect(report).toMatchObject({ ok: true, seed });
  }
  expect(await left_behind(before), "the pool has ended").toEqual({});
});

it("jobs may come from a generator, asked for the next one only when a thread is free", async () => {
  let made = 0;
  let done = 0;
  function* jobs(): Generator<StressOptions> {
    for (; made < 3; made++) {
      expect(made - done).toBeLessThan(1);
      yield { ...SHORT, seed: 1 + made };
    }
  }
  await run_jobs(jobs(), { threads: 1, onDone: () => done++ });
  expect({ made, done }).toEqual({ made: 3, done: 3 });
});
