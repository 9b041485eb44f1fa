/**
 * Transform: makes coroutines of one file's thread code, by inserting text and never a line.
 *
 *   mem.write(p, v)   (mem.$write(p, v, $S + 3) && (yield), mem.$go())     a step: publish, let others run, execute
 *   mem.read(p)       mem.at($S + 4).read(p)                               a verb that is no step here
 *   Atomics.add(v, i, 1)  ($Atomics.$add($S + 5, v, i, 1) && (yield), $Atomics.$go())    likewise; and see view-text.ts
 *   f(x)              (yield* f(x))                                        f reaches a step
 *   value(x)          ($isCo($r = value(x)) ? yield* $r : $r)              a value, or a name with other meanings
 *   function f() {}   function* f() {}                                     likewise methods and arrow functions
 *
 * $S is the number of the file's first site. A call of a value where no yield may stand is `$plain(...)`, which
 * throws if a coroutine comes of it.
 *
 * Interface: `transformSource(scan(file, verbs), steps)`. It never throws: what it cannot do is in `refusals`.
 */
import MagicString from "magic-string";
import { Coroutines, inOptionalChain, roleOf } from "./coroutines.ts";
import type { Refusal } from "./errors.ts";
import { atomicsMisuse, memoryMisuse } from "./place.ts";
import { type CallUse, type FunctionUse, type Scan, scan } from "./scan.ts";
import { columnOf, lineOf, type Node, type SourceFile } from "./source.ts";
import type { Steps } from "./steps.ts";
import { calledBy, TAKERS } from "./syntax.ts";
import { nameAround, printReceiver, statementAt } from "./text.ts";
import { ATOMICS_GO, ViewWriter } from "./view-text.ts";
import type { ViewUse } from "./views.ts";

/** Where transformed code finds $sites, $isCo and $plain. */
export const RUNTIME = "@ringside/checker/runtime";
/** Where it finds $Atomics. */
export const ATOMICS = "@ringside/checker/atomics";

export interface TransformedSite {
  /** 1-based; of the verb. */
  readonly line: number;
  readonly column: number;
  /** Nearest named function; "module" at module level. */
  readonly name: string;
  readonly verb: string;
}

export interface Transformed {
  readonly code: string;
  readonly sites: readonly TransformedSite[];
  /** Functions that became generators. */
  readonly coroutines: number;
  readonly refusals: readonly Refusal[];
}

export interface Prepared extends Scan {
  /** Misuses of Memory and Atomics, found on the way. */
  readonly misuses: readonly { readonly offset: number; readonly message: string }[];
}

/** Walks a file once. */
export function prepare(file: SourceFile, verbs: ReadonlySet<string>): Prepared {
  const misuses: { offset: number; message: string }[] = [];
  const scanned = scan(file, verbs, (node, ancestors) => {
    const parent = ancestors.at(-1);
    const message = memoryMisuse(node, parent, verbs) ?? atomicsMisuse(node, parent, ancestors.at(-2));
    if (message !== undefined) misuses.push({ offset: node.start, message });
  });
  return { ...scanned, misuses };
}

export function transformSource(prepared: Prepared, steps: Steps): Transformed {
  const writer = new Writer(prepared, steps);
  for (const { offset, message } of prepared.misuses) writer.refuse(offset, message);
  for (const use of inOrder(prepared)) {
    if ("element" in use) writer.view(use);
    else writer.call(use);
  }
  for (const fn of prepared.functions) writer.define(fn);
  return writer.finish();
}

/** Calls and uses of views, outer before inner. */
function inOrder({ calls, views }: Scan): readonly (CallUse | ViewUse)[] {
  if (views.uses.length === 0) return calls;
  return [...calls, ...views.uses].toSorted((a, b) => a.node.start - b.node.start || b.node.end - a.node.end);
}

class Writer {
  private readonly file: SourceFile;
  private readonly steps: Steps;
  private readonly coroutines: Coroutines;
  private readonly text: MagicString;
  private readonly sites: TransformedSite[] = [];
  private readonly refusals: Refusal[] = [];
  /** Functions that need a `$r`. */
  private readonly askers: Set<FunctionUse> = new Set();
  private readonly guarded: Set<Node> = new Set();
  private readonly imports: Set<string> = new Set();
  private readonly views: ViewWriter;
  private usesAtomics: boolean = false;
  private made: number = 0;

  constructor(scanned: Scan, steps: Steps) {
    this.file = scanned.file;
    this.steps = steps;
    this.coroutines = new Coroutines(scanned, steps);
    this.text = new MagicString(scanned.file.source);
    this.views = new ViewWriter(this.file.source, this.text);
  }

  refuse(offset: number, message: string): void {
    const { file } = this;
    this.refusals.push({
      file: file.path,
      line: lineOf(file, offset),
      column: columnOf(file, offset),
      message,
    });
  }

  /** Calls come in the order of the walk: outer before inner. Hence appendLeft opens, prependLeft closes. */
  call(call: CallUse): void {
    if (call.kind === "verb" && call.name === "waitAsync")
      return this.refuse(call.node.start, "waitAsync: threads block in wait, they do not await");
    this.checkArguments(call);
    const role = roleOf(call, this.steps);
    if (role === "none" || (call.inMemory && call.kind === "verb")) return;
    if (call.inMemory) return this.value(call, "in a Memory");
    if (role === "quiet") return this.quiet(call);
    const barrier = this.coroutines.barrier(call);
    if (role === "maybe") return this.value(call, barrier);
    if (barrier !== undefined) {
      const why = this.steps.whyCall(call.node) ?? call.name;
      return this.refuse(call.node.start, `step ${barrier}: ${why}`);
    }
    if (call.kind === "atomic") return this.atomic(call);
    if (role === "step") return this.step(call);
    this.around(call, "(yield* ", ")");
  }

  private quiet(call: CallUse): void {
    const callee = calledBy(call.node);
    if (callee.type !== "MemberExpression" || call.node.type !== "CallExpression") return;
    if (inOptionalChain(call.node)) return this.refuse(call.node.start, NO_CHAIN);
    this.text.appendLeft(callee.object.end, `.at(${this.site(call, callee.property)})`);
  }

  private step(call: CallUse): void {
    const { node } = call;
    const callee = calledBy(node);
    if (callee.type !== "MemberExpression" || node.type !== "CallExpression") return;
    if (inOptionalChain(node)) return this.refuse(node.start, NO_CHAIN);
    const receiver = printReceiver(callee.object, this.file.source);
    if (receiver === undefined)
      return this.refuse(
        node.start,
        "the receiver of a step is evaluated twice: put the Memory into a variable called mem",
      );
    this.text.appendLeft(callee.property.start, "$");
    const site = this.site(call, callee.property);
    const last = node.arguments.at(-1);
    if (last) this.text.prependLeft(last.end, `, ${site}`);
    else this.text.prependLeft(node.end - 1, site);
    this.around(call, "(", ` && (yield), ${receiver}.$go())`);
  }

  private atomic(call: CallUse): void {
    const callee = calledBy(call.node);
    if (callee.type !== "MemberExpression" || call.node.type !== "CallExpression") return;
    const site = this.site(call, callee.property);
    const first = call.node.arguments.length > 0;
    this.around(call, "($", ` && (yield), ${ATOMICS_GO})`);
    this.text.appendLeft(callee.property.start, "$");
    const open = this.file.source.indexOf("(", callee.end) + 1;
    this.text.appendLeft(open, first ? `${site}, ` : site);
    this.usesAtomics = true;
  }

  /** Elements of a view. Where no yield may stand, or one may but the view's use is no access: checked at run time. */
  view(use: ViewUse): void {
    this.usesAtomics = true;
    const { element, kind } = use;
    const sites = kind === "write" || kind === "update" ? 2 : 1;
    const first = this.enter(use.fn, element, `view ${kind}`);
    if (sites === 2) this.enter(use.fn, element, `view ${kind}`);
    const all = this.steps.stepVerbs.has("read");
    const still = kind === "other" || (all && this.coroutines.barrier(use) !== undefined);
    const guard = still ? "" : this.guard(use);
    const refusal = this.views.write(use, still ? "still" : all ? "step" : "quiet", first, guard);
    if (refusal !== undefined) this.refuse(element.start, refusal);
  }

  private value(call: CallUse, barrier: string | undefined): void {
    const parent = call.ancestors.at(-1);
    if (call.node.type === "TaggedTemplateExpression") return;
    if (inOptionalChain(call.node) && parent?.type !== "ChainExpression")
      return this.refuse(call.node.start, "a call in the middle of ?. may be a step: use a variable");
    if (barrier !== undefined || call.fn === undefined) {
      this.imports.add("$plain");
      return this.around(call, "$plain(", ")");
    }
    this.askers.add(call.fn);
    this.imports.add("$isCo");
    this.around(call, "($isCo($r = ", ") ? yield* $r : $r)");
  }

  /** Functions that step are not handed to the language, which would call them and drop the coroutine. */
  private checkArguments(call: CallUse): void {
    if (call.kind !== "name" || call.node.type !== "CallExpression") return;
    const callee = calledBy(call.node);
    if (callee.type === "MemberExpression") {
      const name = callee.object.type === "Identifier" ? callee.object.name : undefined;
      if (/^(?:call|apply|bind)$/.test(call.name) && name !== undefined && this.steps.has(name))
        this.refuse(call.node.start, `${name} reaches a step (${this.steps.why(name)}): call it by its name`);
    }
    if (!TAKERS.has(call.name)) return;
    for (const argument of call.node.arguments) {
      if (argument.type !== "Identifier" || !this.steps.has(argument.name)) continue;
      const why = this.steps.why(argument.name);
      this.refuse(
        argument.start,
        `${argument.name} reaches a step (${why}), and ${call.name} would drop it: use a loop`,
      );
    }
  }

  /** Text before and after a call. */
  private around(call: CallUse, before: string, after: string): void {
    this.text.appendLeft(call.node.start, this.guard(call) + before);
    this.text.prependLeft(call.node.end, after);
  }

  /** A statement that starts with a parenthesis may not be taken for arguments. */
  private guard(at: Pick<CallUse, "node" | "ancestors">): string {
    const statement = statementAt(at);
    if (statement === undefined || this.guarded.has(statement.node)) return "";
    this.guarded.add(statement.node);
    return statement.before && this.file.source[statement.before.end - 1] !== ";" ? ";" : "";
  }

  /** Enters a site; its number as text. */
  private site(call: CallUse, verb: Node): string {
    return `$S + ${this.enter(call.fn, verb, call.name)}`;
  }

  private enter(fn: FunctionUse | undefined, at: Node, verb: string): number {
    const { file } = this;
    this.imports.add("$sites");
    const { start } = at;
    return (
      this.sites.push({
        line: lineOf(file, start),
        column: columnOf(file, start),
        name: nameAround(fn),
        verb,
      }) - 1
    );
  }

  define(fn: FunctionUse): void {
    if (!this.coroutines.has(fn)) return this.checkArrow(fn);
    this.made++;
    const { node, parent } = fn;
    const { body } = node as unknown as { body: Node };
    const asker = this.askers.has(fn) ? "let $r;" : "";
    if (node.type === "ArrowFunctionExpression") this.arrow(node, asker);
    else {
      if (asker) this.text.prependLeft(body.start + 1, asker);
      if (parent?.type === "MethodDefinition" || (parent?.type === "Property" && parent.method))
        this.text.appendLeft(parent.key.start, this.star(fn, parent));
      else this.text.appendLeft(node.start + "function".length, "*");
    }
  }

  /** A field without semicolon would multiply. */
  private star(fn: FunctionUse, member: Node & { key: Node }): string {
    const body = fn.ancestors.at(-2);
    if (body?.type !== "ClassBody" || member.start !== member.key.start) return "*";
    const before = body.body[(body.body as Node[]).indexOf(member) - 1];
    return before?.type === "PropertyDefinition" && this.file.source[before.end - 1] !== ";" ? ";*" : "*";
  }

  private arrow(node: Node & { type: "ArrowFunctionExpression" }, asker: string): void {
    const { body, params } = node;
    const [only] = params;
    const naked = only !== undefined && only.start === node.start && this.file.source[node.start] !== "(";
    this.text.appendLeft(node.start, naked ? "function* (" : "function* ");
    if (naked) this.text.prependLeft(only.end, ")");
    const arrow = this.arrowSign(body.start);
    this.text.overwrite(arrow, arrow + 2, " ", { contentOnly: true });
    if (!node.expression) {
      if (asker) this.text.prependLeft(body.start + 1, asker);
      return;
    }
    // What was opened at the same place by calls stands behind, hence prepend.
    this.text.prependLeft(body.start, `{ ${asker}return `);
    this.text.appendLeft(body.end, " }");
  }

  /** Offset of the `=>` before a body. */
  private arrowSign(body: number): number {
    let at = body;
    do at = this.file.source.lastIndexOf("=>", at - 1);
    while (this.file.comments.some((comment) => comment.start <= at && at < comment.end));
    return at;
  }

  /** Calls of its name expect a coroutine. Steps in it are refused already. */
  private checkArrow(fn: FunctionUse): void {
    const { name, node } = fn;
    if (this.coroutines.isStepping(fn)) return;
    if (node.type !== "ArrowFunctionExpression" || name === undefined || !this.steps.has(name)) return;
    if (this.steps.mayBePlain(name)) return;
    const why = this.steps.why(name);
    this.refuse(node.start, `${name} reaches a step (${why}): write a method or function, not an arrow`);
  }

  finish(): Transformed {
    const { sites, refusals, file, made } = this;
    if (this.imports.size > 0) {
      const shebang = file.source.startsWith("#!") ? (file.lineStarts[1] ?? 0) : 0;
      const names = [...this.imports].join(", ");
      const atomics = this.usesAtomics ? `import { $Atomics } from "${ATOMICS}"; ` : "";
      this.text.appendLeft(shebang, `import { ${names} } from "${RUNTIME}"; ${atomics}${this.table()}`);
    }
    return { code: this.text.toString(), sites, coroutines: made, refusals };
  }

  /** The line that enters the sites. */
  private table(): string {
    const { sites } = this;
    if (sites.length === 0) return "";
    const names = [...new Set(sites.map((site) => site.name))];
    const positions = sites.flatMap((site) => [site.line, site.column]);
    const functions = sites.map((site) => names.indexOf(site.name));
    const values = [this.file.path, positions, names, functions].map((value) => JSON.stringify(value));
    return `const $S = $sites(${values.join(", ")}); `;
  }
}

const NO_CHAIN = "a Memory is there or it is not: call its verbs with . and not with ?.";
