/**
 * Amounts: bytes (`4k`, `1MiB`, `0x200`, `50%`), times (`10s`, `500ms`) and lists of them.
 *
 * With fio's default kb_base=1024 the units are the wrong way round on purpose: k, kB and Ki are 1024, KiB is
 * 1000. fio takes a suffix that it does not know for none (`bs=4q` is 4 bytes, `runtime=5sec` 5 microseconds);
 * here that is an error.
 */
import { evaluate } from "./arithmetic.ts";

const POWERS = "kmgtp";
export const BYTE_SUFFIXES = "k, m, g, t, p (1024), KiB ... PiB (1000)";
export const TIME_SUFFIXES = "d, h, m, s, ms or us";

/** Bytes of a size suffix; undefined if it is none. */
export function byteFactor(suffix: string): number | undefined {
  const lower = suffix.toLowerCase();
  if (lower === "" || lower === "b") return 1;
  const power = POWERS.indexOf(lower.charAt(0)) + 1;
  const rest = lower.slice(1);
  if (power === 0) return undefined;
  if (rest === "ib") return 1000 ** power;
  return rest === "" || rest === "b" || rest === "i" ? 1024 ** power : undefined;
}

/** Microseconds of a time suffix; undefined if it is none. */
export function timeFactor(suffix: string): number | undefined {
  const factors: Readonly<Record<string, number>> = {
    us: 1,
    usec: 1,
    ms: 1000,
    msec: 1000,
    s: 1_000_000,
    m: 60_000_000,
    h: 3_600_000_000,
    d: 86_400_000_000,
  };
  return factors[suffix.toLowerCase()];
}

export interface Amount {
  readonly value: number;
  readonly percent: boolean;
}

/** An amount of bytes, or of anything that is counted, below 2^53; undefined if the text is none. */
export function readAmount(text: string): Amount | undefined {
  if (text.startsWith("(")) {
    const result = evaluate(text, byteFactor);
    if (result === undefined || Math.abs(result.value) > Number.MAX_SAFE_INTEGER) return undefined;
    return { value: result.value, percent: false };
  }
  const found = /^(\s*)([-+]?)(0x[0-9a-f]+|\d+)([a-z]*|%)$/i.exec(text);
  if (found === null) return undefined;
  const [, blanks = "", sign = "", digits = "", suffix = ""] = found;
  // fio takes no suffix behind a leading blank (`bs = 4k` is 4 bytes)
  if (blanks !== "" && suffix !== "") return undefined;
  const hex = digits.startsWith("0x") || digits.startsWith("0X");
  const factor = suffix === "%" ? 1 : hex && suffix !== "" ? undefined : byteFactor(suffix);
  if (factor === undefined) return undefined;
  const value = Number(digits) * factor;
  if (value > Number.MAX_SAFE_INTEGER) return undefined;
  return { value: sign === "-" ? -value : value, percent: suffix === "%" };
}

function exact(us: number): number | undefined {
  return Math.abs(us) <= Number.MAX_SAFE_INTEGER ? us : undefined;
}

/** Microseconds below 2^53; a number without suffix is in `unit` of them. Undefined if the text is no time. */
export function readTime(text: string, unit: number): number | undefined {
  if (text.startsWith("(")) {
    const result = evaluate(text, timeFactor);
    return result === undefined ? undefined : exact(result.value * (result.units ? 1 : unit));
  }
  const found = /^(\s*)\+?(\d+)([a-z]*)$/i.exec(text);
  if (found === null) return undefined;
  const [, blanks = "", digits = "", suffix = ""] = found;
  const factor = suffix === "" ? unit : blanks === "" ? timeFactor(suffix) : undefined;
  return exact(Number(digits) * (factor ?? Number.NaN));
}

/** A whole number without suffix, decimal or 0x: what fio's booleans take. */
export function readPlain(text: string): number | undefined {
  return /^\s*\+?(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text.replace("+", "")) : undefined;
}

export function readFloat(text: string): number | undefined {
  return /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

/** Values for read, write and trim: the next one ends at a comma, without one at a colon, else at a dash. */
export function pieces(text: string): string[] {
  // a dash in front is a sign
  const cut = [text.indexOf(","), text.indexOf(":"), text.indexOf("-", 1)].find((at) => at >= 0);
  return cut === undefined ? [text] : [text.slice(0, cut), ...pieces(text.slice(cut + 1))];
}
