/** Numbers as C's printf writes them: `%.Nf` and fio's num2str. */

/** `%.<digits>f`: ties go to the even digit, where toFixed takes the larger one. */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return "0";
  // A tie needs all bits within digits + 1 places behind the point.
  const halves = value * 2 ** (digits + 1);
  if (!Number.isInteger(halves)) return value.toFixed(digits);
  const doubled = BigInt(halves) * 5n ** BigInt(digits);
  if (doubled % 2n === 0n) return value.toFixed(digits);
  const below = (doubled - 1n) / 2n;
  const even = below % 2n === 0n ? below : below + 1n;
  const text = (even < 0n ? -even : even).toString().padStart(digits + 1, "0");
  const sign = value < 0 ? "-" : "";
  if (digits === 0) return sign + text;
  return `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** `%f` */
export function float(value: number): string {
  return fixed(value, 6);
}

/** `%5.02f` */
export function wide(value: number): string {
  return fixed(value, 2).padStart(5);
}

export type Unit = "" | "B" | "B/s";

const SI = ["", "k", "M", "G", "T", "P", "E"] as const;
const IEC = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] as const;

/** Significant figures of bandwidths, sizes and IOPS (fio's significant_figures). */
export const FIGURES = 4;

/**
 * A whole number in at most `width` characters before its prefix and unit: 12345 is 12.3k. `binary`: prefixes of
 * 1024. `given`: the number counts these (1024: KiB). Digits below are cut, the last one shown is rounded
 * (lib/num2str.c).
 */
export function human(number: number, width: number, binary: boolean, unit: Unit, given = 1): string {
  const thousand = binary ? 1024 : 1000;
  const prefixes = binary ? IEC : SI;
  // As fio: whole divisions, so a count of 1024 is one step in either kind of prefix.
  let prefix = 0;
  for (let left = given; left > 1; left = Math.floor(left / thousand)) prefix += 1;
  let whole = Math.trunc(number);
  let rest = -1;
  while (prefix < prefixes.length && String(whole).length > width) {
    rest = whole % thousand;
    whole = Math.floor(whole / thousand);
    prefix += 1;
  }
  const suffix = `${prefixes[prefix] ?? ""}${unit}`;
  if (rest < 0) return `${whole}${suffix}`;
  const room = width - String(whole).length;
  if (room <= 1) return `${rest >= thousand / 2 ? whole + 1 : whole}${suffix}`;
  const fraction = fixed(rest / thousand, room - 1);
  return `${fraction.startsWith("1") ? whole + 1 : whole}.${fraction.slice(2)}${suffix}`;
}
