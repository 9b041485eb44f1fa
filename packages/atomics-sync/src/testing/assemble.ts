/**
 * Assembles `bulk.wat` and `atomic.wat` with wabt. Used by scripts/assemble.ts and by the tests that keep the
 * embedded bytes honest. The engine validates what comes out.
 */
import { readFileSync } from "node:fs";
import wabt from "wabt";

/** `multi_memory` is missing from wabt's own type, which is why this is not written in place. */
const FEATURES = { threads: true, bulk_memory: true, multi_memory: true };

export async function assemble(name: "atomic" | "bulk"): Promise<Uint8Array> {
  const assembler = await wabt();
  const source = readFileSync(new URL(`../${name}.wat`, import.meta.url), "utf8");
  const module = assembler.parseWat(`${name}.wat`, source, FEATURES);
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}
