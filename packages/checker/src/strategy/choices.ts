/**
 * Data choices of strategies that are about schedules: mostly 0, the ordinary case, so that what choices stand for (a
 * fault, an early answer) meets otherwise ordinary executions. Of all executions, one in eight draws every choice
 * evenly; of the others half make no unusual choice, a quarter one, an eighth two and an eighth three, spread over
 * the execution.
 */
import type { Profile } from "./profile.ts";
import type { Random } from "./random.ts";

const EVEN = 8;
const BUDGETS = [0, 0, 0, 0, 1, 1, 2, 3];

export class Choices {
  private readonly random: Random;
  private readonly profile: Profile;
  private even: boolean = false;
  /** Unusual choices left. */
  private budget: number = 0;
  private made: number = 0;

  constructor(random: Random, profile: Profile) {
    this.random = random;
    this.profile = profile;
  }

  begin(): void {
    this.even = this.random.below(EVEN) === 0;
    this.budget = BUDGETS[this.random.below(BUDGETS.length)] as number;
    this.made = 0;
  }

  /** 0 ... n-1. */
  choose(n: number): number {
    if (this.even) return this.random.below(n);
    if (this.budget === 0) return 0;
    const left = Math.max(this.profile.choices - this.made++, 2 * this.budget);
    if (this.random.unit() * left >= this.budget) return 0;
    this.budget--;
    return 1 + this.random.below(n - 1);
  }
}
