import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { jobText, SAME, STRICTER, WIDER } from "./cases.ts";
import type { FioJob } from "./job.ts";
import { errorsOf, hasFio, jobsOf, realFio, type Verdict } from "./testing.ts";

const CAPTURED = new URL("./captured/verdicts.json", import.meta.url);
const ALL = [...SAME, ...Object.keys(STRICTER), ...Object.keys(WIDER)];
const FIO = hasFio();

/** Every way an option can be written that shows in the JSON. */
const OPTIONS_TOLD = [
  "[global]|ioengine=null|size=16k|filename=x|blocksize=4k",
  "[a]|filename=y|rw=read|norandommap|numjobs=2|description=two words|name=other",
  "[global]|iodepth=4|bs=8k",
  "[b]|stonewall|readwrite=randread:2|timeout=5",
  "[c]|new_group",
].join("|");

interface Told {
  readonly "global options": Readonly<Record<string, string>>;
  readonly jobs: readonly {
    readonly jobname: string;
    readonly groupid: number;
    readonly "job options"?: Readonly<Record<string, string>>;
  }[];
}

type Verdicts = Readonly<Record<string, Verdict>>;

function captured(): Verdicts {
  return JSON.parse(readFileSync(CAPTURED, "utf8")) as Verdicts;
}

/** fio's lines that tell the reason: no lists of values, no guesses, no errno of a failed system call. */
function reasons(output: string): string[] {
  return output.split("\n").filter((line) => line !== "" && !/^ {8,}|^Did you mean|^fio: file:/.test(line));
}

describe("each small job, against what fio 3.33 said of it", () => {
  it.each(SAME)("is accepted or refused alike, in fio's words: %s", (line) => {
    const verdict = captured()[line];
    const errors = errorsOf(jobText(line));
    expect(errors.length > 0 ? 1 : 0, errors[0]?.message).toBe(verdict?.exit);
    if (verdict?.exit === 0) return;
    const told = errors.flatMap(({ message }) => message.split("\n"));
    expect(told).toEqual(expect.arrayContaining(reasons(verdict?.output ?? "")));
  });

  it.each(Object.entries(STRICTER))("is refused although fio takes it: %s (%s)", (line) => {
    expect(captured()[line]?.exit).toBe(0);
    expect(errorsOf(jobText(line))).not.toEqual([]);
  });

  it.each(Object.entries(WIDER))("is accepted although this fio refuses it: %s (%s)", (line) => {
    expect(captured()[line]?.exit).toBe(1);
    expect(errorsOf(jobText(line))).toEqual([]);
  });
});

describe.skipIf(!FIO)("real fio (skipped where fio 3.33 is not installed)", () => {
  it("accepts in one file all that is captured as accepted", () => {
    const sections = ALL.filter((line) => captured()[line]?.exit === 0 && !line.includes("include"));
    const verdict = realFio(["--parse-only"], sections.map(jobText).join(""));
    expect(verdict.exit).toBe(0);
  });

  it("still says what is captured of every seventh refused job", () => {
    const refused = ALL.filter((line) => captured()[line]?.exit === 1);
    for (const line of refused.filter((_, index) => index % 7 === 0)) {
      expect(realFio(["--parse-only"], jobText(line)), line).toEqual(captured()[line]);
    }
  });

  it.runIf(process.env["CAPTURE_FIO"] === "1")("is asked again for every job (CAPTURE_FIO=1)", () => {
    const verdicts = ALL.map((line) => [line, realFio(["--parse-only"], jobText(line))]);
    writeFileSync(CAPTURED, `${JSON.stringify(Object.fromEntries(verdicts), undefined, 2)}\n`);
  });

  it.each(["rate=1m|rate_iops=5", "size=512", "wait_for=a", "wait_for=z"])(
    "refuses these options together when it runs, in our words: %s",
    (options) => {
      const text = jobText(`[a]|ioengine=null|size=4k|${options}`);
      const verdict = realFio([], text);
      expect(verdict.exit).toBe(1);
      const told = errorsOf(text).flatMap(({ message }) => message.split("\n"));
      expect(told).toEqual(expect.arrayContaining(reasons(verdict.output)));
    },
  );

  it("tells the same job options, global options, names and groups in its JSON", () => {
    const text = jobText(OPTIONS_TOLD);
    const { output } = realFio(["--output-format=json"], text);
    const told = JSON.parse(output.slice(output.indexOf("{"))) as Told;
    const values = (pairs: FioJob["given"]): Record<string, string> | undefined =>
      pairs.length > 0 ? Object.fromEntries(pairs.filter(([, value]) => value !== "")) : undefined;
    const jobs = jobsOf(text);
    expect(jobs.map(({ name, group, given }) => [name, group, values(given)])).toEqual(
      told.jobs.map((job) => [job.jobname, job.groupid, job["job options"]]),
    );
    expect(values(jobs[0]?.globals ?? [])).toEqual(told["global options"]);
    const order = (pairs: FioJob["given"]): string[] => Object.keys(values(pairs) ?? {});
    expect(jobs.map(({ given }) => order(given))).toEqual(
      told.jobs.map((job) => Object.keys(job["job options"] ?? {})),
    );
  });
});
