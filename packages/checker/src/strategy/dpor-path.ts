/**
 * Path: the stack of DPOR's search. Nodes from the root to the state at hand, the data choices between them, and the
 * step to the next path that is left.
 *
 * Interface, per execution: `start`; `open` at each new state, `choose` at each data choice; at the end `advance`.
 */
import { bits, isSeveral, lowest, merged, Node, type NodeState } from "./dpor-node.ts";
import type { Accesses, Trace } from "./dpor-trace.ts";
import type { Prefixes } from "./shard.ts";

export class Path {
  /** Steps with nodes. */
  depth: number = 0;
  private readonly prefixes: Prefixes;
  /** nodes[0] holds the choices made while threads start; nodes[s + 1] is the state before step s. */
  private readonly nodes: Node[] = [new Node()];
  /** The node data choices are made at, and how many of its choices have been taken. */
  private choiceNode: number = -1;
  private choiceAt: number = 0;

  constructor(prefixes: Prefixes) {
    this.prefixes = prefixes;
  }

  start(): void {
    this.choiceNode = -1;
  }

  /** The state before step `s`; it has been opened. */
  before(s: number): Node {
    return this.nodes[s + 1] as Node;
  }

  /** A new state before step `s`, or undefined if the path belongs to another shard. Sleepers come by `inherit`. */
  open(s: number, enabled: number): Node | undefined {
    const decisions = this.decisionsAfter(s);
    if (decisions >= this.prefixes.depth && !this.isOurs()) return undefined;
    let node = this.nodes[s + 1];
    if (node === undefined) {
      node = new Node();
      this.nodes.push(node);
    }
    node.open(enabled, decisions);
    return node;
  }

  /** Who slept before the step `s - 1` still does before `s`, unless that step depends on what it would do. */
  inherit(s: number, trace: Trace): void {
    const parent = this.before(s - 1);
    const node = this.before(s);
    for (let rest = parent.asleep; rest !== 0; rest &= rest - 1) {
      const thread = lowest(rest);
      const set = parent.sets[thread] as Accesses;
      if (trace.depends(s - 1, set)) {
        if (((parent.done >>> thread) & 1) === 0) parent.standIn();
        continue;
      }
      node.asleep |= 1 << thread;
      node.sets[thread] = set;
    }
  }

  /** The search goes into the state before step `s` with `first`; in a shard's prefix all others follow. */
  enter(s: number, first: number, awake: number): void {
    const node = this.before(s);
    node.take(first);
    if (node.decisions < this.prefixes.depth) node.backtrack = awake;
    this.depth = s + 1;
  }

  /** Decisions on the path before the pick of step `s`. */
  private decisionsAfter(s: number): number {
    const node = this.nodes[s] as Node;
    const own = s > 0 && node.isDecision ? 1 : 0;
    return node.decisions + own + node.choices.length;
  }

  /** Does the path, which has all its decisions, belong to this shard? */
  isOurs(): boolean {
    if (this.prefixes.depth === 0) return true;
    this.prefixes.deal();
    return this.prefixes.ours;
  }

  /** A data choice after `steps` picks. */
  choose(steps: number, n: number): number {
    if (steps !== this.choiceNode) {
      this.choiceNode = steps;
      this.choiceAt = 0;
    }
    // Past the half of an execution that is too long: no nodes.
    if (steps > this.depth) return 0;
    const node = this.nodes[steps] as Node;
    const known = node.choices[this.choiceAt++];
    if (known !== undefined) return known.value;
    const decision = this.decisionsAfter(steps);
    if (decision >= this.prefixes.depth && !this.isOurs()) return 0;
    node.choices.push({ value: 0, n, decision });
    return 0;
  }

  /** To another choice or another thread at the deepest node that has one left. False: all is done. */
  advance(trace: Trace): boolean {
    for (; ; this.depth--) {
      const node = this.nodes[this.depth] as Node;
      const step = this.depth - 1;
      if (this.nextChoice(node, step, trace)) return true;
      if (this.depth === 0) return false;
      node.close(trace.accessesOf(step));
      const { left } = node;
      if (left !== 0) {
        trace.undo(step);
        node.take(lowest(left));
        this.prefixes.moved(node.decisions);
        return true;
      }
    }
  }

  private nextChoice(node: Node, step: number, trace: Trace): boolean {
    const { choices } = node;
    for (let last = choices.at(-1); last !== undefined; last = choices.at(-1)) {
      if (last.value + 1 < last.n) {
        last.value++;
        if (step >= 0) {
          const accesses = trace.accessesOf(step);
          node.union = node.union === undefined ? accesses : merged(node.union, accesses);
        }
        trace.undo(Math.max(step, 0));
        this.prefixes.moved(last.decision);
        return true;
      }
      choices.pop();
    }
    return false;
  }

  /** Logarithm of the product of alternatives on the path, as far as they are known. */
  logWidth(): number {
    let product = 0;
    for (let d = 0; d <= this.depth; d++) {
      const node = this.nodes[d] as Node;
      if (d > 0 && isSeveral(node.backtrack)) product += Math.log2(node.width);
      for (const { n } of node.choices) product += Math.log2(n);
    }
    return product;
  }

  /** How much of the tree lies before the path at hand, as far as alternatives are known. */
  part(): number {
    let part = 0;
    let share = 1;
    for (let d = 0; d <= this.depth; d++) {
      const node = this.nodes[d] as Node;
      if (d > 0) {
        const { width } = node;
        part += (share * bits(node.done)) / width;
        share /= width;
      }
      for (const { value, n } of node.choices) {
        part += (share * value) / n;
        share /= n;
      }
    }
    return part;
  }

  save(): readonly NodeState[] {
    return this.nodes.slice(0, this.depth + 1).map((node) => node.save());
  }

  restore(states: readonly NodeState[]): void {
    this.nodes.length = 0;
    for (const state of states) {
      const node = new Node();
      node.restore(state);
      this.nodes.push(node);
    }
    this.depth = this.nodes.length - 1;
  }
}
