/**
 * The two-way source: files that run natively on threads and as coroutines under the checker, and the verbs of
 * Memory by which they do. What a step is and who reaches one: @ringside/checker/transform/steps.
 */
import { type SourceFile, walk } from "@ringside/checker/transform/source";
import { declaresMemory } from "@ringside/checker/transform/syntax";
import { isTest, packageOf } from "./source.ts";

const TWO_WAY = new Set(["atomics-sync", "core", "nvme-emu", "uring-emu", "scenarios"]);

/** What Memory itself is made of. */
const SEAM = /^packages\/atomics-sync\/src\/(?:atomic|atomic-bytes|bulk|bulk-bytes|thread-memory|wasm)\.ts$/;

export function isTwoWay(file: SourceFile): boolean {
  if (!TWO_WAY.has(packageOf(file.path)) || !file.path.includes("/src/")) return false;
  return !isTest(file.path) && !SEAM.test(file.path) && !declaresMemory(file);
}

/** Names of the methods of the class Memory, read from its declaration. */
export function memoryVerbs(files: readonly SourceFile[]): ReadonlySet<string> {
  const verbs = new Set<string>();
  for (const file of files) {
    if (packageOf(file.path) !== "atomics-sync" || !declaresMemory(file)) continue;
    walk(file.program, (node, ancestors) => {
      if (node.type !== "MethodDefinition" || node.kind !== "method" || node.key.type !== "Identifier")
        return;
      const owner = ancestors.at(-2);
      if (owner?.type === "ClassDeclaration" && owner.id?.name === "Memory") verbs.add(node.key.name);
    });
  }
  return verbs;
}
