/**
 * Coroutines: which functions of a file become generators, and why one that would have to cannot.
 *
 * A named function does if its name reaches a step. One without a name does if a step stands in it and it is
 * called as a value: an element of an array, a property of an object (`threads: [(memory) => ...]`), called on the
 * spot, or the argument of overView.
 */
import { accessorOf, barrierOf, isArgument } from "./place.ts";
import { type CallUse, type FunctionUse, isAsync, isGenerator, type Scan } from "./scan.ts";
import { eachChild, type Node } from "./source.ts";
import type { Steps } from "./steps.ts";
import { calledBy, isFunction, isOverView } from "./syntax.ts";

/**
 * step: a verb that yields, or an op of Atomics. quiet: a verb that does not. call: a call of coroutines only.
 * maybe: a call that may give a coroutine. none: any other.
 */
export type Role = "step" | "quiet" | "call" | "maybe" | "none";

export function roleOf(call: CallUse, steps: Steps): Role {
  if (call.kind === "atomic") return "step";
  if (call.kind === "verb") return steps.stepVerbs.has(call.name) ? "step" : "quiet";
  if (steps.isUnknown(call)) return "maybe";
  if (call.kind === "language" || !steps.has(call.name)) return "none";
  return steps.mayBePlain(call.name) || inOptionalChain(call.node) ? "maybe" : "call";
}

/** `o?.m()`: there may be no call at all. */
export function inOptionalChain(call: Node): boolean {
  let at: Node | undefined = call;
  while (at?.type === "CallExpression" || at?.type === "MemberExpression") {
    if (at.optional) return true;
    at = at.type === "CallExpression" ? at.callee : at.object;
  }
  return false;
}

/** Answers for the functions of one file. */
export class Coroutines {
  private readonly steps: Steps;
  /** Functions in which a step stands, or may. */
  private readonly stepping: Set<FunctionUse> = new Set();
  private readonly byNode: Map<Node, FunctionUse> = new Map();
  private readonly known: Map<FunctionUse, true | string> = new Map();

  constructor(scan: Scan, steps: Steps) {
    this.steps = steps;
    for (const fn of scan.functions) this.byNode.set(fn.node, fn);
    for (const call of scan.calls) {
      const role = roleOf(call, steps);
      if (call.fn && role !== "quiet" && role !== "none") this.stepping.add(call.fn);
    }
    if (!steps.stepVerbs.has("read")) return;
    for (const { fn, kind } of scan.views.uses) if (fn && kind !== "other") this.stepping.add(fn);
  }

  has(fn: FunctionUse): boolean {
    return this.judge(fn) === true;
  }

  /** Does a step stand in it, or may one? */
  isStepping(fn: FunctionUse): boolean {
    return this.stepping.has(fn);
  }

  /** Why no `yield` may stand where this call stands; undefined if one may. */
  barrier(call: Pick<CallUse, "node" | "ancestors">): string | undefined {
    const { ancestors, node } = call;
    if (node.type === "TaggedTemplateExpression") return "in a tagged template";
    for (let i = ancestors.length - 1; i >= 0; i--) {
      const at = ancestors[i] as Node;
      const barrier = barrierOf(at, ancestors[i + 1] ?? node);
      if (barrier !== undefined) return barrier;
      const fn = isFunction(at) ? this.byNode.get(at) : undefined;
      if (fn === undefined) continue;
      const judged = this.judge(fn);
      return judged === true ? undefined : judged;
    }
    return "at module level, where no thread runs: write a function that a thread calls";
  }

  private judge(fn: FunctionUse): true | string {
    const known = this.known.get(fn);
    if (known !== undefined) return known;
    const judged = judge(fn, this.steps, this.stepping.has(fn));
    this.known.set(fn, judged);
    return judged;
  }
}

function judge(fn: FunctionUse, steps: Steps, stepping: boolean): true | string {
  const { node, name, parent } = fn;
  const named = name !== undefined && steps.has(name);
  if (!named && !stepping) return "in a function without steps";
  const accessor = accessorOf(node, parent);
  if (accessor !== undefined) return accessor;
  if (isAsync(node)) return "in an async function: threads block in wait, they do not await";
  if (isGenerator(node)) return "in a generator: write a plain function, the loader makes the coroutine";
  if (isArgument(node, parent) && !isOverView(parent as Node))
    return "in a callback: use a loop, or a named function";
  if (!named && !isAnonymousBody(node, parent)) return "in a closure: give the function a name";
  if (node.type === "ArrowFunctionExpression" && usesThis(node))
    return "in an arrow function that uses this or arguments: write a method or a function";
  return true;
}

function isAnonymousBody(fn: Node, parent: Node | undefined): boolean {
  if (parent?.type === "CallExpression") return calledBy(parent) === fn || isOverView(parent);
  if (parent?.type === "MethodDefinition") return !parent.computed;
  if (parent?.type === "Property") return !(parent.method && parent.computed);
  return parent?.type === "ArrayExpression";
}

/** What an arrow function takes from around it, and a generator function would not. */
function usesThis(arrow: Node): boolean {
  let found = false;
  const visit = (node: Node): void => {
    if (node.type === "ThisExpression" || node.type === "Super" || node.type === "MetaProperty")
      found ||= node.type !== "MetaProperty" || node.meta.name === "new";
    if (node.type === "Identifier" && node.name === "arguments") found = true;
    if (found || node.type === "FunctionDeclaration" || node.type === "FunctionExpression") return;
    if (node.type !== "PropertyDefinition" && node.type !== "StaticBlock") eachChild(node, visit);
  };
  eachChild(arrow, visit);
  return found;
}
