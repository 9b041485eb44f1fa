/**
 * The strategies by name. To add one: its class in a file of its own, one entry here.
 */
import type { Strategy } from "../strategy.ts";
import { Bounded } from "./bounded.ts";
import { Dfs } from "./dfs.ts";
import { Dpor } from "./dpor.ts";
import { Pct } from "./pct.ts";
import { Portfolio } from "./portfolio.ts";
import { Pos } from "./pos.ts";
import { RandomWalk } from "./random.ts";
import type { Shard } from "./shard.ts";
import { Surw } from "./surw.ts";
import { Urw } from "./urw.ts";

export interface StrategyOptions {
  readonly seed: number;
  /** Of PCT: how many ordering constraints a bug may have; drawn anew for each execution if not given. */
  readonly depth?: number | undefined;
  /** Of searches of a tree: the part that is ours. Random strategies are dealt out by EveryNth. */
  readonly shard?: Shard | undefined;
}

type Make = (options: StrategyOptions) => Strategy;

const STRATEGIES: Readonly<Record<string, { readonly summary: string; readonly make: Make }>> = {
  random: {
    summary: "random walk: every enabled thread is as likely",
    make: ({ seed }) => new RandomWalk(seed),
  },
  pct: {
    summary:
      "random priorities with a few change points; finds bugs of few orderings with a known probability",
    make: ({ seed, depth }) => new Pct({ seed, depth }),
  },
  pos: {
    summary: "random numbers for pending ops, drawn anew on conflict: samples orders of conflicting ops",
    make: ({ seed }) => new Pos(seed),
  },
  urw: {
    summary: "random walk by steps left: every interleaving is about as likely",
    make: ({ seed }) => new Urw(seed),
  },
  surw: {
    summary:
      "every order of the ops at one location is about as likely; the best single one for many threads",
    make: ({ seed }) => new Surw(seed),
  },
  bounded: {
    summary: "all schedules with 0 preemptions, then 1, 2 ...: the first bug found has the fewest",
    make: ({ shard }) => new Bounded(shard === undefined ? {} : { shard }),
  },
  dfs: {
    summary: "all schedules, depth first: a proof for small programs",
    make: ({ shard }) => new Dfs(shard),
  },
  dpor: {
    summary: "one schedule of each class that only swaps independent steps: the search that proves",
    make: ({ shard }) => new Dpor({ shard }),
  },
  portfolio: {
    summary: "few preemptions, and SURW, POS, PCT, random and URW by lot",
    make: ({ seed, shard }) => new Portfolio({ seed, shard }),
  },
};

export const STRATEGY_NAMES: readonly string[] = Object.keys(STRATEGIES);

/** Throws RangeError for an unknown name. */
export function makeStrategy(name: string, options: StrategyOptions): Strategy {
  const entry = STRATEGIES[name];
  if (entry === undefined)
    throw new RangeError(`unknown strategy ${name}: expected ${STRATEGY_NAMES.join(", ")}`);
  return entry.make(options);
}

export function strategySummary(name: string): string {
  return STRATEGIES[name]?.summary ?? "";
}
