/**
 * PCT: probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010). Threads get
 * random priorities and the highest one that can runs; at d-1 random change points the running thread falls below all
 * others. Finds a bug that needs d orderings with a probability of at least 1/(n * k^(d-1)) an execution.
 *
 * Departures, each for a reason seen in practice:
 *   d is drawn from 1 ... 4 for each execution, unless fixed;
 *   only picks among two or more threads count as steps, and there are at most k/2 change points: on short programs
 *   more would leave no step without one;
 *   a thread that pauses, spins or fails a compare-and-exchange falls to the lowest priority: else it would spin for
 *   ever;
 *   an execution much longer than any before ends as a random walk, for loops that nothing tells from work.
 *
 * Memory: k, the length of earlier executions; so an execution depends on those before it. The first is a random
 * walk.
 */
import type { Execution, Outcome } from "../execution.ts";
import { OP_COMPARE_EXCHANGE } from "../op.ts";
import { MAX_THREADS } from "../program.ts";
import type { Strategy } from "../strategy.ts";
import { PARKED } from "../thread.ts";
import { Choices } from "./choices.ts";
import { Profile } from "./profile.ts";
import { Random } from "./random.ts";

const DEPTHS = 4;
const MAX_DEPTH = 64;
/** An execution is strange when it has more picks than this many times the usual, and then some. */
const LONG = 8;
const LONG_AT_LEAST = 512;

export interface PctOptions {
  readonly seed: number;
  /** 1 ... 64; drawn from 1 ... 4 for each execution if not given. */
  readonly depth?: number | undefined;
}

export class Pct implements Strategy {
  readonly name: string;
  private readonly seed: number;
  private readonly depth: number | undefined;
  private readonly profile: Profile;
  private readonly ownsProfile: boolean;
  private readonly random: Random;
  private readonly choices: Choices;
  /** Random ones are above 0, fallen ones below. */
  private readonly priority: Float64Array = new Float64Array(MAX_THREADS);
  /** thread.steps when it was last demoted for spinning. */
  private readonly demotedAt: Int32Array = new Int32Array(MAX_THREADS);
  /** Ascending pick numbers. */
  private readonly changes: Int32Array = new Int32Array(MAX_DEPTH);
  private changeCount: number = 0;
  private nextChange: number = 0;
  private lowest: number = 0;
  private picks: number = 0;
  private longAfter: number = 0;

  constructor({ seed, depth }: PctOptions, profile?: Profile) {
    if (depth !== undefined && !(depth >= 1 && depth <= MAX_DEPTH))
      throw new RangeError(`PCT depth ${depth}: expected 1 ... ${MAX_DEPTH}`);
    this.name = depth === undefined ? "pct" : `pct${depth}`;
    this.seed = seed;
    this.depth = depth;
    this.random = new Random(seed);
    this.profile = profile ?? new Profile(false);
    this.ownsProfile = profile === undefined;
    this.choices = new Choices(this.random, this.profile);
  }

  begin(execution: Execution, index: number): boolean {
    const { random, profile } = this;
    random.seed(this.seed, index);
    if (this.ownsProfile) profile.begin(execution);
    this.choices.begin();
    this.picks = 0;
    this.lowest = 0;
    for (let t = 0; t < execution.threads.length; t++) {
      this.priority[t] = random.unit() + 1;
      this.demotedAt[t] = -1;
    }
    const known = Math.round(profile.picks);
    this.longAfter = profile.runs === 0 ? 0 : LONG * known + LONG_AT_LEAST;
    this.drawChanges(known);
    return true;
  }

  private drawChanges(k: number): void {
    const depth = this.depth ?? 1 + this.random.below(DEPTHS);
    this.changeCount = Math.min(depth - 1, k >> 1);
    this.nextChange = 0;
    for (let i = 0; i < this.changeCount; i++) this.changes[i] = this.random.below(k);
    this.changes.subarray(0, this.changeCount).sort();
  }

  pick(execution: Execution): number {
    if (this.ownsProfile) this.profile.watch();
    const at = this.picks++;
    if (at >= this.longAfter) return execution.enabled[this.random.below(execution.enabledCount)] as number;
    let best = this.highest(execution);
    while (this.nextChange < this.changeCount && (this.changes[this.nextChange] as number) <= at) {
      this.nextChange++;
      this.priority[best] = --this.lowest;
      best = this.highest(execution);
    }
    this.demoteFailing(execution, best);
    return best;
  }

  private highest(execution: Execution): number {
    const { enabled, enabledCount, threads } = execution;
    let best = -1;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < enabledCount; i++) {
      const t = enabled[i] as number;
      const thread = threads[t] as Execution["threads"][number];
      if (thread.state === PARKED && this.demotedAt[t] !== thread.steps) {
        this.demotedAt[t] = thread.steps;
        this.priority[t] = --this.lowest;
      }
      const priority = this.priority[t] as number;
      if (priority > high) {
        high = priority;
        best = t;
      }
    }
    return best;
  }

  /** It goes on with a compare-and-exchange that fails: others first, after this. */
  private demoteFailing(execution: Execution, t: number): void {
    const { mem } = execution.threads[t] as Execution["threads"][number];
    if (mem.kind === OP_COMPARE_EXCHANGE && execution.world.wordAt(mem.p) !== (mem.b | 0))
      this.priority[t] = --this.lowest;
  }

  choose(_execution: Execution, n: number): number {
    return this.choices.choose(n);
  }
  end(execution: Execution, outcome: Outcome): void {
    if (this.ownsProfile) this.profile.end(execution, outcome);
  }
}
