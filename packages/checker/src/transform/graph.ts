/**
 * Graph: all files that an entry imports, and they import, as far as they are to be controlled.
 *
 * Type-only imports are no edges. `import("./x.ts")` with a literal is one: whoever may be loaded later has to be
 * known now, because the closure over the call graph is over all files.
 */
import { columnOf, lineOf, parseSource, type SourceFile, walk } from "./source.ts";

export interface GraphOptions {
  /** As the runtime resolves: an absolute URL, without query. Throws if there is none. */
  resolve(specifier: string, parent: string): string;
  /** Is the module at this URL, which is a file, to be controlled? */
  include(url: string): boolean;
  /** The file at this URL, parsed; undefined leaves it out after all. */
  open(url: string): SourceFile | undefined;
}

/** Files by URL, importers before what they import. */
export function crawl(entries: readonly string[], options: GraphOptions): Map<string, SourceFile> {
  const files = new Map<string, SourceFile>();
  const seen = new Set<string>(entries);
  // The queue grows while it is walked.
  for (const url of seen) {
    const file = options.open(url);
    if (file === undefined) continue;
    files.set(url, file);
    for (const specifier of importsOf(file)) {
      const target = options.resolve(specifier, url);
      if (target.startsWith("file:") && !seen.has(target) && options.include(target)) seen.add(target);
    }
  }
  return files;
}

function importsOf(file: SourceFile): string[] {
  const found: string[] = [];
  for (const node of file.program.body) {
    if (node.type === "ImportDeclaration") {
      if (node.importKind !== "type") found.push(node.source.value);
    } else if (node.type === "ExportNamedDeclaration" || node.type === "ExportAllDeclaration") {
      if (node.source && node.exportKind !== "type") found.push(node.source.value);
    }
  }
  if (!/\bimport\s*\(/.test(file.source)) return found;
  walk(file.program, (node) => {
    if (node.type !== "ImportExpression" || node.source.type !== "Literal") return;
    if (typeof node.source.value === "string") found.push(node.source.value);
  });
  return found;
}

/** Parses a file; throws SyntaxError naming it. */
export function parseModule(path: string, source: string): SourceFile {
  const file = parseSource(path, source);
  const [error] = file.errors;
  if (error !== undefined) {
    const place = `${lineOf(file, error.offset)}:${columnOf(file, error.offset)}`;
    throw new SyntaxError(`${path}:${place}: ${error.message}`);
  }
  return file;
}
