/** Parsers of option values. Each rejects with one sentence: what came, what was expected. */
import { InvalidArgumentError } from "@commander-js/extra-typings";

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2 };

/** A size in bytes with an optional k or m (1024): a multiple of `step` from `min` to `max`. */
export function size(min: number, max: number, step: number): (text: string) => number {
  return (text) => {
    const match = /^(\d+)([km]?)$/i.exec(text);
    const value = match ? Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? 1) : Number.NaN;
    if (!(value >= min && value <= max && value % step === 0)) {
      throw new InvalidArgumentError(
        `Expected a multiple of ${step} from ${min} to ${max} (k and m allowed).`,
      );
    }
    return value;
  };
}

/** A number of seconds or milliseconds, above 0. */
export function duration(max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (!(value > 0 && value <= max))
      throw new InvalidArgumentError(`Expected a number above 0, at most ${max}.`);
    return value;
  };
}
