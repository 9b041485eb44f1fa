/** Text: what the transform has to know of the text around a call. */
import type { CallUse, FunctionUse } from "./scan.ts";
import type { Node } from "./source.ts";
import { bare, keyOf } from "./syntax.ts";

/** The nearest name around a site: of its function, or of what that stands in; "module" at module level. */
export function nameAround(fn: FunctionUse | undefined): string {
  if (fn === undefined) return "module";
  if (fn.name !== undefined) return fn.name;
  for (const at of fn.ancestors.toReversed()) {
    const key = "id" in at && at.id ? at.id : "key" in at && at.key ? at.key : undefined;
    const name = key ? keyOf(key) : undefined;
    if (name !== undefined) return name;
  }
  return "module";
}

/** The receiver of a step, which is written twice; undefined if that might do something twice. */
export function printReceiver(receiver: Node, source: string): string | undefined {
  const node = bare(receiver);
  if (node.type === "Identifier") return node.name;
  if (node.type === "ThisExpression") return "this";
  if (node.type === "Super") return "super";
  if (node.type !== "MemberExpression" || node.optional) return undefined;
  const object = printReceiver(node.object, source);
  if (object === undefined) return undefined;
  if (!node.computed) return `${object}.${keyOf(node.property)}`;
  const simple = node.property.type === "Identifier" || node.property.type === "Literal";
  return simple ? `${object}[${source.slice(node.property.start, node.property.end)}]` : undefined;
}

/** The statement of a list that starts with this expression, and the one before it. */
export function statementAt(
  call: Pick<CallUse, "node" | "ancestors">,
): { node: Node; before: Node | undefined } | undefined {
  for (let i = call.ancestors.length - 1; i > 0; i--) {
    const node = call.ancestors[i] as Node;
    if (node.start !== call.node.start) return undefined;
    if (node.type !== "ExpressionStatement") continue;
    const list = call.ancestors[i - 1] as Node;
    const statements = (list.type === "SwitchCase" ? list.consequent : "body" in list && list.body) as Node[];
    if (!Array.isArray(statements)) return undefined;
    return { node, before: statements[statements.indexOf(node) - 1] };
  }
  return undefined;
}
