/** Runs one rule over sources given as literals; returns its findings as `path:line message`. */
import type { Rule } from "../rules/rule.ts";
import { parseSource } from "@ringside/checker/transform/source";

/** Enough of the class Memory for a rule to read its verbs from. */
const MEMORY = `/** Memory. */
export class Memory {
  constructor(readonly wasm: object) {}
  get size(): number { return 0; }
  read(p: number): number { return p; }
  write(p: number, value: number): void {}
  wait(p: number): void {}
}`;

export function check(rule: Rule, sources: Readonly<Record<string, string>>): string[] {
  const all = { "packages/atomics-sync/src/memory.ts": MEMORY, ...sources };
  const files = Object.entries(all).map(([path, source]) => parseSource(path, source));
  return rule.check(files).map((f) => `${f.path}:${f.line} ${f.message}`);
}

/** The same for one file of core. */
export function checkCore(rule: Rule, source: string): string[] {
  return check(rule, { "packages/core/src/a.ts": source }).map((line) => line.replace(/^[^:]*:/, ""));
}
