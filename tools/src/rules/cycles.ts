/**
 * cycles: no module reaches itself through imports that load modules. In a cycle one module's constants are
 * read before they are set, and which one depends on where the program starts. `import type` loads nothing
 * and is left out; `import { type X }` loads the module and counts.
 *
 * Tarjan's strongly connected components; one finding per component, with a shortest way round.
 */
import { type Import, importsOf } from "../imports.ts";
import type { SourceFile } from "@ringside/checker/transform/source";
import { type Finding, finding, type Rule } from "./rule.ts";

type Graph = ReadonlyMap<string, readonly Import[]>;

export const cycles: Rule = {
  name: "cycles",
  check(files) {
    const byPath = new Map(files.map((file) => [file.path, file]));
    const graph: Graph = new Map(
      files.map((file) => [
        file.path,
        importsOf(file).filter((i) => i.runtime && byPath.has(i.target ?? "")),
      ]),
    );
    return components(graph).map((component) => report(byPath, graph, component));
  },
};

function report(
  byPath: ReadonlyMap<string, SourceFile>,
  graph: Graph,
  component: readonly string[],
): Finding {
  const start = component.toSorted()[0] as string;
  const path = shortestCycle(graph, start);
  const first = graph.get(start)?.find((i) => i.target === path[1]);
  const file = byPath.get(start) as SourceFile;
  return finding(file, first?.offset ?? 0, "cycles", `import cycle: ${path.join(" -> ")}`);
}

/** Breadth-first from `start` back to `start`. */
function shortestCycle(graph: Graph, start: string): string[] {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const at of queue) {
    for (const { target } of graph.get(at) ?? []) {
      if (target === start) {
        const path = [start];
        for (let step = at; step !== start; step = cameFrom.get(step) as string) path.unshift(step);
        return [start, ...path];
      }
      if (target === undefined || cameFrom.has(target)) continue;
      cameFrom.set(target, at);
      queue.push(target);
    }
  }
  return [start];
}

/** The components that hold a cycle. */
function components(graph: Graph): string[][] {
  const found: string[][] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node) as number);
    stack.push(node);
    for (const { target } of graph.get(node) ?? []) {
      if (target === undefined) continue;
      if (!index.has(target)) visit(target);
      else if (!stack.includes(target)) continue;
      low.set(node, Math.min(low.get(node) as number, low.get(target) as number));
    }
    if (low.get(node) !== index.get(node)) return;
    const component = stack.splice(stack.indexOf(node));
    const loops = graph.get(node)?.some((i) => i.target === node);
    if (component.length > 1 || loops) found.push(component);
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return found;
}
