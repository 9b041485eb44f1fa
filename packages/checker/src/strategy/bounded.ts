/**
 * Preemption bounding: all executions without a preemption, then all with at most one, at most two ... The first
 * bug found has the fewest preemptions a bug of the program has (iterative context bounding; Musuvathi and Qadeer,
 * PLDI'07).
 *
 * A preemption takes the turn from a thread that could go on and has not just paused; switching away from a thread
 * that pauses, sleeps or ends costs nothing. Each bound walks the executions of the lower bounds again: there are
 * few.
 */
import type { Execution, Outcome } from "../execution.ts";
import type { Strategy } from "../strategy.ts";
import { READY, type Thread } from "../thread.ts";
import { checked, firstOf } from "./dfs.ts";
import { type Estimate, Estimator } from "./estimate.ts";
import { Ledger, type LedgerState, type Proof } from "./proof.ts";
import { Prefixes, type Shard, WHOLE } from "./shard.ts";
import { Tree, type TreeState } from "./tree.ts";

/** Last bound of a search in shards, unless said otherwise. */
const SHARDS_TO = 2;

export interface BoundedOptions {
  /** First bound; default 0. */
  readonly from?: number;
  /** Last bound; default none: until a bound cuts nothing. */
  readonly to?: number;
  /** Executions at most with one bound; then the next bound has its turn. Default none. */
  readonly cap?: number;
  readonly shard?: Shard;
}

export class Bounded implements Strategy {
  readonly name: string = "bounded";
  counted: boolean = true;
  /** Preemptions allowed now. */
  bound: number;
  /** Preemptions of the execution at hand, as counted here. */
  preemptions: number = 0;
  private readonly options: BoundedOptions;
  /** Executions with this bound. */
  private executions: number = 0;
  /** This bound has forbidden something, so a higher one would find more. */
  private cut: boolean = false;
  /** Some bound was left at its cap. */
  private capped: boolean = false;
  private complete: boolean = false;
  private prefixes: Prefixes;
  private tree: Tree;
  private readonly estimator: Estimator = new Estimator();
  private readonly ledger: Ledger = new Ledger();

  constructor(options: BoundedOptions = {}) {
    this.options = options;
    this.bound = options.from ?? 0;
    this.prefixes = new Prefixes(options.shard ?? WHOLE);
    this.tree = new Tree(this.prefixes);
  }

  begin(): boolean {
    this.tree.start();
    this.preemptions = 0;
    return !this.complete;
  }

  pick(execution: Execution): number {
    const { enabled, enabledCount, current } = execution;
    const first = firstOf(execution, current);
    const stays = first === current && (execution.threads[current] as Thread).state === READY;
    let pick: number;
    if (this.tree.following) pick = checked(execution, this.tree.follow(enabled, enabledCount));
    else {
      const free = !stays || this.preemptions < this.bound;
      if (!free) this.cut = true;
      pick = this.tree.pick(first, enabled, enabledCount, free);
    }
    if (stays && pick >= 0 && pick !== current) this.preemptions++;
    return pick;
  }

  choose(_execution: Execution, n: number): number {
    return this.tree.choose(n);
  }

  end(execution: Execution, outcome: Outcome): void {
    this.counted = this.tree.ended() && (!outcome.abandoned || outcome.finding !== undefined);
    this.executions++;
    this.ledger.note(execution, outcome, this.counted);
    if (this.counted) this.estimator.leaf(this.tree.logWidth());
    else this.estimator.skip(this.tree.logWidth());
    const more = this.tree.advance();
    if (more && this.executions < (this.options.cap ?? Number.POSITIVE_INFINITY)) return;
    if (more) this.capped = true;
    this.nextBound(more);
  }

  /** Shards go through the same bounds: none can know whether another one's part was cut. */
  private nextBound(more: boolean): void {
    const sharded = this.prefixes.depth > 0;
    const last = this.options.to ?? (sharded ? SHARDS_TO : Number.POSITIVE_INFINITY);
    if (this.bound >= last || (!this.cut && !more && !sharded)) {
      this.complete = true;
      if (this.cut) this.ledger.doubt(`preemptions were bounded by ${this.bound}`);
      if (this.capped) this.ledger.doubt("a bound was left at its cap");
      return;
    }
    this.bound++;
    this.executions = 0;
    this.cut = false;
    this.ledger.classes = 0;
    this.estimator.reset();
    this.prefixes = new Prefixes(this.options.shard ?? WHOLE);
    this.tree = new Tree(this.prefixes);
  }

  /** Of the bound at hand. */
  estimate(): Estimate | undefined {
    return this.estimator.estimate();
  }

  proof(execution: Execution): Proof {
    return this.ledger.proof(execution);
  }

  save(): unknown {
    const state: BoundedState = {
      bound: this.bound,
      executions: this.executions,
      cut: this.cut,
      capped: this.capped,
      complete: this.complete,
      tree: this.tree.save(),
      prefixes: this.prefixes.save(),
      estimator: this.estimator.save(),
      ledger: this.ledger.save(),
    };
    return state;
  }

  restore(saved: unknown): void {
    const state = saved as BoundedState;
    this.bound = state.bound;
    this.executions = state.executions;
    this.cut = state.cut;
    this.capped = state.capped;
    this.complete = state.complete;
    this.tree.restore(state.tree);
    this.prefixes.restore(state.prefixes);
    this.estimator.restore(state.estimator);
    this.ledger.restore(state.ledger);
  }
}

interface BoundedState {
  readonly bound: number;
  readonly executions: number;
  readonly cut: boolean;
  readonly capped: boolean;
  readonly complete: boolean;
  readonly tree: TreeState;
  readonly prefixes: unknown;
  readonly estimator: readonly number[];
  readonly ledger: LedgerState;
}
