/**
 * Sections of a job file: a name in brackets and the options below it, included files in their place.
 *
 * A section whose name begins with "global" sets defaults for the sections behind it in the same file.
 * `include FILE` (one character between them) is looked up from where the program runs, then from where the
 * including file stands; what it holds belongs to the section that includes it, so it has no sections of its own.
 * Sections before an error are read all the same: what is wrong with them is told first.
 */
import { type JobFileError, jobError, type Place, withLine } from "./errors.ts";
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
  /** What ended the reading behind these sections. */
  readonly errors: readonly JobFileError[];
}

/** Includes inside includes. fio has no bound and ends in a stack overflow. */
export const INCLUDE_DEPTH_MAX = 16;

type Reader = (path: string) => string;

interface Parts {
  options: OptionText[];
  pragmas: OptionText[];
}

const HEADER = /^\[(.{1,254})\]$/;

export function isGlobal(name: string): boolean {
  return name.startsWith("global");
}

/** Reads `path` as the including file `from` means it; `text` is undefined if there is no such file. */
function readIncluded(path: string, from: string, read: Reader): { name: string; text: string | undefined } {
  const slash = from.lastIndexOf("/");
  const names = slash < 0 || path.startsWith("/") ? [path] : [path, from.slice(0, slash + 1) + path];
  for (const name of names) {
    try {
      return { name, text: read(name) };
    } catch {
      // not there: the next place, if there is one
    }
  }
  return { name: names.at(-1) ?? path, text: undefined };
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
    this.include(line, line.text.slice("include ".length), into, depth);
  }

  include(line: Line, path: string, into: Parts, depth: number): void {
    if (depth >= INCLUDE_DEPTH_MAX) {
      this.fail(line, `includes nested at most ${INCLUDE_DEPTH_MAX} deep`, []);
      return;
    }
    const { name, text } = readIncluded(path, line.file, this.read);
    if (text === undefined) {
      this.fail(line, "a file that can be read", [`fio: unable to open '${name}' job file`]);
    } else {
      for (const inner of readLines(name, text)) {
        if (this.errors.length > 0) break;
        if (!inner.text.startsWith("[")) this.take(inner, into, depth + 1);
        else this.fail(inner, "options only", ["No new sections in included files"]);
      }
    }
    const error = this.errors.pop();
    if (error !== undefined) this.errors.push(withLine(error, `Error 1 while parsing include file ${name}`));
  }

  fail(line: Line, expected: string, fio: readonly string[]): void {
    this.errors.push(jobError(line, line.text, expected, fio));
  }
}

function outside(line: Line): string {
  return `fio: option <${line.text}> outside of [] job section`;
}

/** The file, but for sections that `wanted` does not name: nothing in those is looked at. */
export function readSections(
  name: string,
  text: string,
  read: Reader,
  wanted: (section: string) => boolean,
): JobFile {
  const reader = new SectionReader(read);
  const sections: (Section & Parts)[] = [];
  const before: OptionText[] = [];
  let skipping = false;
  for (const line of readLines(name, text)) {
    const current = sections.at(-1);
    if (line.text.startsWith("[")) {
      const header = HEADER.exec(line.text)?.[1];
      if (header === undefined) {
        // of all these, fio refuses the bracket alone
        const own = line.text === "[" ? [outside(line)] : [];
        reader.fail(line, "[name], 1 to 254 characters in brackets and nothing behind them", own);
        break;
      }
      skipping = !wanted(header);
      if (skipping) continue;
      const place = { file: line.file, line: line.line };
      sections.push({ ...place, name: header, global: isGlobal(header), options: [], pragmas: [] });
      if (line.pragma !== undefined) sections.at(-1)?.pragmas.push({ ...place, text: line.pragma });
    } else if (skipping) {
      // an option or a comment of a section that is not wanted
    } else if (current !== undefined) {
      reader.take(line, current, 0);
      if (reader.errors.length > 0) break;
    } else if (line.text !== "") {
      reader.fail(line, "[name] before the first option", [outside(line)]);
      break;
    } else if (line.pragma !== undefined) {
      before.push({ file: line.file, line: line.line, text: line.pragma });
    }
  }
  return { name, pragmas: before, sections, errors: reader.errors };
}
