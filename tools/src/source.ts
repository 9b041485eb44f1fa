/**
 * What the rules ask about a source file besides its syntax: is there a permit on this line, is this a test, which
 * package is it in. Parsing and walking: @ringside/checker/transform/source.
 */
import { lineOf, type SourceFile } from "@ringside/checker/transform/source";

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
