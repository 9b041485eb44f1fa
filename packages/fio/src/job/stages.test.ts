import { describe, expect, it } from "vitest";
import type { FioJob } from "./job.ts";
import { parseCommandLine } from "./parse.ts";
import { jobsOf, testEnv } from "./testing.ts";

const places = (jobs: readonly FioJob[]): string[] =>
  jobs.map(
    ({ name, clone, number, stage, group }) => `${name}.${clone} #${number} stage ${stage} group ${group}`,
  );

describe("jobs in their order", () => {
  it("clones stand together, stonewall starts a stage and a group, new_group a group", () => {
    const text = "[a]\nstonewall\nnumjobs=2\n[b]\n[c]\nstonewall\nnumjobs=2\n[d]\nnew_group\n";
    expect(places(jobsOf(text))).toEqual([
      "a.0 #0 stage 0 group 0",
      "a.1 #1 stage 0 group 0",
      "b.0 #2 stage 0 group 0",
      "c.0 #3 stage 1 group 1",
      "c.1 #4 stage 1 group 1",
      "d.0 #5 stage 1 group 2",
    ]);
  });

  it("stonewall=0 takes back what [global] says", () => {
    expect(places(jobsOf("[global]\nstonewall\n[a]\n[b]\nstonewall=0\n"))).toEqual([
      "a.0 #0 stage 0 group 0",
      "b.0 #1 stage 0 group 0",
    ]);
  });

  it("a job may wait for one before it", () => {
    expect(jobsOf("[a]\n[b]\nwait_for=a\n").map(({ waitFor }) => waitFor)).toEqual([undefined, "a"]);
  });

  it("a job without a filename has a file of its own, each clone another", () => {
    const files = jobsOf("[a]\nnumjobs=2\n[b]\nfilename=x:y\\:z\n[nvme0n1]\n").map((job) => job.files);
    expect(files).toEqual([["a.0.0"], ["a.1.0"], ["x", "y:z"], ["nvme0n1"]]);
  });
});

it("name= renames the first clone in what is told, not its file, and is not inherited", () => {
  const jobs = jobsOf("[global]\nname=x\n[a]\nnumjobs=2\nname=first\n[b]\nwait_for=first\n");
  expect(jobs.map(({ name, files }) => [name, files[0]])).toEqual([
    ["first", "a.0.0"],
    ["a", "a.1.0"],
    ["b", "b.0.0"],
  ]);
});

describe("what a job says of its options", () => {
  it("is what its section says, canonical names, as written, filename last", () => {
    const text =
      "[global]\nblocksize=4k\ntime_based\n[a]\nfilename=${SIZE}\nreadwrite=read\nnorandommap\n[global]\nbs=8k\n";
    const [job] = jobsOf(text);
    expect(job?.given).toEqual([
      ["rw", "read"],
      ["norandommap", ""],
      ["filename", "8k"],
    ]);
    expect(job?.globals).toEqual([
      ["bs", "4k"],
      ["time_based", ""],
      ["bs", "8k"],
    ]);
  });

  it("begins with the name on the command line", () => {
    const args = ["--ioengine=null", "--name=a", "--rw", "write", "--norandommap", "--name=b", "--iodepth=4"];
    const result = parseCommandLine(args, [{ name: "f", text: "[c]\n" }], testEnv());
    const jobs = "jobs" in result ? result.jobs : [];
    expect(jobs.map(({ given }) => given)).toEqual([
      [
        ["name", "a"],
        ["rw", "write"],
        ["norandommap", ""],
      ],
      [
        ["name", "b"],
        ["iodepth", "4"],
      ],
      [],
    ]);
    expect(jobs.map(({ options, stage }) => [options.ioengine, stage])).toEqual([
      ["null", 0],
      ["null", 0],
      ["null", 0],
    ]);
    expect(jobs[0]?.globals).toEqual([["ioengine", "null"]]);
  });
});
