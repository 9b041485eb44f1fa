/** Writes src/bulk-bytes.ts from src/bulk.wat: `node packages/atomics-sync/scripts/assemble.ts`. */
import { writeFileSync } from "node:fs";
import { assembleBulk } from "../src/testing/assemble.ts";

const base64 = Buffer.from(await assembleBulk()).toString("base64");
const lines = base64.match(/.{1,100}/g) ?? [];
const source = [
  "/** Generated from bulk.wat by scripts/assemble.ts: the module's bytes in base64. Do not edit. */",
  "export const BULK_BYTES: string = [",
  ...lines.map((line) => `  "${line}",`),
  '].join("");',
  "",
].join("\n");
writeFileSync(new URL("../src/bulk-bytes.ts", import.meta.url), source);
