/**
 * View text: what is written for elements of a view. Each line once more with $get and $set for steps:
 *
 *   v[i]           $Atomics.get($S + 3, v, i)
 *   v[i] = x       $Atomics.set($S + 4, v, i, x)
 *   v[i] += x      $Atomics.set($S + 4, v, i, $Atomics.get($S + 3, v, i) + (x))
 *   v[i]++         ($Atomics.set($S + 4, v, i, $Atomics.get($S + 3, v, i) + 1) - 1)
 *   v.fill(0)      $Atomics.still($S + 3, v).fill(0)
 *
 * A step is `($Atomics.$get($S + 3, v, i) && (yield), $Atomics.$go())`. An update writes v and i twice, so they have
 * to be simple.
 */
import type MagicString from "magic-string";
import { eachChild, type Node } from "./source.ts";
import { bare } from "./syntax.ts";
import { printReceiver } from "./text.ts";
import type { ViewUse } from "./views.ts";

export const ATOMICS_GO = "$Atomics.$go()";

/** step: yields. quiet: does not. still: is refused at run time if the memory is the program's and a thread runs. */
export type ViewMode = "step" | "quiet" | "still";

interface Element {
  readonly start: number;
  readonly end: number;
  readonly object: Node;
  readonly property: Node;
}

export class ViewWriter {
  private readonly source: string;
  private readonly text: MagicString;

  constructor(source: string, text: MagicString) {
    this.source = source;
    this.text = text;
  }

  /** Sites `first` and first + 1 are for the read and the write. Says why it cannot, if so. */
  write(use: ViewUse, mode: ViewMode, first: number, guard: string): string | undefined {
    const { node, kind } = use;
    const element = use.element as unknown as Element;
    if (mode === "still") {
      const view = kind === "other" ? node : element.object;
      this.text.appendLeft(view.start, `$Atomics.still($S + ${first}, `);
      this.text.prependLeft(view.end, ")");
      return undefined;
    }
    if (kind === "read") return this.read(element, mode, first, guard);
    if (!isBareTarget(node, use.element))
      return "an element of a view is written without parentheses and casts";
    if (kind === "update") return this.update(use, element, mode, first, guard);
    const { operator, left, right } = node as unknown as { operator: string; left: Node; right: Node };
    const sign = this.source.lastIndexOf(operator, this.signEnd(left, right));
    if (operator === "=") {
      const [open, close] = forms(mode, "set", first + 1);
      this.text.appendLeft(node.start, guard + open);
      this.bracket(element, ", ", "");
      this.text.overwrite(sign, sign + 1, ",", { contentOnly: true });
      this.text.prependLeft(node.end, close);
      return undefined;
    }
    const plain = operator.slice(0, -1);
    if (/^(?:&&|\|\||\?\?)$/.test(plain))
      return `${operator} on an element of a view: write it out with an if`;
    const place = this.twice(element, right);
    if (place === undefined) return TWICE;
    const [open, close] = forms(mode, "set", first + 1);
    this.text.appendLeft(node.start, `${guard}${open}${place}, `);
    this.read(element, mode, first, "");
    this.text.overwrite(sign, sign + operator.length, `${plain} (`, { contentOnly: true });
    this.text.prependLeft(node.end, `)${close}`);
    return undefined;
  }

  private read(element: Element, mode: ViewMode, site: number, guard: string): undefined {
    const [open, close] = forms(mode, "get", site);
    this.text.appendLeft(element.start, guard + open);
    this.bracket(element, ", ", close);
  }

  private update(
    use: ViewUse,
    element: Element,
    mode: ViewMode,
    first: number,
    guard: string,
  ): string | undefined {
    const { node } = use;
    const { operator, prefix } = node as unknown as { operator: string; prefix: boolean };
    const place = this.twice(element, undefined);
    if (place === undefined) return TWICE;
    const [open, close] = forms(mode, "set", first + 1);
    const at = prefix ? node.start : node.end - 2;
    this.text.overwrite(at, at + 2, " ", { contentOnly: true });
    this.text.appendLeft(node.start, `${guard}${prefix ? "" : "("}${open}${place}, `);
    this.read(element, mode, first, "");
    const sign = operator.charAt(0);
    const back = sign === "+" ? "-" : "+";
    this.text.prependLeft(node.end, ` ${sign} 1${close}${prefix ? "" : ` ${back} 1)`}`);
    return undefined;
  }

  /** Replaces the brackets of an element. */
  private bracket(element: Element, open: string, close: string): void {
    const at = this.source.indexOf("[", element.object.end);
    this.text.overwrite(at, at + 1, open, { contentOnly: true });
    if (close === "") this.text.remove(element.end - 1, element.end);
    else this.text.overwrite(element.end - 1, element.end, close, { contentOnly: true });
  }

  /** Where to look backwards from for the sign between two operands. */
  private signEnd(left: Node, right: Node): number {
    const comment = this.source.slice(left.end, right.start).search(/\/[/*]/);
    return comment < 0 ? right.start : left.end + comment;
  }

  /** `v, i` to be written a second time; undefined if that might do, or mean, something else. */
  private twice({ object, property }: Element, right: Node | undefined): string | undefined {
    const view = printReceiver(object, this.source);
    const index = this.source.slice(property.start, property.end);
    if (view === undefined || index.includes("\n") || !isSimple(property)) return undefined;
    if (right !== undefined && property.type !== "Literal" && assigns(right)) return undefined;
    return `${view}, ${index}`;
  }
}

const TWICE = "the view and the index of an update are evaluated twice: put them into constants";

/** Is what is written `v[i]`, or `v[i]!`? */
function isBareTarget(node: Node, element: Node): boolean {
  let at =
    (node as unknown as { left?: Node; argument?: Node }).left ?? (node as { argument: Node }).argument;
  while (at.type === "TSNonNullExpression") at = at.expression;
  return at === element;
}

/** Text before and after the arguments of an access. */
function forms(mode: ViewMode, verb: string, site: number): [string, string] {
  if (mode === "quiet") return [`$Atomics.${verb}($S + ${site}, `, ")"];
  return [`($Atomics.$${verb}($S + ${site}, `, `) && (yield), ${ATOMICS_GO})`];
}

/** Names, numbers, and sums of them. */
function isSimple(index: Node): boolean {
  const node = bare(index);
  switch (node.type) {
    case "Identifier":
    case "Literal":
    case "ThisExpression":
      return true;
    case "MemberExpression":
      return !node.computed && !node.optional && isSimple(node.object);
    case "UnaryExpression":
      return isSimple(node.argument);
    case "BinaryExpression":
      return isSimple(node.left) && isSimple(node.right);
    default:
      return false;
  }
}

function assigns(root: Node): boolean {
  let found = root.type === "AssignmentExpression" || root.type === "UpdateExpression";
  eachChild(root, (child) => (found ||= assigns(child)));
  return found;
}
