/**
 * atomics: shared memory is reached through the class Memory and nothing else, so that one class can swap
 * how a program executes. `Atomics` and `SharedArrayBuffer` appear in atomics-sync and checker only; typed
 * arrays and DataView, which could be views of shared memory, stay out of the kernel packages too.
 *
 * A thread-private array (a device's TLB, a workload's table of expectations) is permitted by a comment
 * `// private: reason` on its line or the line before. Types count like values: a view that comes in
 * through a parameter is a view all the same.
 */
import { type SourceFile, walk } from "@ringside/checker/transform/source";
import { hasPermit, isTest, packageOf } from "../source.ts";
import { type Finding, finding, type Rule } from "./rule.ts";

const NO_ATOMICS = new Set(["core", "nvme-emu", "uring-emu", "scenarios", "workers", "conformance", "cli"]);
const NO_VIEWS = new Set(["core", "nvme-emu", "uring-emu"]);

const SHARED = new Set(["Atomics", "SharedArrayBuffer"]);
const VIEWS = new Set(
  ["Int8", "Uint8", "Uint8Clamped", "Int16", "Uint16", "Int32", "Uint32", "Float16", "Float32", "Float64"]
    .concat(["BigInt64", "BigUint64"])
    .map((element) => `${element}Array`)
    .concat("DataView"),
);

export const atomics: Rule = { name: "atomics", check: (files) => files.flatMap(checkFile) };

function checkFile(file: SourceFile): Finding[] {
  const from = packageOf(file.path);
  if (!NO_ATOMICS.has(from) || isTest(file.path)) return [];
  const findings: Finding[] = [];
  walk(
    file.program,
    (node, ancestors) => {
      if (node.type !== "Identifier") return;
      const parent = ancestors.at(-1);
      if (parent?.type === "MemberExpression" && parent.property === node && !parent.computed) {
        if (parent.object.type !== "Identifier" || parent.object.name !== "globalThis") return;
      } else if (
        parent &&
        "key" in parent &&
        parent.key === node &&
        !("computed" in parent && parent.computed)
      ) {
        return;
      }
      if (SHARED.has(node.name)) {
        findings.push(
          finding(file, node.start, "atomics", `${node.name} in ${from}: use the verbs of Memory`),
        );
      } else if (VIEWS.has(node.name) && NO_VIEWS.has(from) && !hasPermit(file, node.start, "private")) {
        const message = `${node.name} in ${from}: use the verbs of Memory, or say "// private: reason"`;
        findings.push(finding(file, node.start, "atomics", message));
      }
    },
    "with types",
  );
  return findings;
}
