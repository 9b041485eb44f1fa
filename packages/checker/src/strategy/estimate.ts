/**
 * Estimate: how large is a search tree of which only a part has been walked? Each finished leaf is a Knuth probe: the
 * product of the numbers of alternatives on its path is what the whole tree would count if it were all like that path.
 * Walked in order, a leaf stands for 1 / product of the tree, so the weighted mean of the probes is simply leaves seen
 * divided by the part seen (Knuth 1975; Kilby et al., "Estimating search tree size", AAAI 2006). It becomes exact as
 * the part reaches 1; before that it is only as good as the part seen is typical.
 *
 * Interface: `leaf` for each execution that counts, `skip` for subtrees that are somebody else's, then `estimate`.
 */

export interface Estimate {
  /** Executions the whole search takes, those done included. */
  readonly executions: number;
  /** One standard deviation of the probes, on a logarithmic scale, to either side. */
  readonly low: number;
  readonly high: number;
  /** Part of the tree that is done, 0 ... 1. */
  readonly done: number;
}

export class Estimator {
  private leaves: number = 0;
  private seen: number = 0;
  /** Of the leaves: weights, and weighted sums of the probes' logarithms and their squares. */
  private weight: number = 0;
  private logs: number = 0;
  private squares: number = 0;

  reset(): void {
    this.leaves = 0;
    this.seen = 0;
    this.weight = 0;
    this.logs = 0;
    this.squares = 0;
  }

  /** An execution ended; `log2` is the logarithm of the product of alternatives on its path. */
  leaf(log2: number): void {
    const weight = 2 ** -log2;
    this.leaves++;
    this.seen += weight;
    this.weight += weight;
    this.logs += weight * log2;
    this.squares += weight * log2 * log2;
  }

  /** A subtree that is not ours, or was cut off. */
  skip(log2: number): void {
    this.seen += 2 ** -log2;
  }

  /** Undefined before the first leaf, and while the part seen is too small to tell. `part`: if it is known better. */
  estimate(part: number = this.seen): Estimate | undefined {
    if (this.leaves === 0 || !(part > 2 ** -900) || this.weight === 0) return undefined;
    const done = Math.min(1, part);
    const executions = Math.round(this.leaves / done);
    const mean = this.logs / this.weight;
    const spread = Math.sqrt(Math.max(0, this.squares / this.weight - mean * mean));
    const factor = 2 ** (spread * (1 - done));
    const low = Math.max(this.leaves, Math.round(executions / factor));
    return { executions, low, high: Math.round(executions * factor), done };
  }

  save(): number[] {
    return [this.leaves, this.seen, this.weight, this.logs, this.squares];
  }
  restore(saved: readonly number[]): void {
    [this.leaves = 0, this.seen = 0, this.weight = 0, this.logs = 0, this.squares = 0] = saved;
  }
}

/** One line: "12,300 executions (8,000 ... 19,000), 41 % done". */
export function estimateText(estimate: Estimate): string {
  const { executions, low, high, done } = estimate;
  const part = done < 0.001 ? "less than 0.1" : (100 * done).toFixed(done < 0.1 ? 1 : 0);
  return `about ${amount(executions)} executions (${amount(low)} ... ${amount(high)}), ${part} % done`;
}

function amount(n: number): string {
  if (!(n < 1e15)) return n.toExponential(1);
  return Math.round(n < 1000 ? n : Number(n.toPrecision(2))).toLocaleString("en-US");
}
