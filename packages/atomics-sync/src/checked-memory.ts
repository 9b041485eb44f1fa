/**
 * CheckedMemory: a Memory that looks up every access in a shadow first, as the kernel's generic KASAN does
 * (mm/kasan/generic.c, Linux 6.12).
 *
 * One shadow byte tells of 8 bytes: 0 all accessible, 1 ... 7 only the first so many, 0x80 ... 0xff none, and why.
 * A bad access is reported to the handler and then goes on. The shadow is shared: what one thread poisons,
 * all see, in the order that hands the memory from thread to thread.
 *
 * Interface: one `CheckedMemory.createShadow` per memory; one CheckedMemory per thread over both; the allocator
 * calls poison and unpoison. Not checked: fence (it touches word 0 for its effect only) and notify (waking
 * sleepers of a word reads nothing, and an unlock may notify when the next owner has freed the lock already).
 */
import { Memory, type WaitResult } from "./memory.ts";
import type { WasmMemory } from "./wasm.ts";

/** Shadow bytes for memory that nobody may touch, with the kernel's values. */
export const KASAN_FREE_PAGE: number = 0xff;
export const KASAN_PAGE_REDZONE: number = 0xfe;
export const KASAN_SLAB_REDZONE: number = 0xfc;
export const KASAN_SLAB_FREE: number = 0xfb;
/** The null page. The kernel has no such value: there the MMU faults. */
export const KASAN_NULL_PAGE: number = 0xf1;
/** Code of an access outside the memory, which no shadow byte tells of. */
export const KASAN_OUTSIDE: number = -1;

/** What the handler is told of an access it should not have come to. */
export interface BadAccess {
  /** First byte of the access. */
  readonly p: number;
  /** Bytes of the access. */
  readonly bytes: number;
  readonly write: boolean;
  /** The poison (0x80 ... 0xff) that was hit; 1 ... 7 if it ran off a partial granule into accessible memory. */
  readonly code: number;
  /** First byte of the access that is not accessible. */
  readonly firstBad: number;
}

const GRANULE_SHIFT = 3;
const GRANULE_MASK = 7;
const POISON = 0x80;

/** The shadow bytes that all threads of one memory share. */
export type Shadow = SharedArrayBuffer;

export class CheckedMemory extends Memory {
  protected readonly shadow: Uint8Array<SharedArrayBuffer>;
  private readonly shadow32: Int32Array<SharedArrayBuffer>;
  private readonly onBadAccess: (report: BadAccess) => void;
  /** Above 0 nothing is reported: the handler runs, or the allocator looks into its own free objects. */
  protected disabled: number = 0;

  /** A zeroed shadow (everything accessible) for a memory of `bytes` bytes; hand it to every thread. */
  static createShadow(bytes: number): Shadow {
    return new SharedArrayBuffer((((bytes + GRANULE_MASK) >>> GRANULE_SHIFT) + 3) & ~3);
  }

  /** Throws RangeError if `shadow` is too small for the memory. */
  constructor(wasm: WasmMemory, shadow: Shadow, onBadAccess: (report: BadAccess) => void) {
    super(wasm);
    if (shadow.byteLength * 8 < this.size) throw new RangeError("shadow smaller than memory / 8");
    this.shadow = new Uint8Array(shadow);
    this.shadow32 = new Int32Array(shadow);
    this.onBadAccess = onBadAccess;
  }

  /**
   * Forbids `bytes` bytes at `p`, giving `code` (0x80 ... 0xff) as the reason. The end is rounded up to 8. A `p`
   * not aligned to 8 leaves the bytes of its granule before it as they are.
   */
  poison(p: number, bytes: number, code: number): void {
    if (bytes <= 0) return;
    const before = p & GRANULE_MASK;
    let granule = p >>> GRANULE_SHIFT;
    if (before !== 0) {
      const shadow = this.shadow[granule] as number;
      if (shadow === 0 || (shadow > before && shadow < POISON)) this.shadow[granule] = before;
      granule++;
    }
    this.shadow.fill(code, granule, (p + bytes + GRANULE_MASK) >>> GRANULE_SHIFT);
  }

  /** Allows `bytes` bytes at 8-aligned `p`, exactly: the rest of the last granule is forbidden. */
  unpoison(p: number, bytes: number): void {
    const end = (p + bytes) >>> GRANULE_SHIFT;
    this.shadow.fill(0, p >>> GRANULE_SHIFT, end);
    const rest = (p + bytes) & GRANULE_MASK;
    if (rest !== 0) this.shadow[end] = rest;
  }

  /** The shadow byte of `p`; KASAN_OUTSIDE beyond the memory. */
  shadowOf(p: number): number {
    return p >= 0 && p < this.size ? (this.shadow[p >>> GRANULE_SHIFT] as number) : KASAN_OUTSIDE;
  }

  /** Stops reporting on this thread until the matching checksOn (kasan_disable_current); may be nested. */
  checksOff(): void {
    this.disabled++;
  }
  checksOn(): void {
    this.disabled--;
  }

  override read(p: number): number {
    this.check(p, 4, false);
    return super.read(p);
  }
  override write(p: number, value: number): void {
    this.check(p, 4, true);
    super.write(p, value);
  }
  override read8(p: number): number {
    this.check(p, 1, false);
    return super.read8(p);
  }
  override write8(p: number, value: number): void {
    this.check(p, 1, true);
    super.write8(p, value);
  }
  override read16(p: number): number {
    this.check(p, 2, false);
    return super.read16(p);
  }
  override write16(p: number, value: number): void {
    this.check(p, 2, true);
    super.write16(p, value);
  }
  override read64(p: number): number {
    this.checkRange(p, 8, false);
    return super.read64(p);
  }
  override write64(p: number, value: number): void {
    this.checkRange(p, 8, true);
    super.write64(p, value);
  }

  override readOnce(p: number): number {
    this.check(p, 4, false);
    return super.readOnce(p);
  }
  override writeOnce(p: number, value: number): void {
    this.check(p, 4, true);
    super.writeOnce(p, value);
  }
  override loadAcquire(p: number): number {
    this.check(p, 4, false);
    return super.loadAcquire(p);
  }
  override storeRelease(p: number, value: number): void {
    this.check(p, 4, true);
    super.storeRelease(p, value);
  }

  override fetchAdd(p: number, value: number): number {
    this.check(p, 4, true);
    return super.fetchAdd(p, value);
  }
  override fetchSub(p: number, value: number): number {
    this.check(p, 4, true);
    return super.fetchSub(p, value);
  }
  override fetchAnd(p: number, value: number): number {
    this.check(p, 4, true);
    return super.fetchAnd(p, value);
  }
  override fetchOr(p: number, value: number): number {
    this.check(p, 4, true);
    return super.fetchOr(p, value);
  }
  override exchange(p: number, value: number): number {
    this.check(p, 4, true);
    return super.exchange(p, value);
  }
  override compareExchange(p: number, expected: number, value: number): number {
    this.check(p, 4, true);
    return super.compareExchange(p, expected, value);
  }
  override wait(p: number, expected: number, timeoutMs: number): WaitResult {
    this.check(p, 4, false);
    return super.wait(p, expected, timeoutMs);
  }
  override async waitAsync(p: number, expected: number, timeoutMs: number): Promise<WaitResult> {
    this.check(p, 4, false);
    return await super.waitAsync(p, expected, timeoutMs);
  }

  override memcpy(target: number, source: number, bytes: number): void {
    this.checkRange(source, bytes, false);
    this.checkRange(target, bytes, true);
    super.memcpy(target, source, bytes);
  }
  override memset(target: number, byte: number, bytes: number): void {
    this.checkRange(target, bytes, true);
    super.memset(target, byte, bytes);
  }
  override crc32c(p: number, bytes: number, seed: number = 0): number {
    this.checkRange(p, bytes, false);
    return super.crc32c(p, bytes, seed);
  }

  /** Checks an access of 1, 2 or 4 naturally aligned bytes: it lies in one granule. */
  private check(p: number, bytes: number, write: boolean): void {
    const shadow = this.shadow[p >>> GRANULE_SHIFT];
    // A partial granule allows what ends within its first `shadow` bytes. Undefined: outside the memory.
    if (shadow === 0 || (shadow !== undefined && shadow >= (p & GRANULE_MASK) + bytes && shadow < POISON))
      return;
    this.report(p, bytes, write);
  }

  private checkRange(p: number, bytes: number, write: boolean): void {
    if (bytes <= 0) return;
    const last = p + bytes - 1;
    if (p < 0 || last >= this.size) {
      this.report(p, bytes, write);
      return;
    }
    // Every granule but the last must be accessible to its end; the last one up to the last byte.
    const end = last >>> GRANULE_SHIFT;
    const shadow = this.shadow[end] as number;
    const lastIsGood = shadow === 0 || (shadow > (last & GRANULE_MASK) && shadow < POISON);
    if (!lastIsGood || !this.isClear(p >>> GRANULE_SHIFT, end)) this.report(p, bytes, write);
  }

  /** Are the shadow bytes [from, to) all 0? Four at a time where they fill a word. */
  private isClear(from: number, to: number): boolean {
    let at = from;
    while (at < to && (at & 3) !== 0) if (this.shadow[at++] !== 0) return false;
    while (at + 4 <= to) {
      if (this.shadow32[at >>> 2] !== 0) return false;
      at += 4;
    }
    while (at < to) if (this.shadow[at++] !== 0) return false;
    return true;
  }

  private report(p: number, bytes: number, write: boolean): void {
    if (this.disabled > 0) return;
    let firstBad = p;
    // Bounded: the shadow may have changed since the check.
    while (firstBad < p + bytes - 1 && this.isAccessible(firstBad)) firstBad++;
    let code = this.shadowOf(firstBad);
    // Off the end of a partial granule: the next granule says what it ran into, as in the kernel's reports.
    if (code > 0 && code < POISON) code = this.shadowOf((firstBad | GRANULE_MASK) + 1) || code;
    // The handler may look at memory itself.
    this.disabled++;
    this.onBadAccess({ p, bytes, write, code, firstBad });
    this.disabled--;
  }

  private isAccessible(p: number): boolean {
    const shadow = this.shadowOf(p);
    return shadow === 0 || (shadow > (p & GRANULE_MASK) && shadow < POISON);
  }
}
