/**
 * Shrink: the easiest execution to read that fails in the same way.
 *
 * Blocks are taken out, or joined with the next of their thread, in large groups first and one by one at last; faults
 * go back to the ordinary case. A change stays if the failure has the same signature and the measure became smaller
 * (see blocks.ts). Then, if asked, a search with fewer preemptions than found looks for a better one, or proves there
 * is none.
 *
 * After Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), over thread blocks.
 */
import type { Execution, Outcome } from "../execution.ts";
import type { FailedExecution } from "../explore.ts";
import type { Strategy } from "../strategy.ts";
import { type Block, compareMeasures, keep, type Measure, Track } from "./blocks.ts";
import { Guide, TrackedReplay } from "./guide.ts";
import { signatureOf } from "./signature.ts";

export interface ShrinkOptions {
  /** Executions to try at most; default 2,000. */
  readonly replays?: number;
  /** Seconds at most; default 10. */
  readonly seconds?: number;
  /** The same failure? Default: the same signature. For tests of the shrinker. */
  readonly same?: (signature: string, found: string) => boolean;
  /** A search of all schedules with at most `preemptions` of them: looks for fewer than found. */
  readonly bounded?: (preemptions: number) => Strategy;
  /** Executions of that search at most; default 2,000. It takes no more than half the seconds. */
  readonly boundedExecutions?: number;
}

export interface Shrunk extends FailedExecution {
  readonly signature: string;
  readonly measure: Measure;
  /** Of the execution as it was found. */
  readonly before: Measure;
  readonly replays: number;
  /** The bounded search was complete: no schedule with fewer preemptions fails like this. */
  readonly minimal: boolean;
  /** Set when the schedule did not fail in the same way twice: what it did instead. Nothing was shrunk then. */
  readonly unstable: string | undefined;
}

const REPLAYS = 2000;
const SECONDS = 10;
/** Below it, bisection is not worth while. */
const FOCUS_BLOCKS = 12;
/** Orders of a group that are tried. */
const ORDERS = 6;
/** With more blocks than that, swapping and moving them is not worth while. */
const SWAP_BLOCKS = 24;
/** Context switches that need no such effort. */
const EASY = 3;
/** Steps that a block which ends in a wait goes less far. */
const STOPS_EARLIER: readonly number[] = [1, 2, 4, 6];

type Choices = readonly (readonly number[])[];

/** `failed` must be of this program under these options; `execution` is used and holds nothing afterwards. */
export function shrink(execution: Execution, failed: FailedExecution, options: ShrinkOptions = {}): Shrunk {
  const { finding } = failed.outcome;
  if (finding === undefined) throw new RangeError("shrink: the execution did not fail");
  const replay = new TrackedReplay(failed.schedule, failed.choices);
  const outcome = replay.run(execution);
  const signature = signatureOf(execution.world, finding);
  const shrinker = new Shrinker(execution, signature, options, replay.track, outcome);
  const before = shrinker.measure;
  const again = outcome.finding === undefined ? "no failure" : signatureOf(execution.world, outcome.finding);
  if (again !== signature || outcome.hash !== failed.outcome.hash) {
    const unstable = again === signature ? "the same failure by other steps" : again;
    return { ...failed, signature, measure: before, before, replays: 1, minimal: false, unstable };
  }
  shrinker.run();
  const minimal = options.bounded !== undefined && shrinker.certify(options.bounded);
  const { best, measure, replays } = shrinker;
  return { ...best, signature, measure, before, replays, minimal, unstable: undefined };
}

class Shrinker {
  best: FailedExecution;
  measure: Measure;
  replays: number = 1;
  private blocks: readonly Block[];
  private choices: Choices;
  /** Of the candidate that runs; what is kept of it is copied. */
  private readonly track: Track = new Track();
  private readonly execution: Execution;
  private readonly signature: string;
  private readonly options: ShrinkOptions;
  private readonly limit: number;
  private readonly ends: number;

  constructor(
    execution: Execution,
    signature: string,
    options: ShrinkOptions,
    track: Track,
    outcome: Outcome,
  ) {
    this.execution = execution;
    this.signature = signature;
    this.options = options;
    this.limit = options.replays ?? REPLAYS;
    this.ends = performance.now() + 1000 * (options.seconds ?? SECONDS);
    this.best = keep(execution, outcome);
    this.blocks = track.blocks(this.best.schedule);
    this.choices = track.choices;
    this.measure = track.measure(this.best.schedule, outcome.picks, this.blocks.length);
  }

  run(): void {
    if (this.measure.choices > 0) this.calmChoices();
    for (let better = true; better && !this.spent(); ) {
      const start = this.measure;
      this.focus();
      this.inGroups();
      this.oneByOne();
      if (this.measure.choices > 0) this.calmChoices();
      better = compareMeasures(this.measure, start) < 0 || this.moves();
    }
  }

  private spent(): boolean {
    return this.replays >= this.limit || performance.now() >= this.ends;
  }

  private isSame(outcome: Outcome): boolean {
    if (outcome.finding === undefined) return false;
    const found = signatureOf(this.execution.world, outcome.finding);
    return this.options.same === undefined
      ? found === this.signature
      : this.options.same(this.signature, found);
  }

  /** Does a candidate fail in the same way, be it better or not? */
  private fails(blocks: readonly Block[], choices: Choices): boolean {
    this.replays++;
    const guide = new Guide(blocks, choices, this.track);
    const outcome = guide.run(this.execution);
    if (!this.isSame(outcome)) return false;
    this.adopt(outcome, guide.track);
    return true;
  }

  /** Runs a candidate; true if it is the best now. */
  private try(blocks: readonly Block[], choices: Choices): boolean {
    if (this.spent()) return false;
    this.replays++;
    const guide = new Guide(blocks, choices, this.track);
    const outcome = guide.run(this.execution);
    return this.isSame(outcome) && this.adopt(outcome, guide.track);
  }

  private adopt(outcome: Outcome, track: Track): boolean {
    const { schedule } = this.execution;
    const blocks = track.blocks(schedule);
    const measure = track.measure(schedule, outcome.picks, blocks.length);
    if (compareMeasures(measure, this.measure) >= 0) return false;
    this.best = keep(this.execution, outcome);
    this.blocks = blocks;
    this.choices = track.choices;
    this.measure = measure;
    return true;
  }

  /**
   * A long execution fails because of a few of its switches: finds the last of them by bisection, then tries it with
   * ever more of those before it, as if the threads had come there one after the other.
   */
  private focus(): void {
    if (this.blocks.length < FOCUS_BLOCKS) return;
    const { blocks, choices } = this;
    let [passes, fails] = [0, blocks.length];
    while (fails - passes > 1 && !this.spent()) {
      const middle = (passes + fails) >> 1;
      if (this.fails(blocks.slice(0, middle), choices)) fails = middle;
      else passes = middle;
    }
    for (let count = 1; count < fails && !this.spent(); count += Math.max(1, count >> 1)) {
      const rest = blocks.slice(fails - count, fails);
      if (this.try(rest, choices)) return;
      for (const before of this.orders(blocks.slice(0, fails - count))) {
        if (this.try([...before, ...rest], choices)) return;
      }
    }
    this.try(blocks.slice(0, fails), choices);
  }

  /** Sorted by thread: first come first, and each thread last in turn, those that ran last before others. */
  private orders(blocks: readonly Block[]): Block[][] {
    const sorted = byThread(blocks);
    const latest = [...new Set(blocks.toReversed().map((block) => block.thread))];
    if (latest.length < 2) return [];
    return latest
      .slice(0, ORDERS)
      .map((last) => [
        ...sorted.filter((block) => block.thread !== last),
        ...sorted.filter((block) => block.thread === last),
      ]);
  }

  /** Groups of half of all blocks, then of a quarter, and so on: taken out, or sorted by thread. */
  private inGroups(): void {
    for (let size = this.blocks.length >> 1; size > 1; size >>= 1) {
      // From the end: what the failure needs stands there, and what it does not, before.
      for (let end = this.blocks.length; end > 0 && !this.spent(); end -= size) {
        const to = Math.min(end, this.blocks.length);
        const from = Math.max(0, to - size);
        const before = this.blocks.slice(0, from);
        const after = this.blocks.slice(to);
        if (to <= from || this.try([...before, ...after], this.choices)) continue;
        for (const sorted of this.orders(this.blocks.slice(from, to))) {
          if (this.try([...before, ...sorted, ...after], this.choices)) break;
        }
      }
    }
  }

  private oneByOne(): void {
    for (let i = this.blocks.length - 1; i >= 0 && !this.spent(); i--) {
      i = Math.min(i, this.blocks.length - 1);
      for (const candidate of this.changesAt(i)) if (this.try(candidate, this.choices)) break;
    }
  }

  /** Single changes of block i. */
  private changesAt(i: number): Block[][] {
    const { blocks } = this;
    const block = blocks[i] as Block;
    const changes = [blocks.toSpliced(i, 1)];
    const later = blocks.findIndex((other, j) => j > i && other.thread === block.thread);
    if (later >= 0) changes.push(blocks.toSpliced(later, 1).with(i, blocks[later] as Block));
    if (!block.open) changes.push(blocks.with(i, { ...block, open: true }));
    const next = blocks[i + 1];
    if (next !== undefined && next.thread !== block.thread && blocks.length <= SWAP_BLOCKS) {
      changes.push(blocks.with(i, next).with(i + 1, block));
    }
    return changes;
  }

  /**
   * Any block of few to any other place. One that ran until it could not go on, also to an earlier one without its
   * last steps: it stops before what it waited for; as the only preemption, too. True at the first that helps: then
   * the cheap changes have their turn.
   */
  private moves(): boolean {
    const { blocks } = this;
    if (this.measure.contextSwitches <= EASY || blocks.length > SWAP_BLOCKS) return false;
    for (let i = 0; i < blocks.length; i++) {
      const block = blocks[i] as Block;
      const rest = blocks.toSpliced(i, 1);
      const opened = rest.map((other) => ({ ...other, open: true }));
      for (let to = 0; to <= rest.length && !this.spent(); to++) {
        if (to !== i && this.try(rest.toSpliced(to, 0, block), this.choices)) return true;
        for (const steps of to < i && block.open ? STOPS_EARLIER : []) {
          const short = { ...block, until: block.until - steps, point: undefined, open: false };
          if (this.try(rest.toSpliced(to, 0, short), this.choices)) return true;
          if (this.try(opened.toSpliced(to, 0, short), this.choices)) return true;
        }
      }
    }
    return false;
  }

  /** Data choices to 0: all, each thread's, each. */
  private calmChoices(): void {
    if (
      this.try(
        this.blocks,
        this.choices.map(() => []),
      )
    )
      return;
    for (let t = 0; t < this.choices.length; t++) {
      if (this.choices[t]?.some((value) => value !== 0) !== true) continue;
      if (this.try(this.blocks, this.choices.with(t, []))) continue;
      for (let i = 0; i < (this.choices[t]?.length ?? 0) && !this.spent(); i++) this.calmChoice(t, i);
    }
  }

  private calmChoice(thread: number, i: number): void {
    const values = this.choices[thread] ?? [];
    const value = values[i] ?? 0;
    if (value === 0) return;
    if (this.try(this.blocks, this.choices.with(thread, values.with(i, 0)))) return;
    if (value > 1) this.try(this.blocks, this.choices.with(thread, values.with(i, 1)));
  }

  /** Searches with fewer preemptions, from none up. True: complete, and the failure is not there. */
  certify(bounded: (preemptions: number) => Strategy): boolean {
    let left = this.options.boundedExecutions ?? REPLAYS;
    const ends = Math.min(this.ends, performance.now() + 500 * (this.options.seconds ?? SECONDS));
    for (let bound = 0; bound < this.measure.preemptions; bound++) {
      const strategy = bounded(bound);
      for (let index = 0; strategy.begin(this.execution, index); index++) {
        if (left-- <= 0 || performance.now() >= ends) return false;
        const outcome = this.execution.run(strategy, index);
        this.replays++;
        if (outcome.truncated) return false;
        if (!this.isSame(outcome)) continue;
        if (this.take(keep(this.execution, outcome))) this.run();
        // Bounds below were searched in vain, so that nothing beats a failure at this one.
        return this.measure.preemptions <= bound;
      }
    }
    return true;
  }

  /** A failure found elsewhere. */
  private take(failed: FailedExecution): boolean {
    const replay = new TrackedReplay(failed.schedule, failed.choices);
    const outcome = replay.run(this.execution);
    return this.isSame(outcome) && this.adopt(outcome, replay.track);
  }
}

/** Blocks of one thread side by side, threads in the order they first come. */
function byThread(blocks: readonly Block[]): Block[] {
  const threads = [...new Set(blocks.map((block) => block.thread))];
  return threads.flatMap((thread) => blocks.filter((block) => block.thread === thread));
}
