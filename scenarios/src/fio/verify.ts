/**
 * Verified blocks (fio verify.c): what a write puts into a block, and what a read of it must find.
 *
 * Each stretch of `interval` bytes begins with fio's header; behind it random bytes made from the seed, or the pattern.
 * verify=pattern has no header, only the pattern. Little endian:
 *
 *   0 magic acca   2 kind   4 length   8 seed u64   16 offset u64   24 seconds   28 nanoseconds
 *   32 thread u16  34 number of the write u16      36 CRC-32C of bytes 0 ... 35, then the checksum of the kind
 *
 * CRCs are stored as fio stores them: without the final inversion.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { Md5 } from "./md5.ts";
import type { FioOptions } from "./task.ts";

const MAGIC = 0xacca;
const KIND_META = 1;
const KIND_MD5 = 2;
const KIND_CRC32C = 5;
const KIND_PATTERN = 16;

const KIND = 2;
const LENGTH = 4;
const SEED = 8;
const OFFSET = 16;
const SECONDS = 24;
const NANOSECONDS = 28;
const THREAD = 32;
const NUMBER = 34;
const HEADER_CRC = 36;
const CHECKSUM = 40;
const HEADER = 40;

const GOLDEN = 0x9e3779b9;

/** What check_block found. */
export const VERIFY_OK = 0;
export const VERIFY_MAGIC = 1;
export const VERIFY_LENGTH = 2;
export const VERIFY_SEED = 3;
export const VERIFY_OFFSET = 4;
export const VERIFY_NUMBER = 5;
export const VERIFY_HEADER_CRC = 6;
export const VERIFY_DATA = 7;
export const VERIFY_KIND = 8;

/** The seed, or number, that any header may have. */
export const ANY = -1;

export class VerifyFormat {
  readonly name: string;
  readonly kind: number;
  /** Bytes between headers; 0: one a block. */
  readonly interval: number;
  /** Bytes before the data. */
  readonly header: number;
  readonly thread: number;
  readonly pattern: readonly number[];
  /** Places of the pattern that hold the block's offset. */
  readonly pattern_offsets: readonly number[];
  readonly md5: Md5 = new Md5();
  /** The failure check_block reported: where in the block, and what was wanted and found. */
  bad_at: number = 0;
  wanted: number = 0;
  found: number = 0;

  constructor(options: FioOptions, thread: number) {
    const kinds = { none: 0, meta: KIND_META, md5: KIND_MD5, crc32c: KIND_CRC32C, pattern: KIND_PATTERN };
    this.name = options.verify;
    this.kind = kinds[options.verify];
    this.interval = this.kind === KIND_PATTERN ? 0 : options.verifyInterval;
    this.header = HEADER + (this.kind === KIND_MD5 ? 16 : this.kind === KIND_CRC32C ? 4 : 0);
    this.thread = thread;
    this.pattern = options.verifyPattern;
    this.pattern_offsets = options.verifyPatternOffsets ?? [];
  }
}

function stretch_of(v: VerifyFormat, bytes: number): number {
  return v.interval > 0 && v.interval < bytes ? v.interval : bytes;
}

/** Fills the block at `p`: `bytes` bytes, a multiple of 4, for `offset` of its file. `seed` and `number` unsigned. */
export function stamp_block(
  cpu: Cpu,
  v: VerifyFormat,
  p: number,
  bytes: number,
  offset: number,
  seed: number,
  number: number,
): void {
  if (v.pattern.length > 0) fill_pattern(cpu, v, p, bytes, offset);
  if (v.kind === KIND_PATTERN) {
    if (v.pattern.length === 0) fill_random(cpu, p, bytes, pattern_seed(offset));
    return;
  }
  const stretch = stretch_of(v, bytes);
  const now = cpu.now();
  for (let at = 0; at < bytes; at += stretch) {
    const h = p + at;
    if (v.pattern.length === 0) fill_random(cpu, h + v.header, stretch - v.header, seed + at);
    cpu.mem.write16(h, MAGIC);
    cpu.mem.write16(h + KIND, v.kind);
    cpu.mem.write(h + LENGTH, stretch);
    cpu.mem.write64(h + SEED, seed);
    cpu.mem.write64(h + OFFSET, offset + at);
    cpu.mem.write(h + SECONDS, Math.floor(now / 1000));
    cpu.mem.write(h + NANOSECONDS, Math.floor((now % 1000) * 1e6));
    cpu.mem.write16(h + THREAD, v.thread);
    cpu.mem.write16(h + NUMBER, number & 0xffff);
    cpu.mem.write(h + HEADER_CRC, ~cpu.mem.crc32c(h, HEADER_CRC));
    stamp_checksum(cpu, v, h, stretch);
  }
}

function stamp_checksum(cpu: Cpu, v: VerifyFormat, h: number, stretch: number): void {
  const data = h + v.header;
  const bytes = stretch - v.header;
  if (v.kind === KIND_CRC32C) cpu.mem.write(h + CHECKSUM, ~cpu.mem.crc32c(data, bytes));
  if (v.kind !== KIND_MD5) return;
  v.md5.md5_of(cpu, data, bytes);
  for (let i = 0; i < 4; i++) cpu.mem.write(h + CHECKSUM + i * 4, v.md5.words[i] as number);
}

/** VERIFY_OK, or what is wrong first; the format's bad_at, wanted and found say more. */
export function check_block(
  cpu: Cpu,
  v: VerifyFormat,
  p: number,
  bytes: number,
  offset: number,
  seed: number,
  number: number,
): number {
  if (v.kind === KIND_PATTERN) return check_pattern(cpu, v, p, bytes, offset);
  const stretch = stretch_of(v, bytes);
  for (let at = 0; at < bytes; at += stretch) {
    v.bad_at = at;
    const h = p + at;
    const header = check_header(cpu, v, h, stretch, offset + at, seed, number);
    if (header !== VERIFY_OK) return header;
    if (!check_data(cpu, v, h, stretch)) return VERIFY_DATA;
  }
  return VERIFY_OK;
}

function differs(v: VerifyFormat, found: number, wanted: number): boolean {
  if (found === wanted) return false;
  v.found = found;
  v.wanted = wanted;
  return true;
}

function check_header(
  cpu: Cpu,
  v: VerifyFormat,
  h: number,
  stretch: number,
  offset: number,
  seed: number,
  number: number,
): number {
  const mem = cpu.mem;
  if (differs(v, mem.read16(h), MAGIC)) return VERIFY_MAGIC;
  if (differs(v, mem.read(h + LENGTH) >>> 0, stretch)) return VERIFY_LENGTH;
  if (seed !== ANY && differs(v, mem.read64(h + SEED), seed)) return VERIFY_SEED;
  if (differs(v, mem.read64(h + OFFSET), offset)) return VERIFY_OFFSET;
  if (number !== ANY && differs(v, mem.read16(h + NUMBER), number & 0xffff)) return VERIFY_NUMBER;
  const crc = ~mem.crc32c(h, HEADER_CRC) >>> 0;
  if (differs(v, mem.read(h + HEADER_CRC) >>> 0, crc)) return VERIFY_HEADER_CRC;
  return differs(v, mem.read16(h + KIND), v.kind) ? VERIFY_KIND : VERIFY_OK;
}

function check_data(cpu: Cpu, v: VerifyFormat, h: number, stretch: number): boolean {
  const data = h + v.header;
  const bytes = stretch - v.header;
  if (v.kind === KIND_CRC32C) {
    return !differs(v, cpu.mem.read(h + CHECKSUM) >>> 0, ~cpu.mem.crc32c(data, bytes) >>> 0);
  }
  if (v.kind !== KIND_MD5) return true;
  v.md5.md5_of(cpu, data, bytes);
  for (let i = 0; i < 4; i++) {
    const word = v.md5.words[i] as number;
    if (differs(v, cpu.mem.read(h + CHECKSUM + i * 4) >>> 0, word >>> 0)) return false;
  }
  return true;
}

/** Without a pattern, verify=pattern writes bytes that only the offset decides: any job can check them. */
function pattern_seed(offset: number): number {
  return Math.imul(offset / 512 + 1, GOLDEN);
}

function fill_random(cpu: Cpu, p: number, bytes: number, seed: number): void {
  let x = Math.imul(seed, GOLDEN) | 1;
  for (let at = 0; at < bytes; at += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    cpu.mem.write(p + at, x);
  }
}

/** The pattern's byte `at` of a block at `offset`. */
function pattern_byte(v: VerifyFormat, at: number, offset: number): number {
  for (const place of v.pattern_offsets) {
    const byte = at - place;
    if (byte >= 0 && byte < 8) return Math.floor(offset / 256 ** byte) & 0xff;
  }
  return v.pattern[at] as number;
}

function fill_pattern(cpu: Cpu, v: VerifyFormat, p: number, bytes: number, offset: number): void {
  const length = Math.min(v.pattern.length, bytes);
  for (let at = 0; at < length; at++) cpu.mem.write8(p + at, pattern_byte(v, at, offset));
  // Each copy doubles what there is.
  for (let done = length; done < bytes; done *= 2) cpu.mem.memcpy(p + done, p, Math.min(done, bytes - done));
}

function check_pattern(cpu: Cpu, v: VerifyFormat, p: number, bytes: number, offset: number): number {
  if (v.pattern.length === 0) return check_random(cpu, v, p, bytes, pattern_seed(offset));
  const length = v.pattern.length;
  for (let at = 0; at < bytes; at++) {
    // Only the first copy is compared with the pattern, the others with the one before them.
    const wanted = at < length ? pattern_byte(v, at, offset) : cpu.mem.read8(p + at - length);
    if (!differs(v, cpu.mem.read8(p + at), wanted)) continue;
    v.bad_at = at;
    return VERIFY_DATA;
  }
  return VERIFY_OK;
}

function check_random(cpu: Cpu, v: VerifyFormat, p: number, bytes: number, seed: number): number {
  let x = Math.imul(seed, GOLDEN) | 1;
  for (let at = 0; at < bytes; at += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    if (!differs(v, cpu.mem.read(p + at), x)) continue;
    v.bad_at = at;
    return VERIFY_DATA;
  }
  return VERIFY_OK;
}

/** What fio says on stderr of a block of `bytes` at `offset` of `file` for which check_block said `result`. */
export function describe_failure(
  v: VerifyFormat,
  result: number,
  file: string,
  offset: number,
  bytes: number,
): string {
  const stretch = stretch_of(v, bytes);
  const request = `(requested block: offset=${offset}, length=${bytes})`;
  const place = `at file ${file} offset ${offset + v.bad_at}, length ${stretch} ${request}`;
  const hex = (n: number): string => (n >>> 0).toString(16);
  const wrong = (what: string, found: string, wanted: string): string =>
    `verify: bad ${what} ${found}, wanted ${wanted} ${place}`;
  switch (result) {
    case VERIFY_MAGIC:
      return wrong("magic header", hex(v.found), hex(v.wanted));
    case VERIFY_LENGTH:
      return wrong("header length", `${v.found}`, `${v.wanted}`);
    case VERIFY_SEED:
      return wrong("header rand_seed", `${v.found}`, `${v.wanted}`);
    case VERIFY_OFFSET:
      return wrong("header offset", `${v.found}`, `${v.wanted}`);
    case VERIFY_NUMBER:
      return wrong("header numberio", `${v.found}`, `${v.wanted}`);
    case VERIFY_HEADER_CRC:
      return wrong("header crc", hex(v.found), hex(v.wanted));
    case VERIFY_KIND:
      return wrong("verify type", `${v.found}`, `${v.wanted}`);
    default:
      if (v.kind === KIND_PATTERN) {
        const byte = `offset ${offset + v.bad_at} of file ${file}`;
        const got = `got 0x${hex(v.found)}, wanted 0x${hex(v.wanted)}`;
        return `verify: pattern mismatch at ${byte}: ${got} ${request}`;
      }
      return `${v.name}: verify failed ${place}: expected checksum ${hex(v.found)}, received ${hex(v.wanted)}`;
  }
}
