/** Placeholder until the assembled WebAssembly module lands: copy, fill and CRC-32C over one shared memory. */
import type { WasmMemory } from "./wasm.ts";

export interface Bulk {
  copy(target: number, source: number, bytes: number): void;
  fill(target: number, byte: number, bytes: number): void;
  crc32c(p: number, bytes: number, seed: number): number;
}

export function instantiateBulk(memory: WasmMemory): Bulk {
  const u8 = new Uint8Array(memory.buffer);
  return {
    copy: (target, source, bytes) => void u8.copyWithin(target, source, source + bytes),
    fill: (target, byte, bytes) => void u8.fill(byte, target, target + bytes),
    crc32c: (p, bytes, seed) => {
      let crc = ~seed;
      for (let i = 0; i < bytes; i++) {
        crc ^= u8[p + i] as number;
        for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
      }
      return ~crc >>> 0;
    },
  };
}
