/**
 * POS: partial-order sampling (Yuan, Yang, Gu, CAV 2018). Each pending op draws a number; the highest runs. What runs
 * draws anew for its next op, and so does every thread whose pending op conflicts with it, so that orders of
 * conflicting ops are sampled and not those of independent ones. Nothing to tune and, where the program makes no data
 * choices, nothing to remember: each execution can be had alone.
 *
 * Weak where one thread has to be delayed past many.
 */
import type { Execution, Outcome } from "../execution.ts";
import { MAX_THREADS } from "../program.ts";
import type { Strategy } from "../strategy.ts";
import { Choices } from "./choices.ts";
import { pendingConflict } from "./pending.ts";
import { Profile } from "./profile.ts";
import { Random } from "./random.ts";

export class Pos implements Strategy {
  readonly name: string = "pos";
  private readonly seed: number;
  private readonly random: Random;
  private readonly choices: Choices;
  /** For data choices alone. */
  private readonly profile: Profile;
  private readonly ownsProfile: boolean;
  private readonly number: Float64Array = new Float64Array(MAX_THREADS);
  /** thread.steps when its number was drawn; -1: draw anew. */
  private readonly drawnAt: Int32Array = new Int32Array(MAX_THREADS);

  constructor(seed: number, profile?: Profile) {
    this.seed = seed;
    this.ownsProfile = profile === undefined;
    this.profile = profile ?? new Profile(false);
    this.random = new Random(seed);
    this.choices = new Choices(this.random, this.profile);
  }

  begin(execution: Execution, index: number): boolean {
    this.random.seed(this.seed, index);
    if (this.ownsProfile) this.profile.begin(execution);
    this.choices.begin();
    this.drawnAt.fill(-1, 0, execution.threads.length);
    return true;
  }

  pick(execution: Execution): number {
    const { enabled, enabledCount, threads } = execution;
    let best = -1;
    let high = -1;
    for (let i = 0; i < enabledCount; i++) {
      const t = enabled[i] as number;
      const { steps } = threads[t] as Execution["threads"][number];
      if (this.drawnAt[t] !== steps) {
        this.drawnAt[t] = steps;
        this.number[t] = this.random.unit();
      }
      const number = this.number[t] as number;
      if (number > high) {
        high = number;
        best = t;
      }
    }
    this.redrawConflicting(execution, best);
    return best;
  }

  private redrawConflicting(execution: Execution, best: number): void {
    const { enabled, enabledCount, threads } = execution;
    const { mem } = threads[best] as Execution["threads"][number];
    for (let i = 0; i < enabledCount; i++) {
      const t = enabled[i] as number;
      if (t !== best && pendingConflict(mem, (threads[t] as Execution["threads"][number]).mem)) {
        this.drawnAt[t] = -1;
      }
    }
  }

  choose(_execution: Execution, n: number): number {
    return this.choices.choose(n);
  }
  end(execution: Execution, outcome: Outcome): void {
    if (this.ownsProfile) this.profile.end(execution, outcome);
  }
}
