/**
 * subset: what the two-way source does not use at all. Time, randomness and output come from the Cpu, so
 * that a run can be repeated; nothing is asynchronous, because a thread of the machine blocks in one place;
 * errors are values; and state lives in shared memory, because each thread has modules of its own.
 *
 * Permits, on the line or the one before: `// not control flow: reason` for try,
 * `// link time: reason` for module state that is equal in all threads once every module is loaded.
 */
import { isValue } from "@ringside/checker/transform/scope";
import { type Node, type SourceFile, walk } from "@ringside/checker/transform/source";
import { isFunction } from "@ringside/checker/transform/syntax";
import { hasPermit } from "../source.ts";
import { isTwoWay } from "../two-way-files.ts";
import { type Finding, finding, type Rule } from "./rule.ts";

const CPU = "it comes from the Cpu";
const ASYNC = "nothing here is asynchronous: block in schedule()";

const GLOBALS: Readonly<Record<string, string>> = {
  Date: CPU,
  performance: CPU,
  console: CPU,
  crypto: CPU,
  process: CPU,
  Promise: ASYNC,
  setTimeout: ASYNC,
  setInterval: ASYNC,
  setImmediate: ASYNC,
  queueMicrotask: ASYNC,
};

export const subset: Rule = {
  name: "subset",
  check: (files) => files.filter(isTwoWay).flatMap(checkFile),
};

function checkFile(file: SourceFile): Finding[] {
  const findings: Finding[] = [];
  walk(file.program, (node, ancestors) => {
    const message = judge(file, node, ancestors);
    if (message !== undefined) findings.push(finding(file, node.start, "subset", message));
  });
  return findings;
}

function judge(file: SourceFile, node: Node, ancestors: readonly Node[]): string | undefined {
  switch (node.type) {
    case "Identifier":
      return judgeGlobal(node.name, node, ancestors);
    case "MemberExpression":
      return isMathRandom(node) ? `Math.random: ${CPU}` : undefined;
    case "AwaitExpression":
      return `await: ${ASYNC}`;
    case "ForOfStatement":
      return node.await ? `for await: ${ASYNC}` : undefined;
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression":
      if (node.async) return `async function: ${ASYNC}`;
      return node.generator ? "generator: the checker makes the coroutines" : undefined;
    case "TryStatement":
      if (hasPermit(file, node.start, "not control flow")) return undefined;
      return 'try: errors are values; or say "// not control flow: reason"';
    case "VariableDeclaration":
      return judgeState(file, node, ancestors);
    default:
      return undefined;
  }
}

function judgeGlobal(name: string, node: Node, ancestors: readonly Node[]): string | undefined {
  const reason = Object.hasOwn(GLOBALS, name) ? GLOBALS[name] : undefined;
  if (reason === undefined || isValue(name, ancestors)) return undefined;
  const parent = ancestors.at(-1);
  if (parent?.type === "MemberExpression" && parent.property === node && !parent.computed) {
    if (parent.object.type !== "Identifier" || parent.object.name !== "globalThis") return undefined;
  } else if (parent && "key" in parent && parent.key === node) return undefined;
  return `${name}: ${reason}`;
}

function isMathRandom(node: Node): boolean {
  return (
    node.type === "MemberExpression" &&
    node.object.type === "Identifier" &&
    node.object.name === "Math" &&
    node.property.type === "Identifier" &&
    node.property.name === "random"
  );
}

function judgeState(file: SourceFile, node: Node, ancestors: readonly Node[]): string | undefined {
  if (node.type !== "VariableDeclaration" || ancestors.some(isFunction)) return undefined;
  if (!/^(?:Program|ExportNamedDeclaration)$/.test(ancestors.at(-1)?.type ?? "")) return undefined;
  const state = node.kind !== "const" || node.declarations.some((d) => d.init && isEmptyCollection(d.init));
  if (!state || hasPermit(file, node.start, "link time")) return undefined;
  return 'module state differs between threads: keep it in shared memory, or say "// link time: reason"';
}

function isEmptyCollection(node: Node): boolean {
  if (node.type !== "NewExpression" || node.callee.type !== "Identifier") return false;
  return /^(?:Weak)?(?:Map|Set)$/.test(node.callee.name) && node.arguments.length === 0;
}
