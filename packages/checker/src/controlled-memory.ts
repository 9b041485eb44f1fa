/**
 * ControlledMemory: a Memory whose steps belong to a scheduler.
 *
 * Transformed code says `(mem.$read(p, site) && (yield), mem.$go())`: the $verb publishes the pending op and says
 * whether the scheduler wants a say before it; $go executes it. The verbs themselves execute at once. One instance a
 * thread, over one World; ops are executed one at a time, so plain typed-array accesses are atomic here.
 *
 * Declared orders do not change what is executed, which is sequentially consistent; monitors judge them.
 */
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
  OP_FETCH_XOR,
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
} from "./op.ts";
import { PublishedMemory } from "./published-memory.ts";
import type { World } from "./world.ts";

/** Ops in one step after which it is taken to be endless: a loop over quiet verbs alone. */
const ENDLESS = 2_000_000;
/** Ops the uncontrolled context starts from: it is never asked. A small integer, as in the others. */
const NEVER_ASKED: number = -(2 ** 30);

export class ControlledMemory extends PublishedMemory {
  readonly world: World;
  /** Index of the thread; the uncontrolled context (setup, after) is -1. */
  readonly thread: number;
  /** Old value of a read-modify-write, value of a read, value of a write: for monitors and traces. */
  result: number = 0;
  /** What a wait ended with; set by the scheduler before it resumes the thread. */
  waitResult: WaitResult = "ok";
  /** What the views of raw Atomics code are over, and how the pending op's result reads in its view: see atomics.ts. */
  readonly buffer: SharedArrayBuffer;
  reading: number = 0;

  constructor(world: World, thread: number) {
    super(world.wasm, world.shadow, (report) => world.badAccess(this, report));
    this.world = world;
    this.thread = thread;
    this.gate = thread < 0 ? world.closed : world.gate;
    this.buffer = world.wasm.buffer;
    this.restart();
  }

  /** A new execution: checks are on, whatever the last one was in the middle of. */
  restart(): void {
    this.disabled = 0;
    this.site = 0;
    this.block = this.thread < 0 ? NEVER_ASKED : 0;
  }

  /** A wait is always the scheduler's; it decides what it returns. */
  $wait(p: number, expected: number, timeoutMs: number, site: number): boolean {
    this.publish(OP_WAIT, p, timeoutMs, expected, site);
    if (isMisplaced(OP_WAIT, p)) throw misplaced(OP_WAIT, p);
    if (this.thread >= 0) return true;
    this.waitResult = this.world.waitAlone(this);
    return false;
  }
  $pause(site: number): boolean {
    this.publish(OP_PAUSE, 0, 0, 0, site);
    return this.thread >= 0;
  }

  /** Executes the published op. A number, or the WaitResult of a wait. */
  // oxlint-disable-next-line typescript/no-explicit-any -- transformed code uses it as the verb's own result
  $go(): any {
    if (++this.block > ENDLESS) this.giveUp();
    const { world, p, a } = this;
    if (isMisplaced(this.kind, p)) throw misplaced(this.kind, p);
    switch (this.kind) {
      case OP_WAIT:
        return this.waitResult;
      case OP_PAUSE:
        return undefined;
      case OP_NOTIFY:
        this.result = world.notify(this, p, a);
        break;
      case OP_FENCE:
        this.result = 0;
        break;
      default:
        this.result = this.execute(p, a);
    }
    world.observe(this);
    return this.result;
  }

  /** The word that a wait compares. */
  compared(): number {
    return super.read(this.p);
  }

  /** The step never ends: nothing in it lets anybody else run. */
  private giveUp(): never {
    const message = `${this.world.nameOf(this.thread)} goes round in one step: ${ENDLESS} ops without a switch point`;
    this.world.find({ kind: "livelock", message, thread: this.thread, site: this.site });
    throw new Error(message);
  }

  /** Ops that access one place; the value read, or the value written by a plain store. */
  private execute(p: number, a: number): number {
    switch (this.kind) {
      case OP_READ:
      case OP_READ_ONCE:
      case OP_LOAD_ACQUIRE:
        return super.read(p);
      case OP_WRITE:
      case OP_WRITE_ONCE:
      case OP_STORE_RELEASE:
        this.world.touch(p);
        super.write(p, a);
        return a;
      case OP_READ8:
        return super.read8(p);
      case OP_WRITE8:
        this.world.touch(p);
        super.write8(p, a);
        return a;
      case OP_READ16:
        return super.read16(p);
      case OP_WRITE16:
        this.world.touch(p);
        super.write16(p, a);
        return a;
      case OP_READ64:
        return super.read64(p);
      case OP_WRITE64:
        this.world.touch(p);
        this.world.touch(p + 4);
        super.write64(p, a);
        return a;
      default:
        return this.modify(p, a);
    }
  }

  /** Read-modify-writes: the old value. */
  private modify(p: number, a: number): number {
    const old = super.read(p);
    this.world.touch(p);
    switch (this.kind) {
      case OP_FETCH_ADD:
        this.i32[p >> 2] = old + a;
        break;
      case OP_FETCH_SUB:
        this.i32[p >> 2] = old - a;
        break;
      case OP_FETCH_AND:
        this.i32[p >> 2] = old & a;
        break;
      case OP_FETCH_OR:
        this.i32[p >> 2] = old | a;
        break;
      case OP_FETCH_XOR:
        this.i32[p >> 2] = old ^ a;
        break;
      case OP_EXCHANGE:
        this.i32[p >> 2] = a;
        break;
      case OP_COMPARE_EXCHANGE:
        if (old === (this.b | 0)) this.i32[p >> 2] = a;
        break;
      default:
        throw new Error(`no such op: ${this.kind}`);
    }
    return old;
  }

  private run(kind: OpKind, p: number, a: number, b: number): number {
    this.kind = kind;
    this.p = p;
    this.a = a;
    this.b = b;
    return this.$go() as number;
  }

  override read(p: number): number {
    return this.run(OP_READ, p, 0, 0);
  }
  override write(p: number, value: number): void {
    this.run(OP_WRITE, p, value, 0);
  }
  override read8(p: number): number {
    return this.run(OP_READ8, p, 0, 0);
  }
  override write8(p: number, value: number): void {
    this.run(OP_WRITE8, p, value, 0);
  }
  override read16(p: number): number {
    return this.run(OP_READ16, p, 0, 0);
  }
  override write16(p: number, value: number): void {
    this.run(OP_WRITE16, p, value, 0);
  }
  override read64(p: number): number {
    return this.run(OP_READ64, p, 0, 0);
  }
  override write64(p: number, value: number): void {
    this.run(OP_WRITE64, p, value, 0);
  }
  override readOnce(p: number): number {
    return this.run(OP_READ_ONCE, p, 0, 0);
  }
  override writeOnce(p: number, value: number): void {
    this.run(OP_WRITE_ONCE, p, value, 0);
  }
  override loadAcquire(p: number): number {
    return this.run(OP_LOAD_ACQUIRE, p, 0, 0);
  }
  override storeRelease(p: number, value: number): void {
    this.run(OP_STORE_RELEASE, p, value, 0);
  }
  override fetchAdd(p: number, value: number): number {
    return this.run(OP_FETCH_ADD, p, value, 0);
  }
  override fetchSub(p: number, value: number): number {
    return this.run(OP_FETCH_SUB, p, value, 0);
  }
  override fetchAnd(p: number, value: number): number {
    return this.run(OP_FETCH_AND, p, value, 0);
  }
  override fetchOr(p: number, value: number): number {
    return this.run(OP_FETCH_OR, p, value, 0);
  }
  override exchange(p: number, value: number): number {
    return this.run(OP_EXCHANGE, p, value, 0);
  }
  override compareExchange(p: number, expected: number, value: number): number {
    return this.run(OP_COMPARE_EXCHANGE, p, value, expected);
  }
  override fence(): void {
    this.run(OP_FENCE, 0, 0, 0);
  }
  override wait(p: number, expected: number, timeoutMs: number): WaitResult {
    if (this.$wait(p, expected, timeoutMs, this.site))
      throw new Error(`${this.world.nameOf(this.thread)} blocks outside the scheduler`);
    return this.waitResult;
  }
  override waitAsync(): Promise<WaitResult> {
    throw new Error("waitAsync cannot run under a scheduler: use wait");
  }
  override notify(p: number, count: number): number {
    return this.run(OP_NOTIFY, p, count, 0);
  }
  override pause(): void {}
  override now(): number {
    return this.world.now;
  }

  override memcpy(target: number, source: number, bytes: number): void {
    checkLength(bytes);
    this.world.touchRange(target, bytes);
    super.memcpy(target, source, bytes);
    this.bulkDone(OP_MEMCPY, target, source, bytes);
  }
  override memset(target: number, byte: number, bytes: number): void {
    checkLength(bytes);
    this.world.touchRange(target, bytes);
    super.memset(target, byte, bytes);
    this.bulkDone(OP_MEMSET, target, byte, bytes);
  }
  override crc32c(p: number, bytes: number, seed: number = 0): number {
    checkLength(bytes);
    const crc = super.crc32c(p, bytes, seed);
    this.bulkDone(OP_CRC32C, p, seed, bytes);
    return crc;
  }

  private bulkDone(kind: OpKind, p: number, a: number, b: number): void {
    this.kind = kind;
    this.p = p;
    this.a = a;
    this.b = b;
    this.result = 0;
    this.block++;
    this.world.observe(this);
  }

  override poison(p: number, bytes: number, code: number): void {
    this.world.touchRange(p, bytes);
    super.poison(p, bytes, code);
    this.bulkDone(OP_FREE, p, code, bytes);
  }
  override unpoison(p: number, bytes: number): void {
    this.world.touchRange(p, bytes);
    super.unpoison(p, bytes);
    this.bulkDone(OP_ALLOC, p, 0, bytes);
  }
}

/** Of a bulk verb. Past 32 bits the verb itself would take another. */
function checkLength(bytes: number): void {
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > 0x80000000)
    throw new RangeError(`${bytes} bytes: expected 0 ... 2 GiB`);
}
