/** What a rule is: a pure function from parsed files to findings. It reads no disk and keeps no state. */
import { columnOf, lineOf, type SourceFile } from "@ringside/checker/transform/source";

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly rule: string;
  readonly message: string;
}

export interface Rule {
  readonly name: string;
  /** Gets every file of the repository at once, so that a rule can also judge how files hang together. */
  check(files: readonly SourceFile[]): Finding[];
}

export function finding(file: SourceFile, offset: number, rule: string, message: string): Finding {
  return { path: file.path, line: lineOf(file, offset), column: columnOf(file, offset), rule, message };
}
