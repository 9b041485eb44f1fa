/**
 * Runs conformance suites: chooses cases, runs them one by one on a stand, collects the report.
 *
 * Interface: `await runConformance(options)`; rejects with UnknownName for a suite or case that does not exist, never
 * because a case fails.
 */
// First: the root of the kernel image.
import "@ringside/workers/machine";
import { findMutant } from "@ringside/mutants/index";
import { nearest } from "@ringside/mutants/nearest";
import { type CaseResult, type ConformanceReport, totals } from "./report.ts";
import type { CaseSettings } from "./run-case.ts";
import { Stand } from "./stand.ts";
import type { Case, Suite } from "./suite.ts";
import { suites as ALL_SUITES } from "./suites/index.ts";

export interface ConformanceOptions {
  /** Names; all when absent, or with a mutant those that must catch it. */
  readonly suites?: readonly string[] | undefined;
  /** Names of cases of the chosen suites; all when absent. */
  readonly cases?: readonly string[] | undefined;
  /** How long each timed case runs, in seconds; its own time when absent. */
  readonly seconds?: number | undefined;
  /** Runs each case so often, or until it fails. */
  readonly repeat?: number | undefined;
  readonly seed?: number | undefined;
  /** A bug to plant. */
  readonly mutant?: string | undefined;
  /** A case that has not ended by then hangs, ms; the time of a timed case comes on top. */
  readonly hangMs?: number | undefined;
  /** Aborting it ends the run early, with a report. */
  readonly signal?: AbortSignal | undefined;
  onProgress?(progress: ConformanceProgress): void;
}

/** Told before each case, and once more with its result. */
export interface ConformanceProgress {
  readonly suite: Suite;
  readonly name: string;
  /** Number of the case, from 1, and how many there are in all. */
  readonly index: number;
  readonly count: number;
  readonly result?: CaseResult;
}

/** Suites and the module by which threads know them; tests bring their own. */
export interface Library {
  readonly suites: readonly Suite[];
  /** URL of a module that exports `workloads` (bodies.ts) of the same suites. */
  readonly workloads: string;
}

const EXTENSION = import.meta.url.endsWith(".ts") ? "ts" : "js";

export const PUBLIC_SUITES: Library = {
  suites: ALL_SUITES,
  workloads: new URL(`./workloads.${EXTENSION}`, import.meta.url).href,
};

const HANG_MS = 30_000;
/** A mutant that hangs is caught; who waits for that has seen enough sooner. */
const MUTANT_HANG_MS = 10_000;

/** A suite or a case that does not exist; the message names the nearest. */
export class UnknownName extends Error {
  override readonly name: string = "UnknownName";
}

function unknown(what: string, name: string, names: readonly string[]): UnknownName {
  const close = nearest(name, names);
  const hint = close.length > 0 ? `nearest: ${close.join(", ")}` : "there are none";
  return new UnknownName(`unknown ${what} "${name}"; ${hint}`);
}

/** A suite and those of its cases that shall run. */
export interface Chosen {
  readonly suite: Suite;
  readonly cases: readonly Case[];
}

/** The cases that the options name, in the order of the suites. */
export function choose(library: Library, options: ConformanceOptions): Chosen[] {
  const target = options.mutant === undefined ? undefined : findMutant(options.mutant).conformance;
  const unnamed = options.suites === undefined && options.cases === undefined;
  const named = unnamed && target !== undefined ? [target.suite] : options.suites;
  const wanted = unnamed && target !== undefined ? [target.case] : options.cases;
  const all = library.suites.map((suite) => suite.name);
  for (const name of named ?? []) if (!all.includes(name)) throw unknown("suite", name, all);
  const suites = library.suites.filter((suite) => named?.includes(suite.name) ?? true);
  const known = suites.flatMap((suite) => suite.cases.map((test) => test.name));
  for (const name of wanted ?? []) if (!known.includes(name)) throw unknown("case", name, known);
  const is_wanted = (test: Case): boolean => wanted?.includes(test.name) ?? true;
  return suites
    .map((suite) => ({ suite, cases: suite.cases.filter(is_wanted) }))
    .filter((chosen) => wanted === undefined || chosen.cases.length > 0);
}

function case_settings(test: Case, options: ConformanceOptions, seed: number): CaseSettings {
  const own = test.seconds ?? 0;
  return {
    seed,
    seconds: own > 0 ? (options.seconds ?? own) : 0,
    hangMs: options.hangMs ?? (options.mutant === undefined ? HANG_MS : MUTANT_HANG_MS),
  };
}

class Run {
  readonly #options: ConformanceOptions;
  readonly #stand: Stand;
  readonly #seed: number;
  readonly #count: number;
  #index = 0;

  constructor(library: Library, options: ConformanceOptions, seed: number, count: number) {
    const { mutant } = options;
    this.#options = options;
    this.#seed = seed;
    this.#count = count;
    this.#stand = new Stand({
      workloads: library.workloads,
      seed,
      ...(mutant === undefined ? {} : { mutant }),
    });
  }

  get stopped(): boolean {
    return this.#options.signal?.aborted === true;
  }

  /** Runs the cases of one suite; those that did not end before the run was stopped are missing. */
  async suite({ suite, cases }: Chosen): Promise<{ suite: Suite; results: CaseResult[] }> {
    const results: CaseResult[] = [];
    for (const test of cases) {
      if (this.stopped) break;
      const told = { suite, name: test.name, index: ++this.#index, count: this.#count };
      this.#options.onProgress?.(told);
      const result = await this.#case(suite, test);
      if (this.stopped) break;
      results.push(result);
      this.#options.onProgress?.({ ...told, result });
    }
    return { suite, results };
  }

  async #case(suite: Suite, test: Case): Promise<CaseResult> {
    const { name, skip } = test;
    if (skip !== undefined) return { name, ok: true, detail: skip, skipped: true };
    const repeat = this.#options.repeat ?? 1;
    let result: CaseResult = { name, ok: true, detail: "" };
    for (let round = 0; round < repeat && result.ok && !this.stopped; round++) {
      const settings = case_settings(test, this.#options, this.#seed + round);
      const before = result;
      result = await this.#stand.run(suite, test, settings, this.#options.signal);
      // The round before may turn out to have failed only when the next one begins.
      if (!this.#stand.settled(before).ok) return this.#stand.settled(before);
      if (!result.ok && repeat > 1)
        result = { ...result, detail: `round ${round + 1}, seed ${settings.seed}:\n${result.detail}` };
    }
    return result;
  }

  async end(): Promise<void> {
    await this.#stand.end();
  }

  settled(results: readonly CaseResult[]): CaseResult[] {
    return results.map((result) => this.#stand.settled(result));
  }
}

/** Runs the chosen cases and reports. */
export async function runConformance(
  options: ConformanceOptions = {},
  library: Library = PUBLIC_SUITES,
): Promise<ConformanceReport> {
  const chosen = choose(library, options);
  const seed = options.seed ?? 1;
  const count = chosen.reduce((sum, { cases }) => sum + cases.length, 0);
  const run = new Run(library, options, seed, count);
  const start = performance.now();
  const done: { suite: Suite; results: CaseResult[] }[] = [];
  try {
    for (const each of chosen) if (!run.stopped) done.push(await run.suite(each));
  } finally {
    await run.end();
  }
  const suites = done.map(({ suite: { name, source }, results }) => {
    const cases = run.settled(results);
    return { name, source, ...totals(cases), cases };
  });
  return {
    ok: !run.stopped && suites.every((suite) => suite.failed === 0),
    seed,
    seconds: Number(((performance.now() - start) / 1000).toFixed(3)),
    ...(options.mutant === undefined ? {} : { mutant: options.mutant }),
    ...(run.stopped ? { interrupted: true as const } : {}),
    suites,
  };
}
