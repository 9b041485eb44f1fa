/**
 * Text that survives mail, URLs and shells: base64url without padding (RFC 4648 section 5), and a checksum.
 *
 * Decoding is exact: every text is either the one encoding of some bytes or refused.
 */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const VALUES: Readonly<Record<string, number>> = Object.fromEntries(
  Array.from(ALPHABET).map((letter, value) => [letter, value]),
);

export function encodeBase64url(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const left = Math.min(3, bytes.length - i);
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let j = 0; j <= left; j++) text += ALPHABET[(word >> (18 - 6 * j)) & 63];
  }
  return text;
}

/** The bytes, or why there are none. */
export function decodeBase64url(text: string): Uint8Array | string {
  const rest = text.length % 4;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let word = 0;
  let bits = 0;
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    const value = VALUES[text[i] as string];
    if (value === undefined) return `character ${i + 1} is ${JSON.stringify(text[i])}`;
    word = (word << 6) | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[n++] = (word >> bits) & 0xff;
    }
  }
  if (rest === 1) return "its last character is missing or one too many";
  if ((word & ((1 << bits) - 1)) !== 0) return "its last character cannot be the last";
  return bytes;
}

/** CRC-32 (IEEE 802.3): finds every change within 32 bits in a row. */
export function crc32(bytes: Uint8Array, end: number = bytes.length): number {
  let crc = -1;
  for (let i = 0; i < end; i++) {
    crc ^= bytes[i] as number;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
