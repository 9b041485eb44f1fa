/**
 * Sections of a job file: a name in brackets and the options below it, included files in their place.
 *
 * A section whose name begins with "global" sets defaults for the sections behind it in the same file.
 * `include FILE` is looked up from where the program runs, then from where the including file stands; what it
 * holds belongs to the section that includes it, so it has no sections of its own.
 */
import { type JobFileError, jobError, type Place } from "./errors.ts";
import { type Line, readLines } from "./lines.ts";

/** An option as written, comment off: `bs=4k` or a bare `time_based`. */
export interface OptionText extends Place {
  readonly text: string;
}

export interface Section extends Place {
  readonly name: string;
  readonly global: boolean;
  readonly options: readonly OptionText[];
  /** Texts behind `;emu` inside the section. */
  readonly pragmas: readonly OptionText[];
}

export interface JobFile {
  readonly name: string;
  /** Pragmas before the first section: for all jobs of the file. */
  readonly pragmas: readonly OptionText[];
  readonly sections: readonly Section[];
}

/** Includes inside includes. fio has no bound and ends in a stack overflow. */
export const INCLUDE_DEPTH_MAX = 16;

type Reader = (path: string) => string;

interface Parts {
  options: OptionText[];
  pragmas: OptionText[];
}

const HEADER = /^\[([^[\]]{1,255})\]$/;

export function isGlobal(name: string): boolean {
  return name.startsWith("global");
}

/** Reads `path` as the including file `from` means it; undefined if there is no such file. */
function readIncluded(path: string, from: string, read: Reader): { name: string; text: string } | undefined {
  const slash = from.lastIndexOf("/");
  const names = slash < 0 || path.startsWith("/") ? [path] : [path, from.slice(0, slash + 1) + path];
  for (const name of names) {
    try {
      return { name, text: read(name) };
    } catch {
      // not there: the next place, if there is one
    }
  }
  return undefined;
}

class SectionReader {
  readonly errors: JobFileError[] = [];
  readonly read: Reader;

  constructor(read: Reader) {
    this.read = read;
  }

  /** Takes a line below a section's header. */
  take(line: Line, into: Parts, depth: number): void {
    if (line.pragma !== undefined) {
      into.pragmas.push({ file: line.file, line: line.line, text: line.pragma });
    }
    if (line.text === "") return;
    if (!line.text.startsWith("include")) {
      into.options.push({ file: line.file, line: line.line, text: line.text });
      return;
    }
    this.include(line, line.text.slice("include".length).trim(), into, depth);
  }

  include(line: Line, path: string, into: Parts, depth: number): void {
    if (depth >= INCLUDE_DEPTH_MAX) {
      this.fail(line, `includes nested at most ${INCLUDE_DEPTH_MAX} deep`, []);
      return;
    }
    const file = readIncluded(path, line.file, this.read);
    if (file === undefined) {
      this.fail(line, "a file that can be read", [
        `fio: unable to open '${path}' job file`,
        `Error 1 while parsing include file ${path}`,
      ]);
      return;
    }
    for (const inner of readLines(file.name, file.text)) {
      if (inner.text.startsWith("[")) {
        this.fail(inner, "options only", ["No new sections in included files"]);
        return;
      }
      this.take(inner, into, depth + 1);
    }
  }

  fail(line: Line, expected: string, fio: readonly string[]): void {
    this.errors.push(jobError(line, line.text, expected, fio));
  }
}

export function readSections(
  name: string,
  text: string,
  read: Reader,
): { file: JobFile } | { errors: JobFileError[] } {
  const reader = new SectionReader(read);
  const sections: (Section & Parts)[] = [];
  const before: OptionText[] = [];
  for (const line of readLines(name, text)) {
    const current = sections.at(-1);
    if (line.text.startsWith("[")) {
      const header = HEADER.exec(line.text)?.[1];
      if (header === undefined) {
        reader.fail(line, "[name], 1 to 255 characters in brackets and nothing behind them", []);
        break;
      }
      const place = { file: line.file, line: line.line };
      sections.push({ ...place, name: header, global: isGlobal(header), options: [], pragmas: [] });
      if (line.pragma !== undefined) sections.at(-1)?.pragmas.push({ ...place, text: line.pragma });
    } else if (current !== undefined) {
      reader.take(line, current, 0);
    } else if (line.text !== "") {
      const own = `fio: option <${line.text}> outside of [] job section`;
      reader.fail(line, "[name] before the first option", [own]);
      break;
    } else if (line.pragma !== undefined) {
      before.push({ file: line.file, line: line.line, text: line.pragma });
    }
  }
  if (reader.errors.length > 0) return { errors: reader.errors };
  return { file: { name, pragmas: before, sections } };
}
