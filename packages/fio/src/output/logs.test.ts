import { expect, it } from "vitest";
import { BUCKETS } from "../stat/buckets.ts";
import { newThreadStat } from "../stat/thread-merge.ts";
import type { LogSample } from "../stat/thread-stat.ts";
import { testJob } from "../testing/jobs.ts";
import { logFiles } from "./logs.ts";

const SAMPLES: LogSample[] = [
  { time: 100, value: 18_432.7, ddir: 1, bs: 4096, offset: 8192 },
  { time: 200, value: 19, ddir: 0, bs: 4096, offset: 0 },
];

function logged(options: Parameters<typeof testJob>[1]): ReturnType<typeof logFiles> {
  const stat = newThreadStat("log", 2, 0);
  const buckets = new Float64Array(BUCKETS);
  buckets[3] = 5;
  return logFiles(testJob("log", options, { number: 2 }), {
    ...stat,
    logs: {
      bw: SAMPLES,
      iops: SAMPLES,
      slat: [],
      clat: SAMPLES,
      lat: SAMPLES,
      hist: [{ time: 201, ddir: 1, bs: 8192, buckets }],
    },
  });
}

it("each log has fio's file name, numbered from 1 by job", () => {
  const files = logged({ logs: { bw: "b", iops: "i", lat: "l", hist: "h" } });
  expect(files.map(({ name }) => name)).toEqual([
    "l_lat.3.log",
    "l_slat.3.log",
    "l_clat.3.log",
    "h_clat_hist.3.log",
    "b_bw.3.log",
    "i_iops.3.log",
  ]);
});

it("a line is time, value, direction, block size, priority", () => {
  const [file] = logged({ logs: { bw: "b" } });
  expect(file?.text).toBe("100, 18432, 1, 4096, 0\n200, 19, 0, 4096, 0\n");
});

it("log_offset puts the offset before the priority", () => {
  const [file] = logged({ logs: { bw: "b" }, logOffset: true });
  expect(file?.text).toBe("100, 18432, 1, 4096, 8192, 0\n200, 19, 0, 4096, 0, 0\n");
});

it("a log without samples is an empty file", () => {
  const files = logged({ logs: { lat: "l" } });
  expect(files.find(({ name }) => name === "l_slat.3.log")?.text).toBe("");
});

it("latencies that are not measured have no log, and who asks for none gets none", () => {
  expect(logged({ logs: { lat: "l" }, disableSlat: true, disableLat: true })).toHaveLength(1);
  expect(logged({})).toEqual([]);
});

it("a histogram line has all 1856 counts", () => {
  const [file] = logged({ logs: { hist: "h" } });
  expect(file?.text).toMatch(/^201, 1, 8192, 0, 0, 0, 5, 0, .*, 0\n$/);
  expect(file?.text.split(", ")).toHaveLength(3 + BUCKETS);
});
