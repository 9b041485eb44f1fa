/**
 * What the table says of an option, and makers for the usual kinds. An option is a name, what it expects and
 * how its value goes into the draft; it answers with a complaint when the value is none.
 */
import type { Draft, Engine } from "./draft.ts";
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
  /** The engines that have the option: unknown to jobs that name none of them. */
  readonly engines?: readonly Engine[];
  /** It may stand bare in a job file, but not on the command line. */
  readonly argument?: true;
  /** `value` is undefined when the option stands bare. */
  apply(draft: Draft, value: string | undefined): Complaint | undefined;
}

export type Named = Pick<OptionSpec, "name" | "alias" | "engines" | "priority">;

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
export const UINT_MAX: number = 2 ** 32 - 1;

function outOfBounds(
  name: string,
  value: number,
  min: number,
  max: number,
  expected: string,
): Complaint | undefined {
  // fio compares 32 bits with a sign: 3g is below 1
  const wrapped = max === INT_MAX && min > 0 && value > max && (value | 0) < min;
  if (value < min || wrapped) {
    return complain(expected, `${name}: min value out of range: ${value} (${min} min)`);
  }
  if (value <= max) return undefined;
  // without a bound of its own, fio keeps the lower bits without a word
  const bound = max < INT_MAX ? [`${name}: max value out of range: ${value} (${max} max)`] : [];
  return complain(expected, ...bound);
}

function noZones(name: string, expected: string): Complaint {
  return complain(expected, `${name}: 'z' suffix isn't applicable`);
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
      if (value.endsWith("z")) return noZones(names.name, expected);
      const amount = readAmount(value);
      if (amount === undefined || amount.percent) return complain(expected);
      const bad = outOfBounds(names.name, amount.value, min, max, expected);
      if (bad === undefined) set(draft, amount.value);
      return bad;
    },
  };
}

/** A time of at most `max` microseconds; without suffix in `unit`. `set` gets microseconds. */
export function time(
  text: string,
  unit: "s" | "us",
  set: (draft: Draft, us: number) => void,
  max: number = Number.MAX_SAFE_INTEGER,
): OptionSpec {
  const names = named(text);
  const bound = max === UINT_MAX ? ", up to 71m" : "";
  const expected = `a time: a number with ${TIME_SUFFIXES} (without: ${unit})${bound}`;
  return {
    ...names,
    apply(draft, value) {
      if (value === undefined) return missing(names.name, expected);
      if (value.endsWith("z")) return noZones(names.name, expected);
      const us = readTime(value, unit === "s" ? 1_000_000 : 1);
      if (us === undefined || us < 0 || us > max) return complain(expected);
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
      if (number === undefined || number > UINT_MAX) return complain(expected);
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
 * Values for read, write and trim: one for all, two for read and for write with trim, or three. One left out
 * (`,8k`, `4k,,8k`) keeps what it was; so do the rest after a comma at the end (`8k,`).
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
  const none = texts.every((text) => text === "");
  for (const [index, text] of texts.entries()) {
    if (text === "" && !none) continue;
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
  max: number = Number.MAX_SAFE_INTEGER,
): OptionSpec {
  const names = named(text);
  const expected = `read[,write[,trim]], each at least ${min}, with ${BYTE_SUFFIXES}`;
  const read = (one: string): number | Complaint => {
    if (one.endsWith("z")) return noZones(names.name, expected);
    const amount: Amount | undefined = readAmount(one);
    if (amount === undefined || amount.percent || amount.value > max) return complain(expected);
    const bad = outOfBounds(names.name, amount.value, min, max, expected);
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
