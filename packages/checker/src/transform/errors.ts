/** Errors of the loader, for the author of the code that is loaded. */

/** Something in a source file that the loader cannot make a coroutine of. */
export interface Refusal {
  /** Relative to the root, with forward slashes. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  /** What, why, and what to write instead. */
  readonly message: string;
}

/** Thread code outside the subset that can be controlled. Lists everything found in all files. */
export class OutsideSubset extends Error {
  override readonly name: string = "OutsideSubset";
  readonly refusals: readonly Refusal[];
  /** Of the first. */
  readonly file: string;
  readonly line: number;
  readonly column: number;

  /** @param refusals at least one */
  constructor(refusals: readonly Refusal[]) {
    super(refusals.map((r) => `${r.file}:${r.line}:${r.column}: ${r.message}`).join("\n"));
    this.refusals = refusals;
    const [first] = refusals;
    this.file = first?.file ?? "";
    this.line = first?.line ?? 0;
    this.column = first?.column ?? 0;
  }
}
