/**
 * Tree: a depth-first walk over the decisions of a program, without storing states: each execution follows the
 * decisions on the stack and then takes first alternatives. A decision is a thread to pick, or a data choice.
 *
 * Interface, per execution: `start`; `pick` or `choose` at each decision, in order; `advance` moves to the next
 * alternative of the deepest decision that has one. Alternatives are bytes in one pool; nothing is allocated per step.
 */
import type { Prefixes } from "./shard.ts";

/** What `pick` says where the path belongs to another shard. */
export const NOT_OURS = -1;
/** What `pick` says where the decision taken last time cannot be taken: the program is not deterministic. */
export const DIVERGED = -2;

export class Tree {
  /** Decisions made so far by this execution. */
  cursor: number = 0;
  /** Decisions on the stack. */
  depth: number = 0;
  private readonly prefixes: Prefixes;
  /** By decision: alternatives are pool[start] ... pool[start + width - 1]; the one taken is number `at`. */
  private start_: Int32Array = new Int32Array(256);
  private width: Int32Array = new Int32Array(256);
  private at: Int32Array = new Int32Array(256);
  private pool: Uint8Array = new Uint8Array(1024);

  constructor(prefixes: Prefixes) {
    this.prefixes = prefixes;
  }

  start(): void {
    this.cursor = 0;
  }

  /** The execution follows what an earlier one decided; the next decision is on the stack. */
  get following(): boolean {
    return this.cursor < this.depth;
  }

  /** Takes the next decision on the stack, a pick among `enabled`. */
  follow(enabled: Int32Array, count: number): number {
    if (!this.isOurs()) return NOT_OURS;
    const width = this.width[this.cursor] as number;
    if (width !== 1 && width !== count) return DIVERGED;
    const taken = this.taken();
    for (let i = 0; i < count; i++) if (enabled[i] === taken) return taken;
    return DIVERGED;
  }

  /** A new decision: `first`, then the others of `enabled` in order if they may be taken at all. */
  pick(first: number, enabled: Int32Array, count: number, others: boolean): number {
    if (!this.isOurs()) return NOT_OURS;
    const base = this.open(count);
    this.pool[base] = first;
    let width = 1;
    for (let i = 0; i < count && others; i++) {
      if (enabled[i] !== first) this.pool[base + width++] = enabled[i] as number;
    }
    this.width[this.cursor++] = width;
    return first;
  }

  choose(n: number): number {
    if (!this.isOurs()) return 0;
    if (this.following) return this.taken();
    const base = this.open(n);
    for (let value = 0; value < n; value++) this.pool[base + value] = value;
    this.width[this.cursor++] = n;
    return 0;
  }

  private taken(): number {
    const d = this.cursor++;
    return this.pool[(this.start_[d] as number) + (this.at[d] as number)] as number;
  }

  private isOurs(): boolean {
    if (this.cursor < this.prefixes.depth) return true;
    this.prefixes.deal();
    return this.prefixes.ours;
  }

  private open(count: number): number {
    const d = this.cursor;
    if (d === this.width.length) this.grow();
    const base = d === 0 ? 0 : (this.start_[d - 1] as number) + (this.width[d - 1] as number);
    if (base + count > this.pool.length) this.pool = larger(this.pool, new Uint8Array(2 * (base + count)));
    this.start_[d] = base;
    this.at[d] = 0;
    this.depth = d + 1;
    return base;
  }

  private grow(): void {
    const size = 2 * this.width.length;
    this.start_ = larger(this.start_, new Int32Array(size));
    this.width = larger(this.width, new Int32Array(size));
    this.at = larger(this.at, new Int32Array(size));
  }

  /** The path ended: does it belong to this shard? */
  ended(): boolean {
    if (this.prefixes.depth === 0) return true;
    this.prefixes.deal();
    return this.prefixes.ours;
  }

  /** To the next path. False: there is none. */
  advance(): boolean {
    if (this.prefixes.depth > 0 && !this.prefixes.ours)
      this.depth = Math.min(this.depth, this.prefixes.depth);
    while (this.depth > 0) {
      const d = this.depth - 1;
      const next = (this.at[d] as number) + 1;
      this.at[d] = next;
      if (next < (this.width[d] as number)) {
        this.prefixes.moved(d);
        return true;
      }
      this.depth--;
    }
    return false;
  }

  /** Logarithm to base 2 of the product of alternatives on the path: for estimates. */
  logWidth(): number {
    let sum = 0;
    for (let d = 0; d < this.depth; d++) sum += Math.log2(this.width[d] as number);
    return sum;
  }

  save(): TreeState {
    const { depth } = this;
    const end = depth === 0 ? 0 : (this.start_[depth - 1] as number) + (this.width[depth - 1] as number);
    return {
      widths: [...this.width.subarray(0, depth)],
      at: [...this.at.subarray(0, depth)],
      pool: [...this.pool.subarray(0, end)],
    };
  }

  restore({ widths, at, pool }: TreeState): void {
    this.depth = 0;
    this.cursor = 0;
    let base = 0;
    for (let d = 0; d < widths.length; d++) {
      this.cursor = d;
      this.open(widths[d] as number);
      this.width[d] = widths[d] as number;
      this.at[d] = at[d] as number;
      for (let i = 0; i < (widths[d] as number); i++) this.pool[base + i] = pool[base + i] as number;
      base += widths[d] as number;
    }
  }
}

export interface TreeState {
  readonly widths: readonly number[];
  readonly at: readonly number[];
  readonly pool: readonly number[];
}

function larger<T extends Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
