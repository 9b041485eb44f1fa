/**
 * two-way: the kernel source also runs as coroutines. Each function that can reach a step becomes a
 * generator and each call of it a `yield*`, by name; so a step has to sit where a `yield*` may stand, and
 * a name that reaches a step may not belong to the language too.
 *
 * Not covered here: what these files may not use at all (rule subset).
 */
import {
  bare,
  calleeOf,
  findSteps,
  isCall,
  isFunction,
  isMem,
  isTwoWay,
  isValue,
  keyOf,
  memoryVerbs,
  nameOf,
} from "../steps.ts";
import type { Steps } from "../steps.ts";
import { hasPermit, type Node, type SourceFile, walk } from "../source.ts";
import { type Finding, finding, type Rule } from "./rule.ts";

export const twoWay: Rule = {
  name: "two-way",
  check(files) {
    const both = files.filter(isTwoWay);
    const steps = findSteps(both, memoryVerbs(files));
    return both.flatMap((file) => checkFile(file, steps));
  },
};

/** The image calls through pointers on everybody's behalf. */
const IMAGE = "packages/core/src/debug/image.ts";

/** These take functions at module level and give them an address. */
const LINK_TIME = new Set(
  ["kernel_symbol", "kernel_static", "kernel_rodata", "percpu_static", "kernel_initcall"].concat([
    "kernel_exitcall",
    "struct_layout",
  ]),
);

type Report = (offset: number, message: string) => void;

function checkFile(file: SourceFile, steps: Steps): Finding[] {
  const findings = new Map<string, Finding>();
  const report: Report = (offset, message) => {
    findings.set(`${offset} ${message}`, finding(file, offset, "two-way", message));
  };
  const functions = moduleFunctions(file);
  walk(file.program, (node, ancestors) => {
    if (isCall(node)) {
      checkPlace(node, ancestors, steps, report);
      if (file.path !== IMAGE) checkIndirect(file, node, ancestors, steps, report);
    } else if (isFunction(node)) checkName(node, ancestors, steps, report);
    else if (node.type === "Identifier" && functions.has(node.name) && steps.has(node.name)) {
      checkValue(node, ancestors, steps, report);
    } else if (node.type === "ImportSpecifier" || node.type === "ExportSpecifier")
      checkRename(node, steps, report);
    checkMemory(node, ancestors.at(-1), steps, report);
  });
  return [...findings.values()];
}

/** A step stands in a function or method, not where no `yield*` can stand. */
function checkPlace(call: Node, ancestors: readonly Node[], steps: Steps, report: Report): void {
  const why = steps.whyCall(call);
  if (why === undefined) return;
  for (let i = ancestors.length - 1; i >= 0; i--) {
    const at = ancestors[i] as Node;
    const child = ancestors[i + 1] ?? call;
    const place = placeOf(at, child, ancestors[i - 1]);
    if (place !== undefined) return report(call.start, `step ${place}: ${why}`);
    if (isFunction(at)) return;
    if (i === 0) report(call.start, `step at module level, where there is no Cpu: ${why}`);
  }
}

function placeOf(at: Node, child: Node, parent: Node | undefined): string | undefined {
  if (at.type === "TaggedTemplateExpression") return "in a tagged template";
  if (at.type === "PropertyDefinition" && at.value === child) return "in a field initialiser";
  if (at.type === "StaticBlock") return "in a static block";
  if (at.type === "AssignmentPattern" && at.right === child) return "in a default value";
  if (!isFunction(at)) return undefined;
  if (at.type === "FunctionDeclaration") return undefined;
  if (parent?.type === "MethodDefinition") {
    if (parent.kind === "constructor") return "in a constructor: use an init function";
    return parent.kind === "method" ? undefined : `in a ${parent.kind}ter: use a method`;
  }
  if (parent?.type === "Property" && parent.value === at) {
    if (parent.kind !== "init") return `in a ${parent.kind}ter: use a method`;
    if (parent.method) return undefined;
  }
  if (parent?.type === "CallExpression" || parent?.type === "NewExpression") {
    return "in a callback: use a loop, or a named function and kernel_symbol";
  }
  return "in a closure: use a named function";
}

/** A call of a value reaches nobody knows what. */
function checkIndirect(
  file: SourceFile,
  call: Node,
  ancestors: readonly Node[],
  steps: Steps,
  report: Report,
): void {
  const callee = calleeOf(call, steps.verbs);
  const indirect =
    callee.kind === "indirect" ||
    (callee.kind === "name" && isBareCall(call) && isValue(callee.name, ancestors));
  if (!indirect || hasPermit(file, call.start, "indirect")) return;
  report(call.start, 'call of a value: call through symbol_call, or say "// indirect: reason"');
}

function isBareCall(call: Node): boolean {
  return call.type === "CallExpression" && bare(call.callee).type === "Identifier";
}

/** `x.push()` cannot be both an array's push and ours. */
function checkName(fn: Node, ancestors: readonly Node[], steps: Steps, report: Report): void {
  const name = nameOf(fn, ancestors.at(-1));
  if (name === undefined || !steps.has(name) || !BUILT_IN.has(name)) return;
  report(
    fn.start,
    `${name} is also the name of a built-in method and reaches a step (${steps.why(name)}): rename it`,
  );
}

const BUILT_IN: ReadonlySet<string> = new Set(
  [Array, Map, Set, WeakMap, WeakSet, String, Number, RegExp, Function, Promise, Object, DataView]
    .map((type): object => type.prototype)
    .concat(Object.getPrototypeOf(Int32Array.prototype), Math)
    .flatMap((owner) =>
      Object.entries(Object.getOwnPropertyDescriptors(owner))
        .filter(([name, property]) => typeof property.value === "function" && name !== "constructor")
        .map(([name]) => name),
    ),
);

/** A function that reaches a step is called, or registered at link time; it is not handed around. */
function checkValue(
  node: Node & { name: string },
  ancestors: readonly Node[],
  steps: Steps,
  report: Report,
): void {
  const parent = ancestors.at(-1) as Node;
  if (isDeclaration(node, parent) || isValue(node.name, ancestors)) return;
  if (isCall(parent) && bare((parent as { callee?: Node; tag?: Node }).callee ?? node) === node) return;
  const inFunction = ancestors.some(isFunction);
  if (!inFunction) {
    if (ancestors.some((a) => a.type === "ObjectExpression" || a.type === "ArrayExpression")) return;
    if (parent.type === "ExportDefaultDeclaration") return;
    if (parent.type === "CallExpression" && LINK_TIME.has(nameOfCallee(parent))) return;
  }
  const hint = inFunction
    ? "take its kernel_symbol at module level"
    : "only kernel_symbol and its like take functions";
  report(node.start, `${node.name} as a value, and it reaches a step (${steps.why(node.name)}): ${hint}`);
}

function nameOfCallee(call: Node): string {
  const callee = bare((call as { callee: Node }).callee);
  return callee.type === "Identifier" ? callee.name : "";
}

/** Is this identifier a name being declared or selected, rather than a use of the variable? */
function isDeclaration(node: Node, parent: Node): boolean {
  if (parent.type === "MemberExpression") return parent.property === node && !parent.computed;
  if ("key" in parent && parent.key === node) return true;
  if (parent.type === "AssignmentPattern") return parent.left === node;
  return /^(?:(?:Import|Export)\w*Specifier|FunctionDeclaration|ClassDeclaration|LabeledStatement|\w*Pattern)$/.test(
    parent.type,
  );
}

function moduleFunctions(file: SourceFile): Set<string> {
  const names = new Set<string>();
  for (const statement of file.program.body) {
    const node = "declaration" in statement && statement.declaration ? statement.declaration : statement;
    if (node.type === "FunctionDeclaration" && node.id) names.add(node.id.name);
    else if (node.type === "ImportDeclaration") for (const s of node.specifiers) names.add(s.local.name);
  }
  return names;
}

/** The closure goes by name, so a step-reaching function keeps its name across modules. */
function checkRename(node: Node, steps: Steps, report: Report): void {
  if (node.type !== "ImportSpecifier" && node.type !== "ExportSpecifier") return;
  const [from, to] =
    node.type === "ImportSpecifier" ? [node.imported, node.local] : [node.local, node.exported];
  const name = keyOf(from);
  if (name === undefined || name === keyOf(to) || !steps.has(name)) return;
  report(node.start, `${name} reaches a step (${steps.why(name)}): it keeps its name, no "as"`);
}

/** Steps are recognised by the receiver's name, so the receiver is always called mem or memory. */
function checkMemory(node: Node, parent: Node | undefined, steps: Steps, report: Report): void {
  const message = "a Memory is called mem or memory, or its steps are not seen";
  if (node.type === "VariableDeclarator" && node.init && isMem(node.init) && !isMem(node.id)) {
    const pattern = node.id.type === "ObjectPattern";
    report(node.start, pattern ? "verbs are called on mem, not taken from it" : message);
  } else if (
    node.type === "Property" &&
    parent?.type === "ObjectPattern" &&
    isMem(node.key) &&
    !isMem(node.value)
  ) {
    report(node.start, message);
  } else if ((node.type === "Identifier" || node.type === "PropertyDefinition") && isMemoryType(node)) {
    if (!isMem(node.type === "Identifier" ? node : node.key)) report(node.start, message);
  } else if (node.type === "MemberExpression" && isMem(node.object)) {
    if (node.computed) report(node.start, "verbs are named, not computed: steps are found by name");
    else if (node.property.type === "Identifier" && steps.verbs.has(node.property.name)) {
      if (!parent || !isCall(parent) || (parent as { callee?: Node }).callee !== node) {
        report(node.start, "verbs are called on mem, not taken from it");
      }
    }
  }
}

function isMemoryType(node: Node): boolean {
  const annotation = "typeAnnotation" in node ? node.typeAnnotation : undefined;
  const type = annotation && "typeAnnotation" in annotation ? annotation.typeAnnotation : undefined;
  return (
    type?.type === "TSTypeReference" && type.typeName.type === "Identifier" && type.typeName.name === "Memory"
  );
}
