import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { FioJob } from "../job/job.ts";
import { type JobEnv, parseJobFiles } from "../job/parse.ts";
import { makeReport } from "../stat/report.ts";
import { captured, capturedJobs } from "../testing/captured-run.ts";
import { keyTree } from "../testing/key-tree.ts";
import { measured, type Printed, split } from "../testing/real-fio.ts";
import { jsonOutput } from "./json.ts";
import { normalOutput } from "./normal.ts";
import { terseOutput } from "./terse.ts";

const LIMIT_MS = 20_000;

const version = spawnSync("fio", ["--version"], { encoding: "utf8", timeout: LIMIT_MS }).stdout?.trim();
const validator = spawnSync("fio_jsonplus_clat2csv", ["--help"], { timeout: LIMIT_MS }).status;

const JOBS = `
; what real fio and ringside both run
[global]
ioengine=null
size=2m
bs=4k

[mix]
description=readers and writers
rw=randrw
rwmixread=70
iodepth=4
numjobs=2
group_reporting
slat_percentiles=1

[unified]
stonewall
rw=rw
unified_rw_reporting=mixed
lat_percentiles=1
percentile_list=50:99.5:99.99

[errors]
stonewall
continue_on_error=all
rw=trimwrite
`;

const ENV: JobEnv = {
  read: (path) => {
    throw new Error(`no file ${path} here`);
  },
  env: {},
  cpus: 4,
  pageSize: 4096,
  memoryMb: 1024,
  media: 1 << 30,
};

let folder: string;
beforeAll(() => {
  process.env["TZ"] = "UTC";
  folder = mkdtempSync(join(tmpdir(), "ringside-fio-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function runFio(): Printed {
  writeFileSync(join(folder, "run.fio"), JOBS);
  const args = ["--output-format=normal,terse,json+", "run.fio"];
  const { stdout, status } = spawnSync("fio", args, { cwd: folder, encoding: "utf8", timeout: LIMIT_MS });
  expect(status).toBe(0);
  return split(stdout);
}

function parsed(): readonly FioJob[] {
  const result = parseJobFiles([{ name: "run.fio", text: JOBS }], ENV);
  if ("errors" in result) throw new Error(result.errors.map(({ message }) => message).join("\n"));
  return result.jobs;
}

/** Means lose their last digit on the way through JSON; a process and the second of printing are its own. */
function withoutMeans(text: string): string {
  return text.replaceAll(/(avg|stdev)=\s*[\d.]+/g, "$1=").replaceAll(/ pid=.*/g, "");
}

it.skipIf(version !== "fio-3.33")(
  "the same job file and counts: JSON+, human report and terse lines are those of real fio (needs fio 3.33)",
  () => {
    const real = runFio();
    const report = makeReport(parsed(), measured(real.json));
    expect(jsonOutput(report, true)).toBe(real.json);
    expect(withoutMeans(normalOutput(report, 1))).toBe(withoutMeans(real.normal));
    const terse = terseOutput(report);
    const fields = (text: string): number[] => text.split("\n").map((line) => line.split(";").length);
    expect(fields(terse)).toEqual(fields(real.terse));
  },
);

it("the key tree of our JSON, and of our JSON+, is the captured one: order and types", () => {
  const report = makeReport(capturedJobs, measured(captured.json));
  expect(keyTree(jsonOutput(report, true))).toEqual(keyTree(captured.json));
  const plain = keyTree(captured.json).filter((line) => !line.includes("bins"));
  expect(keyTree(jsonOutput(report, false))).toEqual(plain);
  // A key tree tells a float from an int, and one order from another.
  expect(keyTree('{"a" : 1, "b" : 1.0}')).not.toEqual(keyTree('{"a" : 1, "b" : 1}'));
  expect(keyTree('{"a" : 1, "b" : 1}')).not.toEqual(keyTree('{"b" : 1, "a" : 1}'));
});

/** fio's own converter makes a CSV of one JSON+ document, and validates it against another. */
function convertAndValidate(json: string, against: string): { status: number | null; validated: number } {
  writeFileSync(join(folder, "plus.json"), json);
  writeFileSync(join(folder, "against.json"), against);
  const script = (args: string[]): { status: number | null; stdout: string } =>
    spawnSync("fio_jsonplus_clat2csv", args, { cwd: folder, encoding: "utf8", timeout: LIMIT_MS });
  expect(script(["plus.json", "plus.csv"]).status).toBe(0);
  const { status, stdout } = script(["--validate", "against.json", "plus.csv"]);
  return { status, validated: stdout.match(/ validated$/gm)?.length ?? 0 };
}

it.skipIf(validator !== 0)(
  "fio_jsonplus_clat2csv --validate accepts our JSON+, and not with a falsified bin (needs fio's scripts)",
  () => {
    const good = jsonOutput(makeReport(capturedJobs, measured(captured.json)), true);
    expect(convertAndValidate(good, good)).toEqual({ status: 0, validated: 3 });
    const falsified = good.replace(/("bins" : \{\s*"\d+" : )\d+/, "$1100000");
    expect(falsified).not.toBe(good);
    expect(convertAndValidate(good, falsified).validated).toBe(0);
  },
);
