/**
 * verify_pattern: what blocks are filled with. Strings in double quotes, 0x... bytes in the order written,
 * decimal numbers as little-endian bytes without leading zeros (32 bits, negative ones too), `%o` for the block's
 * offset; all of them one behind the other: `"abc"0xff%o-12`.
 */
export const PATTERN_MAX = 512;
/** `%o`s in one pattern. */
const OFFSETS_MAX = 8;

export interface Pattern {
  readonly bytes: readonly number[];
  /** Where `%o` stood. */
  readonly offsets: readonly number[];
}

const PART = /"([^"]*)"|(%o)|0x([0-9a-f]+?)(?=0x|[^0-9a-f]|$)|([-+]?\d+?)(?=0x|[^0-9]|$)/iy;

function hexBytes(digits: string): number[] {
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  return Array.from({ length: even.length / 2 }, (_, i) => Number.parseInt(even.slice(2 * i, 2 * i + 2), 16));
}

/** Undefined if the number has more than 32 bits. */
function decimalBytes(digits: string): number[] | undefined {
  const value = Number(digits);
  if (value > 2 ** 31 - 1 || value < -(2 ** 31)) return undefined;
  const bytes: number[] = [];
  for (let rest = value >>> 0; rest > 0; rest >>>= 8) bytes.push(rest & 0xff);
  return bytes.length === 0 ? [0] : bytes;
}

/** Undefined if the text is no pattern, or one longer than 512 bytes. */
export function readPattern(text: string): Pattern | undefined {
  const bytes: number[] = [];
  const offsets: number[] = [];
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const found = PART.exec(text);
    if (found === null) return undefined;
    const [, string, format, hex, decimal] = found;
    if (string !== undefined) bytes.push(...new TextEncoder().encode(string));
    else if (hex !== undefined) bytes.push(...hexBytes(hex));
    else if (decimal !== undefined) {
      const part = decimalBytes(decimal);
      if (part === undefined) return undefined;
      bytes.push(...part);
    } else if (format !== undefined) {
      offsets.push(bytes.length);
      bytes.push(0, 0, 0, 0, 0, 0, 0, 0);
    }
  }
  if (bytes.length === 0 || bytes.length > PATTERN_MAX || offsets.length > OFFSETS_MAX) return undefined;
  return { bytes, offsets };
}
