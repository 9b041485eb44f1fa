/** Writes src/NAME-bytes.ts from src/NAME.wat, for both modules: `node packages/atomics-sync/scripts/assemble.ts`. */
import { writeFileSync } from "node:fs";
import { assemble } from "../src/testing/assemble.ts";

for (const name of ["atomic", "bulk"] as const) {
  const base64 = Buffer.from(await assemble(name)).toString("base64");
  const lines = base64.match(/.{1,100}/g) ?? [];
  const source = [
    `/** Generated from ${name}.wat by scripts/assemble.ts: the module's bytes in base64. Do not edit. */`,
    `export const ${name.toUpperCase()}_BYTES: string = [`,
    ...lines.map((line) => `  "${line}",`),
    '].join("");',
    "",
  ].join("\n");
  writeFileSync(new URL(`../src/${name}-bytes.ts`, import.meta.url), source);
}
