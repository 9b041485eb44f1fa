/**
 * Portfolio: the default. Every other execution belongs to a search with 0 preemptions and then 1, while that lasts,
 * at most 2,000 executions of it: shallow bugs are found with the simplest schedules, and a small program may be
 * proved. All others belong to random strategies by lot, because none of them finds everything: SURW 40 %, POS 25 %,
 * PCT 20 %, random 10 %, URW 5 %. After LATE executions without a bug POS has 75 %: what is left then hangs on many
 * orderings. That is tuned on one bug, SafeStack: POS finds it once in some 200,000 executions, the others hardly in a
 * million.
 *
 * The random ones share one profile, so each learns from the executions of all. memberOf says whose an execution was.
 *
 * Memory: the profile, and the search. A resumed portfolio goes on with the search and learns the profile anew.
 */
import type { Execution, Outcome } from "../execution.ts";
import type { Strategy } from "../strategy.ts";
import { Bounded } from "./bounded.ts";
import { Pct } from "./pct.ts";
import { Pos } from "./pos.ts";
import { Profile } from "./profile.ts";
import type { Proof } from "./proof.ts";
import { Random, RandomWalk } from "./random.ts";
import type { Shard } from "./shard.ts";
import { Surw } from "./surw.ts";
import { Urw } from "./urw.ts";

export interface PortfolioOptions {
  readonly seed: number;
  /** The part of the search with few preemptions that is ours. */
  readonly shard?: Shard | undefined;
}

const SEARCH_EXECUTIONS = 2_000;
const MOST_PREEMPTIONS = 1;
/** Percent: SURW, POS, PCT, random, URW. */
const SHARES: readonly number[] = [40, 25, 20, 10, 5];
const LATE = 20_000;
const LATE_SHARES: readonly number[] = [10, 75, 5, 5, 5];

export class Portfolio implements Strategy {
  readonly name: string = "portfolio";
  private readonly seed: number;
  private readonly search: Bounded;
  private readonly members: readonly Strategy[];
  private readonly profile: Profile = new Profile(true);
  private readonly random: Random;
  /** Numbers of the executions the search has had. */
  private readonly searched: Set<number> = new Set();
  private searching: boolean = true;
  /** Whose turn it is. */
  private searchesNext: boolean = true;
  private member: Strategy;
  /** The search has shown that there is nothing more to see. */
  private proved: Proof | undefined = undefined;

  constructor({ seed, shard }: PortfolioOptions) {
    this.seed = seed;
    this.random = new Random(seed);
    this.search = new Bounded({ to: MOST_PREEMPTIONS, ...(shard === undefined ? {} : { shard }) });
    const { profile } = this;
    this.members = [
      new Surw(seed ^ 0x51, profile),
      new Pos(seed ^ 0x52, profile),
      new Pct({ seed: seed ^ 0x53 }, profile),
      new RandomWalk(seed ^ 0x54),
      new Urw(seed ^ 0x55, profile),
    ];
    this.member = this.search;
  }

  get counted(): boolean {
    return this.member.counted !== false;
  }

  /** Name of the strategy that made execution `index`. */
  memberOf(index: number): string {
    return this.searched.has(index) ? this.search.name : this.drawMember(index).name;
  }

  private drawMember(index: number): Strategy {
    const shares = index < LATE ? SHARES : LATE_SHARES;
    this.random.seed(this.seed, index);
    let at = this.random.below(100);
    let i = 0;
    while (i < shares.length - 1 && at >= (shares[i] as number)) at -= shares[i++] as number;
    return this.members[i] as Strategy;
  }

  begin(execution: Execution, index: number): boolean {
    this.profile.begin(execution);
    const searches = this.searching && this.searchesNext;
    this.searchesNext = !searches;
    if (searches) {
      if (this.searched.size < SEARCH_EXECUTIONS && this.search.begin()) {
        this.searched.add(index);
        this.member = this.search;
        return true;
      }
      this.searching = false;
      this.concludeSearch(execution);
    }
    if (this.proved !== undefined) return false;
    this.member = this.drawMember(index);
    return this.member.begin(execution, index);
  }

  private concludeSearch(execution: Execution): void {
    if (this.searched.size >= SEARCH_EXECUTIONS) return;
    const proof = this.search.proof(execution);
    if (proof.proved) this.proved = proof;
  }

  pick(execution: Execution): number {
    this.profile.watch();
    return this.member.pick(execution);
  }
  stepped(execution: Execution, thread: number): void {
    this.profile.stepped(execution, thread);
    this.member.stepped?.(execution, thread);
  }
  choose(execution: Execution, n: number): number {
    return this.member.choose(execution, n);
  }
  end(execution: Execution, outcome: Outcome): void {
    this.member.end(execution, outcome);
    this.profile.end(execution, outcome);
  }

  proof(): Proof | undefined {
    return this.proved;
  }

  save(): unknown {
    const state: PortfolioState = {
      searching: this.searching,
      searchesNext: this.searchesNext,
      searched: [...this.searched],
      search: this.search.save(),
    };
    return state;
  }

  restore(saved: unknown): void {
    const state = saved as PortfolioState;
    if (!Array.isArray(state?.searched)) throw new RangeError("not the state of a portfolio");
    this.searching = state.searching;
    this.searchesNext = state.searchesNext;
    this.searched.clear();
    for (const index of state.searched) this.searched.add(index);
    this.search.restore(state.search);
  }
}

interface PortfolioState {
  readonly searching: boolean;
  readonly searchesNext: boolean;
  readonly searched: readonly number[];
  readonly search: unknown;
}
