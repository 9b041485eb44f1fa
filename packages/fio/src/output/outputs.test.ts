import { expect, it } from "vitest";
import { DDIR_READ } from "../job/job.ts";
import { makeReport } from "../stat/report.ts";
import { captured, capturedJobs } from "../testing/captured-run.ts";
import { measured } from "../testing/real-fio.ts";
import { jsonOutput } from "./json.ts";
import { normalHeader, normalOutput } from "./normal.ts";
import { terseOutput } from "./terse.ts";

// The captured run tells local times.
process.env["TZ"] = "UTC";

const run = measured(captured.json);
const report = makeReport(capturedJobs, run);

it("JSON+ of what real fio counted is real fio's, byte for byte", () => {
  expect(jsonOutput(report, true)).toBe(captured.json);
});

it("JSON is JSON+ without the bins", () => {
  const without = captured.json.replaceAll(/,\n *"bins" : \{[^}]*\}/g, "");
  expect(without).not.toBe(captured.json);
  expect(jsonOutput(report, false)).toBe(without);
});

it("terse lines of what real fio counted are real fio's, with 130 fields each for one disk", () => {
  expect(terseOutput(report)).toBe(captured.terse);
  const [first, second, third] = terseOutput(report).trimEnd().split("\n");
  // A description is a field more, continue_on_error two.
  expect([first, second, third].map((line) => line?.split(";").length)).toEqual([131, 132, 130]);
});

it("the human report of what real fio counted is real fio's, but for the process number", () => {
  expect(normalOutput(report, 7)).toBe(captured.normal.replaceAll(/ pid=\d+/g, " pid=7"));
});

it("the lines before a run are real fio's, with one more that says who runs", () => {
  const expected = captured.header
    .replace("fio-3.33\n", "fio-3.33\nringside\n")
    .replace("4 processes", "4 threads");
  expect(normalHeader(capturedJobs, "ringside")).toBe(expected);
});

it("a latency that differs in one bucket is told differently", () => {
  const other = measured(captured.json);
  const { buckets } = other.threads[0]!.ddir[DDIR_READ].clat;
  const first = buckets.findIndex((count) => count > 0);
  buckets[first]! -= 1;
  buckets[1800]! += 1;
  const told = makeReport(capturedJobs, other);
  expect(jsonOutput(told, false)).not.toBe(jsonOutput(report, false));
  expect(normalOutput(told, 7)).toContain("99.90th=[9730785280]");
  expect(jsonOutput(told, true)).toContain('"9730785280" : 1');
});
