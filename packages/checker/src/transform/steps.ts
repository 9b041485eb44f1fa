/**
 * Steps: which names can reach an access to shared memory.
 *
 * A step is a call of a verb of Memory on something called `mem` or `memory`. A function that makes a step, or
 * calls a name that may, is itself a name that may: the closure over the call graph, by simple name, of functions
 * and methods alike. That is coarse on purpose. The transform turns exactly these names into coroutines.
 *
 * Invariants: sound as long as (1) Memory is never held under another name, (2) a step-reaching function that
 * travels as a value is called as a value, (3) calls of values are counted as steps. See subset.ts for (1) and
 * what is refused; this module does (3).
 */
import { type CallUse, type Scan, scan } from "./scan.ts";
import type { Node, SourceFile } from "./source.ts";
import { BUILT_IN, calleeOf, isBareCall } from "./syntax.ts";

export interface Steps {
  /** The methods of Memory. */
  readonly verbs: ReadonlySet<string>;
  /** Those of them that are steps. */
  readonly stepVerbs: ReadonlySet<string>;
  /** May a call of `name` reach a step? */
  has(name: string): boolean;
  /** Is this a call of a value: does nobody know what it calls? */
  isUnknown(call: CallUse): boolean;
  /** May a call of `name` also meet a function that is no coroutine: a built-in, an alias, an async one? */
  mayBePlain(name: string): boolean;
  /** `name -> callee -> ... -> mem.read`. */
  why(name: string): string;
  /** As `why` for a call that is a step or reaches one; undefined for any other call. */
  whyCall(call: Node): string | undefined;
}

/** Computes the closure over the given files; every verb is a step. */
export function findSteps(files: readonly SourceFile[], verbs: ReadonlySet<string>): Steps {
  return closeSteps(
    files.map((file) => scan(file, verbs)),
    verbs,
    verbs,
  );
}

/** Computes the closure over scanned files. */
export function closeSteps(
  scans: readonly Scan[],
  verbs: ReadonlySet<string>,
  stepVerbs: ReadonlySet<string>,
): Steps {
  const graph = new Graph();
  const plain = new Set<string>();
  const unknown = new Set<string>();
  for (const { aliases, values, plain: names } of scans) {
    for (const name of values) unknown.add(name);
    for (const [name, other] of aliases) {
      graph.edge(name, other);
      plain.add(name);
    }
    for (const name of names) plain.add(name);
  }
  const isUnknown = (call: CallUse): boolean =>
    call.kind === "value" ||
    (call.kind === "name" &&
      unknown.has(isBareCall(call.node) ? call.name : `.${call.name}`) &&
      !BUILT_IN.has(call.name));
  for (const { calls, views } of scans) {
    for (const { fn, kind } of stepVerbs.has("read") ? views.uses : [])
      if (fn?.name !== undefined && kind !== "other") graph.reach(fn.name, "an element of a view");
    for (const call of calls) {
      const caller = call.fn?.name;
      if (caller === undefined) continue;
      if (isUnknown(call)) graph.reach(caller, "a call of a value");
      if (call.kind === "name") graph.edge(caller, call.name);
      else if (call.kind === "verb" && stepVerbs.has(call.name)) graph.reach(caller, `mem.${call.name}`);
      else if (call.kind === "atomic") graph.reach(caller, `Atomics.${call.name}`);
    }
  }
  graph.close();

  const why = (name: string): string => {
    const through = graph.next.get(name);
    return through === undefined ? name : `${name} -> ${why(through)}`;
  };
  return {
    verbs,
    stepVerbs,
    has: (name) => graph.next.has(name),
    isUnknown,
    mayBePlain: (name) => plain.has(name) || BUILT_IN.has(name),
    why,
    whyCall(call) {
      const callee = calleeOf(call, verbs);
      if (callee.kind === "verb") return stepVerbs.has(callee.name) ? `mem.${callee.name}` : undefined;
      if (callee.kind === "atomic") return `Atomics.${callee.name}`;
      return callee.kind === "name" && graph.next.has(callee.name) ? why(callee.name) : undefined;
    },
  };
}

/** Names, who calls whom, and through whom a name reaches a step. */
class Graph {
  readonly next: Map<string, string> = new Map();
  private readonly callers: Map<string, Set<string>> = new Map();
  private readonly queue: string[] = [];

  edge(caller: string, callee: string): void {
    const known = this.callers.get(callee);
    if (known) known.add(caller);
    else this.callers.set(callee, new Set([caller]));
  }

  reach(name: string, through: string): void {
    if (this.next.has(name)) return;
    this.next.set(name, through);
    this.queue.push(name);
  }

  /** The queue grows while it is walked. */
  close(): void {
    for (const name of this.queue)
      for (const caller of this.callers.get(name) ?? []) this.reach(caller, name);
  }
}
