/** What an option leaves of what was said before it: by [global], by the same option, by another job. */
import { describe, expect, it } from "vitest";
import { parseJobFiles } from "./parse.ts";
import { hasFio, jobOf, jobsOf, realFio, testEnv } from "./testing.ts";

const FIO = hasFio();
const CLONES = "[a]\nioengine=null\nsize=4k\nnumjobs=3\noffset_increment=1m\n";
const FILES = "[global]\nioengine=null\nsize=8k\nfilename=x\n[a]\nfilename=y:z\n[b]\n";

/** The files that real fio adds to jobs, in order. */
function added(text: string): string[] {
  const { output } = realFio(["--debug=file"], text);
  return [...output.matchAll(/add file (\S+)/g)].map((found) => found[1] ?? "");
}

describe("filename", () => {
  it("adds to the files said before, those of [global] too (options.c, str_filename_cb)", () => {
    expect(jobsOf(FILES).map(({ files }) => files)).toEqual([["x", "y", "z"], ["x"]]);
    expect(jobOf("filename=x", "filename=y").files).toEqual(["x", "y"]);
  });

  it("keeps blanks inside the list", () => {
    expect(jobOf("filename= a: b ").files).toEqual(["a", " b"]);
  });

  it.skipIf(!FIO)("adds in real fio as well (skipped where fio 3.33 is not installed)", () => {
    expect(added(FILES)).toEqual(["x", "y", "z"]);
  });
});

describe("clones", () => {
  it("are counted down behind the first (init.c, add_job): the second job has the last offset", () => {
    const jobs = jobsOf(CLONES);
    expect(jobs.map(({ clone }) => clone)).toEqual([0, 2, 1]);
    expect(jobs.map(({ files }) => files[0])).toEqual(["a.0.0", "a.2.0", "a.1.0"]);
  });

  it.skipIf(!FIO)("are in real fio as well (skipped where fio 3.33 is not installed)", () => {
    expect(added(CLONES)).toEqual(["a.0.0", "a.2.0", "a.1.0"]);
  });
});

describe("an option said again", () => {
  it("bare write_bw_log keeps the prefix said before it", () => {
    const [job] = jobsOf("[global]\nwrite_bw_log=x\nwrite_lat_log\n[a]\nwrite_bw_log\n");
    expect(job?.options.logs).toEqual({ bw: "x", lat: "a" });
  });

  it("bssplit keeps the list of a direction that it leaves out", () => {
    const { bssplit, bs } = jobOf("bssplit=4k/50:8k/50", "bssplit=,16k/100").options;
    expect(bssplit.map((list) => list.length)).toEqual([2, 1, 1]);
    expect(bs[0]).toEqual({ min: 4096, max: 8192 });
  });
});

describe("options of io_uring", () => {
  it("stay behind when a job takes another engine", () => {
    const text = "[global]\nioengine=io_uring\nhipri\nfixedbufs\n[a]\n[b]\nioengine=libaio\n";
    const jobs = jobsOf(text);
    expect(jobs.map(({ options }) => [options.hipri, options.fixedbufs])).toEqual([
      [true, true],
      [false, false],
    ]);
  });
});

describe("the stonewall before a further file", () => {
  it("is taken away by the first job's own stonewall=0", () => {
    const sources = ["[a]\n", "[global]\nstonewall=0\n[b]\nstonewall=0\n[c]\n", "[d]\n"];
    const result = parseJobFiles(
      sources.map((text, index) => ({ name: String(index), text })),
      testEnv(),
    );
    expect("jobs" in result && result.jobs.map(({ stage }) => stage)).toEqual([0, 0, 0, 1]);
  });
});
