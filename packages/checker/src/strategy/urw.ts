/**
 * URW: uniform random walk (part of SURW, ASPLOS 2025). A thread is picked with a probability proportional to the steps
 * it still has to make, which makes every interleaving of independent threads as likely as any other; the plain random
 * walk favours those where the threads end one after the other.
 *
 * Memory: steps of each thread in earlier executions; a thread always has at least one left. See profile.ts.
 */
import type { Execution, Outcome } from "../execution.ts";
import type { Strategy } from "../strategy.ts";
import { Choices } from "./choices.ts";
import { Profile } from "./profile.ts";
import { Random } from "./random.ts";

/** An enabled thread, by the steps it has left. */
export function pickByLength(execution: Execution, profile: Profile, random: Random): number {
  const { enabled, enabledCount } = execution;
  let total = 0;
  for (let i = 0; i < enabledCount; i++) total += stepsLeft(execution, profile, enabled[i] as number);
  let at = random.unit() * total;
  for (let i = 0; i < enabledCount; i++) {
    const t = enabled[i] as number;
    at -= stepsLeft(execution, profile, t);
    if (at < 0) return t;
  }
  return enabled[enabledCount - 1] as number;
}

function stepsLeft(execution: Execution, profile: Profile, t: number): number {
  const left = (profile.steps[t] as number) - (execution.threads[t] as Execution["threads"][number]).steps;
  return left > 1 ? left : 1;
}

export class Urw implements Strategy {
  readonly name: string = "urw";
  private readonly seed: number;
  private readonly random: Random;
  private readonly choices: Choices;
  private readonly profile: Profile;
  private readonly ownsProfile: boolean;

  constructor(seed: number, profile?: Profile) {
    this.seed = seed;
    this.random = new Random(seed);
    this.profile = profile ?? new Profile(false);
    this.ownsProfile = profile === undefined;
    this.choices = new Choices(this.random, this.profile);
  }

  begin(execution: Execution, index: number): boolean {
    this.random.seed(this.seed, index);
    if (this.ownsProfile) this.profile.begin(execution);
    this.choices.begin();
    return true;
  }
  pick(execution: Execution): number {
    if (this.ownsProfile) this.profile.watch();
    return pickByLength(execution, this.profile, this.random);
  }
  choose(_execution: Execution, n: number): number {
    return this.choices.choose(n);
  }
  end(execution: Execution, outcome: Outcome): void {
    if (this.ownsProfile) this.profile.end(execution, outcome);
  }
}
