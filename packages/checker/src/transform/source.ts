/**
 * A parsed source file: where is this node, and a walk over it.
 *
 * Interface: `parseSource(path, text)` once per file; everybody else only reads the result. `path` is relative to
 * the root with forward slashes.
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

/** Type-only syntax: it holds no code, so walks over code skip it. */
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
    eachChild(node, visit);
    ancestors.pop();
  };
  visit(root);
}

export function eachChild(node: Node, visit: (child: Node) => void): void {
  for (const key of visitorKeys[node.type] ?? []) {
    const child = (node as unknown as Record<string, Node | (Node | null)[] | null>)[key];
    if (Array.isArray(child)) {
      for (const item of child) if (item) visit(item);
    } else if (child) visit(child);
  }
}
