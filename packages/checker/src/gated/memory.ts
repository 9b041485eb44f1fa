/**
 * GatedMemory: the memory of a gated thread. Each verb says what it is about to do, waits for its turn, does it for
 * real (native accesses, real Atomics, in its own thread) and keeps the result for its next report. Waiting, waking,
 * the clock and choices are the engine's: a gated thread never sleeps anywhere but at its gate.
 *
 * When the engine gives an execution up, the verb the thread stands in throws `Aborted`; the thread's entry alone
 * catches it. Later verbs of a `finally` throw as well, so nothing is written after the end.
 *
 * Quiet verbs (memcpy, memset, crc32c, poison, unpoison) run at once and are reported, as in ControlledMemory.
 */
import { CheckedMemory, type Shadow } from "atomics-sync/checked-memory";
import type { WaitResult } from "atomics-sync/memory";
import {
  OP_ALLOC,
  OP_COMPARE_EXCHANGE,
  OP_CRC32C,
  OP_EXCHANGE,
  OP_FENCE,
  OP_FETCH_ADD,
  OP_FETCH_AND,
  OP_FETCH_OR,
  OP_FETCH_SUB,
  OP_FREE,
  OP_LOAD_ACQUIRE,
  OP_MEMCPY,
  OP_MEMSET,
  OP_NOTIFY,
  OP_PAUSE,
  OP_READ,
  OP_READ16,
  OP_READ64,
  OP_READ8,
  OP_READ_ONCE,
  OP_STORE_RELEASE,
  OP_WAIT,
  OP_WRITE,
  OP_WRITE16,
  OP_WRITE64,
  OP_WRITE8,
  OP_WRITE_ONCE,
  isMisplaced,
  misplaced,
  type OpKind,
  OPS,
} from "../op.ts";
import type { WasmMemory } from "../world.ts";
import { ABORT, BAD, type Line, QUIET, STEP } from "./line.ts";

/** What an aborted thread is thrown out with. Private to this folder. */
export const ABORTED: Error = new Error("this execution was given up");

/** By the answer to a wait. */
export const WAIT_RESULTS: readonly WaitResult[] = ["ok", "not-equal", "timed-out"];

/** Number of the place in the source that called the verb of this kind. */
export type SiteOf = (kind: OpKind) => number;

export class GatedMemory extends CheckedMemory {
  private readonly line: Line;
  private readonly siteOf: SiteOf;

  constructor(wasm: WasmMemory, shadow: Shadow, line: Line, siteOf: SiteOf) {
    super(wasm, shadow, ({ p, bytes, write, code, firstBad }) => {
      line.put(code, p, bytes, write ? 1 : 0, 0);
      line.answer = firstBad;
      this.turn(BAD);
    });
    this.line = line;
    this.siteOf = siteOf;
    // Past the verbs there is no gate: a view of the buffer would run without the scheduler.
    Object.defineProperty(this, "wasm", { get: noBuffer });
  }

  /** A new execution. */
  restart(): void {
    this.disabled = 0;
  }

  /** Reports, and waits for the turn. */
  turn(report: number): void {
    if (this.line.order === ABORT || this.line.tell(report) === ABORT) throw ABORTED;
  }

  private gate(kind: OpKind, p: number, a: number, b: number): void {
    this.line.put(kind, p, a, b, this.siteOf(kind));
    this.turn(STEP);
    if (isMisplaced(kind, p)) throw misplaced(kind, p);
  }

  private done(result: number): number {
    this.line.result = result;
    return result;
  }

  private quiet(kind: OpKind, p: number, a: number, b: number): void {
    this.line.put(kind, p, a, b, this.siteOf(kind));
    this.turn(QUIET);
  }

  override read(p: number): number {
    this.gate(OP_READ, p, 0, 0);
    return this.done(super.read(p));
  }
  override write(p: number, value: number): void {
    this.gate(OP_WRITE, p, value, 0);
    super.write(p, this.done(value));
  }
  override read8(p: number): number {
    this.gate(OP_READ8, p, 0, 0);
    return this.done(super.read8(p));
  }
  override write8(p: number, value: number): void {
    this.gate(OP_WRITE8, p, value, 0);
    super.write8(p, this.done(value));
  }
  override read16(p: number): number {
    this.gate(OP_READ16, p, 0, 0);
    return this.done(super.read16(p));
  }
  override write16(p: number, value: number): void {
    this.gate(OP_WRITE16, p, value, 0);
    super.write16(p, this.done(value));
  }
  override read64(p: number): number {
    this.gate(OP_READ64, p, 0, 0);
    return this.done(super.read64(p));
  }
  override write64(p: number, value: number): void {
    this.gate(OP_WRITE64, p, value, 0);
    super.write64(p, this.done(value));
  }

  override readOnce(p: number): number {
    this.gate(OP_READ_ONCE, p, 0, 0);
    return this.done(super.readOnce(p));
  }
  override writeOnce(p: number, value: number): void {
    this.gate(OP_WRITE_ONCE, p, value, 0);
    super.writeOnce(p, this.done(value));
  }
  override loadAcquire(p: number): number {
    this.gate(OP_LOAD_ACQUIRE, p, 0, 0);
    return this.done(super.loadAcquire(p));
  }
  override storeRelease(p: number, value: number): void {
    this.gate(OP_STORE_RELEASE, p, value, 0);
    super.storeRelease(p, this.done(value));
  }

  override fetchAdd(p: number, value: number): number {
    this.gate(OP_FETCH_ADD, p, value, 0);
    return this.done(super.fetchAdd(p, value));
  }
  override fetchSub(p: number, value: number): number {
    this.gate(OP_FETCH_SUB, p, value, 0);
    return this.done(super.fetchSub(p, value));
  }
  override fetchAnd(p: number, value: number): number {
    this.gate(OP_FETCH_AND, p, value, 0);
    return this.done(super.fetchAnd(p, value));
  }
  override fetchOr(p: number, value: number): number {
    this.gate(OP_FETCH_OR, p, value, 0);
    return this.done(super.fetchOr(p, value));
  }
  override exchange(p: number, value: number): number {
    this.gate(OP_EXCHANGE, p, value, 0);
    return this.done(super.exchange(p, value));
  }
  override compareExchange(p: number, expected: number, value: number): number {
    this.gate(OP_COMPARE_EXCHANGE, p, value, expected);
    return this.done(super.compareExchange(p, expected, value));
  }
  override fence(): void {
    this.gate(OP_FENCE, 0, 0, 0);
    super.fence();
    this.done(0);
  }

  override wait(p: number, expected: number, timeoutMs: number): WaitResult {
    if (isMisplaced(OP_WAIT, p)) throw misplaced(OP_WAIT, p);
    this.gate(OP_WAIT, p, timeoutMs, expected);
    return WAIT_RESULTS[this.line.answer] as WaitResult;
  }
  override async waitAsync(): Promise<WaitResult> {
    throw new Error("waitAsync cannot run under a scheduler: use wait");
  }
  override notify(p: number, count: number): number {
    this.gate(OP_NOTIFY, p, count, 0);
    return this.line.answer;
  }
  override pause(): void {
    this.gate(OP_PAUSE, 0, 0, 0);
  }
  override now(): number {
    return this.line.now;
  }

  override memcpy(target: number, source: number, bytes: number): void {
    super.memcpy(target, source, bytes);
    this.quiet(OP_MEMCPY, target, source, bytes);
  }
  override memset(target: number, byte: number, bytes: number): void {
    super.memset(target, byte, bytes);
    this.quiet(OP_MEMSET, target, byte, bytes);
  }
  override crc32c(p: number, bytes: number, seed: number = 0): number {
    const crc = super.crc32c(p, bytes, seed);
    this.quiet(OP_CRC32C, p, seed, bytes);
    return crc;
  }
  override poison(p: number, bytes: number, code: number): void {
    super.poison(p, bytes, code);
    this.quiet(OP_FREE, p, code, bytes);
  }
  override unpoison(p: number, bytes: number): void {
    super.unpoison(p, bytes);
    this.quiet(OP_ALLOC, p, 0, bytes);
  }
}

function noBuffer(): never {
  throw new Error(
    "gated threads reach shared memory by the verbs of Memory only: views of its buffer have no gate",
  );
}

type Verb = (...args: never[]) => unknown;

/** The verbs themselves by kind of op: their callers are sites. */
export const VERBS: readonly (Verb | undefined)[] = OPS.map(({ name }, kind) => {
  const verb = kind === OP_FREE ? "poison" : kind === OP_ALLOC ? "unpoison" : name;
  return (GatedMemory.prototype as unknown as Record<string, Verb>)[verb];
});
