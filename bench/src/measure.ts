/**
 * Measuring: every side of a comparison in turn, again and again, so that what the machine does meanwhile
 * hits all of them alike. The first round warms up and is dropped; the figure of a side is the median of its
 * other runs, and the ratio is that of the medians. A point of a curve has neighbours to be judged by: half as
 * many runs will do.
 *
 * Interface: `await measureBenches(benches, options)` gives one Result a comparison, and closes every subject.
 * When the signal is aborted, it waits for nobody, gives what has at least one run of our side, and measures nothing
 * more. A peer that fails while it runs becomes a missing one, with what it threw; ours failing is an error, which
 * comes when all the others have been measured.
 */
import { within } from "@ringside/workers/within";
import {
  type Bench,
  type BenchOptions,
  type Comparison,
  type CurvePoint,
  isMissing,
  type Missing,
  type Published,
  type Subject,
  type Target,
} from "./bench.ts";

/** (max - min) / median from here on is worth a word. */
export const NOISY = 0.2;
/** What a run may take: many times what was asked for, and time to set up. */
const SLACK_FACTOR = 20;
const SLACK_MS = 60_000;

export interface MeasureOptions extends BenchOptions {
  /** Rounds that count, 1 or more. */
  readonly runs: number;
  /** Milliseconds of a run. */
  readonly ms: number;
  /** Before each run. */
  readonly onRun?: (run: RunProgress) => void;
  /** After each comparison. */
  readonly onResult?: (result: Result, progress: Progress) => void;
  /** Ctrl-C. */
  readonly signal?: AbortSignal;
}

/** Comparisons that have been measured, and in all. */
export interface Progress {
  readonly done: number;
  readonly of: number;
}

export interface RunProgress extends Progress {
  readonly bench: string;
  readonly comparison: string;
  readonly subject: string;
  /** 0 is the warm-up. */
  readonly round: number;
  readonly runs: number;
}

export interface Figure {
  readonly name: string;
  /** The median. */
  readonly value: number;
  readonly min: number;
  readonly max: number;
}

export interface PeerFigure extends Figure {
  /** Ours divided by this. */
  readonly ratio: number;
}

export interface TargetResult extends Target {
  /** null: its peer is missing, so nobody knows. */
  readonly ratio: number | null;
  readonly met: boolean | null;
}

/** One comparison, measured: the shape of `results[]` in the JSON. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  /** The median. */
  readonly ours: number;
  readonly peers: readonly PeerFigure[];
  readonly limit: PeerFigure | null;
  readonly bench: string;
  readonly better: "higher" | "lower";
  /** What of ours was measured, and its spread. */
  readonly oursName: string;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
  readonly missing: readonly Missing[];
  readonly targets: readonly TargetResult[];
  /** Sides whose spread is above NOISY of their median. */
  readonly noisy: readonly string[];
  readonly notes: Readonly<Record<string, number>>;
  readonly curve: CurvePoint | null;
  readonly published: Published | null;
}

/** The middle value, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

export function spread({ value, min, max }: Omit<Figure, "name">): number {
  return (max - min) / value;
}

export async function measureBenches(benches: readonly Bench[], options: MeasureOptions): Promise<Result[]> {
  const { quick, signal, onResult } = options;
  const plan: Planned[] = [];
  const open = new Set<Subject>();
  const results: Result[] = [];
  const failures: Error[] = [];
  try {
    for (const bench of benches) {
      if (isAborted(signal)) break;
      for (const comparison of await bench.comparisons({ quick })) {
        plan.push({ bench: bench.name, comparison });
        for (const subject of subjects(comparison)) open.add(subject);
      }
    }
    for (const [done, planned] of plan.entries()) {
      if (isAborted(signal)) break;
      const place = { done, of: plan.length };
      try {
        const result = await measureComparison(planned, place, options);
        if (result !== undefined) {
          results.push(result);
          onResult?.(result, { ...place, done: done + 1 });
        }
        await close(subjects(planned.comparison), open);
      } catch (error) {
        const what = `${planned.bench}: ${planned.comparison.name}: ${textOf(error)}`;
        failures.push(new Error(what, { cause: error }));
      }
    }
  } finally {
    await close([...open], open);
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(textOf).join("\n"));
  return results;
}

interface Planned {
  readonly bench: string;
  readonly comparison: Comparison;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function sides({ peers, limit }: Comparison): (Subject | Missing)[] {
  return limit === undefined ? [...peers] : [...peers, limit];
}

function subjects(comparison: Comparison): Subject[] {
  return [comparison.ours, ...sides(comparison).filter((side): side is Subject => !isMissing(side))];
}

/** A subject that fails to close has failed the bench, but only after the others are closed. */
async function close(these: readonly Subject[], open: Set<Subject>): Promise<void> {
  const failures: unknown[] = [];
  for (const subject of these) {
    if (!open.delete(subject)) continue;
    await subject.close?.().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

/** Rounds that count, and whether one before them does not. */
function rounds({ curve, once }: Comparison, runs: number): { runs: number; warmUp: boolean } {
  if (once === true) return { runs: 1, warmUp: false };
  return { runs: curve === undefined ? runs : Math.ceil(runs / 2), warmUp: true };
}

async function measureComparison(
  { bench, comparison }: Planned,
  place: Progress,
  { runs: asked, ms, signal, onRun }: MeasureOptions,
): Promise<Result | undefined> {
  const { ours } = comparison;
  const { runs, warmUp } = rounds(comparison, asked);
  const missing = sides(comparison).filter(isMissing);
  const figures = new Map<Subject, number[]>(subjects(comparison).map((subject) => [subject, []]));
  for (let round = warmUp ? 0 : 1; round <= runs; round++) {
    for (const [subject, values] of figures) {
      if (isAborted(signal)) break;
      if (round === 0 && subject.warm === true) continue;
      onRun?.({ ...place, bench, comparison: comparison.name, subject: subject.name, round, runs });
      try {
        const value = await unlessAborted(measureOnce(subject, ms), signal);
        if (round > 0 && value !== undefined) values.push(value);
      } catch (error) {
        // Ctrl-C reaches the C peers too.
        if (isAborted(signal)) break;
        if (subject === ours) throw error;
        figures.delete(subject);
        missing.push({ name: subject.name, missing: textOf(error) });
      }
    }
  }
  if ((figures.get(ours)?.length ?? 0) === 0) return undefined;
  for (const [{ name }, values] of figures) {
    if (values.length === 0) missing.push({ name, missing: "interrupted" });
  }
  return summarise(comparison, bench, figures, missing);
}

/** undefined as soon as the signal is aborted: what the promise says then is nobody's. */
async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  if (signal === undefined) return await promise;
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const end = (): void => resolve(undefined);
  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", end);
    promise.catch(() => {});
  }
}

async function measureOnce(subject: Subject, ms: number): Promise<number> {
  const limit = ms * SLACK_FACTOR + SLACK_MS;
  const value = await within(subject.measure(ms), limit, `${subject.name}: no figure`);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`${subject.name}: its figure is ${value}, expected a number above 0`);
}

function summarise(
  comparison: Comparison,
  bench: string,
  figures: ReadonlyMap<Subject, readonly number[]>,
  missing: readonly Missing[],
): Result {
  const { name, unit, better, curve = null, published = null } = comparison;
  const ours = figure(comparison.ours, figures) as Figure;
  const against = (side: Subject | Missing | undefined): PeerFigure | undefined => {
    const found = side === undefined || isMissing(side) ? undefined : figure(side, figures);
    return found === undefined ? undefined : { ...found, ratio: ours.value / found.value };
  };
  const peers = comparison.peers.map(against).filter((peer) => peer !== undefined);
  const limit = against(comparison.limit) ?? null;
  const all = [...peers, ...(limit === null ? [] : [limit])];
  return {
    name,
    unit,
    ours: ours.value,
    peers,
    limit,
    bench,
    better,
    oursName: ours.name,
    min: ours.min,
    max: ours.max,
    runs: figures.get(comparison.ours)?.length ?? 0,
    missing,
    targets: (comparison.targets ?? []).map((target) => judge(target, all)),
    noisy: [ours, ...all].filter((side) => spread(side) > NOISY).map((side) => side.name),
    notes: comparison.notes?.() ?? {},
    curve,
    published,
  };
}

function figure(subject: Subject, figures: ReadonlyMap<Subject, readonly number[]>): Figure | undefined {
  const values = figures.get(subject) ?? [];
  if (values.length === 0) return undefined;
  return { name: subject.name, value: median(values), min: Math.min(...values), max: Math.max(...values) };
}

function judge(target: Target, sides: readonly PeerFigure[]): TargetResult {
  const ratio = sides.find((side) => side.name === target.of)?.ratio ?? null;
  if (ratio === null) return { ...target, ratio, met: null };
  return { ...target, ratio, met: ratio >= (target.atLeast ?? 0) && ratio <= (target.atMost ?? Infinity) };
}
