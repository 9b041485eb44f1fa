/**
 * Atomic verbs over one shared memory, in WebAssembly (source: atomic.wat): sequentially consistent, and together
 * with JavaScript's Atomics on the same words one order. From optimised code a call costs about 2 ns besides the
 * instruction; a builtin of Atomics costs 4 to 6 (scripts/measure.ts).
 *
 * The module is compiled once per thread; each memory gets one instance per thread. V8 inlines the way into a call only
 * where all calls are of one memory.
 */
import { ATOMIC_BYTES } from "./atomic-bytes.ts";
import { Wasm, type WasmMemory } from "./wasm.ts";

/** `p` is a byte address, a multiple of 4: anything else traps. What returns a value returns the old one, signed. */
export interface Atomic {
  load(p: number): number;
  store(p: number, value: number): void;
  add(p: number, value: number): number;
  sub(p: number, value: number): number;
  and(p: number, value: number): number;
  or(p: number, value: number): number;
  exchange(p: number, value: number): number;
  compareExchange(p: number, expected: number, value: number): number;
}

const compiled: object = new Wasm.Module(Uint8Array.from(atob(ATOMIC_BYTES), (c) => c.charCodeAt(0)));
const instances = new WeakMap<WasmMemory, Atomic>();

/** The atomic verbs of `memory` on this thread; the same object each time. */
export function instantiateAtomic(memory: WasmMemory): Atomic {
  const known = instances.get(memory);
  if (known !== undefined) return known;
  const made = new Wasm.Instance(compiled, { env: { memory } }).exports as unknown as Atomic;
  instances.set(memory, made);
  return made;
}
