/**
 * Replay token: a failing execution as a short text, for a command line, a URL or a bug report.
 *
 * Bytes: 'R', version, length of the rest as a varint, the record, CRC-32 of all before; as base64url. The first two
 * bytes and the checksum are the same in every version, so that a token of another version is known as one. The
 * schedule is stored as runs of one thread: about one byte a context switch.
 */
import { MAX_THREADS } from "../program.ts";
import { crc32, decodeBase64url, encodeBase64url } from "./base64url.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";

/** Raised when the layout below, or the meaning of a step, changes. */
export const TOKEN_VERSION = 1;

/** What an execution must be made with for its schedule to mean anything. */
export interface ReplayOptions {
  /** Where the scheduler has a say: at every access, or at synchronising ones. */
  readonly granularity: "all" | "sync";
  readonly timeouts: "lazy" | "eager";
  /** Early time-outs in one execution, when eager. */
  readonly earlyTimeouts: number;
  readonly maxSteps: number;
}

export interface ReplayRecord {
  /** What was checked, in the caller's words: scenario or program, form, variant, mutant ... */
  readonly subject: Readonly<Record<string, string>>;
  readonly options: ReplayOptions;
  readonly threads: number;
  /** Outcome.hash: all ops with their results. Another hash means the program has changed. */
  readonly hash: number;
  /** Low byte of the hash after every `stride` steps (see strideOf): tells where a changed program departs. */
  readonly marks: readonly number[];
  /** Thread of each step. */
  readonly schedule: Uint8Array;
  /** Data choices in order; zeros at the end are not kept. */
  readonly choices: readonly number[];
  /** A FailureKind, or another word of the caller's. */
  readonly kind: string;
  /** Hash of the failure's signature. */
  readonly signature: number;
}

/** Text that is no token, or a damaged one. */
export class TokenError extends Error {
  override readonly name: string = "TokenError";
}

/** A token of another version of this format. */
export class TokenVersionError extends Error {
  override readonly name: string = "TokenVersionError";
  readonly found: number;
  readonly supported: number = TOKEN_VERSION;

  constructor(found: number) {
    super(
      `the replay token is of version ${found}, this checker reads version ${TOKEN_VERSION}: ` +
        "replay it with the release that made it, or check again for a new one",
    );
    this.found = found;
  }
}

/** Names that get a number: they are in most tokens. Append only. */
const WORDS: readonly string[] = (
  "scenario program form variant mutant threads seed correct broken v3 v3-fixed pass " +
  "assertion crash deadlock livelock step-limit data-race use-after-free double-free " +
  "out-of-bounds leak refcount rcu warning lost-wakeup nondeterminism"
).split(" ");

const MAGIC = 0x52;
const HEAD_BYTES = 2;
const CRC_BYTES = 4;
/** A record may not blow up: no schedule of any step limit in use is longer. */
const MAX_SCHEDULE = 10_000_000;
const MARKS = 16;

/** Steps between two marks of a schedule of `picks` steps. */
export function strideOf(picks: number): number {
  let stride = 1;
  while (stride * MARKS < picks) stride *= 2;
  return stride;
}

export function encodeToken(record: ReplayRecord): string {
  const body = new ByteWriter();
  writeSubject(body, record.subject);
  const { options } = record;
  body.number((options.granularity === "sync" ? 1 : 0) | (options.timeouts === "eager" ? 2 : 0));
  body.number(options.earlyTimeouts);
  body.number(options.maxSteps);
  body.number(record.threads);
  body.word(record.hash);
  body.number(record.marks.length);
  for (const mark of record.marks) body.bytes.push(mark & 0xff);
  writeSchedule(body, record.schedule, record.threads);
  writeChoices(body, record.choices);
  writeWord(body, record.kind);
  body.word(record.signature);

  const all = new ByteWriter();
  all.bytes.push(MAGIC, TOKEN_VERSION);
  all.number(body.bytes.length);
  for (const byte of body.bytes) all.bytes.push(byte);
  all.word(crc32(Uint8Array.from(all.bytes)));
  return encodeBase64url(Uint8Array.from(all.bytes));
}

/** Throws TokenError or TokenVersionError; never gives a record that was not encoded. */
export function decodeToken(text: string): ReplayRecord {
  const bytes = decodeBase64url(text.trim());
  if (typeof bytes === "string") throw new TokenError(`not a replay token: ${bytes}`);
  if (bytes.length < HEAD_BYTES + 1 + CRC_BYTES || bytes[0] !== MAGIC) {
    throw new TokenError('not a replay token: one begins with "U" and has at least 10 characters');
  }
  checkWhole(bytes);
  const version = bytes[1] as number;
  if (version !== TOKEN_VERSION) throw new TokenVersionError(version);
  const reader = new ByteReader(bytes, HEAD_BYTES, bytes.length - CRC_BYTES);
  try {
    reader.number();
    return readRecord(reader);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TokenError(`the replay token holds no execution: ${why}`);
  }
}

function checkWhole(bytes: Uint8Array): void {
  const end = bytes.length - CRC_BYTES;
  if (new ByteReader(bytes, end, bytes.length).word() >>> 0 === crc32(bytes, end)) return;
  const reader = new ByteReader(bytes, HEAD_BYTES, bytes.length);
  let missing = 0;
  try {
    missing = reader.number() + CRC_BYTES - reader.left;
  } catch {
    // A length that runs off the end tells nothing more.
  }
  const short = missing > 0 ? `, about ${Math.ceil((missing * 4) / 3)} characters are missing` : "";
  throw new TokenError(`the replay token is damaged or cut short: its checksum is wrong${short}`);
}

function readRecord(reader: ByteReader): ReplayRecord {
  const subject = readSubject(reader);
  const flags = reader.number();
  const options: ReplayOptions = {
    granularity: (flags & 1) !== 0 ? "sync" : "all",
    timeouts: (flags & 2) !== 0 ? "eager" : "lazy",
    earlyTimeouts: reader.number(),
    maxSteps: reader.number(),
  };
  const threads = reader.number();
  if (threads < 1 || threads > MAX_THREADS)
    throw new RangeError(`${threads} threads, expected 1 ... ${MAX_THREADS}`);
  const hash = reader.word();
  const marks: number[] = [];
  const count = reader.number();
  for (let i = 0; i < count; i++) marks.push(reader.byte());
  const schedule = readSchedule(reader, threads);
  const choices = readChoices(reader);
  const kind = readWord(reader);
  return { subject, options, threads, hash, marks, schedule, choices, kind, signature: reader.word() };
}

/** A known word by number from 1; 0 and the text for others. */
function writeWord(writer: ByteWriter, word: string): void {
  const index = WORDS.indexOf(word);
  writer.number(index + 1);
  if (index < 0) writer.text(word);
}
function readWord(reader: ByteReader): string {
  const index = reader.number();
  if (index === 0) return reader.text();
  const word = WORDS[index - 1];
  if (word === undefined) throw new RangeError(`word ${index} is not known`);
  return word;
}

function writeSubject(writer: ByteWriter, subject: Readonly<Record<string, string>>): void {
  const entries = Object.entries(subject);
  writer.number(entries.length);
  for (const [key, value] of entries) {
    writeWord(writer, key);
    writeWord(writer, value);
  }
}
function readSubject(reader: ByteReader): Record<string, string> {
  const entries: [string, string][] = [];
  const count = reader.number();
  for (let i = 0; i < count; i++) entries.push([readWord(reader), readWord(reader)]);
  return Object.fromEntries(entries);
}

/** Runs: length times the number of other threads, plus which of them; a run never follows one of its own thread. */
function writeSchedule(writer: ByteWriter, schedule: Uint8Array, threads: number): void {
  const others = Math.max(1, threads - 1);
  writer.number(schedule.length);
  let previous = threads - 1;
  for (let i = 0; i < schedule.length; ) {
    const thread = schedule[i] as number;
    if (thread >= threads) throw new RangeError(`thread ${thread} in the schedule of ${threads}`);
    let end = i + 1;
    while (end < schedule.length && schedule[end] === thread) end++;
    const which = i === 0 ? 0 : (thread - previous - 1 + threads) % threads;
    if (i === 0) writer.number(thread);
    writer.number((end - i) * others + which);
    previous = thread;
    i = end;
  }
}
function readSchedule(reader: ByteReader, threads: number): Uint8Array {
  const others = Math.max(1, threads - 1);
  const length = reader.number();
  if (length > MAX_SCHEDULE) throw new RangeError(`a schedule of ${length} steps`);
  const schedule = new Uint8Array(length);
  let thread = length === 0 ? 0 : reader.number();
  for (let at = 0; at < length; ) {
    const run = reader.number();
    if (at > 0) thread = (thread + 1 + (run % others)) % threads;
    const end = at + Math.floor(run / others);
    if (end === at || end > length) throw new RangeError("a run that does not fit");
    schedule.fill(thread, at, end);
    at = end;
  }
  return schedule;
}

/** Pairs: zeros before, value. */
function writeChoices(writer: ByteWriter, choices: readonly number[]): void {
  writer.number(choices.filter((value) => value !== 0).length);
  let zeros = 0;
  for (const value of choices) {
    if (value === 0) zeros++;
    else {
      writer.number(zeros);
      writer.number(value);
      zeros = 0;
    }
  }
}
function readChoices(reader: ByteReader): number[] {
  const choices: number[] = [];
  const count = reader.number();
  for (let i = 0; i < count; i++) {
    const zeros = reader.number();
    if (zeros > MAX_SCHEDULE) throw new RangeError(`${zeros} choices`);
    for (let z = 0; z < zeros; z++) choices.push(0);
    choices.push(reader.number());
  }
  return choices;
}
