/**
 * A section's options, read into a draft in fio's order: general ones by priority, then those of the engine, which
 * the general ones have chosen. All of them are read even if one is wrong, so that all errors are told.
 */
import type { Draft } from "./draft.ts";
import { COMMAND_LINE, type JobFileError, jobError } from "./errors.ts";
import type { OptionSpec } from "./option.ts";
import type { OptionText } from "./sections.ts";
import { type Surroundings, substitute } from "./substitute.ts";
import { closestOption, findOption, isOnlyFios } from "./table.ts";

/** Canonical name and value as written ("" if bare): what "job options" of the JSON repeats. */
export type Given = readonly [key: string, value: string];

export interface Applied {
  readonly given: readonly Given[];
  readonly errors: readonly JobFileError[];
}

interface Entry {
  readonly text: OptionText;
  readonly key: string;
  readonly value: string | undefined;
  readonly option: OptionSpec | undefined;
}

function entryOf(text: OptionText, around: Surroundings): Entry | JobFileError {
  const replaced = substitute(text.text, around);
  if (replaced === undefined) {
    return jobError(text, text.text, "arithmetic of + - * / on whole numbers", [
      `fio: failed parsing ${text.text}`,
    ]);
  }
  const equals = replaced.indexOf("=");
  const key = (equals < 0 ? replaced : replaced.slice(0, equals)).trimEnd();
  const value = equals < 0 ? undefined : replaced.slice(equals + 1);
  return { text, key, value, option: findOption(key) };
}

function unknown(entry: Entry): JobFileError {
  const { text, key } = entry;
  const written = text.file === COMMAND_LINE ? `--${text.text}` : text.text;
  const own =
    text.file === COMMAND_LINE ? `fio: unrecognized option '${written}'` : `Bad option <${written}>`;
  if (entry.option?.engine === true) {
    return jobError(text, text.text, "ioengine=io_uring in a job with this option", [own]);
  }
  if (isOnlyFios(key)) {
    return jobError(text, text.text, "an option that is supported here; this one only fio has", [own]);
  }
  const near = closestOption(key);
  const hint = near === undefined ? [] : [`Did you mean ${near}?`];
  return jobError(text, text.text, "an option of fio", [own, ...hint]);
}

function applyOne(entry: Entry, draft: Draft): JobFileError | undefined {
  const complaint = entry.option?.apply(draft, entry.value);
  if (complaint === undefined) return undefined;
  const own = [...complaint.fio, `fio: failed parsing ${entry.text.text}`];
  return jobError(entry.text, entry.text.text, complaint.expected, own);
}

export function applyOptions(draft: Draft, texts: readonly OptionText[], around: Surroundings): Applied {
  const errors: JobFileError[] = [];
  const entries: Entry[] = [];
  for (const text of texts) {
    const entry = entryOf(text, around);
    if ("message" in entry) errors.push(entry);
    else entries.push(entry);
  }
  entries.sort((a, b) => (b.option?.priority ?? 0) - (a.option?.priority ?? 0));
  const general = entries.filter(({ option }) => option !== undefined && option.engine !== true);
  const engines = entries.filter(({ option }) => option === undefined || option.engine === true);
  const given: Given[] = [];
  const apply = (entry: Entry): void => {
    const error = applyOne(entry, draft);
    if (error !== undefined) errors.push(error);
    else given.push([entry.option?.name ?? entry.key, entry.value ?? ""]);
  };
  for (const entry of general) apply(entry);
  for (const entry of engines) {
    if (entry.option === undefined || draft.engine !== "io_uring") errors.push(unknown(entry));
    else apply(entry);
  }
  return { given, errors };
}
