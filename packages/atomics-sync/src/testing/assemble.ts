/**
 * Assembles `bulk.wat` with wabt. Used by scripts/assemble.ts and by the test that keeps bulk-bytes.ts honest.
 * The engine validates what comes out.
 */
import { readFileSync } from "node:fs";
import wabt from "wabt";

/** `multi_memory` is missing from wabt's own type, which is why this is not written in place. */
const FEATURES = { threads: true, bulk_memory: true, multi_memory: true };

export async function assembleBulk(): Promise<Uint8Array> {
  const assembler = await wabt();
  const source = readFileSync(new URL("../bulk.wat", import.meta.url), "utf8");
  const module = assembler.parseWat("bulk.wat", source, FEATURES);
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}
