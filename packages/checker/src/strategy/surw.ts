/**
 * SURW: selective uniform random walk (ASPLOS 2025). Each execution takes one location as the interesting one, and
 * makes every order of the ops there as likely as any other: it draws the thread that shall make the next of them, by
 * how many each has left, and the others wait when they come to one. Everywhere else threads run at random. So a bug
 * that hangs on the order of few ops is found as fast among a hundred threads as among three.
 *
 * The location is drawn among those that two or more threads touch and somebody changes, by the number of threads
 * that do. The first executions, which teach the profile, and one in ten after that are uniform random walks.
 *
 * Memory: profile.ts.
 */
import type { Execution, Outcome } from "../execution.ts";
import { MAX_THREADS } from "../program.ts";
import type { Strategy } from "../strategy.ts";
import { PARKED } from "../thread.ts";
import { Choices } from "./choices.ts";
import type { Places } from "./places.ts";
import { Profile } from "./profile.ts";
import { Random } from "./random.ts";
import { pickByLength } from "./urw.ts";

const TEACHING = 4;
const UNIFORM_PERCENT = 10;
const NOBODY = -1;

export class Surw implements Strategy {
  readonly name: string = "surw";
  private readonly seed: number;
  private readonly random: Random;
  private readonly choices: Choices;
  private readonly profile: Profile;
  private readonly ownsProfile: boolean;
  /** The interesting location of this execution; -1: none, it is a uniform walk. */
  private location: number = -1;
  /** Who shall make the next op there. */
  private chosen: number = NOBODY;
  /** By thread: ops made there in this execution. */
  private readonly made: Int32Array = new Int32Array(MAX_THREADS);
  private madeByAll: number = 0;
  /** By thread: `madeByAll` when it last went on spinning. */
  private readonly spunAt: Int32Array = new Int32Array(MAX_THREADS);
  private readonly free: Int32Array = new Int32Array(MAX_THREADS);

  constructor(seed: number, profile?: Profile) {
    this.seed = seed;
    this.random = new Random(seed);
    this.profile = profile ?? new Profile(true);
    this.ownsProfile = profile === undefined;
    this.choices = new Choices(this.random, this.profile);
  }

  begin(execution: Execution, index: number): boolean {
    const { random, profile } = this;
    random.seed(this.seed, index);
    if (this.ownsProfile) profile.begin(execution);
    this.choices.begin();
    this.chosen = NOBODY;
    this.made.fill(0, 0, execution.threads.length);
    this.spunAt.fill(-1, 0, execution.threads.length);
    this.madeByAll = 0;
    const uniform = profile.runs < TEACHING || random.below(100) < UNIFORM_PERCENT;
    this.location = uniform ? -1 : this.drawLocation();
    return true;
  }

  private drawLocation(): number {
    const { places } = this.profile;
    if (places === undefined) return -1;
    let total = 0;
    for (let l = 0; l < places.count; l++) total += places.sharersOf(l);
    let at = this.random.unit() * total;
    for (let l = 0; l < places.count; l++) {
      at -= places.sharersOf(l);
      if (at < 0) return l;
    }
    return -1;
  }

  pick(execution: Execution): number {
    if (this.ownsProfile) this.profile.watch();
    const { places } = this.profile;
    return this.location < 0 || places === undefined
      ? pickByLength(execution, this.profile, this.random)
      : this.pickSelective(execution, places);
  }

  private pickSelective(execution: Execution, places: Places): number {
    const { enabled, enabledCount } = execution;
    const { next } = places;
    let enabledChosen = false;
    for (let i = 0; i < enabledCount; i++) if (enabled[i] === this.chosen) enabledChosen = true;
    if (!enabledChosen) this.chosen = this.drawNext(execution, places, false);
    let n = 0;
    for (let i = 0; i < enabledCount; i++) {
      const t = enabled[i] as number;
      if ((t === this.chosen || next[t] !== this.location) && !this.isStuck(execution, t)) this.free[n++] = t;
    }
    if (n > 0) return this.noteSpin(execution, this.free[this.random.below(n)] as number);
    // All who can run wait for one who cannot: one of them goes.
    this.chosen = this.drawNext(execution, places, true);
    return this.chosen >= 0 ? this.chosen : (enabled[this.random.below(enabledCount)] as number);
  }

  /**
   * It spins, and has looked again since anybody made an interesting op: two spinning threads wake each other for
   * ever.
   */
  private isStuck(execution: Execution, t: number): boolean {
    const { state } = execution.threads[t] as Execution["threads"][number];
    return state === PARKED && this.spunAt[t] === this.madeByAll;
  }

  private noteSpin(execution: Execution, t: number): number {
    const { state } = execution.threads[t] as Execution["threads"][number];
    if (state === PARKED) this.spunAt[t] = this.madeByAll;
    return t;
  }

  /** An enabled thread, by the interesting ops it has left; `standing`: only those that stand at one. */
  private drawNext(execution: Execution, places: Places, standing: boolean): number {
    const { enabled, enabledCount } = execution;
    let total = 0;
    for (let i = 0; i < enabledCount; i++) total += this.opsLeft(places, enabled[i] as number, standing);
    if (total === 0) return NOBODY;
    let at = this.random.unit() * total;
    let last = NOBODY;
    for (let i = 0; i < enabledCount; i++) {
      const t = enabled[i] as number;
      const left = this.opsLeft(places, t, standing);
      if (left === 0) continue;
      last = t;
      at -= left;
      if (at < 0) break;
    }
    return last;
  }

  private opsLeft(places: Places, t: number, standing: boolean): number {
    const stands = places.next[t] === this.location;
    if (places.isSpinning(t)) return stands ? 1 : 0;
    const left = places.opsAt(this.location, t) - (this.made[t] as number);
    if (stands) return left > 1 ? left : 1;
    return standing || left < 0 ? 0 : left;
  }

  stepped(execution: Execution, t: number): void {
    if (this.ownsProfile) this.profile.stepped(execution, t);
    if (this.location < 0 || this.profile.places?.last !== this.location) return;
    this.madeByAll++;
    if (!this.profile.places.lastSpun) this.made[t] = (this.made[t] as number) + 1;
    if (t === this.chosen) this.chosen = NOBODY;
  }

  choose(_execution: Execution, n: number): number {
    return this.choices.choose(n);
  }
  end(execution: Execution, outcome: Outcome): void {
    if (this.ownsProfile) this.profile.end(execution, outcome);
  }
}
