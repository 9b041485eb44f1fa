import { describe, expect, it } from "vitest";
import { parseCommandLine, parseJobFiles } from "./parse.ts";
import { INCLUDE_DEPTH_MAX } from "./sections.ts";
import { errorsOf, jobOf, jobsOf, testEnv } from "./testing.ts";

const depth = (text: string): (readonly [string, number])[] =>
  jobsOf(text).map(({ name, options }) => [name, options.iodepth] as const);

describe("[global]", () => {
  it("is for the jobs behind it, and a later one for later jobs only", () => {
    const text = "[global]\niodepth=2\n[a]\n[b]\niodepth=3\n[global]\niodepth=4\n[c]\n";
    expect(depth(text)).toEqual([
      ["a", 2],
      ["b", 3],
      ["c", 4],
    ]);
  });

  it("is any section whose name begins so", () => {
    expect(depth("[globaltastic]\niodepth=2\n[a]\n")).toEqual([["a", 2]]);
  });

  it("does not reach the next file, which begins behind a stonewall", () => {
    const sources = [
      { name: "1", text: "[global]\niodepth=2\n[a]\n" },
      { name: "2", text: "[b]\n[c]\n" },
    ];
    const result = parseJobFiles(sources, testEnv());
    const jobs = "jobs" in result ? result.jobs : [];
    expect(jobs.map(({ name, stage, group, options }) => [name, stage, group, options.iodepth])).toEqual([
      ["a", 0, 0, 2],
      ["b", 1, 1, 1],
      ["c", 1, 1, 1],
    ]);
    expect(jobs[0]?.globals).toEqual([]);
  });
});

describe("a line", () => {
  it("ends where a comment begins, in a value too", () => {
    expect(jobOf("description=a;b", "iodepth=4 # deep", "; bs=1", "# bs=1").options).toMatchObject({
      description: "a",
      iodepth: 4,
    });
  });

  it("may have blanks around it and end with CR LF", () => {
    expect(depth("\r\n  [a]  \r\n\t iodepth=4\t\r\n")).toEqual([["a", 4]]);
  });

  it("may be a bare key", () => {
    expect(jobOf("norandommap").options.norandommap).toBe(true);
  });
});

describe("include", () => {
  it("puts the file's options where it stands", () => {
    const env = testEnv({ inc: "# defaults\niodepth=8\nbs=8k\n" });
    const [job] = jobsOf("[a]\niodepth=2\ninclude inc\nbs=512\n", env);
    expect([job?.options.iodepth, job?.options.bs[0].min]).toEqual([8, 512]);
  });

  it("looks beside the including file when the path as it stands is not there", () => {
    const env = testEnv({ "jobs/deep/one": "include two\n", "jobs/deep/two": "iodepth=8\n" });
    const result = parseJobFiles([{ name: "jobs/a.fio", text: "[a]\ninclude deep/one\n" }], env);
    expect("jobs" in result && result.jobs[0]?.options.iodepth).toBe(8);
  });

  it("has no sections, and says where it has one", () => {
    const [error] = errorsOf("[a]\ninclude inc\n", testEnv({ inc: "bs=4k\n[b]\n" }));
    expect(error).toMatchObject({ file: "inc", line: 2, option: "[b]" });
    expect(error?.message).toContain("No new sections in included files");
  });

  it("names a file that is not there, and the line", () => {
    const [error] = errorsOf("[a]\nbs=4k\ninclude nowhere\n");
    expect(error).toMatchObject({ file: "a.fio", line: 3 });
    expect(error?.message).toContain("fio: unable to open 'nowhere' job file");
  });

  it("takes what stands behind one character, whichever, and not more", () => {
    const env = testEnv({ inc: "iodepth=8\n" });
    expect(jobsOf("[a]\ninclude=inc\n", env)[0]?.options.iodepth).toBe(8);
    expect(errorsOf("[a]\ninclude  inc\n", env)[0]?.message).toContain("unable to open ' inc'");
  });

  it("that fails inside another is told by both, as fio tells it", () => {
    const [error] = errorsOf("[a]\ninclude d/inc\n", testEnv({ "d/inc": "include no\n" }));
    expect(error?.message.split("\n")).toEqual([
      "fio: unable to open 'd/no' job file",
      expect.stringContaining("d/inc:1: "),
      "Error 1 while parsing include file d/no",
      "Error 1 while parsing include file d/inc",
    ]);
  });

  it("is nested only so deep, in a circle too", () => {
    const [error] = errorsOf("[a]\ninclude inc\n", testEnv({ inc: "include inc\n" }));
    expect(error?.expected).toContain(String(INCLUDE_DEPTH_MAX));
  });

  it("makes errors name the included file's line", () => {
    const [error] = errorsOf("[a]\ninclude inc\n", testEnv({ inc: "\nnosuch=1\n" }));
    expect(error).toMatchObject({ file: "inc", line: 2, option: "nosuch=1" });
    expect(error?.message).toContain("fio: job a dropped");
  });
});

describe("--section", () => {
  const TEXT = "[global]\niodepth=2\n[a]\n[b]\nnosuch=1\n[c]\n";

  it("runs the named sections and reads no others, but every [global]", () => {
    const jobs = jobsOf(TEXT, testEnv(), { sections: ["a", "c"] });
    expect(jobs.map(({ name, options }) => [name, options.iodepth])).toEqual([
      ["a", 2],
      ["c", 2],
    ]);
  });

  it("is for jobs of the command line as well", () => {
    const result = parseCommandLine(["--name=a", "--name=b"], [], testEnv(), { sections: ["b"] });
    expect("jobs" in result && result.jobs.map(({ name }) => name)).toEqual(["b"]);
  });

  it("does not look into the others, at what they include neither", () => {
    const text = "[a]\n[b]\ninclude nowhere\n[c]\n";
    expect(jobsOf(text, testEnv(), { sections: ["a"] }).map(({ name }) => name)).toEqual(["a"]);
  });

  it("may leave no job", () => {
    expect(jobsOf(TEXT, testEnv(), { sections: ["z"] })).toEqual([]);
  });
});

describe("a section's name", () => {
  it("may hold brackets and blanks, and 254 characters", () => {
    const name = "x".repeat(254);
    const jobs = jobsOf(`[g]h]\n[[k]\n[ sp ]\n[${name}]\n`);
    expect(jobs.map((job) => job.name)).toEqual(["g]h", "[k", " sp ", name]);
    expect(errorsOf(`[${name}x]\n`)).toHaveLength(1);
  });

  it("is not behind a byte order mark, which is no blank", () => {
    expect(errorsOf("\ufeff[a]\n")[0]?.message).toContain("outside of [] job section");
  });
});

it("${NAME} is the environment's text, in an include as well", () => {
  expect(jobOf("bs=${SIZE}").options.bs[0]).toEqual({ min: 8192, max: 8192 });
});
