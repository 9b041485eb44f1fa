/**
 * How far failures shrink: context switches and preemptions as found and as reported, for each broken form of the
 * check scenarios and each benchmark program with a bug.
 *
 * Interface: `for await (const row of shrinkTable(options))`, then shrinkText(rows). One thread; one after the other.
 * The search is the default one, and the effort for shrinking is that of a report.
 */
import { defaultMonitors } from "@ringside/checker/detect/index";
import { Execution } from "@ringside/checker/execution";
import { shrink, type Shrunk } from "@ringside/checker/explain/shrink";
import { explore } from "@ringside/checker/explore";
import type { Program } from "@ringside/checker/program";
import { loadBenchmarks } from "@ringside/checker/sct-worker";
import { Bounded } from "@ringside/checker/strategy/bounded";
import { makeStrategy } from "@ringside/checker/strategy/index";
import { check_scenarios } from "@ringside/scenarios/check/index";
import { CORRECT, is_expected } from "@ringside/scenarios/check/scenario";
import { loadScenario } from "./load.ts";

export interface ShrinkTableOptions {
  /** Searches for each, with seeds 1, 2, ...; default 3. */
  readonly seeds?: number;
  /** Executions of one search at most; default 10,000. */
  readonly limit?: number;
  /** Parts of names, "scenario/form" or "suite/program"; default all. */
  readonly only?: readonly string[];
  /** Strategy of the search; default "portfolio". */
  readonly strategy?: string;
}

export type ShrinkGroup = "kernel" | "memory" | "program";

export interface ShrinkRow {
  readonly group: ShrinkGroup;
  readonly name: string;
  readonly seed: number;
  readonly kind: string;
  readonly before: Shrunk["measure"];
  readonly after: Shrunk["measure"];
  readonly minimal: boolean;
  readonly replays: number;
  readonly seconds: number;
}

interface Subject {
  readonly group: ShrinkGroup;
  readonly name: string;
  readonly program: () => Promise<Program>;
}

/** Seconds and replays of a report's shrinking. */
const SECONDS = 20 / 3;

/** A row for each failure that was found. */
export async function* shrinkTable(options: ShrinkTableOptions = {}): AsyncGenerator<ShrinkRow> {
  const { only = [""], seeds = 3 } = options;
  for (const subject of await subjects()) {
    if (!only.some((part) => subject.name.includes(part))) continue;
    const program = await subject.program();
    for (let seed = 1; seed <= seeds; seed++) {
      const row = shrunkOnce(subject, program, seed, options);
      if (row !== undefined) yield row;
    }
  }
}

async function subjects(): Promise<Subject[]> {
  const found: Subject[] = [];
  for (const { name: scenario, kind, forms } of check_scenarios) {
    for (const [form, { expect }] of Object.entries(forms)) {
      if (form === CORRECT || is_expected(expect, undefined)) continue;
      const program = async (): Promise<Program> => (await loadScenario({ scenario, form })).program;
      found.push({ group: kind, name: `${scenario}/${form}`, program });
    }
  }
  for (const { name, fixed, program } of await loadBenchmarks()) {
    if (!fixed) found.push({ group: "program", name, program: () => Promise.resolve(program) });
  }
  return found;
}

function shrunkOnce(
  { group, name }: Subject,
  program: Program,
  seed: number,
  { limit = 10_000, strategy = "portfolio" }: ShrinkTableOptions,
): ShrinkRow | undefined {
  // As in the papers: a benchmark's bug is what it asserts. Most of them race, which a detector sees without a switch.
  const monitors = group === "program" ? [] : defaultMonitors();
  const execution = new Execution(program, { monitors });
  const { failure } = explore(execution, makeStrategy(strategy, { seed }), { executions: limit });
  if (failure === undefined) return undefined;
  const start = performance.now();
  const shrunk = shrink(execution, failure, {
    seconds: SECONDS,
    bounded: (preemptions) => new Bounded({ from: preemptions, to: preemptions }),
  });
  const { before, measure, minimal, replays } = shrunk;
  const kind = failure.outcome.finding?.kind ?? "";
  const seconds = (performance.now() - start) / 1000;
  return { group, name, seed, kind, before, after: measure, minimal, replays, seconds };
}

/** The one in the middle, the greater of two. */
export function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}

const GROUPS: readonly ShrinkGroup[] = ["kernel", "memory", "program"];

/** A Markdown table, medians over the seeds of each name, and below it those over all failures of a group. */
export function shrinkText(rows: readonly ShrinkRow[]): string {
  const head = ["failure", "found as", "switches", "shrunk", "preemptions", "shrunk", "minimal", "replays"];
  const names = [...new Set(rows.map((row) => row.name))];
  const lines = names.map((name) =>
    lineOf(
      name,
      rows.filter((row) => row.name === name),
    ),
  );
  for (const group of GROUPS) {
    const of = rows.filter((row) => row.group === group);
    if (of.length > 0) lines.push(lineOf(`**all ${group}**`, of));
  }
  lines.push(lineOf("**all**", rows));
  const rule = head.map((_, i) => (i > 1 ? "--:" : "---"));
  return [head, rule, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function lineOf(name: string, rows: readonly ShrinkRow[]): string[] {
  const kinds = new Set(rows.map((row) => row.kind));
  const figures = [
    rows.map((row) => row.before.contextSwitches),
    rows.map((row) => row.after.contextSwitches),
    rows.map((row) => row.before.preemptions),
    rows.map((row) => row.after.preemptions),
  ].map((numbers) => String(medianOf(numbers)));
  const minimal = rows.filter((row) => row.minimal).length;
  return [
    name,
    kinds.size > 3 ? "" : [...kinds].join(", "),
    ...figures,
    `${minimal} of ${rows.length}`,
    String(medianOf(rows.map((row) => row.replays))),
  ];
}
