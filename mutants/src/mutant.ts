/**
 * A mutant: the kernel with one thing broken on purpose, kept as data. It shows that the detectors see
 * what they claim to see: a check that passes on the mutant too checks nothing.
 *
 * Interface: one file a subsystem; index.ts lists them all. Each has at least one of `stress`, `conformance`, `check`.
 * `mutateSource` is the whole mechanism; who loads sources decides when to call it.
 */

export interface Edit {
  /** Relative to the repository root, forward slashes. */
  readonly file: string;
  /** Occurs exactly once in the file as it stands, so that the mutant breaks what it says it breaks. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  /** Such as `resv-unlocked-invalidate`. */
  readonly name: string;
  readonly edits: readonly Edit[];
  /** One sentence: what no longer holds. */
  readonly breaks: string;
  /** Texts of the detectors that may report it: one of them is in the report of a run that caught it. */
  readonly caughtBy: readonly string[];
  /** Options of a stress run under which it shows soonest, as workers/stress.ts names them. */
  readonly stress?: Readonly<Record<string, number | string | boolean>>;
  /** The public test that must fail on it: suite and case of test/conformance. */
  readonly conformance?: { readonly suite: string; readonly case: string };
  /** The form of a check scenario (scenarios/src/check) in which the checker must find it. */
  readonly check?: { readonly scenario: string; readonly form: string };
}

/** The source of `file` with the mutant's edits; unchanged when it has none there. All finds refer to `source`. */
export function mutateSource(mutant: Mutant, file: string, source: string): string {
  const edits = mutant.edits
    .filter((edit) => edit.file === file)
    .map((edit) => ({ ...edit, at: findOnce(mutant, edit, source) }))
    .toSorted((a, b) => a.at - b.at);
  let result = "";
  let done = 0;
  for (const { at, find, replace } of edits) {
    if (at < done) throw new Error(`mutant ${mutant.name}: edits overlap in ${file} at "${find}"`);
    result += source.slice(done, at) + replace;
    done = at + find.length;
  }
  return result + source.slice(done);
}

function findOnce(mutant: Mutant, edit: Edit, source: string): number {
  const count = edit.find === "" ? 0 : source.split(edit.find).length - 1;
  if (count === 1) return source.indexOf(edit.find);
  throw new Error(
    `mutant ${mutant.name}: its text occurs ${count} times in ${edit.file}, not once: ${JSON.stringify(edit.find)}`,
  );
}
