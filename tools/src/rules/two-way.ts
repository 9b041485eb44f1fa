/**
 * two-way: the kernel source also runs as coroutines. Each function that can reach a step becomes a
 * generator and each call of it a `yield*`, by name; so a step has to sit where a `yield*` may stand, and
 * a name that reaches a step may not belong to the language too.
 *
 * Not covered here: what these files may not use at all (rule subset); and programs of the checker
 * (scenarios/src/check),
 * whose thread functions stand in tables and closures: the loader takes those, and refuses what it cannot run.
 */
import { accessorOf, barrierOf, memoryMisuse } from "@ringside/checker/transform/place";
import { isValue } from "@ringside/checker/transform/scope";
import { type Node, type SourceFile, walk } from "@ringside/checker/transform/source";
import { findSteps, type Steps } from "@ringside/checker/transform/steps";
import {
  bare,
  BUILT_IN,
  calleeOf,
  isBareCall,
  isCall,
  isFunction,
  keyOf,
  nameOf,
} from "@ringside/checker/transform/syntax";
import { hasPermit } from "../source.ts";
import { isTwoWay, memoryVerbs } from "../two-way-files.ts";
import { type Finding, finding, type Rule } from "./rule.ts";

export const twoWay: Rule = {
  name: "two-way",
  check(files) {
    const both = files.filter(isTwoWay);
    const steps = findSteps(both, memoryVerbs(files));
    return both.filter((file) => !PROGRAMS.test(file.path)).flatMap((file) => checkFile(file, steps));
  },
};

/** They run as coroutines only. */
const PROGRAMS = /^scenarios\/src\/check\//;

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
    const misuse = memoryMisuse(node, ancestors.at(-1), steps.verbs);
    if (misuse !== undefined) report(node.start, misuse);
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
  const barrier = barrierOf(at, child);
  if (barrier !== undefined || !isFunction(at) || at.type === "FunctionDeclaration") return barrier;
  const accessor = accessorOf(at, parent);
  if (accessor !== undefined || parent?.type === "MethodDefinition") return accessor;
  if (parent?.type === "Property" && parent.value === at && parent.method) return undefined;
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

/** `x.push()` cannot be both an array's push and ours. */
function checkName(fn: Node, ancestors: readonly Node[], steps: Steps, report: Report): void {
  const name = nameOf(fn, ancestors.at(-1));
  if (name === undefined || !steps.has(name) || !BUILT_IN.has(name)) return;
  report(
    fn.start,
    `${name} is also the name of a built-in method and reaches a step (${steps.why(name)}): rename it`,
  );
}

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
