/**
 * DFS: every schedule and every data choice, depth first. The current thread goes on first, so the first execution has
 * no preemption at all and neighbours differ near the end. Ends when all are done: the search is complete.
 *
 * Exponential; for small programs, and as the oracle that better searches are held against.
 */
import type { Execution, Outcome } from "../execution.ts";
import type { Strategy } from "../strategy.ts";
import { type Estimate, Estimator } from "./estimate.ts";
import { Ledger, type LedgerState, type Proof } from "./proof.ts";
import { Prefixes, type Shard, WHOLE } from "./shard.ts";
import { DIVERGED, Tree, type TreeState } from "./tree.ts";

export class Dfs implements Strategy {
  readonly name: string = "dfs";
  counted: boolean = true;
  private complete: boolean = false;
  private readonly prefixes: Prefixes;
  private readonly tree: Tree;
  private readonly estimator: Estimator = new Estimator();
  private readonly ledger: Ledger = new Ledger();

  constructor(shard: Shard = WHOLE) {
    this.prefixes = new Prefixes(shard);
    this.tree = new Tree(this.prefixes);
  }

  begin(): boolean {
    this.tree.start();
    return !this.complete;
  }

  pick(execution: Execution): number {
    const { enabled, enabledCount, current } = execution;
    if (this.tree.following) return checked(execution, this.tree.follow(enabled, enabledCount));
    return this.tree.pick(firstOf(execution, current), enabled, enabledCount, true);
  }

  choose(_execution: Execution, n: number): number {
    return this.tree.choose(n);
  }

  end(execution: Execution, outcome: Outcome): void {
    this.counted = this.tree.ended() && (!outcome.abandoned || outcome.finding !== undefined);
    this.ledger.note(execution, outcome, this.counted);
    if (this.counted) this.estimator.leaf(this.tree.logWidth());
    else this.estimator.skip(this.tree.logWidth());
    this.complete = !this.tree.advance();
  }

  estimate(): Estimate | undefined {
    return this.estimator.estimate();
  }

  proof(execution: Execution): Proof {
    return this.ledger.proof(execution);
  }

  save(): unknown {
    const state: DfsState = {
      complete: this.complete,
      tree: this.tree.save(),
      prefixes: this.prefixes.save(),
      estimator: this.estimator.save(),
      ledger: this.ledger.save(),
    };
    return state;
  }

  restore(saved: unknown): void {
    const state = saved as DfsState;
    this.complete = state.complete;
    this.tree.restore(state.tree);
    this.prefixes.restore(state.prefixes);
    this.estimator.restore(state.estimator);
    this.ledger.restore(state.ledger);
  }
}

interface DfsState {
  readonly complete: boolean;
  readonly tree: TreeState;
  readonly prefixes: unknown;
  readonly estimator: readonly number[];
  readonly ledger: LedgerState;
}

/** `wanted` if it can be picked, else the lowest. */
export function firstOf(execution: Execution, wanted: number): number {
  const { enabled, enabledCount } = execution;
  for (let i = 0; i < enabledCount; i++) if (enabled[i] === wanted) return wanted;
  return enabled[0] as number;
}

/** Reports a pick that could not be repeated, and gives up. */
export function checked(execution: Execution, pick: number): number {
  if (pick !== DIVERGED) return pick;
  execution.world.find({
    kind: "nondeterminism",
    message: `step ${execution.picks} cannot be repeated: the program keeps state outside its memory`,
    thread: -1,
    site: 0,
  });
  return -1;
}
