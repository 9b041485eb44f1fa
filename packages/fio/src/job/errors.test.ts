import { describe, expect, it } from "vitest";
import { parseCommandLine } from "./parse.ts";
import { errorsOf, testEnv } from "./testing.ts";

function commandLineErrors(...args: readonly string[]): string[] {
  const result = parseCommandLine(args, [], testEnv());
  return "errors" in result ? result.errors.map(({ message }) => message) : [];
}

describe("an error", () => {
  it("names file, line and option, and what was expected, behind fio's words", () => {
    const errors = errorsOf("[a]\nrw=read\niodepth=0\n");
    expect(errors).toEqual([
      {
        file: "a.fio",
        line: 3,
        option: "iodepth=0",
        expected: "a whole number, at least 1",
        message: [
          "iodepth: min value out of range: 0 (1 min)",
          "fio: failed parsing iodepth=0",
          "a.fio:3: iodepth: expected a whole number, at least 1",
          "fio: job a dropped",
        ].join("\n"),
      },
    ]);
  });

  it("of an unknown option guesses the one that was meant", () => {
    const [error] = errorsOf("[a]\nnumjob=2\n");
    expect(error?.message).toMatch(
      /Bad option <numjob=2>\nDid you mean numjobs\?\na\.fio:2: numjob: expected an option/,
    );
  });

  it("of an option that only fio has says so", () => {
    const [error] = errorsOf("[a]\nverify_async=2\n");
    expect(error?.message).toContain("Bad option <verify_async=2>");
    expect(error?.expected).toContain("only fio has");
  });

  it("of a value that only fio has says so, and lists the others", () => {
    const [error] = errorsOf("[a]\nverify=sha512\n");
    expect(error?.expected).toBe(
      "one of 0, crc32c, crc32c-intel, md5, pattern, meta (sha512 is fio's, but not supported here)",
    );
  });

  it("does not hide the others of its section, told in the file's order", () => {
    const errors = errorsOf("[a]\nfilename=\nbs=0\nnosuch=1\nrw=sideways\n[b]\nbs=x\n");
    expect(errors.map(({ line }) => line)).toEqual([2, 3, 4, 5]);
    expect(errors.at(-1)?.message).toContain("fio: job a dropped");
  });

  it("of an earlier section or job comes before those behind it, as in fio", () => {
    expect(errorsOf("[a]\nbs=0\n[b]\nnosuch=1\n[\n").map(({ line }) => line)).toEqual([2]);
    expect(errorsOf("[a]\nwait_for=z\n[b]\nnosuch=1\n").map(({ line }) => line)).toEqual([1]);
  });

  it("of a [global] drops the file, as fio", () => {
    const [error] = errorsOf("[global]\nbs=x\n[a]\n");
    expect(error?.message).toContain("fio: job global dropped");
  });
});

describe("an error on the command line", () => {
  it("names the option", () => {
    expect(commandLineErrors("--name=a", "--bs=0")).toEqual([
      expect.stringMatching(/fio: failed parsing bs=0\ncommand line: bs: expected/),
    ]);
    expect(commandLineErrors("--name=a", "--nosuch=1")).toEqual([
      expect.stringContaining("fio: unrecognized option '--nosuch=1'"),
    ]);
  });

  it("is a word that is no option", () => {
    expect(commandLineErrors("--name=a", "rw=read")).toEqual([
      expect.stringContaining("unexpected 'rw=read'"),
    ]);
  });
});

describe("options that contradict each other", () => {
  it.each([
    ["rate=1m\nrate_iops=5", "fio: rate and rate_iops are mutually exclusive"],
    ["size=512", "fio: size too small, must not be less than minimum block size: 512 < 4096"],
    ["wait_for=a", "a: a job cannot wait for itself (wait_for=a)."],
    ["wait_for=z", "a: waitee job z unknown."],
    ["numjobs=4096\n[b]", "error: maximum number of jobs reached."],
    ["offset=50%", "a: you need to specify size="],
    [
      "group_reporting\nlat_percentiles=1\n[b]\ngroup_reporting",
      "fio: lat_percentiles in job: b differs from group",
    ],
  ])("are refused as by fio: %s", (text, own) => {
    const [error] = errorsOf(`[a]\n${text}\n`);
    expect(error?.message).toContain(own);
    expect(error?.file).toBe("a.fio");
  });

  it("two jobs of one name cannot be waited for", () => {
    const [error] = errorsOf("[a]\n[a]\n[b]\nwait_for=a\n");
    expect(error?.message).toContain("b: multiple waitees a found,");
  });
});
