/**
 * A Memory for a thread that works on one buffer for its whole life: about a tenth faster on a long code path.
 *
 * Its views and instances are constants of a closure, which V8 puts into the optimised code as immediate addresses and
 * lengths; the fields of a Memory it loads at each access. The price: each memory gets a class of its own, and code
 * that meets a few of them is many times slower. A thread with several memories (a test, a tool) uses Memory.
 *
 * Interface: as Memory, verb for verb (thread-memory.test.ts runs both through the same steps).
 */
import { instantiateAtomic } from "./atomic.ts";
import { instantiateBulk } from "./bulk.ts";
import { Memory } from "./memory.ts";
import type { WasmMemory } from "./wasm.ts";

const HIGH = 4294967296;

const made = new WeakMap<WasmMemory, Memory>();

/** The Memory of this thread over `wasm`; the same one each time for the same object, which a second clone is not. */
export function threadMemory(wasm: WasmMemory): Memory {
  const known = made.get(wasm) ?? makeThreadMemory(wasm);
  made.set(wasm, known);
  return known;
}

function makeThreadMemory(wasm: WasmMemory): Memory {
  const i32 = new Int32Array(wasm.buffer);
  const u8 = new Uint8Array(wasm.buffer);
  const u16 = new Uint16Array(wasm.buffer);
  const atomic = instantiateAtomic(wasm);
  const bulk = instantiateBulk(wasm);

  class ThreadMemory extends Memory {
    override read(p: number): number {
      return i32[p >> 2] as number;
    }
    override write(p: number, value: number): void {
      i32[p >> 2] = value;
    }
    override read8(p: number): number {
      return u8[p] as number;
    }
    override write8(p: number, value: number): void {
      u8[p] = value;
    }
    override read16(p: number): number {
      return u16[p >> 1] as number;
    }
    override write16(p: number, value: number): void {
      u16[p >> 1] = value;
    }
    override read64(p: number): number {
      return ((i32[p >> 2] as number) >>> 0) + ((i32[(p >> 2) + 1] as number) >>> 0) * HIGH;
    }
    override write64(p: number, value: number): void {
      i32[p >> 2] = value;
      i32[(p >> 2) + 1] = value / HIGH;
    }
    override readOnce(p: number): number {
      return i32[p >> 2] as number;
    }
    override writeOnce(p: number, value: number): void {
      i32[p >> 2] = value;
    }
    override loadAcquire(p: number): number {
      return atomic.load(p);
    }
    override storeRelease(p: number, value: number): void {
      atomic.store(p, value);
    }
    override fetchAdd(p: number, value: number): number {
      return atomic.add(p, value);
    }
    override fetchSub(p: number, value: number): number {
      return atomic.sub(p, value);
    }
    override fetchAnd(p: number, value: number): number {
      return atomic.and(p, value);
    }
    override fetchOr(p: number, value: number): number {
      return atomic.or(p, value);
    }
    override exchange(p: number, value: number): number {
      return atomic.exchange(p, value);
    }
    override compareExchange(p: number, expected: number, value: number): number {
      return atomic.compareExchange(p, expected, value);
    }
    override memcpy(target: number, source: number, bytes: number): void {
      bulk.copy(target, source, bytes);
    }
  }
  return new ThreadMemory(wasm);
}
