/**
 * Steps: which names of the two-way source can reach an access to shared memory.
 *
 * A step is a call of a method of the class Memory on something called `mem` or `memory`. A function that
 * makes a step, or calls a name that may, is itself a name that may: the closure over the call graph, by
 * simple name, of functions and methods alike. That is coarse on purpose. The checker turns exactly these
 * names into coroutines, so what this module says is what will happen there.
 *
 * Invariants: sound as long as (1) Memory is never held under another name, (2) step-reaching functions
 * travel as values only at link time, (3) calls of values are counted as steps. Rule two-way checks (1) and
 * (2), oxlint's unbound-method the same for methods; this module does (3).
 */
import { isTest, type Node, packageOf, type SourceFile, walk } from "./source.ts";

const TWO_WAY = new Set(["atomics-sync", "core", "nvme-emu", "uring-emu", "scenarios"]);

/** What Memory itself is made of. */
const SEAM = /^packages\/atomics-sync\/src\/(?:bulk|bulk-bytes|wasm)\.ts$/;

/** Receivers whose methods are the language's own. */
const LANGUAGE = /^(?:Math|Object|Number|String|Array|JSON|Reflect|Symbol|BigInt|ArrayBuffer|Atomics)$/;

export interface Steps {
  /** The methods of Memory. */
  readonly verbs: ReadonlySet<string>;
  /** May a call of `name` reach a step? */
  has(name: string): boolean;
  /** `name -> callee -> ... -> mem.read`. */
  why(name: string): string;
  /** As `why` for a call that is a step or reaches one; undefined for any other call. */
  whyCall(call: Node): string | undefined;
}

/** The files that run both ways: natively on threads and as coroutines under the checker. */
export function isTwoWay(file: SourceFile): boolean {
  if (!TWO_WAY.has(packageOf(file.path)) || !file.path.includes("/src/")) return false;
  return !isTest(file.path) && !SEAM.test(file.path) && !isMemory(file);
}

/** Memory, or a class that swaps its execution. */
function isMemory(file: SourceFile): boolean {
  return file.program.body.some((node) => {
    const declaration = "declaration" in node && node.declaration ? node.declaration : node;
    if (declaration.type !== "ClassDeclaration") return false;
    const base = declaration.superClass;
    return declaration.id?.name === "Memory" || (base?.type === "Identifier" && base.name.endsWith("Memory"));
  });
}

/** Names of the methods of the class Memory, read from its declaration. */
export function memoryVerbs(files: readonly SourceFile[]): ReadonlySet<string> {
  const verbs = new Set<string>();
  for (const file of files) {
    if (packageOf(file.path) !== "atomics-sync" || !isMemory(file)) continue;
    walk(file.program, (node, ancestors) => {
      if (node.type !== "MethodDefinition" || node.kind !== "method" || node.key.type !== "Identifier")
        return;
      const owner = ancestors.at(-2);
      if (owner?.type === "ClassDeclaration" && owner.id?.name === "Memory") verbs.add(node.key.name);
    });
  }
  return verbs;
}

/** Removes casts and parentheses. */
export function bare(node: Node): Node {
  let at = node;
  while (
    /^(?:TS(?:As|Satisfies|NonNull)|Parenthesized|Chain)Expression$/.test(at.type) &&
    "expression" in at
  ) {
    at = at.expression as Node;
  }
  return at;
}

/** Is this expression the thread's Memory: `mem`, `memory`, `x.mem`, `this.memory`? */
export function isMem(node: Node): boolean {
  const at = bare(node);
  const name = at.type === "MemberExpression" && !at.computed ? at.property : at;
  return name.type === "Identifier" && /^(?:mem|memory)$/.test(name.name);
}

/** What a call calls. `indirect`: a value, so nobody knows. */
type Callee =
  | { kind: "name"; name: string }
  | { kind: "verb"; name: string }
  | { kind: "indirect" | "language" };

export function calleeOf(call: Node, verbs: ReadonlySet<string>): Callee {
  const callee = bare(
    call.type === "TaggedTemplateExpression" ? call.tag : (call as { callee: Node }).callee,
  );
  if (callee.type === "Identifier") return { kind: "name", name: callee.name };
  if (callee.type === "Super" || callee.type === "ImportExpression") return { kind: "language" };
  if (callee.type !== "MemberExpression") return { kind: "indirect" };
  const { object, property } = callee;
  if (callee.computed) return { kind: "indirect" };
  if (object.type === "Identifier" && LANGUAGE.test(object.name)) return { kind: "language" };
  const name =
    property.type === "PrivateIdentifier" ? `#${property.name}` : (property as { name: string }).name;
  return { kind: isMem(object) && verbs.has(name) ? "verb" : "name", name };
}

export function isCall(node: Node): boolean {
  return node.type === "CallExpression" || node.type === "TaggedTemplateExpression";
}

export function isFunction(node: Node): boolean {
  return /^(?:FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type);
}

/** The name a function is called by: its own, or that of the variable, property or method that holds it. */
export function nameOf(fn: Node, parent: Node | undefined): string | undefined {
  if ("id" in fn && fn.id?.type === "Identifier") return fn.id.name;
  if (!parent) return undefined;
  if (parent.type === "VariableDeclarator" && parent.id.type === "Identifier") return parent.id.name;
  if (parent.type === "AssignmentExpression" && parent.left.type === "MemberExpression")
    return keyOf(parent.left.property);
  if (parent.type === "MethodDefinition" && parent.kind !== "method") return undefined;
  return "key" in parent && parent.key ? keyOf(parent.key) : undefined;
}

export function keyOf(key: Node): string | undefined {
  if (key.type === "PrivateIdentifier") return `#${key.name}`;
  return key.type === "Identifier" ? key.name : undefined;
}

/** Computes the closure over the given two-way files. */
export function findSteps(files: readonly SourceFile[], verbs: ReadonlySet<string>): Steps {
  const callers = new Map<string, Set<string>>();
  const next = new Map<string, string>();
  const queue: string[] = [];
  const reach = (name: string, through: string): void => {
    if (next.has(name)) return;
    next.set(name, through);
    queue.push(name);
  };
  const addEdge = (caller: string, callee: string): void => {
    const known = callers.get(callee);
    if (known) known.add(caller);
    else callers.set(callee, new Set([caller]));
  };
  for (const file of files) collect(file, verbs, addEdge, reach);
  for (const name of queue) for (const caller of callers.get(name) ?? []) reach(caller, name);

  const why = (name: string): string => {
    const through = next.get(name);
    return through === undefined ? name : `${name} -> ${why(through)}`;
  };
  const whyCall = (call: Node): string | undefined => {
    const callee = calleeOf(call, verbs);
    if (callee.kind === "verb") return `mem.${callee.name}`;
    return callee.kind === "name" && next.has(callee.name) ? why(callee.name) : undefined;
  };
  return { verbs, has: (name) => next.has(name), why, whyCall };
}

/** Adds one file's edges: a call counts for every function around it, named or not. */
function collect(
  file: SourceFile,
  verbs: ReadonlySet<string>,
  addEdge: (caller: string, callee: string) => void,
  reach: (name: string, through: string) => void,
): void {
  walk(file.program, (node, ancestors) => {
    if (node.type === "Property" && node.value.type === "Identifier") {
      // A table `{ open: my_open }`: whoever calls `.open(...)` calls my_open.
      const key = node.computed ? undefined : keyOf(node.key);
      if (key !== undefined && key !== node.value.name) addEdge(key, node.value.name);
    }
    if (!isCall(node)) return;
    const callee = calleeOf(node, verbs);
    if (callee.kind === "language") return;
    const local = callee.kind === "name" && isValue(callee.name, ancestors);
    ancestors.forEach((fn, i) => {
      const caller = isFunction(fn) ? nameOf(fn, ancestors[i - 1]) : undefined;
      if (caller === undefined) return;
      if (callee.kind === "name" && !local) addEdge(caller, callee.name);
      else if (callee.kind === "verb") reach(caller, `mem.${callee.name}`);
      else reach(caller, "a call of a value");
    });
  });
}

/** Is `name`, seen from here, a parameter or variable that holds who knows what? */
export function isValue(name: string, ancestors: readonly Node[]): boolean {
  for (let i = ancestors.length - 1; i >= 0; i--) {
    const found = isFunction(ancestors[i] as Node) ? declared(ancestors[i] as Node).get(name) : undefined;
    if (found !== undefined) return found === "value";
  }
  return false;
}

type Kind = "value" | "function";

const cache = new WeakMap<Node, ReadonlyMap<string, Kind>>();

/** What a function declares itself, inner functions left out. */
function declared(fn: Node): ReadonlyMap<string, Kind> {
  const known = cache.get(fn);
  if (known) return known;
  const names = new Map<string, Kind>();
  for (const parameter of (fn as unknown as { params: Node[] }).params) bind(parameter, "value", names);
  walk(fn, (node, ancestors) => {
    if (ancestors.some((a) => a !== fn && isFunction(a))) return;
    if (node.type === "VariableDeclarator") {
      bind(node.id, node.init && isFunction(bare(node.init)) ? "function" : "value", names);
    } else if (node.type === "FunctionDeclaration" && node !== fn && node.id)
      bind(node.id, "function", names);
    else if (node.type === "CatchClause" && node.param) bind(node.param, "value", names);
  });
  cache.set(fn, names);
  return names;
}

/** Enters the names a pattern binds. */
function bind(pattern: Node | null, kind: Kind, names: Map<string, Kind>): void {
  if (!pattern) return;
  if (pattern.type === "Identifier") names.set(pattern.name, kind);
  else if (pattern.type === "TSParameterProperty") bind(pattern.parameter, kind, names);
  else if (pattern.type === "AssignmentPattern") bind(pattern.left, kind, names);
  else if (pattern.type === "RestElement") bind(pattern.argument, kind, names);
  else if (pattern.type === "Property") bind(pattern.value, kind, names);
  else if (pattern.type === "ArrayPattern")
    for (const element of pattern.elements) bind(element, kind, names);
  else if (pattern.type === "ObjectPattern")
    for (const property of pattern.properties) bind(property, kind, names);
}
