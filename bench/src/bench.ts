/**
 * What a bench is: comparisons of one thing of ours with what people would use instead, told in figures.
 *
 * A bench makes its comparisons: it builds its C peers, but boots and writes nothing, which is for the first run.
 * `measure.ts` runs the subjects of each in turn, several times, and then closes every one. A peer that this machine
 * cannot run is not left out: it is a `Missing`, with the reason.
 */

/** One side of a comparison: something that, asked, runs for about `ms` and says its figure. */
export interface Subject {
  readonly name: string;
  /** Resolves to the figure, in the unit of the comparison: finite and above zero. */
  measure(ms: number): Promise<number>;
  /** Each run warms up by itself (a process of its own): no run is dropped. */
  readonly warm?: boolean;
  /**
   * After the last run, once, also when a run failed or (Ctrl-C) has not ended: ends the threads and processes.
   * What `measure` says then is nobody's.
   */
  close?(): Promise<void>;
}

/** A peer that cannot be measured here. */
export interface Missing {
  readonly name: string;
  /** Why: "liburing-dev is not installed". */
  readonly missing: string;
}

/**
 * What the ratio of ours to one peer is wanted to be. Exactly one bound: `atLeast` and `atMost` are ratios
 * ours:peer of the figures as they are, whichever direction is better.
 */
export interface Target {
  /** The name of the peer or the limit. */
  readonly of: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Comparison {
  /** "random read 4 KiB, depth 64": unique in its bench. */
  readonly name: string;
  /** "IOPS", "ns", "messages/s". */
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly ours: Subject;
  readonly peers: readonly (Subject | Missing)[];
  /** What the hardware would allow: no rival, a bound. */
  readonly limit?: Subject | Missing;
  readonly targets?: readonly Target[];
  /** Setting it up takes seconds: the first run is the only one, whatever was asked for. */
  readonly once?: boolean;
  /** What others have published about the same: told beside ours, not judged. */
  readonly published?: Published;
  /** Counters that explain our figure, read after the last run and before `close`. */
  readonly notes?: () => Readonly<Record<string, number>>;
  /** Where it stands on a curve: the points of one series are drawn as one line. */
  readonly curve?: CurvePoint;
}

export interface Published {
  /** "the series: 570 K to 5.01 M IOPS, Optane drive" */
  readonly name: string;
  readonly ratio: number;
}

export interface CurvePoint {
  /** "CPUs", "registered buffers". */
  readonly xName: string;
  readonly x: number;
  /** The curve it is a point of; without it, the name of the bench. */
  readonly series?: string;
}

/** What every bench is told before it makes its comparisons. */
export interface BenchOptions {
  /** For a trial: boot small, skip what takes seconds to set up. Figures of such a run mean nothing. */
  readonly quick: boolean;
}

export interface Bench {
  /** What `ringside bench NAME` takes. */
  readonly name: string;
  /** One line for `ringside list benches`. */
  readonly what: string;
  /** How to read its figures: a sentence or two for results.md. */
  readonly reading?: string;
  comparisons(options: BenchOptions): Promise<readonly Comparison[]>;
}

export function isMissing(side: Subject | Missing): side is Missing {
  return "missing" in side;
}
