/**
 * Source sites: "function file:line" of whoever called into the kernel's debug or allocation verbs, as a
 * small number any thread can read back. What _RET_IP_ is to the kernel. Cold path only: about 3 us a call.
 *
 * Table at map.sites: word 0 = count (guarded by the lock in word 1), records from +128:
 * { length u32, text }.
 */
import { mutexLock, mutexUnlock } from "atomics-sync";
import { SITE_RECORD_SIZE, SITE_RECORDS } from "../mm/memory-map.ts";
import type { Cpu } from "../sched/cpu.ts";

const COUNT = 0;
const LOCK = 4;
const RECORDS = 128;
const TEXT = 4;
const TEXT_MAX = SITE_RECORD_SIZE - TEXT;

/** Frames of these files are the messenger, not the site; tests of them are sites. */
const MESSENGER = /\/core\/src\/(?:mm|debug|ref\/refcount)(?!.*\.test\.ts)/;
/** Functions that speak for their caller. */
const MESSENGER_FUNCTION = /^(?:might_sleep|\w+_assert_(?:not_)?held)$/;
/** A bad access is where the memory verb, lock or list was used, not in its own code. */
const ACCESSOR = /\/(?:atomics-sync\/|core\/src\/(?:debug\/|lock\/spinlock|mm\/list))(?!.*\.test\.ts)/;
const FRAME = /at (?:(?:new |async )?([\w.$<>[\] ]+) \()?(?:file:\/\/)?(.*?):(\d+):\d+\)?$/;
const KEEP = /^.*?\/((?:packages|workers|scenarios|test|bench)\/.*)$/;
/** Every frame costs 0.2 us: first a few, enough for slab or percpu frames above the site, then more. */
const FEW_FRAMES = 6;
/** A controlled machine runs functions as coroutines, which have two frames each. */
const FEW_COROUTINES = 10;
const MANY_FRAMES = 20;

/** "io_dmabuf_init_map core/dma/token.ts:88" */
function describe_site(name: string, file: string, line: number | string): string {
  const path = file
    .replace(/^file:\/\/|\?.*$/g, "")
    .replace(KEEP, "$1")
    .replace(/^packages\//, "")
    .replace("/src/", "/");
  return `${name === "" ? "module" : name} ${path}:${line}`.slice(0, TEXT_MAX);
}

/** What V8 tells of a frame; other engines give text only. */
interface CallSite {
  getFileName(): string | null;
  getFunctionName(): string | null;
  getLineNumber(): number | null;
  getPosition(): number;
}

/** Error as V8 has it. */
interface StackSource {
  new (): { readonly stack?: unknown };
  stackTraceLimit?: number;
  prepareStackTrace?: ((error: unknown, frames: unknown) => unknown) | undefined;
  captureStackTrace?(target: StackTrace, above: unknown): void;
}

function keep_frames(_error: unknown, frames: unknown): unknown {
  return frames;
}

/** The frames of this thread as V8 objects, or the engine's text. Formatting the text would cost double. */
function capture_frames(count: number): readonly CallSite[] | string {
  const source = Error as unknown as StackSource;
  const limit = source.stackTraceLimit;
  const prepare = source.prepareStackTrace;
  source.stackTraceLimit = count;
  source.prepareStackTrace = keep_frames;
  const stack = new source().stack;
  if (limit !== undefined) source.stackTraceLimit = limit;
  source.prepareStackTrace = prepare;
  return typeof stack === "string" ? stack : ((stack ?? []) as CallSite[]);
}

/** The site in the engine's text, for engines without CallSite objects. */
function site_in_text(stack: string, skip: RegExp): string {
  for (const line of stack.split("\n")) {
    const match = FRAME.exec(line);
    if (match === null || skip.test(line) || MESSENGER_FUNCTION.test(match[1] ?? "")) continue;
    return describe_site(match[1] ?? "", match[2] as string, match[3] as string);
  }
  return "unknown";
}

/** Value in cpu.site_ids of a file whose frames are skipped; others have 0. */
const SKIPPED = -1;

/** Is a frame in `file` the messenger? Remembered per thread: file names never look like a site's text. */
function is_messenger(cpu: Cpu, file: string): boolean {
  const known = cpu.site_ids.get(file);
  if (known !== undefined) return known === SKIPPED;
  const skipped = MESSENGER.test(file);
  cpu.site_ids.set(file, skipped ? SKIPPED : 0);
  return skipped;
}

/** The id of a frame's site; 0 when the function speaks for its caller. */
function frame_site(cpu: Cpu, frame: CallSite, file: string): number {
  const key = `${file}@${frame.getPosition()}`;
  const known = cpu.site_ids.get(key);
  if (known !== undefined) return known;
  const name = frame.getFunctionName() ?? "";
  const speaks = MESSENGER_FUNCTION.test(name);
  const id = speaks ? 0 : site_id(cpu, describe_site(name, file, frame.getLineNumber() ?? 0));
  cpu.site_ids.set(key, id);
  return id;
}

/** The id of the first frame that is not the messenger; 0 if there is none among `count`. */
function first_site(cpu: Cpu, count: number): number {
  const frames = capture_frames(count);
  if (typeof frames === "string") return site_id(cpu, site_in_text(frames, MESSENGER));
  for (const frame of frames) {
    const file = frame.getFileName();
    if (file === null || is_messenger(cpu, file)) continue;
    const id = frame_site(cpu, frame, file);
    if (id !== 0) return id;
  }
  return 0;
}

/** Number of the calling site outside debug/ and mm/, 1 ... SITE_RECORDS-1; 0 when the table is full. */
export function caller_site(cpu: Cpu): number {
  const few = cpu.platform.sites === undefined ? FEW_FRAMES : FEW_COROUTINES;
  return first_site(cpu, few) || first_site(cpu, MANY_FRAMES);
}

/** Number of the site of the running memory access: the innermost frame outside the memory verbs. */
export function access_site(cpu: Cpu): number {
  const frames = capture_frames(MANY_FRAMES);
  if (typeof frames === "string") return site_id(cpu, site_in_text(frames, ACCESSOR));
  for (const frame of frames) {
    const file = frame.getFileName();
    if (file !== null && !ACCESSOR.test(file)) return frame_site(cpu, frame, file);
  }
  return 0;
}

/** A stack that was captured and not looked at: an eighth of the cost of a site. */
export interface StackTrace {
  stack?: unknown;
}

/** The innermost `count` frames above this function, for trace_site. */
export function capture_trace(count: number): StackTrace {
  const source = Error as unknown as StackSource;
  if (source.captureStackTrace === undefined) return new source();
  const limit = source.stackTraceLimit;
  source.stackTraceLimit = count;
  const trace: StackTrace = {};
  source.captureStackTrace(trace, capture_trace);
  if (limit !== undefined) source.stackTraceLimit = limit;
  return trace;
}

/** The site of the first frame of `trace` whose file does not match `messenger`; 0 if there is none. */
export function trace_site(cpu: Cpu, trace: StackTrace, messenger: RegExp): number {
  const source = Error as unknown as StackSource;
  const prepare = source.prepareStackTrace;
  source.prepareStackTrace = keep_frames;
  const frames = trace.stack;
  source.prepareStackTrace = prepare;
  if (typeof frames === "string") return site_id(cpu, site_in_text(frames, messenger));
  for (const frame of (frames ?? []) as readonly CallSite[]) {
    const file = frame.getFileName();
    if (file === null || messenger.test(file)) continue;
    const id = frame_site(cpu, frame, file);
    if (id !== 0) return id;
  }
  return 0;
}

/** The call chain of this thread, innermost first, as site texts; up to `count` frames outside debug/. */
export function call_trace(cpu: Cpu, count: number): string[] {
  const frames = capture_frames(MANY_FRAMES);
  if (typeof frames === "string") return [site_in_text(frames, MESSENGER)];
  const trace: string[] = [];
  for (const frame of frames) {
    const file = frame.getFileName();
    if (file === null || is_messenger(cpu, file) || trace.length === count) continue;
    trace.push(describe_site(frame.getFunctionName() ?? "", file, frame.getLineNumber() ?? 0));
  }
  return trace;
}

export function site_id(cpu: Cpu, text: string): number {
  const known = cpu.site_ids.get(text);
  if (known !== undefined) return known;
  const id = cpu.platform.sites?.site_number(text.slice(0, TEXT_MAX)) ?? table_id(cpu, text);
  cpu.site_ids.set(text, id);
  return id;
}

function table_id(cpu: Cpu, text: string): number {
  const table = cpu.map.sites;
  mutexLock(cpu.mem, table + LOCK);
  const id = find_or_add(cpu, text);
  mutexUnlock(cpu.mem, table + LOCK);
  return id;
}

function find_or_add(cpu: Cpu, text: string): number {
  const table = cpu.map.sites;
  const count = cpu.mem.read(table + COUNT);
  const length = Math.min(text.length, TEXT_MAX);
  for (let id = 1; id <= count; id++) {
    // Lengths first: to decode every text makes a new site cost half a millisecond.
    if (cpu.mem.read(table + RECORDS + id * SITE_RECORD_SIZE) !== length) continue;
    if (site_text(cpu, id) === text) return id;
  }
  if (count + 1 >= SITE_RECORDS) return 0;
  write_text(cpu, table + RECORDS + (count + 1) * SITE_RECORD_SIZE, text, TEXT_MAX);
  cpu.mem.write(table + COUNT, count + 1);
  return count + 1;
}

/** Text of a site; "unknown" for 0. */
export function site_text(cpu: Cpu, id: number): string {
  if (cpu.platform.sites !== undefined) return cpu.platform.sites.site_name(id);
  return id === 0 ? "unknown" : read_text(cpu, cpu.map.sites + RECORDS + id * SITE_RECORD_SIZE);
}

/** Stores a counted Latin-1 string: length word, then bytes; cut to `max` bytes. */
export function write_text(cpu: Cpu, p: number, text: string, max: number): void {
  const length = Math.min(text.length, max);
  for (let i = 0; i < length; i++) cpu.mem.write8(p + TEXT + i, text.charCodeAt(i) & 0xff);
  cpu.mem.write(p, length);
}

export function read_text(cpu: Cpu, p: number): string {
  const length = cpu.mem.read(p);
  let text = "";
  for (let i = 0; i < length; i++) text += String.fromCharCode(cpu.mem.read8(p + TEXT + i));
  return text;
}
