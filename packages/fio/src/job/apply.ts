/**
 * A section's options, read into a draft in fio's order: general ones by priority, then those of the engine, which
 * the general ones have chosen. On the command line they are read as they stand, and nothing is replaced. All of
 * them are read even if one is wrong, so that all errors are told.
 */
import type { Draft } from "./draft.ts";
import { COMMAND_LINE, type JobFileError, jobError } from "./errors.ts";
import type { OptionSpec } from "./option.ts";
import type { OptionText } from "./sections.ts";
import { type Surroundings, substitute } from "./substitute.ts";
import { closestOption, findOption, isOnlyFios, takesArgument } from "./table.ts";

/** Canonical name and value as written ("" if bare): what "job options" of the JSON repeats. */
export type Given = readonly [key: string, value: string];

export interface Applied {
  readonly given: readonly Given[];
  readonly errors: readonly JobFileError[];
}

interface Entry {
  readonly text: OptionText;
  /** The text with what ${NAME} and $keywords stand for. */
  readonly replaced: string;
  readonly key: string;
  readonly value: string | undefined;
  readonly option: OptionSpec | undefined;
}

function entryOf(text: OptionText, around: Surroundings): Entry | JobFileError {
  // fio takes the command line as it is
  const replaced = text.file === COMMAND_LINE ? text.text : substitute(text.text, around);
  if (replaced === undefined) {
    return jobError(text, text.text, "arithmetic of + - * / on whole numbers", [
      `fio: failed parsing ${text.text}`,
    ]);
  }
  const equals = replaced.indexOf("=");
  const key = (equals < 0 ? replaced : replaced.slice(0, equals)).trimEnd();
  const value = equals < 0 ? undefined : replaced.slice(equals + 1);
  return { text, replaced, key, value, option: findOption(key) };
}

/** Whether the job has the option: a general one, or one of its engine. */
function hasOption(draft: Draft, option: OptionSpec): boolean {
  return option.engines === undefined || option.engines.some((engine) => engine === draft.engine);
}

function unknown(entry: Entry, draft: Draft): JobFileError {
  const { text, key, option } = entry;
  // by then an engine with options of its own has had the text to itself
  const hasOwn = draft.engine === "io_uring" || draft.engine === "libaio";
  const written = hasOwn ? entry.replaced : text.text;
  const own =
    text.file === COMMAND_LINE ? `fio: unrecognized option '--${text.text}'` : `Bad option <${written}>`;
  if (option !== undefined) {
    const before = text.file === COMMAND_LINE ? " before this option" : " in a job with this option";
    return jobError(text, text.text, `ioengine=${option.engines?.join(" or ")}${before}`, [own]);
  }
  if (isOnlyFios(key)) {
    return jobError(text, text.text, "an option that is supported here; this one only fio has", [own]);
  }
  const near = closestOption(key);
  const hint = near === undefined ? [] : [`Did you mean ${near}?`];
  return jobError(text, text.text, "an option of fio", [own, ...hint]);
}

function applyOne(entry: Entry, draft: Draft): JobFileError | undefined {
  const { text, key, option } = entry;
  if (option === undefined || !hasOption(draft, option)) return unknown(entry, draft);
  if (text.file === COMMAND_LINE && (entry.value ?? "") === "" && takesArgument(key)) {
    return jobError(text, text.text, `--${key}=value`, [`fio: option ${key} requires an argument`]);
  }
  const complaint = option.apply(draft, entry.value);
  if (complaint === undefined) return undefined;
  // fio has cut off the value of an engine's option in a job file
  const failed = option.engines === undefined || text.file === COMMAND_LINE ? text.text : key;
  return jobError(text, text.text, complaint.expected, [...complaint.fio, `fio: failed parsing ${failed}`]);
}

/** In a job file, the engine's options come behind all others, for which the engine may stand anywhere. */
function inOrder(entries: readonly Entry[]): Entry[] {
  if (entries.some(({ text }) => text.file === COMMAND_LINE)) return [...entries];
  const late = ({ option }: Entry): boolean => option === undefined || option.engines !== undefined;
  const byPriority = entries.toSorted((a, b) => (b.option?.priority ?? 0) - (a.option?.priority ?? 0));
  return [...byPriority.filter((entry) => !late(entry)), ...byPriority.filter(late)];
}

export function applyOptions(draft: Draft, texts: readonly OptionText[], around: Surroundings): Applied {
  const errors: JobFileError[] = [];
  const entries: Entry[] = [];
  for (const text of texts) {
    const entry = entryOf(text, around);
    if ("message" in entry) errors.push(entry);
    else entries.push(entry);
  }
  const given: Given[] = [];
  for (const entry of inOrder(entries)) {
    const error = applyOne(entry, draft);
    if (error !== undefined) errors.push(error);
    else given.push([entry.option?.name ?? entry.key, entry.value ?? ""]);
  }
  return { given, errors };
}
