/** What tests of the parser share: surroundings, the happy path, and real fio if it is installed. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JobFileError } from "./errors.ts";
import type { FioJob } from "./job.ts";
import { type JobEnv, type JobFilter, parseJobFiles } from "./parse.ts";

export const MEDIA: number = 64 << 20;

/** Surroundings with these files to include, and two CPUs. */
export function testEnv(files: Readonly<Record<string, string>> = {}): JobEnv {
  return {
    read(path) {
      const text = files[path];
      if (text === undefined) throw new Error(`no file ${path}`);
      return text;
    },
    env: { SIZE: "8k" },
    cpus: 2,
    pageSize: 4096,
    memoryMb: 1024,
    media: MEDIA,
  };
}

/** The jobs of a text; throws if it has errors. */
export function jobsOf(text: string, env: JobEnv = testEnv(), filter: JobFilter = {}): readonly FioJob[] {
  const result = parseJobFiles([{ name: "a.fio", text }], env, filter);
  if ("errors" in result) throw new Error(result.errors.map(({ message }) => message).join("\n"));
  return result.jobs;
}

/** The first job of a section with these options. */
export function jobOf(...options: readonly string[]): FioJob {
  const [job] = jobsOf(`[a]\n${options.join("\n")}\n`);
  if (job === undefined) throw new Error("no job");
  return job;
}

/** The errors of a text; none if it is fine. */
export function errorsOf(text: string, env: JobEnv = testEnv()): readonly JobFileError[] {
  const result = parseJobFiles([{ name: "a.fio", text }], env);
  return "errors" in result ? result.errors : [];
}

export interface Verdict {
  readonly exit: number;
  readonly output: string;
}

/** Runs real fio on files of these texts. */
export function realFio(options: readonly string[], ...texts: readonly string[]): Verdict {
  const folder = mkdtempSync(join(tmpdir(), "ringside-fio-"));
  try {
    const names = texts.map((text, index) => {
      const name = `${index}.fio`;
      writeFileSync(join(folder, name), text);
      return name;
    });
    const run = spawnSync("fio", [...options, ...names], {
      cwd: folder,
      encoding: "utf8",
      timeout: 20_000,
    });
    return { exit: run.status ?? -1, output: run.stdout + run.stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether fio 3.33 is installed: what the table of options was made for. */
export function hasFio(): boolean {
  return spawnSync("fio", ["--version"], { encoding: "utf8", timeout: 20_000 }).stdout?.trim() === "fio-3.33";
}
