/**
 * Bulk verbs over one shared memory: copy, fill and CRC-32C, in WebAssembly (source: bulk.wat).
 *
 * The module is compiled once per thread. Each memory gets one instance per thread, shared by all `Memory`
 * objects over it. The CRC tables live in a private memory of the instance, never in the user's memory.
 *
 * Interface: instantiateBulk(memory), then call its verbs. Ranges past the end of memory throw (a WebAssembly
 * trap) before anything is written by copy and fill. Addresses are byte offsets below 2^32, without alignment.
 */
import { BULK_BYTES } from "./bulk-bytes.ts";
import { Wasm, type WasmMemory } from "./wasm.ts";

export interface Bulk {
  /** Copies `bytes` from `source` to `target`; the ranges may overlap. */
  copy(target: number, source: number, bytes: number): void;
  /** Sets `bytes` bytes at `target` to the low 8 bits of `byte`. */
  fill(target: number, byte: number, bytes: number): void;
  /** CRC-32C of `bytes` bytes at `p`, as a signed word; `seed` is an earlier result, 0 to start. */
  crc32c(p: number, bytes: number, seed: number): number;
}

const compiled: object = new Wasm.Module(Uint8Array.from(atob(BULK_BYTES), (c) => c.charCodeAt(0)));
const instances = new WeakMap<WasmMemory, Bulk>();

/** The bulk verbs of `memory` on this thread; the same object each time. */
export function instantiateBulk(memory: WasmMemory): Bulk {
  const known = instances.get(memory);
  if (known !== undefined) return known;
  const made = new Wasm.Instance(compiled, { env: { memory } }).exports as unknown as Bulk;
  instances.set(memory, made);
  return made;
}
