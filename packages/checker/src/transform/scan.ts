/**
 * Scan: one walk over a file that collects what the closure over the call graph and the transform need: its
 * functions, its calls, and which names stand for other names.
 */
import { isValue } from "./scope.ts";
import { type Node, type SourceFile, walk } from "./source.ts";
import {
  assignedName,
  bare,
  calleeOf,
  holder,
  isBareCall,
  isCall,
  isFunction,
  isMemoryClass,
  keyOf,
  nameOf,
} from "./syntax.ts";
import { findViews, type Views } from "./views.ts";

export interface FunctionUse {
  readonly node: Node;
  readonly name: string | undefined;
  /** Copied: outermost first. */
  readonly ancestors: readonly Node[];
  /** What holds it, casts and parentheses aside. */
  readonly parent: Node | undefined;
}

export interface CallUse {
  readonly node: Node;
  readonly ancestors: readonly Node[];
  /** The nearest function around it. */
  readonly fn: FunctionUse | undefined;
  /**
   * verb: of Memory. atomic: of Atomics. name: a function or method of that name. value: nobody knows. language: never
   * a step.
   */
  readonly kind: "verb" | "atomic" | "name" | "value" | "language";
  /** Of a verb, op or name. */
  readonly name: string;
  /** It stands in a Memory class, where nothing is a coroutine. */
  readonly inMemory: boolean;
}

export interface Scan {
  readonly file: SourceFile;
  readonly functions: readonly FunctionUse[];
  readonly calls: readonly CallUse[];
  /** `[name, other]`: a call of `name` may be a call of `other`. */
  readonly aliases: readonly (readonly [string, string])[];
  /** Names that are given values nobody knows: `f` of variables, `.f` of members. */
  readonly values: readonly string[];
  /** Names whose calls may meet something that is never a coroutine. */
  readonly plain: readonly string[];
  /** Elements of shared memory that are used plainly, beside raw Atomics. */
  readonly views: Views;
}

/** What they give may be a function. */
const MAKES_VALUES = /^(?:Call|Await|Yield|TaggedTemplate)Expression$/;

/** `look` is shown each node of the same walk. */
export function scan(
  file: SourceFile,
  verbs: ReadonlySet<string>,
  look?: (node: Node, ancestors: readonly Node[]) => void,
): Scan {
  const functions: FunctionUse[] = [];
  const calls: CallUse[] = [];
  const aliases: (readonly [string, string])[] = [];
  const plain: string[] = [];
  const values: string[] = [];
  const byNode = new Map<Node, FunctionUse>();
  const holdAt = (name: string, held: Node, dot: "" | ".", ancestors: readonly Node[]): void => {
    const value = bare(held);
    if (value.type === "ConditionalExpression") {
      holdAt(name, value.consequent, dot, ancestors);
      holdAt(name, value.alternate, dot, ancestors);
    } else if (value.type === "LogicalExpression") {
      holdAt(name, value.left, dot, ancestors);
      holdAt(name, value.right, dot, ancestors);
    } else if (value.type === "Identifier" ? isValue(value.name, ancestors) : MAKES_VALUES.test(value.type)) {
      values.push(dot + name);
    } else {
      const other = value.type === "MemberExpression" ? keyOf(value.property) : keyOf(value);
      if (other !== undefined && other !== name) aliases.push([name, other]);
    }
  };
  walk(file.program, (node, live) => {
    look?.(node, live);
    if (isCall(node)) {
      const ancestors = live.slice();
      calls.push(callUse(node, ancestors, nearest(ancestors, byNode), verbs));
    } else if (isFunction(node)) {
      const ancestors = live.slice();
      const parent = ancestors[holder(ancestors)];
      const fn = { node, name: nameOf(node, parent), ancestors, parent };
      const inMemory = ancestors.some(isMemoryClass);
      if (fn.name !== undefined && (inMemory || isAsync(node) || isGenerator(node))) plain.push(fn.name);
      if (inMemory) return;
      functions.push(fn);
      byNode.set(node, fn);
    } else if (node.type === "ImportDefaultSpecifier") aliases.push([node.local.name, "default"]);
    else {
      if (node.type === "ImportSpecifier" && isForeign(live.at(-1))) plain.push(node.local.name);
      collectHolds(node, live, (name, value, of) => {
        if (name !== undefined) holdAt(name, value, of === "member" ? "." : "", live);
      });
    }
  });
  return { file, functions, calls, aliases, values, plain, views: findViews(file, byNode) };
}

export function isAsync(fn: Node): boolean {
  return "async" in fn && fn.async;
}

export function isGenerator(fn: Node): boolean {
  return "generator" in fn && fn.generator;
}

function nearest(
  ancestors: readonly Node[],
  byNode: ReadonlyMap<Node, FunctionUse>,
): FunctionUse | undefined {
  for (let i = ancestors.length - 1; i >= 0; i--) {
    const at = ancestors[i] as Node;
    if (isFunction(at)) return byNode.get(at);
  }
  return undefined;
}

function callUse(
  node: Node,
  ancestors: readonly Node[],
  fn: FunctionUse | undefined,
  verbs: ReadonlySet<string>,
): CallUse {
  const inMemory = ancestors.some(isMemoryClass);
  const use = { node, ancestors, fn, name: "", inMemory };
  const callee = calleeOf(node, verbs);
  if (callee.kind === "language") return { ...use, kind: "language" };
  if (callee.kind === "indirect") return { ...use, kind: "value" };
  const isLocal = callee.kind === "name" && isBareCall(node) && isValue(callee.name, ancestors);
  return { ...use, kind: isLocal ? "value" : callee.kind, name: callee.name };
}

/** Enters what `name` may stand for once `value` is put there. */
type Hold = (name: string | undefined, value: Node, of: "variable" | "member") => void;

/**
 * A table `{ open: my_open }`: whoever calls `.open(...)` calls my_open. Likewise renames and assignments. Variables
 * of functions are left out: their calls are calls of values anyway.
 */
function collectHolds(node: Node, ancestors: readonly Node[], hold: Hold): void {
  switch (node.type) {
    case "Property":
      if (node.computed) break;
      if (ancestors.at(-1)?.type !== "ObjectPattern") hold(keyOf(node.key), node.value, "member");
      else if (!ancestors.some(isFunction)) hold(keyOf(node.value), node.key, "variable");
      break;
    case "PropertyDefinition":
      if (node.value && !node.computed) hold(keyOf(node.key), node.value, "member");
      break;
    case "VariableDeclarator":
      if (node.init && !ancestors.some(isFunction)) hold(keyOf(node.id), node.init, "variable");
      break;
    case "AssignmentExpression":
      if (node.left.type === "MemberExpression") hold(assignedName(node.left), node.right, "member");
      else if (node.left.type === "Identifier" && !isValue(node.left.name, ancestors))
        hold(node.left.name, node.right, "variable");
      break;
    case "ImportSpecifier":
      hold(keyOf(node.local), node.imported, "variable");
      break;
    case "ExportSpecifier":
      hold(keyOf(node.exported), node.local, "variable");
      break;
    case "ExportDefaultDeclaration":
      hold("default", ("id" in node.declaration && node.declaration.id) || node.declaration, "variable");
      break;
    default:
  }
}

function isForeign(declaration: Node | undefined): boolean {
  return declaration?.type === "ImportDeclaration" && declaration.source.value.startsWith("node:");
}
