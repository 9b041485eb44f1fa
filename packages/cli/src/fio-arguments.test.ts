/** Which arguments of `ringside fio` are job options, their values, or job files. */
import { expect, test } from "vitest";
import { parseCommandLine } from "@ringside/fio/job/parse";
import { testEnv } from "@ringside/fio/job/testing";
import { splitArguments } from "./fio-arguments.ts";

test.each([
  [["--rw", "read"], []],
  [["--write_bw_log", "x"], []],
  [["--nice", "-5"], []],
  [["--write_bw_log", "--x"], []],
  [["-bs", "4k"], []],
  [["--emu", "iommu=lazy"], []],
  [["--rw=read"], ["x"]],
  [["--time_based"], ["x"]],
  [["--group_reporting"], ["-"]],
  [["--nosuch"], ["x"]],
])("an option takes the argument behind it if it needs one: %j, and files are %j", (options, files) => {
  const rest = ["--name=b", "b.fio"];
  expect(splitArguments([...options, ...files, ...rest])).toEqual({
    options: [...options, "--name=b"],
    files: [...files, "b.fio"],
  });
});

test("the job reader takes the same arguments for values", () => {
  const args = [
    "--name",
    "a",
    "--ioengine=null",
    "--nice",
    "-5",
    "--write_bw_log",
    "x",
    "a.fio",
    "--time_based",
    "--runtime=5",
  ];
  const { options, files } = splitArguments(args);
  expect(files).toEqual(["a.fio"]);
  const result = parseCommandLine(options, [], testEnv());
  const jobs = "jobs" in result ? result.jobs : [];
  expect(jobs.map(({ name, options: { logs, timeBased } }) => [name, logs.bw, timeBased])).toEqual([
    ["a", "x", true],
  ]);
});

test("an option without the value it needs stays alone, for the job reader to refuse", () => {
  expect(splitArguments(["--name=a", "--bs"])).toEqual({ options: ["--name=a", "--bs"], files: [] });
});
