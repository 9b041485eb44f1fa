/**
 * What is wrong with a job file: told at the line that says it, with the option and what was expected there.
 * `message` is made for stderr: fio's own lines first, so that scripts which look for them find them, then
 * `file:line: option: expected ...`.
 */

/** Where a text stands. Command-line options stand in file "command line", line 0. */
export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface JobFileError extends Place {
  /** The option as written (`bs=0`), or the job or the line when no option is to blame. */
  readonly option: string;
  readonly expected: string;
  /** All lines for stderr. */
  readonly message: string;
}

/** What an option says about a value that it cannot take. */
export interface Complaint {
  /** fio's own lines; may be none. */
  readonly fio: readonly string[];
  readonly expected: string;
}

export const COMMAND_LINE = "command line";

/** The place as a prefix of a line: `a.fio:3`. */
export function placeText(place: Place): string {
  return place.line === 0 ? place.file : `${place.file}:${place.line}`;
}

export function jobError(
  place: Place,
  option: string,
  expected: string,
  fio: readonly string[],
): JobFileError {
  const key = /^[^=]*/.exec(option)?.[0].trim() ?? option;
  const own = `${placeText(place)}: ${key === "" ? option : key}: expected ${expected}`;
  return { file: place.file, line: place.line, option, expected, message: [...fio, own].join("\n") };
}

/** The error with one more of fio's lines at its end (`fio: job a dropped`). */
export function withLine(error: JobFileError, line: string): JobFileError {
  return { ...error, message: `${error.message}\n${line}` };
}
