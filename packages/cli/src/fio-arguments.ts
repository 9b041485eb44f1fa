/**
 * The arguments of `ringside fio` that are not its own options: job options, in fio's command-line form, and the
 * names of job files.
 */
import { takesArgument } from "@ringside/fio/job/table";
import { timeFactor } from "@ringside/fio/job/units";
import { InvalidArgumentError } from "@commander-js/extra-typings";

export interface Arguments {
  /** `--name=x`, `--rw=read`, `--rw`, `read` …, in order. */
  readonly options: readonly string[];
  readonly files: readonly string[];
}

/** A bare word is a job file, unless the option before it needs a value: that takes whatever comes, `-5` as well. */
export function splitArguments(args: readonly string[]): Arguments {
  const options: string[] = [];
  const files: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (!arg.startsWith("-") || arg === "-") {
      files.push(arg);
      continue;
    }
    options.push(arg);
    const value = args[i + 1];
    if (value !== undefined && needsNext(arg)) {
      options.push(value);
      i += 1;
    }
  }
  return { options, files };
}

/** Whether an option came without its value, as in `--rw read`. */
function needsNext(arg: string): boolean {
  if (arg.includes("=")) return false;
  return takesArgument(arg.replace(/^--?/, ""));
}

export const FORMATS = ["normal", "terse", "json", "json+"] as const;
export type Format = (typeof FORMATS)[number];

/** --output-format: a comma list. minimal and csv are terse, json+ is json with more. */
export function outputFormats(text: string): Format[] {
  const formats = text.split(",").map((word) => (word === "minimal" || word === "csv" ? "terse" : word));
  const unknown = formats.find((word) => !(FORMATS as readonly string[]).includes(word));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`Expected a comma list of ${FORMATS.join(", ")}.`);
  }
  return [...new Set(formats as Format[])];
}

/** A time as job files have it, seconds without a unit. Milliseconds, at least 1. */
export function interval(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([a-z]*)$/i.exec(text);
  const factor = match?.[2] === "" ? 1_000_000 : timeFactor(match?.[2] ?? "");
  const ms = Math.floor((Number(match?.[1]) * (factor ?? Number.NaN)) / 1000);
  if (!(ms >= 1)) throw new InvalidArgumentError("Expected a time of at least 1ms: 5, 500ms, 2m.");
  return ms;
}
