/**
 * Memory: the one seam between a program and the bytes its threads share.
 *
 * An address is a byte offset into one shared buffer; null is 0. Each thread owns one instance over the
 * same buffer. The verb's name declares the order the code relies on. JavaScript executes every atomic
 * sequentially consistently, so the native class is at least as strong as declared; a checker judges the
 * declared order instead.
 *
 * Interface: pick the weakest verb that is right.
 *   read, write                 owned by one thread or guarded by a lock; a race here is a bug
 *   readOnce, writeOnce         racy on purpose, unordered (READ_ONCE, WRITE_ONCE)
 *   loadAcquire, storeRelease   publication (smp_load_acquire, smp_store_release)
 *   fetchAdd ... compareExchange, fence   read-modify-write with full order (atomic_t, smp_mb)
 *   wait, notify, pause, now    futex, cpu_relax, and the clock that timeouts count in
 *   memcpy, memset, crc32c      bulk
 *
 * `readOnce` is a plain load: the engine may merge two of them with nothing in between. In a loop that
 * waits for another thread use `loadAcquire`, which it never merges.
 */
import { type Atomic, instantiateAtomic } from "./atomic.ts";
import { type Bulk, instantiateBulk } from "./bulk.ts";
import { Wasm, type WasmMemory } from "./wasm.ts";

declare const pointee: unique symbol;
/** A byte address of a struct `Name`; 0 is null. */
export type Ptr<Name extends string> = number & { readonly [pointee]: Name };

/** Result of `wait`, as `Atomics.wait` gives it. */
export type WaitResult = "ok" | "not-equal" | "timed-out";

const WASM_PAGE = 65536;

const MAX_BYTES = 0x80000000;

/** Makes a fixed-size shared memory of at least `bytes`; rounds up to 64 KiB. Throws RangeError past 2 GiB. */
export function createSharedMemory(bytes: number): WasmMemory {
  // Addresses are computed with signed 32-bit shifts.
  if (!(bytes <= MAX_BYTES)) throw new RangeError(`shared memory of ${bytes} bytes: the limit is 2 GiB`);
  const pages = Math.ceil(bytes / WASM_PAGE);
  return new Wasm.Memory({ initial: pages, maximum: pages, shared: true });
}

export class Memory {
  /** The buffer to hand to other threads. */
  readonly wasm: WasmMemory;
  /** Size in bytes. */
  readonly size: number;
  protected readonly i32: Int32Array;
  protected readonly u8: Uint8Array;
  protected readonly u16: Uint16Array;
  /** For zeros alone: other bits may not survive it. */
  private readonly f64: Float64Array;
  protected readonly atomic: Atomic;
  protected readonly bulk: Bulk;

  constructor(wasm: WasmMemory) {
    this.wasm = wasm;
    this.size = wasm.buffer.byteLength;
    this.i32 = new Int32Array(wasm.buffer);
    this.u8 = new Uint8Array(wasm.buffer);
    this.u16 = new Uint16Array(wasm.buffer);
    this.f64 = new Float64Array(wasm.buffer);
    this.atomic = instantiateAtomic(wasm);
    this.bulk = instantiateBulk(wasm);
  }

  /** Signed 32-bit word at 4-aligned `p`. */
  read(p: number): number {
    return this.i32[p >> 2] as number;
  }
  write(p: number, value: number): void {
    this.i32[p >> 2] = value;
  }
  /** Unsigned byte. */
  read8(p: number): number {
    return this.u8[p] as number;
  }
  write8(p: number, value: number): void {
    this.u8[p] = value;
  }
  /** Unsigned 16-bit value at 2-aligned `p`. */
  read16(p: number): number {
    return this.u16[p >> 1] as number;
  }
  write16(p: number, value: number): void {
    this.u16[p >> 1] = value;
  }
  /** Unsigned 64-bit value, little endian; exact up to 2^53. Two accesses: it can tear. */
  read64(p: number): number {
    return ((this.i32[p >> 2] as number) >>> 0) + ((this.i32[(p >> 2) + 1] as number) >>> 0) * 4294967296;
  }
  /** `value` in 0 ... 2^53. Two accesses: it can tear. */
  write64(p: number, value: number): void {
    this.i32[p >> 2] = value;
    this.i32[(p >> 2) + 1] = value / 4294967296;
  }

  readOnce(p: number): number {
    return this.i32[p >> 2] as number;
  }
  writeOnce(p: number, value: number): void {
    this.i32[p >> 2] = value;
  }
  loadAcquire(p: number): number {
    return this.atomic.load(p);
  }
  storeRelease(p: number, value: number): void {
    this.atomic.store(p, value);
  }

  /** Read-modify-writes return the old value, signed. */
  fetchAdd(p: number, value: number): number {
    return this.atomic.add(p, value);
  }
  fetchSub(p: number, value: number): number {
    return this.atomic.sub(p, value);
  }
  fetchAnd(p: number, value: number): number {
    return this.atomic.and(p, value);
  }
  fetchOr(p: number, value: number): number {
    return this.atomic.or(p, value);
  }
  exchange(p: number, value: number): number {
    return this.atomic.exchange(p, value);
  }
  compareExchange(p: number, expected: number, value: number): number {
    return this.atomic.compareExchange(p, expected, value);
  }
  /** smp_mb: orders everything before with everything after. Word 0 (null) is touched, never changed. */
  fence(): void {
    this.atomic.or(0, 0);
  }

  /** Sleeps while the word at `p` equals `expected`; `timeoutMs` may be Infinity. FIFO, no spurious wake-up. */
  wait(p: number, expected: number, timeoutMs: number): WaitResult {
    return Atomics.wait(this.i32, p >> 2, expected, timeoutMs);
  }
  /** As `wait`, for threads that must not block: a host's event loop. Never in code that runs controlled. */
  async waitAsync(p: number, expected: number, timeoutMs: number): Promise<WaitResult> {
    return await Atomics.waitAsync(this.i32, p >> 2, expected, timeoutMs).value;
  }
  /** Wakes up to `count` sleepers at `p`, first come first woken; returns how many. */
  notify(p: number, count: number): number {
    return Atomics.notify(this.i32, p >> 2, count);
  }
  /** cpu_relax: a hint inside a spin loop, and a point where loads are not merged. */
  pause(): void {
    Atomics.pause();
  }
  /** Milliseconds of a monotonic clock, for timeouts; only differences mean anything. */
  now(): number {
    return performance.now();
  }

  /** Copies `bytes` from `source` to `target`; the ranges may overlap. Traps past the end of memory. */
  memcpy(target: number, source: number, bytes: number): void {
    this.bulk.copy(target, source, bytes);
  }
  /** Sets `bytes` bytes at `target` to `byte` (0 ... 255). */
  memset(target: number, byte: number, bytes: number): void {
    // A line's worth of zeros, as for a fresh SQE: less than a call costs.
    const at = target >>> 3;
    if (bytes === 64 && byte === 0 && (target & 7) === 0 && at + 8 <= this.f64.length) zero64(this.f64, at);
    else this.bulk.fill(target, byte, bytes);
  }
  /** CRC-32C (Castagnoli, reflected) of `bytes` at `p`, unsigned; `seed` continues an earlier result. */
  crc32c(p: number, bytes: number, seed: number = 0): number {
    return this.bulk.crc32c(p, bytes, seed) >>> 0;
  }
}

/** Zeros 64 bytes from index `at`. */
function zero64(f64: Float64Array, at: number): void {
  f64[at] = 0;
  f64[at + 1] = 0;
  f64[at + 2] = 0;
  f64[at + 3] = 0;
  f64[at + 4] = 0;
  f64[at + 5] = 0;
  f64[at + 6] = 0;
  f64[at + 7] = 0;
}
