/**
 * Shards: `--shard 2/8` makes one of eight searches that together are the whole one, each execution in exactly one.
 *
 * Random strategies: shard i of n runs executions i, i + n, i + 2n ...
 * Searches of a tree: the first few decisions of a path are its prefix. Every shard walks all prefixes, in the same
 * order, and goes on below those whose number is i modulo n. DPOR decides by races seen below which alternatives it
 * needs, which another shard could not know: so it takes all alternatives in the prefix, and only those it needs below.
 */
import type { Execution, Outcome } from "../execution.ts";
import type { Strategy } from "../strategy.ts";
import type { Estimate } from "./estimate.ts";
import type { Proof } from "./proof.ts";

export interface Shard {
  /** 0 ... count-1. */
  readonly index: number;
  readonly count: number;
}

export const WHOLE: Shard = { index: 0, count: 1 };

/** Reads "2/8", counted from 1. Throws RangeError. */
export function parseShard(text: string): Shard {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  const index = Number(match?.[1]) - 1;
  const count = Number(match?.[2]);
  if (!(index >= 0 && index < count))
    throw new RangeError(`shard ${text}: expected I/N with 1 <= I <= N, as in 2/8`);
  return { index, count };
}

/** Deals prefixes out, in the order in which they are walked. */
export class Prefixes {
  /** Decisions in a prefix. */
  readonly depth: number;
  private readonly shard: Shard;
  private number: number = 0;
  /** The prefix of the path at hand has been dealt. */
  private dealt: boolean = false;
  /** It is ours. */
  ours: boolean = true;

  constructor(shard: Shard) {
    this.shard = shard;
    // Some sixteen prefixes a shard where decisions have two alternatives, so that the shards come out even.
    this.depth = shard.count === 1 ? 0 : Math.ceil(Math.log2(shard.count)) + 4;
  }

  /** The path has made `depth` decisions, or has ended with fewer. */
  deal(): void {
    if (this.dealt) return;
    this.dealt = true;
    this.ours = this.number++ % this.shard.count === this.shard.index;
  }

  /** The search goes on with another alternative at decision number `decision`. */
  moved(decision: number): void {
    if (decision < this.depth) this.dealt = false;
  }

  save(): unknown {
    return { number: this.number, dealt: this.dealt, ours: this.ours };
  }
  restore(state: unknown): void {
    const { number, dealt, ours } = state as { number: number; dealt: boolean; ours: boolean };
    this.number = number;
    this.dealt = dealt;
    this.ours = ours;
  }
}

/** Every n-th execution of a strategy whose executions do not depend on each other. */
export class EveryNth implements Strategy {
  readonly name: string;
  readonly follows: boolean;
  readonly everyStep: boolean;
  /** Only where the strategy has one: the engine calls it after every step. */
  readonly stepped?: (execution: Execution, thread: number) => void;
  private readonly inner: Strategy;
  private readonly shard: Shard;

  constructor(inner: Strategy, shard: Shard) {
    this.inner = inner;
    this.shard = shard;
    this.name = inner.name;
    this.follows = inner.follows === true;
    this.everyStep = inner.everyStep === true;
    if (inner.stepped !== undefined) this.stepped = (execution, thread) => inner.stepped?.(execution, thread);
  }

  begin(execution: Execution, index: number): boolean {
    return this.inner.begin(execution, index * this.shard.count + this.shard.index);
  }
  pick(execution: Execution): number {
    return this.inner.pick(execution);
  }
  choose(execution: Execution, n: number): number {
    return this.inner.choose(execution, n);
  }
  end(execution: Execution, outcome: Outcome): void {
    this.inner.end(execution, outcome);
  }
  get counted(): boolean {
    return this.inner.counted !== false;
  }
  estimate(): Estimate | undefined {
    return this.inner.estimate?.();
  }
  proof(execution: Execution): Proof | undefined {
    return this.inner.proof?.(execution);
  }
  save(): unknown {
    return this.inner.save?.() ?? null;
  }
  restore(state: unknown): void {
    if (state !== null) this.inner.restore?.(state);
  }
}
