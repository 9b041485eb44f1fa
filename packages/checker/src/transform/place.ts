/**
 * Place: where a step may not stand, because no `yield` can stand there, and what a Memory may not be called.
 *
 * The messages are clauses: "step in a getter: use a method".
 */
import type { Node } from "./source.ts";
import { isAtomicOp, isCall, isMem } from "./syntax.ts";

/** Why no step may stand in `child` of `at`, functions aside. */
export function barrierOf(at: Node, child: Node): string | undefined {
  if (at.type === "TaggedTemplateExpression") return "in a tagged template";
  if (at.type === "PropertyDefinition" && at.value === child) return "in a field initialiser";
  if (at.type === "StaticBlock") return "in a static block";
  if (at.type === "AssignmentPattern" && at.right === child) return "in a default value";
  return undefined;
}

/** Why the function `fn` cannot be a coroutine, for what it is of its parent. */
export function accessorOf(fn: Node, parent: Node | undefined): string | undefined {
  if (parent?.type === "MethodDefinition") {
    if (parent.kind === "constructor") return "in a constructor: use an init function";
    return parent.kind === "method" ? undefined : `in a ${parent.kind}ter: use a method`;
  }
  if (parent?.type === "Property" && parent.value === fn && parent.kind !== "init")
    return `in a ${parent.kind}ter: use a method`;
  return undefined;
}

/** Is `fn` an argument of `parent`: will somebody else call it? */
export function isArgument(fn: Node, parent: Node | undefined): boolean {
  if (parent?.type !== "CallExpression" && parent?.type !== "NewExpression") return false;
  return fn.start >= parent.callee.end;
}

/** What is wrong with a use of a Memory: steps are recognised by the receiver's name and the verb's. */
export function memoryMisuse(
  node: Node,
  parent: Node | undefined,
  verbs: ReadonlySet<string>,
): string | undefined {
  switch (node.type) {
    case "VariableDeclarator":
      if (!node.init || !isMem(node.init) || isMem(node.id)) return undefined;
      return node.id.type === "ObjectPattern" ? TAKEN : MISNAMED;
    case "Property":
      if (parent?.type !== "ObjectPattern" || !isMem(node.key) || isMem(node.value)) return undefined;
      return MISNAMED;
    case "Identifier":
      return isMemoryType(node) && !isMem(node) ? MISNAMED : undefined;
    case "PropertyDefinition":
      return isMemoryType(node) && !isMem(node.key) ? MISNAMED : undefined;
    case "MemberExpression":
      if (!isMem(node.object)) return undefined;
      if (node.computed) return "verbs are named, not computed: steps are found by name";
      if (node.property.type !== "Identifier" || !verbs.has(node.property.name)) return undefined;
      return parent && isCall(parent) && (parent as { callee?: Node }).callee === node ? undefined : TAKEN;
    default:
      return undefined;
  }
}

/** What is wrong with a use of Atomics: `grand` is the parent of the parent. */
export function atomicsMisuse(
  node: Node,
  parent: Node | undefined,
  grand: Node | undefined,
): string | undefined {
  if (node.type !== "Identifier" || node.name !== "Atomics") return undefined;
  if (parent?.type !== "MemberExpression" || parent.object !== node) return RENAMED;
  const name = !parent.computed && parent.property.type === "Identifier" ? parent.property.name : "";
  if (name === "isLockFree") return undefined;
  if (name === "waitAsync") return "Atomics.waitAsync: threads block in wait, they do not await";
  return grand?.type === "CallExpression" && grand.callee === parent && isAtomicOp(grand)
    ? undefined
    : RENAMED;
}

const RENAMED = "Atomics is used as in Atomics.load(view, i): steps are found by name";
const MISNAMED = "a Memory is called mem or memory, or its steps are not seen";
const TAKEN = "verbs are called on mem, not taken from it";

function isMemoryType(node: Node): boolean {
  const annotation = "typeAnnotation" in node ? node.typeAnnotation : undefined;
  const type = annotation && "typeAnnotation" in annotation ? annotation.typeAnnotation : undefined;
  return (
    type?.type === "TSTypeReference" && type.typeName.type === "Identifier" && type.typeName.name === "Memory"
  );
}
