/**
 * Lines of a job file: blanks and comments off, pragmas kept.
 *
 * fio cuts a line at its first `;`, then at its first `#`, wherever they stand, in values too. A comment that
 * begins with `;emu` holds settings of the emulated machine (pragmas.ts); to fio it is a comment like any other.
 */
import type { Place } from "./errors.ts";

export interface Line extends Place {
  /** Without blanks around it and without comment; "" if nothing is left. */
  readonly text: string;
  /** What stands behind `;emu`, if the comment is a pragma. */
  readonly pragma?: string;
}

const PRAGMA = /^;emu(?:\s+(.*))?$/;

const BLANKS = " \t\n\v\f\r";

/** Blanks in front and blanks or control characters behind, as C has them: a byte order mark is none. */
function strip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && BLANKS.includes(text.charAt(start))) start++;
  while (end > start && (text.charCodeAt(end - 1) <= 0x20 || text.charCodeAt(end - 1) === 0x7f)) end--;
  return text.slice(start, end);
}

/** `text` without its comment and the blanks around it. */
export function stripComment(text: string): string {
  const end = text.search(/[;#]/);
  return strip(end < 0 ? text : text.slice(0, end));
}

function pragmaOf(raw: string): string | undefined {
  const start = raw.search(/[;#]/);
  if (start < 0) return undefined;
  const found = PRAGMA.exec(raw.slice(start).trim());
  return found === null ? undefined : (found[1] ?? "").trim();
}

export function readLines(file: string, text: string): Line[] {
  const lines: Line[] = [];
  const raws = text.split("\n");
  for (const [index, raw] of raws.entries()) {
    const line = { file, line: index + 1, text: stripComment(raw) };
    const pragma = pragmaOf(raw);
    if (pragma !== undefined) lines.push({ ...line, pragma });
    else if (line.text !== "") lines.push(line);
  }
  return lines;
}
