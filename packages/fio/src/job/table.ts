/**
 * The table of options: what a name means, which names fio has besides, and which one was meant by a wrong one.
 */
import { newDraft } from "./draft.ts";
import { KNOWN_OPTIONS } from "./known.ts";
import { type OptionSpec, words } from "./option.ts";
import { ACCEPTED_OPTIONS } from "./options-accepted.ts";
import { IO_OPTIONS } from "./options-io.ts";
import { REPORT_OPTIONS } from "./options-report.ts";
import { TIME_OPTIONS } from "./options-time.ts";
import { VERIFY_OPTIONS } from "./options-verify.ts";

export const OPTIONS: readonly OptionSpec[] = [
  words("name", "a name", (draft, name) => {
    draft.name = name;
  }),
  ...IO_OPTIONS,
  ...TIME_OPTIONS,
  ...VERIFY_OPTIONS,
  ...REPORT_OPTIONS,
  ...ACCEPTED_OPTIONS,
];

const BY_NAME: ReadonlyMap<string, OptionSpec> = new Map(
  OPTIONS.flatMap((option) =>
    [option.name, option.alias ?? option.name].map((name): [string, OptionSpec] => [name, option]),
  ),
);
const FIO_ONLY: ReadonlySet<string> = new Set(KNOWN_OPTIONS.flat());

export function findOption(name: string): OptionSpec | undefined {
  return BY_NAME.get(name);
}

/**
 * Whether the option needs a value on the command line, where `--key value` is `--key=value`. `emu`, the settings of
 * the machine, is none of fio's and does.
 */
export function takesArgument(name: string): boolean {
  if (name === "emu") return true;
  const option = findOption(name);
  if (option === undefined) return false;
  return option.argument === true || option.apply(newDraft(), undefined) !== undefined;
}

/** Whether fio has an option of this name that is not in the table. */
export function isOnlyFios(name: string): boolean {
  return FIO_ONLY.has(name);
}

/** Insertions, deletions and replacements that make `b` of `a`. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The supported option that `name` looks most like, if it is near enough (fio: half the name). */
export function closestOption(name: string): string | undefined {
  let best: string | undefined;
  let least = Math.ceil(name.length / 2) + 1;
  for (const option of OPTIONS) {
    const far = distance(name, option.name);
    if (far < least) [best, least] = [option.name, far];
  }
  return best;
}
