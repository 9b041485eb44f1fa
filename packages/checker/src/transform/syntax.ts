/**
 * Questions about one node, answered from the node and its parent alone: is this the thread's Memory, what does
 * this call call, by which name is this function called.
 */
import type { Node, SourceFile } from "./source.ts";

/** Receivers whose methods are the language's own. */
const LANGUAGE = /^(?:Math|Object|Number|String|Array|JSON|Reflect|Symbol|BigInt|ArrayBuffer|Atomics)$/;

const WRAPPER = /^(?:TS(?:As|Satisfies|NonNull)|Parenthesized|Chain)Expression$/;

/** Removes casts and parentheses. */
export function bare(node: Node): Node {
  let at = node;
  while (WRAPPER.test(at.type) && "expression" in at) at = at.expression as Node;
  return at;
}

/** Index in `ancestors` of the nearest one that is no cast and no parenthesis; -1: none. */
export function holder(ancestors: readonly Node[]): number {
  let i = ancestors.length - 1;
  while (i >= 0 && WRAPPER.test((ancestors[i] as Node).type)) i--;
  return i;
}

/** Is this expression the thread's Memory: `mem`, `memory`, `x.mem`, `this.memory`? */
export function isMem(node: Node): boolean {
  const at = bare(node);
  const name = at.type === "MemberExpression" && !at.computed ? at.property : at;
  return name.type === "Identifier" && /^(?:mem|memory)$/.test(name.name);
}

/** Memory, or a class that swaps its execution: the other side of the seam. */
export function isMemoryClass(node: Node): boolean {
  if (node.type !== "ClassDeclaration" && node.type !== "ClassExpression") return false;
  const base = node.superClass;
  return node.id?.name === "Memory" || (base?.type === "Identifier" && base.name.endsWith("Memory"));
}

/** Does this file declare such a class? */
export function declaresMemory(file: SourceFile): boolean {
  return file.program.body.some((node) =>
    isMemoryClass("declaration" in node && node.declaration ? node.declaration : node),
  );
}

/** Operations of Atomics that are steps. */
const ATOMIC_OPS: ReadonlySet<string> = new Set(
  ["load", "store", "add", "sub", "and", "or", "xor", "exchange", "compareExchange"].concat([
    "wait",
    "notify",
    "pause",
  ]),
);

/** Is this `Atomics.op(...)`, with an op that is a step? */
export function isAtomicOp(call: Node): boolean {
  if (call.type !== "CallExpression" || call.callee.type !== "MemberExpression") return false;
  const { object, property, computed } = call.callee;
  if (computed || object.type !== "Identifier" || object.name !== "Atomics") return false;
  return ATOMIC_OPS.has(keyOf(property) ?? "");
}

/** `overView(body)`: it calls its argument for a thread. */
export function isOverView(call: Node): boolean {
  if (call.type !== "CallExpression") return false;
  const callee = bare(call.callee);
  return callee.type === "Identifier" && callee.name === "overView";
}

/** What a call calls. `indirect`: a value, so nobody knows. atomic: an op of Atomics that is a step. */
export type Callee =
  | { kind: "atomic"; name: string }
  | { kind: "name"; name: string }
  | { kind: "verb"; name: string }
  | { kind: "indirect" }
  | { kind: "language" };

export function calleeOf(call: Node, verbs: ReadonlySet<string>): Callee {
  const callee = calledBy(call);
  if (callee.type === "Identifier") return { kind: "name", name: callee.name };
  if (callee.type === "Super" || callee.type === "ImportExpression") return { kind: "language" };
  if (callee.type !== "MemberExpression" || callee.computed) return { kind: "indirect" };
  const { object, property } = callee;
  if (isAtomicOp(call)) return { kind: "atomic", name: keyOf(property) as string };
  if (object.type === "Identifier" && LANGUAGE.test(object.name)) return { kind: "language" };
  const name = keyOf(property) as string;
  return { kind: isMem(object) && verbs.has(name) ? "verb" : "name", name };
}

/** The expression that is called, without casts and parentheses. */
export function calledBy(call: Node): Node {
  return bare(call.type === "TaggedTemplateExpression" ? call.tag : (call as { callee: Node }).callee);
}

export function isCall(node: Node): boolean {
  return node.type === "CallExpression" || node.type === "TaggedTemplateExpression";
}

/** `f(x)`, as opposed to `o.f(x)`. */
export function isBareCall(call: Node): boolean {
  return call.type === "CallExpression" && bare(call.callee).type === "Identifier";
}

export function isFunction(node: Node): boolean {
  return (
    node.type === "FunctionDeclaration" ||
    node.type === "FunctionExpression" ||
    node.type === "ArrowFunctionExpression"
  );
}

/** The name a function is called by: its own, or that of the variable, property or method that holds it. */
export function nameOf(fn: Node, parent: Node | undefined): string | undefined {
  if ("id" in fn && fn.id?.type === "Identifier") return fn.id.name;
  if (!parent) return undefined;
  if (parent.type === "ExportDefaultDeclaration") return "default";
  if (parent.type === "VariableDeclarator" && parent.id.type === "Identifier") return parent.id.name;
  if (parent.type === "AssignmentExpression") return assignedName(parent.left);
  if (parent.type === "MethodDefinition" && parent.kind !== "method") return undefined;
  return "key" in parent && parent.key && !("computed" in parent && parent.computed)
    ? keyOf(parent.key)
    : undefined;
}

/** `f = ...` and `o.f = ...` name what they assign. */
export function assignedName(left: Node): string | undefined {
  return left.type === "MemberExpression" ? (left.computed ? undefined : keyOf(left.property)) : keyOf(left);
}

export function keyOf(key: Node): string | undefined {
  if (key.type === "PrivateIdentifier") return `#${key.name}`;
  return key.type === "Identifier" ? key.name : undefined;
}

/** Names of built-in methods: a call of one may always be a call of the language's own. */
export const BUILT_IN: ReadonlySet<string> = new Set(
  [Array, Map, Set, WeakMap, WeakSet, String, Number, RegExp, Function, Promise, Object, DataView]
    .map((type): object => type.prototype)
    .concat(Object.getPrototypeOf(Int32Array.prototype) as object, Math)
    .flatMap((owner) =>
      Object.entries(Object.getOwnPropertyDescriptors(owner))
        .filter(([name, property]) => typeof property.value === "function" && name !== "constructor")
        .map(([name]) => name),
    ),
);

/** Built-in functions and methods that call what they are given. */
export const TAKERS: ReadonlySet<string> = new Set(
  [
    "forEach",
    "map",
    "flatMap",
    "filter",
    "some",
    "every",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
  ].concat(
    ["reduce", "reduceRight", "sort", "toSorted", "replace", "replaceAll", "then", "catch", "finally"],
    ["setTimeout", "setInterval", "setImmediate", "queueMicrotask"],
  ),
);
