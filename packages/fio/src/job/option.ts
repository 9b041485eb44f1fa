/**
 * What the table says of an option, and makers for the usual kinds. An option is a name, what it expects and
 * how its value goes into the draft; it answers with a complaint when the value is none.
 */
import type { Draft } from "./draft.ts";
import type { Complaint } from "./errors.ts";
import type { PerDdir } from "./job.ts";
import {
  type Amount,
  BYTE_SUFFIXES,
  pieces,
  readAmount,
  readPlain,
  readTime,
  TIME_SUFFIXES,
} from "./units.ts";

export interface OptionSpec {
  readonly name: string;
  readonly alias?: string;
  /** fio reads options of higher priority first, whatever the file's order. */
  readonly priority?: number;
  /** An option of the io_uring engine: unknown to jobs that do not name it. */
  readonly engine?: true;
  /** `value` is undefined when the option stands bare. */
  apply(draft: Draft, value: string | undefined): Complaint | undefined;
}

export type Named = Pick<OptionSpec, "name" | "alias" | "engine" | "priority">;

/** Name and alias in fio's notation "name|alias". */
export function named(text: string): Named {
  const [name = "", alias] = text.split("|");
  return alias === undefined ? { name } : { name, alias };
}

export function complain(expected: string, ...fio: string[]): Complaint {
  return { fio, expected };
}

/** fio's complaint when an option that needs a value stands bare. */
export function missing(name: string, expected: string): Complaint {
  return complain(expected, `Option ${name} requires an argument`);
}

export interface Bounds {
  readonly min?: number;
  /** Default: 2^31 - 1, what fio's options of this kind hold. */
  readonly max?: number;
}

export const INT_MAX: number = 2 ** 31 - 1;

function outOfBounds(
  name: string,
  value: number,
  min: number,
  max: number,
  expected: string,
): Complaint | undefined {
  if (value < min) return complain(expected, `${name}: min value out of range: ${value} (${min} min)`);
  if (value > max) return complain(expected, `${name}: max value out of range: ${value} (${max} max)`);
  return undefined;
}

function boundsText(min: number, max: number): string {
  return max >= INT_MAX ? `at least ${min}` : `${min} ... ${max}`;
}

/** A whole number; k, m, g count in 1024s as in fio. */
export function integer(
  text: string,
  bounds: Bounds,
  set: (draft: Draft, value: number) => void,
): OptionSpec {
  const names = named(text);
  const { min = 0, max = INT_MAX } = bounds;
  const expected = `a whole number, ${boundsText(min, max)}`;
  return {
    ...names,
    apply(draft, value) {
      if (value === undefined) return missing(names.name, expected);
      if (value.endsWith("z")) return complain(expected, `${names.name}: 'z' suffix isn't applicable`);
      const amount = readAmount(value);
      if (amount === undefined || amount.percent) return complain(expected);
      const bad = outOfBounds(names.name, amount.value, min, max, expected);
      if (bad === undefined) set(draft, amount.value);
      return bad;
    },
  };
}

/** A time; without suffix in `unit`. `set` gets microseconds. */
export function time(text: string, unit: "s" | "us", set: (draft: Draft, us: number) => void): OptionSpec {
  const names = named(text);
  const expected = `a time: a number with ${TIME_SUFFIXES} (without: ${unit})`;
  return {
    ...names,
    apply(draft, value) {
      if (value === undefined) return missing(names.name, expected);
      const us = readTime(value, unit === "s" ? 1_000_000 : 1);
      if (us === undefined || us < 0) return complain(expected);
      set(draft, us);
      return undefined;
    },
  };
}

/** 0 or 1. `bare` allows the option without a value, which means 1; then any number but 0 does as well. */
export function flag(
  text: string,
  kind: "value" | "bare",
  set: (draft: Draft, on: boolean) => void,
): OptionSpec {
  const names = named(text);
  const expected = kind === "bare" ? "no value, 0 or 1" : "0 or 1";
  return {
    ...names,
    apply(draft, value) {
      if (value === undefined && kind === "value") return missing(names.name, expected);
      const number = value === undefined ? 1 : readPlain(value);
      if (number === undefined) return complain(expected);
      if (kind === "value" && number > 1) {
        return complain(expected, `max value out of range: ${number} (1 max)`);
      }
      set(draft, number !== 0);
      return undefined;
    },
  };
}

/** One of some words. `known` are words that fio takes and this does not. */
export function choice<T>(
  text: string,
  words: Readonly<Record<string, T>>,
  set: (draft: Draft, value: T, word: string) => void,
  known: readonly string[] = [],
): OptionSpec {
  const names = named(text);
  const expected = `one of ${Object.keys(words).join(", ")}`;
  return {
    ...names,
    apply(draft, value) {
      if (value !== undefined && Object.hasOwn(words, value)) {
        set(draft, words[value] as T, value);
        return undefined;
      }
      const refused = value !== undefined && known.includes(value);
      return complain(refused ? `${expected} (${value} is fio's, but not supported here)` : expected);
    },
  };
}

/** Any text. */
export function words(
  text: string,
  expected: string,
  set: (draft: Draft, value: string) => void,
): OptionSpec {
  const names = named(text);
  return {
    ...names,
    apply(draft, value) {
      if (value === undefined) return missing(names.name, expected);
      if (value === "") return complain(expected);
      set(draft, value);
      return undefined;
    },
  };
}

/**
 * Values for read, write and trim: one for all, two for read and for write with trim, or three. A first one left
 * out (`,8k`) keeps what it was; so do the rest after a comma at the end (`8k,`).
 */
export function perDdir(
  value: string,
  old: PerDdir<number>,
  read: (text: string) => number | Complaint,
): PerDdir<number> | Complaint {
  const texts = pieces(value);
  const open = texts.length > 1 && texts.at(-1) === "";
  if (open) texts.pop();
  const next: [number, number, number] = [...old];
  if (texts.length > 3) return complain("at most three values: read,write,trim");
  for (const [index, text] of texts.entries()) {
    if (index === 0 && text === "" && texts.length > 1) continue;
    const result = read(text);
    if (typeof result !== "number") return result;
    next[index] = result;
    if (index < texts.length - 1 || open) continue;
    next.fill(result, index);
  }
  return next;
}

/** Amounts for read, write and trim. */
export function amounts(
  text: string,
  min: number,
  get: (draft: Draft) => PerDdir<number>,
  set: (draft: Draft, value: PerDdir<number>) => void,
): OptionSpec {
  const names = named(text);
  const expected = `read[,write[,trim]], each at least ${min}, with ${BYTE_SUFFIXES}`;
  const read = (one: string): number | Complaint => {
    if (one.endsWith("z")) return complain(expected, `${names.name}: 'z' suffix isn't applicable`);
    const amount: Amount | undefined = readAmount(one);
    if (amount === undefined || amount.percent || amount.value > Number.MAX_SAFE_INTEGER) {
      return complain(expected);
    }
    const bad = outOfBounds(names.name, amount.value, min, Number.MAX_SAFE_INTEGER, expected);
    return bad ?? amount.value;
  };
  return {
    ...names,
    apply(draft, value) {
      if (value === undefined) return missing(names.name, expected);
      const result = perDdir(value, get(draft), read);
      if (!Array.isArray(result)) return result as Complaint;
      set(draft, result as unknown as PerDdir<number>);
      return undefined;
    },
  };
}
