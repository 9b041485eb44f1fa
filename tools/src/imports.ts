/** Every import and export-from of a file, resolved to a file of the repository where it is one. */
import { type SourceFile, walk } from "@ringside/checker/transform/source";

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** Path of the imported file; undefined for Node's own and third-party modules. */
  readonly target: string | undefined;
  readonly offset: number;
  /** Loaded when this module is linked. `import { type X }` still loads; `import type` does not. */
  readonly runtime: boolean;
}

export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, offset: number, runtime: boolean): void => {
    found.push({ specifier, target: resolve(file.path, specifier), offset, runtime });
  };
  for (const node of file.program.body) {
    if (node.type === "ImportDeclaration") add(node.source.value, node.start, node.importKind !== "type");
    else if (node.type === "ExportAllDeclaration")
      add(node.source.value, node.start, node.exportKind !== "type");
    else if (node.type === "ExportNamedDeclaration" && node.source) {
      add(node.source.value, node.start, node.exportKind !== "type");
    }
  }
  if (/\bimport\s*\(/.test(file.source)) {
    walk(file.program, (node) => {
      if (node.type !== "ImportExpression" || node.source.type !== "Literal") return;
      if (typeof node.source.value === "string") add(node.source.value, node.start, false);
    });
  }
  return found;
}

const OUTSIDE_PACKAGES = new Set(["workers", "scenarios", "test", "tools", "bench", "mutants"]);

function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith(".")) {
    const parts = from.split("/").slice(0, -1);
    for (const step of specifier.split("/")) {
      if (step === "..") parts.pop();
      else if (step !== ".") parts.push(step);
    }
    return parts.join("/");
  }
  const ours = /^(?:@ringside\/([^/]+)|(atomics-sync))(?:\/(.+))?$/.exec(specifier);
  if (!ours) return undefined;
  const name = (ours[1] ?? ours[2]) as string;
  const folder = OUTSIDE_PACKAGES.has(name) ? name : `packages/${name}`;
  return `${folder}/src/${ours[3] ?? "index"}.ts`;
}
