/**
 * Views: raw Atomics in a program's own code, and plain accesses beside them. Which expressions are views of shared
 * memory is told by names, for one file at a time:
 *
 *   - what `Atomics.op(name, ...)` is given, as `name`, `this.name`, `x.name`;
 *   - what is typed `Int32Array<SharedArrayBuffer>`, or another typed array of that;
 *   - in a file that uses Atomics or overView: every other typed array, by its type or its `new`, but for one of a
 *     fixed number of elements.
 *
 * Too many names do no harm: at run time, an element of anything but the program's memory is no step. A name too few is
 * an access that is neither seen nor scheduled; `suspects` are those.
 */
import type { FunctionUse } from "./scan.ts";
import { type Node, type SourceFile, walk } from "./source.ts";
import { bare, isCall, isFunction, isOverView, keyOf } from "./syntax.ts";

/** A use of elements of a view. */
export interface ViewUse {
  /** The access as a whole: `v[i]`, `v[i] = x`, `v[i] += x`, `v[i]++`; of kind "other" the view that is used. */
  readonly node: Node;
  readonly ancestors: readonly Node[];
  readonly fn: FunctionUse | undefined;
  /** other: in a way that is no step, such as v.fill(0). */
  readonly kind: "read" | "write" | "update" | "other";
  /** `v[i]`. */
  readonly element: Node;
}

export interface Views {
  readonly uses: readonly ViewUse[];
  /** Elements of typed arrays that would have to be views of shared memory to matter. */
  readonly suspects: readonly Node[];
}

const NONE: Views = { uses: [], suspects: [] };
const TYPED_ARRAY = /^(?:Big)?(?:Int|Uint|Float)\d+(?:Clamped)?Array$/;
/** Members of a view that touch no element. */
const HARMLESS = /^(?:length|byteLength|byteOffset|buffer|BYTES_PER_ELEMENT|subarray)$/;

/** `functions` are those of the file, by node. */
export function findViews(file: SourceFile, functions: ReadonlyMap<Node, FunctionUse>): Views {
  if (!/\b(?:Atomics|overView|(?:Int|Uint)\d+Array)\b/.test(file.source)) return NONE;
  const { sure, maybe, rawAtomics } = collectNames(file);
  const names = rawAtomics ? sure.union(maybe) : sure;
  if (names.size === 0 && maybe.size === 0) return NONE;
  const uses: ViewUse[] = [];
  const suspects: Node[] = [];
  walk(file.program, (node, ancestors) => {
    const view = viewIn(node);
    const name = view && viewName(view);
    if (view === undefined || name === undefined) return;
    const use = node.type === "MemberExpression" && node.computed ? elementUse(node, ancestors) : undefined;
    if (names.has(name))
      uses.push({ ...(use ?? other(view, [...ancestors, node])), fn: nearest(ancestors, functions) });
    else if (maybe.has(name) && use !== undefined && use.kind !== "other") suspects.push(node);
  });
  return { uses, suspects };
}

function nearest(
  ancestors: readonly Node[],
  functions: ReadonlyMap<Node, FunctionUse>,
): FunctionUse | undefined {
  const fn = ancestors.findLast(isFunction);
  return fn && functions.get(fn);
}

/** The expression whose elements `node` uses, if it is a view. */
function viewIn(node: Node): Node | undefined {
  if (node.type === "MemberExpression") return node.computed ? node.object : undefined;
  if (node.type === "ForOfStatement") return node.right;
  if (node.type === "SpreadElement") return node.argument;
  if (node.type === "VariableDeclarator") return isPattern(node.id) ? (node.init ?? undefined) : undefined;
  if (node.type === "AssignmentExpression") return isPattern(node.left) ? node.right : undefined;
  if (node.type !== "CallExpression" || node.callee.type !== "MemberExpression") return undefined;
  const { object, property, computed } = node.callee;
  return computed || HARMLESS.test(keyOf(property) ?? "") ? undefined : object;
}

/** `[a, b] = v` */
function isPattern(target: Node): boolean {
  return target.type === "ArrayPattern";
}

/** `name`, `this.name`, `x.name`: the name. */
function viewName(view: Node): string | undefined {
  const node = bare(view);
  if (node.type === "Identifier") return node.name;
  return node.type === "MemberExpression" && !node.computed ? keyOf(node.property) : undefined;
}

interface Names {
  readonly sure: Set<string>;
  readonly maybe: Set<string>;
  /** The file has thread code over views. */
  readonly rawAtomics: boolean;
}

function collectNames(file: SourceFile): Names {
  const sure = new Set<string>();
  const maybe = new Set<string>();
  let rawAtomics = false;
  const add = (to: Set<string>, name: string | undefined): void => {
    if (name !== undefined) to.add(name);
  };
  walk(file.program, (node) => {
    if (isCall(node)) {
      if (isOverView(node)) {
        rawAtomics = true;
        for (const name of bodyViews(node)) add(sure, name);
      } else if (isAtomicsCall(node)) {
        rawAtomics = true;
        const [view] = (node as { arguments: Node[] }).arguments;
        if (view) add(sure, viewName(bare(view)));
      }
      return;
    }
    const type = "typeAnnotation" in node ? typedArray(node.typeAnnotation) : undefined;
    if (type !== undefined) add(type === "shared" ? sure : maybe, declaredName(node));
    if (node.type === "VariableDeclarator" && makesView(node.init)) add(maybe, keyOf(node.id));
    if (node.type === "PropertyDefinition" && makesView(node.value)) add(maybe, keyOf(node.key));
    if (node.type === "AssignmentExpression" && makesView(node.right)) add(maybe, viewName(node.left));
  });
  return { sure, maybe, rawAtomics };
}

function isAtomicsCall(call: Node): boolean {
  if (call.type !== "CallExpression" || call.callee.type !== "MemberExpression") return false;
  const { object } = call.callee;
  return object.type === "Identifier" && object.name === "Atomics";
}

/** The view of `overView((view) => ...)`. */
function bodyViews(call: Node): string[] {
  const [body] = (call as { arguments: Node[] }).arguments;
  const [view] = body && isFunction(body) ? (body as unknown as { params: Node[] }).params : [];
  return view?.type === "Identifier" ? [view.name] : [];
}

function declaredName(node: Node): string | undefined {
  return node.type === "PropertyDefinition" ? keyOf(node.key) : keyOf(node);
}

function typedArray(annotation: unknown): "shared" | "unsaid" | undefined {
  const type = (annotation as { typeAnnotation?: Node } | null)?.typeAnnotation;
  if (type?.type !== "TSTypeReference" || type.typeName.type !== "Identifier") return undefined;
  if (!TYPED_ARRAY.test(type.typeName.name)) return undefined;
  const of = type.typeArguments?.params[0];
  const shared =
    of?.type === "TSTypeReference" &&
    of.typeName.type === "Identifier" &&
    of.typeName.name === "SharedArrayBuffer";
  return shared ? "shared" : "unsaid";
}

/** `new Int32Array(buffer)`, as opposed to `new Int32Array(8)`. */
function makesView(value: Node | null): boolean {
  const made = value && bare(value);
  if (made?.type !== "NewExpression" || made.callee.type !== "Identifier") return false;
  const [of] = made.arguments;
  return TYPED_ARRAY.test(made.callee.name) && of !== undefined && !/^(?:Literal|ArrayExp)/.test(of.type);
}

type Use = Omit<ViewUse, "fn">;

/** How `v[i]` is used where it stands. */
function elementUse(element: Node & { type: "MemberExpression" }, ancestors: readonly Node[]): Use {
  // Out of casts and parentheses: `v[i]! += 1`.
  let up = ancestors.length - 1;
  let whole: Node = element;
  for (let one = ancestors[up]; one && bare(one) === element; one = ancestors[--up]) whole = one;
  const holder = ancestors[up] as Node;
  if (holder.type === "AssignmentExpression" && holder.left === whole)
    return { node: holder, ancestors: ancestors.slice(0, up), kind: "write", element };
  if (holder.type === "UpdateExpression")
    return { node: holder, ancestors: ancestors.slice(0, up), kind: "update", element };
  const unclear =
    element.optional || holder.type === "ChainExpression" || isTarget(holder, whole, ancestors[up - 1]);
  return unclear
    ? other(element.object, [...ancestors, element])
    : { node: element, ancestors: ancestors.slice(), kind: "read", element };
}

function other(view: Node, ancestors: readonly Node[]): Use {
  return { node: view, ancestors, kind: "other", element: view };
}

/** Is something put into `child` by a pattern or a loop, or is it deleted or called? */
function isTarget(holder: Node, child: Node, around: Node | undefined): boolean {
  switch (holder.type) {
    case "ArrayPattern":
    case "RestElement":
      return true;
    case "Property":
      return around?.type === "ObjectPattern";
    case "AssignmentPattern":
    case "ForInStatement":
    case "ForOfStatement":
      return holder.left === child;
    case "UnaryExpression":
      return holder.operator === "delete";
    case "CallExpression":
      return holder.callee === child;
    default:
      return false;
  }
}
