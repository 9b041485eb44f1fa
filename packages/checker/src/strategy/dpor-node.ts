/**
 * Node: a state on DPOR's path: who could be picked there, who has to be, who has been, and who sleeps.
 *
 * Sleeping threads were explored from this state, or from one before it with nothing in between that depends on their
 * next step; each with the places that step touched when it was explored. To run one here would only repeat.
 */
import type { Accesses } from "./dpor-trace.ts";

/** A data choice made after the node's pick: by its step, or by a thread that starts after it. */
export interface Choice {
  value: number;
  readonly n: number;
  /** Its number among the decisions of the path. */
  readonly decision: number;
}

export class Node {
  /** Masks of threads. */
  enabled: number = 0;
  /** Needed: the alternatives source sets ask for. */
  backtrack: number = 0;
  /** Asleep at entry, and explored since. */
  asleep: number = 0;
  /** Explored here. */
  done: number = 0;
  /** The one that is being explored. */
  current: number = 0;
  /** Decisions of the path before the pick. */
  decisions: number = 0;
  readonly choices: Choice[] = [];
  /** Of the current thread's step with other choices. */
  union: Accesses | undefined = undefined;
  /** By thread, for those asleep: the places its step touched. */
  readonly sets: (Accesses | undefined)[] = Array.from({ length: 32 }, () => undefined);

  open(enabled: number, decisions: number): void {
    this.enabled = enabled;
    this.decisions = decisions;
    this.backtrack = 0;
    this.asleep = 0;
    this.done = 0;
    this.choices.length = 0;
    this.union = undefined;
  }

  /** The state after a decision of more than one alternative counts it. */
  get isDecision(): boolean {
    return isSeveral(this.enabled & ~(this.asleep & ~this.done));
  }

  take(thread: number): void {
    this.current = thread;
    this.backtrack |= 1 << thread;
    this.choices.length = 0;
    this.union = undefined;
  }

  /** Not yet explored, and needed. */
  get left(): number {
    return this.backtrack & ~this.asleep & ~(1 << this.current);
  }

  /** Alternatives known so far, the explored ones included. */
  get width(): number {
    return bits(this.done) + 1 + bits(this.left);
  }

  /** The current thread is done here: it sleeps from now on. */
  close(accesses: Accesses): void {
    const bit = 1 << this.current;
    this.sets[this.current] = this.union === undefined ? accesses : merged(this.union, accesses);
    this.asleep |= bit;
    this.done |= bit;
  }

  /**
   * One of `threads` has to be explored here, or has been; `preferred` if it is among them. False: the step that is to
   * come first could not have been made here.
   */
  demand(threads: number, preferred: number): boolean {
    const bit = 1 << preferred;
    // A resume that was disabled here cannot come first.
    if ((threads & bit & ~this.enabled) !== 0) return false;
    const possible = threads & this.enabled;
    if ((possible & this.backtrack) !== 0) return true;
    if ((possible & this.asleep) !== 0) this.standIn();
    else if (possible === 0) this.backtrack |= this.enabled;
    else this.backtrack |= (possible & bit) !== 0 ? bit : possible & -possible;
    return true;
  }

  /**
   * A thread that sleeps since further up counts as explored here. Which steps that race with its step would have to
   * come before it here was asked further up only, where other steps stood before them: so all are tried.
   */
  standIn(): void {
    this.backtrack |= this.enabled;
  }

  save(): NodeState {
    const { enabled, backtrack, asleep, done, current, decisions } = this;
    return {
      masks: [enabled, backtrack, asleep, done, current, decisions],
      choices: this.choices.map(({ value, n, decision }) => [value, n, decision]),
      union: this.union === undefined ? null : [...this.union],
      sets: this.sets.map((set, t) => (set === undefined || ((asleep >>> t) & 1) === 0 ? null : [...set])),
    };
  }

  restore(state: NodeState): void {
    [this.enabled = 0, this.backtrack = 0, this.asleep = 0, this.done = 0] = state.masks;
    this.current = state.masks[4] as number;
    this.decisions = state.masks[5] as number;
    this.choices.length = 0;
    for (const [value, n, decision] of state.choices) this.choices.push({ value, n, decision });
    this.union = state.union === null ? undefined : Int32Array.from(state.union);
    state.sets.forEach((set, t) => {
      this.sets[t] = set === null ? undefined : Int32Array.from(set);
    });
  }
}

export interface NodeState {
  readonly masks: readonly number[];
  readonly choices: readonly (readonly [number, number, number])[];
  readonly union: readonly number[] | null;
  readonly sets: readonly (readonly number[] | null)[];
}

export function merged(a: Accesses, b: Accesses): Accesses {
  const both = new Int32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

export function isSeveral(mask: number): boolean {
  return (mask & (mask - 1)) !== 0;
}

/** Number of the lowest bit. */
export function lowest(mask: number): number {
  return 31 - Math.clz32(mask & -mask);
}

export function bits(mask: number): number {
  let n = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) n++;
  return n;
}
