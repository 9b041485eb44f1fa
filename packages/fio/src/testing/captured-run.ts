/**
 * One run of real fio 3.33, kept: captured/run.txt is the output of
 * `fio --output-format=normal,terse,json+ run.fio`, and these are run.fio's jobs.
 */
import { readFileSync } from "node:fs";
import type { FioJob, Rw } from "../job/job.ts";
import { same, testJob } from "./jobs.ts";
import { type Printed, split } from "./real-fio.ts";

const HERE = new URL("captured/", import.meta.url);

export const capturedText: string = readFileSync(new URL("run.txt", HERE), "utf8");

export const captured: Printed = split(capturedText);

const RW: Rw = testJob("rw").options.rw;

const globals: FioJob["globals"] = [
  ["ioengine", "null"],
  ["size", "1m"],
  ["bs", "4k"],
];

const mix = {
  description: "two readers and writers",
  rw: { ...RW, ddirs: [true, true, false], random: true },
  iodepth: 4,
  groupReporting: true,
  slatPercentiles: true,
} as const;

const given: FioJob["given"] = [
  ["description", "two readers and writers"],
  ["rw", "randrw"],
  ["rwmixread", "70"],
  ["iodepth", "4"],
  ["numjobs", "2"],
  ["group_reporting", ""],
  ["slat_percentiles", "1"],
];

export const capturedJobs: readonly FioJob[] = [
  testJob("mix", mix, { number: 0, globals, given }),
  testJob("mix", mix, { number: 1, clone: 1, globals, given }),
  testJob(
    "log",
    {
      rw: { ...RW, ddirs: [false, true, false], random: true },
      bs: [
        { min: 512, max: 512 },
        { min: 8192, max: 8192 },
        { min: 8192, max: 8192 },
      ],
      // What is said of the engine is only its name.
      ioengine: "psync" as "null",
      latPercentiles: true,
      clatPercentiles: false,
      percentileList: [50, 99, 99.9],
      continueOnError: "all",
    },
    {
      number: 2,
      group: 1,
      stage: 1,
      globals,
      given: [
        ["stonewall", ""],
        ["ioengine", "psync"],
        ["rw", "randwrite"],
        ["bs", "512-8k"],
        ["fsync", "16"],
        ["direct", "1"],
        ["lat_percentiles", "1"],
        ["clat_percentiles", "0"],
        ["percentile_list", "50:99:99.9"],
        ["continue_on_error", "io"],
        ["rate_iops", "1500"],
        ["time_based", ""],
        ["runtime", "1100ms"],
        // fio sorts its options by priority; this one comes last.
        ["filename", "data"],
      ],
    },
  ),
  testJob(
    "clear",
    {
      rw: { ...RW, ddirs: [false, true, true], trimwrite: true },
      bs: same({ min: 4096, max: 4096 }),
      latencyTargetUs: 10,
      latencyWindowUs: 1000,
      latencyPercentile: 99.5,
      iodepth: 8,
    },
    {
      number: 3,
      group: 2,
      stage: 2,
      globals,
      given: [
        ["stonewall", ""],
        ["rw", "trimwrite"],
        ["latency_target", "10us"],
        ["latency_window", "1ms"],
        ["latency_percentile", "99.5"],
        ["iodepth", "8"],
      ],
    },
  ),
];
