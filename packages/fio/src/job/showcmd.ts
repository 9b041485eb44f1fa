/** Jobs as the command line that says the same: what `fio --showcmd FILE` prints. */
import type { Given } from "./apply.ts";
import type { JobFileError } from "./errors.ts";
import { type JobEnv, type JobFilter, type JobSource, readAll } from "./parse.ts";

function showGiven(given: readonly Given[]): string {
  const one = ([key, value]: Given): string => {
    if (value === "") return `--${key} `;
    return key === "description" ? `--${key}="${value}" ` : `--${key}=${value} `;
  };
  return given.map(one).join("");
}

/** One line a file: `fio --ioengine=null --name=a --rw=read `. */
export function showCommands(
  sources: readonly JobSource[],
  env: JobEnv,
  filter: JobFilter = {},
): { text: string } | { errors: readonly JobFileError[] } {
  const reading = readAll([], sources, env, filter);
  if (reading.errors.length > 0) return { errors: reading.errors };
  const lines = reading.shown.map((sections) => {
    const parts = sections.map(
      ({ name, global, given }) => (global ? "" : `--name=${name} `) + showGiven(given),
    );
    return `${sections.length > 0 ? "fio " : ""}${parts.join("")}\n`;
  });
  return { text: lines.join("") };
}
