/** What a conformance run reports. The shape is public: `ringside conformance --json` prints it as it is. */

export interface CaseResult {
  readonly name: string;
  /** True for a skipped case too: see `skipped`. */
  readonly ok: boolean;
  /** What went wrong, the reason of a skip, or what the case has to tell; "" when nothing. */
  readonly detail: string;
  readonly skipped?: true;
}

export interface SuiteReport {
  readonly name: string;
  /** The public file, such as "drivers/dma-buf/st-dma-fence.c". */
  readonly source: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly cases: readonly CaseResult[];
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface ConformanceReport {
  readonly ok: boolean;
  readonly seed: number;
  /** How long the run took. */
  readonly seconds: number;
  readonly mutant?: string;
  /** Stopped from outside: cases that did not get their turn are missing. */
  readonly interrupted?: true;
  readonly suites: readonly SuiteReport[];
}

/** Counts results. */
export function totals(cases: readonly CaseResult[]): Totals {
  const skipped = cases.filter((each) => each.skipped === true).length;
  const failed = cases.filter((each) => !each.ok).length;
  return { passed: cases.length - skipped - failed, failed, skipped };
}

/** Sums over suites. */
export function run_totals(report: ConformanceReport): Totals {
  return totals(report.suites.flatMap((suite) => suite.cases));
}
