import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkFits } from "./checks.ts";
import { parseJobFiles } from "./parse.ts";
import { hasFio, realFio, testEnv } from "./testing.ts";

const SHIPPED = new URL("../../../../bench/jobs/", import.meta.url);
const EXAMPLES = new URL("file:///usr/share/doc/fio/examples/");
const LIMITS = { cpus: 64, iodepth: 4096, memory: 64 << 20 };

const jobFiles = (folder: URL): string[] => readdirSync(folder).filter((name) => name.endsWith(".fio"));
const textOf = (folder: URL, name: string): string => readFileSync(new URL(name, folder), "utf8");

describe("every shipped job file", () => {
  it.each(jobFiles(SHIPPED))(
    "%s is accepted, fits the default machine, and leaves nothing without effect",
    (name) => {
      const result = parseJobFiles([{ name, text: textOf(SHIPPED, name) }], testEnv());
      if ("errors" in result) throw new Error(result.errors.map(({ message }) => message).join("\n"));
      expect(result.notes).toEqual([]);
      expect(result.jobs.length).toBeGreaterThan(1);
      expect(checkFits(result.jobs, LIMITS)).toEqual([]);
    },
  );

  it.skipIf(!hasFio())("is accepted by real fio (skipped where fio 3.33 is not installed)", () => {
    const texts = jobFiles(SHIPPED).map((name) => textOf(SHIPPED, name));
    expect(realFio(["--parse-only"], ...texts)).toEqual({ exit: 0, output: "" });
  });
});

it("the IOMMU table asks for all six combinations, one after another", () => {
  const name = "iommu-table.fio";
  const result = parseJobFiles([{ name, text: textOf(SHIPPED, name) }], testEnv());
  const jobs = "jobs" in result ? result.jobs : [];
  expect(jobs.map(({ stage, emulator }) => `${stage} ${emulator.iommu} ${emulator.buf}`)).toEqual([
    "0 strict registered",
    "1 strict dmabuf",
    "2 lazy registered",
    "3 lazy dmabuf",
    "4 passthrough registered",
    "5 passthrough dmabuf",
  ]);
});

describe.skipIf(!existsSync(EXAMPLES))("fio's own examples (skipped where they are not installed)", () => {
  it.each(existsSync(EXAMPLES) ? jobFiles(EXAMPLES) : [])(
    "%s is accepted, or refused by file, line and option",
    (name) => {
      const result = parseJobFiles([{ name, text: textOf(EXAMPLES, name) }], testEnv());
      if ("jobs" in result) return;
      for (const error of result.errors) {
        expect(error.line).toBeGreaterThan(0);
        expect(textOf(EXAMPLES, name).split("\n")[error.line - 1]).toContain(error.option);
      }
    },
  );
});
