/** Where fio's command line differs from a job file: init.c, parse_cmd_line, and getopt_long_only. */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { parseCommandLine } from "./parse.ts";
import { takesArgument } from "./table.ts";
import { hasFio, testEnv } from "./testing.ts";

const FIO = hasFio();

/** Our complaint; "" if there is none. */
function complaint(args: readonly string[]): string {
  const result = parseCommandLine(args, [], testEnv());
  return "errors" in result ? result.errors.map(({ message }) => message).join("\n") : "";
}

/** Arguments, and fio's complaint. */
const REFUSED: readonly (readonly [string[], string])[] = [
  [["--name=a", "--bs=${SIZE}"], "fio: failed parsing bs=${SIZE}"],
  [["--name=a", "--bs=$pagesize"], "fio: failed parsing bs=$pagesize"],
  [["--name=a", "--bs="], "fio: option bs requires an argument"],
  [["--name=a", "--write_bw_log="], "fio: option write_bw_log requires an argument"],
  [["--name=a", "--fixedbufs", "--ioengine=io_uring"], "fio: unrecognized option '--fixedbufs'"],
];

describe("the command line", () => {
  it.each(REFUSED)("%j is refused", (args, own) => {
    expect(complaint(args)).toContain(own);
  });

  it.skipIf(!FIO).each(REFUSED)(
    "%j is refused by real fio (skipped where fio 3.33 is not installed)",
    (args, own) => {
      const { status, stderr, stdout } = spawnSync("fio", ["--parse-only", ...args], {
        encoding: "utf8",
        timeout: 20_000,
        env: { ...process.env, SIZE: "8k" },
      });
      expect(status).toBe(1);
      expect(stdout + stderr).toContain(own);
    },
  );

  it("takes the argument behind an option that needs one, a dash in front of it or not", () => {
    const args = ["--name", "a", "--ioengine=null", "--nice", "-5", "--write_bw_log", "--x", "--name=b"];
    const result = parseCommandLine(args, [], testEnv());
    const jobs = "jobs" in result ? result.jobs : [];
    expect(jobs.map(({ name, options }) => [name, options.logs.bw])).toEqual([
      ["a", "--x"],
      ["b", undefined],
    ]);
  });

  it.each([
    ["bs", true],
    ["write_bw_log", true],
    ["time_based", false],
    ["nosuch", false],
  ])("%s needs an argument: %s", (name, needs) => {
    expect(takesArgument(name)).toBe(needs);
  });

  it("reads options in their order: an engine's stand behind it", () => {
    expect(complaint(["--name=a", "--ioengine=io_uring", "--fixedbufs"])).toBe("");
  });
});
