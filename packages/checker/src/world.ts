/**
 * World: the shared memory of a program under control, and everything an execution changes: put back to the snapshot
 * before the next one. Lines of 256 bytes that were written are copied back, so a reset costs what was touched.
 *
 * Also here, because ops act on it: the futex queue, virtual time, and the stream of executed ops that monitors and
 * recorders follow.
 */
import {
  type BadAccess,
  CheckedMemory,
  KASAN_FREE_PAGE,
  KASAN_SLAB_FREE,
  type Shadow,
} from "atomics-sync/checked-memory";
import { createSharedMemory, type Memory, type WaitResult } from "atomics-sync/memory";
import { ControlledMemory } from "./controlled-memory.ts";
import type { Monitor } from "./monitor.ts";
import {
  OP_ALLOC,
  OP_COMPARE_EXCHANGE,
  OP_FREE,
  OP_NOTIFY,
  OP_READ64,
  OP_WAIT,
  OP_WRITE64,
  type OpInfo,
  OPS,
  ORDER_PLAIN,
  READS,
  WRITES,
} from "./op.ts";
import { siteCount } from "./runtime.ts";
import type { Thread } from "./thread.ts";

const LINE_SHIFT = 8;
const LINE_WORDS = 1 << (LINE_SHIFT - 2);
const LINE_SHADOW = 1 << (LINE_SHIFT - 3);

/** Locations one step may tell a search about; more make it depend on everything. */
export const MAX_ACCESSES = 4096;

export type WasmMemory = Memory["wasm"];

/** What went wrong, found by the engine or a monitor. */
export interface Finding {
  readonly kind: FailureKind;
  /** One line. */
  readonly message: string;
  /** Thread it happened on; -1 for none. */
  readonly thread: number;
  readonly site: number;
  /** The whole report, in the kernel's shape where there is one. */
  readonly report?: string;
}

export type FailureKind =
  | "assertion"
  | "crash"
  | "deadlock"
  | "livelock"
  | "step-limit"
  | "data-race"
  | "use-after-free"
  | "double-free"
  | "out-of-bounds"
  | "leak"
  | "refcount"
  | "rcu"
  | "warning"
  | "lost-wakeup"
  | "nondeterminism";

export class World {
  readonly wasm: WasmMemory;
  readonly shadow: Shadow;
  readonly gate: Uint8Array;
  /** A gate nothing yields at. */
  readonly closed: Uint8Array;
  /** For setup and after: never scheduled. */
  readonly alone: ControlledMemory;
  readonly names: string[] = [];
  /** What a place is, for reports; "" or undefined: nothing is known of it. */
  describe: ((place: number) => string | undefined) | undefined = undefined;
  readonly monitors: Monitor[] = [];
  /** Virtual milliseconds. */
  now: number = 0;
  /** Ops executed in this execution. */
  steps: number = 0;
  /** Hash of every op of this execution: thread, kind, place, result. */
  hash: number = 0;
  /** Writes so far: tells spinning threads that something changed. */
  version: number = 0;
  finding: Finding | undefined = undefined;
  /** Called with each executed op while a trace is recorded. */
  recorder: ((mem: ControlledMemory) => void) | undefined = undefined;
  /** Collect the locations of each step, for searches that need dependence. */
  follows: boolean = false;
  /** So, too, the plain accesses that are not the pending op of their step; frees and allocations always. */
  followsQuiet: boolean = true;
  /**
   * Pairs: place (number of the word; words + that for its queue of sleepers), 1 when written. Of the step
   * that runs.
   */
  readonly accesses: Int32Array = new Int32Array(2 * MAX_ACCESSES);
  accessCount: number = 0;
  /** Sleepers, first come first. */
  readonly sleepers: number[] = [];
  readonly sleeperAt: number[] = [];
  /** Told by notify: thread `sleeper` was woken by `waker`. */
  onWake: (sleeper: number, waker: number) => void = () => {};

  /** By index; set by the execution. */
  threads: readonly Thread[] = [];

  private readonly i32: Int32Array;
  private readonly shadow8: Uint8Array;
  private readonly cleanWords: Int32Array;
  private readonly cleanShadow: Uint8Array;
  private readonly dirty: Uint8Array;
  private readonly dirtyLines: Int32Array;
  private dirtyCount: number = 0;
  private tracking: boolean = false;
  private cleanNow: number = 0;

  constructor(bytes: number) {
    if (!(bytes >= 1)) throw new RangeError(`shared memory of ${bytes} bytes: expected 1 or more`);
    this.wasm = createSharedMemory(bytes);
    const size = this.wasm.buffer.byteLength;
    this.shadow = CheckedMemory.createShadow(size);
    this.i32 = new Int32Array(this.wasm.buffer);
    this.shadow8 = new Uint8Array(this.shadow);
    this.cleanWords = new Int32Array(size >> 2);
    this.cleanShadow = new Uint8Array(this.shadow8.length);
    this.dirty = new Uint8Array((size >> LINE_SHIFT) + 1);
    this.dirtyLines = new Int32Array(this.dirty.length);
    this.gate = new Uint8Array(siteCount()).fill(1);
    this.closed = new Uint8Array(this.gate.length);
    this.alone = new ControlledMemory(this, -1);
  }

  nameOf(thread: number): string {
    return thread < 0 ? "setup" : (this.names[thread] ?? `thread ${thread}`);
  }

  /** Takes what memory holds now as the start of every execution. */
  snapshot(): void {
    this.cleanWords.set(this.i32);
    this.cleanShadow.set(this.shadow8);
    this.cleanNow = this.now;
    this.tracking = true;
  }

  /** The word and the shadow byte of `p` at the start of every execution. */
  startWord(p: number): number {
    return this.cleanWords[p >>> 2] as number;
  }
  startShadow(p: number): number {
    return this.cleanShadow[p >>> 3] as number;
  }

  /** Back to the snapshot. */
  reset(): void {
    const { i32, cleanWords, shadow8, cleanShadow } = this;
    for (let n = 0; n < this.dirtyCount; n++) {
      const line = this.dirtyLines[n] as number;
      this.dirty[line] = 0;
      const word = line << (LINE_SHIFT - 2);
      for (let i = word; i < word + LINE_WORDS; i++) i32[i] = cleanWords[i] as number;
      const shade = line << (LINE_SHIFT - 3);
      for (let i = shade; i < shade + LINE_SHADOW; i++) shadow8[i] = cleanShadow[i] as number;
    }
    this.dirtyCount = 0;
    this.alone.restart();
    this.now = this.cleanNow;
    this.steps = 0;
    this.hash = 0;
    this.version = 0;
    this.finding = undefined;
    this.accessCount = 0;
    this.sleepers.length = 0;
    this.sleeperAt.length = 0;
  }

  /** The line of `p` is about to be written. */
  touch(p: number): void {
    const line = p >>> LINE_SHIFT;
    if (this.tracking && this.dirty[line] === 0) {
      this.dirty[line] = 1;
      this.dirtyLines[this.dirtyCount++] = line;
    }
  }
  touchRange(p: number, bytes: number): void {
    if (!this.tracking) return;
    const end = Math.min(p + bytes, this.i32.length * 4);
    for (let at = Math.max(p, 0) & -(1 << LINE_SHIFT); at < end; at += 1 << LINE_SHIFT) this.touch(at);
  }

  /** An op was executed. */
  observe(mem: ControlledMemory): void {
    if (mem.thread < 0) {
      if (this.recorder !== undefined) this.recorder(mem);
      return;
    }
    const { kind, p } = mem;
    this.steps++;
    this.hash = Math.imul(this.hash ^ (kind + (mem.thread << 8)), 0x01000193) ^ p;
    this.hash = Math.imul(this.hash ^ mem.result, 0x01000193);
    const info = OPS[kind] as OpInfo;
    if (info.bytes === 8) this.hash = Math.imul(this.hash ^ (mem.result / 4294967296), 0x01000193);
    let { access } = info;
    // A read-modify-write that left the value as it was is a read: it commutes with reads, and it may spin.
    if (access === (READS | WRITES) && info.bytes !== 0 && this.i32[p >> 2] === mem.result) access = READS;
    if ((access & WRITES) !== 0) this.version++;
    if (mem.block > 1) this.noteQuiet(mem, info, access);
    if (this.follows) this.follow(mem, access);
    for (let i = 0; i < this.monitors.length; i++) (this.monitors[i] as Monitor).executed(mem);
    if (this.recorder !== undefined) this.recorder(mem);
  }

  /** An op that was not the pending one of its step: what does its thread spin on, should it come to a pause? */
  private noteQuiet(mem: ControlledMemory, info: OpInfo, access: number): void {
    const thread = this.threads[mem.thread] as Thread;
    if (info.bytes === 0) {
      if ((access & READS) !== 0) thread.noteBulk();
      return;
    }
    if (info.order === ORDER_PLAIN) return;
    if ((access & WRITES) !== 0) thread.noteWrite();
    else if (access !== 0) thread.noteRead(mem.p, this.i32[mem.p >> 2] as number, mem.site);
  }

  /** Notes the locations of the op for the search. Bulk ops count by word. */
  private follow(mem: ControlledMemory, access: number): void {
    const { kind, p } = mem;
    if (kind === OP_NOTIFY) this.noteQueue(p, mem.result !== 0);
    else if (kind === OP_WAIT) {
      this.noteAccess(p, false);
      if (mem.result === (mem.b | 0)) this.noteQueue(p, true);
    } else if (access !== 0 && (this.followsQuiet || isMarked(mem))) {
      const { bytes } = OPS[kind] as OpInfo;
      const write = (access & WRITES) !== 0 || (!this.followsQuiet && isRelease(mem));
      if (bytes !== 0) {
        this.noteAccess(p, write);
        if (kind === OP_READ64 || kind === OP_WRITE64) this.noteAccess(p + 4, write);
      } else this.followBulk(mem, access);
    }
  }

  private followBulk(mem: ControlledMemory, access: number): void {
    const { p, a, b } = mem;
    for (let at = p & -4; at < p + b; at += 4) this.noteAccess(at, (access & WRITES) !== 0);
    if (access === (READS | WRITES)) for (let at = a & -4; at < a + b; at += 4) this.noteAccess(at, false);
  }

  noteAccess(p: number, write: boolean): void {
    this.notePlace(p >> 2, write);
  }

  /**
   * The queue of sleepers at `p` is a place of its own: who joins it or is woken changes it, who finds it
   * empty reads it.
   */
  noteQueue(p: number, write: boolean): void {
    this.notePlace((p >> 2) + this.i32.length, write);
  }

  private notePlace(place: number, write: boolean): void {
    if (this.accessCount === MAX_ACCESSES) return;
    const i = 2 * this.accessCount++;
    this.accesses[i] = place;
    this.accesses[i + 1] = write ? 1 : 0;
  }

  /** Wakes up to `count` sleepers at `p`. */
  notify(mem: ControlledMemory, p: number, count: number): number {
    let woken = 0;
    for (let i = 0; i < this.sleepers.length && woken < count; ) {
      if (this.sleeperAt[i] !== p) i++;
      else {
        const sleeper = this.sleepers[i] as number;
        this.sleepers.splice(i, 1);
        this.sleeperAt.splice(i, 1);
        woken++;
        this.version++;
        this.onWake(sleeper, mem.thread);
      }
    }
    return woken;
  }

  /** A wait where nothing else can run: it can only be refused or time out. */
  waitAlone(mem: ControlledMemory): WaitResult {
    if (mem.compared() !== (mem.b | 0)) return "not-equal";
    if (mem.a !== Number.POSITIVE_INFINITY) return "timed-out";
    throw new Error("a wait without time-out outside the scheduler would sleep for ever");
  }

  wordAt(p: number): number {
    return this.i32[p >> 2] as number;
  }

  /** The first finding of an execution ends it. */
  find(finding: Finding): void {
    this.finding ??= finding;
  }

  badAccess(mem: ControlledMemory, report: BadAccess): void {
    // The first ends the execution, but a step goes on to its end: down a list of rubbish, say, with a report a node.
    if (this.finding !== undefined) return;
    let taken = false;
    for (const monitor of this.monitors) taken = monitor.badAccess?.(mem, report) === true || taken;
    if (taken) return;
    const what = `${report.write ? "write" : "read"} of ${report.bytes} bytes at ${report.p}`;
    const freed = report.code === KASAN_SLAB_FREE || report.code === KASAN_FREE_PAGE;
    const kind = freed ? "use-after-free" : "out-of-bounds";
    this.find({ kind, message: `${kind}: ${what}`, thread: mem.thread, site: mem.site });
  }
}

/** Is the op more than a plain access on the way from one switch point to the next? */
function isMarked({ kind, block }: ControlledMemory): boolean {
  return block <= 1 || (OPS[kind] as OpInfo).order !== ORDER_PLAIN || kind === OP_FREE || kind === OP_ALLOC;
}

/**
 * A read-modify-write that left the value as it was publishes all the same. Where plain accesses are taken for ordered,
 * the order of such ops is what decides whether they are.
 */
function isRelease({ kind, result, b }: ControlledMemory): boolean {
  const { access, order } = OPS[kind] as OpInfo;
  if (access !== (READS | WRITES) || order === ORDER_PLAIN) return false;
  return kind !== OP_COMPARE_EXCHANGE || result === (b | 0);
}

/** The op is the free of an object, not a redzone. */
export function isFree(mem: ControlledMemory): boolean {
  return mem.kind === OP_FREE && (mem.a === KASAN_SLAB_FREE || mem.a === KASAN_FREE_PAGE);
}
