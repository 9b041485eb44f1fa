/** Scope: is a name, seen from some place, a parameter or variable that holds who knows what? */
import { eachChild, type Node } from "./source.ts";
import { bare, isFunction } from "./syntax.ts";

export function isValue(name: string, ancestors: readonly Node[]): boolean {
  for (let i = ancestors.length - 1; i >= 0; i--) {
    const at = ancestors[i] as Node;
    const found = isFunction(at) ? declared(at).get(name) : undefined;
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
  const visit = (node: Node): void => {
    if (node.type === "VariableDeclarator") {
      bind(node.id, node.init && isFunction(bare(node.init)) ? "function" : "value", names);
    } else if (node.type === "FunctionDeclaration" && node.id) bind(node.id, "function", names);
    else if (node.type === "CatchClause" && node.param) bind(node.param, "value", names);
    if (!isFunction(node)) eachChild(node, visit);
  };
  for (const parameter of (fn as unknown as { params: Node[] }).params) bind(parameter, "value", names);
  eachChild(fn, visit);
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
