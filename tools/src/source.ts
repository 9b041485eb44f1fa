/**
 * A parsed source file, and the few questions every rule asks about one: where is this node, is there a
 * comment on this line, is this a test, which package is it in.
 *
 * Interface: `parseSource(path, text)` once per file; rules only read the result. `path` is relative to the
 * repository root with forward slashes.
 */
import { type Comment, type Node, type Program, parseSync, visitorKeys } from "oxc-parser";

export type { Node };

export interface SourceFile {
  readonly path: string;
  readonly source: string;
  readonly program: Program;
  readonly comments: readonly Comment[];
  /** Offset of the first character of each line. */
  readonly lineStarts: readonly number[];
  readonly errors: readonly { readonly message: string; readonly offset: number }[];
}

export function parseSource(path: string, source: string): SourceFile {
  const result = parseSync(path, source);
  const lineStarts = [0];
  for (let i = source.indexOf("\n"); i >= 0; i = source.indexOf("\n", i + 1)) lineStarts.push(i + 1);
  return {
    path,
    source,
    program: result.program,
    comments: result.comments,
    lineStarts,
    errors: result.errors.map((error) => ({ message: error.message, offset: error.labels[0]?.start ?? 0 })),
  };
}

/** 1-based line of an offset. */
export function lineOf(file: SourceFile, offset: number): number {
  let low = 0;
  let high = file.lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((file.lineStarts[middle] as number) <= offset) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}

/** 1-based column of an offset. */
export function columnOf(file: SourceFile, offset: number): number {
  return offset - (file.lineStarts[lineOf(file, offset) - 1] as number) + 1;
}

/** A permit is a comment `// label: reason` on the node's line, or alone right above it. It needs a reason. */
export function hasPermit(file: SourceFile, offset: number, label: string): boolean {
  const line = lineOf(file, offset);
  let top = line;
  for (const comment of file.comments.toReversed()) {
    const last = lineOf(file, comment.end);
    if (last > line) continue;
    const first = lineOf(file, comment.start);
    if (last < line) {
      const before = file.source.slice(file.lineStarts[first - 1], comment.start);
      if (last !== top - 1 || before.trim() !== "") return false;
      // A comment of several lines: the label may be on its first.
      top = first;
    }
    const text = comment.value.replace(/^[*\s]+/, "");
    if (text.startsWith(`${label}:`) && text.slice(label.length + 1).trim() !== "") return true;
  }
  return false;
}

/** Tests and their support: they may do what the code under test may not. The conformance suites are a product. */
export function isTest(path: string): boolean {
  return /\.test\.ts$|\/testing\/|^test\/(?!conformance\/)/.test(path);
}

/** Folder name of the workspace package a file belongs to: "core", "workers", "tools", ... */
export function packageOf(path: string): string {
  const parts = path.split("/");
  if (path.startsWith("test/conformance/")) return "conformance";
  return (parts[0] === "packages" ? parts[1] : parts[0]) ?? "";
}

/** Where to look for type-only syntax: it holds no code, so walks over code skip it. */
const TYPE_NODE =
  /^TS(?!AsExpression|SatisfiesExpression|NonNullExpression|TypeAssertion|Instantiation|Parameter)/;

export type Enter = (node: Node, ancestors: readonly Node[]) => void;

/** Depth-first, parents before children. `ancestors` is live: copy it to keep it. */
export function walk(root: Node, enter: Enter, types: "with types" | "code only" = "code only"): void {
  const ancestors: Node[] = [];
  const visit = (node: Node): void => {
    if (types === "code only" && TYPE_NODE.test(node.type)) return;
    enter(node, ancestors);
    ancestors.push(node);
    for (const key of visitorKeys[node.type] ?? []) {
      const child = (node as unknown as Record<string, Node | (Node | null)[] | null>)[key];
      if (Array.isArray(child)) {
        for (const item of child) if (item) visit(item);
      } else if (child) visit(child);
    }
    ancestors.pop();
  };
  visit(root);
}
