/**
 * The repository's own lint: `node tools/src/lint.ts [root]`. Prints one `file:line:column rule: message`
 * a finding and exits 1, or nothing and exits 0.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseSource, type SourceFile } from "@ringside/checker/transform/source";
import { atomics } from "./rules/atomics.ts";
import { cycles } from "./rules/cycles.ts";
import { layers } from "./rules/layers.ts";
import { type Finding, finding, type Rule } from "./rules/rule.ts";
import { subset } from "./rules/subset.ts";
import { tidy } from "./rules/tidy.ts";
import { twoWay } from "./rules/two-way.ts";

const RULES: readonly Rule[] = [layers, cycles, atomics, twoWay, subset, tidy];
const FOLDERS = ["packages", "workers", "scenarios", "mutants", "bench", "test", "tools"];
const SKIP = new Set(["node_modules", "dist"]);

/** Paths of all TypeScript sources below `root`, sorted, relative, with forward slashes. */
function listSources(root: string): string[] {
  const found: string[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!SKIP.has(entry.name)) visit(path);
      } else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts")) found.push(path);
    }
  };
  for (const folder of FOLDERS) if (existsSync(join(root, folder))) visit(folder);
  return found.toSorted();
}

export function lint(files: readonly SourceFile[]): Finding[] {
  const broken = files.flatMap((file) => file.errors.map((e) => finding(file, e.offset, "parse", e.message)));
  const findings = [...broken, ...RULES.flatMap((rule) => rule.check(files))];
  return findings.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line));
}

if (import.meta.main) {
  const root = resolve(process.argv[2] ?? join(import.meta.dirname, "../.."));
  const findings = lint(
    listSources(root).map((path) => parseSource(path, readFileSync(join(root, path), "utf8"))),
  );
  for (const f of findings) console.log(`${f.path}:${f.line}:${f.column} ${f.rule}: ${f.message}`);
  if (findings.length > 0) console.log(`${findings.length} findings`);
  process.exitCode = findings.length > 0 ? 1 : 0;
}
